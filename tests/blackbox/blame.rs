//! Whose fault a provider's refusal is: what the caller is told, who is asked instead, and what it
//! does to everybody else.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::house::{
    Gateway, Provider, Received, Reply, STREAM_HEAD, chain, chunk, completion, delta, end_chunks,
    eventually, good, respond,
};

fn request(model: &str, words: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": words}]})
}

/// The model that a request is for, and what is said.
fn read(request: &Received) -> (String, String) {
    let body = request.json();
    let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut words = text("/messages/0/content");
    if words.is_empty() {
        words = text("/messages/0/content/0/text");
    }
    (text("/model"), words)
}

/// A gateway with a model per number, each at these providers in order.
fn models(count: usize, dialect: &str, providers: &[&Provider]) -> Gateway {
    let mut config = String::from("[upstream]\nfirst_byte_timeout = \"2s\"\n");
    let mut places = String::new();
    for (index, provider) in providers.iter().enumerate() {
        let base = &provider.base;
        writeln!(config, "[providers.p{index}]\nbase_url = \"{base}/v1\"\ndialect = \"{dialect}\"")
            .unwrap();
        write!(places, "{{ provider = \"p{index}\" }},").unwrap();
    }
    for number in 0..count {
        writeln!(config, "[[models]]\nid = \"m{number}\"\ndeployments = [{places}]").unwrap();
    }
    Gateway::start(&config)
}

/// A status and a body for the request that says "bad"; a good answer for any other.
fn refusing(
    cases: &'static [(u16, &'static str, u16)],
) -> impl Fn(&mut TcpStream, &Received, usize) {
    move |socket, received, _| {
        let (model, words) = read(received);
        let (status, body, _) = cases[model.trim_start_matches('m').parse::<usize>().unwrap()];
        if words == "bad" {
            respond(socket, status, "", "application/json", body.as_bytes());
        } else {
            respond(socket, 200, "", "application/json", &completion(&model, "fine"));
        }
    }
}

fn message(reply: &Reply) -> String {
    reply.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// What a request names or says is the request's business: its sender is told the provider's words,
/// another deployment is asked first, and nobody else notices.
#[test]
fn one_callers_refusals_close_a_model_to_nobody() {
    const CASES: &[(u16, &str, u16)] = &[
        (
            403,
            r#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["x"],"flagged_input":"bad"}}}"#,
            403,
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"You do not have permission to access the File abc or it may not exist.","status":"PERMISSION_DENIED"}}"#,
            403,
        ),
        (
            404,
            r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error"}}"#,
            404,
        ),
        (
            404,
            r#"{"error":{"message":"No endpoints found that support image input","code":404}}"#,
            404,
        ),
        (
            404,
            r#"{"error":{"message":"Previous response with id 'resp_1' not found.","code":"previous_response_not_found"}}"#,
            404,
        ),
        (404, r#"{"error":"tools is not supported in this model"}"#, 404),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"File not found: file_1"}}"#,
            404,
        ),
        (409, r#"{"error":{"message":"It is being changed."}}"#, 409),
        (410, r#"{"error":{"message":"The container has expired."}}"#, 400),
        (413, r#"{"error":{"message":"Request too large."}}"#, 413),
        (415, r#"{"error":{"message":"Unsupported media type."}}"#, 400),
        (422, r#"{"detail":[{"msg":"field required","loc":["body","x"]}]}"#, 400),
    ];
    let only = Provider::start(refusing(CASES));
    let gateway = models(CASES.len(), "openai-chat", &[&only]);
    for (number, (status, body, told)) in CASES.iter().enumerate() {
        let model = format!("m{number}");
        for _ in 0..6 {
            let reply = gateway.chat(&request(&model, "bad"));
            assert_eq!(reply.status, *told, "{status} {body}: {}", reply.text());
            let words = message(&reply);
            assert!(body.contains(&words) && !words.is_empty(), "{body}: {words}");
        }
        assert_eq!(gateway.chat(&request(&model, "good")).status, 200, "{body}");
    }
    // Another deployment may have what this one has not.
    let second = Provider::start(good("from the second"));
    let gateway = models(CASES.len(), "openai-chat", &[&only, &second]);
    for (number, (status, body, _)) in CASES.iter().enumerate() {
        let reply = gateway.chat(&request(&format!("m{number}"), "bad"));
        let elsewhere = reply.status == 200 && reply.said() == "from the second";
        assert_eq!(elsewhere, *status != 422, "{status} {body}: {}", reply.text());
    }
}

/// How we stand with a provider is not for callers, whatever the status: the next deployment is
/// asked, and this one is left alone.
#[test]
fn an_account_that_cannot_pay_is_passed_over() {
    const CASES: &[(u16, &str, u16)] = &[
        (
            400,
            r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
            503,
        ),
        (
            400,
            r#"{"error":{"message":"Budget has been exceeded! Current cost: 10.1, Max budget: 10.0","type":"budget_exceeded","code":"400"}}"#,
            503,
        ),
        (
            400,
            r#"{"error":{"message":"Billing hard limit has been reached","code":"billing_hard_limit_reached"}}"#,
            503,
        ),
        (400, r#"{"error":{"message":"Insufficient Balance"}}"#, 503),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2027-01-01."}}"#,
            503,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#,
            503,
        ),
        (402, r#"{"error":{"message":"Insufficient credits"}}"#, 503),
        (403, r#"{"error":{"message":"Your team has used all available credits."}}"#, 503),
        (403, r#"{"error":{"message":"Your API key was reported as leaked."}}"#, 503),
        (401, r#"{"error":{"message":"Incorrect API key"}}"#, 503),
    ];
    let broke = Provider::start(refusing(CASES));
    let second = Provider::start(good("from the second"));
    let gateway = models(CASES.len(), "openai-chat", &[&broke, &second]);
    let alone = models(CASES.len(), "openai-chat", &[&broke]);
    for (number, (status, body, told)) in CASES.iter().enumerate() {
        let bad = request(&format!("m{number}"), "bad");
        let asked = broke.count();
        for _ in 0..7 {
            assert_eq!(gateway.chat(&bad).said(), "from the second", "{status} {body}");
        }
        assert_eq!(broke.count() - asked, 5, "{status} {body}: left alone after five");
        let reply = alone.chat(&bad);
        assert_eq!(reply.status, *told, "{body}");
        assert_eq!(
            message(&reply),
            "The gateway cannot use this model now. Retry later or name another model; the operator's log has the cause.",
            "{body}"
        );
    }
    // Words that the caller said first prove nothing.
    let echo = Provider::start(|socket, received, _| {
        let words = read(received).1;
        let body = json!({"error": {"message": format!("Bad role: {words}")}}).to_string();
        respond(socket, 400, "", "application/json", body.as_bytes());
    });
    let gateway = models(1, "openai-chat", &[&echo]);
    for _ in 0..7 {
        assert_eq!(gateway.chat(&request("m0", "Insufficient Balance")).status, 400);
    }
}

/// A model that is gone everywhere is a 404 with the provider's words; one that is only away is not.
#[test]
fn a_model_that_nobody_has_any_more_is_not_found() {
    let gone = |socket: &mut TcpStream, received: &Received, _: usize| {
        let text = format!("The model `{}` does not exist.", read(received).0);
        let body = json!({"error": {"message": text, "code": "model_not_found"}}).to_string();
        respond(socket, 404, "", "application/json", body.as_bytes());
    };
    let (one, two) = (Provider::start(gone), Provider::start(gone));
    let reply = models(1, "openai-chat", &[&one, &two]).chat(&request("m0", "hi"));
    assert_eq!((reply.status, message(&reply).as_str()), (404, "The model `m0` does not exist."));
    assert_eq!(reply.header("x-optimux-attempts"), "2");
    let down = Provider::start(|socket, _, _| respond(socket, 500, "", "text/plain", b"no"));
    for providers in [[&one, &down], [&down, &one]] {
        let reply = models(1, "openai-chat", &providers).chat(&request("m0", "hi"));
        assert!(reply.status >= 500, "{}", reply.text());
    }
}

/// However a provider says how long it wants to be left alone, it is, and the caller is told.
#[test]
fn a_wait_is_kept_in_every_form() {
    let in_half_a_minute = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(31));
    let forms: Vec<(u16, String, Value)> = [
        (429, "retry-after: 30\r\n".to_owned(), json!({"error": {"message": "slow"}})),
        (503, "retry-after: 30\r\n".to_owned(), json!({"error": {"message": "busy"}})),
        (500, "retry-after: 30\r\n".to_owned(), json!({"error": {"message": "broken"}})),
        (429, format!("retry-after: {in_half_a_minute}\r\n"), json!({"error": {"message": "slow"}})),
        (503, format!("retry-after: {in_half_a_minute}\r\n"), json!({"error": {"message": "busy"}})),
        (429, "retry-after-ms: 30000\r\n".to_owned(), json!({"error": {"message": "slow"}})),
        (429, String::new(), json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow", "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}]}}])),
        (503, String::new(), json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "slow", "details": [{"retryDelay": "29.5s"}]}})),
    ]
    .into();
    let count = forms.len();
    let busy = Provider::start(move |socket, received, _| {
        let number: usize = match received.path().split_once("/models/m") {
            Some((_, rest)) => rest.split(':').next().unwrap().parse().unwrap(),
            None => read(received).0.trim_start_matches('m').parse().unwrap(),
        };
        let (status, header, body) = &forms[number];
        respond(socket, *status, header, "application/json", body.to_string().as_bytes());
    });
    for dialect in ["openai-chat", "anthropic", "gemini"] {
        let gateway = models(count, dialect, &[&busy]);
        for number in 0..count {
            if dialect == "anthropic" && number >= 6 {
                continue; // Google's own form, in the dialects that Google speaks.
            }
            let asked = busy.count();
            for _ in 0..3 {
                let reply = gateway.chat(&request(&format!("m{number}"), "hi"));
                assert!(reply.status >= 500, "{number}: {}", reply.text());
                let wait: u64 = reply.header("retry-after").parse().unwrap();
                assert!((28..=31).contains(&wait), "{dialect} {number}: {wait}");
            }
            assert_eq!(busy.count() - asked, 1, "{dialect} {number}: asked once, then left alone");
        }
    }
}

/// The limit for the first byte is one, over the head and what follows.
#[test]
fn the_first_byte_has_one_limit() {
    let slow = Provider::start(|socket, _, _| {
        std::thread::sleep(Duration::from_millis(300));
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        std::thread::sleep(Duration::from_millis(300));
        chunk(socket, &delta("m", &json!({"content": "late"}), None));
        std::thread::sleep(Duration::from_millis(500));
    });
    let second = Provider::start(good("from the second"));
    let gateway = Gateway::start(&chain(&[&slow, &second]));
    let mut body = request("m", "hi");
    body["stream"] = json!(true);
    assert_eq!(gateway.chat(&body).said(), "from the second");
}

/// A provider, or a model, may be waited for shorter than others are.
#[test]
fn a_provider_and_a_model_have_limits_of_their_own() {
    let slow = Provider::start(|socket, _, _| {
        std::thread::sleep(Duration::from_millis(1_500));
        respond(socket, 200, "", "application/json", &completion("m", "late"));
    });
    let second = Provider::start(good("from the second"));
    let config = chain(&[&slow, &second]).replace("400ms", "5s").replace("\"3s\"", "\"9s\"");
    let timeouts = "timeouts = { first_byte = \"150ms\", answer = \"150ms\" }\n";
    let of_provider = config.replace("[providers.p0]\n", &format!("[providers.p0]\n{timeouts}"));
    let of_model = config.replace("[[models]]\n", &format!("[[models]]\n{timeouts}"));
    for (config, said) in
        [(of_provider, "from the second"), (of_model, "from the second"), (config, "late")]
    {
        let gateway = Gateway::start(&config);
        assert_eq!(gateway.chat(&request("m", "hi")).said(), said);
    }
}

/// The last deployment that is up has all the time and all the tries.
#[test]
fn those_that_are_left_alone_are_no_others() {
    let flaky = Provider::start(|socket, received, number| {
        if number % 2 == 0 {
            respond(socket, 500, "", "text/plain", b"no");
        } else {
            good("on the second try")(socket, received, number);
        }
    });
    let down = Provider::start(|socket, _, _| {
        respond(socket, 429, "retry-after: 60\r\n", "application/json", b"{}");
    });
    let gateway = Gateway::start(&chain(&[&flaky, &down]));
    // The first request finds the other one busy, which then is left alone.
    assert_eq!(gateway.chat(&request("m", "hi")).status, 503);
    let reply = gateway.chat(&request("m", "hi"));
    assert_eq!((reply.status, reply.header("x-optimux-attempts")), (200, "1"), "{}", reply.text());
    assert_eq!(gateway.chat(&request("m", "hi")).said(), "on the second try");
    assert_eq!(down.count(), 1);
}

/// Streams that begin well and break midway are faults like any other.
#[test]
fn a_deployment_whose_streams_break_is_left_alone() {
    let breaking = Provider::start(|socket, _, _| {
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"content": "half an"}), None));
    });
    let second = Provider::start(good("from the second"));
    let gateway = Gateway::start(&chain(&[&breaking, &second]));
    let mut body = request("m", "hi");
    body["stream"] = json!(true);
    for _ in 0..5 {
        assert_eq!(gateway.chat(&body).said(), "half an");
    }
    assert_eq!(gateway.chat(&body).said(), "from the second");
}

/// What a provider says may be the caller's words, and stays out of the log.
#[test]
fn a_prompt_that_a_provider_quotes_is_not_logged() {
    let quoting = Provider::start(|socket, received, number| {
        let words = read(received).1;
        let status = [400, 404, 500, 200][number % 4];
        let body = json!({"error": {"message": format!("Cannot do: {words}\nforged line")}});
        respond(socket, status, "", "application/json", body.to_string().as_bytes());
    });
    let gateway = models(4, "openai-chat", &[&quoting]);
    for number in 0..4 {
        let reply = gateway.chat(&request(&format!("m{number}"), "my secret plan"));
        assert!(reply.status >= 400);
    }
    eventually("the attempts are logged", || gateway.log().matches("attempt failed").count() >= 4);
    assert!(!gateway.log().contains("secret plan"), "{}", gateway.log());
}

/// A zstd frame of one raw block. Source: RFC 8878.
fn zstd(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&((length << 3) | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(body);
    frame
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        _ => zstd(body),
    }
}

/// Nobody is asked to compress, and whoever does all the same is understood.
#[test]
fn compressed_answers_are_read() {
    let provider = Provider::start(|socket, received, _| {
        assert!(received.head.to_lowercase().contains("accept-encoding: identity"));
        let (_, words) = read(received);
        let (coding, what) = words.split_once(' ').unwrap();
        let header = format!("content-encoding: {coding}\r\n");
        let (status, kind, body) = match what {
            "whole" => (200, "application/json", completion("m", "read")),
            "stream" => {
                let pieces = [
                    delta("m", &json!({"content": "read"}), Some("stop")),
                    b"data: [DONE]\n\n".to_vec(),
                ];
                (200, "text/event-stream", pieces.concat())
            }
            "bomb" => (200, "application/json", vec![b' '; 80 << 20]),
            _ => (400, "application/json", br#"{"error":{"message":"too hot"}}"#.to_vec()),
        };
        respond(socket, status, &header, kind, &coded(coding, &body));
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    for coding in ["gzip", "deflate", "zstd"] {
        for what in ["whole", "stream"] {
            let mut body = request("m", &format!("{coding} {what}"));
            body["stream"] = json!(what == "stream");
            assert_eq!(gateway.chat(&body).said(), "read", "{coding} {what}");
        }
        let reply = gateway.chat(&request("m", &format!("{coding} error")));
        assert_eq!((reply.status, message(&reply).as_str()), (400, "too hot"), "{coding}");
    }
    // What it comes to is bounded, whatever it was packed into.
    assert!(gateway.chat(&request("m", "gzip bomb")).status >= 500);
}

/// A stream that is compressed comes event by event all the same.
#[test]
fn a_compressed_stream_is_not_gathered() {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    let provider = Provider::start(|socket, _, _| {
        let head = STREAM_HEAD.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n");
        let _gone = socket.write_all(head.as_bytes());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&delta("m", &json!({"content": "now"}), None)).unwrap();
        encoder.flush().unwrap();
        chunk(socket, &std::mem::take(encoder.get_mut()));
        // The rest comes only when the gateway hangs up.
        let _gone = std::io::Read::read(socket, &mut [0; 1]);
        end_chunks(socket);
    });
    let gateway = Gateway::start(&chain(&[&provider]).replace("400ms", "5s"));
    let mut body = request("m", "hi");
    body["stream"] = json!(true);
    crate::house::runtime().block_on(async {
        let sent = crate::house::client()
            .post(format!("{}/v1/chat/completions", gateway.base))
            .bearer_auth(crate::house::KEY)
            .body(body.to_string())
            .send();
        let mut reply = sent.await.unwrap();
        let piece = reply.chunk().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&piece).contains("now"));
    });
}
