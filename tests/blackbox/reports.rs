//! What pages, files, the interface and the books say of the same requests: the same.

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
        let named = column(&csv.text, "requests");
        let counted: i64 = named.iter().map(|one| one.parse::<i64>().unwrap_or_default()).sum();
        assert_eq!((named.len(), counted), (rows.len(), 5), "{group}: {}", csv.text);
        let page = tab.get(&format!("/console/usage?group_by={group}"));
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
    let account = gateway.get("/v1/account", &key).json();
    assert_eq!(number(&account["credits_used"]), credits, "{account}");
    let proof = gateway.admin("GET", "/ledger/verify", &Value::Null);
    assert_eq!(proof.status, 200, "{}", proof.text());
}

#[test]
fn a_request_that_failed_over_is_told_whole() {
    let failing = Provider::start(|socket, _, _| {
        respond(socket, 500, "", "application/json", b"{\"error\":{\"message\":\"broken\"}}");
    });
    let answering = Provider::start(good("Hello"));
    let config = format!("{OPEN}{}", chain(&[&failing, &answering]));
    let gateway = Gateway::start(&config);
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let said = json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]});
    let planned = gateway.post("/v1/route", &key, said.to_string());
    assert_eq!(planned.status, 200, "{}", planned.text());
    let answered = gateway.post("/v1/chat/completions", &key, said.to_string());
    assert_eq!(answered.status, 200, "{}", answered.text());
    let id = answered.header("x-request-id").to_owned();
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
    for one in told["weighed"]["candidates"].as_array().unwrap() {
        page.has(one["model"].as_str().unwrap());
        assert!(planned.text().contains(one["model"].as_str().unwrap()), "{}", planned.text());
    }
    // What is said of it is kept, and comes to the model that answered.
    let path = format!("/console/requests/{id}/feedback");
    let judged = tab.submit(&page, &path, &[("score", "0")]);
    assert_eq!(judged.status(), 303, "{}", judged.text);
    tab.get(judged.leads_to()).has("Thank you");
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
