//! Requests, read. Longer than most files: every member is here once.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::message::{self, DIALECT};
use super::write::{encode_choice, encode_format};
use crate::wire::frame::json::{Object, span_of, type_name};
use crate::wire::prompt_bytes;
use crate::wire::vocab::{
    Effort, Format, Malformed, Reasoning, Request, RequestHead, RiskyMembers, Tool, ToolChoice,
    ToolKind,
};

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
    top_k: Option<IgnoredAny>,
    frequency_penalty: Option<IgnoredAny>,
    presence_penalty: Option<IgnoredAny>,
    logprobs: Option<IgnoredAny>,
    top_logprobs: Option<IgnoredAny>,
    #[serde(borrow)]
    stop: Option<&'a RawValue>,
    seed: Option<IgnoredAny>,
    parallel_tool_calls: Option<IgnoredAny>,
    #[serde(borrow)]
    reasoning_effort: Option<&'a RawValue>,
    reasoning: Option<IgnoredAny>,
    thinking: Option<IgnoredAny>,
    enable_thinking: Option<IgnoredAny>,
    tools: Option<IgnoredAny>,
    functions: Option<IgnoredAny>,
    tool_choice: Option<IgnoredAny>,
    response_format: Option<IgnoredAny>,
}

/// The most stop sequences that OpenAI takes.
const MOST_STOPS: usize = 4;

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

pub(in crate::wire::openai_chat) fn head(body: &[u8]) -> Result<RequestHead, Malformed> {
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
    Ok(RequestHead {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        stream: read.stream.unwrap_or(false),
        stream_options_at: read.stream_options.and_then(|raw| span_of(body, raw.get())),
        include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
        max_output_tokens: read.max_completion_tokens.or(read.max_tokens),
        prompt_bytes: prompt_bytes(body),
        said: read.said(),
        effort: read.reasoning_effort.and_then(|raw| Effort::parse(raw.get().trim_matches('"'))),
    })
}

impl HeadBody<'_> {
    fn said(&self) -> RiskyMembers {
        RiskyMembers::of(&[
            (self.temperature.is_some(), RiskyMembers::TEMPERATURE),
            (self.top_p.is_some(), RiskyMembers::TOP_P),
            (self.top_k.is_some(), RiskyMembers::TOP_K),
            (self.frequency_penalty.is_some(), RiskyMembers::FREQUENCY_PENALTY),
            (self.presence_penalty.is_some(), RiskyMembers::PRESENCE_PENALTY),
            (self.logprobs.is_some(), RiskyMembers::LOGPROBS),
            (self.top_logprobs.is_some(), RiskyMembers::TOP_LOGPROBS),
            (self.stop.is_some(), RiskyMembers::STOP),
            (self.n.is_some(), RiskyMembers::N),
            (self.seed.is_some(), RiskyMembers::SEED),
            (self.parallel_tool_calls.is_some(), RiskyMembers::PARALLEL_TOOL_CALLS),
            (self.max_tokens.is_some(), RiskyMembers::MAX_TOKENS),
            (self.max_completion_tokens.is_some(), RiskyMembers::MAX_COMPLETION_TOKENS),
            (
                self.reasoning_effort.is_some()
                    || self.reasoning.is_some()
                    || self.thinking.is_some()
                    || self.enable_thinking.is_some(),
                RiskyMembers::REASONING,
            ),
            (self.tools.is_some() || self.functions.is_some(), RiskyMembers::TOOLS),
            (self.tool_choice.is_some(), RiskyMembers::TOOL_CHOICE),
            (self.response_format.is_some(), RiskyMembers::FORMAT),
        ])
    }

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
            && self.max_tokens != Some(0)
            && self.max_completion_tokens != Some(0)
            && self.stop.is_none_or(|stop| {
                // A single string is the usual form.
                let stops = || serde_json::from_str::<Vec<IgnoredAny>>(stop.get());
                stop.get().starts_with('"') || stops().is_ok_and(|all| all.len() <= MOST_STOPS)
            })
    }
}

pub(in crate::wire::openai_chat) fn decode(body: &[u8]) -> Result<Request, Malformed> {
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
        Some(Value::Array(all)) if all.len() > MOST_STOPS => {
            let why = format!("expected up to {MOST_STOPS} strings, but got {}", all.len());
            return Err(Malformed::invalid("stop", why));
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
        Some(value) => Some(decode_choice(value, &request.tools, object)?),
    };
    if request.tool_choice.is_none() && !request.tools.is_empty() {
        request.tool_choice = object.peek("function_call").and_then(legacy_choice);
        if request.tool_choice.is_some() {
            object.keep_spelling("function_call");
            object.spell("tool_choice", Value::Null);
        }
    }
    Ok(())
}

/// A choice in the form before tools.
fn legacy_choice(value: &Value) -> Option<ToolChoice> {
    match value.as_str() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some(_) => None,
        None => Some(ToolChoice::Named(value.get("name")?.as_str()?.to_owned())),
    }
}

fn decode_choice(
    value: Value,
    tools: &[Tool],
    object: &mut Object,
) -> Result<ToolChoice, Malformed> {
    let name_in = |value: &Value| {
        value
            .get("function")
            .or_else(|| value.get("custom"))
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
    if encode_choice(&choice, tools).as_ref() != Some(&value) {
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
                bare: false,
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
