//! Requests of chat's dialect, written for Anthropic and Gemini: what those servers refuse must
//! not be in them, and what was said must be.

use std::collections::HashSet;

use optimux::wire::vocab::Dialect;
use optimux::wire::{Heading, Target, codec};
use serde_json::Value;

use super::{report, rows};

fn target(model: &str) -> Target<'_> {
    Target { model, max_output_tokens: 8192, ..Target::SELF }
}

/// Every chat request as `dialect` would get it; with what was said of losses.
fn translated(dialect: Dialect) -> Vec<(String, Value, Value, String)> {
    let mut all = Vec::new();
    for row in rows() {
        let Some(body) = row.request.filter(|_| row.api == Dialect::OpenAiChat && row.status < 400)
        else {
            continue;
        };
        let request = codec(row.api).decode_request(body.to_string().as_bytes()).unwrap();
        let encoded = codec(dialect).encode_request(&request, &target("target-model")).unwrap();
        let ours = serde_json::from_slice(&encoded.body).unwrap();
        all.push((row.id, body, ours, encoded.losses.to_string()));
    }
    assert!(all.len() > 700, "{}", all.len());
    all
}

/// All strings of a value, joined: to find out whether a text is still there.
fn strings(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(members) => members.values().for_each(|member| strings(member, out)),
        _ => {}
    }
}

/// Texts of the conversation that the translation does not hold.
fn missing_texts(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut all = String::new();
    strings(ours, &mut all);
    let mut texts = Vec::new();
    for message in theirs["messages"].as_array().unwrap() {
        match &message["content"] {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(parts) => texts
                .extend(parts.iter().filter_map(|part| part["text"].as_str().map(str::to_owned))),
            _ => {}
        }
    }
    for tool in theirs["tools"].as_array().into_iter().flatten() {
        texts.extend(tool["function"]["name"].as_str().map(str::to_owned));
    }
    texts
        .into_iter()
        // A result that is JSON becomes an object; a prefill loses its last white space.
        .filter(|text| serde_json::from_str::<Value>(text).is_err())
        .filter(|text| !text.trim().is_empty() && !all.contains(text.trim_end()))
        .collect()
}

fn check_anthropic(body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(what);
    if body["model"] != "target-model" {
        fault("model".to_owned());
    }
    let max_tokens = body["max_tokens"].as_u64().unwrap_or(0);
    if max_tokens == 0 {
        fault("max_tokens is required".to_owned());
    }
    if let Some(budget) = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64) {
        if budget < 1024 || budget >= max_tokens {
            fault(format!("budget {budget} of {max_tokens}"));
        }
        if body.get("temperature").is_some() || body.get("top_k").is_some() {
            fault("thinking with temperature".to_owned());
        }
        if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
            fault("thinking with a forced tool".to_owned());
        }
    }
    if body["temperature"].as_f64().is_some_and(|hot| hot > 1.0) {
        fault("temperature".to_owned());
    }
    let known: HashSet<&str> = [
        "model",
        "messages",
        "system",
        "max_tokens",
        "metadata",
        "stop_sequences",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "service_tier",
    ]
    .into();
    for name in body.as_object().unwrap().keys().filter(|name| !known.contains(name.as_str())) {
        fault(format!("unknown member {name}"));
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        if tool["input_schema"]["type"] != "object" {
            fault("input_schema without type".to_owned());
        }
    }
    if body.get("tool_choice").is_some() && body.get("tools").is_none() {
        fault("tool_choice without tools".to_owned());
    }
    let messages = body["messages"].as_array().unwrap();
    let mut expected = "user";
    let mut waiting: HashSet<String> = HashSet::new();
    for message in messages {
        let role = message["role"].as_str().unwrap();
        if role != expected {
            fault(format!("{role} where {expected} must be"));
        }
        expected = if role == "user" { "assistant" } else { "user" };
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        if message["content"].as_str() == Some("")
            || message["content"].as_array().is_some_and(Vec::is_empty)
        {
            fault("an empty content".to_owned());
        }
        let mut seen_other = false;
        for block in &blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" => {
                    seen_other = true;
                    if block["text"].as_str().is_none_or(str::is_empty) {
                        fault("an empty text".to_owned());
                    }
                }
                "tool_result" => {
                    if seen_other {
                        fault("a result after text".to_owned());
                    }
                    if !waiting.remove(block["tool_use_id"].as_str().unwrap()) {
                        fault("a result without its call".to_owned());
                    }
                }
                _ => seen_other = true,
            }
        }
        if role == "user" && !waiting.is_empty() {
            fault(format!("calls without results: {waiting:?}"));
        }
        for block in blocks.iter().filter(|block| block["type"] == "tool_use") {
            if !block["input"].is_object() {
                fault("an input that is no object".to_owned());
            }
            waiting.insert(block["id"].as_str().unwrap().to_owned());
        }
    }
    faults
}

#[test]
fn chat_requests_are_valid_for_anthropic() {
    let (mut checked, mut findings) = (0, Vec::new());
    for (id, theirs, ours, lost) in translated(Dialect::Anthropic) {
        checked += 1;
        for fault in check_anthropic(&ours) {
            findings.push(format!("{id}: {fault}"));
        }
        for text in missing_texts(&theirs, &ours) {
            findings.push(format!("{id}: lost the text {text:.60} ({lost})"));
        }
    }
    report("for Anthropic", checked, &findings);
}

fn check_gemini(body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let known: HashSet<&str> =
        ["contents", "systemInstruction", "tools", "toolConfig", "generationConfig"].into();
    for name in body.as_object().unwrap().keys().filter(|name| !known.contains(name.as_str())) {
        faults.push(format!("unknown member {name}"));
    }
    let mut calls = 0;
    for content in body["contents"].as_array().unwrap() {
        if !matches!(content["role"].as_str(), Some("user" | "model")) {
            faults.push(format!("role {}", content["role"]));
        }
        let parts = content["parts"].as_array().unwrap();
        if parts.is_empty() {
            faults.push("a content without parts".to_owned());
        }
        let results = parts.iter().filter(|part| part.get("functionResponse").is_some());
        let mut count = 0;
        for result in results {
            count += 1;
            let result = &result["functionResponse"];
            if !result["response"].is_object() || result["name"].as_str().is_none_or(str::is_empty)
            {
                faults.push(format!("a result as Gemini refuses it: {result}"));
            }
        }
        if count > 0 && count != calls {
            faults.push(format!("{count} results for {calls} calls"));
        }
        calls = 0;
        for part in parts {
            let data = ["text", "inlineData", "fileData", "functionCall", "functionResponse"];
            if data.iter().filter(|name| part.get(**name).is_some()).count() != 1 {
                faults.push(format!("a part of no one kind: {part}"));
            }
            if let Some(call) = part.get("functionCall") {
                if calls == 0 && part.get("thoughtSignature").is_none() {
                    faults.push("the first call without a signature".to_owned());
                }
                calls += 1;
                if !call["args"].is_object() {
                    faults.push("arguments that are no object".to_owned());
                }
            }
        }
    }
    for declaration in body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tool| tool["functionDeclarations"].as_array().cloned().unwrap_or_default())
    {
        if declaration
            .get("parametersJsonSchema")
            .is_some_and(|schema| schema.to_string().contains("\"$ref\""))
        {
            faults.push("a reference in a schema".to_owned());
        }
    }
    faults
}

#[test]
fn chat_requests_are_valid_for_gemini() {
    let (mut checked, mut findings) = (0, Vec::new());
    for (id, theirs, ours, lost) in translated(Dialect::Gemini) {
        checked += 1;
        for fault in check_gemini(&ours) {
            findings.push(format!("{id}: {fault}"));
        }
        for text in missing_texts(&theirs, &ours) {
            findings.push(format!("{id}: lost the text {text:.60} ({lost})"));
        }
    }
    report("for Gemini", checked, &findings);
}

/// Answers of the other dialects, as a chat client gets them.
#[test]
fn answers_are_valid_chat_completions() {
    let (mut checked, mut findings) = (0, Vec::new());
    for row in rows() {
        let Some(body) = row
            .body
            .as_ref()
            .filter(|body| row.status < 400 && row.api != Dialect::OpenAiChat && body.is_object())
        else {
            continue;
        };
        checked += 1;
        let reply = codec(row.api).decode_reply(body.to_string().as_bytes()).unwrap();
        let heading = Heading {
            id: "chatcmpl-x".to_owned(),
            model: "m".to_owned(),
            created: 1,
            ..Heading::default()
        };
        let ours: Value =
            serde_json::from_slice(&codec(Dialect::OpenAiChat).encode_reply(&reply, &heading))
                .unwrap();
        let choice = &ours["choices"][0];
        let message = &choice["message"];
        let finish = choice["finish_reason"].as_str().unwrap_or_default();
        let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
        let mut fault = |what: &str| findings.push(format!("{}: {what}: {}", row.id, choice));
        if !matches!(finish, "stop" | "length" | "tool_calls" | "content_filter") {
            fault("finish_reason");
        }
        if (calls > 0) != (finish == "tool_calls") && finish == "stop" {
            fault("calls without the finish reason");
        }
        if message["role"] != "assistant"
            || !(message["content"].is_string() || message["content"].is_null())
        {
            fault("message");
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = call["function"]["arguments"].as_str();
            if call["id"].as_str().is_none_or(str::is_empty)
                || (call["type"] != "custom" && call["type"] != "function")
                || call["type"] == "function"
                    && arguments.is_none_or(|text| serde_json::from_str::<Value>(text).is_err())
            {
                fault("a call");
            }
        }
        let usage = &ours["usage"];
        // A response in the background has used nothing yet.
        if row.api == Dialect::OpenAiResponses && body["usage"].is_null() {
            continue;
        }
        if usage["total_tokens"].as_u64()
            != Some(
                usage["prompt_tokens"].as_u64().unwrap_or(0)
                    + usage["completion_tokens"].as_u64().unwrap_or(0),
            )
        {
            fault("usage does not add up");
        }
        if row.api == Dialect::Gemini
            && body["usageMetadata"]["totalTokenCount"]
                .as_u64()
                .is_some_and(|total| Some(total) != usage["total_tokens"].as_u64())
        {
            fault("usage differs from the provider's total");
        }
    }
    report("as chat completions", checked, &findings);
}
