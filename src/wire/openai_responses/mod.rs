//! OpenAI Responses. Source: the openai SDK's types and the recordings under `tests/recordings`.

mod glance;
mod item;
mod reader;
mod reply;
mod request;
mod writer;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::frame::{Frame, sse};
use super::glance::{Glance, Unreadable, Voice};
use super::openai_error as error;
use super::vocab::{Dialect, Fault, Head, Malformed, Reply, Request, Usage};
use super::{Codec, Encoded, Heading, ProviderSide, Reader, Tapped, Target, Writer, instruct_at};
use crate::base::Error;

pub struct OpenAiResponses;

/// A response of which nothing has come yet.
#[must_use]
pub fn beginning(heading: &Heading, status: &str) -> Map<String, Value> {
    reply::around(heading, status, Vec::new())
}

/// The event that ends a stream with a failed response.
#[must_use]
pub fn failure(response: &Value) -> Bytes {
    let event = json!({"type": "response.failed", "sequence_number": 0, "response": response});
    let mut out = Vec::new();
    sse::write(&mut out, "response.failed", event.to_string().as_bytes());
    Bytes::from(out)
}

const DIALECT: Dialect = Dialect::OpenAiResponses;

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

    fn tap(&self, data: &[u8]) -> Tapped {
        reader::tap(data)
    }

    fn glance(
        &self,
        frame: &Frame<'_>,
        hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, Unreadable> {
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
        DIALECT
    }

    fn head(&self, body: &[u8]) -> Result<Head, Malformed> {
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
