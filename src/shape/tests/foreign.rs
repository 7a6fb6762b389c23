//! What no other dialect has a word for, and without which another question would be answered.

use super::*;
use crate::wire::vocab::Losses;

/// What is fitted of a body, as the last deployment that could answer.
fn fitted(from: Dialect, body: &Value, to: Protocol) -> (Request, Losses) {
    let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
    let any = facts("");
    let model = TargetModel {
        facts: &any,
        protocol: to,
        max_tokens_only: false,
        last_resort: true,
        refused_form: false,
    };
    let fitted = fit(&request, &model);
    (fitted.request.into_owned(), fitted.losses)
}

/// A user's message of one part in each dialect.
fn showing(from: Dialect, part: &Value) -> Value {
    match from {
        Dialect::OpenAiChat => {
            json!({"model": "m", "messages": [{"role": "user", "content": [part]}]})
        }
        Dialect::OpenAiResponses => {
            json!({"model": "m", "input": [{"role": "user", "content": [part]}]})
        }
        Dialect::Anthropic => {
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]})
        }
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [part]}]}),
    }
}

const EVERYWHERE: [Protocol; 5] = [CHAT, RESPONSES, ANTHROPIC, GEMINI, Protocol::Bedrock];

#[test]
fn what_the_user_shows_is_told_or_the_model_is_no_candidate() {
    let url = "https://example.com/a.png";
    for (from, part, named) in [
        (
            Dialect::OpenAiChat,
            json!({"type": "image", "source": {"type": "url", "url": url}}),
            "content.image",
        ),
        (Dialect::OpenAiChat, json!({"type": "mystery"}), "content.mystery"),
        (
            Dialect::OpenAiResponses,
            json!({"type": "image_url", "image_url": {"url": url}}),
            "content.image_url",
        ),
        (
            Dialect::Anthropic,
            json!({"type": "image_url", "image_url": {"url": url}}),
            "content.image_url",
        ),
        (
            Dialect::Anthropic,
            json!({"type": "container_upload", "file_id": "file_1"}),
            "content.container_upload",
        ),
        (Dialect::Gemini, json!({"mystery": {"a": 1}}), "content.mystery"),
        // Files lie with whoever took them.
        (
            Dialect::Anthropic,
            json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
            "content.file_id",
        ),
        (
            Dialect::Gemini,
            json!({"fileData": {"fileUri": "gs://b/a.pdf", "mimeType": "application/pdf"}}),
            "content.file_id",
        ),
        (
            Dialect::Gemini,
            json!({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/a"}}),
            "content.file_id",
        ),
        (
            Dialect::OpenAiResponses,
            json!({"type": "input_file", "file_id": "file-1"}),
            "content.file_id",
        ),
    ] {
        for to in EVERYWHERE {
            let (_, losses) = fitted(from, &showing(from, &part), to);
            let home = to == Protocol::Dialect(from);
            // OpenAI's files are known in both of its dialects.
            let known =
                named == "content.file_id" && from == Dialect::OpenAiResponses && to == CHAT;
            let grave = losses.grave().map(|loss| loss.field.to_string());
            assert_eq!(
                grave.as_deref(),
                (!home && !known).then_some(named),
                "{from:?} {to:?} {part}"
            );
        }
    }
    // A text by the name that it has in OpenAI's other dialect is a text.
    for kind in ["text", "input_text"] {
        let part = json!({"type": kind, "text": "IMPORTANT"});
        for to in EVERYWHERE {
            let (body, _) =
                sent(Dialect::OpenAiChat, &showing(Dialect::OpenAiChat, &part), to, &facts(""));
            assert!(body.to_string().contains("IMPORTANT"), "{to:?} {body}");
        }
    }
}

#[test]
fn results_and_summaries_that_only_their_dialect_has_are_not_left_out_in_silence() {
    let said = json!({"role": "user", "content": "x"});
    let call =
        |kind: &str| json!({"type": format!("{kind}_call"), "call_id": "c", "status": "completed"});
    for kind in ["local_shell", "shell", "apply_patch", "computer"] {
        let result =
            json!({"type": format!("{kind}_call_output"), "call_id": "c", "output": "FAILED"});
        let body = json!({"model": "m", "input": [said, call(kind), result]});
        for to in [CHAT, ANTHROPIC, GEMINI, Protocol::Bedrock] {
            let (_, losses) = fitted(Dialect::OpenAiResponses, &body, to);
            let named = format!("content.{kind}_call_output");
            assert_eq!(losses.grave().map(|loss| &*loss.field), Some(named.as_str()), "{to:?}");
        }
    }
    let sealed =
        json!({"model": "m", "input": [{"type": "compaction", "encrypted_content": "s"}, said]});
    for to in [CHAT, ANTHROPIC, GEMINI, Protocol::Bedrock] {
        let (_, losses) = fitted(Dialect::OpenAiResponses, &sealed, to);
        assert_eq!(losses.grave().map(|loss| &*loss.field), Some("content.compaction"), "{to:?}");
    }
    // Anthropic's summary is text, and stands for all that was said before.
    let summed = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "compaction", "content": "SUMMARY"}, {"type": "text", "text": "done"}]},
        {"role": "user", "content": "more"}]});
    for to in EVERYWHERE {
        let (body, _) = sent(Dialect::Anthropic, &summed, to, &facts(""));
        assert!(body.to_string().contains("SUMMARY"), "{to:?} {body}");
    }
}

#[test]
fn a_turn_of_which_nothing_can_be_told_is_none() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let body = json!({"model": "m", "input": [{"role": "user", "content": "x"}, search]});
    for to in [CHAT, ANTHROPIC, GEMINI, Protocol::Bedrock] {
        let (request, losses) = fitted(Dialect::OpenAiResponses, &body, to);
        assert_eq!(request.turns.len(), 1, "{to:?}");
        let named: Vec<_> = losses.iter().map(|loss| &*loss.field).collect();
        // No order to go on with what the model never said.
        assert_eq!((named, losses.grave()), (vec!["messages.content"], None), "{to:?}");
    }
}
