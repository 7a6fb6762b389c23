//! Answers that build on each other, are kept, read, cancelled and deleted.

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, Reply, chain, client, completion, eventually, respond, send,
};
use crate::servers::Postgres;

/// Answers with how many messages it saw and the text of the first.
fn recalling() -> Provider {
    Provider::start(|socket, request, _| {
        let body = request.json();
        let messages = body["messages"].as_array().unwrap();
        let first = messages[0]["content"].as_str().unwrap_or_default();
        let text = format!("{} messages, the first: {first}", messages.len());
        respond(socket, 200, "", "application/json", &completion("m", &text));
    })
}

fn ask(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    gateway.post("/v1/responses", key, body.to_string())
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap()
}

fn delete(gateway: &Gateway, key: &str, path: &str) -> Reply {
    send(client().delete(format!("{}{path}", gateway.base)).bearer_auth(key))
}

fn another_key(gateway: &Gateway, name: &str) -> String {
    gateway.command(&["account", "create", name, "--plan", "pro"]);
    let made = gateway.command(&["key", "create", "--account", name, "--json"]);
    serde_json::from_str::<Value>(&made).unwrap()["key"].as_str().unwrap().to_owned()
}

fn a_chain_on(store: &str) {
    let provider = recalling();
    let gateway = Gateway::start(&format!("{}{store}", chain(&[&provider])));
    let first = ask(&gateway, KEY, &json!({"model": "m", "input": "turn 0", "store": true})).json();
    assert_eq!(first["store"], true);
    let mut last = first["id"].as_str().unwrap().to_owned();
    for turn in 1..=50 {
        let body =
            json!({"model": "m", "input": format!("turn {turn}"), "previous_response_id": last});
        let response = ask(&gateway, KEY, &body).json();
        assert_eq!(text(&response), format!("{} messages, the first: turn 0", 2 * turn + 1));
        assert_eq!(response["previous_response_id"], last.as_str());
        response["id"].as_str().unwrap().clone_into(&mut last);
    }

    // Of the last one: all 51 inputs and the 50 answers between them, in pages.
    let path = format!("/v1/responses/{last}/input_items");
    let page = gateway.get(&format!("{path}?limit=100&order=asc"), KEY).json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (100, &json!(true)));
    assert_eq!(page["data"][0]["content"][0]["text"], "turn 0");
    let newest = gateway.get(&format!("{path}?limit=1"), KEY).json();
    assert_eq!(newest["data"][0]["content"][0]["text"], "turn 50");

    // It is there to be read, by its own account only, until it is deleted.
    let other = another_key(&gateway, "other");
    let at = format!("/v1/responses/{last}");
    assert_eq!(text(&gateway.get(&at, KEY).json()), "101 messages, the first: turn 0");
    assert_eq!(gateway.get(&at, &other).status, 404);
    assert_eq!(gateway.get(&path, &other).status, 404);
    assert_eq!(gateway.post(&format!("{at}/cancel"), &other, "").status, 404);
    assert_eq!(delete(&gateway, &other, &at).status, 404);
    let stolen =
        ask(&gateway, &other, &json!({"model": "m", "input": "x", "previous_response_id": last}));
    assert_eq!(
        (stolen.status, &stolen.json()["error"]["param"]),
        (400, &json!("previous_response_id"))
    );
    assert_eq!(gateway.post(&format!("{at}/cancel"), KEY, "").status, 400);
    assert_eq!(delete(&gateway, KEY, &at).json()["deleted"], true);
    assert_eq!(gateway.get(&at, KEY).status, 404);
}

#[test]
fn a_chain_goes_on_over_fifty_turns() {
    a_chain_on("");
}

#[test]
fn a_chain_goes_on_in_postgres() {
    let Some(postgres) = Postgres::start() else {
        println!("skipped: PostgreSQL is not installed");
        return;
    };
    a_chain_on(&format!("[store]\nurl = \"{}\"\n", postgres.url));
}

#[test]
fn a_stream_can_be_built_on_once_it_says_that_it_is_complete() {
    let provider = Provider::start(crate::house::good("fine"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let stream = ask(&gateway, KEY, &json!({"model": "m", "input": "a", "stream": true}));
    let events = stream.events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["store"]),
        (&json!("response.completed"), &json!(true))
    );
    let id = last["response"]["id"].as_str().unwrap();
    assert_eq!(events[0]["response"]["id"], id);
    let next = ask(&gateway, KEY, &json!({"model": "m", "input": "b", "previous_response_id": id}));
    assert_eq!(next.status, 200);
    let sent = provider.last().json();
    assert_eq!(sent["messages"][1]["content"], "fine");
    assert_eq!(sent["messages"][2]["content"], "b");
    // Told once more, for who asks for a stream of what is there.
    let again = gateway.get(&format!("/v1/responses/{id}?stream=true"), KEY).events();
    assert_eq!(again.last().unwrap()["type"], "response.completed");
}

/// A key that may not chat has no part in what was said, though it is of the same account.
#[test]
fn what_is_kept_is_for_keys_that_may_chat() {
    let provider = recalling();
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, chatting) = gateway.account("house", "pro", &json!({}));
    let other = gateway.key(&account, &json!({"scopes": ["embeddings", "platform", "usage"]}));
    let asked = json!({"model": "m", "input": "a", "store": true});
    let id = ask(&gateway, &chatting, &asked).json()["id"].as_str().unwrap().to_owned();
    let made = gateway.post("/v1/conversations", &chatting, "{}").json();
    let conversation = made["id"].as_str().unwrap().to_owned();
    let said = json!({"items": [{"type": "message", "role": "user", "content": "b"}]}).to_string();
    let count = provider.count();
    for (method, path, body) in [
        ("POST", "/v1/responses".to_owned(), asked.to_string()),
        ("GET", format!("/v1/responses/{id}"), String::new()),
        ("GET", format!("/v1/responses/{id}/input_items"), String::new()),
        ("POST", format!("/v1/responses/{id}/cancel"), "{}".to_owned()),
        ("DELETE", format!("/v1/responses/{id}"), String::new()),
        ("POST", "/v1/conversations".to_owned(), "{}".to_owned()),
        ("GET", format!("/v1/conversations/{conversation}"), String::new()),
        ("POST", format!("/v1/conversations/{conversation}"), json!({"metadata": {}}).to_string()),
        ("GET", format!("/v1/conversations/{conversation}/items"), String::new()),
        ("POST", format!("/v1/conversations/{conversation}/items"), said),
        ("DELETE", format!("/v1/conversations/{conversation}"), String::new()),
    ] {
        let url = format!("{}{path}", gateway.base);
        let asking = client().request(method.parse().unwrap(), url).bearer_auth(&other);
        let reply = send(asking.header("content-type", "application/json").body(body));
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
        assert_eq!(reply.json()["error"]["code"], "missing_scope", "{method} {path}");
    }
    assert_eq!(provider.count(), count);
    assert_eq!(gateway.get(&format!("/v1/responses/{id}"), &chatting).status, 200);
    let path = format!("/v1/conversations/{conversation}");
    assert_eq!(gateway.get(&path, &chatting).status, 200);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let provider = recalling();
    let gateway = Gateway::start(&chain(&[&provider]));
    let response = ask(&gateway, KEY, &json!({"model": "m", "input": "a", "store": false})).json();
    assert_eq!(response["store"], false);
    let id = response["id"].as_str().unwrap();
    assert_eq!(gateway.get(&format!("/v1/responses/{id}"), KEY).status, 404);
}

#[test]
fn an_item_can_be_named_instead_of_said() {
    let provider = recalling();
    let gateway = Gateway::start(&chain(&[&provider]));
    let first = ask(&gateway, KEY, &json!({"model": "m", "input": "a"})).json();
    let item = first["output"][0]["id"].as_str().unwrap();
    let input = json!([
        {"role": "user", "content": "a"},
        {"type": "item_reference", "id": item},
        {"role": "user", "content": "b"},
    ]);
    let second = ask(&gateway, KEY, &json!({"model": "m", "input": input})).json();
    assert_eq!(text(&second), "3 messages, the first: a");
    assert_eq!(provider.last().json()["messages"][1]["content"], text(&first));
    let other = another_key(&gateway, "other");
    assert_eq!(ask(&gateway, &other, &json!({"model": "m", "input": input})).status, 400);
}

#[test]
fn a_conversation_takes_in_what_is_said() {
    let provider = recalling();
    let gateway = Gateway::start(&chain(&[&provider]));
    let items = json!([{"type": "message", "role": "user", "content": "my name is Ada"}]);
    let body = json!({"items": items, "metadata": {"topic": "names"}}).to_string();
    let conversation = gateway.post("/v1/conversations", KEY, body).json();
    let id = conversation["id"].as_str().unwrap();
    assert_eq!(conversation["metadata"]["topic"], "names");
    for turn in [2, 4] {
        let body = json!({"model": "m", "input": "who am I?", "conversation": id});
        let response = ask(&gateway, KEY, &body).json();
        assert_eq!(text(&response), format!("{turn} messages, the first: my name is Ada"));
        assert_eq!(response["conversation"]["id"], id);
    }
    let at = format!("/v1/conversations/{id}");
    let listed = gateway.get(&format!("{at}/items?order=asc"), KEY).json();
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 5);
    assert_eq!(listed[4]["role"], "assistant");
    let other = another_key(&gateway, "other");
    for path in [at.clone(), format!("{at}/items")] {
        assert_eq!(gateway.get(&path, &other).status, 404);
    }
    let body = json!({"model": "m", "input": "who am I?", "conversation": id});
    assert_eq!(ask(&gateway, &other, &body).status, 404);
    let item = listed[0]["id"].as_str().unwrap();
    assert_eq!(gateway.get(&format!("{at}/items/{item}"), KEY).json()["role"], "user");
    assert_eq!(delete(&gateway, KEY, &format!("{at}/items/{item}")).status, 200);
    assert_eq!(delete(&gateway, KEY, &at).json()["deleted"], true);
    assert_eq!(gateway.get(&at, KEY).status, 404);
}

/// Holds its answers back until told to give them.
fn reluctant(open: std::sync::Arc<std::sync::atomic::AtomicBool>) -> Provider {
    Provider::start(move |socket, request, _| {
        eventually("the provider may answer", || open.load(std::sync::atomic::Ordering::SeqCst));
        crate::house::good("at last")(socket, request, 0);
    })
}

#[test]
fn the_background_goes_on_without_its_caller() {
    let open = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let provider = reluctant(std::sync::Arc::clone(&open));
    let patient = chain(&[&provider]).replace("400ms", "9s").replace("\"3s\"", "\"9s\"");
    let gateway = Gateway::start(&patient);
    let body = json!({"model": "m", "input": "a", "background": true});
    let queued = ask(&gateway, KEY, &body).json();
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    let id = queued["id"].as_str().unwrap();
    let at = format!("/v1/responses/{id}");
    assert_eq!(gateway.get(&at, KEY).json()["status"], "in_progress");
    let early = json!({"model": "m", "input": "b", "previous_response_id": id});
    assert_eq!(ask(&gateway, KEY, &early).status, 400);

    let unwanted = ask(&gateway, KEY, &body).json();
    let cancelled = format!("/v1/responses/{}", unwanted["id"].as_str().unwrap());
    assert_eq!(gateway.post(&format!("{cancelled}/cancel"), KEY, "").json()["status"], "cancelled");

    open.store(true, std::sync::atomic::Ordering::SeqCst);
    eventually("the answer is there", || gateway.get(&at, KEY).json()["status"] == "completed");
    let done = gateway.get(&at, KEY).json();
    assert_eq!((text(&done), &done["id"]), ("at last", &json!(id)));
    assert_eq!(gateway.get(&cancelled, KEY).json()["status"], "cancelled");
    assert_eq!(ask(&gateway, KEY, &early).status, 200);
}

#[test]
fn a_stream_in_the_background_can_be_taken_up_again() {
    let provider = Provider::start(crate::house::good("one two"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let body = json!({"model": "m", "input": "a", "background": true, "stream": true});
    let events = ask(&gateway, KEY, &body).events();
    let id = events[0]["response"]["id"].as_str().unwrap();
    assert_eq!(events.last().unwrap()["response"]["id"], id);
    let rest =
        gateway.get(&format!("/v1/responses/{id}?stream=true&starting_after=2"), KEY).events();
    assert_eq!(rest, events[3..]);
}

#[test]
fn a_failure_in_the_background_is_told() {
    let provider = Provider::start(|socket, _, _| {
        respond(socket, 400, "", "application/json", br#"{"error":{"message":"no such thing"}}"#);
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let queued =
        ask(&gateway, KEY, &json!({"model": "m", "input": "a", "background": true})).json();
    let at = format!("/v1/responses/{}", queued["id"].as_str().unwrap());
    eventually("it has failed", || gateway.get(&at, KEY).json()["status"] == "failed");
    assert_eq!(gateway.get(&at, KEY).json()["error"]["message"], "no such thing");
}

#[test]
fn nothing_is_kept_beyond_its_time() {
    let provider = recalling();
    let config = format!("{}[responses]\nretention = \"1s\"\n", chain(&[&provider]));
    let gateway = Gateway::start(&config);
    let response = ask(&gateway, KEY, &json!({"model": "m", "input": "a"})).json();
    let at = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    eventually("it is gone", || gateway.get(&at, KEY).status == 404);
}
