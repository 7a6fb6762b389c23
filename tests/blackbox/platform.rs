//! What customers keep here, from outside: switches that requests obey, memories, saved chats; and
//! that nobody gets at another's.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, chain, client, completion, good, respond, send};
use crate::servers::Postgres;
use crate::signin::{member, sign_in, with};

fn chat(gateway: &Gateway, key: &str, text: &str, headers: &[(&str, &str)]) -> Reply {
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

fn set(gateway: &Gateway, key: &str, user: &str, feature: &str, body: &Value) {
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
    assert_eq!(all["data"].as_array().unwrap().len(), 9);
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
    assert_eq!(chat(&gateway, &key, "Hi", &[]).status, 502);
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
    let usage = gateway.get("/v1/usage", &key).json();
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

fn remembers(gateway: &Gateway) {
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    let store = |key: &str, body: &Value| gateway.post("/v1/memory/store", key, body.to_string());
    let search = |key: &str, body: &Value| {
        let found = gateway.post("/v1/memory/search", key, body.to_string());
        assert_eq!(found.status, 200, "{}", found.text());
        let found = found.json();
        let texts: Vec<String> = found["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["text"].as_str().unwrap().to_owned())
            .collect();
        texts
    };
    for (text, tag) in [
        ("Ann works at Acme Corp in Berlin", "work"),
        ("Ann prefers tea over coffee", "taste"),
        ("The meeting with Bob is on Friday", "work"),
    ] {
        let kept = store(
            &key,
            &json!({"userId": "ann", "content": text, "tags": [tag], "metadata": {"from": tag}}),
        );
        assert_eq!(kept.status, 200, "{}", kept.text());
        assert_eq!(kept.json()["metadata"]["from"], tag);
    }
    assert_eq!(
        search(&key, &json!({"user_id": "ann", "query": "coffee or tea?"}))[0],
        "Ann prefers tea over coffee"
    );
    assert_eq!(
        search(&key, &json!({"user_id": "ann", "query": "Ann", "tags": ["taste"], "limit": 5}))
            .len(),
        1
    );
    assert!(search(&key, &json!({"user_id": "bob", "query": "tea"})).is_empty());
    assert!(search(&foreign, &json!({"user_id": "ann", "query": "tea"})).is_empty());
    let graph = gateway.get("/v1/memory/graph/ann/entities", &key).json();
    let relations = graph["relations"].as_array().unwrap();
    let works = relations.iter().find(|one| one["relation"] == "works at").unwrap();
    assert!(works["object"].as_str().unwrap().starts_with("Acme Corp"), "{works}");
    assert_eq!(works["memories"].as_array().unwrap().len(), 1, "it says where it says so");
    assert_eq!(gateway.get("/v1/memory/graph/ann/entities", &foreign).status, 404);
    assert_eq!(with(gateway, "DELETE", "/v1/memory/ann", &foreign, &Value::Null).status, 404);
    for (body, status) in [
        (json!({"user_id": "ann"}), 400),
        (json!({"user_id": "ann", "text": " "}), 400),
        (json!({"user_id": "ann", "text": "x", "expires_at": 5}), 400),
        (json!({"user_id": "", "text": "x"}), 400),
        (json!({"user_id": "ann", "entries": []}), 400),
    ] {
        assert_eq!(store(&key, &body).status, status, "{body}");
    }
    let gone = with(gateway, "DELETE", "/v1/memory/ann", &key, &Value::Null);
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(3)), "{}", gone.text());
    assert!(search(&key, &json!({"user_id": "ann", "query": "tea"})).is_empty());
    assert_eq!(gateway.get("/v1/memory/graph/ann/entities", &key).status, 404);
    // What comes after is found, and nothing of before.
    store(&key, &json!({"user_id": "ann", "text": "Ann drinks water"}));
    assert_eq!(
        search(&key, &json!({"user_id": "ann", "query": "Ann drinks tea"})),
        ["Ann drinks water"]
    );
}

#[test]
fn memories_are_kept_found_and_forgotten() {
    remembers(&Gateway::start(""));
}

#[test]
fn memories_are_kept_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    remembers(&Gateway::start(&format!("[store]\nurl = \"{}\"", postgres.url)));
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

fn saves_chats(gateway: &Gateway) {
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    member(gateway, &account, "ann@example.com", "member");
    let (ann, _) = sign_in(gateway, "ann@example.com");
    let put = |key: &str, path: &str, body: &Value| with(gateway, "PUT", path, key, body);
    let saved = put(
        &ann,
        "/optima/v1/conversations",
        &json!({
            "messages": [{"role": "user", "content": "What is a gateway?"}, {"role": "assistant", "content": "A door."}],
            "model": "auto",
        }),
    );
    assert_eq!(saved.status, 200, "{}", saved.text());
    let saved = saved.json();
    let id = saved["id"].as_str().unwrap().to_owned();
    assert_eq!(saved["title"], "What is a gateway?");
    assert_eq!(saved["messages"][1]["content"], "A door.");
    let path = format!("/optima/v1/conversations/{id}");
    let renamed = put(&ann, &path, &json!({"title": "Doors"})).json();
    assert_eq!(
        (&renamed["title"], renamed["messages"].as_array().unwrap().len()),
        (&json!("Doors"), 2)
    );
    // Gone on with, from chat completions and from Responses, whole and streamed.
    for (surface, body) in [
        (
            "/v1/chat/completions",
            json!({"model": "auto", "conversation": id, "messages": [{"role": "user", "content": "And a window?"}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "auto", "stream": true, "conversation": id, "messages": [{"role": "user", "content": "And a wall?"}]}),
        ),
        ("/v1/responses", json!({"model": "auto", "conversation": id, "input": "And a roof?"})),
    ] {
        let answered = gateway.post(surface, &ann, body.to_string());
        assert_eq!(answered.status, 200, "{}", answered.text());
        for stranger in [&key, &foreign] {
            assert_eq!(gateway.post(surface, stranger, body.to_string()).status, 404, "{surface}");
        }
    }
    let whole = gateway.get(&path, &ann).json();
    let messages = whole["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 8, "{whole}");
    assert_eq!(
        (&messages[2]["content"], &messages[3]["role"]),
        (&json!("And a window?"), &json!("assistant"))
    );
    // Lists, pages, words.
    put(
        &ann,
        "/optima/v1/conversations",
        &json!({"title": "Second", "messages": [{"role": "user", "content": "100% other"}]}),
    );
    let list = |key: &str, query: &str| {
        let told = gateway.get(&format!("/optima/v1/conversations{query}"), key);
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()
    };
    let page = list(&ann, "?limit=1");
    assert_eq!((&page["data"][0]["title"], &page["has_more"]), (&json!("Second"), &json!(true)));
    let last = page["last_id"].as_str().unwrap();
    let page = list(&ann, &format!("?limit=1&after={last}"));
    assert_eq!((&page["data"][0]["title"], &page["has_more"]), (&json!("Doors"), &json!(false)));
    assert_eq!(list(&ann, "?search=WINDOW")["data"].as_array().unwrap().len(), 1);
    assert_eq!(list(&ann, "?search=0%25+o")["data"].as_array().unwrap().len(), 1);
    assert_eq!(list(&ann, "?search=_")["data"].as_array().unwrap().len(), 0, "no pattern");
    for stranger in [&key, &foreign] {
        assert!(list(stranger, "")["data"].as_array().unwrap().is_empty());
        for (method, body) in
            [("GET", Value::Null), ("PUT", json!({"title": "mine"})), ("DELETE", Value::Null)]
        {
            let refused = with(gateway, method, &path, stranger, &body);
            assert_eq!(refused.status, 404, "{method}");
            assert!(refused.json()["error"].is_string(), "{}", refused.text());
        }
        assert_eq!(gateway.get(&format!("/v1/conversations/{id}/items"), stranger).status, 404);
    }
    assert_eq!(with(gateway, "DELETE", &path, &ann, &Value::Null).status, 200);
    assert_eq!(gateway.get(&path, &ann).status, 404);
    let gone = with(gateway, "DELETE", "/optima/v1/conversations", &ann, &Value::Null);
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(1)));
}

#[test]
fn chats_are_saved_gone_on_with_and_deleted() {
    saves_chats(&Gateway::start(""));
}

#[test]
fn chats_are_saved_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    saves_chats(&Gateway::start(&format!("[store]\nurl = \"{}\"", postgres.url)));
}

#[test]
fn what_there_is_and_how_it_is() {
    let gateway = Gateway::start("");
    let (_, key) = gateway.account("acme", "free", &json!({}));
    let models = gateway.get("/optima/v1/models", &key).json();
    let first = &models["data"][0];
    for name in
        ["id", "tier", "context_window", "input_modalities", "usd_per_million_tokens", "health"]
    {
        assert!(!first[name].is_null(), "{name}: {first}");
    }
    let able = gateway.get("/optima/v1/capabilities", &key).json();
    assert_eq!(
        (&able["chat"], &able["features"]["failover"]),
        (&json!(true), &json!(true)),
        "{able}"
    );
    assert_eq!(gateway.get("/optima/v1/models", "").status, 401);
    assert!(gateway.get("/optima/v1/models", "").json()["error"].is_string());
    let status = gateway.admin("GET", "/status", &Value::Null).json();
    for name in ["version", "uptime_seconds", "providers", "dependencies", "requests"] {
        assert!(!status[name].is_null(), "{name}: {status}");
    }
    assert_eq!(gateway.get("/v1/admin/status", &key).status, 403);
    let health = gateway.get("/v1/admin/health", KEY).json();
    assert_eq!(
        (&health["status"], &health["dependencies"]["store"]),
        (&json!("healthy"), &json!("up"))
    );
    assert_eq!(gateway.get("/v1/admin/health", "").json()["dependencies"], Value::Null);
}

#[test]
fn a_member_sees_nothing_of_another() {
    let gateway = Gateway::start("");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let (_, foreign) = gateway.account("other", "enterprise", &json!({}));
    let ids: Vec<String> = ["ann", "bob"]
        .iter()
        .map(|name| member(&gateway, &account, &format!("{name}@example.com"), "member"))
        .collect();
    let (ann, bob) =
        (sign_in(&gateway, "ann@example.com").0, sign_in(&gateway, "bob@example.com").0);
    let made = gateway.post(
        "/v1/responses",
        &ann,
        json!({"model": "auto", "input": "My secret is swordfish."}).to_string(),
    );
    let made = (made.header("x-request-id").to_owned(), made.json());
    let response = made.1["id"].as_str().unwrap();
    let item = made.1["output"][0]["id"].as_str().unwrap();
    let own = ids[0].as_str();
    gateway.post("/v1/memory/store", &ann, json!({"text": "The secret is swordfish"}).to_string());
    let run = gateway.post("/v1/conversations", &ann, "{}".to_owned()).json();
    let conversation = run["id"].as_str().unwrap();
    for (method, path, body) in [
        ("GET", format!("/v1/responses/{response}"), Value::Null),
        ("GET", format!("/v1/responses/{response}/input_items"), Value::Null),
        ("POST", format!("/v1/responses/{response}/cancel"), Value::Null),
        ("DELETE", format!("/v1/responses/{response}"), Value::Null),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "previous_response_id": response, "input": "What is it?"}),
        ),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "conversation": conversation, "input": "What is it?"}),
        ),
        (
            "POST",
            "/v1/responses".to_owned(),
            json!({"model": "auto", "input": [{"type": "item_reference", "id": item}]}),
        ),
        ("GET", format!("/v1/conversations/{conversation}"), Value::Null),
        ("POST", format!("/v1/conversations/{conversation}/items"), json!({"items": []})),
        ("DELETE", format!("/v1/conversations/{conversation}"), Value::Null),
        ("GET", format!("/v1/requests/{}", made.0), Value::Null),
        ("GET", format!("/v1/features/{own}"), Value::Null),
        ("POST", format!("/v1/features/{own}/memory"), Value::Null),
        ("POST", format!("/v1/features/{account}/memory"), Value::Null),
        ("POST", "/v1/memory/search".to_owned(), json!({"user_id": own, "query": "secret"})),
        ("POST", "/v1/memory/store".to_owned(), json!({"user_id": own, "text": "forged"})),
        ("GET", format!("/v1/memory/graph/{own}/entities"), Value::Null),
        ("DELETE", format!("/v1/memory/{own}"), Value::Null),
        ("POST", "/v1/connect/actions/run".to_owned(), json!({"tool": "x.y", "user_id": own})),
    ] {
        for stranger in [&bob, &foreign] {
            let said = with(&gateway, method, &path, stranger, &body);
            let leaks = said.text().contains("swordfish");
            let stays_away = matches!(said.status, 400 | 403 | 404);
            assert!(!leaks && stays_away, "{method} {path}: {} {}", said.status, said.text());
        }
    }
    let header = [("x-optimux-user", own)];
    let said =
        json!({"model": "auto", "messages": [{"role": "user", "content": "What is the secret?"}]});
    let mut asked = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(&bob)
        .body(said.to_string());
    for (name, value) in header {
        asked = asked.header(name, value);
    }
    assert_eq!(send(asked).status, 403);
    // All of it is there for whose it is, and for who runs the account.
    for reader in [&ann, &key] {
        assert_eq!(gateway.get(&format!("/v1/responses/{response}"), reader).status, 200);
        assert_eq!(gateway.get(&format!("/v1/requests/{}", made.0), reader).status, 200);
    }
}

/// Every row of every table, as text.
fn rows(gateway: &Gateway) -> Vec<(String, String)> {
    let script = "import sqlite3, sys\nd = sqlite3.connect('optimux.db')\n\
        for (t,) in d.execute(\"SELECT name FROM sqlite_master WHERE type='table'\").fetchall():\n\
        \x20   for r in d.execute(f'SELECT * FROM {t}').fetchall(): print(t, '\\t', repr(r))\n";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(" \t "))
        .map(|(table, row)| (table.to_owned(), row.to_owned()))
        .collect()
}

#[test]
fn who_is_forgotten_leaves_no_row() {
    let config = "[connect.apps.app]\ncommand = [\"true\"]\nauth = { kind = \"bearer\" }";
    let gateway = Gateway::start(config);
    let (account, key) = gateway.account("forgettable", "enterprise", &json!({}));
    let ann = member(&gateway, &account, "ann@example.com", "owner");
    let (token, _) = sign_in(&gateway, "ann@example.com");
    for feature in ["memory", "content_logging"] {
        set(&gateway, &token, &ann, feature, &json!({"enabled": true}));
    }
    let say = |path: &str, body: &Value| {
        let said = gateway.post(path, &token, body.to_string());
        assert_eq!(said.status, 200, "{path}: {}", said.text());
        said.json()
    };
    say(
        "/v1/chat/completions",
        &json!({"model": "auto", "messages": [{"role": "user", "content": "My name is swordfish and I live in Berlin."}]}),
    );
    say("/v1/memory/store", &json!({"text": "Ann likes swordfish"}));
    let conversation = with(
        &gateway,
        "PUT",
        "/optima/v1/conversations",
        &token,
        &json!({"messages": [{"role": "user", "content": "swordfish"}]}),
    )
    .json();
    say(
        "/v1/responses",
        &json!({"model": "auto", "conversation": conversation["id"], "input": "swordfish"}),
    );
    say("/v1/keys", &json!({"name": "swordfish"}));
    say("/v1/agents", &json!({"name": "swordfish"}));
    say(
        "/v1/connect/accounts",
        &json!({"app": "app", "name": "swordfish", "credentials": {"token": "t"}}),
    );
    say("/v1/feedback", &json!({"model": "gpt-4o", "score": 0.5}));
    gateway.get("/v1/usage", &token);
    let holds = |needles: &[&str]| -> Vec<(String, String)> {
        rows(&gateway)
            .into_iter()
            .filter(|(_, row)| needles.iter().any(|one| row.contains(one)))
            .collect()
    };
    assert!(holds(&["swordfish"]).len() >= 8, "{:?}", holds(&["swordfish"]));
    with(&gateway, "DELETE", &format!("/v1/memory/{ann}"), &token, &Value::Null);
    let kept = holds(&[&ann]);
    assert!(!kept.iter().any(|(table, _)| table.starts_with("memor")), "{kept:?}");
    with(&gateway, "DELETE", "/optima/v1/conversations", &token, &Value::Null);
    let tables: Vec<String> = holds(&["swordfish"]).into_iter().map(|(table, _)| table).collect();
    assert!(!tables.iter().any(|table| table.starts_with("conversation")), "{tables:?}");
    // The person, and then the account.
    let gone = gateway.admin("DELETE", &format!("/accounts/{account}/members/{ann}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let kept = holds(&[&ann, "ann@example.com"]);
    assert!(kept.iter().all(|(table, _)| table == "audit_log"), "only that it was done: {kept:?}");
    let gone = gateway.admin("DELETE", &format!("/accounts/{account}"), &Value::Null);
    assert_eq!(gone.status, 200, "{}", gone.text());
    let kept = holds(&[&ann, "ann@example.com", "swordfish", "forgettable"]);
    assert_eq!(kept, [], "a row was left");
    // The books stay, under an id that stands for nobody.
    let books = ["ledger_pages", "ledger_entries", "balances", "usage_minutes", "grants"];
    let kept = holds(&[&account]);
    assert!(kept.iter().all(|(table, _)| books.contains(&table.as_str())), "{kept:?}");
    assert_eq!(gateway.get("/v1/usage", &key).status, 401);
    assert_eq!(gateway.admin("GET", "/ledger/verify", &Value::Null).status, 200);
}

#[test]
fn a_model_may_read_memories_and_make_their_vectors() {
    let reader = Provider::start(|socket, request, _| {
        let asked = request.json();
        if let Some(input) = asked["input"].as_array() {
            let data: Vec<Value> = input
                .iter()
                .enumerate()
                .map(|(index, text)| {
                    let tea = text.as_str().unwrap().contains("tea") || text.as_str().unwrap().contains("drink");
                    json!({"object": "embedding", "index": index, "embedding": if tea { [1.0, 0.1] } else { [0.0, 1.0] }})
                })
                .collect();
            let told = json!({"object": "list", "model": "e", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}});
            return respond(socket, 200, "", "application/json", told.to_string().as_bytes());
        }
        let text = asked["messages"][1]["content"].as_str().unwrap();
        if text.contains("mumble") {
            return respond(
                socket,
                200,
                "",
                "application/json",
                &completion("m", "I cannot tell."),
            );
        }
        let said = "```json\n{\"relations\":[{\"subject\":\"Ann\",\"subject_type\":\"person\",\"relation\":\"enjoys\",\"object\":\"tea\"}]}\n```";
        respond(socket, 200, "", "application/json", &completion("m", said));
    });
    let config = format!(
        "{}[memory]\nembedding_model = \"e\"\nextraction_model = \"m\"\n[[models]]\nid = \"e\"\nmode = \"embedding\"\ndeployments = [{{ provider = \"p0\" }}]\n",
        chain(&[&reader])
    );
    let gateway = Gateway::start(&config);
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let store = |text: &str| {
        gateway.post("/v1/memory/store", &key, json!({"user_id": "ann", "text": text}).to_string())
    };
    assert_eq!(store("Ann is fond of tea").json()["embedded_by"], "e");
    store("The bus leaves at nine");
    assert_eq!(store("mumble. Ann works at Acme Corp").status, 200);
    let found = gateway
        .post(
            "/v1/memory/search",
            &key,
            json!({"user_id": "ann", "query": "what to drink"}).to_string(),
        )
        .json();
    assert_eq!(found["data"][0]["text"], "Ann is fond of tea", "no word in common: {found}");
    let graph = gateway.get("/v1/memory/graph/ann/entities", &key).json();
    let relations: Vec<&str> = graph["relations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["relation"].as_str().unwrap())
        .collect();
    assert_eq!(relations, ["enjoys", "works at"], "one read by the model, one by rules");
    assert!(gateway.get("/v1/usage", &key).json()["usage"]["requests"].as_i64().unwrap() >= 7);
}
