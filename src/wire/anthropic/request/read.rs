//! Requests, read.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::block::{self, DIALECT};
use super::write::encode_choice;
use crate::wire::frame::json::{Object, span_of, type_name};
use crate::wire::prompt_bytes;
use crate::wire::vocab::{
    Effort, Extra, Format, Malformed, Reasoning, Request, RequestHead, RiskyMembers, Role, Tool,
    ToolChoice, ToolKind, Turn,
};

#[derive(Deserialize)]
struct HeadBody<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    messages: Option<IgnoredAny>,
    stream: Option<bool>,
    max_tokens: Option<u64>,
    temperature: Option<IgnoredAny>,
    top_p: Option<IgnoredAny>,
    top_k: Option<IgnoredAny>,
    stop_sequences: Option<IgnoredAny>,
    thinking: Option<IgnoredAny>,
    output_config: Option<IgnoredAny>,
    tools: Option<IgnoredAny>,
    tool_choice: Option<IgnoredAny>,
    output_format: Option<IgnoredAny>,
}

pub(in crate::wire::anthropic) fn head(body: &[u8]) -> Result<RequestHead, Malformed> {
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
    if read.messages.is_none() {
        return Err(Malformed::missing("messages"));
    }
    match read.max_tokens {
        None => return Err(Malformed::missing("max_tokens")),
        Some(0) => return Err(no_answer()),
        Some(_) => {}
    }
    Ok(RequestHead {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        stream: read.stream.unwrap_or(false),
        stream_options_at: None,
        include_usage: true,
        max_output_tokens: read.max_tokens,
        prompt_bytes: prompt_bytes(body),
        said: RiskyMembers::of(&[
            (read.temperature.is_some(), RiskyMembers::TEMPERATURE),
            (read.top_p.is_some(), RiskyMembers::TOP_P),
            (read.top_k.is_some(), RiskyMembers::TOP_K),
            (read.stop_sequences.is_some(), RiskyMembers::STOP),
            (read.thinking.is_some() || read.output_config.is_some(), RiskyMembers::REASONING),
            (read.tools.is_some(), RiskyMembers::TOOLS),
            (read.tool_choice.is_some(), RiskyMembers::TOOL_CHOICE),
            (read.output_config.is_some() || read.output_format.is_some(), RiskyMembers::FORMAT),
        ]),
        effort: None,
    })
}

pub(in crate::wire::anthropic) fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let mut object = Object::parse(body)?;
    let mut request = Request { from: Some(DIALECT), ..Request::default() };
    // Vertex names the model in the path.
    request.model = object.string("model")?.unwrap_or_default();
    let messages = object.list("messages")?.ok_or_else(|| Malformed::missing("messages"))?;
    for (index, value) in messages.into_iter().enumerate() {
        request.turns.push(decode_message(value, &format!("messages.{index}"))?);
    }
    if object.has("system") {
        let (shape, mut parts) = block::decode_content(object.take("system"), "system")?;
        block::put_into_words(&mut parts);
        request.instructions = Some(Turn { role: Role::System, parts, shape, extra: Extra::NONE });
    }
    request.max_output_tokens = object.unsigned("max_tokens")?;
    if request.max_output_tokens == Some(0) {
        return Err(no_answer());
    }
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

fn no_answer() -> Malformed {
    Malformed::invalid("max_tokens", "expected a value of at least 1, but got 0")
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
    let (shape, mut parts) = block::decode_content(message.take_any("content"), &path)?;
    // What tools of Anthropic's own did is not what the model said; what stands for all that was said
    // before (`compaction`) is.
    if role == Role::Assistant {
        block::put_summaries_into_words(&mut parts);
    } else {
        block::put_into_words(&mut parts);
    }
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

fn decode_format(format: &Value) -> Option<Format> {
    let formed = format.get("type").and_then(Value::as_str) == Some("json_schema");
    formed.then(|| Format::schema(format.get("schema").cloned().unwrap_or_else(|| json!({}))))
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
        request.format = config.get("format").and_then(decode_format);
        object.keep_spelling("output_config");
    }
    // Where the beta had it.
    if let Some(format) = object.peek("output_format").and_then(decode_format) {
        request.format.get_or_insert(format);
        object.keep_spelling("output_format");
    }
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
}
