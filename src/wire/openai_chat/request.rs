//! Chat completion requests.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{DIALECT, message};
use crate::wire::frame::json::{Builder, Object, span_of, type_name};
use crate::wire::vocab::{
    Effort, Format, Head, Losses, Malformed, Reasoning, Request, Tool, ToolChoice, ToolKind,
};
use crate::wire::{Encoded, Target};

/// The members whose types the hot path checks; everything else passes unread.
#[derive(Deserialize)]
struct HeadBody<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<Vec<HeadMessage<'a>>>,
    stream: Option<bool>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    n: Option<u64>,
}

#[derive(Deserialize)]
struct HeadMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

pub(super) fn head(body: &[u8]) -> Result<Head, Malformed> {
    let read = match serde_json::from_slice::<HeadBody<'_>>(body) {
        Ok(read) if read.is_plausible() => read,
        // Read it again the slow way, for an error that names the field.
        failed => {
            if decode(body)?.model.is_empty() {
                return Err(Malformed::missing("model"));
            }
            let why = failed.err().map_or_else(
                || Malformed::new("The request is not a valid chat completion request."),
                |why| Malformed::not_json(&why),
            );
            return Err(why);
        }
    };
    let model = read.model.ok_or_else(|| Malformed::missing("model"))?;
    let name: Cow<'_, str> = serde_json::from_str(model.get()).map_err(|_| {
        Malformed::new("Invalid type for 'model': expected a string.")
            .at("model")
            .coded("invalid_type")
    })?;
    let options = match read.stream_options {
        Some(raw) => Some(serde_json::from_str::<StreamOptions>(raw.get()).map_err(|_| {
            Malformed::new("Invalid value for 'stream_options'.")
                .at("stream_options")
                .coded("invalid_type")
        })?),
        None => None,
    };
    Ok(Head {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        stream: read.stream.unwrap_or(false),
        stream_options_at: read.stream_options.and_then(|raw| span_of(body, raw.get())),
        include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
        max_output_tokens: read.max_completion_tokens.or(read.max_tokens),
        prompt_bytes: body.len(),
    })
}

impl HeadBody<'_> {
    fn is_plausible(&self) -> bool {
        self.model.is_some_and(|model| model.get().starts_with('"'))
            && self.messages.as_ref().is_some_and(|messages| {
                !messages.is_empty()
                    && messages.iter().all(|message| {
                        matches!(
                            &*message.role,
                            "system" | "developer" | "user" | "assistant" | "tool" | "function"
                        ) && message.content.is_none_or(|raw| raw.get().starts_with(['"', '[']))
                    })
            })
            && self.temperature.is_none_or(|value| (0.0..=2.0).contains(&value))
            && self.top_p.is_none_or(|value| (0.0..=1.0).contains(&value))
            && self.n.is_none_or(|n| (1..=128).contains(&n))
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let mut object = Object::parse(body)?;
    let mut request = Request { from: Some(DIALECT), ..Request::default() };
    // Azure names the model in the path, so its absence is for `head` to refuse.
    request.model = object.string("model")?.unwrap_or_default();
    let messages = object.list("messages")?.ok_or_else(|| Malformed::missing("messages"))?;
    if messages.is_empty() {
        return Err(Malformed::new(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an \
             empty array instead.",
        )
        .at("messages")
        .coded("empty_array"));
    }
    request.turns.reserve(messages.len());
    for (index, value) in messages.into_iter().enumerate() {
        request.turns.push(message::decode(value, &format!("messages[{index}]"))?);
    }
    decode_sampling(&mut object, &mut request)?;
    decode_tools(&mut object, &mut request)?;
    request.format = decode_format(&mut object)?;
    request.reasoning = decode_reasoning(&mut object)?;
    request.stream = object.boolean("stream")?;
    if let Some(mut options) = object.object("stream_options")? {
        request.include_usage = options.boolean("include_usage")?;
        if !options.is_spent() {
            object.restore("stream_options", options);
            if let Some(usage) = request.include_usage
                && let Some(Value::Object(mut left)) = object.take("stream_options")
            {
                left.insert("include_usage".to_owned(), Value::from(usage));
                object.spell("stream_options", Value::Object(left));
            }
        } else if request.include_usage.is_none() {
            object.spell("stream_options", json!({}));
        }
    }
    request.user = match object.string("safety_identifier")? {
        Some(id) => {
            object.spell("safety_identifier", Value::from(id.clone()));
            object.keep_spelling("user");
            Some(id)
        }
        None => object.string("user")?,
    };
    request.extra = object.finish(DIALECT);
    Ok(request)
}

fn decode_sampling(object: &mut Object, request: &mut Request) -> Result<(), Malformed> {
    let sampling = &mut request.sampling;
    sampling.temperature = object.number("temperature")?;
    sampling.top_p = object.number("top_p")?;
    sampling.top_k = object.number("top_k")?;
    for (name, value, most) in
        [("temperature", &sampling.temperature, 2.0), ("top_p", &sampling.top_p, 1.0)]
    {
        if let Some(value) = value.as_ref().and_then(serde_json::Number::as_f64)
            && !(0.0..=most).contains(&value)
        {
            return Err(Malformed::invalid(
                name,
                format!("expected a value from 0 to {most}, but got {value}"),
            ));
        }
    }
    sampling.frequency_penalty = object.number("frequency_penalty")?;
    sampling.presence_penalty = object.number("presence_penalty")?;
    sampling.seed = object.integer("seed")?;
    sampling.n = object.unsigned("n")?;
    if let Some(n) = sampling.n
        && !(1..=128).contains(&n)
    {
        return Err(Malformed::invalid(
            "n",
            format!("expected a value from 1 to 128, but got {n}"),
        ));
    }
    sampling.logprobs = object.boolean("logprobs")?;
    sampling.top_logprobs = object.unsigned("top_logprobs")?;
    match object.peek("stop") {
        None => {}
        Some(Value::String(one)) => {
            sampling.stop = vec![one.clone()];
            object.keep_spelling("stop");
        }
        Some(Value::Array(all)) => {
            for stop in all {
                match stop.as_str() {
                    Some(stop) => sampling.stop.push(stop.to_owned()),
                    None => {
                        return Err(Malformed::wrong_type(
                            "stop",
                            "an array of strings",
                            "another type",
                        ));
                    }
                }
            }
            object.keep_spelling("stop");
        }
        Some(other) => {
            return Err(Malformed::wrong_type(
                "stop",
                "a string or an array of strings",
                type_name(other),
            ));
        }
    }
    let newer = object.unsigned("max_completion_tokens")?;
    let older = object.unsigned("max_tokens")?;
    for (name, value) in [("max_completion_tokens", newer), ("max_tokens", older)] {
        if let Some(value) = value {
            if value == 0 {
                return Err(Malformed::invalid(name, "expected a value of at least 1, but got 0"));
            }
            object.spell(name, Value::from(value));
        }
    }
    request.max_output_tokens = newer.or(older);
    Ok(())
}

fn decode_tools(object: &mut Object, request: &mut Request) -> Result<(), Malformed> {
    if let Some(tools) = object.list("tools")? {
        if tools.is_empty() {
            object.spell("tools", json!([]));
        }
        for (index, value) in tools.into_iter().enumerate() {
            request.tools.push(decode_tool(value, &format!("tools[{index}]"))?);
        }
    }
    // The form before tools: understood, and kept as it was spelled.
    if request.tools.is_empty()
        && let Some(Value::Array(functions)) = object.peek("functions").cloned()
    {
        for (index, function) in functions.into_iter().enumerate() {
            let inner = Object::of(function, format!("functions[{index}]"))?;
            request.tools.push(decode_function(inner)?);
        }
        object.keep_spelling("functions");
        object.spell("tools", Value::Null);
    }
    request.parallel_tool_calls = object.boolean("parallel_tool_calls")?;
    request.tool_choice = match object.take("tool_choice") {
        None => None,
        Some(Value::String(word)) => Some(match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            // Mistral's word for it.
            "any" => {
                object.spell("tool_choice", Value::from("any"));
                ToolChoice::Required
            }
            _ => {
                return Err(Malformed::invalid(
                    "tool_choice",
                    "expected 'none', 'auto', 'required' or an object",
                ));
            }
        }),
        Some(value) => Some(decode_choice(value, object)?),
    };
    Ok(())
}

fn decode_choice(value: Value, object: &mut Object) -> Result<ToolChoice, Malformed> {
    let name_in = |value: &Value| {
        value
            .get("function")
            .and_then(|function| function.get("name"))
            .or_else(|| value.get("name"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let choice = match value.get("type").and_then(Value::as_str) {
        Some("function") | None => match name_in(&value) {
            Some(name) => ToolChoice::Named(name),
            None => return Err(Malformed::missing("tool_choice.function.name")),
        },
        Some("allowed_tools") => {
            let allowed = value.get("allowed_tools").unwrap_or(&value);
            let names = allowed.get("tools").and_then(Value::as_array);
            ToolChoice::Among {
                names: names.into_iter().flatten().filter_map(name_in).collect(),
                required: allowed.get("mode").and_then(Value::as_str) == Some("required"),
            }
        }
        Some("tool") => match value.get("name").and_then(Value::as_str) {
            Some(name) => ToolChoice::Named(name.to_owned()),
            None => ToolChoice::Opaque(DIALECT, value.clone()),
        },
        Some(_) => ToolChoice::Opaque(DIALECT, value.clone()),
    };
    if encode_choice(&choice).as_ref() != Some(&value) {
        object.spell("tool_choice", value);
    }
    Ok(choice)
}

fn decode_tool(value: Value, path: &str) -> Result<Tool, Malformed> {
    let is_function = match value.get("type") {
        Some(Value::String(kind)) => kind == "function",
        _ => value.get("function").is_some(),
    };
    if !is_function || value.get("function").is_none() {
        if !value.is_object() {
            return Err(Malformed::wrong_type(path, "an object", type_name(&value)));
        }
        // The flat form of the Responses API, which some clients send here.
        if is_function && value.get("name").is_some() {
            let mut flat = Object::of(value.clone(), path)?;
            flat.take("type");
            let mut tool = decode_function(flat)?;
            if let ToolKind::Function { .. } = tool.kind {
                let mut spelled = Object::of(value, path)?;
                for name in ["type", "name", "description", "parameters", "strict"] {
                    spelled.keep_spelling(name);
                }
                spelled.spell("function", Value::Null);
                tool.inner = crate::wire::vocab::Extra::NONE;
                tool.extra = spelled.finish(DIALECT);
            }
            return Ok(tool);
        }
        if is_function {
            return Err(Malformed::missing(&format!("{path}.function")));
        }
        return Ok(Tool {
            kind: ToolKind::Opaque(DIALECT, value),
            cache: None,
            extra: crate::wire::vocab::Extra::NONE,
            inner: crate::wire::vocab::Extra::NONE,
        });
    }
    let mut object = Object::of(value, path)?;
    if object.string("type")?.is_none() {
        object.spell("type", Value::Null);
    }
    let inner =
        object.object("function")?.ok_or_else(|| Malformed::missing(&object.path("function")))?;
    let mut tool = decode_function(inner)?;
    tool.cache = object.peek("cache_control").cloned();
    object.keep_spelling("cache_control");
    tool.extra = object.finish(DIALECT);
    Ok(tool)
}

fn decode_function(mut inner: Object) -> Result<Tool, Malformed> {
    let name = inner.required_string("name")?;
    let description = inner.string("description")?;
    let parameters = inner.take("parameters");
    let strict = inner.boolean("strict")?;
    Ok(Tool {
        kind: ToolKind::Function { name, description, parameters, strict },
        cache: None,
        extra: crate::wire::vocab::Extra::NONE,
        inner: inner.finish(DIALECT),
    })
}

fn decode_format(object: &mut Object) -> Result<Option<Format>, Malformed> {
    let Some(value) = object.take("response_format") else { return Ok(None) };
    let mut format = Object::of(value.clone(), "response_format")?;
    let decoded = match format.required_string("type")?.as_str() {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => {
            let mut inner = format
                .object("json_schema")?
                .ok_or_else(|| Malformed::missing("response_format.json_schema"))?;
            Format::Schema {
                name: inner.string("name")?,
                schema: inner.take("schema").unwrap_or_else(|| json!({})),
                strict: inner.boolean("strict")?,
                description: inner.string("description")?,
            }
        }
        _ => {
            // A grammar, a regular expression: some provider's own.
            object.unknown("response_format", value);
            return Ok(None);
        }
    };
    if encode_format(&decoded) != value {
        object.spell("response_format", value);
    }
    Ok(Some(decoded))
}

/// Effort by its OpenAI name, or by the extensions of Anthropic-like and OpenRouter-like servers.
fn decode_reasoning(object: &mut Object) -> Result<Option<Reasoning>, Malformed> {
    let mut reasoning = Reasoning::default();
    if let Some(word) = object.string("reasoning_effort")? {
        reasoning.effort = Effort::parse(&word);
        match reasoning.effort {
            Some(effort) if effort.as_str() == word => {}
            Some(_) => object.spell("reasoning_effort", Value::from(word)),
            None => object.unknown("reasoning_effort", Value::from(word)),
        }
    }
    if let Some(thinking) = object.peek("thinking").cloned() {
        let kind = thinking.get("type").and_then(Value::as_str);
        reasoning.budget = thinking.get("budget_tokens").and_then(Value::as_i64);
        reasoning.enabled = kind.map(|kind| kind != "disabled");
        object.keep_spelling("thinking");
    }
    if let Some(options) = object.peek("reasoning").cloned() {
        let word = options.get("effort").and_then(Value::as_str);
        if reasoning.effort.is_none() {
            reasoning.effort = word.and_then(Effort::parse);
            if reasoning.effort.is_some() {
                object.spell("reasoning_effort", Value::Null);
            }
        }
        reasoning.budget = reasoning.budget.or(options.get("max_tokens").and_then(Value::as_i64));
        reasoning.enabled = reasoning.enabled.or(options.get("enabled").and_then(Value::as_bool));
        reasoning.show = options.get("exclude").and_then(Value::as_bool).map(|exclude| !exclude);
        object.keep_spelling("reasoning");
    }
    Ok((reasoning != Reasoning::default()).then_some(reasoning))
}

// === writing ===

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let from_chat = request.from == Some(DIALECT);
    let mut body = Builder::new();
    body.set("model", target.model);
    let mut messages = Vec::with_capacity(request.turns.len() + 1);
    for turn in request.instructions.iter().chain(&request.turns) {
        message::encode(turn, from_chat, &mut lost, &mut messages);
    }
    name_calls(&mut messages);
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
    body.maybe("logprobs", sampling.logprobs);
    body.maybe("top_logprobs", sampling.top_logprobs);
    if !sampling.stop.is_empty() {
        body.set("stop", sampling.stop.clone());
    }
    if !from_chat {
        let name = if target.max_tokens_only { "max_tokens" } else { "max_completion_tokens" };
        body.maybe(name, request.max_output_tokens);
    }
    encode_tools(request, &mut lost, &mut body);
    body.maybe("response_format", request.format.as_ref().map(encode_format));
    if let Some(reasoning) = &request.reasoning {
        let effort = reasoning.effort.or_else(|| {
            reasoning.budget.filter(|budget| *budget >= 0 && !from_chat).map(Effort::of_budget)
        });
        if target.reasons || from_chat {
            body.maybe("reasoning_effort", effort.map(Effort::as_str));
        } else if effort.is_some() {
            lost.dropped("reasoning");
        }
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
    drop_placeholders(&mut body.0);
    Encoded { body: Bytes::from(Value::Object(body.0).to_string()), losses: lost }
}

/// Members that a spelling replaced (`functions` for `tools`, `reasoning` for its effort) were
/// marked with a null that no caller wrote.
fn drop_placeholders(body: &mut Map<String, Value>) {
    if body.contains_key("functions") && body.get("tools").is_some_and(Value::is_null) {
        body.shift_remove("tools");
    }
    if body.contains_key("reasoning") && body.get("reasoning_effort").is_some_and(Value::is_null) {
        body.shift_remove("reasoning_effort");
    }
}

/// Calls and results that came without ids (Gemini) get them by order: chat cannot do without.
fn name_calls(messages: &mut [Value]) {
    let mut made = 0_usize;
    let mut waiting = std::collections::VecDeque::new();
    for message in messages {
        if let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) {
            for call in calls {
                if let Some(call) = call.as_object_mut()
                    && !call.contains_key("id")
                {
                    let id = format!("call_{made}");
                    made += 1;
                    waiting.push_back(id.clone());
                    call.insert("id".to_owned(), Value::from(id));
                }
            }
        } else if message.get("role").and_then(Value::as_str) == Some("tool")
            && let Some(message) = message.as_object_mut()
            && !message.contains_key("tool_call_id")
            && let Some(id) = waiting.pop_front()
        {
            message.insert("tool_call_id".to_owned(), Value::from(id));
        }
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
                inner.maybe("parameters", parameters.clone());
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
            ToolKind::Opaque(_, value) => {
                let kind = value.get("type").and_then(Value::as_str).unwrap_or("hosted");
                lost.lost(format!(
                    "tools.{}",
                    kind.chars()
                        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                        .take(40)
                        .collect::<String>()
                ));
            }
        }
    }
    if !tools.is_empty() {
        body.set("tools", tools);
    }
    if let Some(choice) = &request.tool_choice {
        match encode_choice(choice) {
            Some(choice) => {
                body.set("tool_choice", choice);
            }
            None => lost.dropped("tool_choice"),
        }
    }
    body.maybe("parallel_tool_calls", request.parallel_tool_calls);
}

fn encode_choice(choice: &ToolChoice) -> Option<Value> {
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
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
        ToolChoice::Opaque(..) => return None,
    })
}

fn encode_format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict, description } => {
            let mut inner = Builder::new();
            inner.set("name", name.as_deref().unwrap_or("answer"));
            inner.set("schema", schema.clone());
            inner.maybe("strict", *strict);
            inner.maybe("description", description.as_deref());
            json!({"type": "json_schema", "json_schema": inner.done()})
        }
    }
}
