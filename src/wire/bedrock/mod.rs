//! Amazon Bedrock's Converse, as a provider speaks it. Source: the service's API reference and the
//! recordings under `tests/recordings`.

mod block;
mod error;
mod reply;
mod request;
mod stream;

use super::frame::{Frame, Splitter, eventstream};
use super::glance::{Glance, UnreadableEvent, Voice};
use super::vocab::{Fault, Malformed, Reply, Request, Usage};
use super::{Encoded, ProviderSide, Reader, TapResult, Target};

pub struct Bedrock;

impl ProviderSide for Bedrock {
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed> {
        Ok(request::encode(request, target))
    }

    fn has_json_mode(&self) -> bool {
        false
    }

    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed> {
        reply::decode(body)
    }

    fn splitter(&self, limit_bytes: usize) -> Splitter {
        Splitter::EventStream(eventstream::Splitter::new(limit_bytes))
    }

    fn reader(&self) -> Box<dyn Reader + Send> {
        Box::new(stream::ConverseReader::default())
    }

    /// Nobody asks us in this dialect, so nothing passes unread.
    fn tap(&self, _data: &[u8]) -> TapResult {
        TapResult::default()
    }

    fn glance(
        &self,
        _frame: &Frame<'_>,
        _hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, UnreadableEvent> {
        Ok(Glance::default())
    }

    fn is_hollow(&self, body: &[u8]) -> bool {
        let reply = reply::decode(body);
        let hollow = |reply: &Reply| {
            reply.choices.iter().all(|one| one.turn.parts.is_empty() && one.finish.is_none())
        };
        reply.is_ok_and(|reply| hollow(&reply))
    }

    fn usage(&self, body: &[u8]) -> Option<Usage> {
        reply::decode(body).ok()?.usage
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> Fault {
        error::decode(status, body)
    }
}
