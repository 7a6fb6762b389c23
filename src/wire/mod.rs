//! What the dialects say and how they say it: one vocabulary, the frames streams are cut into,
//! and one codec per dialect. Pure functions of values: no async, no clock, no I/O, no logging.
//!
//! A dialect never imports another dialect. N dialects are N codecs, and every pair meets in the
//! vocabulary. The laws, each of them a test:
//!
//! - `encode(decode(x)) == x` as JSON values, for requests, replies and streams of every dialect;
//! - decoding never panics, whatever the bytes;
//! - a stream means the same however it is cut into chunks;
//! - what an encoding cannot say is named in [`vocab::Losses`].

mod alternate;
#[cfg(test)]
mod answer_tests;
pub mod anthropic;
pub mod aside;
pub mod bedrock;
#[cfg(test)]
mod beside_tests;
pub mod blame;
mod claude;
mod codecs;
pub mod cost;
pub mod embeddings;
pub mod frame;
pub mod gemini;
pub mod glance;
mod head;
pub mod images;
mod inbound;
pub mod json_mode;
pub mod openai_chat;
mod openai_error;
pub mod openai_responses;
mod openai_usage;
mod pairing;
#[cfg(test)]
mod quirk_tests;
pub mod realtime;
pub mod refusal;
#[cfg(test)]
mod request_tests;
pub mod resume;
pub mod session;
#[cfg(test)]
mod usage_tests;
pub mod vocab;
pub mod wait;
mod weight;

pub use codecs::{Codec, Encoded, Heading, ProviderSide, Reader, TapResult, Target, Writer};
pub use head::model_only;
pub use inbound::{Inbound, Operation, PathTarget};
pub(crate) use pairing::paired;
pub use weight::{FILE_TOKENS, PICTURE_TOKENS, prompt_bytes};

use frame::Frame;
use vocab::{Dialect, Fold, Malformed, Protocol, Reply};

/// The codec of a dialect.
#[must_use]
pub fn codec(dialect: Dialect) -> &'static dyn Codec {
    match dialect {
        Dialect::OpenAiChat => &openai_chat::OpenAiChat,
        Dialect::OpenAiResponses => &openai_responses::OpenAiResponses,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
    }
}

/// The longest event of a stream that is read again.
const EVENT_BYTES: usize = 32 << 20;

/// What an answer says that was given in a dialect, whole or as a stream.
///
/// # Errors
/// [`Malformed`] when it is none, or broke off.
pub fn said(dialect: Dialect, answer: &[u8], streamed: bool) -> Result<Reply, Malformed> {
    let codec = codec(dialect);
    if !streamed {
        return codec.decode_reply(answer);
    }
    let (mut reader, mut events, mut broken) = (codec.reader(), Vec::new(), None);
    let mut splitter = codec.splitter(EVENT_BYTES);
    let mut read = |frame: Frame<'_>| {
        if let Err(why) = reader.read(&frame, &mut events) {
            broken.get_or_insert(why);
        }
    };
    let whole = splitter.feed(answer, &mut read).is_ok();
    splitter.finish(&mut read);
    if let Some(why) = broken {
        return Err(why);
    }
    if !reader.finish(&mut events) || !whole {
        return Err(Malformed::new("The stream broke off."));
    }
    let mut fold = Fold::new();
    for event in &events {
        fold.push(event);
    }
    match fold.finish() {
        (reply, None) => Ok(reply),
        (_, Some(fault)) => Err(Malformed::new(fault.message)),
    }
}

/// How a provider is asked.
#[must_use]
pub fn provider_side(protocol: Protocol) -> &'static dyn ProviderSide {
    match protocol {
        Protocol::Dialect(Dialect::OpenAiChat) => &openai_chat::OpenAiChat,
        Protocol::Dialect(Dialect::OpenAiResponses) => &openai_responses::OpenAiResponses,
        Protocol::Dialect(Dialect::Anthropic) => &anthropic::Anthropic,
        Protocol::Dialect(Dialect::Gemini) => &gemini::Gemini,
        Protocol::Bedrock => &bedrock::Bedrock,
    }
}
