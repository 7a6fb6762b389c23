//! Requests, written.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::super::message::{self, DIALECT};
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{
    Control, Dialect, Effort, Format, Losses, Reasoning, Request, Role, ThinkingStyle, Tool,
    ToolChoice, ToolKind, Turn, custom, with_properties,
};
use crate::wire::{Encoded, Target, paired};

pub(in crate::wire::openai_chat) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let from_chat = request.from == Some(DIALECT);
    let mut body = Builder::new();
    body.set("model", target.model);
    let mut messages = Vec::with_capacity(request.turns.len() + 1);
    let mut shown = Vec::new();
    let turns = if from_chat { Cow::Borrowed(&*request.turns) } else { paired(&request.turns) };
    for turn in request.instructions.iter().chain(&*joined(&turns, from_chat)) {
        if turn.role == Role::Assistant {
            show(&mut shown, &mut messages);
        }
        message::encode(turn, from_chat, target.thoughts, &mut lost, &mut shown, &mut messages);
    }
    show(&mut shown, &mut messages);
    body.set("messages", messages);

    let sampling = &request.sampling;
    body.maybe("temperature", sampling.temperature.clone());
    body.maybe("top_p", sampling.top_p.clone());
    if from_chat {
        body.maybe("top_k", sampling.top_k.clone());
    } else if sampling.top_k.is_some() {
        lost.dropped("top_k");
    }
    body.maybe("frequency_penalty", sampling.frequency_penalty.clone());
    body.maybe("presence_penalty", sampling.presence_penalty.clone());
    body.maybe("seed", sampling.seed);
    body.maybe("n", sampling.n);
    if from_chat {
        body.maybe("logprobs", sampling.logprobs);
        body.maybe("top_logprobs", sampling.top_logprobs);
    } else {
        request.name_logprobs(&mut lost);
    }
    if !sampling.stop.is_empty() {
        body.set("stop", sampling.stop.clone());
    }
    // At home the caller's own member says it, unless it had to go.
    let spelled =
        ["max_tokens", "max_completion_tokens"].iter().any(|name| request.extra.says(name));
    if !from_chat || !spelled {
        let name = if target.max_tokens_only { "max_tokens" } else { "max_completion_tokens" };
        body.maybe(name, request.max_output_tokens);
    }
    encode_tools(request, &mut lost, &mut body);
    body.maybe("response_format", request.format.as_ref().map(encode_format));
    if let Some(reasoning) = &request.reasoning {
        encode_reasoning(reasoning, target, from_chat, &mut lost, &mut body);
    }
    body.maybe("stream", request.stream);
    if let Some(include) = request.include_usage {
        body.set("stream_options", json!({ "include_usage": include }));
    }
    body.maybe(
        "user",
        request
            .user
            .as_deref()
            .filter(|_| request.extra.get(DIALECT, "safety_identifier").is_none()),
    );
    request.extra.write(&mut body.0, DIALECT, "", &mut lost);
    let text = request.extra.get(Dialect::OpenAiResponses, "text");
    if let Some(verbosity) = text.and_then(|text| text.get("verbosity")) {
        body.set("verbosity", verbosity.clone());
        lost.carried("text.verbosity");
    }
    request.extra.share(Dialect::OpenAiResponses, &SHARED, &mut body.0, &mut lost);
    drop_placeholders(&mut body.0);
    Encoded { body: Bytes::from(Value::Object(body.0).to_string()), losses: lost }
}

/// Each maker of a server has a way of its own to turn thinking on and off.
fn encode_reasoning(
    reasoning: &Reasoning,
    target: &Target<'_>,
    from_chat: bool,
    lost: &mut Losses,
    body: &mut Builder,
) {
    let thinking = target.thinking;
    let budget = reasoning.budget.filter(|budget| *budget >= 0 && !from_chat);
    let effort = reasoning.effort.or_else(|| budget.and_then(Effort::of_budget));
    if thinking.manner == ThinkingStyle::None && !from_chat {
        if effort.is_some_and(|effort| effort != Effort::None) {
            lost.dropped("reasoning");
        }
        return;
    }
    let off = reasoning.enabled == Some(false) || effort == Some(Effort::None);
    let on = reasoning.enabled == Some(true)
        || effort.is_some()
        || reasoning.budget.is_some_and(|budget| budget != 0);
    match thinking.control {
        Control::Effort => {}
        Control::Member if off => {
            body.set("thinking", json!({"type": "disabled"}));
            return;
        }
        Control::Member if on => {
            let adapts = thinking.manner == ThinkingStyle::Adaptive;
            let kind = if adapts { "adaptive" } else { "enabled" };
            body.set("thinking", json!({ "type": kind }));
            if thinking.efforts.is_empty() {
                return;
            }
        }
        Control::Switch if off || on => {
            body.set("enable_thinking", !off);
            if !off {
                body.maybe("thinking_budget", budget.filter(|budget| *budget > 0));
            }
            return;
        }
        Control::Member | Control::Switch => {}
    }
    if on && effort.is_none() && thinking.manner == ThinkingStyle::Unknown && !from_chat {
        lost.dropped("reasoning");
    }
    body.maybe("reasoning_effort", effort.map(Effort::as_str));
}

/// Pictures that tools came back with, which only the user can show here: after all results, and
/// before what the user says beside them.
fn show(shown: &mut Vec<Value>, messages: &mut Vec<Value>) {
    if shown.is_empty() {
        return;
    }
    let after = messages
        .iter()
        .rposition(|message| message.get("role").and_then(Value::as_str) == Some("tool"))
        .map_or(messages.len(), |last| last + 1);
    let mut content = vec![json!({"type": "text", "text": "What the tools returned:"})];
    content.append(shown);
    messages.insert(after, json!({"role": "user", "content": content}));
}

/// What OpenAI's two dialects say in the same words.
const SHARED: [&str; 4] =
    ["service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"];

/// Turns of the model in a row are one message here: where calls are items of their own
/// (Responses), their results would otherwise not follow the message that holds all of them.
fn joined(turns: &[Turn], from_chat: bool) -> Cow<'_, [Turn]> {
    let said = |turn: &Turn| turn.role == Role::Assistant;
    let neighbours = turns.windows(2).any(|pair| pair.iter().all(said));
    if from_chat || !neighbours {
        return Cow::Borrowed(turns);
    }
    let mut all: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns {
        match all.last_mut() {
            Some(last) if said(last) && said(turn) => last.parts.extend(turn.parts.clone()),
            _ => all.push(turn.clone()),
        }
    }
    Cow::Owned(all)
}

/// Members that a spelling replaced (`functions` for `tools`, `reasoning` for its effort) were
/// marked with a null that no caller wrote.
fn drop_placeholders(body: &mut Map<String, Value>) {
    if body.contains_key("functions") && body.get("tools").is_some_and(Value::is_null) {
        body.shift_remove("tools");
    }
    if body.contains_key("function_call") && body.get("tool_choice").is_some_and(Value::is_null) {
        body.shift_remove("tool_choice");
    }
    if body.contains_key("reasoning") && body.get("reasoning_effort").is_some_and(Value::is_null) {
        body.shift_remove("reasoning_effort");
    }
}

fn encode_tools(request: &Request, lost: &mut Losses, body: &mut Builder) {
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let mut inner = Builder::new();
                inner.set("name", name.as_str());
                inner.maybe("description", description.as_deref());
                let abroad = request.from != Some(DIALECT);
                inner.maybe(
                    "parameters",
                    parameters.as_ref().map(|schema| {
                        if abroad { with_properties(schema) } else { schema.clone() }
                    }),
                );
                inner.maybe("strict", *strict);
                tool.inner.write(&mut inner.0, DIALECT, "tools", lost);
                let mut object = Builder::new();
                object.set("type", "function").set("function", inner.done());
                tool.extra.write(&mut object.0, DIALECT, "tools", lost);
                for name in ["type", "function"] {
                    if object.0.get(name).is_some_and(Value::is_null) {
                        object.0.shift_remove(name);
                    }
                }
                if tool.cache.is_some() && !tool.extra.came_from(DIALECT) {
                    lost.dropped("cache_control");
                }
                tools.push(object.done());
            }
            ToolKind::Opaque(DIALECT, value) => tools.push(value.clone()),
            // Responses has beside the type what is nested here.
            ToolKind::Opaque(Dialect::OpenAiResponses, value) if custom(value).is_some() => {
                tools.push(nested(value));
            }
            ToolKind::Opaque(_, value) => lost.lost_tool(value),
        }
    }
    let none = tools.is_empty();
    if !none {
        body.set("tools", tools);
    }
    // Without tools either is refused; at home the caller may have spelled them otherwise.
    if none && request.from != Some(DIALECT) {
        return;
    }
    if let Some(choice) = &request.tool_choice {
        match encode_choice(choice, &request.tools) {
            Some(choice) => {
                body.set("tool_choice", choice);
            }
            None => lost.dropped("tool_choice"),
        }
    }
    body.maybe("parallel_tool_calls", request.parallel_tool_calls);
}

/// A custom tool of Responses', or a choice of one, whose members are nested here, as are those of a
/// grammar.
fn nested(value: &Value) -> Value {
    let mut inner = custom(value).cloned().unwrap_or_default();
    inner.shift_remove("type");
    if let Some(Value::Object(format)) = inner.get_mut("format")
        && format.get("type").is_some_and(|kind| kind == "grammar")
        && !format.contains_key("grammar")
    {
        let mut grammar = std::mem::take(format);
        grammar.shift_remove("type");
        *format = Map::from_iter([
            ("type".to_owned(), Value::from("grammar")),
            ("grammar".to_owned(), Value::Object(grammar)),
        ]);
    }
    json!({"type": "custom", "custom": inner})
}

pub(super) fn encode_choice(choice: &ToolChoice, tools: &[Tool]) -> Option<Value> {
    let named = |name: &str| {
        let custom = tools.iter().any(|tool| tool.is_custom(name));
        let kind = if custom { "custom" } else { "function" };
        json!({"type": kind, kind: {"name": name}})
    };
    Some(match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => named(name),
        ToolChoice::Among { names, required } => json!({
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": if *required { "required" } else { "auto" },
                "tools": names.iter().map(|name| named(name)).collect::<Vec<_>>(),
            },
        }),
        ToolChoice::Opaque(DIALECT, value) => value.clone(),
        ToolChoice::Opaque(Dialect::OpenAiResponses, value) if custom(value).is_some() => {
            nested(value)
        }
        ToolChoice::Opaque(..) => return None,
    })
}

pub(super) fn encode_format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict, description, .. } => {
            let mut inner = Builder::new();
            inner.set("name", name.as_deref().unwrap_or("answer"));
            inner.set("schema", schema.clone());
            inner.maybe("strict", *strict);
            inner.maybe("description", description.as_deref());
            json!({"type": "json_schema", "json_schema": inner.done()})
        }
    }
}
