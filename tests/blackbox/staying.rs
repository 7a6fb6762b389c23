//! Conversations with a named model stay with the deployment that has answered them before.

use serde_json::json;

use crate::house::{Gateway, KEY, Provider, Reply, chain, client, eventually, good, respond, send};

fn gateway(providers: [&Provider; 2], balance: &str) -> Gateway {
    let config = chain(&providers);
    Gateway::start(&config.replace("[[models]]", &format!("[[models]]\nbalance = \"{balance}\"")))
}

fn ask(gateway: &Gateway, session: Option<&str>, question: &str) -> Reply {
    let address = format!("{}/v1/chat/completions", gateway.base);
    let mut request = client().post(address).bearer_auth(KEY);
    if let Some(session) = session {
        request = request.header("x-optimux-session", session);
    }
    let messages = [json!({"role": "user", "content": question})];
    send(request.body(json!({"model": "m", "messages": messages}).to_string()))
}

/// A prompt that is long enough to be in a provider's cache.
fn long(about: &str) -> String {
    format!("{about} {}", "and so on ".repeat(600))
}

#[test]
fn a_conversation_stays_where_it_was_answered() {
    let providers = ["one", "two"].map(|said| Provider::start(good(said)));
    let gateway = gateway([&providers[0], &providers[1]], "weights");
    let mut seen = std::collections::HashSet::new();
    for number in 0..24 {
        let session = format!("s{number}");
        let first = ask(&gateway, Some(&session), "hi").said();
        for _ in 0..4 {
            assert_eq!(ask(&gateway, Some(&session), "more").said(), first, "by its name");
        }
        let question = long(&session);
        let first = ask(&gateway, None, &question).said();
        for _ in 0..4 {
            assert_eq!(ask(&gateway, None, &question).said(), first, "by what it began with");
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "conversations are spread");
    // The wish for a provider goes before it.
    let wished = json!({"model": "m", "messages": [{"role": "user", "content": long("s0")}], "provider": {"order": ["p1", "p0"]}});
    for _ in 0..4 {
        assert_eq!(gateway.chat(&wished).said(), "two");
    }
    // A short prompt is in no cache, and is spread as ever.
    let short: std::collections::HashSet<String> =
        (0..24).map(|_| ask(&gateway, None, "hi").said()).collect();
    assert_eq!(short.len(), 2);
}

#[test]
fn a_conversation_moves_from_who_is_down_and_stays_with_who_answered() {
    let down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_down = std::sync::Arc::clone(&down);
    let first = Provider::start(move |socket, request, number| {
        if is_down.load(std::sync::atomic::Ordering::SeqCst) {
            respond(socket, 503, "", "application/json", br#"{"error":{"message":"down"}}"#);
        } else {
            good("first")(socket, request, number);
        }
    });
    let second = Provider::start(good("second"));
    let gateway = gateway([&first, &second], "order");
    assert_eq!(ask(&gateway, Some("s"), "hi").said(), "first");
    down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(ask(&gateway, Some("s"), "hi").said(), "second");
    down.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..4 {
        assert_eq!(
            ask(&gateway, Some("s"), "hi").said(),
            "second",
            "its prompt is in the cache there"
        );
    }
    eventually("others are asked in order", || ask(&gateway, None, &long("x")).said() == "first");
}
