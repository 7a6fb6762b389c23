//! What a codec is: what it takes to ask a provider and to understand it, what it takes to be asked, and
//! the readers and writers of streams.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::frame::{Frame, Splitter, sse};
use super::glance::{Glance, UnreadableEvent, Voice};
use super::vocab::{
    Control, Dialect, Efforts, Event, Fault, Losses, Malformed, Off, Reply, Request, RequestHead,
    Thinking, ThinkingStyle, ThoughtsBack, Usage,
};
use crate::base::Error;
use crate::base::clock::Clock;

/// What an encoder has to know of the deployment it writes for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider's own name for the model.
    pub model: &'a str,
    /// The most the model can answer, in tokens: what Anthropic must be told when nobody asked for less.
    pub max_output_tokens: u64,
    /// How it thinks, and how it is told to.
    pub thinking: &'a Thinking,
    /// What of earlier reasoning it takes back.
    pub thoughts: ThoughtsBack,
    /// The provider knows only `max_tokens`, not OpenAI's later `max_completion_tokens`.
    pub max_tokens_only: bool,
}

/// A model of which nothing is known.
const UNKNOWN: Thinking = Thinking {
    manner: ThinkingStyle::Unknown,
    by_default: false,
    off: Off::Impossible,
    budget: None,
    efforts: Efforts::NONE,
    default_effort: None,
    map: Vec::new(),
    control: Control::Effort,
};

impl Target<'static> {
    /// What a request is written for that is read again here.
    pub const SELF: Self = Self {
        model: "m",
        max_output_tokens: 1,
        thinking: &UNKNOWN,
        thoughts: ThoughtsBack::All,
        max_tokens_only: false,
    };
}

/// An encoded request.
#[derive(Debug)]
pub struct Encoded {
    pub body: Bytes,
    /// What the dialect had no words for.
    pub losses: Losses,
}

/// What a stream's writer puts on every chunk.
#[derive(Debug, Clone, Default)]
pub struct Heading {
    /// The reply's id, should the upstream give none.
    pub id: String,
    /// The name of the model that answers, as the caller should read it.
    pub model: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// The caller asked for usage at the end of a chat stream.
    pub include_usage: bool,
    /// The caller knows calls as chat had them first: one `function_call`, of what it listed as `functions`.
    pub functions: bool,
    /// The request's settings, which an answer of OpenAI's Responses repeats.
    pub echo: Map<String, Value>,
    /// Tells when the answer was complete.
    pub clock: Clock,
    /// What the prompt is taken to be long, in tokens, should the provider not count.
    pub prompt_tokens: u64,
}

/// What it takes to ask a provider, and to understand it.
pub trait ProviderSide: Sync {
    /// # Errors
    /// [`Malformed`] when the request says something the target dialect must be told and cannot be.
    fn encode_request(&self, request: &Request, target: &Target<'_>) -> Result<Encoded, Malformed>;

    /// # Errors
    /// [`Malformed`] when a provider's answer cannot be read.
    fn decode_reply(&self, body: &[u8]) -> Result<Reply, Malformed>;

    /// Whether a model can be told to answer with any JSON object. Where it cannot, it is asked in words
    /// and held to it (`json_mode`).
    fn has_json_mode(&self) -> bool {
        true
    }

    /// Cuts the provider's streams.
    fn splitter(&self, limit_bytes: usize) -> Splitter {
        Splitter::Sse(sse::Splitter::new(limit_bytes))
    }

    fn reader(&self) -> Box<dyn Reader + Send>;

    /// What a frame of this dialect's stream says of usage, without building events of the rest.
    fn tap(&self, data: &[u8]) -> TapResult;

    /// What else is to be known of a frame that passes unread; `hear` gets the words in it.
    ///
    /// # Errors
    /// [`UnreadableEvent`] for a frame that no client could read.
    fn glance(
        &self,
        frame: &Frame<'_>,
        hear: &mut dyn FnMut(Voice, &str),
    ) -> Result<Glance, UnreadableEvent>;

    /// Whether a whole answer holds none: no words, no calls, and no reason for having none. Its
    /// maker's fault, whatever the status says.
    fn is_hollow(&self, body: &[u8]) -> bool;

    /// Whether a frame goes on with an answer whose stream has said its last word.
    fn goes_on(&self, _frame: &Frame<'_>) -> bool {
        false
    }

    /// Whether its streams have a last word. Where they have none, the connection's end is it: more may
    /// come behind a reason for which an answer ended.
    fn has_last_word(&self) -> bool {
        true
    }

    /// The usage that a whole reply reports.
    fn usage(&self, body: &[u8]) -> Option<Usage>;

    /// What a whole reply that passes unread used, and whether it is hollow. For those that can see
    /// both in one pass.
    fn looked_at(&self, body: &[u8]) -> (Option<Usage>, bool) {
        (self.usage(body), self.is_hollow(body))
    }

    /// What a provider's error means. `body` may be anything at all.
    fn decode_error(&self, status: u16, body: &[u8]) -> Fault;
}

/// One dialect, both ways: what it takes to be asked, too.
pub trait Codec: ProviderSide {
    fn dialect(&self) -> Dialect;

    /// The few facts the hot path needs, found in one pass without building a tree.
    ///
    /// # Errors
    /// [`Malformed`] when the body is not JSON or breaks the dialect's types.
    fn head(&self, body: &[u8]) -> Result<RequestHead, Malformed>;

    /// # Errors
    /// [`Malformed`] naming the field at fault.
    fn decode_request(&self, body: &[u8]) -> Result<Request, Malformed>;

    fn encode_reply(&self, reply: &Reply, heading: &Heading) -> Bytes;

    fn writer(&self, heading: Heading) -> Box<dyn Writer + Send>;

    /// The settings of a request that an answer of this dialect repeats.
    fn echo(&self, _body: &[u8]) -> Map<String, Value> {
        Map::new()
    }

    /// Adds an instruction to those that a request has, after them.
    fn instruct(&self, body: &mut Map<String, Value>, text: &str);

    /// Status and body.
    fn encode_error(&self, error: &Error) -> (u16, Bytes);
}

/// Adds a text to instructions that are a string, a list of parts, or not there.
pub(super) fn instruct_at(body: &mut Map<String, Value>, name: &str, text: &str) {
    match body.get_mut(name) {
        Some(Value::String(known)) if !known.is_empty() => {
            known.push_str("\n\n");
            known.push_str(text);
        }
        Some(Value::Array(parts)) => {
            parts.push(serde_json::json!({"type": "text", "text": text}));
        }
        _ => {
            body.insert(name.to_owned(), Value::from(text));
        }
    }
}

/// What a relay that passes bytes through learns from one frame.
#[derive(Debug, Default, PartialEq)]
pub struct TapResult {
    pub usage: Option<Usage>,
    /// The frame holds nothing but usage (chat's last chunk).
    pub usage_only: bool,
    /// The frame is an error.
    pub fault: Option<Fault>,
    /// The stream has said its last word.
    pub ended: bool,
}

/// Frames to events. Stateful: one per stream.
pub trait Reader {
    /// # Errors
    /// [`Malformed`] when the frame is not of the dialect; the stream is then broken.
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed>;

    /// The stream has said its last word.
    fn ended(&self) -> bool;

    /// The connection ended. Closes what is open; says whether the stream had come to its end.
    fn finish(&mut self, out: &mut Vec<Event>) -> bool;
}

/// Events to bytes. Stateful: one per stream.
pub trait Writer {
    /// The events of one upstream frame.
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>);

    /// An event of this dialect which the caller has read as it came, and which has been written besides: what
    /// follows goes on with its names and numbers.
    fn passed(&mut self, _frame: &Frame<'_>) {}

    /// The last bytes of a stream that went well.
    fn finish(&mut self, out: &mut Vec<u8>);

    /// The last bytes of a stream that did not.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>);

    /// Something harmless that keeps an idle connection open, in this dialect's manner.
    fn keep_alive(&self) -> &'static [u8];
}
