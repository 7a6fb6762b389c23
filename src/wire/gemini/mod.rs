//! Gemini generateContent. Members come in `camelCase` or `snake_case` and leave in `camelCase`.
//! Source: the google-genai SDK's types and the recordings under `tests/recordings`.

mod content;
mod encode;
mod error;
mod glance;
mod reply;
mod request;
mod schema;
mod stream;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::frame::Frame;
use super::glance::{Glance, UnreadableEvent, Voice};
use super::vocab::{Dialect, Fault, Malformed, Reply, Request, RequestHead, Usage};
use super::{Codec, Encoded, Heading, ProviderSide, Reader, TapResult, Target, Writer};
use crate::base::Error;

pub(in crate::wire) use reply::usage_from;

pub struct Gemini;

impl ProviderSide for Gemini {
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed> {
        Ok(encode::encode(request, target))
    }

    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        reply::decode(body)
    }

    fn reader(&self) -> Box<dyn Reader + Send> {
        Box::new(stream::ContentReader::default())
    }

    fn tap(&self, data: &[u8]) -> TapResult {
        stream::tap(data)
    }

    fn glance(
        &self,
        frame: &Frame<'_>,
        hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, UnreadableEvent> {
        glance::glance(frame, hear)
    }

    fn has_last_word(&self) -> bool {
        false
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

impl Codec for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
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
        Box::new(stream::ContentWriter::new(heading))
    }

    fn instruct(&self, body: &mut Map<String, Value>, text: &str) {
        let name = ["systemInstruction", "system_instruction"];
        let name = name.into_iter().find(|name| body.contains_key(*name)).unwrap_or(name[0]);
        let known = body.entry(name).or_insert_with(|| json!({"parts": []}));
        if let Value::String(said) = known {
            *known = json!({"parts": [{"text": said.as_str()}]});
        }
        match known.get_mut("parts") {
            Some(Value::Array(parts)) => parts.push(json!({"text": text})),
            _ => *known = json!({"parts": [{"text": text}]}),
        }
    }

    fn encode_error(&self, error: &Error) -> (u16, Bytes) {
        error::encode(error)
    }
}
