//! OpenAI chat completions, and what the many providers that claim to speak it really say.
//! Source: the openai SDK's types and the recordings under `tests/recordings`.

mod message;
mod reply;
mod request;
mod stream;
mod whole;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::frame::Frame;
use super::glance::{Glance, UnreadableEvent, Voice};
use super::openai_error as error;
use super::vocab::{Dialect, Fault, Malformed, Reply, Request, RequestHead, Usage};
use super::{Codec, Encoded, Heading, ProviderSide, Reader, TapResult, Target, Writer};
use crate::base::Error;

use whole::Whole;

pub struct OpenAiChat;

impl ProviderSide for OpenAiChat {
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed> {
        Ok(request::encode(request, target))
    }

    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        reply::decode(body)
    }

    fn reader(&self) -> Box<dyn Reader + Send> {
        Box::new(stream::ChatReader::default())
    }

    fn tap(&self, data: &[u8]) -> TapResult {
        stream::tap(data)
    }

    fn glance(
        &self,
        frame: &Frame<'_>,
        hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, UnreadableEvent> {
        stream::glance(frame, hear)
    }

    fn is_hollow(&self, body: &[u8]) -> bool {
        Whole::read(body).is_some_and(|whole| whole.is_hollow())
    }

    fn usage(&self, body: &[u8]) -> Option<Usage> {
        Whole::read(body)?.usage()
    }

    fn looked_at(&self, body: &[u8]) -> (Option<Usage>, bool) {
        Whole::read(body).map_or((None, false), |whole| (whole.usage(), whole.is_hollow()))
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> Fault {
        error::decode(status, body)
    }
}

impl Codec for OpenAiChat {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiChat
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
        Box::new(stream::ChatWriter::new(heading))
    }

    fn instruct(&self, body: &mut Map<String, Value>, text: &str) {
        let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
        let is_instruction = |message: &Value| {
            matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
        };
        let after = messages.iter().take_while(|message| is_instruction(message)).count();
        messages.insert(after, json!({"role": "system", "content": text}));
    }

    fn encode_error(&self, error: &Error) -> (u16, Bytes) {
        error::encode(error)
    }
}
