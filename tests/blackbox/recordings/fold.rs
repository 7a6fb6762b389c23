//! What a stream adds up to, computed without the codecs: the judge of their round trips.

use optimux::wire::vocab::Dialect;
use serde_json::{Map, Value, json};

pub fn accumulated(dialect: Dialect, frames: &[(String, Vec<u8>)]) -> Value {
    let chunks: Vec<Value> =
        frames.iter().filter_map(|(_, data)| serde_json::from_slice(data).ok()).collect();
    match dialect {
        Dialect::OpenAiChat => chat(&chunks),
        Dialect::OpenAiResponses => responses(&chunks),
        Dialect::Anthropic => messages(&chunks),
        Dialect::Gemini => gemini(&chunks),
    }
}

/// Later scalars win over earlier ones; a null says nothing.
fn overlay(into: &mut Map<String, Value>, from: &Map<String, Value>, skip: &[&str]) {
    for (name, value) in from {
        if !value.is_null() && !skip.contains(&name.as_str()) {
            into.insert(name.clone(), value.clone());
        }
    }
}

fn append(into: &mut Map<String, Value>, name: &str, value: &Value) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        let known = into.get(name).and_then(Value::as_str).unwrap_or_default();
        let all = format!("{known}{text}");
        into.insert(name.to_owned(), Value::from(all));
    }
}

fn chat(chunks: &[Value]) -> Value {
    let mut top = Map::new();
    let mut choices: Map<String, Value> = Map::new();
    for chunk in chunks {
        let chunk = chunk.as_object().unwrap();
        // Azure's first chunk has empty names; `object` is left out by some.
        overlay(&mut top, chunk, &["choices", "object", "created"]);
        for name in ["id", "model"] {
            if top.get(name) == Some(&json!("")) {
                top.shift_remove(name);
            }
        }
        for choice in chunk.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let index = choice.get("index").map_or_else(|| "0".to_owned(), Value::to_string);
            let known =
                choices.entry(index).or_insert_with(|| json!({"message": {}, "tool_calls": {}}));
            let known = known.as_object_mut().unwrap();
            // A message beside a delta (Perplexity) repeats it.
            overlay(known, choice.as_object().unwrap(), &["index", "delta", "message"]);
            let Some(delta) = choice.get("delta").and_then(Value::as_object) else { continue };
            let mut message = known["message"].as_object().unwrap().clone();
            overlay(
                &mut message,
                delta,
                &[
                    "role",
                    "content",
                    "reasoning_content",
                    "reasoning",
                    "refusal",
                    "tool_calls",
                    "reasoning_details",
                ],
            );
            for (name, value) in delta {
                match (name.as_str(), value) {
                    ("content", Value::Array(items)) => {
                        for item in items {
                            append(&mut message, "content", &item["text"]);
                            for inner in item["thinking"].as_array().into_iter().flatten() {
                                append(&mut message, "thinking", &inner["text"]);
                            }
                        }
                    }
                    ("content" | "reasoning_content" | "reasoning" | "refusal", _) => {
                        append(&mut message, name, value);
                    }
                    ("reasoning_details", Value::Array(items)) => {
                        let list = message.entry(name.clone()).or_insert_with(|| json!([]));
                        list.as_array_mut().unwrap().extend(items.clone());
                    }
                    _ => {}
                }
            }
            known.insert("message".to_owned(), Value::Object(message));
            for (position, call) in
                delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate()
            {
                let index =
                    call.get("index").map_or_else(|| position.to_string(), Value::to_string);
                let calls = known["tool_calls"].as_object_mut().unwrap();
                let slot = calls.entry(index).or_insert_with(|| json!({"function": {}}));
                let slot = slot.as_object_mut().unwrap();
                // A tool call is a function unless it says otherwise.
                overlay(slot, call.as_object().unwrap(), &["function", "custom", "index", "type"]);
                if slot.get("id") == Some(&json!("")) {
                    slot.shift_remove("id");
                }
                for (name, value) in call["function"].as_object().into_iter().flatten() {
                    append(slot["function"].as_object_mut().unwrap(), name, value);
                }
                for (name, value) in
                    call.get("custom").and_then(Value::as_object).into_iter().flatten()
                {
                    let custom = slot.entry("custom").or_insert_with(|| json!({}));
                    append(custom.as_object_mut().unwrap(), name, value);
                }
            }
        }
    }
    json!({"top": top, "choices": choices})
}

/// The last event holds the whole answer; a stream may hold several (compaction, tool loops).
fn responses(events: &[Value]) -> Value {
    let ends: Vec<&Value> = events
        .iter()
        .filter(|event| {
            matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete"))
        })
        .map(|event| &event["response"])
        .collect();
    let output: Vec<Value> =
        ends.iter().flat_map(|end| end["output"].as_array().cloned().unwrap_or_default()).collect();
    let usage = ends.last().map(|end| end["usage"].clone()).unwrap_or_default();
    json!({"output": output, "usage": usage})
}

fn messages(events: &[Value]) -> Value {
    let mut message = Map::new();
    let mut delta = Map::new();
    let mut usage = Map::new();
    let mut blocks: Vec<Value> = Vec::new();
    let block = |start: &Value| json!({"start": start, "text": "", "json": "", "signature": "", "other": []});
    for event in events {
        match event["type"].as_str().unwrap() {
            "message_start" => {
                // Several messages in one stream are one answer, by the name of the first; what
                // a later one already holds are further blocks.
                let skip: &[&str] = if message.is_empty() {
                    &["usage", "content"]
                } else {
                    &["usage", "content", "id"]
                };
                blocks.extend(event["message"]["content"].as_array().unwrap().iter().map(block));
                overlay(&mut message, event["message"].as_object().unwrap(), skip);
                overlay(&mut usage, event["message"]["usage"].as_object().unwrap(), &[]);
            }
            "content_block_start" => {
                blocks.push(block(&event["content_block"]));
            }
            "content_block_delta" => {
                let block = blocks.last_mut().unwrap().as_object_mut().unwrap();
                let inner = &event["delta"];
                match inner["type"].as_str().unwrap() {
                    "text_delta" => append(block, "text", &inner["text"]),
                    "thinking_delta" => append(block, "text", &inner["thinking"]),
                    "input_json_delta" => append(block, "json", &inner["partial_json"]),
                    "signature_delta" => append(block, "signature", &inner["signature"]),
                    _ => block["other"].as_array_mut().unwrap().push(inner.clone()),
                }
            }
            "message_delta" => {
                overlay(&mut delta, event["delta"].as_object().unwrap(), &[]);
                overlay(&mut message, event.as_object().unwrap(), &["type", "usage", "delta"]);
                if let Some(last) = event["usage"].as_object() {
                    overlay(&mut usage, last, &[]);
                }
            }
            _ => {}
        }
    }
    // A thought that opens without a signature opens with an empty one.
    for block in &mut blocks {
        if block["start"]["type"] == "thinking" {
            block["start"].as_object_mut().unwrap().entry("signature").or_insert(json!(""));
        }
    }
    json!({"message": message, "delta": delta, "usage": usage, "blocks": blocks})
}

fn gemini(chunks: &[Value]) -> Value {
    let mut top = Map::new();
    let mut candidates: Map<String, Value> = Map::new();
    for chunk in chunks {
        overlay(&mut top, chunk.as_object().unwrap(), &["candidates"]);
        for candidate in chunk["candidates"].as_array().into_iter().flatten() {
            let index = candidate.get("index").map_or_else(|| "0".to_owned(), Value::to_string);
            let known = candidates.entry(index).or_insert_with(|| json!({"parts": []}));
            let known = known.as_object_mut().unwrap();
            overlay(known, candidate.as_object().unwrap(), &["content", "index"]);
            let parts = known["parts"].as_array_mut().unwrap();
            for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                // Texts of one kind run on until something else comes, or a signature ends them.
                let text = part["text"].as_str();
                let empty = text == Some("") && part.get("thoughtSignature").is_none();
                let runs_on = text.is_some()
                    && parts.last().is_some_and(|last: &Value| {
                        last.get("text").is_some()
                            && last.get("thought") == part.get("thought")
                            && last.get("thoughtSignature").is_none()
                    });
                if empty {
                    continue;
                }
                if runs_on {
                    let last = parts.last_mut().unwrap().as_object_mut().unwrap();
                    append(last, "text", &part["text"]);
                    if let Some(signature) = part.get("thoughtSignature") {
                        last.insert("thoughtSignature".to_owned(), signature.clone());
                    }
                } else {
                    let mut part = part.clone();
                    if let Some(call) = part.get_mut("functionCall").and_then(Value::as_object_mut)
                        && !call.contains_key("partialArgs")
                        && !call.contains_key("willContinue")
                    {
                        // No arguments and an empty object of them are the same call.
                        call.entry("args").or_insert(json!({}));
                    }
                    parts.push(part);
                }
            }
        }
    }
    json!({"top": top, "candidates": candidates})
}
