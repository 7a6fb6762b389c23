//! Messages requests.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{DIALECT, block};
use crate::wire::frame::json::{Builder, Object, span_of, type_name};
use crate::wire::vocab::{
    Body, Effort, Extra, Format, Head, Losses, Malformed, Part, Reasoning, Request, Role, Shape,
    Tool, ToolChoice, ToolKind, Turn,
};
use crate::wire::{Encoded, Target};

/// The least thinking Anthropic allows.
const LEAST_BUDGET: i64 = 1_024;
/// What takes the place of a JSON mode, which this dialect does not have.
const JSON_INSTRUCTION: &str =
    "Respond with one valid JSON object and nothing else: no prose, no code fence.";

#[derive(Deserialize)]
struct HeadBody<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    stream: Option<bool>,
    max_tokens: Option<u64>,
}

pub(super) fn head(body: &[u8]) -> Result<Head, Malformed> {
    let read: HeadBody<'_> = match serde_json::from_slice(body) {
        Ok(read) => read,
        Err(why) => {
            decode(body)?;
            return Err(Malformed::not_json(&why));
        }
    };
    let model = read.model.ok_or_else(|| Malformed::missing("model"))?;
    let name: Cow<'_, str> = serde_json::from_str(model.get())
        .map_err(|_| Malformed::wrong_type("model", "a string", "another type"))?;
    Ok(Head {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        stream: read.stream.unwrap_or(false),
        stream_options_at: None,
        include_usage: true,
        max_output_tokens: read.max_tokens,
        prompt_bytes: body.len(),
    })
}

pub(super) fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let mut object = Object::parse(body)?;
    let mut request = Request { from: Some(DIALECT), ..Request::default() };
    // Vertex names the model in the path.
    request.model = object.string("model")?.unwrap_or_default();
    let messages = object.list("messages")?.ok_or_else(|| Malformed::missing("messages"))?;
    for (index, value) in messages.into_iter().enumerate() {
        request.turns.push(decode_message(value, &format!("messages.{index}"))?);
    }
    if object.has("system") {
        let (shape, parts) = block::decode_content(object.take("system"), "system")?;
        request.instructions = Some(Turn { role: Role::System, parts, shape, extra: Extra::NONE });
    }
    request.max_output_tokens = object.unsigned("max_tokens")?;
    let sampling = &mut request.sampling;
    sampling.temperature = object.number("temperature")?;
    sampling.top_p = object.number("top_p")?;
    sampling.top_k = object.number("top_k")?;
    if let Some(stops) = object.list("stop_sequences")? {
        if stops.is_empty() {
            object.spell("stop_sequences", json!([]));
        }
        for stop in stops {
            match stop {
                Value::String(stop) => sampling.stop.push(stop),
                other => {
                    return Err(Malformed::wrong_type(
                        "stop_sequences",
                        "strings",
                        type_name(&other),
                    ));
                }
            }
        }
    }
    if let Some(tools) = object.list("tools")? {
        if tools.is_empty() {
            object.spell("tools", json!([]));
        }
        for (index, tool) in tools.into_iter().enumerate() {
            request.tools.push(decode_tool(tool, &format!("tools.{index}"))?);
        }
    }
    decode_choice(&mut object, &mut request)?;
    decode_reasoning(&mut object, &mut request);
    if let Some(mut metadata) = object.object("metadata")? {
        request.user = metadata.string("user_id")?;
        if !metadata.is_spent() || request.user.is_none() {
            if let Some(user) = &request.user {
                metadata.spell("user_id", Value::from(user.as_str()));
            }
            object.spell("metadata", metadata.into_value());
        }
    }
    request.stream = object.boolean("stream")?;
    request.extra = object.finish(DIALECT);
    Ok(request)
}

fn decode_message(value: Value, path: &str) -> Result<Turn, Malformed> {
    let mut message = Object::of(value, path)?;
    let role = match message.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            return Err(Malformed::invalid(
                &message.path("role"),
                format!("unexpected role '{}'", other.chars().take(40).collect::<String>()),
            ));
        }
    };
    let path = message.path("content");
    if message.peek("content").is_none() {
        return Err(Malformed::missing(&path));
    }
    let (shape, parts) = block::decode_content(message.take_any("content"), &path)?;
    Ok(Turn { role, parts, shape, extra: message.finish(DIALECT) })
}

fn decode_tool(value: Value, path: &str) -> Result<Tool, Malformed> {
    let hosted = value.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom");
    if hosted {
        return Ok(Tool {
            kind: ToolKind::Opaque(DIALECT, value),
            cache: None,
            extra: Extra::NONE,
            inner: Extra::NONE,
        });
    }
    let mut tool = Object::of(value, path)?;
    tool.keep_spelling("type");
    let kind = ToolKind::Function {
        name: tool.required_string("name")?,
        description: tool.string("description")?,
        parameters: tool.take("input_schema"),
        strict: tool.boolean("strict")?,
    };
    let cache = tool.take("cache_control");
    Ok(Tool { kind, cache, extra: tool.finish(DIALECT), inner: Extra::NONE })
}

fn decode_choice(object: &mut Object, request: &mut Request) -> Result<(), Malformed> {
    let Some(value) = object.take("tool_choice") else { return Ok(()) };
    let mut choice = Object::of(value.clone(), "tool_choice")?;
    request.parallel_tool_calls =
        choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    request.tool_choice = Some(match choice.required_string("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.required_string("name")?),
        _ => ToolChoice::Opaque(DIALECT, value.clone()),
    });
    if encode_choice(request).as_ref() != Some(&value) {
        object.spell("tool_choice", value);
    }
    Ok(())
}

fn decode_reasoning(object: &mut Object, request: &mut Request) {
    let mut reasoning = Reasoning::default();
    if let Some(thinking) = object.peek("thinking") {
        let kind = thinking.get("type").and_then(Value::as_str).unwrap_or_default();
        reasoning.enabled = Some(kind != "disabled");
        reasoning.budget = thinking.get("budget_tokens").and_then(Value::as_i64);
        reasoning.show =
            thinking.get("display").and_then(Value::as_str).map(|display| display != "omitted");
        object.keep_spelling("thinking");
    }
    if let Some(config) = object.peek("output_config").cloned() {
        reasoning.effort = config.get("effort").and_then(Value::as_str).and_then(Effort::parse);
        if let Some(format) = config.get("format")
            && format.get("type").and_then(Value::as_str) == Some("json_schema")
        {
            request.format = Some(Format::Schema {
                name: None,
                schema: format.get("schema").cloned().unwrap_or_else(|| json!({})),
                strict: None,
                description: None,
            });
        }
        object.keep_spelling("output_config");
    }
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
}

// === writing ===

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
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
        let most = target.max_output_tokens.max(1);
        if let Some(budget) = thinking_budget(request, target, &mut lost) {
            // The budget is part of max_tokens, and must leave room for an answer.
            let room = max_tokens.unwrap_or(most);
            let wanted = room.saturating_add(budget.unsigned_abs()).min(most.max(room));
            let budget = budget.min(i64::try_from(wanted).unwrap_or(i64::MAX) - 1);
            if budget >= LEAST_BUDGET {
                max_tokens = Some(wanted);
                body.set("thinking", json!({"type": "enabled", "budget_tokens": budget}));
                for name in ["temperature", "top_k", "top_p"] {
                    if body.0.shift_remove(name).is_some() {
                        lost.dropped(name.to_owned());
                    }
                }
            } else {
                lost.dropped("reasoning");
            }
        }
        if let Some(Format::Schema { schema, .. }) = &request.format {
            body.set("output_config", json!({"format": {"type": "json_schema", "schema": schema}}));
        }
    }
    body.maybe("max_tokens", max_tokens);
    if let Some(user) = &request.user {
        body.set("metadata", json!({ "user_id": user }));
    }
    body.maybe("stream", request.stream);
    request.extra.write(&mut body.0, DIALECT, "", &mut lost);
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
        (Shape::Text, [Part { body: Body::Text(text), cache: None, .. }]) => {
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
    // Roles must alternate, and every result of a turn's calls must stand in the one message after
    // it, before any text: so neighbours of one role become one message.
    let mut merged: Vec<(bool, Vec<Value>)> = Vec::new();
    for turn in &request.turns {
        if matches!(turn.role, Role::System | Role::Developer) {
            continue;
        }
        turn.extra.write(&mut serde_json::Map::new(), DIALECT, "messages", lost);
        let assistant = turn.role == Role::Assistant;
        let blocks = turn.parts.iter().filter_map(|part| block::encode(part, false, lost));
        match merged.last_mut() {
            Some((same, known)) if *same == assistant => known.extend(blocks),
            _ => merged.push((assistant, blocks.collect())),
        }
    }
    merged.retain(|(_, blocks)| !blocks.is_empty());
    if merged.first().is_none_or(|(assistant, _)| *assistant) {
        merged.insert(0, (false, vec![json!({"type": "text", "text": "Continue."})]));
    }
    if let Some((true, blocks)) = merged.last_mut()
        && let Some(Value::Object(last)) = blocks.last_mut()
        && let Some(Value::String(text)) = last.get_mut("text")
    {
        // A prefill must not end in white space.
        text.truncate(text.trim_end().len());
    }
    pair_results(&mut merged);
    for (assistant, mut blocks) in merged {
        let role = if assistant { "assistant" } else { "user" };
        if !assistant {
            blocks.sort_by_key(|block| {
                block.get("type").and_then(Value::as_str) != Some("tool_result")
            });
        }
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

/// Every call needs its result in the next message, by an id of letters, digits, `_` and `-`.
/// Clients misspell ids (seen with Z.AI's, which hold a sign) and cut conversations short.
fn pair_results(messages: &mut [(bool, Vec<Value>)]) {
    let id_of = |block: &Value, kind: &str, name: &str| -> Option<String> {
        (block.get("type").and_then(Value::as_str) == Some(kind))
            .then(|| block.get(name).and_then(Value::as_str).map(str::to_owned))
            .flatten()
    };
    for (_, blocks) in messages.iter_mut() {
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            for name in ["id", "tool_use_id"] {
                if let Some(Value::String(id)) = block.get_mut(name) {
                    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
                    if id.contains(odd) {
                        *id = id.replace(odd, "_");
                    }
                }
            }
        }
    }
    for at in 1..messages.len() {
        let (before, rest) = messages.split_at_mut(at);
        let (Some((true, calling)), Some((false, answering))) = (before.last(), rest.first_mut())
        else {
            continue;
        };
        let mut open: Vec<String> =
            calling.iter().filter_map(|block| id_of(block, "tool_use", "id")).collect();
        let mut strays = Vec::new();
        for (position, block) in answering.iter().enumerate() {
            if let Some(id) = id_of(block, "tool_result", "tool_use_id") {
                match open.iter().position(|known| *known == id) {
                    Some(known) => {
                        open.remove(known);
                    }
                    None => strays.push(position),
                }
            }
        }
        let mut open = open.into_iter();
        for position in strays {
            if let (Some(id), Some(block)) =
                (open.next(), answering.get_mut(position).and_then(Value::as_object_mut))
            {
                block.insert("tool_use_id".to_owned(), Value::from(id));
            }
        }
        answering.extend(open.map(|id| {
            json!({"type": "tool_result", "tool_use_id": id, "content": "No result.", "is_error": true})
        }));
    }
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
                }
                object.maybe("cache_control", tool.cache.clone());
                tool.extra.write(&mut object.0, DIALECT, "tools", lost);
                tools.push(object.done());
            }
            ToolKind::Opaque(DIALECT, value) => tools.push(value.clone()),
            ToolKind::Opaque(_, value) => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("hosted");
                let kind: String = kind
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .take(40)
                    .collect();
                lost.lost(format!("tools.{kind}"));
            }
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

fn encode_choice(request: &Request) -> Option<Value> {
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

/// How many tokens to think, or `None` for not at all. Thinking and a forced tool exclude each
/// other, and a tool loop that began without a signed thought cannot go on with one.
fn thinking_budget(request: &Request, target: &Target<'_>, lost: &mut Losses) -> Option<i64> {
    let reasoning = request.reasoning.as_ref()?;
    let wanted = match (reasoning.budget, reasoning.effort) {
        (Some(budget), _) if budget > 0 => budget,
        (Some(0), _) | (_, Some(Effort::None)) => return None,
        (_, Some(effort)) => effort.budget(),
        (Some(_), None) => Effort::Medium.budget(),
        (None, None) if reasoning.enabled == Some(true) => Effort::Medium.budget(),
        (None, None) => return None,
    };
    let forced = matches!(
        request.tool_choice,
        Some(
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. }
        )
    );
    let last = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let in_loop = request.turns.last().is_some_and(|turn| {
        turn.role == Role::Tool
            || turn.parts.iter().any(|part| matches!(part.body, Body::Outcome(_)))
    });
    let unsigned = in_loop
        && last.is_some_and(|turn| {
            !turn.parts.iter().any(|part| {
                matches!(part.body, Body::Thought(_))
                    && part.signature.as_ref().is_some_and(|signature| signature.by == DIALECT)
            })
        });
    if !target.reasons || forced || unsigned {
        lost.dropped("reasoning");
        return None;
    }
    Some(wanted.max(LEAST_BUDGET))
}
