//! Requests of every caller's dialect written for every provider: what is meant for the model arrives,
//! and what a dialect refuses is not sent.

use serde_json::{Value, json};

use super::vocab::{Dialect, Protocol};
use super::{Target, codec, provider_side};

const PROVIDERS: [Protocol; 5] = [
    Protocol::Dialect(Dialect::OpenAiChat),
    Protocol::Dialect(Dialect::OpenAiResponses),
    Protocol::Dialect(Dialect::Anthropic),
    Protocol::Dialect(Dialect::Gemini),
    Protocol::Bedrock,
];

/// What is sent, and what is named as dropped.
fn sent(from: Dialect, body: &Value, to: Protocol) -> (Value, String) {
    let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
    let target = Target { model: "claude-m", max_output_tokens: 9_000, ..Target::SELF };
    let encoded = provider_side(to).encode_request(&request, &target).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.losses.to_string())
}

#[test]
fn words_in_blocks_that_only_anthropic_has_reach_every_model() {
    let text = json!([{"type": "text", "text": "Refunds take 14 days."}]);
    let blocks = [
        (json!({"type": "tool_reference", "tool_name": "WebFetch"}), vec!["WebFetch"]),
        (
            json!({"type": "search_result", "source": "https://x.test", "title": "Terms", "content": text}),
            vec!["https://x.test", "Terms", "Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "title": "Terms", "source": {"type": "content", "content": text}}),
            vec!["Terms", "Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "source": {"type": "content", "content": "Refunds take 14 days."}}),
            vec!["Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Refunds take 14 days."}}),
            vec!["Refunds take 14 days."],
        ),
        (json!({"type": "something_new", "content": text}), vec!["Refunds take 14 days."]),
    ];
    for (block, words) in blocks {
        let said = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": [block, {"type": "text", "text": "so?"}]}]});
        let returned = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [block]}]}]});
        for body in [said, returned] {
            for to in PROVIDERS {
                let (sent, named) = sent(Dialect::Anthropic, &body, to);
                for word in &words {
                    // Bedrock has documents of text as bytes.
                    let packed =
                        sent.pointer("/messages/0/content/0/document/source/bytes").is_some()
                            || sent.to_string().contains("\"document\":{\"format\":\"txt\"");
                    assert!(packed || sent.to_string().contains(word), "{to:?}: {word} in {sent}");
                }
                assert_eq!(named, "", "{to:?}: {sent}");
                if to == Protocol::Dialect(Dialect::Anthropic) {
                    assert_eq!(sent["messages"], body["messages"]);
                }
            }
        }
    }
}

#[test]
fn what_hosted_tools_did_is_not_put_into_the_model_s_mouth() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [
                {"type": "web_search_result", "title": "Found", "url": "https://x.test"}]},
            {"type": "text", "text": "So."}]},
        {"role": "user", "content": "and?"}]});
    for to in PROVIDERS.into_iter().filter(|to| *to != Protocol::Dialect(Dialect::Anthropic)) {
        let (sent, named) = sent(Dialect::Anthropic, &body, to);
        assert!(!sent.to_string().contains("Found") && !named.is_empty(), "{to:?}: {sent} {named}");
    }
}

#[test]
fn media_in_a_result_of_gemini_s_reach_every_model() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"seen": "it"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                      {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}]}}]}]});
    for to in PROVIDERS {
        let (sent, named) = sent(Dialect::Gemini, &body, to);
        let text = sent.to_string();
        for data in ["iVBORw0KGgo=", "JVBERi0=", "seen"] {
            assert_eq!(text.matches(data).count(), 1, "{to:?}: {sent}");
        }
        assert_eq!(named, "", "{to:?}");
    }
}

#[test]
fn a_choice_among_no_tools_is_not_sent() {
    let bodies = [
        (
            Dialect::OpenAiResponses,
            json!({"model": "m", "input": "hi", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true}),
        ),
        (
            Dialect::Gemini,
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                   "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
        ),
        (
            Dialect::Anthropic,
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
                   "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            Dialect::OpenAiChat,
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": "none"}),
        ),
    ];
    for (from, body) in bodies {
        for to in PROVIDERS.into_iter().filter(|to| *to != Protocol::Dialect(from)) {
            let (sent, _) = sent(from, &body, to);
            for name in ["tool_choice", "parallel_tool_calls", "toolConfig"] {
                assert!(sent.get(name).is_none(), "{from:?} to {to:?}: {sent}");
            }
        }
    }
}

#[test]
fn google_s_single_objects_are_lists_of_one() {
    let tool = json!({"functionDeclarations": [{"name": "f"}]});
    let body = json!({"contents": {"role": "user", "parts": {"text": "hi"}}, "tools": tool});
    let bytes = body.to_string();
    assert!(codec(Dialect::Gemini).head(bytes.as_bytes()).is_ok());
    let request = codec(Dialect::Gemini).decode_request(bytes.as_bytes()).unwrap();
    assert_eq!((request.turns.len(), request.tools.len()), (1, 1));
    let (home, _) = sent(Dialect::Gemini, &body, PROVIDERS[3]);
    assert_eq!(home, body);
    let (chat, _) = sent(Dialect::Gemini, &body, PROVIDERS[0]);
    assert_eq!(chat["messages"][0]["content"], "hi", "{chat}");
}

#[test]
fn no_dialect_asks_for_no_answer_and_openai_s_stop_at_four() {
    let with = |from: Dialect, name: &str, value: Value| {
        let mut body = match from {
            Dialect::OpenAiResponses => json!({"model": "m", "input": "hi"}),
            Dialect::Gemini => {
                json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {}})
            }
            _ => {
                json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
            }
        };
        match from {
            Dialect::Gemini => body["generationConfig"][name] = value,
            _ => body[name] = value,
        }
        body.to_string()
    };
    for (from, name) in [
        (Dialect::OpenAiChat, "max_tokens"),
        (Dialect::OpenAiChat, "max_completion_tokens"),
        (Dialect::OpenAiResponses, "max_output_tokens"),
        (Dialect::Anthropic, "max_tokens"),
        (Dialect::Gemini, "maxOutputTokens"),
        (Dialect::Gemini, "max_output_tokens"),
    ] {
        for (tokens, good) in [(0, false), (1, true)] {
            let body = with(from, name, json!(tokens));
            assert_eq!(codec(from).head(body.as_bytes()).is_ok(), good, "{from:?} {name}");
            let request = codec(from).decode_request(body.as_bytes());
            assert_eq!(request.is_ok(), good, "{from:?} {name}");
        }
    }
    for (stop, good) in [
        (json!("a"), true),
        (json!(null), true),
        (json!([]), true),
        (json!(["a", "b", "c", "d"]), true),
        (json!(["a", "b", "c", "d", "e"]), false),
    ] {
        let body = with(Dialect::OpenAiChat, "stop", stop.clone());
        let head = codec(Dialect::OpenAiChat).head(body.as_bytes());
        assert_eq!(head.is_ok(), good, "{stop}");
        if let Err(why) = head {
            assert_eq!(why.field.as_deref(), Some("stop"));
        }
    }
    // A prompt that the provider keeps needs no input.
    let kept = json!({"model": "m", "prompt": {"id": "p"}}).to_string();
    assert!(codec(Dialect::OpenAiResponses).head(kept.as_bytes()).is_ok());
    assert!(codec(Dialect::OpenAiResponses).head(br#"{"model":"m"}"#).is_err());
}
