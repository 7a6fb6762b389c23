//! Some forty faults of a provider, each played to four kinds of callers, and what comes of them: the
//! table of `docs/failover.md` is made here.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, Received, Reply, STREAM_HEAD, chunk, completion, delta, end_chunks,
    eventually, is_written, respond,
};

const WORDS: usize = 60;

type Play = fn(&mut TcpStream, &Received, usize);

fn word(number: usize) -> String {
    format!("word{number} ")
}

fn all_words() -> String {
    (0..WORDS).map(word).collect()
}

fn streamed(request: &Received) -> bool {
    request.json()["stream"] == true
}

fn say(socket: &mut TcpStream, words: std::ops::Range<usize>) {
    for number in words {
        chunk(socket, &delta("m", &json!({"content": word(number)}), None));
    }
}

/// The head of a stream, and what announces an answer.
fn announce(socket: &mut TcpStream) {
    let _gone = socket.write_all(STREAM_HEAD.as_bytes());
    chunk(socket, &delta("m", &json!({"role": "assistant", "content": ""}), None));
}

/// The reason for the end, and what was used.
fn conclude(socket: &mut TcpStream) {
    chunk(socket, &delta("m", &json!({}), Some("stop")));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 60, "total_tokens": 70});
    let last = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage});
    chunk(socket, format!("data: {last}\n\n").as_bytes());
}

fn well(socket: &mut TcpStream, request: &Received) {
    if streamed(request) {
        announce(socket);
        say(socket, 0..WORDS);
        conclude(socket);
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    } else {
        respond(socket, 200, "", "application/json", &completion("m", &all_words()));
    }
}

fn error(socket: &mut TcpStream, status: u16, extra: &str, code: &str, words: &str) {
    let kind = if status == 400 { "invalid_request_error" } else { "server_error" };
    let body = json!({"error": {"message": words, "type": kind, "code": code}});
    respond(socket, status, extra, "application/json", body.to_string().as_bytes());
}

fn refuse(socket: &mut TcpStream, status: u16) {
    error(socket, status, "", "x", "no");
}

/// The first part of an answer, as it is asked for.
fn begin(socket: &mut TcpStream, request: &Received, words: usize) {
    if streamed(request) {
        announce(socket);
        say(socket, 0..words);
    } else {
        let whole = completion("m", &all_words());
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            whole.len()
        );
        let _gone = socket.write_all(head.as_bytes());
        let _gone = socket.write_all(&whole[..whole.len() / 2]);
    }
}

fn event(socket: &mut TcpStream, request: &Received, data: &[u8]) {
    if streamed(request) {
        announce(socket);
        say(socket, 0..10);
        chunk(socket, data);
        say(socket, 11..WORDS);
        conclude(socket);
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    } else {
        well(socket, request);
    }
}

fn raw(socket: &mut TcpStream, kind: &str, body: &[u8]) {
    respond(socket, 200, "", kind, body);
}

fn long() {
    std::thread::sleep(Duration::from_secs(8));
}

/// By what failoverbench calls them, where it has them.
const FAULTS: &[(&str, &str, Play)] = &[
    ("S01", "429 with `Retry-After: 2`, once", |socket, request, number| match number {
        0 => error(socket, 429, "retry-after: 2\r\n", "rate_limit_exceeded", "slow down"),
        _ => well(socket, request),
    }),
    ("", "429 with `retry-after-ms: 300`, once", |socket, request, number| match number {
        0 => error(socket, 429, "retry-after-ms: 300\r\n", "rate_limit_exceeded", "slow down"),
        _ => well(socket, request),
    }),
    ("", "429 with a date two seconds away, once", |socket, request, number| match number {
        0 => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
            error(socket, 429, &format!("retry-after: {date}\r\n"), "rate_limit_exceeded", "slow");
        }
        _ => well(socket, request),
    }),
    ("", "429 with Google's `retryDelay: 0.5s`, once", |socket, request, number| match number {
        0 => {
            let body = json!({"error": {"message": "slow", "code": 429, "details": [{"retryDelay": "0.5s"}]}});
            respond(socket, 429, "", "application/json", body.to_string().as_bytes());
        }
        _ => well(socket, request),
    }),
    ("S02", "429 for ever, with `Retry-After: 1`", |socket, _, _| {
        error(socket, 429, "retry-after: 1\r\n", "rate_limit_exceeded", "slow down");
    }),
    ("", "429 for ever, with `Retry-After: 30`", |socket, _, _| {
        error(socket, 429, "retry-after: 30\r\n", "rate_limit_exceeded", "slow down");
    }),
    ("", "429 for ever, without a word", |socket, _, _| refuse(socket, 429)),
    ("S03", "500 once", |socket, request, number| match number {
        0 => refuse(socket, 500),
        _ => well(socket, request),
    }),
    ("", "500 for ever", |socket, _, _| refuse(socket, 500)),
    ("", "502 with a page of HTML, once", |socket, request, number| match number {
        0 => respond(socket, 502, "", "text/html", b"<html>Bad Gateway</html>"),
        _ => well(socket, request),
    }),
    ("S04, S16", "503 for ever", |socket, _, _| refuse(socket, 503)),
    ("", "529 for ever", |socket, _, _| refuse(socket, 529)),
    ("", "504 for ever", |socket, _, _| refuse(socket, 504)),
    ("S05", "the connection is reset, once", |socket, request, number| match number {
        0 => {
            let _gone = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
        }
        _ => well(socket, request),
    }),
    ("", "the connection is reset, always", |socket, _, _| {
        let _gone = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
    }),
    ("", "the connection is closed without a word", |_, _, _| {}),
    ("", "no HTTP at all", |socket, _, _| {
        let _gone = socket.write_all(b"SSH-2.0-OpenSSH\r\n");
    }),
    ("S06", "silent", |_, _, _| long()),
    ("S07", "the head at once, then nothing for long", |socket, request, _| {
        if streamed(request) {
            let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        }
        long();
    }),
    ("S07", "an announcement and pings, and no first token", |socket, request, _| {
        if streamed(request) {
            announce(socket);
            for _ in 0..80 {
                std::thread::sleep(Duration::from_millis(100));
                chunk(socket, b": ping\n\n");
            }
        } else {
            long();
        }
    }),
    ("S08", "cut after 40 of 60 words", |socket, request, _| {
        begin(socket, request, 40);
        let _gone = socket.shutdown(Shutdown::Both);
    }),
    ("", "ended in good order after 40 of 60 words", |socket, request, _| {
        begin(socket, request, 40);
        if streamed(request) {
            end_chunks(socket);
        }
    }),
    ("S09", "stalls after 20 words", |socket, request, _| {
        begin(socket, request, 20);
        long();
    }),
    ("S10", "one event of broken JSON", |socket, request, _| {
        event(socket, request, b"data: {\"choices\": [{\"delta\": {\"con\n\n");
    }),
    ("", "a line of HTML among the events", |socket, request, _| {
        event(socket, request, b"data: <html>\n\n");
    }),
    ("", "an event that is not UTF-8", |socket, request, _| {
        event(socket, request, b"data: {\"text\":\"\xff\"}\n\n");
    }),
    ("", "an error event after 10 words", |socket, request, _| {
        event(socket, request, b"data: {\"error\":{\"message\":\"server had an error\",\"type\":\"server_error\"}}\n\n");
    }),
    ("", "an error as the first event", |socket, request, _| {
        if streamed(request) {
            announce(socket);
            chunk(socket, b"data: {\"error\":{\"message\":\"no\",\"code\":502}}\n\n");
            end_chunks(socket);
        } else {
            refuse(socket, 502);
        }
    }),
    ("S11", "no `[DONE]`", |socket, request, _| {
        if streamed(request) {
            announce(socket);
            say(socket, 0..WORDS);
            conclude(socket);
            end_chunks(socket);
        } else {
            well(socket, request);
        }
    }),
    ("", "keeps the connection open behind its last word", |socket, request, _| {
        if streamed(request) {
            announce(socket);
            say(socket, 0..WORDS);
            conclude(socket);
            chunk(socket, b"data: [DONE]\n\n");
            long();
        } else {
            well(socket, request);
        }
    }),
    ("S12", "400 `context_length_exceeded`", |socket, _, _| {
        error(
            socket,
            400,
            "",
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens.",
        );
    }),
    ("S13", "400 `content_policy_violation`", |socket, _, _| {
        error(
            socket,
            400,
            "",
            "content_policy_violation",
            "Your request was rejected by our safety system.",
        );
    }),
    ("", "400 for a value", |socket, _, _| {
        error(socket, 400, "", "invalid_value", "Invalid value for 'temperature'.");
    }),
    ("", "401 for our key", |socket, _, _| {
        error(socket, 401, "", "invalid_api_key", "Incorrect API key provided.");
    }),
    ("", "402", |socket, _, _| error(socket, 402, "", "insufficient_quota", "Pay first.")),
    ("", "404 for the model", |socket, _, _| {
        error(socket, 404, "", "model_not_found", "The model does not exist.");
    }),
    ("", "413", |socket, _, _| refuse(socket, 413)),
    ("", "a redirect", |socket, _, _| {
        respond(socket, 302, "location: http://127.0.0.1:1/\r\n", "text/html", b"");
    }),
    ("", "200 over an error", |socket, _, _| {
        raw(
            socket,
            "application/json",
            br#"{"error":{"message":"Provider returned error","code":502}}"#,
        );
    }),
    ("", "200 over an answer without choices", |socket, _, _| {
        raw(socket, "application/json", br#"{"id":"1","object":"chat.completion","choices":[]}"#);
    }),
    ("", "200 over nothing", |socket, _, _| raw(socket, "application/json", b"")),
];

/// How callers ask: in the provider's own dialect or in another, whole or streamed.
const CALLERS: [(&str, bool); 4] =
    [("openai-chat", false), ("openai-chat", true), ("anthropic", false), ("anthropic", true)];

/// A model per fault and caller, and a fallback for each.
fn config(cases: &[(String, Provider)], spare: &Provider) -> String {
    let mut config = String::from(
        "[server]\nrequest_timeout = \"8s\"\n[upstream]\nfirst_byte_timeout = \"2s\"\n\
         first_token_timeout = \"1s\"\nidle_timeout = \"1500ms\"\nhedged_share = 0\n",
    );
    let price = "usd_per_million = { input = 1.0, output = 1.0 }";
    let mut routes = String::from("[routes.fallback]\n");
    let _infallible = write!(
        config,
        "[providers.spare]\nbase_url = \"{}/v1\"\n[[models]]\nid = \"spare\"\ndeployments = [{{ provider = \"spare\", model = \"m\", {price} }}]\n",
        spare.base
    );
    for (name, provider) in cases {
        let _infallible = write!(
            config,
            "[providers.{name}]\nbase_url = \"{}/v1\"\n[[models]]\nid = \"{name}\"\ndeployments = [{{ provider = \"{name}\", model = \"m\", {price} }}]\n",
            provider.base
        );
        let _infallible = writeln!(routes, "{name} = [\"spare\"]");
    }
    config + &routes
}

/// What a caller has read: the words, and whether the answer came to its end.
fn read(reply: &Reply, dialect: &str, stream: bool) -> (String, bool) {
    if !stream {
        let answer = reply.json();
        let said = match dialect {
            "anthropic" => &answer["content"][0]["text"],
            _ => &answer["choices"][0]["message"]["content"],
        };
        return (said.as_str().unwrap_or_default().to_owned(), true);
    }
    let events = reply.events();
    let text = |event: &Value| {
        let pieces = ["/choices/0/delta/content", "/delta/text"];
        pieces.iter().find_map(|at| event.pointer(at)?.as_str().map(str::to_owned))
    };
    let said = events.iter().filter_map(text).collect();
    let ended = match dialect {
        "anthropic" => events.iter().any(|event| event["type"] == "message_stop"),
        _ => reply.text().trim_end().ends_with("data: [DONE]"),
    };
    let failed = events.iter().any(|event| event["error"].is_object());
    assert!(ended != failed, "either an end or an error: {}", reply.text());
    (said, ended)
}

/// Plays a fault to a caller: what came of it, in a few words.
fn played(gateway: &Gateway, model: &str, (dialect, stream): (&str, bool), fault: &str) -> String {
    let message = json!({"role": "user", "content": "Say sixty words."});
    let (path, mut body) = match dialect {
        "anthropic" => {
            ("/v1/messages", json!({"model": model, "max_tokens": 200, "messages": [message]}))
        }
        _ => ("/v1/chat/completions", json!({"model": model, "messages": [message]})),
    };
    body["stream"] = json!(stream);
    let began = Instant::now();
    let reply = gateway.post(path, KEY, body.to_string());
    let what = format!("{fault}, {dialect}, stream {stream}");
    assert!(began.elapsed() < Duration::from_secs(8), "{what}: {:?}", began.elapsed());
    assert!(reply.whole, "{what}");
    let tries = reply.header("x-optimux-attempts").to_owned();
    // What of it was written down.
    let id = reply.header("x-request-id").to_owned();
    let mut record = Value::Null;
    eventually("the request is written down", || {
        let found = gateway.get(&format!("/v1/requests/{id}"), KEY);
        record = if found.status == 200 { found.json() } else { Value::Null };
        !record.is_null()
    });
    let (outcome, delivered) = if reply.status == 200 {
        let (said, ended) = read(&reply, dialect, stream);
        let missing = all_words().replace(&word(10), "");
        if ended {
            // Nobody is told that an answer is whole which is not, but for what nobody could read.
            let unread = said == missing && fault.contains(['J', 'H']);
            assert!(said == all_words() || unread, "{what}: {said}");
            let rescued = record["attempts"][0]["outcome"] == "rescued";
            let by = match (rescued, record["model"] == model) {
                (true, _) => "gone on with by the fallback",
                (false, true) => "the same model",
                (false, false) => "the fallback",
            };
            (format!("{by}, {}", record["attempt_count"]), true)
        } else {
            assert!(all_words().starts_with(&said), "{what}: {said}");
            ("an error event".to_owned(), false)
        }
    } else {
        (format!("{}, {tries}", reply.status), false)
    };
    // Whoever got an answer pays for it, and nobody else.
    assert_eq!(record["status"] == "complete", delivered, "{what}: {record}");
    assert!(delivered || record["credits"] == 0, "{what}: {record}");
    outcome
}

#[test]
fn every_fault_comes_to_an_answer_or_to_one_clear_error() {
    let spare = Provider::start(|socket, request, _| well(socket, request));
    let mut cases = Vec::new();
    for (number, (.., play)) in FAULTS.iter().enumerate() {
        for caller in 0..CALLERS.len() {
            cases.push((format!("f{number}c{caller}"), Provider::start(play)));
        }
    }
    let gateway = Arc::new(Gateway::start(&config(&cases, &spare)));
    let outcomes: Arc<Mutex<Vec<Vec<String>>>> =
        Arc::new(Mutex::new(vec![vec![String::new(); CALLERS.len()]; FAULTS.len()]));
    let threads: Vec<_> = (0..CALLERS.len())
        .flat_map(|caller| (0..4).map(move |part| (caller, part)))
        .map(|(caller, part)| {
            let (gateway, outcomes) = (Arc::clone(&gateway), Arc::clone(&outcomes));
            std::thread::spawn(move || {
                for (number, (_, fault, _)) in
                    FAULTS.iter().enumerate().filter(|(at, _)| at % 4 == part)
                {
                    let model = format!("f{number}c{caller}");
                    let outcome = played(&gateway, &model, CALLERS[caller], fault);
                    outcomes.lock().unwrap()[number][caller] = outcome;
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut table = String::from(
        "| | the provider of the first model | whole | streamed | whole, other dialect | streamed, other dialect |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for ((id, fault, _), outcomes) in FAULTS.iter().zip(outcomes.lock().unwrap().iter()) {
        let _infallible = writeln!(table, "| {id} | {fault} | {} |", outcomes.join(" | "));
    }
    let path = "docs/failover.md";
    let page = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (before, rest) = page.split_once("<!-- faults -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of faults -->").unwrap();
    is_written(path, &format!("{before}<!-- faults -->\n{table}<!-- end of faults -->{after}"));
}

/// S15: the provider of the first model is down for a while, and requests come all the time.
#[test]
fn a_provider_that_is_back_is_used_again() {
    const DOWN: Duration = Duration::from_secs(8);
    let began = Instant::now();
    let first = Provider::start(move |socket, request, _| {
        if began.elapsed() < DOWN { refuse(socket, 503) } else { well(socket, request) }
    });
    let spare = Provider::start(|socket, request, _| well(socket, request));
    let gateway = Gateway::start(&config(&[("m".to_owned(), first)], &spare));
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true});
    loop {
        let reply = gateway.chat(&body);
        assert_eq!((reply.status, reply.said()), (200, all_words()), "no caller notices");
        if reply.header("x-optimux-model") == "m" {
            break;
        }
        assert!(began.elapsed() < DOWN + Duration::from_secs(15), "it is not used again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(began.elapsed() >= DOWN);
}
