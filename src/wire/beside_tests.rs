//! What stands beside the words of a request: it reaches the model, or it is named as lost.

use serde_json::{Value, json};

use super::vocab::{Dialect, Protocol};
use super::{Target, codec, provider_side};

const ALL: [Protocol; 5] = [
    Protocol::Dialect(Dialect::OpenAiChat),
    Protocol::Dialect(Dialect::OpenAiResponses),
    Protocol::Dialect(Dialect::Anthropic),
    Protocol::Dialect(Dialect::Gemini),
    Protocol::Bedrock,
];

/// What each provider of another dialect is sent, and what is named as lost.
fn sent(from: Dialect, body: &Value) -> Vec<(Protocol, String, String)> {
    let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
    let others = ALL.into_iter().filter(|protocol| *protocol != Protocol::Dialect(from));
    let all = others.map(|protocol| {
        let encoded = provider_side(protocol).encode_request(&request, &Target::SELF).unwrap();
        let body = String::from_utf8(encoded.body.to_vec()).unwrap();
        (protocol, body, encoded.losses.to_string())
    });
    all.collect()
}

/// Each of the words is sent, or what it stands in is named.
fn arrives(from: Dialect, body: &Value, words: &[(&str, &str)]) {
    for (protocol, sent, lost) in sent(from, body) {
        for (word, member) in words {
            let told = sent.contains(word) || lost.contains(member);
            assert!(told, "{protocol:?}: {word} of {member} is in neither {sent} nor {lost}");
        }
    }
}

#[test]
fn titles_and_contexts_of_documents_of_text_go_with_them() {
    let document = json!({"type": "document", "title": "Terms", "context": "Of 2026.",
        "source": {"type": "text", "media_type": "text/plain", "data": "Refunds take 14 days."}});
    let asked = json!([document, {"type": "text", "text": "How long?"}]);
    let result = json!([
        {"role": "user", "content": "How long?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "find", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [document]}]},
    ]);
    for messages in [json!([{"role": "user", "content": asked}]), result] {
        let body = json!({"model": "m", "max_tokens": 9, "messages": messages});
        for (protocol, sent, lost) in sent(Dialect::Anthropic, &body) {
            assert!(sent.contains("Terms") && sent.contains("Of 2026."), "{protocol:?}: {sent}");
            assert_eq!(lost, "", "{protocol:?}");
        }
        // To Anthropic's own it goes back as it came.
        let codec = codec(Dialect::Anthropic);
        let request = codec.decode_request(body.to_string().as_bytes()).unwrap();
        let again = codec.encode_request(&request, &Target::SELF).unwrap();
        let again: Value = serde_json::from_slice(&again.body).unwrap();
        assert_eq!(again["messages"], body["messages"]);
    }
}

#[test]
fn what_stands_beside_media_texts_and_turns_is_told_or_named() {
    let picture =
        json!({"inlineData": {"mimeType": "image/png", "data": "QQ==", "displayName": "a cat"}});
    let body = json!({"contents": [{"role": "user", "parts": [picture, {"text": "What is it?"}]}]});
    arrives(Dialect::Gemini, &body, &[("a cat", "displayName")]);

    let source = json!({"type": "web_search_result_location", "url": "https://a.example/",
        "title": "A page", "cited_text": "a quote", "encrypted_index": "x"});
    let cited = json!([{"type": "text", "text": "So it is.", "citations": [source]}]);
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "Is it?"},
        {"role": "assistant", "content": cited},
        {"role": "user", "content": "Sure?"}]});
    let words = [("https://a.example/", "content.citations"), ("A page", "content.citations")];
    arrives(Dialect::Anthropic, &body, &words);

    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Say it."},
        {"role": "assistant", "content": null, "audio": {"id": "audio_1"}},
        {"role": "user", "content": "Again."}]});
    arrives(Dialect::OpenAiChat, &body, &[("audio_1", "messages.audio")]);
}
