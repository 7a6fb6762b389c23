//! Recorded answers that name their sources: the pages are named in every other dialect, plain and
//! streamed.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use optimux::wire::frame::sse;
use optimux::wire::vocab::{Dialect, Event, Protocol, Reply};
use optimux::wire::{Heading, codec, provider_side};
use serde_json::Value;

use super::{lines, report};

fn protocol(row: &Value) -> Option<Protocol> {
    Some(match row["api"].as_str()? {
        "chat" => Protocol::Dialect(Dialect::OpenAiChat),
        "responses" => Protocol::Dialect(Dialect::OpenAiResponses),
        "messages" => Protocol::Dialect(Dialect::Anthropic),
        "gemini" => Protocol::Dialect(Dialect::Gemini),
        "bedrock" => Protocol::Bedrock,
        _ => return None,
    })
}

fn pages(reply: &Reply) -> Vec<String> {
    let parts = reply.choices.iter().take(1).flat_map(|choice| &choice.turn.parts);
    parts.flat_map(|part| &part.citations).filter_map(|one| one.url.clone()).collect()
}

#[test]
fn sources_are_named_in_every_dialect() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in lines() {
        let Some(protocol) = protocol(&row) else { continue };
        let body = row["response"]["body"].to_string();
        let Ok(reply) = provider_side(protocol).decode_reply(body.as_bytes()) else { continue };
        let cited = pages(&reply);
        if cited.is_empty() {
            continue;
        }
        for dialect in Dialect::ALL.into_iter().filter(|one| protocol != Protocol::Dialect(*one)) {
            checked += 1;
            let told = codec(dialect).encode_reply(&reply, &Heading::default());
            let again = pages(&codec(dialect).decode_reply(&told).unwrap());
            if again != cited {
                findings.push(format!("{} in {dialect:?}: {again:?}, not {cited:?}", row["id"]));
            }
        }
    }
    assert!(checked > 60, "{checked}");
    report("cited answers", checked, &findings);
}

fn streamed_pages(events: &[Event]) -> Vec<String> {
    let mut fold = optimux::wire::vocab::Fold::new();
    for event in events {
        fold.push(event);
    }
    pages(&fold.finish().0)
}

fn read(protocol: Protocol, bytes: &[u8]) -> Vec<Event> {
    let theirs = provider_side(protocol);
    let mut reader = theirs.reader();
    let mut events = Vec::new();
    let mut splitter = theirs.splitter(1 << 26);
    let read = |frame: sse::Frame<'_>| {
        // A recorded stream may break off with an error.
        let _broken = reader.read(&frame, &mut events);
    };
    splitter.feed(bytes, read).unwrap();
    reader.finish(&mut events);
    events
}

#[test]
fn sources_are_named_in_streams_too() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in lines() {
        let Some(protocol) = protocol(&row) else { continue };
        let response = &row["response"];
        let bytes = match (response["text"].as_str(), response["base64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => BASE64_STANDARD.decode(text).unwrap(),
            _ => continue,
        };
        let events = read(protocol, &bytes);
        let cited = streamed_pages(&events);
        if cited.is_empty() {
            continue;
        }
        for dialect in Dialect::ALL.into_iter().filter(|one| protocol != Protocol::Dialect(*one)) {
            checked += 1;
            let mut writer = codec(dialect).writer(Heading::default());
            let mut out = Vec::new();
            for event in &events {
                writer.write(std::slice::from_ref(event), &mut out);
            }
            writer.finish(&mut out);
            let again = streamed_pages(&read(Protocol::Dialect(dialect), &out));
            if again != cited {
                findings.push(format!("{} in {dialect:?}: {again:?}, not {cited:?}", row["id"]));
            }
        }
    }
    assert!(checked > 5, "{checked}");
    report("cited streams", checked, &findings);
}
