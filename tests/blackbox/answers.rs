//! Answers that are none: a model that gives up, an answer that is not what was asked for; and what
//! the lists of models say.

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chunk, client, completion, end_chunks, good, respond, send,
};
use std::io::Write as _;

/// Each surface: its path, a body that asks the model `m` for words, and the member for a stream.
fn surfaces(stream: bool) -> Vec<(&'static str, Value)> {
    let google = if stream {
        "/v1beta/models/m:streamGenerateContent?alt=sse"
    } else {
        "/v1beta/models/m:generateContent"
    };
    let messages = json!([{"role": "user", "content": "hi"}]);
    vec![
        ("/v1/chat/completions", json!({"model": "m", "stream": stream, "messages": messages})),
        ("/v1/responses", json!({"model": "m", "stream": stream, "store": false, "input": "hi"})),
        (
            "/v1/messages",
            json!({"model": "m", "stream": stream, "max_tokens": 99, "messages": messages}),
        ),
        (google, json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})),
    ]
}

/// A provider that answers with these events, or with the last of them whole.
fn telling(events: Vec<Value>) -> Provider {
    Provider::start(move |socket, request, _| {
        let stream = request.path().contains("stream") || request.json()["stream"] == true;
        if !stream {
            let last = events.last().unwrap().to_string();
            return respond(socket, 200, "", "application/json", last.as_bytes());
        }
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        for event in &events {
            let name =
                event["type"].as_str().map_or(String::new(), |kind| format!("event: {kind}\n"));
            chunk(socket, format!("{name}data: {event}\n\n").as_bytes());
        }
        end_chunks(socket);
    })
}

#[test]
fn a_model_that_gives_up_is_no_answer_and_the_next_is_asked() {
    for word in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"] {
        let given_up = json!({"candidates": [{"finishReason": word, "index": 0, "finishMessage": "no"}],
            "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}});
        let (first, second) = (telling(vec![given_up]), Provider::start(good("Four.")));
        let gateway = Gateway::start(&format!(
            "[providers.gemini]\nbase_url = \"{}\"\napi_key_file = \"key\"\n\
             [providers.next]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"gemini\", model = \"g\" }}, {{ provider = \"next\", model = \"n\" }}]\n\
             [[models]]\nid = \"alone\"\ndeployments = [{{ provider = \"gemini\", model = \"g\" }}]\n",
            first.base, second.base
        ));
        for stream in [false, true] {
            for (path, body) in surfaces(stream) {
                // Who speaks Gemini reads it as it is.
                if path.contains("v1beta") {
                    continue;
                }
                let told = gateway.post(path, KEY, body.to_string());
                assert!(told.text().contains("Four."), "{path}: {}", told.text());
                assert_eq!(told.status, 200);
                let alone = body.to_string().replace("\"m\"", "\"alone\"");
                let told = gateway.post(path, KEY, alone);
                assert_eq!(told.status, 503, "{path}: {}", told.text());
                assert!(told.text().contains(word), "{path}: {}", told.text());
            }
        }
    }
}

fn claude(text: &str) -> Vec<Value> {
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "c",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 9}});
    let mut start = whole.clone();
    (start["content"], start["stop_reason"]) = (json!([]), json!(null));
    vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
        whole,
    ]
}

#[test]
fn json_mode_holds_where_the_provider_has_none() {
    let config = |base: &str| {
        format!(
            "[providers.anthropic]\nbase_url = \"{base}\"\napi_key_file = \"key\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"anthropic\", model = \"c\" }}]\n"
        )
    };
    for (said, object) in [
        ("Here it is:\n```json\n{\"a\": 1}\n```\nDone.", Some("{\"a\": 1}")),
        ("{\"a\": 1}", Some("{\"a\": 1}")),
        ("I cannot.", None),
        ("{\"a\": ", None),
    ] {
        let events = claude(said);
        let upstream = Provider::start(move |socket, request, _| {
            if request.json()["stream"] != true {
                let whole = events.last().unwrap().to_string();
                return respond(socket, 200, "", "application/json", whole.as_bytes());
            }
            let _gone = socket.write_all(STREAM_HEAD.as_bytes());
            for event in events.split_last().unwrap().1 {
                let kind = event["type"].as_str().unwrap();
                chunk(socket, format!("event: {kind}\ndata: {event}\n\n").as_bytes());
            }
            end_chunks(socket);
        });
        let gateway = Gateway::start(&config(&upstream.base));
        for stream in [false, true] {
            let told = gateway.chat(&json!({"model": "m", "stream": stream,
                "response_format": {"type": "json_object"},
                "messages": [{"role": "user", "content": "JSON, please"}]}));
            match object {
                Some(object) => assert_eq!((told.status, told.said().as_str()), (200, object)),
                // Told as an error, before the answer or in its midst.
                None => assert!(told.text().contains("no_answer"), "{}", told.text()),
            }
        }
    }
}

#[test]
fn each_dialect_lists_models_with_their_facts() {
    let upstream = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "x"));
    });
    let gateway = Gateway::start(&format!(
        "[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\nembeddings = \"openai\"\n\
         [[models]]\nid = \"great-talker-4-8\"\ncontext_tokens = 1000000\nmax_output_tokens = 128000\n\
         deployments = [{{ provider = \"p\", model = \"t\" }}]\n\
         [[models]]\nid = \"vectors-1\"\nmode = \"embedding\"\ndeployments = [{{ provider = \"p\", model = \"v\" }}]\n",
        upstream.base
    ));
    let get = |path: &str, header: (&'static str, &'static str)| {
        let request = client().get(format!("{}{path}", gateway.base)).bearer_auth(KEY);
        send(request.header(header.0, header.1)).json()
    };
    let anthropic = ("anthropic-version", "2023-06-01");
    let one = get("/v1/models/great-talker-4-8", anthropic);
    assert_eq!(
        (&one["max_input_tokens"], &one["max_tokens"], &one["display_name"]),
        (&json!(1_000_000), &json!(128_000), &json!("Great Talker 4.8"))
    );
    let all = get("/v1/models", anthropic);
    let listed = all["data"].as_array().unwrap();
    assert!(listed.contains(&one), "{all}");
    let google = ("x-goog-api-client", "test");
    let vectors = get("/v1beta/models/vectors-1", google);
    let methods = vectors["supportedGenerationMethods"].to_string();
    assert!(methods.contains("embedContent") && !methods.contains("generateContent"), "{vectors}");
    assert!(get("/v1beta/models", google).to_string().contains("models/vectors-1"));
}
