//! What pages, files, the interface and the books say of the same requests: the same.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::console::{OPEN, Tab};
use crate::house::{Gateway, Provider, chain, eventually, good, respond};

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// The column of a file of commas, by its name; the first `of` columns are names.
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = head.iter().position(|one| *one == name).unwrap_or_else(|| panic!("{name}: {head:?}"));
    lines.map(|line| line.split(',').nth(at).unwrap().trim_matches('"').to_owned()).collect()
}

/// The sum of a column of whole numbers.
fn sum(csv: &str, name: &str) -> i64 {
    column(csv, name).iter().map(|cell| cell.parse::<i64>().unwrap()).sum()
}

/// An amount in USD, in nano-USD.
fn nano(text: &str) -> i64 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, part) = text.trim_start_matches('$').split_once('.').unwrap_or((text, ""));
    let digits = format!("{}{part:0<9}", whole.replace(',', ""));
    sign * digits.parse::<i64>().unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// What stands between `start` and the next tag.
fn after<'a>(page: &'a str, start: &str) -> &'a str {
    let at = page.find(start).unwrap_or_else(|| panic!("no {start}: {page}"));
    let rest = &page[at + start.len()..];
    &rest[..rest.find('<').unwrap()]
}

/// Whether a page shows an amount, in three digits.
fn is_shown(shown: &str, nanos: i64) -> bool {
    (nano(shown) - nanos).abs() <= nanos.abs() / 200
}

/// The last line of the page's table and the tiles above it say what the interface says.
fn shows_the_totals(page: &str, sums: &Value) {
    let foot = &page[page.find("<tfoot>").unwrap()..];
    let cell = |name: &str| after(foot, &format!("<td data-name=\"{name}\" class=\"n\">"));
    let tile = |name: &str| after(page, &format!("<dt>{name}</dt><dd>"));
    for (name, member) in
        [("Requests", "requests"), ("Failed", "failed_requests"), ("Tokens", "total_tokens")]
    {
        assert_eq!(cell(name), number(&sums[member]).to_string(), "{name}: {sums}");
    }
    let saved = sums["saved_usd"].as_f64().map(|usd| (usd * 1e9).round());
    assert!(saved.is_some(), "{sums}");
    #[expect(clippy::cast_possible_truncation, reason = "some thousandths of a dollar")]
    let saved = saved.unwrap_or_default() as i64;
    let (cost, credits) = (number(&sums["cost_nano_usd"]), number(&sums["credits"]));
    for (name, nanos) in [("Cost", cost), ("Saved", saved)] {
        for shown in [cell(name), tile(name)] {
            assert!(nanos != 0 && is_shown(shown, nanos), "{name}: {shown}, and {sums}");
        }
    }
    for shown in [cell("Credits"), tile("Credits")] {
        assert_eq!(shown, credits.to_string(), "{sums}");
    }
    assert_eq!(tile("Requests"), number(&sums["requests"]).to_string(), "{sums}");
}

#[test]
fn every_grouping_says_the_same_as_the_requests_and_the_books() {
    let gateway = Gateway::start(OPEN);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let made = tab.fill("/console/keys/new", "/console/keys/new", &[("name", "other")]);
    let other = made.secret("secret");
    let ask = |key: &str, model: &str| {
        let said = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        gateway.post("/v1/chat/completions", key, said.to_string()).status
    };
    for (key, model) in [
        (&key, "claude-haiku-4-5"),
        (&key, "claude-haiku-4-5"),
        (&key, "gpt-5-mini"),
        (&other, "gpt-5-mini"),
        (&other, "auto"),
    ] {
        assert_eq!(ask(key, model), 200, "{model}");
    }
    let list = || gateway.get("/v1/requests?limit=100", &key).json()["data"].clone();
    eventually("all are in the list", || list().as_array().unwrap().len() == 5);
    // Request by request.
    let (mut cost, mut credits, mut tokens) = (0, 0, 0);
    for one in list().as_array().unwrap() {
        let at = format!("/v1/requests/{}", one["id"].as_str().unwrap());
        let told = gateway.get(&at, &key).json();
        cost += number(&told["cost_nano_usd"]);
        credits += number(&told["credits"]);
        tokens += number(&told["usage"]["total_tokens"]);
    }
    assert!(cost > 0 && credits > 0 && tokens > 0);
    for group in ["model", "key", "tier", "provider", "day", "hour"] {
        let told = gateway.get(&format!("/v1/usage?group_by={group}"), &key).json();
        let sums = &told["usage"];
        let all = (number(&sums["requests"]), number(&sums["cost_nano_usd"]));
        assert_eq!(all, (5, cost), "{group}: {told}");
        assert_eq!(number(&sums["total_tokens"]), tokens, "{group}: {told}");
        assert_eq!(number(&told["credits_used"]), credits, "{group}: {told}");
        let rows = told["data"].as_array().unwrap();
        let of = |name: &str| rows.iter().map(|row| number(&row[name])).sum::<i64>();
        assert_eq!((of("requests"), of("cost_nano_usd")), all, "{group}: {told}");
        // The file has a line for each, and the page shows each.
        let csv = tab.get(&format!("/console/usage?group_by={group}&format=csv"));
        assert_eq!(column(&csv.text, "requests").len(), rows.len(), "{group}: {}", csv.text);
        let summed = ["requests", "total_tokens", "credits"].map(|name| sum(&csv.text, name));
        assert_eq!(summed, [5, tokens, credits], "{group}: {}", csv.text);
        let costs: i64 = column(&csv.text, "cost_usd").iter().map(|one| nano(one)).sum();
        assert_eq!(costs, cost, "{group}: {}", csv.text);
        let page = tab.get(&format!("/console/usage?group_by={group}"));
        shows_the_totals(&page.text, sums);
        if ["model", "tier", "provider"].contains(&group) {
            for row in rows {
                page.has(row[group].as_str().unwrap());
            }
        }
    }
    // Another baseline, another saving.
    let saved = |baseline: &str| {
        let told = gateway.get(&format!("/v1/usage?baseline={baseline}"), &key).json();
        told["usage"]["saved_usd"].clone()
    };
    assert_ne!(saved("gpt-5"), saved("gpt-5-mini"), "{}", saved("gpt-5"));
    let against = gateway.get("/v1/usage?group_by=model&baseline=gpt-5", &key).json();
    let page = tab.get("/console/usage?group_by=model&baseline=gpt-5");
    shows_the_totals(&page.text, &against["usage"]);
    page.has("against gpt-5");
    let account = gateway.get("/v1/account", &key).json();
    assert_eq!(number(&account["credits_used"]), credits, "{account}");
    gateway.has_right_books();
}

/// The candidates that a page shows: model, provider, effort and verdict.
fn weighed_rows(page: &str) -> Vec<[String; 4]> {
    let table = page.split("How auto chose").nth(1).unwrap().split("</table>").next().unwrap();
    let between = |row: &str, start: &str, end: &str| {
        let (_, rest) = row.split_once(start).unwrap_or_else(|| panic!("no {start}: {row}"));
        rest.split(end).next().unwrap().trim().to_owned()
    };
    let rows = table.split("<tr><th scope=\"row\">").skip(1).map(|row| {
        let model = row.split(" <span").next().unwrap().to_owned();
        let effort = between(row, "data-name=\"Effort\">", "<");
        let effort = if effort == "–" { String::new() } else { effort };
        let verdict = between(row, "data-name=\"Verdict\">", "<");
        [model, between(row, "class=\"dim\">", "<"), effort, verdict]
    });
    rows.collect()
}

/// Models, three of which can be told how hard to think.
const OTHERS: [(&str, &str); 7] = [
    ("gpt-4.1", "premium"),
    ("gpt-4.1-mini", "budget"),
    ("gpt-4o-mini", "budget"),
    ("gpt-4o", "premium"),
    ("gpt-5", "premium"),
    ("gpt-5-mini", "budget"),
    ("o3", "premium"),
];

#[test]
fn a_request_that_failed_over_is_told_whole() {
    let failing = Provider::start(|socket, _, _| {
        respond(socket, 500, "", "application/json", b"{\"error\":{\"message\":\"broken\"}}");
    });
    let answering = Provider::start(good("Hello"));
    // An answer costs half a cent.
    let priced = "usd_per_million = { input = 1000.0, output = 1000.0 }";
    let places: Vec<_> = ["p0", "p1"]
        .iter()
        .map(|provider| format!("{{ provider = \"{provider}\", model = \"m\", {priced} }}"))
        .collect();
    let other = |name: &str, tier: &str| {
        let places = places.join(", ");
        format!("[[models]]\nid = \"{name}\"\ntier = \"{tier}\"\ndeployments = [{places}]\n")
    };
    let chained = chain(&[&failing, &answering])
        .replace("model = \"m\" }", &format!("model = \"m\", {priced} }}"));
    let others: String = OTHERS.iter().map(|(name, tier)| other(name, tier)).collect();
    let config = format!("{OPEN}{chained}{others}");
    let gateway = Gateway::start(&config);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let said = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let planned = gateway.post("/v1/route", &key, said.to_string());
    assert_eq!(planned.status, 200, "{}", planned.text());
    let answered = gateway.post("/v1/chat/completions", &key, said.to_string());
    assert_eq!(answered.status, 200, "{}", answered.text());
    let id = answered.header("x-request-id").to_owned();
    let answered_by = answered.header("x-optimux-model").to_owned();
    let at = format!("/v1/requests/{id}");
    eventually("it is in the books", || gateway.get(&at, &key).status == 200);
    let told = gateway.get(&at, &key).json();
    let attempts = told["attempts"].as_array().unwrap();
    let of = |at: usize, name: &str| attempts[at][name].clone();
    assert!(attempts.len() >= 2, "{told}");
    assert_eq!((of(0, "provider"), of(0, "status")), (json!("p0"), json!(500)), "{told}");
    let last = attempts.len() - 1;
    assert_eq!((of(last, "provider"), of(last, "outcome")), (json!("p1"), json!("ok")), "{told}");
    assert!(attempts.iter().all(|one| one["took_ms"].is_number()), "{told}");
    let page = tab.get(&format!("/console/requests/{id}"));
    for part in ["p0", "p1", "500", "How auto chose"] {
        page.has(part);
    }
    for one in attempts {
        for (name, member) in
            [("After", "started_ms"), ("First byte", "first_byte_ms"), ("Took", "took_ms")]
        {
            let shown =
                one[member].as_u64().map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
            page.has(&format!("<td data-name=\"{name}\" class=\"n\">{shown}</td>"));
        }
    }
    // What it cost, and what was taken for it.
    assert_eq!(told["cost_nano_usd"], 5_000_000, "{told}");
    let credits = number(&told["credits"]);
    let word = if credits == 1 { "credit" } else { "credits" };
    assert!(credits > 0, "{told}");
    page.has(&format!(
        "<dt>Cost</dt><dd>$0.005</dd><dd class=\"note\">{credits} {word} charged</dd>"
    ));
    // All that was weighed, and nothing else.
    let of = |all: &Value| {
        let name = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let all = all.as_array().unwrap().iter().map(|one| {
            let names = ["model", "provider", "effort", "verdict"].map(|member| name(one, member));
            (names, number(&one["expected_cost_nano_usd"]))
        });
        all.collect::<BTreeSet<_>>()
    };
    let planned = planned.json();
    let (kept, wanted) = (of(&told["weighed"]["candidates"]), of(&planned["explanation"]["kept"]));
    assert_eq!(kept, wanted, "{told} {planned}");
    let models: BTreeSet<_> = kept.iter().map(|(names, _)| names[0].as_str()).collect();
    assert!(OTHERS.iter().all(|(name, _)| models.contains(name)) && models.contains("m"));
    // The page has a row for each, and no other.
    let rows: BTreeSet<_> = weighed_rows(&page.text).into_iter().collect();
    let wanted: BTreeSet<_> = kept.iter().map(|(names, _)| names.clone()).collect();
    assert_eq!(rows, wanted, "{planned}");
    // A model stands once for each effort.
    assert_eq!(kept.len(), 16, "{planned}");
    assert_eq!(told["weighed"]["more"], 0, "{told}");
    page.lacks("more that were weighed");
    for model in models {
        page.has(&format!("<th scope=\"row\">{model} <span class=\"dim\">"));
    }
    // What is said of it is kept, and moves the model that answered.
    let quality = || {
        let told = gateway.post("/v1/route", &key, said.to_string()).json();
        let kept = told["explanation"]["kept"].as_array().unwrap().clone();
        let of = kept.iter().find(|one| one["model"].as_str() == Some(&*answered_by));
        of.unwrap_or_else(|| panic!("no {answered_by}: {told}"))["quality"].as_f64().unwrap()
    };
    let before = quality();
    let path = format!("/console/requests/{id}/feedback");
    let judged = tab.submit(&page, &path, &[("score", "0")]);
    assert_eq!(judged.status(), 303, "{}", judged.text);
    tab.get(judged.leads_to()).has("Thank you");
    eventually("it counts", || quality() < before);
}

#[test]
fn a_model_in_use_that_ends_soon_is_told_of() {
    let provider = Provider::start(good("Hello"));
    let day = Command::new("date").args(["-u", "-d", "+10 days", "+%F"]).output().unwrap();
    let day = String::from_utf8(day.stdout).unwrap().trim().to_owned();
    let config = format!(
        "{OPEN}{}[[models]]\nid = \"old\"\nends = \"{day}\"\nreplacement = \"m\"\n\
         deployments = [{{ provider = \"p0\", model = \"old\" }}]\n",
        chain(&[&provider])
    );
    let gateway = Gateway::start(&config);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let ask = |model: &str| {
        let said = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        assert_eq!(gateway.post("/v1/chat/completions", &key, said.to_string()).status, 200);
    };
    ask("m");
    tab.get("/console").lacks("ends on");
    ask("old");
    eventually("it is in the report", || {
        gateway.get("/v1/usage?group_by=model", &key).text().contains("\"old\"")
    });
    let page = tab.get("/console");
    page.has(&format!("old ends on {day}"));
    page.has("Ask m in its place");
}
