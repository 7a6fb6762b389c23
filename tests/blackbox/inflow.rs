//! Bodies that callers send and do not finish: they must not take the node's memory, and one
//! account's must not keep the others out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::house::{Gateway, Provider, eventually, good};

const MIB: usize = 1 << 20;

fn connect(gateway: &Gateway) -> TcpStream {
    let address = gateway.base.trim_start_matches("http://");
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Begins a request of `announced` bytes and sends `sent` of them.
fn begin(gateway: &Gateway, path: &str, key: &str, announced: usize, sent: usize) -> TcpStream {
    let mut socket = connect(gateway);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {key}\r\nContent-Length: {announced}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut left = vec![b' '; sent];
    if let Some(first) = left.first_mut() {
        *first = b'{';
    }
    // It may be refused before it was all sent.
    let _refused = socket.write_all(&left);
    socket
}

/// The answer so far, if there is one within the moment.
fn refused(socket: &mut TcpStream) -> Option<String> {
    let mut answer = vec![0; 4_096];
    socket.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    let read = socket.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[test]
fn bodies_on_their_way_are_bounded_for_each_account_and_given_back() {
    let provider = Provider::start(good("Hi."));
    let gateway = Gateway::start(&format!(
        "[server]\nbody_limit_bytes = {}\ninflow_bytes = {}\n\
         [providers.one]\nbase_url = \"{}/v1\"\napi_key_file = \"key\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"one\" }}]\n\
         [plans.wide]\ntiers = [\"mid\"]\n",
        MIB,
        4 * MIB,
        provider.base
    ));
    let (_, greedy) = gateway.account("greedy", "wide", &json!({}));
    let (_, modest) = gateway.account("modest", "wide", &json!({}));
    let large =
        json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(700_000)}]});
    for path in [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/m:generateContent",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/route",
    ] {
        // Two of them fill the half of the budget that an account has: of three, one is refused.
        // What they announce counts, not what has come.
        let mut begun: Vec<TcpStream> =
            (0..3).map(|_| begin(&gateway, path, &greedy, MIB - 1, 1_000)).collect();
        let mut said = None;
        eventually("the account's part is used up", || {
            said = begun.iter_mut().find_map(refused);
            said.is_some()
        });
        let said = said.unwrap();
        assert!(said.starts_with("HTTP/1.1 429"), "{path}: {said}");
        assert!(said.to_lowercase().contains("retry-after: 1"), "{path}: {said}");
        // Another account has a half of its own.
        let answer = gateway.post("/v1/chat/completions", &modest, large.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        drop(begun);
        eventually("what was held is given back", || {
            gateway.post("/v1/chat/completions", &greedy, large.to_string()).status == 200
        });
    }
}
