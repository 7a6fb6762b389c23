//! What is thrown bytes at, one function per decoder: by libFuzzer in `fuzz_targets/`, and over the
//! kept corpus by `tests/blackbox/fuzzed.rs`. Nothing here may panic, whatever the bytes; where
//! there is a law, it is asserted.

use optimux::base::{Error, Kind};
use optimux::platform::responses::ResponseOptions;
use optimux::wire::embeddings::{self, EmbeddingsForm};
use optimux::wire::frame::{Frame, Splitter, eventstream, sse};
use optimux::wire::vocab::{Dialect, Event, Protocol};
use optimux::wire::{Heading, Target, codec, images, model_only, provider_side, realtime};

type Decoder = fn(&[u8]);

/// The decoders by name.
pub const DECODERS: [(&str, Decoder); 17] = [
    ("sse", server_sent_events),
    ("eventstream", event_stream),
    ("request_chat", |bytes| request(Dialect::OpenAiChat, bytes)),
    ("request_responses", |bytes| request(Dialect::OpenAiResponses, bytes)),
    ("request_anthropic", |bytes| request(Dialect::Anthropic, bytes)),
    ("request_gemini", |bytes| request(Dialect::Gemini, bytes)),
    ("reply_chat", |bytes| reply(Protocol::Dialect(Dialect::OpenAiChat), bytes)),
    ("reply_responses", |bytes| reply(Protocol::Dialect(Dialect::OpenAiResponses), bytes)),
    ("reply_anthropic", |bytes| reply(Protocol::Dialect(Dialect::Anthropic), bytes)),
    ("reply_gemini", |bytes| reply(Protocol::Dialect(Dialect::Gemini), bytes)),
    ("reply_bedrock", |bytes| reply(Protocol::Bedrock, bytes)),
    ("stream_chat", |bytes| stream(Protocol::Dialect(Dialect::OpenAiChat), bytes)),
    ("stream_responses", |bytes| stream(Protocol::Dialect(Dialect::OpenAiResponses), bytes)),
    ("stream_anthropic", |bytes| stream(Protocol::Dialect(Dialect::Anthropic), bytes)),
    ("stream_gemini", |bytes| stream(Protocol::Dialect(Dialect::Gemini), bytes)),
    ("stream_bedrock", |bytes| stream(Protocol::Bedrock, bytes)),
    ("other", other),
];

pub const PROTOCOLS: [Protocol; 5] = [
    Protocol::Dialect(Dialect::OpenAiChat),
    Protocol::Dialect(Dialect::OpenAiResponses),
    Protocol::Dialect(Dialect::Anthropic),
    Protocol::Dialect(Dialect::Gemini),
    Protocol::Bedrock,
];

/// The first byte says where the rest is cut in two.
fn cut(bytes: &[u8]) -> (&[u8], usize) {
    match bytes.split_first() {
        Some((at, rest)) => (rest, usize::from(*at) % (rest.len() + 1)),
        None => (bytes, 0),
    }
}

fn frames(mut splitter: Splitter, chunks: &[&[u8]]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut seen = Vec::new();
    let mut note = |frame: Frame<'_>| seen.push((frame.event.to_owned(), frame.data.to_vec()));
    for chunk in chunks {
        splitter.feed(chunk, &mut note).ok()?;
    }
    splitter.finish(&mut note);
    Some(seen)
}

/// A stream means the same however it is cut.
fn server_sent_events(bytes: &[u8]) {
    let (bytes, at) = cut(bytes);
    let splitter = || Splitter::Sse(sse::Splitter::new(1 << 20));
    let (first, second) = bytes.split_at(at);
    assert_eq!(frames(splitter(), &[bytes]), frames(splitter(), &[first, second]));
}

fn event_stream(bytes: &[u8]) {
    let (bytes, at) = cut(bytes);
    let splitter = || Splitter::EventStream(eventstream::Splitter::new(1 << 20));
    let (first, second) = bytes.split_at(at);
    assert_eq!(frames(splitter(), &[bytes]), frames(splitter(), &[first, second]));
}

/// What is understood can be said in every dialect.
fn request(dialect: Dialect, bytes: &[u8]) {
    let _head = codec(dialect).head(bytes);
    let _echo = codec(dialect).echo(bytes);
    let Ok(request) = codec(dialect).decode_request(bytes) else { return };
    let target = Target { max_output_tokens: 9_000, ..Target::SELF };
    for protocol in PROTOCOLS {
        let _said = provider_side(protocol).encode_request(&request, &target);
    }
    let _needs = optimux::router::Needs::of(&request);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let prompt = optimux::router::neural::Prompt::new(text);
        let _counts = optimux::router::neural::read(prompt, &mut |_| {});
    }
}

fn heading() -> Heading {
    Heading { id: "id".to_owned(), model: "m".to_owned(), ..Heading::default() }
}

fn reply(protocol: Protocol, bytes: &[u8]) {
    let theirs = provider_side(protocol);
    let _usage = theirs.usage(bytes);
    for status in [200, 400, 429, 500] {
        let error: Error = theirs.decode_error(status, bytes).into_error();
        for dialect in Dialect::ALL {
            let _told = codec(dialect).encode_error(&error);
        }
    }
    let Ok(reply) = theirs.decode_reply(bytes) else { return };
    for dialect in Dialect::ALL {
        let _said = codec(dialect).encode_reply(&reply, &heading());
    }
}

/// The bytes are the payloads of frames, a line each.
fn stream(protocol: Protocol, bytes: &[u8]) {
    let theirs = provider_side(protocol);
    let mut reader = theirs.reader();
    let mut batches: Vec<Vec<Event>> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _tapped = theirs.tap(line);
        // Bedrock's frames have their kind beside them.
        let (event, data) = match (protocol, line.iter().position(|byte| *byte == b' ')) {
            (Protocol::Bedrock, Some(at)) => {
                let (event, data) = line.split_at(at);
                (String::from_utf8_lossy(event).into_owned(), data)
            }
            _ => (String::new(), line),
        };
        let mut events = Vec::new();
        if reader.read(&Frame { event: &event, data }, &mut events).is_err() {
            break;
        }
        batches.push(events);
    }
    let mut last = Vec::new();
    reader.finish(&mut last);
    batches.push(last);
    for dialect in Dialect::ALL {
        let mut writer = codec(dialect).writer(heading());
        let mut out = Vec::new();
        for events in &batches {
            writer.write(events, &mut out);
        }
        writer.finish(&mut out);
        writer.fail(&Error::new(Kind::UpstreamDown, "x"), &mut out);
    }
}

fn other(bytes: &[u8]) {
    for form in [EmbeddingsForm::Openai, EmbeddingsForm::Gemini, EmbeddingsForm::GeminiOne] {
        let Ok(request) = embeddings::decode_request(bytes, form) else { continue };
        for form in [
            EmbeddingsForm::Openai,
            EmbeddingsForm::Mistral,
            EmbeddingsForm::Voyage,
            EmbeddingsForm::Cohere,
            EmbeddingsForm::Vertex,
            EmbeddingsForm::Gemini,
        ] {
            let _said = embeddings::encode_request(&request, form, "m");
        }
    }
    if let Ok(reply) = embeddings::decode_reply(bytes) {
        for base64 in [true, false] {
            let request = embeddings::EmbeddingsRequest {
                base64,
                ..embeddings::EmbeddingsRequest::default()
            };
            for form in [EmbeddingsForm::Openai, EmbeddingsForm::Gemini, EmbeddingsForm::GeminiOne]
            {
                let _said = embeddings::encode_reply(reply.clone(), &request, form, "m", 1);
            }
        }
    }
    if let Ok((_, request)) = images::decode_request(bytes) {
        let rules = images::ImagesRules::default();
        let _checked = rules.check(&request);
        for form in
            [images::ImagesForm::Openai, images::ImagesForm::Xai, images::ImagesForm::Gemini]
        {
            let _said = images::encode_request(&request, form, &rules, "m", 1);
        }
    }
    let _drawn = images::from_gemini(bytes, 0);
    let _used = realtime::usage_of(bytes);
    let _model = model_only(bytes);
    if let Ok(asked) = ResponseOptions::read(bytes) {
        let _whole = asked.made_whole(bytes, asked.items(), &std::collections::HashMap::new());
    }
}
