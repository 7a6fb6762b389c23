//! `Idempotency-Key`, beyond the plain case: whose a key is, callers who are cut off, nodes that die.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::house::{
    Gateway, Provider, Reply, STREAM_HEAD, chain, chunk, client, delta, end_chunks, eventually,
    good, send,
};

fn body(stream: bool) -> String {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
        .to_string()
}

fn under(gateway: &Gateway, key: &str, user: Option<&str>, stream: bool) -> Reply {
    let request = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(key)
        .header("idempotency-key", "one")
        .body(body(stream));
    send(match user {
        Some(user) => request.header("x-optimux-user", user),
        None => request,
    })
}

fn used(gateway: &Gateway, key: &str) -> Value {
    gateway.get("/v1/usage", key).json()["credits_used"].clone()
}

/// What one credential was answered, in one user's name and with its rights, is for no other.
#[test]
fn a_name_is_its_callers() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (account, key) = gateway.account("a", "enterprise", &json!({}));
    let other = gateway.key(&account, &json!({}));
    let made = gateway.admin("POST", "/keys", &json!({"account": account, "models": ["m"]})).json();
    let narrow = made["key"].as_str().unwrap();
    for (key, user) in
        [(&*key, None), (&*key, Some("ann")), (&*key, Some("bob")), (&*other, None), (narrow, None)]
    {
        let first = under(&gateway, key, user, false);
        assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""), "{user:?}");
        assert_eq!(under(&gateway, key, user, false).header("idempotent-replayed"), "true");
    }
    assert_eq!(provider.count(), 5);
    // What it may no longer ask for it is not given either.
    let path = format!("/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(gateway.admin("PATCH", &path, &json!({"models": ["other"]})).status, 200);
    assert!((403..=404).contains(&under(&gateway, narrow, None, false).status));
}

/// A caller who is cut off in mid-stream comes back, is given the whole answer, and pays once.
#[test]
fn who_is_cut_off_comes_back_for_the_rest() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let provider = Provider::start(move |socket, _, _| {
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": "Hello"}), None));
        let _told = wait.lock().unwrap().recv_timeout(std::time::Duration::from_secs(5));
        chunk(socket, &delta("m", &json!({"content": " there"}), None));
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let config = chain(&[&provider]).replace("\"400ms\"", "\"5s\"").replace("\"3s\"", "\"10s\"");
    let gateway = Gateway::start(&config);
    let (_, key) = gateway.account("a", "enterprise", &json!({}));
    let body = body(true);
    let mut socket = TcpStream::connect(gateway.base.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\nidempotency-key: one\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("Hello") {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    drop(socket);
    assert_eq!(under(&gateway, &key, None, true).status, 409, "it is under way");
    go.send(()).unwrap();
    let mut again = None;
    eventually("it has come to its end", || {
        let reply = under(&gateway, &key, None, true);
        let done = reply.status == 200;
        again = Some(reply);
        done
    });
    let again = again.unwrap();
    assert_eq!(
        (again.said().as_str(), again.header("idempotent-replayed")),
        ("Hello there", "true")
    );
    assert_eq!((provider.count(), used(&gateway, &key)), (1, json!(1)));
}

/// A node dies after it charged and before it kept the answer: who asks again pays once all the same.
#[test]
fn a_lost_answer_is_given_back() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("a", "enterprise", &json!({}));
    assert_eq!(under(&gateway, &key, None, false).status, 200);
    assert_eq!(used(&gateway, &key), 1);
    // As it stands in the store after such a death, once its place has lapsed.
    let script = "import sqlite3\nd = sqlite3.connect('optimux.db')\n\
                  d.execute('UPDATE replays SET head = NULL, body = NULL, expires_ms = 1')\n\
                  d.commit()";
    let done = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(&gateway.folder)
        .status();
    assert!(done.unwrap().success());
    let again = under(&gateway, &key, None, false);
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, ""));
    assert_eq!((provider.count(), used(&gateway, &key)), (2, json!(1)));
    assert_eq!(under(&gateway, &key, None, false).header("idempotent-replayed"), "true");
    let proof = gateway.admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}
