//! The realtime events that the gateway itself reads or says. All others pass unread. Source: the
//! openai SDK's types and the recordings.

use memchr::memmem;
use serde_json::{Value, json};

use super::openai_usage;
use super::vocab::{Usage, tokens_in};

/// What was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// An answer of the model's.
    Answer,
    /// What the caller said, written down.
    Transcript,
}

const ANSWERED: &str = "response.done";
const TRANSCRIBED: &str = "conversation.item.input_audio_transcription.completed";

/// Sound is ten tokens a second, where its length is told in place of tokens.
const TOKENS_A_SECOND: f64 = 10.0;

/// What one event says of usage: that of a finished response, or of a transcription.
#[must_use]
pub fn usage_of(event: &[u8]) -> Option<(Work, Usage)> {
    [ANSWERED, TRANSCRIBED]
        .into_iter()
        .find(|kind| memmem::find(event, kind.as_bytes()).is_some())?;
    let event: Value = serde_json::from_slice(event).ok()?;
    match event.get("type").and_then(Value::as_str)? {
        ANSWERED => Some((Work::Answer, answered(&event)?)),
        TRANSCRIBED => Some((Work::Transcript, transcribed(event.get("usage")?))),
        _ => None,
    }
}

fn transcribed(usage: &Value) -> Usage {
    if let Some(seconds) = usage.get("seconds").and_then(Value::as_f64) {
        let mut counted = Usage::default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        let tokens = (seconds.clamp(0.0, 1e6) * TOKENS_A_SECOND).ceil() as u64;
        counted.more.audio_in = tokens;
        return counted;
    }
    counted(usage)
}

fn answered(event: &Value) -> Option<Usage> {
    let counts = |at: &str| event.pointer(at).filter(|usage| usage.get("input_tokens").is_some());
    // xAI has it beside the response.
    counts("/response/usage").or_else(|| counts("/usage")).map(counted)
}

fn counted(usage: &Value) -> Usage {
    let number = |name: &str| usage.get(name).and_then(tokens_in).unwrap_or(0);
    let mut counted = Usage::default();
    let details = openai_usage::details(usage, &["input_token_details"]);
    openai_usage::prompt(number("input_tokens"), details).add_to(&mut counted);
    let details = openai_usage::details(usage, &["output_token_details"]);
    openai_usage::answer(number("output_tokens"), details).add_to(&mut counted);
    counted
}

/// An error as an event of the session.
#[must_use]
pub fn error(kind: &str, code: &str, message: &str) -> String {
    json!({
        "type": "error",
        "event_id": format!("event_{code}"),
        "error": {"type": kind, "code": code, "message": message, "param": null, "event_id": null},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_found_where_each_provider_has_it() {
        let openai = br#"{"type":"response.done","response":{"usage":{"total_tokens":85,
            "input_tokens":63,"output_tokens":22,"input_token_details":{"cached_tokens":3}}}}"#;
        let (work, usage) = usage_of(openai).unwrap();
        assert_eq!(work, Work::Answer);
        assert_eq!((usage.input, usage.cache_read, usage.output), (60, 3, 22));
        let xai = br#"{"type":"response.done","response":{"usage":{}},
            "usage":{"input_tokens":5,"output_tokens":42}}"#;
        assert_eq!(usage_of(xai).map(|(_, usage)| usage.output), Some(42));
        // Only words about it.
        let said = br#"{"type":"response.output_text.delta","delta":"\"response.done\""}"#;
        assert_eq!(usage_of(said), None);
    }

    #[test]
    fn a_transcription_tells_tokens_or_how_long_it_was() {
        let of = |usage: Value| {
            let event =
                json!({"type": TRANSCRIBED, "item_id": "i", "transcript": "Hi", "usage": usage});
            let (work, usage) = usage_of(event.to_string().as_bytes()).unwrap();
            assert_eq!(work, Work::Transcript);
            (usage.input, usage.more.audio_in, usage.output)
        };
        let tokens = json!({"type": "tokens", "input_tokens": 120, "output_tokens": 9,
            "input_token_details": {"text_tokens": 20, "audio_tokens": 100}});
        assert_eq!(of(tokens), (20, 100, 9));
        assert_eq!(of(json!({"type": "duration", "seconds": 2.05})), (0, 21, 0));
    }
}
