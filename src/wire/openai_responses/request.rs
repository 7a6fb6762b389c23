//! Responses requests. Longer than most files: reading and writing are here side
//! by side, member by member.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::item::{self, DIALECT};
use crate::wire::frame::json::{Builder, Object, span_of, type_name};
use crate::wire::vocab::{
    Body, CallKind, Dialect, Effort, Extra, Format, Losses, Malformed, Part, Reasoning, Request,
    RequestHead, RiskyMembers, Role, ThinkingStyle, Tool, ToolChoice, ToolKind, Turn, custom,
    with_properties,
};
use crate::wire::{Encoded, Target, paired, prompt_bytes};

#[derive(Deserialize)]
struct HeadBody<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    input: Option<IgnoredAny>,
    prompt: Option<IgnoredAny>,
    stream: Option<bool>,
    max_output_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<IgnoredAny>,
    top_logprobs: Option<IgnoredAny>,
    parallel_tool_calls: Option<IgnoredAny>,
    reasoning: Option<HeadReasoning>,
    tools: Option<IgnoredAny>,
    tool_choice: Option<IgnoredAny>,
    text: Option<IgnoredAny>,
}

/// Whatever stands there; only an effort that is a known word is of interest.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeadReasoning {
    Said { effort: Option<Effort> },
    Other(IgnoredAny),
}

pub(super) fn head(body: &[u8]) -> Result<RequestHead, Malformed> {
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
    // A prompt that the provider keeps may be all of it.
    if read.input.is_none() && read.prompt.is_none() {
        return Err(Malformed::missing("input"));
    }
    if let Some(hot) = read.temperature.filter(|hot| !(0.0..=2.0).contains(hot)) {
        return Err(Malformed::invalid(
            "temperature",
            format!("expected a value from 0 to 2, but got {hot}"),
        ));
    }
    if read.max_output_tokens == Some(0) {
        return Err(no_answer());
    }
    Ok(RequestHead {
        model: name.into_owned(),
        model_at: span_of(body, model.get()),
        stream: read.stream.unwrap_or(false),
        stream_options_at: None,
        include_usage: true,
        max_output_tokens: read.max_output_tokens,
        prompt_bytes: prompt_bytes(body),
        said: RiskyMembers::of(&[
            (read.temperature.is_some(), RiskyMembers::TEMPERATURE),
            (read.top_p.is_some(), RiskyMembers::TOP_P),
            (read.top_logprobs.is_some(), RiskyMembers::TOP_LOGPROBS),
            (read.parallel_tool_calls.is_some(), RiskyMembers::PARALLEL_TOOL_CALLS),
            (read.max_output_tokens.is_some(), RiskyMembers::MAX_TOKENS),
            (read.reasoning.is_some(), RiskyMembers::REASONING),
            (read.tools.is_some(), RiskyMembers::TOOLS),
            (read.tool_choice.is_some(), RiskyMembers::TOOL_CHOICE),
            (read.text.is_some(), RiskyMembers::FORMAT),
        ]),
        effort: match read.reasoning {
            Some(HeadReasoning::Said { effort }) => effort,
            Some(HeadReasoning::Other(_)) | None => None,
        },
    })
}

fn no_answer() -> Malformed {
    Malformed::invalid("max_output_tokens", "expected a value of at least 1, but got 0")
}

pub(super) fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let mut object = Object::parse(body)?;
    let mut request = Request { from: Some(DIALECT), ..Request::default() };
    request.model = object.string("model")?.unwrap_or_default();
    match object.take("input") {
        Some(Value::String(text)) => {
            object.spell("input", Value::from(text.as_str()));
            request.turns.push(Turn::new(Role::User, vec![Part::text(text)]));
        }
        Some(Value::Array(items)) => {
            if items.is_empty() {
                object.spell("input", json!([]));
            }
            for (index, value) in items.into_iter().enumerate() {
                request.turns.push(item::decode(value, &format!("input[{index}]"))?);
            }
        }
        Some(other) => {
            return Err(Malformed::wrong_type(
                "input",
                "a string or an array of items",
                type_name(&other),
            ));
        }
        None => {}
    }
    match object.take("instructions") {
        Some(Value::String(text)) => {
            request.instructions = Some(Turn::new(Role::System, vec![Part::text(text)]));
        }
        Some(other) => object.unknown("instructions", other),
        None => {}
    }
    request.max_output_tokens = object.unsigned("max_output_tokens")?;
    if request.max_output_tokens == Some(0) {
        return Err(no_answer());
    }
    request.sampling.temperature = object.number("temperature")?;
    request.sampling.top_p = object.number("top_p")?;
    request.sampling.top_logprobs = object.unsigned("top_logprobs")?;
    request.parallel_tool_calls = object.boolean("parallel_tool_calls")?;
    if let Some(tools) = object.list("tools")? {
        if tools.is_empty() {
            object.spell("tools", json!([]));
        }
        for (index, tool) in tools.into_iter().enumerate() {
            request.tools.push(decode_tool(tool, &format!("tools[{index}]"))?);
        }
    }
    if let Some(value) = object.take("tool_choice") {
        request.tool_choice = decode_choice(&value);
        let told = request.tool_choice.as_ref();
        if told.and_then(|choice| encode_choice(choice, &request.tools)).as_ref() != Some(&value) {
            object.spell("tool_choice", value);
        }
    }
    if let Some(text) = object.peek("text") {
        request.format = decode_format(text);
        let whole = text.clone();
        object.take("text");
        if whole.is_object() {
            let mut left = Object::of(whole.clone(), "text")?;
            if request.format.is_some() {
                left.take("format");
            }
            object.spell_in_part("text", whole, &left);
        } else {
            object.unknown("text", whole);
        }
    }
    if let Some(reasoning) = object.peek("reasoning") {
        let word = reasoning.get("effort").and_then(Value::as_str);
        let effort = word.and_then(Effort::parse);
        let show = reasoning.get("summary").map(|summary| !summary.is_null());
        if effort.is_some() || show.is_some() {
            request.reasoning = Some(Reasoning { effort, show, ..Reasoning::default() });
        }
        object.keep_spelling("reasoning");
    }
    request.stream = object.boolean("stream")?;
    request.user = object.string("user")?;
    // The gateway's own affair, whoever answers.
    for name in ["store", "metadata"] {
        if object.has(name) {
            object.keep_spelling(name);
        }
    }
    request.extra = object.finish(DIALECT);
    Ok(request)
}

pub(super) fn decode_tool(value: Value, path: &str) -> Result<Tool, Malformed> {
    let is_function = value.get("type").and_then(Value::as_str) == Some("function");
    if !is_function || value.get("name").is_none() {
        if !value.is_object() {
            return Err(Malformed::wrong_type(path, "an object", type_name(&value)));
        }
        return Ok(Tool {
            kind: ToolKind::Opaque(DIALECT, value),
            cache: None,
            extra: Extra::NONE,
            inner: Extra::NONE,
        });
    }
    let mut tool = Object::of(value, path)?;
    tool.take("type");
    let kind = ToolKind::Function {
        name: tool.required_string("name")?,
        description: tool.string("description")?,
        parameters: tool.take("parameters"),
        strict: tool.boolean("strict")?,
    };
    Ok(Tool { kind, cache: None, extra: tool.finish(DIALECT), inner: Extra::NONE })
}

fn decode_choice(value: &Value) -> Option<ToolChoice> {
    if let Some(word) = value.as_str() {
        return match word {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => None,
        };
    }
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    match value.get("type").and_then(Value::as_str) {
        Some("function") => name(value).map(ToolChoice::Named),
        Some("allowed_tools") => Some(ToolChoice::Among {
            names: value
                .get("tools")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(name)
                .collect(),
            required: value.get("mode").and_then(Value::as_str) == Some("required"),
        }),
        _ => Some(ToolChoice::Opaque(DIALECT, value.clone())),
    }
}

fn decode_format(text: &Value) -> Option<Format> {
    let format = text.get("format")?;
    let string = |name: &str| format.get(name).and_then(Value::as_str).map(str::to_owned);
    match format.get("type").and_then(Value::as_str)? {
        "text" => Some(Format::Text),
        "json_object" => Some(Format::Json),
        "json_schema" => Some(Format::Schema {
            name: string("name"),
            schema: format.get("schema").cloned().unwrap_or_else(|| json!({})),
            strict: format.get("strict").and_then(Value::as_bool),
            description: string("description"),
            bare: false,
        }),
        _ => None,
    }
}

// === writing ===

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let at_home = request.from == Some(DIALECT);
    let mut body = Builder::new();
    if !(at_home && target.model.is_empty()) {
        body.set("model", target.model);
    }
    if let Some(instructions) = &request.instructions {
        let text: Vec<&str> = instructions.texts().collect();
        body.set("instructions", text.join("\n\n"));
    }
    let mut items = Vec::with_capacity(request.turns.len());
    let turns = if at_home { Cow::Borrowed(&*request.turns) } else { paired(&request.turns) };
    for turn in &*turns {
        item::encode(turn, at_home, &mut lost, &mut items);
    }
    if !at_home {
        name_custom_results(&turns, &mut items);
    }
    if !items.is_empty() {
        body.set("input", items);
    }
    let sampling = &request.sampling;
    body.maybe("temperature", sampling.temperature.clone());
    body.maybe("top_p", sampling.top_p.clone());
    let mut include = Vec::new();
    if at_home {
        body.maybe("top_logprobs", sampling.top_logprobs);
    } else if request.tells_logprobs() {
        body.maybe("top_logprobs", sampling.top_logprobs);
        include.push("message.output_text.logprobs");
    } else {
        request.name_logprobs(&mut lost);
    }
    if !at_home {
        if sampling.n.is_some_and(|n| n > 1) {
            lost.lost("n");
        }
        if !sampling.stop.is_empty() {
            lost.lost("stop");
        }
        for (name, said) in [
            ("seed", sampling.seed.is_some()),
            ("top_k", sampling.top_k.is_some()),
            ("frequency_penalty", sampling.frequency_penalty.is_some()),
            ("presence_penalty", sampling.presence_penalty.is_some()),
        ] {
            if said {
                lost.dropped(name);
            }
        }
        // Chains are kept here, not at the provider.
        body.set("store", false);
    }
    // A model of which nothing is known is not OpenAI's.
    let theirs = target.thinking.manner != ThinkingStyle::Unknown;
    let least = if theirs && !at_home { LEAST_OUTPUT_TOKENS } else { 0 };
    body.maybe("max_output_tokens", request.max_output_tokens.map(|most| most.max(least)));
    encode_tools(request, &mut lost, &mut body);
    // At home the caller's own words say it, unless they had to be changed.
    let spelled = |name: &str| at_home && request.extra.get(DIALECT, name).is_some();
    if !spelled("text") {
        let mut text = Builder::new();
        text.maybe("format", request.format.as_ref().map(encode_format));
        text.maybe("verbosity", request.extra.get(Dialect::OpenAiChat, "verbosity").cloned());
        if !text.0.is_empty() {
            body.set("text", text.done());
        }
    }
    if !spelled("reasoning") {
        encode_reasoning(request, target, &mut lost, &mut body, &mut include);
    }
    if !include.is_empty() {
        body.set("include", include);
    }
    body.maybe("stream", request.stream);
    body.maybe("user", request.user.as_deref());
    request.extra.write(&mut body.0, DIALECT, "", &mut lost);
    lost.carried("verbosity");
    request.extra.share(Dialect::OpenAiChat, &SHARED, &mut body.0, &mut lost);
    Encoded { body: Bytes::from(body.done().to_string()), losses: lost }
}

/// OpenAI's servers refuse less here, which other dialects may ask for.
const LEAST_OUTPUT_TOKENS: u64 = 16;

/// Results of custom tools are items of a kind of their own here.
fn name_custom_results(turns: &[Turn], items: &mut [Value]) {
    let parts = turns.iter().flat_map(|turn| &turn.parts);
    let custom: Vec<&str> = parts
        .filter_map(|part| match &part.body {
            Body::Call(call) if call.kind == CallKind::Custom => call.id.as_deref(),
            _ => None,
        })
        .collect();
    if custom.is_empty() {
        return;
    }
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        let id = item.get("call_id").and_then(Value::as_str);
        if id.is_some_and(|id| custom.contains(&id))
            && item.get("type").is_some_and(|kind| kind == "function_call_output")
        {
            item.insert("type".to_owned(), Value::from("custom_tool_call_output"));
        }
    }
}

/// What OpenAI's two dialects say in the same words.
const SHARED: [&str; 5] =
    ["service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "metadata"];

fn encode_reasoning(
    request: &Request,
    target: &Target<'_>,
    lost: &mut Losses,
    body: &mut Builder,
    include: &mut Vec<&str>,
) {
    let Some(reasoning) = &request.reasoning else { return };
    let effort = reasoning
        .effort
        .or_else(|| reasoning.budget.and_then(Effort::of_budget))
        .or_else(|| reasoning.enabled.map(|on| if on { Effort::Medium } else { Effort::None }));
    match effort {
        Some(_) if target.thinking.manner == ThinkingStyle::None => lost.dropped("reasoning"),
        Some(effort) => {
            body.set("reasoning", json!({"effort": effort.as_str(), "summary": "auto"}));
            include.push("reasoning.encrypted_content");
        }
        None => {}
    }
}

fn encode_tools(request: &Request, lost: &mut Losses, body: &mut Builder) {
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let mut object = Builder::new();
                object.set("type", "function").set("name", name.as_str());
                object.maybe("description", description.as_deref());
                let abroad = request.from != Some(DIALECT);
                object.maybe(
                    "parameters",
                    parameters.as_ref().map(|schema| {
                        if abroad { with_properties(schema) } else { schema.clone() }
                    }),
                );
                object.maybe("strict", *strict);
                if !tool.extra.came_from(DIALECT) && request.from != Some(DIALECT) {
                    // The default here is strict, which most schemas do not meet.
                    object.0.entry("strict").or_insert(Value::from(false));
                    object
                        .0
                        .entry("parameters")
                        .or_insert(json!({"type": "object", "properties": {}}));
                }
                if tool.cache.is_some() {
                    lost.dropped("cache_control");
                }
                tool.extra.write(&mut object.0, DIALECT, "tools", lost);
                tools.push(object.done());
            }
            ToolKind::Opaque(DIALECT, value) => tools.push(value.clone()),
            // Chat nests what stands beside the type here.
            ToolKind::Opaque(Dialect::OpenAiChat, value) if value.get("custom").is_some() => {
                tools.push(laid_flat(value));
            }
            ToolKind::Opaque(_, value) => lost.lost_tool(value),
        }
    }
    let none = tools.is_empty();
    if !none {
        body.set("tools", tools);
    }
    // There is nothing to choose among.
    if none && request.from != Some(DIALECT) {
        return;
    }
    if let Some(choice) = &request.tool_choice {
        match encode_choice(choice, &request.tools) {
            Some(choice) => {
                body.set("tool_choice", choice);
            }
            // At home the caller's own member says it.
            None if request.from == Some(DIALECT) => {}
            None => lost.dropped("tool_choice"),
        }
    }
    body.maybe("parallel_tool_calls", request.parallel_tool_calls);
}

/// A custom tool of chat's, or a choice of one, whose members stand beside its type here, as do
/// those of a grammar.
fn laid_flat(value: &Value) -> Value {
    let mut tool = Builder::new();
    tool.set("type", "custom");
    tool.0.extend(custom(value).cloned().unwrap_or_default());
    if let Some(Value::Object(format)) = tool.0.get_mut("format")
        && let Some(Value::Object(grammar)) = format.shift_remove("grammar")
    {
        format.extend(grammar);
    }
    tool.done()
}

fn encode_choice(choice: &ToolChoice, tools: &[Tool]) -> Option<Value> {
    let named = |name: &String| {
        let custom = tools.iter().any(|tool| tool.is_custom(name));
        json!({"type": if custom { "custom" } else { "function" }, "name": name})
    };
    Some(match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => named(name),
        ToolChoice::Among { names, required } => json!({
            "type": "allowed_tools",
            "mode": if *required { "required" } else { "auto" },
            "tools": names.iter().map(named).collect::<Vec<_>>(),
        }),
        ToolChoice::Opaque(DIALECT, value) => value.clone(),
        ToolChoice::Opaque(Dialect::OpenAiChat, value) if custom(value).is_some() => {
            laid_flat(value)
        }
        ToolChoice::Opaque(..) => return None,
    })
}

fn encode_format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict, description, .. } => {
            let mut object = Builder::new();
            object.set("type", "json_schema");
            object.set("name", name.as_deref().unwrap_or("answer"));
            object.set("schema", schema.clone());
            object.maybe("strict", *strict);
            object.maybe("description", description.as_deref());
            object.done()
        }
    }
}

/// What an answer repeats of its request.
#[must_use]
pub(super) fn echo(body: &Map<String, Value>) -> Map<String, Value> {
    const REPEATED: [&str; 20] = [
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
        "background",
    ];
    REPEATED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())))
        .collect()
}
