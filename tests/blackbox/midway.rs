//! Streams that go wrong, in every dialect: nothing wrong reaches a caller under a 200.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, Received, Reply, STREAM_HEAD, chunk, client, end_chunks, respond, send,
};

const DIALECTS: [&str; 4] = ["openai-chat", "openai-responses", "anthropic", "gemini"];
const SECRET: &str = "provider-secret-0123456789";

fn event(name: &str, data: &Value) -> Vec<u8> {
    let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    format!("{name}data: {data}\n\n").into_bytes()
}

fn named(data: &Value) -> Vec<u8> {
    event(data["type"].as_str().unwrap(), data)
}

/// What comes before anything is said.
fn announced(dialect: &str) -> Vec<u8> {
    match dialect {
        "openai-chat" => [
            event("", &json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})),
            event("", &json!({"id": "first-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})),
        ]
        .concat(),
        "openai-responses" => [
            named(&json!({"type": "response.created", "response": {"id": "first-1", "status": "in_progress", "output": []}})),
            named(&json!({"type": "response.in_progress", "response": {"id": "first-1", "status": "in_progress", "output": []}})),
            named(&json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}})),
            named(&json!({"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}})),
        ]
        .concat(),
        "anthropic" => [
            named(&json!({"type": "message_start", "message": {"id": "first-1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 3, "output_tokens": 1}}})),
            named(&json!({"type": "ping"})),
            named(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        ]
        .concat(),
        _ => event("", &json!({"responseId": "first-1", "usageMetadata": {"promptTokenCount": 3}, "modelVersion": "g"})),
    }
}

fn said(dialect: &str, text: &str) -> Vec<u8> {
    match dialect {
        "openai-chat" => {
            event("", &json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}))
        }
        "openai-responses" => named(
            &json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}),
        ),
        "anthropic" => named(
            &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        ),
        _ => event(
            "",
            &json!({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]}),
        ),
    }
}

/// The reason for the end, and the last word.
fn closed(dialect: &str) -> Vec<u8> {
    match dialect {
        "openai-chat" => [
            event("", &json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})),
            b"data: [DONE]\n\n".to_vec(),
        ]
        .concat(),
        "openai-responses" => named(&json!({"type": "response.completed", "response": {"id": "first-1", "status": "completed", "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "x", "annotations": []}]}]}})),
        "anthropic" => [
            named(&json!({"type": "content_block_stop", "index": 0})),
            named(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}})),
            named(&json!({"type": "message_stop"})),
        ]
        .concat(),
        _ => event("", &json!({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}})),
    }
}

/// An end with nothing before it, and no reason for that.
fn hollow(dialect: &str) -> Vec<u8> {
    match dialect {
        "openai-chat" => b"data: [DONE]\n\n".to_vec(),
        "openai-responses" => named(
            &json!({"type": "response.completed", "response": {"id": "first-1", "status": "completed", "output": []}}),
        ),
        "anthropic" => named(&json!({"type": "message_stop"})),
        _ => Vec::new(),
    }
}

fn failed(dialect: &str, message: &str) -> Vec<u8> {
    match dialect {
        "openai-chat" => {
            event("", &json!({"error": {"message": message, "type": "server_error", "code": null}}))
        }
        "openai-responses" => named(
            &json!({"type": "error", "code": "server_error", "message": message, "param": null}),
        ),
        "anthropic" => named(
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": message}}),
        ),
        _ => {
            event("", &json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}))
        }
    }
}

/// A whole answer; one that holds none, if there is no text.
fn whole(dialect: &str, text: Option<&str>) -> Value {
    match dialect {
        "openai-chat" => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": text.map(|text| json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"})).into_iter().collect::<Vec<_>>()})
        }
        "openai-responses" => {
            json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": text.map(|text| json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]})).into_iter().collect::<Vec<_>>()})
        }
        "anthropic" => {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": text.map(|text| json!({"type": "text", "text": text})).into_iter().collect::<Vec<_>>(), "stop_reason": text.map(|_| "end_turn"), "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 2}})
        }
        _ => {
            json!({"candidates": text.map(|text| json!({"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0})).into_iter().collect::<Vec<_>>(), "usageMetadata": {"promptTokenCount": 3}})
        }
    }
}

/// What a scripted provider does for a request in a dialect.
type Script = fn(&mut TcpStream, &str);

/// Which case and dialect a request is of: the provider's base address has the dialect, and the
/// model's name has the case.
fn asked(request: &Received) -> (String, String) {
    let path = request.path().to_owned();
    let dialect = path.split('/').nth(1).unwrap().to_owned();
    let model = match path.split_once("/models/") {
        Some((_, rest)) => rest.split(':').next().unwrap().to_owned(),
        None => request.json()["model"].as_str().unwrap().to_owned(),
    };
    (model, dialect)
}

fn wants_stream(request: &Received) -> bool {
    request.path().contains("streamGenerateContent") || {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["stream"] == true
    }
}

/// Every case as a model at two providers per dialect, the first of which does what the case says.
struct Table {
    gateway: Gateway,
    first: Provider,
    second: Provider,
}

impl Table {
    fn of(cases: &'static [(&'static str, Script)]) -> Self {
        let scripts: HashMap<&str, Script> = cases.iter().copied().collect();
        let first = Provider::start(move |socket, request, _| {
            let (case, dialect) = asked(request);
            scripts[case.split('.').next().unwrap()](socket, &dialect);
        });
        let second = Provider::start(|socket, request, _| {
            let (_, dialect) = asked(request);
            if wants_stream(request) {
                let all =
                    [announced(&dialect), said(&dialect, "from the second"), closed(&dialect)];
                let all = String::from_utf8(all.concat()).unwrap().replace("first-1", "second-1");
                respond(socket, 200, "", "text/event-stream", all.as_bytes());
            } else {
                let body = whole(&dialect, Some("from the second")).to_string();
                respond(socket, 200, "", "application/json", body.as_bytes());
            }
        });
        let mut config = String::from(
            "[server]\nrequest_timeout = \"3s\"\n[upstream]\nfirst_byte_timeout = \"400ms\"\nidle_timeout = \"2s\"\nconnect_timeout = \"400ms\"\n",
        );
        for dialect in DIALECTS {
            for (name, provider) in [("first", &first), ("second", &second)] {
                let base = &provider.base;
                writeln!(config, "[providers.{name}-{dialect}]\nbase_url = \"{base}/{dialect}\"\ndialect = \"{dialect}\"\napi_key_file = \"key\"").unwrap();
            }
        }
        for (case, _) in cases {
            for dialect in DIALECTS {
                writeln!(config, "[[models]]\nid = \"{case}.{dialect}\"\ndeployments = [{{ provider = \"first-{dialect}\" }}, {{ provider = \"second-{dialect}\" }}]").unwrap();
            }
        }
        Self { gateway: Gateway::start(&config), first, second }
    }

    /// Asks in `front` for a case at providers that speak `dialect`.
    fn ask(&self, case: &str, dialect: &str, front: &str, stream: bool) -> Reply {
        let model = format!("{case}.{dialect}");
        let (path, body) = match front {
            "openai-chat" => (
                "/v1/chat/completions".to_owned(),
                json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
            ),
            "openai-responses" => (
                "/v1/responses".to_owned(),
                json!({"model": model, "stream": stream, "store": false, "input": "hi"}),
            ),
            "anthropic" => (
                "/v1/messages".to_owned(),
                json!({"model": model, "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
            ),
            _ => {
                let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                (
                    format!("/v1beta/models/{model}:{verb}"),
                    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
                )
            }
        };
        self.gateway.post(&path, KEY, body.to_string())
    }

    /// Each case in each dialect, as a stream: in the provider's own dialect and in another.
    fn each(&self, cases: &[(&str, Script)], mut check: impl FnMut(&str, &str, &str, &Reply)) {
        for (case, _) in cases {
            for dialect in DIALECTS {
                let other = if dialect == "openai-chat" { "anthropic" } else { "openai-chat" };
                for front in [dialect, other] {
                    check(case, dialect, front, &self.ask(case, dialect, front, true));
                }
            }
        }
    }
}

fn stream(socket: &mut TcpStream, pieces: &[Vec<u8>]) {
    let _gone = socket.write_all(STREAM_HEAD.as_bytes());
    for piece in pieces {
        chunk(socket, piece);
    }
}

/// Until something of the answer has come, the next deployment is asked.
#[test]
fn a_stream_that_announced_an_answer_and_has_none_is_asked_for_elsewhere() {
    const CASES: &[(&str, Script)] = &[
        ("error", |socket, dialect| {
            stream(socket, &[announced(dialect), failed(dialect, "no")]);
            end_chunks(socket);
        }),
        ("cut", |socket, dialect| stream(socket, &[announced(dialect)])),
        ("hollow", |socket, dialect| {
            stream(socket, &[announced(dialect), hollow(dialect)]);
            end_chunks(socket);
        }),
        ("named", |socket, dialect| {
            stream(
                socket,
                &[announced(dialect), b"event: error\ndata: {\"message\":\"no\"}\n\n".to_vec()],
            );
            end_chunks(socket);
        }),
        ("page", |socket, _| {
            stream(socket, &[b"data: <html>busy</html>\n\n".to_vec()]);
            end_chunks(socket);
        }),
        ("half", |socket, dialect| {
            let words = said(dialect, "never");
            stream(socket, &[announced(dialect), words[..words.len() - 9].to_vec()]);
        }),
        ("damaged", |socket, dialect| {
            stream(
                socket,
                &[
                    announced(dialect),
                    said(dialect, "a")
                        .iter()
                        .map(|byte| if *byte == b'a' { 0xff } else { *byte })
                        .collect(),
                ],
            );
            end_chunks(socket);
        }),
    ];
    let table = Table::of(CASES);
    table.each(CASES, |case, dialect, front, reply| {
        let what = format!("{case}, {dialect} for {front}");
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        let text = reply.text();
        assert!(text.contains("from the second"), "{what}: {text}");
        assert!(!text.contains("first-1") || dialect != front, "no bytes of two attempts: {text}");
        assert!(!text.contains("\"error\":{"), "{what}: {text}");
        assert_eq!(reply.header("x-optimux-attempts"), "2", "{what}");
    });
    // A whole answer that holds none is as little of an answer.
    let plain: &[(&str, Script)] = &[("plain", |socket, dialect| {
        let body = whole(dialect, None).to_string();
        respond(socket, 200, "", "application/json", body.as_bytes());
    })];
    let table = Table::of(plain);
    for dialect in DIALECTS {
        for stream in [false, true] {
            let reply = table.ask("plain", dialect, dialect, stream);
            assert!(reply.text().contains("from the second"), "{dialect}: {}", reply.text());
        }
    }
    assert_eq!((table.first.count(), table.second.count()), (8, 8));
}

/// The last word ends an answer, and nothing follows it.
#[test]
fn a_provider_that_does_not_hang_up_holds_nobody_and_adds_nothing() {
    const CASES: &[(&str, Script)] = &[("open", |socket, dialect| {
        stream(socket, &[announced(dialect), said(dialect, "all of it"), closed(dialect)]);
        // Behind a reason of Gemini's, which has no last word, words are words.
        if dialect != "gemini" {
            chunk(socket, &said(dialect, "ghost"));
            chunk(socket, &failed(dialect, "late"));
        }
        std::thread::sleep(Duration::from_secs(3));
    })];
    let table = Table::of(CASES);
    table.each(CASES, |_, dialect, front, _| {
        let started = Instant::now();
        let reply = table.ask("open", dialect, front, true);
        let text = reply.text();
        let most = Duration::from_millis(if dialect == "gemini" { 2_500 } else { 1_500 });
        assert!(started.elapsed() < most, "{dialect} for {front}");
        assert!(reply.whole && text.contains("all of it"), "{dialect} for {front}: {text}");
        for wrong in ["ghost", "late", "\"error\":{", "keep-alive"] {
            assert!(!text.contains(wrong), "{dialect} for {front}, {wrong}: {text}");
        }
        assert_eq!(text.matches("[DONE]").count(), usize::from(front == "openai-chat"), "{text}");
        let id = reply.header("x-request-id").to_owned();
        let booked = table.gateway.get(&format!("/v1/requests/{id}"), KEY).json();
        assert_eq!(booked["status"], "complete", "{booked}");
    });
    assert_eq!(table.second.count(), 0);
}

/// What cannot be read is left out, and what was lost is told.
#[test]
fn noise_is_left_out_and_damage_is_told() {
    const CASES: &[(&str, Script)] = &[
        ("noise", |socket, dialect| {
            let words = said(dialect, ", second half");
            let (start, rest) = words.split_at(words.len() / 2);
            stream(socket, &[announced(dialect), said(dialect, "first half")]);
            chunk(socket, &[b"data: <ping>\n\n", start].concat());
            chunk(socket, &[rest, b"data: {\"choi\n\n"].concat());
            chunk(socket, &closed(dialect));
            end_chunks(socket);
        }),
        ("damaged", |socket, dialect| {
            stream(socket, &[announced(dialect), said(dialect, "first half")]);
            chunk(socket, b"data: {\"text\":\"\xff\xfe\"}\n\n");
            chunk(socket, &closed(dialect));
            end_chunks(socket);
        }),
        ("cut", |socket, dialect| {
            let end = closed(dialect);
            let cut = match dialect {
                // Of the last event but one: the last word itself is not missed.
                "openai-chat" => end.len() - 20,
                _ => end.len() - 8,
            };
            stream(socket, &[announced(dialect), said(dialect, "first half"), end[..cut].to_vec()]);
            end_chunks(socket);
        }),
        ("key", |socket, dialect| {
            stream(socket, &[announced(dialect), said(dialect, "first half")]);
            chunk(socket, &failed(dialect, &format!("{SECRET} is out of luck")));
            end_chunks(socket);
        }),
    ];
    let table = Table::of(CASES);
    table.each(CASES, |case, dialect, front, reply| {
        let (what, text) = (format!("{case}, {dialect} for {front}"), reply.text());
        assert!(reply.whole && text.contains("first half"), "{what}: {text}");
        for wrong in ["<ping>", "{\"choi\n", "\u{fffd}", SECRET, "from the second"] {
            assert!(!text.contains(wrong), "{what}: {text}");
        }
        if case == "noise" {
            assert!(
                text.contains(", second half") && !text.contains("\"error\":{"),
                "{what}: {text}"
            );
        } else {
            let last = text.trim_end().rsplit("data: ").next().unwrap();
            let last: Value =
                serde_json::from_str(last).unwrap_or_else(|why| panic!("{what}: {why}: {text}"));
            assert!(last["error"]["message"].is_string(), "{what}: {text}");
            assert!(!text.contains("[DONE]"), "{what}: {text}");
        }
    });
    let log = table.gateway.log();
    assert!(!log.contains(SECRET) && log.contains("left out"), "{log}");
    let metrics = table.gateway.get("/metrics", KEY).text();
    let counted =
        "optimux_unreadable_events_total{model=\"noise.anthropic\",provider=\"first-anthropic\"} 4";
    assert!(metrics.contains(counted), "{metrics}");
}

/// What a provider says of the request in the middle of a stream is said on, with its code.
#[test]
fn a_refusal_in_the_middle_of_a_stream_keeps_its_words() {
    const CASES: &[(&str, Script)] = &[("tool", |socket, dialect| {
        stream(socket, &[announced(dialect), said(dialect, "I call")]);
        let error = json!({"message": "Failed to call a function. Adjust your prompt.", "type": "invalid_request_error", "code": "tool_use_failed", "status_code": 400});
        chunk(socket, &event("error", &json!({ "error": error })));
        end_chunks(socket);
    })];
    let table = Table::of(CASES);
    let reply = table.ask("tool", "openai-chat", "openai-chat", true);
    let last = reply.events().pop().unwrap();
    assert_eq!(last["error"]["code"], "tool_use_failed", "{last}");
    assert_eq!(last["error"]["type"], "invalid_request_error", "{last}");
    assert_eq!(last["error"]["message"], "Failed to call a function. Adjust your prompt.");
    let reply = table.ask("tool", "openai-chat", "anthropic", true);
    assert!(reply.text().contains("Failed to call a function."), "{}", reply.text());
}

/// However much is said, it is counted, should the provider not count it.
#[test]
fn long_streams_are_counted_to_their_end() {
    const PIECES: usize = 1_500;
    const CASES: &[(&str, Script)] = &[("long", |socket, dialect| {
        stream(socket, &[announced(dialect)]);
        // Some 28 tokens each.
        let piece =
            said(dialect, &"It was the best of times, it was the worst of times. ".repeat(2));
        for _ in 0..PIECES / 50 {
            chunk(socket, &piece.repeat(50));
        }
        if dialect == "openai-chat" {
            chunk(socket, &closed(dialect));
        }
        end_chunks(socket);
    })];
    let table = Table::of(CASES);
    for (dialect, front) in [
        ("openai-chat", "openai-chat"),
        ("openai-chat", "anthropic"),
        ("anthropic", "anthropic"),
        ("openai-responses", "openai-responses"),
        ("gemini", "gemini"),
    ] {
        let reply = table.ask("long", dialect, front, true);
        let id = reply.header("x-request-id").to_owned();
        let booked = table.gateway.get(&format!("/v1/requests/{id}"), KEY).json();
        let output =
            booked["usage"]["output_tokens"].as_u64().unwrap_or_else(|| panic!("{booked}"));
        let due = PIECES as u64 * 28;
        assert!(
            output.abs_diff(due) * 20 < due,
            "{dialect} for {front}: {output} of {due}: {booked}"
        );
    }
}

/// The events of a stream with what `OpenAI` puts on them: a number, and the name of the item.
fn numbered(dialect: &str, pieces: &[Vec<u8>], item: &str) -> Vec<u8> {
    let whole = String::from_utf8(pieces.concat()).unwrap();
    if dialect != "openai-responses" {
        return whole.into_bytes();
    }
    let mut out = Vec::new();
    for (number, line) in whole.lines().filter_map(|line| line.strip_prefix("data: ")).enumerate() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["sequence_number"] = json!(number);
        if event["content_index"].is_u64() {
            event["item_id"] = json!(item);
        }
        for (at, name) in
            [("/item/id", item), ("/response/output/0/id", item), ("/response/id", "resp_1")]
        {
            if let Some(id) = event.pointer_mut(at) {
                *id = json!(name);
            }
        }
        out.extend(named(&event));
    }
    out
}

/// A stream that passes as it comes, and breaks, is gone on with in its own names and numbers, by a provider of
/// whichever dialect.
#[test]
fn what_passes_unread_is_gone_on_with_in_its_own_names_and_numbers() {
    const CUT: &str = "To be or not to ";
    const REST: &str = "be, that is the question.";
    let firsts = DIALECTS.map(|front| {
        Provider::start(move |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &numbered(front, &[announced(front), said(front, CUT)], "msg_first"));
            chunk(socket, b"data: {\"id\":\"chatc");
            let _ = socket.shutdown(std::net::Shutdown::Both);
        })
    });
    let seconds = DIALECTS.map(|dialect| {
        Provider::start(move |socket, _, _| {
            let whole =
                [announced(dialect), said(dialect, CUT), said(dialect, REST), closed(dialect)];
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &numbered(dialect, &whole, "msg_second"));
            end_chunks(socket);
        })
    });
    let mut config = String::new();
    for (which, providers) in [("first", &firsts), ("second", &seconds)] {
        for (dialect, Provider { base, .. }) in DIALECTS.iter().zip(providers) {
            let version = if *dialect == "gemini" { "v1beta" } else { "v1" };
            let _infallible = write!(
                config,
                "[providers.{which}-{dialect}]\nbase_url = \"{base}/{version}\"\ndialect = \"{dialect}\"\n"
            );
        }
    }
    // A model for each of the second, and each of the first: a stream that breaks closes nobody so soon.
    for front in DIALECTS {
        for dialect in DIALECTS {
            let _infallible = write!(
                config,
                "[[models]]\nid = \"{front}.{dialect}\"\ndeployments = [{{ provider = \"first-{front}\", model = \"m\" }}, {{ provider = \"second-{dialect}\", model = \"m\" }}]\n"
            );
        }
    }
    let gateway = Gateway::start(&config);
    for front in DIALECTS {
        for dialect in DIALECTS {
            let (model, say) =
                (format!("{front}.{dialect}"), json!([{"role": "user", "content": "hi"}]));
            let (path, body) = match front {
                "openai-chat" => (
                    "/v1/chat/completions".to_owned(),
                    json!({"model": model, "messages": say, "stream": true}),
                ),
                "openai-responses" => (
                    "/v1/responses".to_owned(),
                    json!({"model": model, "input": "hi", "stream": true, "store": false}),
                ),
                "anthropic" => (
                    "/v1/messages".to_owned(),
                    json!({"model": model, "max_tokens": 99, "messages": say, "stream": true}),
                ),
                _ => (
                    format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
                    json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
                ),
            };
            let reply = gateway.post(&path, KEY, body.to_string());
            let (what, text) = (format!("{front} by {dialect}"), reply.text());
            assert!(
                reply.whole && text.contains(CUT) && !text.contains("\"error\":{"),
                "{what}: {text}"
            );
            assert_eq!(
                text.matches("To be").count(),
                if front == "openai-responses" { 5 } else { 1 },
                "{what}: {text}"
            );
            let events = reply.events();
            if front == "openai-responses" {
                let numbers: Vec<u64> =
                    events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
                let due: Vec<u64> = (0..events.len() as u64).collect();
                assert_eq!(numbers, due, "{what}: {text}");
                let last = &events.last().unwrap()["response"];
                assert_eq!(last["id"], events[0]["response"]["id"], "{what}: {text}");
                let item = &last["output"][0];
                assert_eq!(item["id"], "msg_first", "{what}: {text}");
                assert_eq!(item["content"][0]["text"], format!("{CUT}{REST}"), "{what}: {text}");
                assert!(!text.contains("msg_second"), "{what}: {text}");
            }
            if front == "anthropic" {
                let kinds: Vec<&str> =
                    events.iter().filter_map(|event| event["type"].as_str()).collect();
                let of = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
                for kind in [
                    "message_start",
                    "content_block_start",
                    "content_block_stop",
                    "message_delta",
                    "message_stop",
                ] {
                    assert_eq!(of(kind), 1, "{what}, {kind}: {text}");
                }
                assert!(
                    events.iter().all(|event| event["index"].as_u64().unwrap_or(0) == 0),
                    "{what}: {text}"
                );
            }
            let record = format!("/v1/requests/{}", reply.header("x-request-id"));
            let record = gateway.get(&record, KEY).json();
            assert_eq!(record["attempts"][0]["outcome"], "rescued", "{what}: {record}");
            assert_eq!(record["status"], "complete", "{what}: {record}");
        }
    }
}

/// What passed unread is given, too, to a model that goes on from it, where the caller opts in.
#[test]
fn what_passed_unread_is_given_to_a_model_that_goes_on_from_it() {
    const CUT: &str = "To be or not to ";
    const REST: &str = " be, that is the question.";
    let [responses, messages] = ["openai-responses", "anthropic"].map(|front| {
        Provider::start(move |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &numbered(front, &[announced(front), said(front, CUT)], "msg_first"));
            chunk(socket, b"data: {\"id\":\"chatc");
            let _ = socket.shutdown(std::net::Shutdown::Both);
        })
    });
    let [chats, other_messages] = ["openai-chat", "anthropic"].map(|dialect| {
        Provider::start(move |socket, request, _| {
            let asked = request.json()["messages"].clone();
            let last = asked.as_array().unwrap().last().unwrap();
            let given = last["role"] == "assistant" && last.to_string().contains("To be or not to");
            let told = if given { REST } else { "Whether 'tis nobler" };
            stream(socket, &[announced(dialect), said(dialect, told), closed(dialect)]);
            end_chunks(socket);
        })
    });
    let mut config = String::new();
    for (name, dialect, provider) in [
        ("responses", "openai-responses", &responses),
        ("messages", "anthropic", &messages),
        ("chats", "openai-chat", &chats),
        ("other", "anthropic", &other_messages),
    ] {
        let _infallible = write!(
            config,
            "[providers.{name}]\nbase_url = \"{}/v1\"\ndialect = \"{dialect}\"\nfacts = {{ prefill = true }}\n",
            provider.base
        );
    }
    for first in ["responses", "messages"] {
        for second in ["chats", "other"] {
            let _infallible = write!(
                config,
                "[[models]]\nid = \"{first}.{second}\"\ndeployments = [{{ provider = \"{first}\", model = \"m\" }}, {{ provider = \"{second}\", model = \"m\" }}]\n"
            );
        }
    }
    let gateway = Gateway::start(&config);
    let hi = json!([{"role": "user", "content": "hi"}]);
    for (path, body) in [
        ("/v1/responses", json!({"model": "responses.chats", "input": "hi", "store": false})),
        ("/v1/responses", json!({"model": "responses.other", "input": "hi", "store": false})),
        ("/v1/messages", json!({"model": "messages.chats", "max_tokens": 99, "messages": hi})),
        ("/v1/messages", json!({"model": "messages.other", "max_tokens": 99, "messages": hi})),
    ] {
        let mut body = body;
        body["stream"] = json!(true);
        let request = client().post(format!("{}{path}", gateway.base)).bearer_auth(KEY);
        let reply = send(request.header("x-optimux-rescue", "continue").body(body.to_string()));
        let events = reply.events();
        let pieces = events.iter().filter_map(|event| {
            event["delta"]["text"].as_str().or_else(|| event["delta"].as_str()).map(str::to_owned)
        });
        let (what, text) = (&body["model"], reply.text());
        assert_eq!(
            pieces.collect::<String>(),
            "To be or not to be, that is the question.",
            "{what}: {text}"
        );
        assert!(text.contains("\n: optimux: continued by "), "{what}: {text}");
        let record = format!("/v1/requests/{}", reply.header("x-request-id"));
        let record = gateway.get(&record, KEY).json();
        assert_eq!(record["attempts"][0]["outcome"], "continued", "{what}: {record}");
        assert_eq!(record["status"], "complete", "{what}: {record}");
    }
}
