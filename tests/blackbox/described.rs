//! What is answered is what `/openapi.json` says. Every answer that any test gets of our own endpoints is
//! held to the document, by whichever test it is asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Reply, chain, good};
use crate::signin::{member, sign_in, with};

/// Compiled schemas, by method, path and status.
type Schemas = HashMap<(String, String, u16), jsonschema::Validator>;

static DOCUMENT: LazyLock<Value> = LazyLock::new(optimux::http::openapi::document);
static SCHEMAS: LazyLock<Mutex<Schemas>> = LazyLock::new(Mutex::default);

/// The path of the document that a path is.
fn described(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/api").filter(|rest| rest.starts_with("/v1")).unwrap_or(path);
    let fits = |pattern: &str| {
        let (mut asked, mut parts) = (path.split('/'), pattern.split('/'));
        loop {
            match (asked.next(), parts.next()) {
                (None, None) => return true,
                (Some(one), Some(part)) if part == one || part.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let paths = DOCUMENT["paths"].as_object().unwrap().keys().map(String::as_str);
    // One without names comes before one that takes any.
    paths.filter(|pattern| fits(pattern)).min_by_key(|pattern| pattern.matches('{').count())
}

/// What is wrong with an answer; nothing for one that is not described here.
fn faults(method: &str, path: &str, status: u16, body: &[u8]) -> Vec<String> {
    let Some(pattern) = described(path) else { return Vec::new() };
    let operation = &DOCUMENT["paths"][pattern][method];
    let content = &operation["responses"][status.to_string()]["content"];
    let Some(schema) = content["application/json"].get("schema") else { return Vec::new() };
    // A table for spreadsheets, or events.
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let mut schemas = SCHEMAS.lock().unwrap();
    let key = (method.to_owned(), pattern.to_owned(), status);
    let schema = schemas.entry(key).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = DOCUMENT["components"].clone();
        jsonschema::draft202012::new(&whole).unwrap()
    });
    schema.iter_errors(&answer).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// An answer of one of our own endpoints is as it is described.
pub fn must_be(method: &str, path: &str, reply: &Reply) {
    if !matches!(reply.status, 200 | 202) || !reply.whole {
        return;
    }
    let faults = faults(&method.to_lowercase(), path, reply.status, &reply.body);
    assert!(faults.is_empty(), "{method} {path}: {faults:?}: {}", reply.text());
}

#[test]
fn what_is_asked_for_at_once_is_answered_as_it_is_described() {
    let provider = crate::house::Provider::start(good("Hi"));
    let gateway = Gateway::start(&format!("[signin]\nregister = \"pro\"\n{}", chain(&[&provider])));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    member(&gateway, &account, "ann@example.com", "owner");
    let (ann, _) = sign_in(&gateway, "ann@example.com");
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let answered = gateway.post("/v1/chat/completions", &ann, asked.to_string());
    let id = answered.header("x-request-id").to_owned();
    let mut reached = BTreeSet::new();
    let mut ask = |method: &str, path: &str, key: &str, body: &Value| {
        let reply = with(&gateway, method, path, key, body);
        assert!(matches!(reply.status, 200 | 202), "{method} {path}: {}", reply.text());
        let bare = path.split('?').next().unwrap();
        reached.insert((method.to_owned(), described(bare).unwrap_or("").to_owned()));
        if reply.text().starts_with('{') { reply.json() } else { Value::Null }
    };
    let named = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let nothing = Value::Null;
    // What is made, and what becomes of it.
    let own = named(&ask(
        "POST",
        "/v1/keys",
        &ann,
        &json!({"name": "mine", "scopes": ["chat"], "monthly_budget_usd": 3}),
    ));
    ask("GET", &format!("/v1/keys/{own}"), &ann, &nothing);
    ask("PATCH", &format!("/v1/keys/{own}"), &ann, &json!({"requests_per_minute": "unlimited"}));
    ask("POST", &format!("/v1/keys/{own}/rotate"), &ann, &json!({}));
    ask("DELETE", &format!("/v1/keys/{own}"), &ann, &nothing);
    ask("POST", "/v1/keys/browser", &key, &json!({"budget_usd": 1}));
    let agent = named(&ask(
        "POST",
        "/v1/agents",
        &ann,
        &json!({"name": "a", "model": "m", "tools": [{"type": "memory"}]}),
    ));
    ask("GET", &format!("/v1/agents/{agent}"), &ann, &nothing);
    ask("POST", &format!("/v1/agents/{agent}/runs"), &ann, &json!({"input": "Hi"}));
    ask("PUT", &format!("/v1/agents/{agent}"), &ann, &json!({"name": "b"}));
    ask("DELETE", &format!("/v1/agents/{agent}"), &ann, &nothing);
    ask("POST", "/v1/memory/store", &key, &json!({"user_id": "u", "text": "Ann lives in Lyon."}));
    ask("POST", "/v1/memory/store", &key, &json!({"user_id": "u", "entries": [{"text": "b"}]}));
    ask("POST", "/v1/memory/search", &key, &json!({"user_id": "u", "query": "Lyon"}));
    ask("GET", "/v1/memory/u", &key, &nothing);
    ask("GET", "/v1/memory/graph/u/entities", &key, &nothing);
    ask("DELETE", "/v1/memory/u", &key, &nothing);
    let said = json!({"messages": [{"role": "user", "content": "Hi"}], "title": "t"});
    let chat = named(&ask("PUT", "/optima/v1/conversations", &ann, &said));
    ask("GET", &format!("/optima/v1/conversations/{chat}"), &ann, &nothing);
    ask("PUT", &format!("/optima/v1/conversations/{chat}"), &ann, &json!({"title": "u"}));
    ask("DELETE", &format!("/optima/v1/conversations/{chat}"), &ann, &nothing);
    ask("DELETE", "/optima/v1/conversations", &ann, &nothing);
    ask("POST", "/v1/features/u/memory", &key, &json!({"enabled": true}));
    ask("GET", "/v1/features/u", &key, &nothing);
    ask("POST", "/v1/route", &ann, &asked);
    ask("POST", "/v1/route", &ann, &json!({"model": "auto", "messages": asked["messages"]}));
    ask("POST", "/v1/feedback", &ann, &json!({"request_id": id, "score": 0.5}));
    ask("GET", &format!("/v1/requests/{id}"), &ann, &nothing);
    ask("GET", "/v1/usage?group_by=model&start=2026-01-01", &ann, &nothing);
    let code = json!({"email": "bob@example.com", "role": "billing"});
    let invited = ask("POST", "/v1/account/invitations", &ann, &code);
    let token = invited["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    ask("GET", &format!("/api/auth/invitations/{token}"), "", &nothing);
    let resend = format!("/v1/account/invitations/{}/resend", named(&invited));
    let invited = ask("POST", &resend, &ann, &json!({}));
    ask("DELETE", &format!("/v1/account/invitations/{}", named(&invited)), &ann, &nothing);
    // Of administrators.
    let plan = json!({"requests_per_minute": 5, "tiers": ["mid"]});
    ask("PUT", "/v1/admin/plans/mine?dry_run=true", KEY, &plan);
    ask("PUT", "/v1/admin/plans/mine", KEY, &plan);
    ask("DELETE", "/v1/admin/plans/mine", KEY, &nothing);
    ask("PUT", "/v1/admin/routes/m", KEY, &json!({"fallback": ["m"]}));
    ask("GET", "/v1/admin/routes/m", KEY, &nothing);
    ask("DELETE", "/v1/admin/routes/m", KEY, &nothing);
    ask("POST", "/v1/admin/revisions/1/restore?dry_run=true", KEY, &json!({}));
    let other = named(&ask(
        "POST",
        "/v1/admin/accounts",
        KEY,
        &json!({"name": "other", "limits": {"zdr": true}}),
    ));
    ask("GET", &format!("/v1/admin/accounts/{other}"), KEY, &nothing);
    ask("PATCH", &format!("/v1/admin/accounts/{other}"), KEY, &json!({"plan": "pro"}));
    ask("GET", &format!("/v1/admin/accounts/{account}/members"), KEY, &nothing);
    ask("POST", &format!("/v1/admin/accounts/{other}/credits"), KEY, &json!({"credits": 5}));
    ask("GET", &format!("/v1/admin/accounts/{other}/credits"), KEY, &nothing);
    let of_other =
        named(&ask("POST", "/v1/admin/keys", KEY, &json!({"account": other, "name": "k"})));
    ask("GET", &format!("/v1/admin/keys/{of_other}"), KEY, &nothing);
    ask("PATCH", &format!("/v1/admin/keys/{of_other}"), KEY, &json!({"models": ["m"]}));
    ask("POST", &format!("/v1/admin/keys/{of_other}/rotate"), KEY, &json!({}));
    ask("DELETE", &format!("/v1/admin/accounts/{other}"), KEY, &nothing);
    // Everything that is read by its path alone.
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        let page = path.contains("/oauth/") || path.ends_with("/events");
        if methods.get("get").is_some() && !path.contains('{') && !page {
            let who = if path.starts_with("/v1/admin") { KEY } else { &ann };
            ask("GET", path, who, &nothing);
        }
    }
    assert!(reached.len() > 75, "{}", reached.len());
}

#[test]
fn an_answer_that_is_not_as_described_is_seen() {
    let good = json!({"object": "list", "data": []}).to_string();
    assert!(faults("get", "/v1/keys", 200, good.as_bytes()).is_empty());
    for (path, spoiled) in [
        ("/v1/keys", json!({"object": "list"})),
        ("/v1/keys", json!({"object": "list", "data": [{"id": 5}]})),
        ("/api/v1/features", json!({"object": "list", "data": [{"id": "memory"}]})),
        ("/v1/requests/req_1", json!({"id": "req_1"})),
        ("/v1/memory/u/mem_1", json!({})),
    ] {
        let method = if path.contains("mem_") { "delete" } else { "get" };
        assert!(!faults(method, path, 200, spoiled.to_string().as_bytes()).is_empty(), "{path}");
    }
}
