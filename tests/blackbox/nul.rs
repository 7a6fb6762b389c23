//! U+0000 in whatever a caller may say, on both engines: stored, answered or refused, but no fault of
//! ours, and nothing beside it is lost.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, chain, completion, respond};
use crate::servers::Postgres;
use crate::signin::{post, with};

fn holds(config: &str) {
    let provider = Provider::start(|socket, request, _| {
        let _gone = socket.flush();
        let asked = request.json()["messages"].to_string();
        // It says what it was told last, between two that are not there.
        let last = asked.matches("\"role\"").count();
        respond(socket, 200, "", "application/json", &completion("m", &format!("a\0b {last}")));
    });
    let gateway = Gateway::start(&format!("{config}{}", chain(&[&provider])));
    let (account, key) = gateway.account("nul", "enterprise", &json!({}));
    let fine = |method: &str, path: &str, key: &str, body: &Value| {
        let said = with(&gateway, method, path, key, body);
        assert!(said.status < 500, "{method} {path} {body}: {} {}", said.status, said.text());
        said
    };
    let nul = "a\0b";
    for (method, path, body) in [
        ("POST", "/v1/admin/accounts".to_owned(), json!({"name": nul})),
        ("POST", "/v1/admin/keys".to_owned(), json!({"account": account, "name": nul})),
        ("POST", "/v1/admin/keys".to_owned(), json!({"account": nul})),
        (
            "POST",
            format!("/v1/admin/accounts/{account}/credits"),
            json!({"credits": 1, "reason": nul}),
        ),
        ("POST", "/v1/admin/refunds".to_owned(), json!({"request": nul, "reason": nul})),
        ("PUT", "/v1/admin/plans/a%00b".to_owned(), json!({"requests_per_minute": 1})),
        ("DELETE", "/v1/admin/plans/b%00b".to_owned(), Value::Null),
        ("PATCH", format!("/v1/admin/accounts/{account}"), json!({"name": "nul\0"})),
        ("POST", format!("/v1/admin/accounts/{account}/members"), json!({"email": "a\0@b.c"})),
        ("GET", "/v1/admin/accounts/a%00b".to_owned(), Value::Null),
        ("GET", "/v1/admin/keys/a%00b".to_owned(), Value::Null),
        ("GET", "/v1/admin/keys?account=a%00b".to_owned(), Value::Null),
        ("GET", "/v1/admin/audit?before=a%00b".to_owned(), Value::Null),
        ("GET", "/v1/usage?account=a%00b".to_owned(), Value::Null),
    ] {
        fine(method, &path, KEY, &body);
    }
    for (method, path, body) in [
        ("GET", "/v1/responses/a%00b", Value::Null),
        ("GET", "/v1/conversations/a%00b", Value::Null),
        ("GET", "/v1/conversations/a%00b/items?after=a%00b", Value::Null),
        ("GET", "/v1/agents/a%00b", Value::Null),
        ("GET", "/v1/agents?after=a%00b", Value::Null),
        ("GET", "/v1/requests/a%00b", Value::Null),
        ("GET", "/v1/images/files/a%00b", Value::Null),
        ("GET", "/v1/features/a%00b", Value::Null),
        ("GET", "/v1/memory/graph/a%00b/entities", Value::Null),
        ("GET", "/optima/v1/conversations?search=a%00b", Value::Null),
        (
            "POST",
            "/v1/conversations",
            json!({"metadata": {"a": nul}, "items": [{"type": "message", "role": "user", "content": nul}]}),
        ),
        ("POST", "/v1/memory/store", json!({"text": nul, "tags": [nul]})),
        ("POST", "/v1/memory/search", json!({"query": nul})),
        ("POST", "/v1/agents", json!({"name": nul, "model": "m", "instructions": nul})),
        ("POST", "/v1/feedback", json!({"request_id": nul, "score": 1})),
        ("POST", "/v1/keys", json!({"name": nul})),
        ("POST", "/v1/responses", json!({"model": "m", "previous_response_id": nul, "input": "x"})),
    ] {
        fine(method, path, &key, &body);
    }
    for (path, body) in [
        ("/api/auth/login", json!({"email": "a\0@b.c", "password": nul})),
        ("/api/auth/refresh", json!({"refresh_token": nul})),
        ("/api/auth/register", json!({"email": "a\0@b.c", "password": "long enough, I hope"})),
    ] {
        assert!(post(&gateway, path, &body).status < 500, "{path}");
    }
    // A conversation goes on with all that was said, whoever said the NUL.
    let made = fine("POST", "/v1/conversations", &key, &json!({})).json();
    let conversation = made["id"].as_str().unwrap();
    for (turn, said) in ["first\0", "second"].iter().enumerate() {
        let body = json!({"model": "m", "conversation": conversation, "input": said});
        let reply = fine("POST", "/v1/responses", &key, &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let heard = provider.last().json()["messages"].as_array().unwrap().len();
        assert_eq!(heard, 1 + 2 * turn, "turn {turn}");
    }
    let path = format!("/v1/conversations/{conversation}/items");
    let kept = fine("GET", &path, &key, &Value::Null).json();
    assert_eq!(kept["data"].as_array().unwrap().len(), 4, "{kept}");
}

#[test]
fn a_nul_is_no_fault_on_sqlite() {
    holds("");
}

#[test]
fn a_nul_is_no_fault_on_postgresql() {
    match Postgres::start() {
        Some(postgres) => holds(&format!("[store]\nurl = \"{}\"\n", postgres.url)),
        None => eprintln!("skipped a_nul_is_no_fault_on_postgresql: PostgreSQL is missing here"),
    }
}
