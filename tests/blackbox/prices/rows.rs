//! Requests whose prices are compared: some for each feature of prices, and some of every
//! deployment.

use fastrand::Rng;
use optimux::base::calendar;
use optimux::base::clock::Timestamp;
use optimux::catalogue::Pictures;
use optimux::wire::vocab::{Class, RareUsage, Usage};
use serde_json::{Value, json};

use super::{Place, list};

/// How many there are.
pub const FEATURES: usize = 25;

/// The day on which the prices were gathered, a Wednesday.
const TODAY: &str = "2026-11-25";
const HOUR_MS: i64 = 3_600_000;

/// A kind of token by the name that the script has for it.
type Kind = &'static str;
type Counted = (Kind, u64);

const PROMPT: [Kind; 9] = [
    "input",
    "cache_read",
    "cache_write",
    "cache_write_long",
    "audio_in",
    "image_in",
    "video_in",
    "cache_read_audio",
    "cache_read_image",
];
const ANSWER: [Kind; 4] = ["output", "thought", "audio_out", "image_out"];

fn of_kind(usage: &mut Usage, kind: Kind) -> &mut u64 {
    match kind {
        "input" => &mut usage.input,
        "cache_read" => &mut usage.cache_read,
        "cache_write" => &mut usage.cache_write,
        "cache_write_long" => &mut usage.more.cache_write_long,
        "audio_in" => &mut usage.more.audio_in,
        "image_in" => &mut usage.more.image_in,
        "video_in" => &mut usage.more.video_in,
        "cache_read_audio" => &mut usage.more.cache_read_audio,
        "cache_read_image" => &mut usage.more.cache_read_image,
        "output" => &mut usage.output,
        "thought" => &mut usage.thought,
        "audio_out" => &mut usage.more.audio_out,
        "image_out" => &mut usage.more.image_out,
        other => panic!("no kind of token is called {other}"),
    }
}

/// How many pictures, of which size and quality.
type Drawn = (u64, Option<String>, Option<String>);

/// A request before it is booked.
#[derive(Clone)]
struct Asked {
    tokens: Vec<Counted>,
    class: Class,
    regional: bool,
    searches: u64,
    pictures: Option<Drawn>,
    at: Timestamp,
}

fn moment(day: &str, ms: i64) -> Timestamp {
    Timestamp(calendar::read(day).unwrap().0 + ms)
}

fn asked(tokens: &[Counted]) -> Asked {
    Asked {
        tokens: tokens.to_vec(),
        class: Class::Standard,
        regional: false,
        searches: 0,
        pictures: None,
        at: moment(TODAY, 12 * HOUR_MS),
    }
}

struct Rows {
    rows: Vec<Value>,
}

impl Rows {
    /// Has the code book it, and writes it down.
    fn book(&mut self, feature: &str, place: &Place, asked: Asked) {
        let mut usage = Usage {
            more: RareUsage {
                class: asked.class,
                regional: asked.regional,
                searches: asked.searches,
                ..RareUsage::default()
            },
            ..Usage::default()
        };
        for (kind, count) in &asked.tokens {
            *of_kind(&mut usage, kind) += count;
        }
        let mut pictures = Pictures::default();
        if let Some((count, size, quality)) = &asked.pictures {
            pictures =
                Pictures { count: *count, size: size.as_deref(), quality: quality.as_deref() };
        }
        let booked = place.prices.bill(&usage, pictures, asked.at);
        let tokens: serde_json::Map<String, Value> = PROMPT
            .iter()
            .chain(&ANSWER)
            .map(|kind| ((*kind).to_owned(), json!(*of_kind(&mut usage, kind))))
            .collect();
        self.rows.push(json!({
            "id": format!("{feature} {}", self.rows.len()),
            "feature": feature,
            "provider": place.published["provider"],
            "model": place.model,
            "name": place.published["name"],
            "at_ms": asked.at.0,
            "class": asked.class,
            "regional": asked.regional,
            "tokens": tokens,
            "searches": asked.searches,
            "pictures": asked.pictures.as_ref().map(|(count, size, quality)| json!({
                "count": count, "size": size, "quality": quality,
            })),
            "booked": booked.0,
        }));
    }
}

/// Deployments of many models and providers, spread over all that fit.
fn some(places: &[Place], most: usize, fits: impl Fn(&Place) -> bool) -> Vec<&Place> {
    let all: Vec<&Place> = places.iter().filter(|place| fits(place)).collect();
    assert!(!all.is_empty());
    let apart = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(apart).collect()
}

fn the<'a>(places: &'a [Place], provider: &str, model: &str) -> &'a Place {
    places.iter().find(|place| place.is(provider, model)).unwrap()
}

/// Rows for each feature of prices.
pub fn by_feature(places: &[Place]) -> Vec<Value> {
    let mut rows = Rows { rows: Vec::new() };
    by_kind(places, &mut rows);
    by_length(places, &mut rows);
    by_class(places, &mut rows);
    by_time(places, &mut rows);
    by_piece(places, &mut rows);
    rows.rows
}

fn by_kind(places: &[Place], rows: &mut Rows) {
    for place in some(places, 20, |place| place.mode == "chat") {
        rows.book("plain", place, asked(&[("input", 12_345), ("output", 678)]));
    }
    let table: [(&str, Kind, &[Counted]); 11] = [
        ("cache read", "cache_read", &[("input", 7), ("cache_read", 10_001), ("output", 3)]),
        ("cache write", "cache_write", &[("input", 7), ("cache_write", 9_999), ("output", 3)]),
        ("5 minutes", "cache_write_5m", &[("input", 7), ("cache_write", 9_999), ("output", 3)]),
        ("30 minutes", "cache_write_30m", &[("input", 7), ("cache_write", 9_999), ("output", 3)]),
        ("an hour", "cache_write_1h", &[("cache_write", 11), ("cache_write_long", 8_888)]),
        ("12 hours", "cache_write_12h", &[("cache_write", 11), ("cache_write_long", 8_888)]),
        ("audio in", "audio_in", &[("input", 5), ("audio_in", 3_333), ("cache_read_audio", 77)]),
        ("audio out", "audio_out", &[("input", 5), ("output", 10), ("audio_out", 4_321)]),
        ("pictures in", "image_in", &[("input", 5), ("image_in", 777), ("cache_read_image", 55)]),
        ("pictures out", "image_out", &[("input", 5), ("output", 10), ("image_out", 1_290)]),
        ("reasoning", "reasoning_out", &[("input", 50), ("output", 100), ("thought", 1_234)]),
    ];
    for (feature, kind, tokens) in table {
        let found = some(places, 16, |place| place.says(kind));
        for place in &found {
            rows.book(feature, place, asked(tokens));
            if found.len() < 12 {
                // Few have it: each is asked for more.
                for odd in [1, 999_999, 1_000_001] {
                    let tokens: Vec<Counted> =
                        tokens.iter().map(|(kind, count)| (*kind, count * odd % 250_007)).collect();
                    rows.book(feature, place, asked(&tokens));
                }
            }
        }
    }
    // What has no price of its own is charged as what it stands for.
    let bare =
        |place: &Place| place.mode == "chat" && !place.says("cache_read") && place.says("output");
    for place in some(places, 16, bare) {
        let all = PROMPT.into_iter().chain(ANSWER).filter(|kind| *kind != "thought");
        let tokens: Vec<Counted> = (101..).zip(all).map(|(count, kind)| (kind, count)).collect();
        rows.book("unsaid kinds", place, asked(&tokens));
    }
}

/// The lengths from which a deployment's standard prices differ.
fn thresholds(place: &Place) -> Vec<u64> {
    let standard = place.list().iter().filter(|price| price["class"] == "standard");
    let mut all: Vec<u64> = standard
        .flat_map(|price| list(price, "tiers"))
        .filter_map(|tier| tier["above_tokens"].as_u64())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn by_length(places: &[Place], rows: &mut Rows) {
    for place in some(places, 24, |place| !thresholds(place).is_empty()) {
        for most in thresholds(place) {
            for prompt in [most, most + 1] {
                let rest = prompt - 1_000;
                for tokens in [
                    vec![("input", prompt), ("output", 1_000)],
                    vec![("input", 1_000), ("cache_read", rest), ("output", 10)],
                    vec![("input", 1_000), ("cache_write", rest), ("output", 10)],
                    vec![("input", 1_000), ("cache_write_long", rest), ("output", 10)],
                ] {
                    rows.book("lengths", place, asked(&tokens));
                }
                // An answer makes no prompt longer.
                let tokens = [("input", most), ("output", prompt)];
                rows.book("lengths", place, asked(&tokens));
            }
        }
    }
}

fn by_class(places: &[Place], rows: &mut Rows) {
    for (feature, class) in [
        ("flex", Class::Flex),
        ("priority", Class::Priority),
        ("batch", Class::Batch),
        ("other classes", Class::Ultrafast),
        ("other classes", Class::Fast),
    ] {
        let word = serde_json::to_value(class).unwrap();
        let has = |place: &Place| place.list().iter().any(|price| price["class"] == word);
        for place in some(places, 24, has) {
            let mut one = asked(&[("input", 3_333), ("cache_read", 77), ("output", 501)]);
            one.class = class;
            rows.book(feature, place, one.clone());
            for most in thresholds(place) {
                one.tokens = vec![("input", most + 1), ("cache_write", 7), ("output", 3)];
                rows.book(feature, place, one.clone());
            }
        }
        // Those without a price for it.
        for place in some(places, 3, |place| !has(place)) {
            let one = Asked { class, ..asked(&[("input", 3_333), ("output", 501)]) };
            rows.book(feature, place, one);
        }
    }
    // Classes that are published as so many times the standard price.
    let multiple = |price: &Value| price.get("multiplier").is_some();
    for place in some(places, 24, |place| place.list().iter().any(multiple)) {
        for price in place.list().iter().filter(|price| multiple(price)) {
            let class = serde_json::from_value(price["class"].clone()).unwrap();
            let tokens = [("input", 997), ("cache_read", 331), ("cache_write", 13), ("output", 7)];
            rows.book("multiples", place, Asked { class, ..asked(&tokens) });
        }
    }
    let uplifted = |place: &Place| place.published.get("region_uplift").is_some();
    for place in some(places, 16, uplifted) {
        let tokens = [("input", 1_001), ("cache_read", 333), ("output", 77)];
        let regional = Asked { regional: true, searches: 1, ..asked(&tokens) };
        rows.book("regions", place, Asked { class: Class::Flex, ..regional.clone() });
        rows.book("regions", place, regional);
    }
}

fn by_time(places: &[Place], rows: &mut Rows) {
    let tokens = [("input", 12_345), ("cache_read", 777), ("output", 999)];
    let busy = |place: &Place| place.list().iter().any(|price| price.get("hours").is_some());
    for place in some(places, 6, busy) {
        // From Wednesday to Tuesday; a holiday, and a Friday before others.
        for day in [
            "2026-11-25",
            "2026-11-26",
            "2026-11-27",
            "2026-11-28",
            "2026-11-29",
            "2026-11-30",
            "2026-12-01",
            "2026-10-07",
            "2026-09-30",
        ] {
            for hour in [1, 4, 6, 10] {
                for ms in [-1, 0] {
                    let at = moment(day, hour * HOUR_MS + ms);
                    rows.book("busy hours", place, Asked { at, ..asked(&tokens) });
                }
            }
        }
    }
    for (provider, model, days) in [
        ("gemini", "gemini-4-argon", &["2026-12-01"][..]),
        ("vertex", "gemini-4-argon", &["2026-12-01"]),
        ("gemini", "gemini-3.8-flash", &["2027-01-01"]),
        ("mistral", "mistral-large-4", &["2026-10-20", "2026-10-29"]),
    ] {
        let place = the(places, provider, model);
        for day in days {
            for ms in [-HOUR_MS, -1, 0, 1] {
                for class in [Class::Standard, Class::Priority] {
                    let at = moment(day, ms);
                    rows.book("days", place, Asked { class, at, ..asked(&tokens) });
                }
            }
        }
    }
    let thinks = |place: &Place| place.list().iter().any(|price| price["when"] == "thinking");
    for place in some(places, 12, thinks).into_iter().chain([the(places, "alibaba", "qwen-plus")]) {
        for thought in [0, 1, 4_000] {
            let tokens = [("input", 12_345), ("output", 999), ("thought", thought)];
            rows.book("thinking", place, asked(&tokens));
        }
    }
}

fn by_piece(places: &[Place], rows: &mut Rows) {
    let tokens = [("input", 50), ("image_in", 300), ("output", 20), ("image_out", 1_056)];
    let drawn = |place: &Place| {
        let by_piece =
            |price: &Value| price["per"].get("image").or(price.get("per_image")).is_some();
        place.list().iter().any(by_piece)
    };
    for place in places.iter().filter(|place| drawn(place)) {
        let lines = place.list().iter().flat_map(|price| list(price, "per_image"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut pictures: Vec<Drawn> =
            lines.map(|line| (1, text(&line["size"]), text(&line["quality"]))).collect();
        pictures.extend([
            (2, Some("1024x1024".to_owned()), None),
            (3, None, None),
            (0, None, None),
        ]);
        for one in pictures {
            // When all of these were sold.
            let at = moment("2026-04-01", 0);
            let one = Asked { pictures: Some(one), ..asked(&tokens) };
            rows.book("drawn", place, Asked { at, ..one.clone() });
            rows.book("drawn", place, one);
        }
    }
    let searches = |place: &Place| place.list().iter().any(|price| price["per"]["search"].is_f64());
    for place in some(places, 20, searches) {
        for class in [Class::Standard, Class::Flex, Class::Batch] {
            let one = asked(&[("input", 100), ("output", 7)]);
            rows.book("searches", place, Asked { searches: 3, class, ..one });
        }
    }
}

/// Four requests of every deployment: anything at all, at any time that has prices.
pub fn of_every(places: &[Place]) -> Vec<Value> {
    let mut rows = Rows { rows: Vec::new() };
    let mut dice = Rng::with_seed(7);
    let classes = [
        Class::Standard,
        Class::Standard,
        Class::Flex,
        Class::Priority,
        Class::Batch,
        Class::Fast,
        Class::Ultrafast,
    ];
    for place in places {
        // Some charge by how much of the web was looked at, which no answer tells.
        let flat = place.list().iter().all(|price| !price["per"]["search"].is_object());
        for _ in 0..4 {
            let mut one = asked(&[]);
            for kind in PROMPT.into_iter().chain(ANSWER) {
                if dice.bool() {
                    let most = if dice.u8(..8) == 0 { 400_000 } else { 5_000 };
                    one.tokens.push((kind, dice.u64(..most)));
                }
            }
            one.class = classes[dice.usize(..classes.len())];
            one.regional = place.published.get("region_uplift").is_some() && dice.bool();
            one.searches = if flat { dice.u64(..3) } else { 0 };
            if place.mode == "image" {
                one.pictures = Some((dice.u64(..4), None, None));
            }
            // From the middle of October to the middle of January.
            one.at = moment("2026-10-15", dice.i64(0..92 * 24 * HOUR_MS));
            rows.book("any", place, one);
        }
    }
    rows.rows
}
