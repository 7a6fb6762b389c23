//! Whatever the first deployment does, the caller gets the second one's answer or one clear error.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{
    Gateway, Provider, Received, STREAM_HEAD, chain, chunk, completion, delta, end_chunks,
    eventually, good, respond,
};

fn request(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

type Accident = fn(&mut TcpStream, &Received, usize);

/// Faults before anything of the answer came.
const EARLY: &[(&str, Accident)] = &[
    ("closes before headers", |_, _, _| {}),
    ("status 429", |socket, _, _| {
        respond(
            socket,
            429,
            "retry-after: 30\r\n",
            "application/json",
            br#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
        );
    }),
    ("status 500", |socket, _, _| respond(socket, 500, "", "text/html", b"<html>oops</html>")),
    ("status 503", |socket, _, _| {
        respond(socket, 503, "", "application/json", br#"{"error":{"message":"overloaded"}}"#);
    }),
    ("status 401", |socket, _, _| {
        respond(socket, 401, "", "application/json", br#"{"error":{"message":"Incorrect API key provided: sk-secret","code":"invalid_api_key"}}"#);
    }),
    ("status 302", |socket, _, _| {
        respond(socket, 302, "location: http://127.0.0.1:1/\r\n", "text/html", b"");
    }),
    ("hangs", |_, _, _| std::thread::sleep(Duration::from_secs(5))),
    ("breaks off after headers", |socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
    }),
    ("hangs after headers", |socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        std::thread::sleep(Duration::from_secs(5));
    }),
    ("an error in a 200 body", |socket, _, _| {
        respond(
            socket,
            200,
            "",
            "application/json",
            br#"{"error":{"message":"Provider returned error","code":502}}"#,
        );
    }),
    ("an error as the first event", |socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, b": PROCESSING\n\n");
        chunk(socket, b"data: {\"error\":{\"message\":\"no\",\"code\":502}}\n\n");
        end_chunks(socket);
    }),
    ("not HTTP at all", |socket, _, _| {
        let _ = socket.write_all(b"SSH-2.0-OpenSSH\r\n");
    }),
    ("half a JSON body", |socket, _, _| {
        let whole = completion("m", "never");
        let _ = socket.write_all(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                whole.len()
            )
            .as_bytes(),
        );
        let _ = socket.write_all(&whole[..whole.len() / 2]);
        let _ = socket.shutdown(Shutdown::Both);
    }),
];

#[test]
fn the_second_deployment_answers() {
    for (name, accident) in EARLY {
        for stream in [false, true] {
            let first = Provider::start(accident);
            let second = Provider::start(good("from the second"));
            let gateway = Gateway::start(&chain(&[&first, &second]));
            let reply = gateway.chat(&request(stream));
            assert_eq!(reply.status, 200, "{name}, stream {stream}: {}", reply.text());
            assert_eq!(reply.said(), "from the second", "{name}, stream {stream}");
            assert!(reply.whole, "{name}");
            assert_eq!(reply.header("x-optimux-provider"), "p1", "{name}");
            assert_eq!(reply.header("x-optimux-attempts"), "2", "{name}");
        }
    }
}

#[test]
fn a_refused_connection_goes_to_the_second() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut first = Provider::start(|_, _, _| {});
    first.base = base;
    let second = Provider::start(good("from the second"));
    let gateway = Gateway::start(&chain(&[&first, &second]));
    for stream in [false, true] {
        assert_eq!(gateway.chat(&request(stream)).said(), "from the second");
    }
}

#[test]
fn one_clear_error_when_all_fail() {
    for (name, accident) in EARLY.iter().filter(|(name, _)| !name.contains("hangs")) {
        let only = Provider::start(accident);
        let gateway = Gateway::start(&chain(&[&only]));
        let reply = gateway.chat(&request(false));
        assert_eq!(reply.status, 503, "{name}");
        assert!(!reply.header("retry-after").is_empty(), "{name}");
        let error = &reply.json()["error"];
        assert_eq!(error["type"], "service_unavailable_error", "{name}");
        assert!(
            !reply.text().contains("sk-secret"),
            "{name}: what a provider says of our key is not the caller's"
        );
    }
}

#[test]
fn a_fault_after_the_first_byte_is_an_error_event() {
    let accidents: &[(&str, Accident)] = &[
        ("cut", |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &delta("m", &json!({"content": "half an"}), None));
            let _ = socket.shutdown(Shutdown::Both);
        }),
        ("cut inside an event", |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &delta("m", &json!({"content": "half an"}), None));
            chunk(socket, b"data: {\"id\":\"chatc");
            let _ = socket.shutdown(Shutdown::Both);
        }),
        ("stall", |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &delta("m", &json!({"content": "half an"}), None));
            std::thread::sleep(Duration::from_secs(5));
        }),
        ("ends too early", |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &delta("m", &json!({"content": "half an"}), None));
            end_chunks(socket);
        }),
        ("error event", |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &delta("m", &json!({"content": "half an"}), None));
            chunk(socket, b"data: {\"error\":{\"message\":\"server had an error\",\"type\":\"server_error\"}}\n\n");
            end_chunks(socket);
        }),
    ];
    for (name, accident) in accidents {
        for include_usage in [false, true] {
            let first = Provider::start(accident);
            let second = Provider::start(good("never"));
            let gateway = Gateway::start(&chain(&[&first, &second]));
            let mut body = request(true);
            body["stream_options"] = json!({"include_usage": include_usage});
            let reply = gateway.chat(&body);
            assert_eq!(reply.status, 200, "{name}");
            assert!(reply.whole, "{name}: the body itself must end properly");
            let text = reply.text();
            assert!(!text.contains("never"), "{name}: no bytes of another answer");
            assert!(text.contains("half an"), "{name}");
            let last = text.rsplit("data: ").next().unwrap();
            let last: Value = serde_json::from_str(last.trim())
                .unwrap_or_else(|why| panic!("{name}: {why}: {text}"));
            assert!(last["error"]["message"].is_string(), "{name}: {text}");
        }
    }
}

#[test]
fn a_refused_request_is_not_tried_elsewhere() {
    let first = Provider::start(|socket, _, _| {
        respond(socket, 400, "", "application/json", br#"{"error":{"message":"Invalid value for 'temperature': 9.","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}"#);
    });
    let second = Provider::start(good("never"));
    let gateway = Gateway::start(&chain(&[&first, &second]));
    let reply = gateway.chat(&request(false));
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["message"], "Invalid value for 'temperature': 9.");
    assert_eq!(reply.json()["error"]["param"], "temperature");
    assert_eq!(second.count(), 0);
}

#[test]
fn a_request_too_long_for_one_model_goes_to_another() {
    let first = Provider::start(|socket, _, _| {
        respond(socket, 400, "", "application/json", br#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#);
    });
    let second = Provider::start(good("I can read that"));
    let gateway = Gateway::start(&chain(&[&first, &second]));
    assert_eq!(gateway.chat(&request(false)).said(), "I can read that");
    let alone = Gateway::start(&chain(&[&first]));
    let reply = alone.chat(&request(false));
    assert_eq!(
        (reply.status, reply.json()["error"]["code"].as_str()),
        (400, Some("context_length_exceeded"))
    );
}

#[test]
fn fallback_models_answer_when_every_deployment_is_down() {
    let down = Provider::start(|socket, _, _| respond(socket, 500, "", "text/plain", b"no"));
    let other = Provider::start(good("the fallback"));
    let config = format!(
        "[providers.a]\nbase_url = \"{}/v1\"\n[providers.b]\nbase_url = \"{}/v1\"\n\
         [[models]]\nid = \"one\"\ndeployments = [{{ provider = \"a\" }}]\n\
         [[models]]\nid = \"two\"\ndeployments = [{{ provider = \"b\" }}]\n\
         [routes.fallback]\none = [\"two\"]\n",
        down.base, other.base
    );
    let gateway = Gateway::start(&config);
    let reply =
        gateway.chat(&json!({"model": "one", "messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(reply.said(), "the fallback");
    assert_eq!(reply.header("x-optimux-model"), "two");
}

#[test]
fn a_pause_that_a_provider_asks_for_is_kept() {
    let provider = Provider::start(|socket, _, number| {
        if number == 0 {
            respond(
                socket,
                429,
                "retry-after: 1\r\n",
                "application/json",
                br#"{"error":{"message":"slow"}}"#,
            );
        } else {
            respond(socket, 200, "", "application/json", &completion("m", "now"));
        }
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let started = std::time::Instant::now();
    assert_eq!(gateway.chat(&request(false)).said(), "now");
    assert!(started.elapsed() >= Duration::from_secs(1));
    // A longer pause than we would wait is passed on.
    let busy = Provider::start(|socket, _, _| {
        respond(socket, 429, "retry-after: 40\r\n", "application/json", b"{}");
    });
    let gateway = Gateway::start(&chain(&[&busy]));
    let reply = gateway.chat(&request(false));
    assert_eq!((reply.status, reply.header("retry-after")), (503, "40"));
    // And kept, without asking again.
    let reply = gateway.chat(&request(false));
    assert_eq!((reply.status, reply.header("retry-after")), (503, "40"));
    assert_eq!(busy.count(), 1);
}

#[test]
fn a_deployment_that_fails_is_left_alone_and_taken_back() {
    let mut healed = false;
    let flaky = Provider::start(|socket, request, number| {
        if number < 5 {
            respond(socket, 500, "", "text/plain", b"no");
        } else {
            good("healed")(socket, request, number);
        }
    });
    let spare = Provider::start(good("spare"));
    let gateway = Gateway::start(&chain(&[&flaky, &spare]));
    for _ in 0..5 {
        assert_eq!(gateway.chat(&request(false)).said(), "spare");
    }
    assert_eq!(flaky.count(), 5);
    assert_eq!(
        gateway.chat(&request(false)).header("x-optimux-attempts"),
        "1",
        "tripped: not even tried"
    );
    eventually("the breaker lets a probe through", || {
        healed |= gateway.chat(&request(false)).said() == "healed";
        healed
    });
}

#[test]
fn a_caller_that_leaves_ends_the_providers_work() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    for stream in [true, false] {
        let gone = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&gone);
        let provider = Provider::start(move |socket, _, _| {
            if stream {
                let _ = socket.write_all(STREAM_HEAD.as_bytes());
                chunk(socket, &delta("m", &json!({"content": "begun"}), None));
            }
            // Reading ends when the gateway hangs up.
            let mut buffer = [0; 1];
            let _ = std::io::Read::read(socket, &mut buffer);
            seen.store(true, Ordering::SeqCst);
        });
        let gateway =
            Gateway::start(&chain(&[&provider]).replace("400ms", "20s").replace("3s", "20s"));
        let body = request(stream).to_string();
        let mut socket = TcpStream::connect(gateway.base.trim_start_matches("http://")).unwrap();
        write!(
            socket,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            crate::house::KEY,
            body.len()
        )
        .unwrap();
        eventually("the provider is asked", || provider.count() == 1);
        if stream {
            let mut buffer = [0; 4096];
            assert!(std::io::Read::read(&mut socket, &mut buffer).unwrap() > 0);
        }
        drop(socket);
        eventually("the provider is let go", || gone.load(Ordering::SeqCst));
    }
}

/// The same accidents where the provider speaks another dialect than the caller.
#[test]
fn translated_streams_fail_over_and_fail_clearly() {
    const START: &[u8] = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n";
    const ERROR: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    const TEXT: &[u8] = b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"half\"}}\n\n";
    let at_anthropic = |first: &Provider, second: &Provider| {
        Gateway::start(&chain(&[first, second]).replacen("openai-chat", "anthropic", 1))
    };
    // An error after the message's head is still before anything was said.
    let early = Provider::start(|socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, START);
        chunk(socket, b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
        chunk(socket, ERROR);
        end_chunks(socket);
    });
    let second = Provider::start(good("from the second"));
    let reply = at_anthropic(&early, &second).chat(&request(true));
    assert_eq!(reply.said(), "from the second");
    assert!(!reply.text().contains("msg_1"), "no bytes of two attempts: {}", reply.text());

    let late: &[Accident] = &[
        |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, START);
            chunk(socket, TEXT);
            chunk(socket, ERROR);
            end_chunks(socket);
        },
        |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, START);
            chunk(socket, TEXT);
            end_chunks(socket);
        },
        |socket, _, _| {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, START);
            chunk(socket, TEXT);
            chunk(socket, b"event: content_block_delta\ndata: {broken\n\n");
            std::thread::sleep(Duration::from_secs(5));
        },
    ];
    for accident in late {
        let first = Provider::start(accident);
        let second = Provider::start(good("never"));
        let reply = at_anthropic(&first, &second).chat(&request(true));
        assert!(reply.whole);
        assert_eq!(reply.said(), "half");
        assert!(reply.events().last().unwrap()["error"]["message"].is_string(), "{}", reply.text());
        assert!(!reply.text().contains("never"), "{}", reply.text());
    }
}

#[test]
fn a_key_that_a_provider_quotes_is_told_to_nobody() {
    let secret = "provider-secret-0123456789";
    let provider = Provider::start(move |socket, request, _| {
        assert!(request.head.contains(secret), "sent to its provider");
        let body = json!({"error": {"message": format!("Not allowed with {secret}"), "type": "invalid_request_error"}});
        respond(socket, 400, "", "application/json", body.to_string().as_bytes());
    });
    let gateway =
        Gateway::start(&chain(&[&provider]).replace(
            "dialect = \"openai-chat\"",
            "dialect = \"openai-chat\"\napi_key_file = \"key\"",
        ));
    let reply = gateway.chat(&request(false));
    assert_eq!(reply.status, 400);
    assert!(!reply.text().contains(secret) && !gateway.log().contains(secret));
}

/// What the metrics count under a name.
fn counted(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.get("/metrics", crate::house::KEY).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_default()
}

#[test]
fn the_record_says_when_each_attempt_began_and_how_long_it_took() {
    let slow = Provider::start(|socket, _, _| {
        std::thread::sleep(Duration::from_millis(200));
        respond(socket, 503, "", "application/json", b"{\"error\":{\"message\":\"busy\"}}");
    });
    let second = Provider::start(good("from the second"));
    let config = chain(&[&slow, &second]).replace("400ms", "9s").replace("3s", "9s");
    let gateway = Gateway::start(&config);
    let reply = gateway.chat(&request(false));
    assert_eq!(reply.said(), "from the second");
    let id = reply.header("x-request-id");
    let record = gateway.get(&format!("/v1/requests/{id}"), crate::house::KEY).json();
    let attempts = record["attempts"].as_array().unwrap();
    let number = |at: usize, name: &str| {
        attempts[at][name].as_u64().unwrap_or_else(|| panic!("no {name} of {at}: {record}"))
    };
    assert_eq!((number(0, "status"), number(0, "started_ms")), (503, 0), "{record}");
    assert!(number(0, "took_ms") >= 200, "{record}");
    let last = attempts.len() - 1;
    assert_eq!(attempts[last]["outcome"], "ok");
    assert!(number(last, "started_ms") >= number(0, "took_ms"), "{record}");
    assert!(number(last, "first_byte_ms") <= number(last, "took_ms"), "{record}");
    let whole = number(last, "started_ms") + number(last, "took_ms");
    assert_eq!(whole, record["latency_ms"].as_u64().unwrap(), "{record}");
}

#[test]
fn a_late_first_token_is_asked_for_elsewhere_and_charged_once() {
    // As many as it takes to know what is usual: before that nobody is asked twice.
    const USUAL: usize = 20;
    let first = Provider::start(|socket, request, number| {
        if number >= USUAL {
            std::thread::sleep(Duration::from_secs(4));
        }
        good("from the first")(socket, request, number);
    });
    let second = Provider::start(good("from the second"));
    let config = chain(&[&first, &second]);
    let config = config.replace("400ms", "9s").replace("3s", "9s");
    let gateway = Gateway::start(&config.replace("[upstream]", "[upstream]\nhedged_share = 1.0"));
    for _ in 0..USUAL {
        assert_eq!(gateway.chat(&request(true)).said(), "from the first");
    }
    let began = std::time::Instant::now();
    let reply = gateway.chat(&request(true));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((reply.said().as_str(), second.count()), ("from the second", 1));
    assert_eq!(reply.header("x-optimux-attempts"), "2");
    let id = reply.header("x-request-id");
    let record = gateway.get(&format!("/v1/requests/{id}"), crate::house::KEY).json();
    let outcomes: Vec<&str> = record["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["hedged", "ok"], "{record}");
    assert!(record["attempts"][0]["cost_nano_usd"].is_u64(), "{record}");
    assert_eq!(record["provider"], "p1");
    let won = "optimux_hedges_total{outcome=\"won\",provider=\"p0\"}";
    assert_eq!(counted(&gateway, won), 1);
    // Without a budget nobody is asked twice.
    let gateway = Gateway::start(&config.replace("[upstream]", "[upstream]\nhedged_share = 0"));
    assert_eq!(gateway.chat(&request(true)).said(), "from the first");
    assert_eq!(second.count(), 1);
}

#[test]
fn all_at_rest_is_waited_for_within_the_deadline() {
    for model in ["m", "auto"] {
        let flaky = Provider::start(|socket, request, number| {
            if number < 5 {
                respond(socket, 503, "", "text/plain", b"no");
            } else {
                good("back")(socket, request, number);
            }
        });
        let gateway = Gateway::start(&chain(&[&flaky]).replace("3s", "9s"));
        let mut body = request(false);
        body["model"] = json!(model);
        for _ in 0..2 {
            assert_eq!(gateway.chat(&body).status, 503, "twice is all that one request tries");
        }
        // The fifth fault in a row: it is left alone, and waited for.
        let began = std::time::Instant::now();
        assert_eq!(gateway.chat(&body).said(), "back", "{model}");
        assert_eq!(flaky.count(), 6);
        assert!(began.elapsed() > Duration::from_millis(500), "it rested: {:?}", began.elapsed());
    }
}

#[test]
fn a_request_narrows_its_limits() {
    let slow = Provider::start(|socket, request, number| {
        std::thread::sleep(Duration::from_millis(2_500));
        good("slow")(socket, request, number);
    });
    let gateway = Gateway::start(&chain(&[&slow]).replace("400ms", "9s").replace("3s", "9s"));
    let ask = |timeouts: &str| {
        let address = format!("{}/v1/chat/completions", gateway.base);
        let asked = crate::house::client().post(address).bearer_auth(crate::house::KEY);
        let began = std::time::Instant::now();
        let body = request(true).to_string();
        let reply = crate::house::send(asked.header("x-optimux-timeouts", timeouts).body(body));
        (reply.status, began.elapsed())
    };
    let (status, took) = ask("first_byte=300ms");
    assert!(status == 503 && took < Duration::from_secs(2), "{status} {took:?}");
    let (status, took) = ask("deadline=500ms, tries=1");
    assert!(status == 503 && took < Duration::from_secs(2), "{status} {took:?}");
    // Wider than the operator's is as the operator has it.
    assert_eq!(ask("first_byte=900s, deadline=900s").0, 200);
}

/// A stream that breaks off is gone on with where another answer begins with the same words.
#[test]
fn what_breaks_off_is_gone_on_with_by_an_answer_that_begins_alike() {
    const CUT: &str = "To be or not to ";
    const WHOLE: &str = "To be or not to be, that is the question.";
    let first = Provider::start(|socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": ""}), None));
        chunk(socket, &delta("m", &json!({"content": CUT}), None));
        chunk(socket, b"data: {\"id\":\"chatc");
        let _ = socket.shutdown(Shutdown::Both);
    });
    let alike = Provider::start(good(WHOLE));
    let other = Provider::start(good("Whether 'tis nobler in the mind"));
    let message = json!({"role": "user", "content": "hi"});
    let asked = [
        ("/v1/chat/completions", json!({"model": "m", "messages": [message], "stream": true})),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 99, "messages": [message], "stream": true}),
        ),
        ("/v1/responses", json!({"model": "m", "input": "hi", "stream": true, "store": false})),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        ),
    ];
    let said = |reply: &crate::house::Reply| -> String {
        let pieces = [
            "/choices/0/delta/content",
            "/delta/text",
            "/delta",
            "/candidates/0/content/parts/0/text",
        ];
        let piece = |event: Value| {
            pieces.iter().find_map(|at| event.pointer(at)?.as_str().map(str::to_owned))
        };
        reply.events().into_iter().filter_map(piece).collect()
    };
    for (path, body) in &asked {
        for (second, text) in [(&alike, WHOLE), (&other, CUT)] {
            // Nothing here is slow but the machine.
            let gateway = Gateway::start(&chain(&[&first, second]).replace("400ms", "4s"));
            let reply = gateway.post(path, crate::house::KEY, body.to_string());
            assert_eq!(
                (reply.status, said(&reply).as_str()),
                (200, text),
                "{path}: {}",
                reply.text()
            );
            let failed = reply
                .events()
                .iter()
                .any(|event| !event["error"].is_null() || event["type"] == "error");
            assert_eq!(failed, text == CUT, "{path}: {}", reply.text());
            assert!(!reply.text().contains("nobler"), "{path}");
            let record = format!("/v1/requests/{}", reply.header("x-request-id"));
            let record = gateway.get(&record, crate::house::KEY).json();
            if text == WHOLE {
                assert_eq!(record["attempts"][0]["outcome"], "rescued", "{record}");
                assert_eq!(
                    (&record["provider"], &record["status"]),
                    (&json!("p1"), &json!("complete"))
                );
                assert_eq!(
                    counted(&gateway, "optimux_rescues_total{model=\"m\",provider=\"p0\"}"),
                    1
                );
            } else {
                assert_eq!(record["status"], "failed", "{record}");
            }
        }
    }
    let asked_before = alike.count();
    let config = chain(&[&first, &alike]).replace("[upstream]", "[upstream]\nrescue = false");
    let (path, body) = &asked[0];
    let reply = Gateway::start(&config).post(path, crate::house::KEY, body.to_string());
    assert!(reply.text().contains("error") && alike.count() == asked_before, "{}", reply.text());
}

/// Who opts in has a model that takes it go on from what another has said.
#[test]
fn what_breaks_off_is_given_to_a_model_that_goes_on_from_it() {
    const CUT: &str = "To be or not to ";
    let first = Provider::start(|socket, _, _| {
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": ""}), None));
        chunk(socket, &delta("m", &json!({"content": CUT}), None));
        chunk(socket, b"data: {\"id\":\"chatc");
        let _ = socket.shutdown(Shutdown::Both);
    });
    let second = Provider::start(|socket, request, number| {
        let asked = request.json()["messages"].clone();
        let last = asked.as_array().unwrap().last().unwrap();
        if last["role"] != "assistant" {
            return good("Whether 'tis nobler in the mind")(socket, request, number);
        }
        assert_eq!(last["content"], "To be or not to");
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": " be,"}), None));
        chunk(socket, &delta("m", &json!({"content": " that is it."}), None));
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        let usage = json!({"prompt_tokens": 105, "completion_tokens": 6, "total_tokens": 111});
        let last = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage});
        chunk(socket, format!("data: {last}\n\n").as_bytes());
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let refuses = Provider::start(|socket, request, number| {
        if request.json()["messages"].to_string().contains("\"assistant\"") {
            respond(socket, 400, "", "application/json", br#"{"error":{"message":"no prefill"}}"#);
        } else {
            good("Whether 'tis nobler in the mind")(socket, request, number);
        }
    });
    let goes_on = |other: &Provider, known: bool| {
        let config = chain(&[&first, other]);
        let price = "usd_per_million = { input = 1.0, output = 10.0 }";
        let config = config.replace("400ms", "4s");
        let config = config.replace("model = \"m\" }", &format!("model = \"m\", {price} }}"));
        let fact = format!("[providers.p1]\nfacts = {{ prefill = {known} }}\n");
        Gateway::start(&config.replace("[providers.p1]\n", &fact))
    };
    let ask = |gateway: &Gateway, path: &str, rescue: &str| {
        let message = json!({"role": "user", "content": "hi"});
        let body = json!({"model": "m", "messages": [message], "stream": true, "max_tokens": 99});
        let request = crate::house::client().post(format!("{}{path}", gateway.base));
        let request = request.bearer_auth(crate::house::KEY).header("x-optimux-rescue", rescue);
        crate::house::send(request.body(body.to_string()))
    };
    let record = |gateway: &Gateway, reply: &crate::house::Reply| {
        let record = format!("/v1/requests/{}", reply.header("x-request-id"));
        gateway.get(&record, crate::house::KEY).json()
    };
    let gateway = goes_on(&second, true);
    let reply = ask(&gateway, "/v1/chat/completions", "continue");
    assert_eq!(reply.said(), "To be or not to be, that is it.", "{}", reply.text());
    assert!(reply.text().contains("\n: optimux: continued by p1/m\n\n"), "{}", reply.text());
    assert!(reply.text().trim_end().ends_with("data: [DONE]"));
    let told = record(&gateway, &reply);
    assert_eq!(told["attempts"][0]["outcome"], "continued", "{told}");
    assert_eq!((&told["provider"], &told["status"]), (&json!("p1"), &json!("complete")));
    // It is paid for once, as if one had written all of it: the five tokens were written, not read.
    let tokens = (&told["usage"]["input_tokens"], &told["usage"]["output_tokens"]);
    assert_eq!(tokens, (&json!(100), &json!(11)), "{told}");
    let reply = ask(&gateway, "/v1/messages", "continue");
    let said: String = reply
        .events()
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, "To be or not to be, that is it.", "{}", reply.text());
    // Without the wish, or where nobody knows that it is taken, nothing is put into a mouth.
    for (gateway, rescue) in [(&gateway, "replay"), (&goes_on(&second, false), "continue")] {
        let reply = ask(gateway, "/v1/chat/completions", rescue);
        assert!(reply.said() == CUT && reply.text().contains("\"error\""), "{}", reply.text());
        let told = record(gateway, &reply);
        assert!(told["status"] == "failed" && told["credits"] == 0, "{told}");
    }
    // What it refuses is never shown.
    let gateway = goes_on(&refuses, true);
    let reply = ask(&gateway, "/v1/chat/completions", "continue");
    assert!(reply.said() == CUT && reply.text().contains("\"error\""), "{}", reply.text());
    assert!(!reply.text().contains("prefill"), "{}", reply.text());
    let wrong = ask(&gateway, "/v1/chat/completions", "prefill");
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["error"]["param"], "x-optimux-rescue");
}
