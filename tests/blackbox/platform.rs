//! What customers keep here, from outside: memories, saved chats; and what there is to see.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, chain, completion, respond};
use crate::servers::Postgres;
use crate::signin::{member, sign_in, with};

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
    assert!(
        gateway.get("/v1/usage?group_by=day", &key).json()["usage"]["requests"].as_i64().unwrap()
            >= 7
    );
}
