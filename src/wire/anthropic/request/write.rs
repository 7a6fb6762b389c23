//! Requests, written.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::block::{self, DIALECT};
use crate::wire::alternate::alternating;
use crate::wire::claude;
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{
    Body, ContentShape, Effort, Format, Losses, Part, Request, Role, ToolChoice, ToolKind, Turn,
};
use crate::wire::{Encoded, Target};

/// What takes the place of a JSON mode, which this dialect does not have.
const JSON_INSTRUCTION: &str =
    "Respond with one valid JSON object and nothing else: no prose, no code fence.";

pub(in crate::wire::anthropic) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let at_home = request.from == Some(DIALECT);
    let mut body = Builder::new();
    if !target.model.is_empty() {
        body.set("model", target.model);
    }
    encode_system(request, at_home, &mut lost, &mut body);
    body.set("messages", encode_messages(request, at_home, &mut lost));
    let mut max_tokens = request.max_output_tokens;
    encode_sampling(request, at_home, &mut lost, &mut body);
    encode_tools(request, at_home, &mut lost, &mut body);
    if !at_home {
        max_tokens = Some(max_tokens.unwrap_or(target.max_output_tokens).max(1));
    }
    let config = request.extra.get(DIALECT, "output_config").filter(|_| at_home);
    let mut output = Builder::new();
    // At home the caller's own words say it, unless they had to be changed.
    let spelled = |name: &str| at_home && request.extra.get(DIALECT, name).is_some();
    let said = spelled("thinking") || config.is_some_and(|config| config.get("effort").is_some());
    if !said && (!at_home || request.reasoning.is_some()) {
        let thinking = claude::encode(request, target, max_tokens, &mut lost);
        max_tokens = thinking.max_tokens;
        if let Some(member) = thinking.member {
            if !thinking.cools && claude::is_narrow(&request.sampling) {
                body.0.shift_remove("top_p");
                lost.dropped("top_p");
            }
            if thinking.cools {
                for name in ["temperature", "top_k", "top_p"] {
                    if body.0.shift_remove(name).is_some() {
                        lost.dropped(name.to_owned());
                    }
                }
            }
            body.set("thinking", member);
        }
        output.maybe("effort", thinking.effort.map(Effort::as_str));
    }
    if let Some(Format::Schema { schema, .. }) = &request.format
        && !spelled("output_config")
        && !spelled("output_format")
    {
        output.set("format", json!({"type": "json_schema", "schema": schema}));
    }
    if !output.0.is_empty() {
        body.set("output_config", output.done());
    }
    body.maybe("max_tokens", max_tokens);
    if let Some(user) = &request.user {
        body.set("metadata", json!({ "user_id": user }));
    }
    body.maybe("stream", request.stream);
    let effort = body.0.get("output_config").and_then(|config| config.get("effort")).cloned();
    request.extra.write(&mut body.0, DIALECT, "", &mut lost);
    if let (Some(effort), Some(Value::Object(config))) = (effort, body.0.get_mut("output_config")) {
        config.entry("effort").or_insert(effort);
    }
    Encoded { body: Bytes::from(body.done().to_string()), losses: lost }
}

fn encode_sampling(request: &Request, at_home: bool, lost: &mut Losses, body: &mut Builder) {
    let sampling = &request.sampling;
    match sampling.temperature.as_ref().and_then(serde_json::Number::as_f64) {
        Some(hot) if hot > 1.0 && !at_home => {
            body.set("temperature", 1.0);
            lost.dropped("temperature");
        }
        _ => {
            body.maybe("temperature", sampling.temperature.clone());
        }
    }
    // Several models refuse both at once; the temperature says more.
    if at_home || sampling.temperature.is_none() {
        body.maybe("top_p", sampling.top_p.clone());
    } else if sampling.top_p.as_ref().and_then(serde_json::Number::as_f64).is_some_and(|p| p < 1.0)
    {
        lost.dropped("top_p");
    }
    body.maybe("top_k", sampling.top_k.clone());
    let stops: Vec<&str> = sampling
        .stop
        .iter()
        .map(String::as_str)
        .filter(|stop| at_home || !stop.trim().is_empty())
        .collect();
    if stops.len() < sampling.stop.len() {
        lost.dropped("stop");
    }
    if !stops.is_empty() {
        body.set("stop_sequences", stops);
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
    ] {
        if said {
            lost.dropped(name);
        }
    }
}

fn encode_system(request: &Request, at_home: bool, lost: &mut Losses, body: &mut Builder) {
    if at_home {
        if let Some(system) = &request.instructions {
            body.set("system", encode_content(system, true, lost));
        }
        return;
    }
    // Wherever they stood: this dialect has one place for them.
    let mut blocks = Vec::new();
    let instructing =
        request.turns.iter().filter(|turn| matches!(turn.role, Role::System | Role::Developer));
    for turn in request.instructions.iter().chain(instructing) {
        turn.extra.write(&mut serde_json::Map::new(), DIALECT, "messages", lost);
        blocks.extend(turn.parts.iter().filter_map(|part| block::encode(part, false, lost)));
    }
    if request.format == Some(Format::Json) {
        blocks.push(json!({"type": "text", "text": JSON_INSTRUCTION}));
    }
    match blocks.as_slice() {
        [] => {}
        [only] if only.as_object().is_some_and(|only| only.len() == 2) => {
            body.maybe("system", only.get("text").cloned());
        }
        _ => {
            body.set("system", blocks);
        }
    }
}

fn encode_content(turn: &Turn, at_home: bool, lost: &mut Losses) -> Value {
    match (turn.shape, turn.parts.as_slice()) {
        (ContentShape::Text, [Part { body: Body::Text(text), cache: None, .. }]) => {
            Value::from(text.as_str())
        }
        (_, parts) => Value::Array(
            parts.iter().filter_map(|part| block::encode(part, at_home, lost)).collect(),
        ),
    }
}

fn encode_messages(request: &Request, at_home: bool, lost: &mut Losses) -> Vec<Value> {
    let mut messages = Vec::with_capacity(request.turns.len());
    if at_home {
        for turn in &request.turns {
            let mut message = Builder::new();
            message.set(
                "role",
                match turn.role {
                    Role::Assistant => "assistant",
                    Role::System | Role::Developer => "system",
                    Role::User | Role::Tool => "user",
                },
            );
            message.set("content", encode_content(turn, true, lost));
            turn.extra.write(&mut message.0, DIALECT, "messages", lost);
            messages.push(message.done());
        }
        return messages;
    }
    for turn in &request.turns {
        if !matches!(turn.role, Role::System | Role::Developer) {
            turn.extra.write(&mut serde_json::Map::new(), DIALECT, "messages", lost);
        }
    }
    let mut sides = alternating(request, |part| block::encode(part, false, lost));
    if let Some((true, blocks)) = sides.last_mut()
        && let Some(Value::Object(last)) = blocks.last_mut()
        && let Some(Value::String(text)) = last.get_mut("text")
    {
        // A prefill must not end in white space.
        text.truncate(text.trim_end().len());
    }
    for (assistant, blocks) in sides {
        let role = if assistant { "assistant" } else { "user" };
        let content = match blocks.as_slice() {
            [only]
                if only.get("type") == Some(&json!("text"))
                    && only.as_object().is_some_and(|only| only.len() == 2) =>
            {
                only.get("text").cloned().unwrap_or_default()
            }
            _ => Value::Array(blocks),
        };
        messages.push(json!({"role": role, "content": content}));
    }
    messages
}

fn encode_tools(request: &Request, at_home: bool, lost: &mut Losses, body: &mut Builder) {
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let mut object = Builder::new();
                object.set("name", name.as_str());
                object.maybe("description", description.as_deref());
                match parameters {
                    Some(Value::Object(schema)) if !at_home && !schema.contains_key("type") => {
                        let mut schema = schema.clone();
                        schema.insert("type".to_owned(), Value::from("object"));
                        object.set("input_schema", Value::Object(schema));
                    }
                    Some(schema) => {
                        object.set("input_schema", schema.clone());
                    }
                    None if at_home => {}
                    None => {
                        object.set("input_schema", json!({"type": "object", "properties": {}}));
                    }
                }
                if at_home {
                    object.maybe("strict", *strict);
                } else if *strict == Some(true) {
                    lost.dropped("tools.strict");
                }
                object.maybe("cache_control", tool.cache.clone());
                tool.extra.write(&mut object.0, DIALECT, "tools", lost);
                tools.push(object.done());
            }
            ToolKind::Opaque(DIALECT, value) => tools.push(value.clone()),
            ToolKind::Opaque(_, value) => lost.lost_tool(value),
        }
    }
    let any = !tools.is_empty();
    if any {
        body.set("tools", tools);
    }
    if any || at_home {
        body.maybe("tool_choice", encode_choice(request));
    }
    if let Some(ToolChoice::Among { .. }) = &request.tool_choice {
        lost.dropped("tool_choice.allowed_tools");
    }
}

pub(super) fn encode_choice(request: &Request) -> Option<Value> {
    let mut choice = match &request.tool_choice {
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::None) => json!({"type": "none"}),
        Some(ToolChoice::Required) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
        Some(ToolChoice::Among { required, .. }) => {
            json!({"type": if *required { "any" } else { "auto" }})
        }
        Some(ToolChoice::Opaque(DIALECT, value)) => value.clone(),
        Some(ToolChoice::Opaque(..)) => json!({"type": "auto"}),
        None if request.parallel_tool_calls == Some(false) => json!({"type": "auto"}),
        None => return None,
    };
    if let Some(parallel) = request.parallel_tool_calls
        && request.tool_choice != Some(ToolChoice::None)
        && (!parallel || request.from == Some(DIALECT))
        && let Some(choice) = choice.as_object_mut()
    {
        choice.insert("disable_parallel_tool_use".to_owned(), Value::from(!parallel));
    }
    Some(choice)
}
