//! What is booked, against a script that works the same out from the published prices alone
//! (`tests/prices/by_hand.py`): rows for every feature of prices, and some for every deployment.

mod rows;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use optimux::catalogue::{PriceEntry, Prices};
use serde_json::{Map, Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prices")
}

fn published() -> Value {
    let mut text = String::new();
    let file = std::fs::File::open(folder().join("../lists/models.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A deployment as it is published, and its prices as the gateway reads them.
struct Place {
    model: String,
    mode: String,
    published: Value,
    prices: Prices,
}

impl Place {
    fn list(&self) -> &[Value] {
        list(&self.published, "prices")
    }

    /// What its standard prices say in dollars for a kind, if any does.
    fn says(&self, kind: &str) -> bool {
        self.list().iter().any(|price| price["per_mtok"].get(kind).is_some())
    }

    fn is(&self, provider: &str, model: &str) -> bool {
        self.published["provider"] == provider && self.model == model
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> Option<f64> {
    value.get(name).and_then(Value::as_f64)
}

/// Kinds that no answer tells, or that are of no token.
const UNMETERED: [&str; 1] = ["citation"];

fn rates(published: &Value) -> Map<String, Value> {
    let all = published.as_object().cloned().unwrap_or_default();
    all.into_iter().filter(|(kind, _)| !UNMETERED.contains(&kind.as_str())).collect()
}

fn overlap(one: &Value, other: &Value) -> bool {
    // Days compare as text.
    let before = |until: &Value, from: &Value| match (until.as_str(), from.as_str()) {
        (Some(until), Some(from)) => until <= from,
        _ => false,
    };
    !before(&one["until"], &other["from"]) && !before(&other["until"], &one["from"])
}

/// Whether a class is so many times as dear as every standard price beside it, to the nano-USD.
fn is_multiple(price: &Value, all: &[Value]) -> bool {
    let Some(times) = number(price, "multiplier") else { return false };
    let scaled = |standard: &Value, own: &Value| {
        let (standard, own) = (rates(standard), rates(own));
        standard.len() == own.len()
            && standard.iter().all(|(kind, usd)| {
                let (usd, own) = (usd.as_f64(), own.get(kind).and_then(Value::as_f64));
                usd.zip(own).is_some_and(|(usd, own)| (usd * times - own).abs() < 1e-10)
            })
    };
    let mut beside =
        all.iter().filter(|one| one["class"] == "standard" && overlap(one, price)).peekable();
    let tiers = list(price, "tiers");
    beside.peek().is_some()
        && beside.all(|standard| {
            let others = list(standard, "tiers");
            scaled(&standard["per_mtok"], &price["per_mtok"])
                && standard.get("hours").is_none()
                && standard.get("per_image").is_none()
                && standard["per"].get("image").is_none()
                && others.len() == tiers.len()
                && others.iter().zip(tiers).all(|(standard, own)| {
                    standard["above_tokens"] == own["above_tokens"]
                        && scaled(&standard["per_mtok"], &own["per_mtok"])
                })
        })
}

fn entry(price: &Value, all: &[Value], holidays: &Value) -> PriceEntry {
    let mut entry = json!({"class": price["class"]});
    for name in ["from", "until"] {
        if price[name].is_string() {
            entry[name] = price[name].clone();
        }
    }
    entry["thinking"] = json!(price["when"] == "thinking");
    if price["hours"]["kind"] == "peak" {
        let hours = &price["hours"];
        let windows = list(hours, "windows").iter();
        let windows = windows.map(|window| {
            format!("{}-{}", window[0].as_str().unwrap(), window[1].as_str().unwrap())
        });
        let calendar = hours["except_holidays"].as_str().unwrap();
        entry["hours"] = json!({
            "zone": hours["tz"],
            "windows": windows.collect::<Vec<_>>(),
            "weekdays": hours["weekdays"],
            "except": holidays[calendar]["dates"],
        });
    }
    if is_multiple(price, all) {
        entry["times"] = price["multiplier"].clone();
        return serde_json::from_value(entry).unwrap();
    }
    entry["usd_per_million"] = Value::Object(rates(&price["per_mtok"]));
    let tiers = list(price, "tiers").iter();
    let tiers = tiers.map(
        |tier| json!({"tokens": tier["above_tokens"], "usd_per_million": rates(&tier["per_mtok"])}),
    );
    entry["above"] = tiers.collect();
    let mut each = json!({});
    for name in ["search", "image"] {
        if let Some(usd) = number(&price["per"], name) {
            each[name] = json!(usd);
        }
    }
    entry["usd_each"] = each;
    entry["pictures"] = list(price, "per_image").iter().cloned().collect();
    serde_json::from_value(entry).unwrap()
}

/// Every deployment that has a price.
fn places() -> Vec<Place> {
    let published = published();
    let holidays = &published["holidays"];
    let mut places = Vec::new();
    for model in list(&published, "models") {
        for deployment in list(model, "deployments") {
            let all = list(deployment, "prices");
            if all.is_empty() {
                continue;
            }
            let read = all.iter().map(|price| entry(price, all, holidays).read().unwrap());
            let uplift = deployment["region_uplift"].as_object();
            let uplift = uplift.into_iter().flatten().filter_map(|(_, factor)| factor.as_f64());
            #[expect(clippy::cast_possible_truncation, reason = "factors are near 1")]
            let regional = (uplift.fold(1.0, f64::max) * 1e6).round() as i64;
            places.push(Place {
                model: model["id"].as_str().unwrap().to_owned(),
                mode: model["mode"].as_str().unwrap().to_owned(),
                published: deployment.clone(),
                prices: Prices::new(read.collect(), regional),
            });
        }
    }
    assert!(places.len() > 1_400, "{} deployments", places.len());
    places
}

/// Has the script work out every row: whether it agrees, and what it says.
fn by_hand(name: &str, rows: &[Value]) -> (bool, String, String) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let ran = Command::new("python3").arg(folder().join("by_hand.py")).arg(&file).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.success(), text(&ran.stdout), text(&ran.stderr))
}

#[test]
fn what_is_booked_is_what_the_published_prices_come_to() {
    let places = places();
    let mut rows = rows::by_feature(&places);
    let mut features: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *features.entry(row["feature"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(rows.len() >= 200 && features.len() == rows::FEATURES, "{features:?}");
    assert!(features.values().all(|count| *count >= 12), "{features:?}");
    rows.extend(rows::of_every(&places));
    let (agrees, said, differs) = by_hand("booked.jsonl", &rows);
    assert!(agrees, "{said}{differs}");
    // Nearly all of the moments have a price.
    let said: Value = serde_json::from_str(&said).unwrap();
    assert!(said["agree"].as_u64().unwrap() > 5_000, "{said}");
    assert!(said["no price holds"].as_u64().unwrap() < 600, "{said}");
}

#[test]
fn a_nano_too_much_or_too_little_is_found() {
    let places = places();
    let mut rows = rows::by_feature(&places);
    for (index, by) in [(3, 1), (30, -1)] {
        rows[index]["booked"] = json!(rows[index]["booked"].as_i64().unwrap() + by);
    }
    let (agrees, said, differs) = by_hand("miscounted.jsonl", &rows);
    assert!(!agrees && said.contains("\"differ\": 2"), "{said}{differs}");
    for index in [3, 30] {
        let name = format!("{}: booked", rows[index]["id"].as_str().unwrap());
        assert!(differs.contains(&name), "{differs}");
    }
}
