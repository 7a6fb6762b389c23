//! OpenAI Responses. Source: the openai SDK's types and the recordings under `tests/recordings`.

mod glance;
mod item;
mod reader;
mod reply;
mod request;
mod writer;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::codecs::instruct_at;
use super::frame::json::span_of;
use super::frame::{Frame, sse};
use super::glance::{Glance, UnreadableEvent, Voice};
use super::openai_error as error;
use super::vocab::{ByteSpan, Dialect, Fault, Malformed, Reply, Request, RequestHead, Tool, Usage};
use super::{Codec, Encoded, Heading, ProviderSide, Reader, TapResult, Target, Writer};
use crate::base::Error;

pub struct OpenAiResponses;

/// A response of which nothing has come yet.
#[must_use]
pub fn beginning(heading: &Heading, status: &str) -> Map<String, Value> {
    reply::around(heading, status, Vec::new())
}

/// The tools that a group of them holds, or an item that brings some along.
#[must_use]
pub fn tools_within(value: &Value) -> Vec<Tool> {
    let all = value.get("tools").and_then(Value::as_array);
    let tools = all.into_iter().flatten().cloned();
    // What cannot be read cannot be offered.
    tools.filter_map(|tool| request::decode_tool(tool, "tools").ok()).collect()
}

/// What asks for reasoning to be given sealed, so that a chain of answers can go on with it.
const SEALED: &str = "reasoning.encrypted_content";

/// The edit by which a body asks for sealed reasoning; `None` where it does already, or where the
/// answer is not to be kept.
#[must_use]
pub fn ask_for_seal(body: &[u8]) -> Option<(ByteSpan, String)> {
    #[derive(Deserialize)]
    struct Only<'a> {
        store: Option<bool>,
        #[serde(borrow)]
        include: Option<&'a RawValue>,
    }
    let says = |word: &str| memmem::find(body, word.as_bytes()).is_some();
    if says(SEALED) {
        return None;
    }
    if says("\"store\"") || says("\"include\"") {
        let only: Only<'_> = serde_json::from_slice(body).ok()?;
        if only.store == Some(false) {
            return None;
        }
        if let Some(raw) = only.include {
            let mut all: Vec<Value> = serde_json::from_str(raw.get()).ok()?;
            all.push(Value::from(SEALED));
            return Some((span_of(body, raw.get())?, Value::Array(all).to_string()));
        }
        if says("\"include\"") {
            return None;
        }
    }
    // After the opening brace, wherever that stands.
    let brace = body.iter().position(|byte| *byte == b'{')? + 1;
    Some((brace..brace, format!("\"include\":[\"{SEALED}\"],")))
}

/// The event that ends a stream with a failed response.
#[must_use]
pub fn failure(response: &Value) -> Bytes {
    let event = json!({"type": "response.failed", "sequence_number": 0, "response": response});
    let mut out = Vec::new();
    sse::write(&mut out, "response.failed", event.to_string().as_bytes());
    Bytes::from(out)
}

impl ProviderSide for OpenAiResponses {
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed> {
        Ok(request::encode(request, target))
    }

    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        reply::decode(body)
    }

    fn reader(&self) -> Box<dyn Reader + Send> {
        Box::new(reader::ResponseReader::default())
    }

    fn tap(&self, data: &[u8]) -> TapResult {
        reader::tap(data)
    }

    fn glance(
        &self,
        frame: &Frame<'_>,
        hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, UnreadableEvent> {
        glance::glance(frame, hear)
    }

    fn is_hollow(&self, body: &[u8]) -> bool {
        glance::is_hollow(body)
    }

    fn usage(&self, body: &[u8]) -> Option<Usage> {
        reply::usage_of(body)
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> Fault {
        error::decode(status, body)
    }
}

impl Codec for OpenAiResponses {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiResponses
    }

    fn head(&self, body: &[u8]) -> Result<RequestHead, Malformed> {
        request::head(body)
    }

    fn decode_request(&self, body: &[u8]) -> Result<Request, Malformed> {
        request::decode(body)
    }

    fn encode_reply(&self, reply: &Reply, heading: &Heading) -> Bytes {
        reply::encode(reply, heading)
    }

    fn writer(&self, heading: Heading) -> Box<dyn Writer + Send> {
        Box::new(writer::ResponseWriter::new(heading))
    }

    fn echo(&self, body: &[u8]) -> Map<String, Value> {
        request::echo(&serde_json::from_slice(body).unwrap_or_default())
    }

    fn instruct(&self, body: &mut Map<String, Value>, text: &str) {
        instruct_at(body, "instructions", text);
    }

    fn encode_error(&self, error: &Error) -> (u16, Bytes) {
        error::encode(error)
    }
}

/// Whether the id of an item of reasoning is one that our own answers have: OpenAI's hold no second
/// underscore.
#[must_use]
pub fn is_our_own(id: &str) -> bool {
    id.strip_prefix("rs_").is_some_and(|rest| rest.contains('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::json::splice;

    #[test]
    fn sealed_reasoning_is_asked_for_once_where_an_answer_is_kept() {
        for (body, include) in [
            (json!({"model": "m", "input": "x"}), Some(json!([SEALED]))),
            (json!({"store": true}), Some(json!([SEALED]))),
            (json!({"include": ["a.b"], "model": "m"}), Some(json!(["a.b", SEALED]))),
            (json!({"include": [], "store": null}), Some(json!([SEALED]))),
            (json!({"include": [SEALED]}), None),
            (json!({"store": false}), None),
            (json!({"store": false, "include": ["a.b"]}), None),
            (json!({"include": null}), None),
        ] {
            let text = body.to_string();
            let edit = ask_for_seal(text.as_bytes());
            let asked = edit.map(|(span, with)| -> Value {
                let body = splice(text.as_bytes(), &[(span, with.as_bytes())]);
                serde_json::from_slice(&body).unwrap()
            });
            assert_eq!(asked.as_ref().map(|asked| asked["include"].clone()), include, "{body}");
        }
    }
}
