//! `encode(decode(x)) == x`, in one dialect.

use optimux::wire::frame::sse::{Frame, Splitter};
use optimux::wire::vocab::{Dialect, Event};
use optimux::wire::{Heading, Target, codec};
use serde_json::{Map, Value, json};

use super::fold::accumulated;
use super::{Row, difference, report, rows};

fn target(model: &str) -> Target<'_> {
    Target { model, max_output_tokens: 8192, ..Target::SELF }
}

#[test]
fn requests_lose_nothing() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in rows() {
        let Some(body) = &row.request else { continue };
        checked += 1;
        let codec = codec(row.api);
        match codec.decode_request(body.to_string().as_bytes()) {
            Err(why) => findings.push(format!("{}: {why}", row.id)),
            Ok(request) => {
                let encoded = codec.encode_request(&request, &target(&request.model)).unwrap();
                let ours: Value = serde_json::from_slice(&encoded.body).unwrap();
                if let Some(found) =
                    difference(&canonical(ours, &row), &canonical(body.clone(), &row), "")
                {
                    findings.push(format!("{}: {found}", row.id));
                }
            }
        }
    }
    report("requests", checked, &findings);
}

/// What may differ between a request and what we write of it, each with its reason.
fn canonical(mut body: Value, row: &Row) -> Value {
    match row.api {
        Dialect::OpenAiChat => {
            // A model that was not in the body (Azure has it in the path) is written as an empty name.
            if body.get("model").is_some_and(|model| model == "" || model.is_null()) {
                body.as_object_mut().unwrap().shift_remove("model");
            }
            body
        }
        Dialect::Anthropic | Dialect::OpenAiResponses => body,
        Dialect::Gemini => camel(body, ""),
    }
}

/// Gemini takes `snake_case` and camelCase; we write camelCase. Tools of one kind are gathered into
/// one entry. An instruction's role means nothing.
fn camel(value: Value, under: &str) -> Value {
    let free = matches!(
        under,
        "args"
            | "response"
            | "parameters"
            | "parametersJsonSchema"
            | "responseSchema"
            | "responseJsonSchema"
            | "modelArmorConfig"
            | "toolCall"
            | "toolResponse"
    );
    match value {
        Value::Object(members) if !free => {
            let mut out = Map::new();
            for (name, member) in members {
                let mut camel_name = String::new();
                let mut up = false;
                for c in name.chars() {
                    if c == '_' {
                        up = true;
                    } else if up {
                        camel_name.extend(c.to_uppercase());
                        up = false;
                    } else {
                        camel_name.push(c);
                    }
                }
                let mut member = camel(member, &camel_name);
                if camel_name == "systemInstruction"
                    && let Some(system) = member.as_object_mut()
                {
                    system.insert("role".to_owned(), Value::from("user"));
                }
                if camel_name == "tools"
                    && let Value::Array(tools) = &member
                {
                    member = gathered(tools);
                }
                out.insert(camel_name, member);
            }
            Value::Object(out)
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| camel(item, under)).collect())
        }
        other => other,
    }
}

fn gathered(tools: &[Value]) -> Value {
    let mut declarations = Vec::new();
    let mut others = Vec::new();
    for tool in tools {
        for (name, value) in tool.as_object().unwrap() {
            match (name.as_str(), value) {
                ("functionDeclarations", Value::Array(items)) => declarations.extend(items.clone()),
                _ => others.push(json!({ name.clone(): value })),
            }
        }
    }
    json!([declarations, others])
}

#[test]
fn replies_lose_nothing() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in rows() {
        let Some(body) = row.body.as_ref().filter(|_| row.status < 400) else { continue };
        let bodies = match body {
            // Gemini's stream as an array.
            Value::Array(chunks) if row.api == Dialect::Gemini => chunks.clone(),
            // No answers: an error under status 200, and an exchange whose body was not kept.
            other if other.get("error").is_some() || other.get("body").is_some() => continue,
            other => vec![other.clone()],
        };
        for body in bodies {
            checked += 1;
            let codec = codec(row.api);
            match codec.decode_reply(body.to_string().as_bytes()) {
                Err(why) => findings.push(format!("{}: {why}", row.id)),
                Ok(reply) => {
                    let ours = codec.encode_reply(&reply, &Heading::default());
                    let ours: Value = serde_json::from_slice(&ours).unwrap();
                    if let Some(found) =
                        difference(&filled(ours, row.api), &filled(body, row.api), "")
                    {
                        findings.push(format!("{}: {found}", row.id));
                    }
                }
            }
        }
    }
    report("replies", checked, &findings);
}

/// Members that we always write, where a provider left them out.
fn filled(mut reply: Value, dialect: Dialect) -> Value {
    let object = reply.as_object_mut().unwrap();
    match dialect {
        Dialect::OpenAiChat => {
            for (name, value) in [
                ("object", json!("chat.completion")),
                ("created", json!(0)),
                ("id", json!("")),
                ("model", json!("")),
            ] {
                object.entry(name).or_insert(value);
            }
            for (position, choice) in
                object["choices"].as_array_mut().unwrap().iter_mut().enumerate()
            {
                let choice = choice.as_object_mut().unwrap();
                choice.entry("index").or_insert(json!(position));
                if let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) {
                    message.entry("role").or_insert(json!("assistant"));
                    for call in message
                        .get_mut("tool_calls")
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .flatten()
                    {
                        call.as_object_mut().unwrap().entry("type").or_insert(json!("function"));
                        // A call without arguments (OpenRouter) is a call with none.
                        if let Some(function) =
                            call.get_mut("function").and_then(Value::as_object_mut)
                        {
                            function.entry("arguments").or_insert(json!("{}"));
                        }
                    }
                }
            }
        }
        Dialect::OpenAiResponses => {}
        Dialect::Anthropic => {
            object.entry("stop_sequence").or_insert(Value::Null);
        }
        Dialect::Gemini => {
            for candidate in
                object.get_mut("candidates").and_then(Value::as_array_mut).into_iter().flatten()
            {
                if let Some(content) = candidate.get_mut("content").and_then(Value::as_object_mut) {
                    content.entry("role").or_insert(json!("model"));
                }
            }
        }
    }
    reply
}

pub fn frames(chunks: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    // Vertex streams one JSON array when nobody asks for server-sent events.
    if let [whole] = chunks
        && let Ok(Value::Array(items)) = serde_json::from_slice(whole)
    {
        return items.iter().map(|item| (String::new(), item.to_string().into_bytes())).collect();
    }
    let mut splitter = Splitter::new(32 << 20);
    let mut all = Vec::new();
    let mut keep = |frame: Frame<'_>| all.push((frame.event.to_owned(), frame.data.to_vec()));
    for chunk in chunks {
        splitter.feed(chunk, &mut keep).unwrap();
    }
    splitter.finish(&mut keep);
    all
}

pub fn events(row: &Row, chunks: &[&[u8]]) -> Result<(Vec<Vec<Event>>, bool), String> {
    let mut reader = codec(row.api).reader();
    let mut batches = Vec::new();
    for (event, data) in frames(chunks) {
        let mut batch = Vec::new();
        reader
            .read(&Frame { event: &event, data: &data }, &mut batch)
            .map_err(|why| format!("{}: {why}", row.id))?;
        batches.push(batch);
    }
    let mut last = Vec::new();
    let ended = reader.finish(&mut last);
    batches.push(last);
    Ok((batches, ended))
}

#[test]
fn streams_lose_nothing() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in rows() {
        let Some(text) = row.stream.as_ref().filter(|text| row.status < 400 && !text.is_empty())
        else {
            continue;
        };
        checked += 1;
        let (batches, ended) = match events(&row, &[text.as_bytes()]) {
            Ok(read) => read,
            Err(why) => {
                findings.push(why);
                continue;
            }
        };
        // Ids and numbers of items are the writer's own: `translate.rs` judges what they say.
        if row.api == Dialect::OpenAiResponses {
            continue;
        }
        let faulty = batches.iter().flatten().any(|event| matches!(event, Event::Fault(_)));
        if faulty {
            continue;
        }
        if !ended {
            findings.push(format!("{}: did not end", row.id));
            continue;
        }
        let mut writer =
            codec(row.api).writer(Heading { include_usage: true, ..Heading::default() });
        let mut out = Vec::new();
        for batch in &batches {
            writer.write(batch, &mut out);
        }
        writer.finish(&mut out);
        let theirs = accumulated(row.api, &frames(&[text.as_bytes()]));
        let ours = accumulated(row.api, &frames(&[&out]));
        if let Some(found) = difference(&ours, &theirs, "") {
            findings.push(format!("{}: {found}", row.id));
        }
    }
    report("streams", checked, &findings);
}

#[test]
fn streams_mean_the_same_however_they_are_cut() {
    let mut checked = 0;
    for row in rows() {
        let Some(text) = &row.stream else { continue };
        let bytes = text.as_bytes();
        let Ok(whole) = events(&row, &[bytes]) else { continue };
        if text.starts_with('[') {
            continue;
        }
        checked += 1;
        // Every byte apart for the short ones; primes, which fall inside everything, for the rest.
        let sizes: &[usize] = if bytes.len() < 20_000 { &[1, 2, 7] } else { &[13, 1021] };
        for size in sizes {
            let chunks: Vec<&[u8]> = bytes.chunks(*size).collect();
            assert_eq!(events(&row, &chunks).unwrap(), whole, "{} in chunks of {size}", row.id);
        }
    }
    assert!(checked > 200, "only {checked} streams");
}

#[test]
fn errors_are_understood() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in rows() {
        let Some(body) = row.body.as_ref().filter(|_| row.status >= 400) else { continue };
        checked += 1;
        let fault = codec(row.api).decode_error(row.status, body.to_string().as_bytes());
        if fault.message.is_empty() || fault.message.starts_with("The provider answered") {
            findings.push(format!("{}: no message in {body}", row.id));
        }
    }
    report("errors", checked, &findings);
}

/// Recorded streams that random cuts are tried on: a few of each dialect, read once.
fn sample() -> &'static Vec<Row> {
    static SAMPLE: std::sync::OnceLock<Vec<Row>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let mut all: Vec<Row> = rows()
            .into_iter()
            .filter(|row| {
                row.stream.as_ref().is_some_and(|text| {
                    (500..60_000).contains(&text.len()) && !text.starts_with('[')
                })
            })
            .filter(|row| events(row, &[row.stream.as_ref().unwrap().as_bytes()]).is_ok())
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    })
}

proptest::proptest! {
    #[test]
    fn random_cuts_do_not_matter(
        which in proptest::prelude::any::<proptest::sample::Index>(),
        cuts in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 0..40),
    ) {
        let row = which.get(sample());
        let bytes = row.stream.as_ref().unwrap().as_bytes();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in at {
            chunks.push(&bytes[from..cut]);
            from = cut;
        }
        chunks.push(&bytes[from..]);
        proptest::prop_assert_eq!(events(row, &chunks).unwrap(), events(row, &[bytes]).unwrap(), "{}", row.id);
    }
}
