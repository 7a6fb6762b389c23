//! Converse requests, written.

use bytes::Bytes;
use serde_json::{Value, json};

use super::block;
use crate::wire::alternate::alternating;
use crate::wire::claude;
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{
    Body, Effort, Format, Losses, Part, Request, Role, ThinkingStyle, ToolChoice, ToolKind,
};
use crate::wire::{Encoded, Target};

/// What takes the place of a JSON mode, which this dialect does not have.
const JSON_INSTRUCTION: &str =
    "Respond with one valid JSON object and nothing else: no prose, no code fence.";

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let mut body = Builder::new();
    let mut messages: Vec<Value> = alternating(request, |part| with_cache(part, &mut lost))
        .into_iter()
        .map(|(assistant, blocks)| {
            let content: Vec<Value> = blocks.into_iter().flatten().collect();
            json!({"role": if assistant { "assistant" } else { "user" }, "content": content})
        })
        .collect();
    tell_documents_apart(&mut messages);
    body.set("messages", messages);
    for turn in &request.turns {
        turn.extra.name_lost("messages", &mut lost);
    }
    let system = system(request, &mut lost);
    if !system.is_empty() {
        body.set("system", system);
    }
    sampling(request, target, &mut lost, &mut body);
    tools(request, target, &mut lost, &mut body);
    if let Some(Format::Schema { name, schema, description, .. }) = &request.format {
        let mut inner = Builder::new();
        inner.set("name", name.as_deref().unwrap_or("answer"));
        inner.set("schema", schema.to_string());
        inner.maybe("description", description.as_deref());
        let structure = json!({"jsonSchema": inner.done()});
        body.set(
            "outputConfig",
            json!({"textFormat": {"type": "json_schema", "structure": structure}}),
        );
    }
    if request.user.is_some() {
        lost.dropped("user");
    }
    request.extra.name_lost("", &mut lost);
    Encoded { body: Bytes::from(body.done().to_string()), losses: lost }
}

/// Up to where the prompt is to be cached, and for how long where that is said (`5m`, `1h`).
fn cache_point(cache: &Value) -> Value {
    let mut point = Builder::new();
    point.set("type", "default").maybe("ttl", cache.get("ttl").cloned());
    json!({ "cachePoint": point.done() })
}

/// A block, and the mark after it up to which the prompt is to be cached.
fn with_cache(part: &Part, lost: &mut Losses) -> Option<Vec<Value>> {
    let mut blocks = vec![block::encode(part, lost)?];
    // A result's content has no place for marks: they stand behind it.
    let within = match &part.body {
        Body::Outcome(outcome) => outcome.parts.iter().rev().find_map(|part| part.cache.as_ref()),
        _ => None,
    };
    blocks.extend(part.cache.as_ref().or(within).map(cache_point));
    Some(blocks)
}

/// Wherever they stood: this dialect has one place for them.
fn system(request: &Request, lost: &mut Losses) -> Vec<Value> {
    let instructing =
        request.turns.iter().filter(|turn| matches!(turn.role, Role::System | Role::Developer));
    let mut blocks: Vec<Value> = request
        .instructions
        .iter()
        .chain(instructing)
        .flat_map(|turn| &turn.parts)
        .filter(|part| matches!(part.body, Body::Text(_)))
        .filter_map(|part| with_cache(part, lost))
        .flatten()
        .collect();
    if request.format == Some(Format::Json) {
        blocks.push(json!({ "text": JSON_INSTRUCTION }));
    }
    blocks
}

fn sampling(request: &Request, target: &Target<'_>, lost: &mut Losses, body: &mut Builder) {
    let sampling = &request.sampling;
    let mut config = Builder::new();
    let mut more = Builder::new();
    let mut max_tokens = request.max_output_tokens;
    match sampling.temperature.as_ref().and_then(serde_json::Number::as_f64) {
        Some(hot) if hot > 1.0 => {
            config.set("temperature", 1.0);
            lost.dropped("temperature");
        }
        _ => {
            config.maybe("temperature", sampling.temperature.clone());
        }
    }
    config.maybe("topP", sampling.top_p.clone());
    if target.model.contains("nova") {
        // Amazon's own models have it elsewhere, under another name.
        more.maybe(
            "inferenceConfig",
            sampling.top_k.as_ref().map(|top_k| json!({ "topK": top_k })),
        );
    } else {
        more.maybe("top_k", sampling.top_k.clone());
    }
    let stops: Vec<&str> =
        sampling.stop.iter().map(String::as_str).filter(|stop| !stop.trim().is_empty()).collect();
    if !stops.is_empty() {
        config.set("stopSequences", stops);
        if target.model.contains("claude") {
            // Which of them it was is told only if it is asked for.
            body.set("additionalModelResponseFieldPaths", json!(["/stop_sequence"]));
        }
    }
    if target.model.contains("nova") {
        nova_reasoning(request, target, lost, &mut more);
    } else if target.model.contains("claude") {
        let told = claude::encode(request, target, max_tokens, lost);
        max_tokens = told.max_tokens;
        if !told.cools && told.member.is_some() && claude::is_narrow(sampling) {
            config.0.shift_remove("topP");
            lost.dropped("top_p");
        }
        if told.cools {
            for name in ["temperature", "topP"] {
                if config.0.shift_remove(name).is_some() {
                    lost.dropped(name);
                }
            }
        }
        more.maybe("thinking", told.member);
        more.maybe("output_config", told.effort.map(|effort| json!({"effort": effort.as_str()})));
    } else if request.reasoning.is_some() {
        lost.dropped("reasoning");
    }
    config.maybe("maxTokens", max_tokens);
    if !config.0.is_empty() {
        body.set("inferenceConfig", config.done());
    }
    if !more.0.is_empty() {
        body.set("additionalModelRequestFields", more.done());
    }
    if sampling.n.is_some_and(|n| n > 1) {
        lost.lost("n");
    }
    for (name, said) in [
        ("seed", sampling.seed.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("logprobs", sampling.logprobs == Some(true)),
        ("top_logprobs", sampling.top_logprobs.is_some()),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
    ] {
        if said {
            lost.dropped(name);
        }
    }
}

/// Amazon's own models think at a level.
fn nova_reasoning(request: &Request, target: &Target<'_>, lost: &mut Losses, more: &mut Builder) {
    let Some(reasoning) = &request.reasoning else { return };
    match reasoning.effort.filter(|effort| *effort != Effort::None) {
        Some(effort) if target.thinking.manner == ThinkingStyle::Effort => {
            more.set(
                "reasoningConfig",
                json!({"type": "enabled", "maxReasoningEffort": effort.as_str()}),
            );
        }
        Some(_) => lost.dropped("reasoning"),
        None => {}
    }
}

/// Two documents of one name are refused: later ones get a number.
fn tell_documents_apart(messages: &mut [Value]) {
    let mut known: Vec<String> = Vec::new();
    let blocks = messages.iter_mut().filter_map(|message| message.get_mut("content"));
    for block in blocks.filter_map(Value::as_array_mut).flatten() {
        let inner = block.get_mut("document").and_then(|document| document.get_mut("name"));
        let Some(Value::String(name)) = inner else { continue };
        let base = name.clone();
        let mut number = 2;
        while known.contains(name) {
            *name = format!("{base} {number}");
            number += 1;
        }
        known.push(name.clone());
    }
}

/// The tools that were called in the history, as far as their calls tell.
fn called(request: &Request) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        if let Body::Call(call) = &part.body
            && !names.contains(&call.name.as_str())
        {
            names.push(&call.name);
        }
    }
    let spec =
        |name| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
    names.into_iter().map(spec).collect()
}

fn tools(request: &Request, target: &Target<'_>, lost: &mut Losses, body: &mut Builder) {
    // Amazon's own models refuse marks among tools; elsewhere they take them.
    let marks = !target.model.contains("nova");
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        let ToolKind::Function { name, description, parameters, strict } = &tool.kind else {
            if let ToolKind::Opaque(_, value) = &tool.kind {
                lost.lost_tool(value);
            }
            continue;
        };
        let mut schema = parameters.clone().unwrap_or_else(|| json!({}));
        if let Some(schema) = schema.as_object_mut() {
            schema.entry("type").or_insert(Value::from("object"));
        }
        let mut spec = Builder::new();
        spec.set("name", name.as_str());
        // An empty one is refused.
        spec.maybe("description", description.as_deref().filter(|text| !text.trim().is_empty()));
        spec.set("inputSchema", json!({ "json": schema }));
        spec.maybe("strict", strict.filter(|strict| *strict));
        tools.push(json!({"toolSpec": spec.done()}));
        match &tool.cache {
            Some(cache) if marks => tools.push(cache_point(cache)),
            Some(_) => lost.dropped("cache_control"),
            None => {}
        }
        tool.extra.name_lost("tools", lost);
    }
    let has_calls = request
        .turns
        .iter()
        .flat_map(|turn| &turn.parts)
        .any(|part| matches!(part.body, Body::Call(_)));
    let mut choice = None;
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto | ToolChoice::Opaque(..)) => choice = Some(json!({"auto": {}})),
        Some(ToolChoice::Required) => choice = Some(json!({"any": {}})),
        Some(ToolChoice::Named(name)) => choice = Some(json!({"tool": {"name": name}})),
        Some(ToolChoice::Among { required, .. }) => {
            lost.dropped("tool_choice.allowed_tools");
            choice = Some(if *required { json!({"any": {}}) } else { json!({"auto": {}}) });
        }
        // It has no word for "none": without tools there is nothing to choose. A conversation in
        // which tools were called must name them.
        Some(ToolChoice::None) if has_calls => lost.dropped("tool_choice"),
        Some(ToolChoice::None) => tools.clear(),
    }
    // Calls in the history need the tools that were called, whether or not they are offered again.
    if tools.is_empty() && has_calls {
        tools = called(request);
        choice = None;
    }
    if tools.is_empty() {
        return;
    }
    let mut config = Builder::new();
    config.set("tools", tools).maybe("toolChoice", choice);
    body.set("toolConfig", config.done());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;
    use crate::wire::vocab::Dialect;

    fn sent(model: &str, body: &Value) -> Value {
        let request =
            codec(Dialect::OpenAiChat).decode_request(body.to_string().as_bytes()).unwrap();
        let target = Target { model, max_output_tokens: 8_000, ..Target::SELF };
        serde_json::from_slice(&encode(&request, &target).body).unwrap()
    }

    #[test]
    fn tools_of_the_history_are_declared_and_documents_have_names_of_their_own() {
        let file = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}});
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}, file, file]},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "noon"}]});
        let sent = sent("anthropic.claude-x", &body);
        assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"]["name"], "clock", "{sent}");
        let content = sent["messages"][0]["content"].as_array().unwrap();
        let names: Vec<&str> =
            content.iter().filter_map(|block| block["document"]["name"].as_str()).collect();
        assert_eq!(names, ["a-pdf", "a-pdf 2"], "{sent}");
    }

    #[test]
    fn what_is_no_document_is_not_called_one_and_nova_has_its_own_place_for_top_k() {
        let sound = json!({"type": "file", "file": {"filename": "a.mp3", "file_data": "data:audio/mpeg;base64,QQ=="}});
        let body = json!({"model": "m", "top_k": 5, "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}, sound]}]});
        let nova = sent("amazon.nova-pro-v1:0", &body);
        assert!(!nova.to_string().contains("document"), "{nova}");
        let more = &nova["additionalModelRequestFields"];
        assert_eq!((&more["inferenceConfig"]["topK"], &more["top_k"]), (&json!(5), &Value::Null));
        let claude = sent("anthropic.claude-x", &body);
        assert_eq!(claude["additionalModelRequestFields"]["top_k"], 5, "{claude}");
    }

    #[test]
    fn marks_of_the_cache_stand_where_the_service_takes_them() {
        let mark = json!({"type": "ephemeral", "ttl": "1h"});
        let body = json!({"model": "m", "max_tokens": 9,
            "tools": [{"name": "clock", "input_schema": {"type": "object"}, "cache_control": mark}],
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "clock", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content":
                    [{"type": "text", "text": "noon", "cache_control": mark}]}]}]});
        let request =
            codec(Dialect::Anthropic).decode_request(body.to_string().as_bytes()).unwrap();
        for (model, among_tools) in [("anthropic.claude-x", true), ("amazon.nova-pro-v1:0", false)]
        {
            let target = Target { model, max_output_tokens: 8_000, ..Target::SELF };
            let encoded = encode(&request, &target);
            let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
            // Behind a result, never within it.
            let content = &sent["messages"][2]["content"];
            assert_eq!(content[0]["toolResult"]["content"], json!([{"text": "noon"}]), "{sent}");
            assert_eq!(content[1], json!({"cachePoint": {"type": "default", "ttl": "1h"}}));
            let tools = &sent["toolConfig"]["tools"];
            assert_eq!(tools[1].get("cachePoint").is_some(), among_tools, "{sent}");
            assert_eq!(encoded.losses.to_string().contains("cache_control"), !among_tools);
        }
    }
}
