//! Switches that requests obey, from outside: each on and off.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, chain, client, completion, good, respond, send};
use crate::signin::with;

pub fn chat(gateway: &Gateway, key: &str, text: &str, headers: &[(&str, &str)]) -> Reply {
    let said = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let mut request = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(key)
        .body(said.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request)
}

pub fn set(gateway: &Gateway, key: &str, user: &str, feature: &str, body: &Value) {
    let done = with(gateway, "POST", &format!("/v1/features/{user}/{feature}"), key, body);
    assert_eq!(done.status, 200, "{}", done.text());
}

#[test]
fn switches_have_defaults_and_whoever_is_nearer_decides() {
    let gateway = Gateway::start("[plans.free.features]\nresponse_cache = true");
    let (account, key) = gateway.account("acme", "free", &json!({}));
    let of = |user: &str, feature: &str| {
        let told = gateway.get(&format!("/v1/features/{user}"), &key).json();
        let all = told["data"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["id"] == feature).unwrap()
    };
    let all = gateway.get("/v1/features", &key).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 10);
    assert_eq!(of("ann", "response_cache")["source"], "plan");
    set(&gateway, &key, &account, "response_cache", &json!({"enabled": false}));
    assert_eq!(
        (
            of("ann", "response_cache")["enabled"].clone(),
            of("ann", "response_cache")["source"].clone()
        ),
        (json!(false), json!("account"))
    );
    set(&gateway, &key, "ann", "response_cache", &Value::Null);
    assert_eq!(of("ann", "response_cache")["enabled"], true, "the other way round");
    assert_eq!(of("bob", "response_cache")["enabled"], false);
    for (path, body, status) in [
        ("/v1/features/ann/nonsense", json!({}), 404),
        ("/v1/features/ann/memory", json!({"enabled": "yes"}), 400),
        ("/v1/features/ann/memory", json!({"settings": {"token_budget": 0}}), 400),
        ("/v1/features/acct_other/memory", json!({}), 404),
        ("/v1/features/member_other/memory", json!({}), 404),
    ] {
        assert_eq!(with(&gateway, "POST", path, &key, &body).status, status, "{path} {body}");
    }
}

#[test]
fn auto_and_failover_can_be_turned_off() {
    let broken = Provider::start(|socket, _, _| respond(socket, 500, "", "text/plain", b"no"));
    let fine = Provider::start(good("fine"));
    let gateway = Gateway::start(&chain(&[&broken, &fine]));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    assert_eq!(chat(&gateway, &key, "Hi", &[]).status, 200);
    set(&gateway, &key, &account, "failover", &json!({"enabled": false}));
    assert_eq!(chat(&gateway, &key, "Hi", &[]).status, 503);
    set(&gateway, &key, &account, "failover", &json!({"enabled": true}));
    assert_eq!(chat(&gateway, &key, "Hi", &[]).status, 200);
    let auto =
        json!({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let ask = || gateway.post("/v1/chat/completions", &key, auto.clone());
    assert_eq!(ask().status, 200);
    set(&gateway, &key, &account, "auto_routing", &json!({"enabled": false}));
    let refused = ask();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (403, &json!("feature_disabled"))
    );
}

#[test]
fn answers_are_given_again_where_that_is_on() {
    let provider = Provider::start(|socket, _, number| {
        let text = format!("answer {number}");
        respond(socket, 200, "", "application/json", &completion("m", &text));
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (other, foreign) = gateway.account("other", "enterprise", &json!({}));
    let ask = |key: &str, text: &str, headers: &[(&str, &str)]| chat(&gateway, key, text, headers);
    assert_ne!(ask(&key, "Hi", &[]).said(), ask(&key, "Hi", &[]).said(), "off by default");
    set(&gateway, &key, &account, "response_cache", &json!({"enabled": true}));
    let first = ask(&key, "What is new?", &[]);
    assert_eq!(first.header("x-optimux-cache"), "miss");
    let again = ask(&key, "What is new?", &[]);
    assert_eq!((again.header("x-optimux-cache"), again.said()), ("hit", first.said()));
    let usage = gateway.get("/v1/usage?group_by=day", &key).json();
    assert_eq!(usage["usage"]["requests"], 3, "what is given again costs nothing: {usage}");
    // A caller who wants a new one gets it, and the next one gets that.
    let fresh = ask(&key, "What is new?", &[("cache-control", "no-cache")]);
    assert_ne!(fresh.said(), first.said());
    assert_eq!(ask(&key, "What is new?", &[]).said(), fresh.said());
    let unkept = ask(&key, "Nor this", &[("cache-control", "no-store")]);
    assert_ne!(ask(&key, "Nor this", &[]).said(), unkept.said());
    // Nobody else's.
    set(&gateway, &foreign, &other, "response_cache", &json!({"enabled": true}));
    assert_ne!(ask(&foreign, "What is new?", &[]).said(), fresh.said());
    // Questions that mean the same.
    set(
        &gateway,
        &key,
        &account,
        "semantic_cache",
        &json!({"enabled": true, "settings": {"threshold": 0.85}}),
    );
    let first = ask(&key, "What is the capital of France?", &[]);
    let alike = ask(&key, "what's the capital of france", &[]);
    assert_eq!((alike.header("x-optimux-cache"), alike.said()), ("hit", first.said()));
    assert_eq!(ask(&key, "What is the capital of Spain?", &[]).header("x-optimux-cache"), "miss");
    let two = ask(&key, "How much is 2 plus 3 in the usual arithmetic?", &[]);
    assert_ne!(ask(&key, "How much is 2 plus 4 in the usual arithmetic?", &[]).said(), two.said());
}

#[test]
fn the_configured_key_has_switches_too() {
    let provider = Provider::start(good("done"));
    let gateway = Gateway::start(&chain(&[&provider]));
    chat(&gateway, KEY, "Hi", &[]);
    set(&gateway, KEY, "acct_admin", "response_cache", &json!({"enabled": true}));
    chat(&gateway, KEY, "Hi", &[]);
    assert_eq!(chat(&gateway, KEY, "Hi", &[]).header("x-optimux-cache"), "hit");
}

#[test]
fn streams_are_given_again_too() {
    let provider = Provider::start(good("streamed"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    set(&gateway, &key, &account, "response_cache", &json!({"enabled": true}));
    let asked =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})
            .to_string();
    let ask = || gateway.post("/v1/chat/completions", &key, asked.clone());
    let (first, again) = (ask(), ask());
    assert_eq!((again.header("x-optimux-cache"), again.said()), ("hit", first.said()));
    assert_eq!((first.said().as_str(), provider.count()), ("streamed", 1));
    assert!(again.text().ends_with("data: [DONE]\n\n"));
}

#[test]
fn persons_are_redacted_and_contents_kept_where_that_is_on() {
    let provider = Provider::start(good("done"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    chat(&gateway, &key, "I am ann@example.com", &[]);
    assert!(provider.last().json().to_string().contains("ann@example.com"));
    set(&gateway, &key, &account, "pii_redaction", &json!({"enabled": true}));
    set(&gateway, &key, &account, "content_logging", &json!({"enabled": true}));
    let answered = chat(&gateway, &key, "I am ann@example.com, card 4111 1111 1111 1111", &[]);
    let sent = provider.last().json().to_string();
    assert!(sent.contains("I am [EMAIL], card [CARD]"), "{sent}");
    let path = format!("/v1/requests/{}", answered.header("x-request-id"));
    let told = gateway.get(&path, &key).json();
    assert!(told["content"]["request"].as_str().unwrap().contains("[EMAIL]"), "{told}");
    assert!(told["content"]["answer"].as_str().unwrap().contains("done"));
    assert_eq!(gateway.get(&path, &foreign).status, 404);
    set(&gateway, &key, &account, "content_logging", &json!({"enabled": false}));
    let answered = chat(&gateway, &key, "Hello", &[]);
    let path = format!("/v1/requests/{}", answered.header("x-request-id"));
    assert_eq!(gateway.get(&path, &key).json()["content"], Value::Null);
}

#[test]
fn strict_parameters_refuse_what_would_be_dropped() {
    let provider = Provider::start(good("done"));
    let config = chain(&[&provider]).replace("openai-chat", "anthropic");
    let gateway = Gateway::start(&config);
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let asked = json!({"model": "m", "seed": 5, "messages": [{"role": "user", "content": "Hi"}]})
        .to_string();
    let ask = || gateway.post("/v1/chat/completions", &key, asked.clone()).status;
    let before = ask();
    set(&gateway, &key, &account, "strict_parameters", &json!({"enabled": true}));
    assert_ne!(before, 400);
    assert_eq!(ask(), 400);
}

#[test]
fn with_memory_on_requests_know_the_user() {
    let provider = Provider::start(good("done"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let ask = |text: &str| chat(&gateway, &key, text, &[("x-optimux-user", "ann")]);
    ask("My name is Ann and I live in Berlin.");
    assert!(!ask("Where do I live?").headers.contains_key("x-optimux-memory"));
    set(&gateway, &key, "ann", "memory", &json!({"enabled": true}));
    ask("My name is Ann and I live in Berlin.");
    let answered = ask("In which city do I live?");
    assert!(answered.header("x-optimux-memory").starts_with("mem_"), "{:?}", answered.headers);
    let sent = provider.last().json();
    assert_eq!(sent["messages"][0]["role"], "system");
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains("I live in Berlin"));
    // Another user knows nothing of it.
    set(&gateway, &key, "bob", "memory", &json!({"enabled": true}));
    let other = chat(&gateway, &key, "In which city do I live?", &[("x-optimux-user", "bob")]);
    assert!(!other.headers.contains_key("x-optimux-memory"));
    assert!(!provider.last().json().to_string().contains("Berlin"));
    set(&gateway, &key, "ann", "memory", &json!({"enabled": false}));
    assert!(!ask("In which city do I live?").headers.contains_key("x-optimux-memory"));
}

#[test]
fn memory_knows_users_by_their_names_though_these_are_redacted() {
    let provider = Provider::start(good("done"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    set(&gateway, &key, &account, "memory", &json!({"enabled": true}));
    set(&gateway, &key, &account, "pii_redaction", &json!({"enabled": true}));
    let ask = |user: &str, text: &str| {
        let said =
            json!({"model": "m", "user": user, "messages": [{"role": "user", "content": text}]});
        gateway.post("/v1/chat/completions", &key, said.to_string())
    };
    ask("ann@example.com", "My name is Ann and I live in Berlin.");
    let own = ask("ann@example.com", "In which city do I live?");
    assert!(own.header("x-optimux-memory").starts_with("mem_"));
    assert!(!provider.last().json().to_string().contains("ann@example.com"));
    let other = ask("bob@example.com", "In which city do I live?");
    assert!(!other.headers.contains_key("x-optimux-memory"), "another's memory");
    // A user who has it turned off is not remembered, whatever the account says.
    set(&gateway, &key, "ann@example.com", "memory", &json!({"enabled": false}));
    let off = ask("ann@example.com", "In which city do I live?");
    assert!(!off.headers.contains_key("x-optimux-memory"));
}

#[test]
fn a_strict_request_is_not_answered_with_what_a_lax_one_got() {
    let provider = Provider::start(|socket, _, _| {
        let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
        respond(socket, 200, "", "application/json", answer.to_string().as_bytes());
    });
    let config = chain(&[&provider]).replace("openai-chat", "anthropic");
    let gateway = Gateway::start(&config);
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    set(&gateway, &key, &account, "response_cache", &json!({"enabled": true}));
    let ask = |strict: &str| {
        let said =
            json!({"model": "m", "seed": 5, "messages": [{"role": "user", "content": "Hi"}]});
        let url = format!("{}/v1/chat/completions", gateway.base);
        let request = client().post(url).bearer_auth(&key).header("x-optimux-strict", strict);
        send(request.body(said.to_string()))
    };
    assert_eq!((ask("false").status, ask("false").header("x-optimux-cache")), (200, "hit"));
    assert_eq!(ask("true").status, 400);
}
