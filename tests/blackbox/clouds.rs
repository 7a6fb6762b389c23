//! Providers with credentials of their own kind: Amazon Bedrock, Google Vertex, Azure.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use optimux::wire::frame::eventstream;
use serde_json::{Value, json};

use crate::house::{Gateway, Provider, Received, completion, respond};

const EVENT: (&str, &str) = ("event", ":event-type");

fn path(received: &Received) -> &str {
    received.head.split(' ').nth(1).unwrap()
}

fn header<'a>(received: &'a Received, name: &str) -> Option<&'a str> {
    received.head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn converse(socket: &mut std::net::TcpStream, received: &Received) {
    if path(received).ends_with("/converse") {
        let body = json!({
            "output": {"message": {"role": "assistant", "content": [{"text": "fine"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
        });
        return respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    }
    let frames = [
        ("messageStart", json!({"role": "assistant"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "fi"}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "ne"}})),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("messageStop", json!({"stopReason": "end_turn"})),
        ("metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})),
    ];
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|(event, data)| eventstream::write(EVENT, event, data.to_string().as_bytes()))
        .collect();
    respond(socket, 200, "", "application/vnd.amazon.eventstream", &bytes);
}

fn bedrock(base: &str) -> String {
    format!(
        "[providers.bedrock]\nbase_url = \"{base}\"\nregion = \"eu-west-1\"\nenabled = true\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"bedrock\", model = \"anthropic.claude-v1:0\" }}]\n"
    )
}

#[test]
fn bedrocks_last_frame_ends_an_answer_that_is_left_open() {
    use std::io::Write as _;
    let upstream = Provider::start(|socket, _, _| {
        let head = crate::house::STREAM_HEAD
            .replace("text/event-stream", "application/vnd.amazon.eventstream");
        let _gone = socket.write_all(head.as_bytes());
        for (event, data) in [
            ("messageStart", json!({"role": "assistant"})),
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "fine"}})),
            ("messageStop", json!({"stopReason": "end_turn"})),
            ("metadata", json!({"usage": {"inputTokens": 3, "outputTokens": 2}})),
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "ghost"}})),
        ] {
            let frame = eventstream::write(EVENT, event, data.to_string().as_bytes());
            crate::house::chunk(socket, &frame);
        }
        std::thread::sleep(std::time::Duration::from_secs(3));
    });
    let credential =
        [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret-0123")];
    let gateway = Gateway::start_with(&bedrock(&upstream.base), &credential);
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let started = std::time::Instant::now();
    let reply = gateway.chat(&body);
    assert_eq!(reply.said(), "fine");
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    assert!(started.elapsed() < std::time::Duration::from_millis(1_500));
}

#[test]
fn bedrock_is_asked_with_a_signature_and_understood_in_frames() {
    let upstream = Provider::start(|socket, received, _| converse(socket, received));
    let gateway = Gateway::start_with(
        &bedrock(&upstream.base),
        &[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-secret")],
    );
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).said(), "fine");
    let asked = upstream.last();
    assert_eq!(path(&asked), "/model/anthropic.claude-v1%3A0/converse");
    assert_eq!(asked.json()["messages"][0]["content"], json!([{"text": "hi"}]));
    let signature = header(&asked, "authorization").unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
    assert!(signature.contains("/eu-west-1/bedrock/aws4_request"), "{signature}");
    assert!(header(&asked, "x-amz-date").is_some());

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let told = gateway.chat(&streamed);
    assert_eq!(told.said(), "fine");
    assert_eq!(told.events().last().unwrap()["usage"]["total_tokens"], 5);
    assert_eq!(path(&upstream.last()), "/model/anthropic.claude-v1%3A0/converse-stream");
    assert!(!gateway.log().contains("wJalrXUtnFEMI"));
}

#[test]
fn a_bedrock_key_goes_as_a_bearer_token() {
    let upstream = Provider::start(|socket, received, _| converse(socket, received));
    let config = bedrock(&upstream.base).replace("enabled = true", "api_key_file = \"key\"");
    let gateway = Gateway::start(&config);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).said(), "fine");
    let authorization = header(&upstream.last(), "authorization").map(str::to_owned);
    assert_eq!(authorization.as_deref(), Some("Bearer provider-secret-0123456789"));
}

#[test]
fn an_exception_in_a_bedrock_stream_is_told() {
    let upstream = Provider::start(|socket, _, _| {
        let mut bytes = eventstream::write(EVENT, "messageStart", br#"{"role":"assistant"}"#);
        bytes.extend(eventstream::write(
            EVENT,
            "contentBlockDelta",
            br#"{"contentBlockIndex":0,"delta":{"text":"fi"}}"#,
        ));
        bytes.extend(eventstream::write(
            ("exception", ":exception-type"),
            "modelStreamErrorException",
            br#"{"message":"it broke"}"#,
        ));
        respond(socket, 200, "", "application/vnd.amazon.eventstream", &bytes);
    });
    let config = bedrock(&upstream.base).replace("enabled = true", "api_key_file = \"key\"");
    let gateway = Gateway::start(&config);
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    // It all came in one piece, so nothing of it had gone to the caller yet.
    let told = gateway.chat(&body);
    assert_eq!((told.status, told.header("x-optimux-attempts")), (503, "2"));
}

/// A throw-away RSA key in PKCS#8, made for this test by `openssl genpkey`.
fn private_key() -> Option<String> {
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .ok()?;
    made.status.success().then(|| String::from_utf8(made.stdout).unwrap())
}

#[test]
fn a_service_account_is_changed_for_a_token_once() {
    let Some(key) = private_key() else {
        println!("skipped: openssl is not installed");
        return;
    };
    let upstream = Provider::start(|socket, received, _| {
        let body = if path(received) == "/token" {
            json!({"access_token": "ya29.fresh", "expires_in": 3600, "token_type": "Bearer"})
        } else {
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "fine"}]}, "finishReason": "STOP"}],
                   "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}})
        };
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let account = json!({
        "type": "service_account", "client_email": "gateway@project.iam.gserviceaccount.com",
        "private_key": key, "token_uri": format!("{}/token", upstream.base),
    });
    let file = std::env::temp_dir().join(format!("optimux-account-{}.json", std::process::id()));
    std::fs::write(&file, account.to_string()).unwrap();
    let gateway = Gateway::start_with(
        &format!(
            "[server]\nworkers = 1\n[providers.vertex]\nbase_url = \"{}/v1/projects/p/locations/l/publishers/google\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"vertex\", model = \"gemini-x\" }}]\n",
            upstream.base
        ),
        &[
            ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap()),
            ("OPTIMUX_SERVER__WORKERS", "1"),
        ],
    );
    std::fs::remove_file(&file).unwrap();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..3 {
        assert_eq!(gateway.chat(&body).said(), "fine");
    }
    let all = upstream.received.lock().unwrap().clone();
    let tokens: Vec<&Received> = all.iter().filter(|one| path(one) == "/token").collect();
    assert_eq!((tokens.len(), all.len()), (1, 4));
    let assertion = String::from_utf8(tokens[0].body.clone()).unwrap();
    let claims = assertion.split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "gateway@project.iam.gserviceaccount.com");
    let asked = all.last().unwrap();
    assert_eq!(
        path(asked),
        "/v1/projects/p/locations/l/publishers/google/models/gemini-x:generateContent"
    );
    assert_eq!(header(asked, "authorization"), Some("Bearer ya29.fresh"));
}

#[test]
fn azure_is_found_by_its_resource() {
    let upstream = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "fine"));
    });
    let gateway = Gateway::start_with(
        &format!(
            "[providers.azure]\nbase_url = \"{}/${{AZURE_OPENAI_RESOURCE}}/openai/v1\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"azure\", model = \"my-deployment\" }}]\n",
            upstream.base
        ),
        &[("AZURE_OPENAI_RESOURCE", "acme"), ("AZURE_OPENAI_API_KEY", "azure-secret")],
    );
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).said(), "fine");
    let asked = upstream.last();
    assert_eq!(path(&asked), "/acme/openai/v1/chat/completions");
    assert_eq!(header(&asked, "api-key"), Some("azure-secret"));
}
