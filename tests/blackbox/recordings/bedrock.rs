//! Recorded Converse traffic: what was said is understood, at any cut, and what the other dialects
//! say is valid there.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use optimux::wire::frame::Splitter;
use optimux::wire::vocab::{Body, Event, Fold, Protocol, Reply};
use optimux::wire::{Target, codec, provider_side};
use serde_json::Value;

use super::{lines, report, rows};

fn recorded() -> Vec<Value> {
    lines().into_iter().filter(|row| row["api"] == "bedrock").collect()
}

fn texts(reply: &Reply) -> String {
    reply.choices.iter().flat_map(|choice| choice.turn.texts()).collect()
}

fn calls(reply: &Reply) -> Vec<(String, Value)> {
    let parts = reply.choices.iter().flat_map(|choice| &choice.turn.parts);
    parts
        .filter_map(|part| match &part.body {
            Body::Call(call) => {
                let arguments = call.arguments.as_deref().unwrap_or("{}");
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                Some((call.name.clone(), serde_json::from_str(arguments).unwrap()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn answers_are_understood() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in recorded() {
        let body = &row["response"]["body"];
        if !body["output"].is_object() {
            continue;
        }
        checked += 1;
        let reply = provider_side(Protocol::Bedrock)
            .decode_reply(body.to_string().as_bytes())
            .unwrap_or_else(|why| panic!("{}: {why}", row["id"]));
        let content = body["output"]["message"]["content"].as_array().unwrap();
        let said: String = content
            .iter()
            .flat_map(|block| {
                let cited = block["citationsContent"]["content"].as_array().cloned();
                cited.unwrap_or_else(|| vec![block.clone()])
            })
            .filter_map(|block| block["text"].as_str().map(str::to_owned))
            .collect();
        let called: Vec<(String, Value)> = content
            .iter()
            .filter(|block| block["toolUse"].is_object())
            .map(|block| {
                let call = &block["toolUse"];
                (call["name"].as_str().unwrap().to_owned(), call["input"].clone())
            })
            .collect();
        let usage = reply.usage.as_ref().unwrap();
        if texts(&reply) != said || calls(&reply) != called {
            findings.push(format!("{}: {reply:?}", row["id"]));
        } else if Some(usage.total()) != body["usage"]["totalTokens"].as_u64() {
            findings.push(format!("{}: {usage:?} is not {}", row["id"], body["usage"]));
        }
    }
    report("Converse answers", checked, &findings);
}

fn read(splitter: &mut Splitter, chunks: &[&[u8]]) -> Vec<Event> {
    let mut reader = provider_side(Protocol::Bedrock).reader();
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk, |frame| reader.read(&frame, &mut events).unwrap()).unwrap();
    }
    assert!(reader.finish(&mut events));
    events
}

#[test]
fn streams_mean_the_same_at_any_cut() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in recorded() {
        let Some(text) = row["response"]["base64"].as_str() else { continue };
        checked += 1;
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        let side = provider_side(Protocol::Bedrock);
        let whole = read(&mut side.splitter(1 << 24), &[&bytes]);
        for size in [1, 7, 100] {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            if read(&mut side.splitter(1 << 24), &chunks) != whole {
                findings.push(format!("{}: cut into {size}", row["id"]));
            }
        }
        let mut fold = Fold::new();
        for event in &whole {
            fold.push(event);
        }
        let (reply, fault) = fold.finish();
        assert!(fault.is_none() && reply.choices[0].finish.is_some(), "{}", row["id"]);
        // What each frame's payload says, added up without a reader.
        let mut said = String::new();
        let mut total = None;
        side.splitter(1 << 24)
            .feed(&bytes, |frame| {
                let event: Value = serde_json::from_slice(frame.data).unwrap();
                said.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                total = event["usage"]["totalTokens"].as_u64().or(total);
            })
            .unwrap();
        let used = reply.usage.as_ref().map(optimux::wire::vocab::Usage::total);
        if texts(&reply) != said || used != total {
            findings.push(format!("{}: {reply:?}", row["id"]));
        }
        calls(&reply);
    }
    report("Converse streams", checked, &findings);
}

/// What Converse demands of a conversation.
fn fault_in(body: &Value) -> Option<String> {
    let messages = body["messages"].as_array()?;
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        if message["role"] != role {
            return Some(format!("messages[{index}] is not the {role}'s"));
        }
        let content = message["content"].as_array()?;
        if content.is_empty() {
            return Some(format!("messages[{index}] is empty"));
        }
        let mut answered: Vec<&str> =
            content.iter().filter_map(|block| block["toolResult"]["toolUseId"].as_str()).collect();
        open.sort_unstable();
        answered.sort_unstable();
        if open != answered {
            return Some(format!("messages[{index}] answers {answered:?} instead of {open:?}"));
        }
        open = content.iter().filter_map(|block| block["toolUse"]["toolUseId"].as_str()).collect();
        if content
            .iter()
            .any(|block| block["text"].as_str().is_some_and(|text| text.trim().is_empty()))
        {
            return Some(format!("messages[{index}] has a blank text"));
        }
        let is_object =
            |block: &Value| block["toolUse"].is_null() || block["toolUse"]["input"].is_object();
        if !content.iter().all(is_object) {
            return Some(format!("messages[{index}] calls with what is not an object"));
        }
    }
    None
}

#[test]
fn requests_of_the_other_dialects_are_valid_there() {
    let (mut checked, mut findings) = (0, Vec::new());
    let target = Target { model: "anthropic.claude", max_output_tokens: 8_192, ..Target::SELF };
    for row in rows().iter().filter(|row| (200..300).contains(&row.status)) {
        let Some(request) = &row.request else { continue };
        let Ok(request) = codec(row.api).decode_request(request.to_string().as_bytes()) else {
            continue;
        };
        let encoded = provider_side(Protocol::Bedrock).encode_request(&request, &target).unwrap();
        if encoded.losses.grave().is_some() {
            continue;
        }
        checked += 1;
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        findings.extend(fault_in(&body).map(|fault| format!("{}: {fault}", row.id)));
    }
    assert!(checked > 1_000, "{checked}");
    report("requests onto Converse", checked, &findings);
}
