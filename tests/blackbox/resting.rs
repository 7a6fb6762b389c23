//! Deployments that rest and that nobody asks: their provider is asked for its list of models.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, chain, eventually, good, respond};

/// A provider that is down as long as that is true.
fn down() -> (Provider, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let provider = Provider::start(move |socket, request, number| {
        match (is_down.load(Ordering::SeqCst), request.head.starts_with("GET ")) {
            (true, _) => respond(socket, 503, "", "application/json", br#"{"error":{}}"#),
            (false, true) => respond(socket, 200, "", "application/json", br#"{"data":[]}"#),
            (false, false) => good("from the first")(socket, request, number),
        }
    });
    (provider, down)
}

/// A gateway whose first provider is down as long as that is true, once it rests.
fn tripped(probes: bool) -> (Gateway, Provider, Arc<AtomicBool>) {
    let (first, down) = down();
    let second = Provider::start(good("from the second"));
    let config = chain(&[&first, &second])
        .replacen("dialect =", "api_key_file = \"key\"\ndialect =", 1)
        .replace("[upstream]\n", &format!("[upstream]\nprobes = {probes}\n"));
    // The tests' own gateways do not ask on their own.
    let gateway =
        Gateway::start_with(&config, &[("OPTIMUX_UPSTREAM__PROBES", &probes.to_string())]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..5 {
        assert_eq!(gateway.chat(&body).said(), "from the second");
    }
    assert_eq!(health(&gateway), "down");
    (gateway, first, down)
}

fn health(gateway: &Gateway) -> String {
    let told = gateway.get("/v1/admin/status", KEY).json();
    let providers = told["providers"].as_array().unwrap();
    let first = providers.iter().find(|one| one["id"] == "p0").unwrap();
    first["health"].as_str().unwrap().to_owned()
}

fn lists(provider: &Provider) -> Vec<String> {
    let all = provider.received.lock().unwrap();
    let lists = all.iter().filter(|one| one.head.starts_with("GET "));
    lists.map(|one| one.head.clone()).collect()
}

#[test]
fn who_is_back_is_found_without_a_caller() {
    let (gateway, first, down) = tripped(true);
    eventually("it is asked without a caller", || !lists(&first).is_empty());
    let head = lists(&first).remove(0);
    assert!(head.starts_with("GET /v1/models HTTP/1.1"), "{head}");
    assert!(head.contains("Bearer provider-secret-0123456789"), "with its key: {head}");
    // It is not there: it rests on, for longer.
    eventually("that was heard", || health(&gateway) == "down");
    let before = lists(&first).len();
    down.store(false, Ordering::SeqCst);
    eventually("it is asked again", || lists(&first).len() > before);
    eventually("it is back", || health(&gateway) == "up");
    let asked: Vec<Value> = {
        let all = first.received.lock().unwrap();
        all.iter()
            .filter(|one| one.head.starts_with("POST "))
            .map(crate::house::Received::json)
            .collect()
    };
    assert_eq!(asked.len(), 5, "no caller found out");
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).said(), "from the first");
    // Who is up is left alone.
    let before = lists(&first).len();
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(lists(&first).len(), before);
}

#[test]
fn nobody_is_asked_where_that_is_turned_off() {
    let (_gateway, first, _) = tripped(false);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        assert!(lists(&first).is_empty());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn models_that_no_file_lists_are_looked_after_by_their_provider() {
    let (first, down) = down();
    let config = format!(
        "[server]\nrequest_timeout = \"1s\"\n[providers.p0]\nbase_url = \"{}/v1\"\n\
         usd_per_million = {{ input = 1.0, output = 1.0 }}\n",
        first.base
    );
    let gateway = Gateway::start_with(&config, &[("OPTIMUX_UPSTREAM__PROBES", "true")]);
    let body = json!({"model": "p0/unheard-of", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..5 {
        assert_eq!(gateway.chat(&body).status, 503);
    }
    eventually("it is asked without a caller", || !lists(&first).is_empty());
    down.store(false, Ordering::SeqCst);
    let before = lists(&first).len();
    eventually("it is asked again", || lists(&first).len() > before);
    eventually("it answers", || gateway.chat(&body).said() == "from the first");
}
