//! The realtime events that the gateway itself reads or says. All others pass unread. Source: the
//! openai SDK's types and the recordings.

use memchr::memmem;
use serde_json::{Value, json};

use super::openai_usage;
use super::vocab::Usage;

/// What one event says of usage: that of a finished response. A provider's other events (a
/// transcription's, say) are priced apart and are not read yet.
#[must_use]
pub fn usage_of(event: &[u8]) -> Option<Usage> {
    memmem::find(event, b"\"response.done\"")?;
    let event: Value = serde_json::from_slice(event).ok()?;
    if event.get("type").and_then(Value::as_str) != Some("response.done") {
        return None;
    }
    let counts = |at: &str| event.pointer(at).filter(|usage| usage.get("input_tokens").is_some());
    // xAI has it beside the response.
    let usage = counts("/response/usage").or_else(|| counts("/usage"))?;
    let number = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut counted = Usage::default();
    let details = openai_usage::details(usage, &["input_token_details"]);
    openai_usage::prompt(number("input_tokens"), details).add_to(&mut counted);
    let details = openai_usage::details(usage, &["output_token_details"]);
    openai_usage::answer(number("output_tokens"), details).add_to(&mut counted);
    Some(counted)
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
        let usage = usage_of(openai).unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (60, 3, 22));
        let xai = br#"{"type":"response.done","response":{"usage":{}},
            "usage":{"input_tokens":5,"output_tokens":42}}"#;
        assert_eq!(usage_of(xai).map(|usage| usage.output), Some(42));
        // Only words about it.
        let said = br#"{"type":"response.output_text.delta","delta":"\"response.done\""}"#;
        assert_eq!(usage_of(said), None);
    }
}
