//! Anthropic Messages. Source: the anthropic SDK's types and the recordings under `tests/recordings`.

mod block;
mod error;
mod glance;
mod reply;
mod request;
mod stream;
mod writer;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::codecs::instruct_at;
use super::frame::Frame;
use super::glance::{Glance, UnreadableEvent, Voice};
use super::vocab::{Dialect, Fault, Malformed, Reply, Request, RequestHead, Usage};
use super::{Codec, Encoded, Heading, ProviderSide, Reader, TapResult, Target, Writer};
use crate::base::Error;

pub struct Anthropic;

impl ProviderSide for Anthropic {
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed> {
        Ok(request::encode(request, target))
    }

    fn has_json_mode(&self) -> bool {
        false
    }

    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        reply::decode(body)
    }

    fn reader(&self) -> Box<dyn Reader + Send> {
        Box::new(stream::MessageReader::default())
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

    fn goes_on(&self, frame: &Frame<'_>) -> bool {
        // An answer of several messages, each of which stops (calls of tools by a program).
        frame.event == "message_start"
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

impl Codec for Anthropic {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
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
        Box::new(writer::MessageWriter::new(heading))
    }

    fn instruct(&self, body: &mut Map<String, Value>, text: &str) {
        instruct_at(body, "system", text);
    }

    fn encode_error(&self, error: &Error) -> (u16, Bytes) {
        error::encode(error)
    }
}
