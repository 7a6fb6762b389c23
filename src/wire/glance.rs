//! What is learned of an event that passes unread: whether it can be read at all, whether the answer
//! has begun or come to its end, and how much was said. One pass over the event, without a tree.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Whose words they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The answer's: its text, a refusal, the arguments of a call.
    Said,
    /// Those of the thinking before it.
    Thought,
}

/// A set of choices by their numbers; all beyond the last that fits count as that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choices(u64);

impl Choices {
    /// One choice.
    #[must_use]
    pub fn one(number: u64) -> Self {
        Self(1 << number.min(63))
    }

    pub fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub fn holds(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Glance {
    /// Something of the answer itself is in it: not the announcement of a message or of an empty
    /// part, a ping, or a report on the prompt.
    pub speaks: bool,
    /// The choices that it is of.
    pub choices: Choices,
    /// Those of which it says why they ended.
    pub finished: Choices,
    /// The reason is that the model or its provider gave up: this is no answer.
    pub gave_up: bool,
}

/// An event of a stream that is not UTF-8, or not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    #[error("an event of the stream is not valid UTF-8")]
    NotUtf8,
    #[error("an event of the stream is not JSON")]
    NotJson,
}

/// Reads an event as `T`. One that is JSON of another shape passes, and is taken for a part of the
/// answer: what a provider adds to its dialect is not ours to keep.
pub(in crate::wire) fn read<'a, T: Deserialize<'a>>(
    data: &'a [u8],
    look: impl FnOnce(T) -> Glance,
) -> Result<Glance, UnreadableEvent> {
    let text = std::str::from_utf8(data).map_err(|_| UnreadableEvent::NotUtf8)?;
    match serde_json::from_str(text) {
        Ok(event) => Ok(look(event)),
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            Ok(Glance { speaks: true, choices: Choices::one(0), ..Glance::default() })
        }
        Err(_) => Err(UnreadableEvent::NotJson),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;
    use crate::wire::frame::Frame;
    use crate::wire::vocab::Dialect::{self, Anthropic, Gemini, OpenAiChat, OpenAiResponses};

    fn look(dialect: Dialect, data: &str) -> (Glance, String, String) {
        let (mut said, mut thought) = (String::new(), String::new());
        let frame = Frame { event: "", data: data.as_bytes() };
        let glance = codec(dialect).glance(&frame, &mut |voice, text| match voice {
            Voice::Said => said.push_str(text),
            Voice::Thought => thought.push_str(text),
        });
        (glance.unwrap(), said, thought)
    }

    #[test]
    fn what_announces_is_not_yet_an_answer() {
        for (dialect, data) in [
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]},"finish_reason":null}]}"#,
            ),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#,
            ),
            (OpenAiChat, r#"{"choices":[{"index":0,"delta":{}}]}"#),
            (
                OpenAiChat,
                r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"severity":"safe"}}}]}"#,
            ),
            (OpenAiChat, r#"{"choices":[],"usage":{"prompt_tokens":3}}"#),
            (OpenAiChat, r#"{"choices":null}"#),
            (
                OpenAiResponses,
                r#"{"type":"response.created","response":{"id":"r","instructions":"long","output":[]}}"#,
            ),
            (OpenAiResponses, r#"{"type":"response.queued","response":{"id":"r"}}"#),
            (OpenAiResponses, r#"{"type":"response.in_progress","response":{"id":"r"}}"#),
            (OpenAiResponses, r#"{"type":"keepalive","sequence_number":3}"#),
            (
                OpenAiResponses,
                r#"{"type":"response.output_item.added","item":{"id":"m","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#,
            ),
            (
                OpenAiResponses,
                r#"{"type":"response.content_part.added","part":{"type":"output_text","text":"","annotations":[]}}"#,
            ),
            (OpenAiResponses, r#"{"type":"response.output_text.delta","delta":""}"#),
            (
                Anthropic,
                r#"{"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":1}}}"#,
            ),
            (Anthropic, r#"{"type":"ping"}"#),
            (
                Anthropic,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ),
            (
                Anthropic,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            ),
            (
                Anthropic,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#,
            ),
            (Anthropic, r#"{"type":"content_block_stop","index":0}"#),
            (
                Gemini,
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"index":0}],"usageMetadata":{"promptTokenCount":3}}"#,
            ),
            (Gemini, r#"{"usageMetadata":{"promptTokenCount":3},"modelVersion":"g"}"#),
        ] {
            let (glance, said, thought) = look(dialect, data);
            assert!(!glance.speaks && glance.finished.is_empty(), "{data}");
            assert_eq!((said.as_str(), thought.as_str()), ("", ""), "{data}");
        }
    }

    #[test]
    fn what_is_said_is_heard_once_and_in_its_voice() {
        for (dialect, data, said, thought) in [
            (OpenAiChat, r#"{"choices":[{"index":0,"delta":{"content":"a\"b"}}]}"#, "a\"b", ""),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":""}}]}"#,
                "",
                "hm",
            ),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm"}]}}]}"#,
                "",
                "hm",
            ),
            (OpenAiChat, r#"{"choices":[{"index":0,"delta":{"refusal":"no"}}]}"#, "no", ""),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                "f{}",
                "",
            ),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}}]}"#,
                "a",
                "hm",
            ),
            // The whole so far beside what is new.
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"message":{"content":"ab"},"delta":{"content":"b"}}]}"#,
                "b",
                "",
            ),
            (
                OpenAiChat,
                r#"{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}"#,
                "a",
                "",
            ),
            (OpenAiResponses, r#"{"delta":"a","type":"response.output_text.delta"}"#, "a", ""),
            (
                OpenAiResponses,
                r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#,
                "{}",
                "",
            ),
            (
                OpenAiResponses,
                r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#,
                "",
                "hm",
            ),
            (
                OpenAiResponses,
                r#"{"type":"response.output_item.added","item":{"id":"i","type":"function_call","name":"f","arguments":"","call_id":"c"}}"#,
                "f",
                "",
            ),
            // What was said already is not said again.
            (OpenAiResponses, r#"{"type":"response.output_text.done","text":"abc"}"#, "", ""),
            (
                Anthropic,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
                "a",
                "",
            ),
            (
                Anthropic,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
                "",
                "hm",
            ),
            (
                Anthropic,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                "{}",
                "",
            ),
            (
                Anthropic,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"xyz"}}"#,
                "",
                "",
            ),
            (
                Anthropic,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
                "f",
                "",
            ),
            (Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#, "a", ""),
            (
                Gemini,
                r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]}}]}"#,
                "",
                "hm",
            ),
            (
                Gemini,
                r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#,
                r#"{"name":"f"}"#,
                "",
            ),
            (
                Gemini,
                r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}"#,
                "",
                "",
            ),
        ] {
            let (glance, heard, mused) = look(dialect, data);
            assert!(glance.speaks, "{data}");
            assert_eq!((heard.as_str(), mused.as_str()), (said, thought), "{data}");
        }
    }

    #[test]
    fn an_end_is_an_end_and_noise_is_noise() {
        for (dialect, data) in [
            (OpenAiChat, r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#),
            (
                OpenAiResponses,
                r#"{"type":"response.completed","response":{"output":[{"type":"message"}]}}"#,
            ),
            (OpenAiResponses, r#"{"response":{"output":[]},"type":"response.incomplete"}"#),
            (Anthropic, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#),
            (Gemini, r#"{"candidates":[{"finishReason":"STOP","index":1}]}"#),
            (Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#),
        ] {
            let (glance, ..) = look(dialect, data);
            assert!(!glance.finished.is_empty(), "{data}");
            assert!(glance.choices.holds(glance.finished), "{data}");
        }
        // A status alone, of an answer with nothing in it, is no reason for an end.
        let (hollow, ..) =
            look(OpenAiResponses, r#"{"type":"response.completed","response":{"output":[]}}"#);
        assert!(hollow.finished.is_empty());
        for dialect in Dialect::ALL {
            let codec = codec(dialect);
            let unreadable =
                |data: &[u8]| codec.glance(&Frame { event: "", data }, &mut |_, _| {}).unwrap_err();
            assert_eq!(unreadable(b"<html>"), UnreadableEvent::NotJson);
            assert_eq!(unreadable(b"{\"choices\":[{"), UnreadableEvent::NotJson);
            assert_eq!(unreadable(b""), UnreadableEvent::NotJson);
            assert_eq!(unreadable(b"{\"a\":\"\xff\"}"), UnreadableEvent::NotUtf8);
            let other = codec.glance(&Frame { event: "", data: b"[1]" }, &mut |_, _| {});
            assert!(other.unwrap().speaks, "another shape");
        }
    }
}
