//! generateContent requests, read.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Number, Value, json};

use super::content::{self, DIALECT};
use super::encode::{encode_choice, encode_config};
use super::schema;
use crate::wire::frame::json::Object;
use crate::wire::vocab::{
    Effort, Extra, Format, Losses, Malformed, Reasoning, Request, RequestHead, RiskyMembers, Role,
    Tool, ToolChoice, ToolKind,
};
use crate::wire::{Target, prompt_bytes};

#[derive(Deserialize)]
struct HeadBody {
    contents: Option<IgnoredAny>,
    #[serde(rename = "generationConfig", alias = "generation_config")]
    config: Option<HeadConfig>,
    tools: Option<IgnoredAny>,
    #[serde(rename = "toolConfig", alias = "tool_config")]
    choice: Option<IgnoredAny>,
}

/// Settings, in either spelling; an object of another kind is for `decode` to refuse.
#[derive(Deserialize)]
#[serde(untagged)]
enum HeadConfig {
    Said(Box<HeadSettings>),
    Other(IgnoredAny),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct HeadSettings {
    temperature: Option<IgnoredAny>,
    #[serde(alias = "top_p")]
    top_p: Option<IgnoredAny>,
    #[serde(alias = "top_k")]
    top_k: Option<IgnoredAny>,
    #[serde(alias = "frequency_penalty")]
    frequency_penalty: Option<IgnoredAny>,
    #[serde(alias = "presence_penalty")]
    presence_penalty: Option<IgnoredAny>,
    #[serde(alias = "response_logprobs")]
    response_logprobs: Option<IgnoredAny>,
    logprobs: Option<IgnoredAny>,
    #[serde(alias = "stop_sequences")]
    stop_sequences: Option<IgnoredAny>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<IgnoredAny>,
    seed: Option<IgnoredAny>,
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<Value>,
    #[serde(alias = "thinking_config")]
    thinking_config: Option<IgnoredAny>,
    #[serde(alias = "response_mime_type")]
    response_mime_type: Option<IgnoredAny>,
}

fn no_answer(field: &str) -> Malformed {
    Malformed::invalid(field, "expected a value of at least 1, but got 0")
}

/// The model and the wish for a stream stand in the path here.
pub(super) fn head(body: &[u8]) -> Result<RequestHead, Malformed> {
    let read: HeadBody = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    if read.contents.is_none() {
        return Err(Malformed::missing("contents"));
    }
    let config = match read.config {
        Some(HeadConfig::Said(settings)) => *settings,
        Some(HeadConfig::Other(_)) | None => HeadSettings::default(),
    };
    let most = config.max_output_tokens.as_ref().and_then(whole);
    let most = most.and_then(|most| u64::try_from(most).ok());
    if most == Some(0) {
        return Err(no_answer("generationConfig.maxOutputTokens"));
    }
    Ok(RequestHead {
        include_usage: true,
        prompt_bytes: prompt_bytes(body),
        max_output_tokens: most,
        said: RiskyMembers::of(&[
            (config.temperature.is_some(), RiskyMembers::TEMPERATURE),
            (config.top_p.is_some(), RiskyMembers::TOP_P),
            (config.top_k.is_some(), RiskyMembers::TOP_K),
            (config.frequency_penalty.is_some(), RiskyMembers::FREQUENCY_PENALTY),
            (config.presence_penalty.is_some(), RiskyMembers::PRESENCE_PENALTY),
            (config.response_logprobs.is_some(), RiskyMembers::LOGPROBS),
            (config.logprobs.is_some(), RiskyMembers::TOP_LOGPROBS),
            (config.stop_sequences.is_some(), RiskyMembers::STOP),
            (config.candidate_count.is_some(), RiskyMembers::N),
            (config.seed.is_some(), RiskyMembers::SEED),
            (config.max_output_tokens.is_some(), RiskyMembers::MAX_TOKENS),
            (config.thinking_config.is_some(), RiskyMembers::REASONING),
            (config.response_mime_type.is_some(), RiskyMembers::FORMAT),
            (read.tools.is_some(), RiskyMembers::TOOLS),
            (read.choice.is_some(), RiskyMembers::TOOL_CHOICE),
        ]),
        ..RequestHead::default()
    })
}

pub(super) fn decode(body: &[u8]) -> Result<Request, Malformed> {
    let mut object = Object::parse(body)?;
    let mut request = Request { from: Some(DIALECT), ..Request::default() };
    match object.take("contents") {
        Some(Value::Array(contents)) => {
            for (index, value) in contents.into_iter().enumerate() {
                request.turns.push(content::decode(value, &format!("contents[{index}]"))?);
            }
        }
        // A single content, which Google's servers take too.
        Some(one @ Value::Object(_)) => {
            object.spell("contents", one.clone());
            request.turns.push(content::decode(one, "contents")?);
        }
        Some(_) => return Err(Malformed::wrong_type("contents", "an array", "another type")),
        None => return Err(Malformed::missing("contents")),
    }
    if let Some(system) = object.take_either(["systemInstruction", "system_instruction"]) {
        let system = match system {
            Value::String(text) => json!({"parts": [{"text": text}]}),
            other => other,
        };
        let mut turn = content::decode(system, "systemInstruction")?;
        turn.role = Role::System;
        request.instructions = Some(turn);
    }
    if let Some(value) = object.take_either(["generationConfig", "generation_config"]) {
        let mut config = Object::of(value, "generationConfig")?;
        decode_config(&mut config, &mut request)?;
        if !config.is_spent() {
            let left = config.clone().into_value();
            object.spell_in_part("generationConfig", left, &config);
        } else if config_is_empty(&request) {
            object.spell("generationConfig", json!({}));
        }
    }
    if let Some(tools) = object.list_or_one("tools")? {
        if tools.is_empty() {
            object.spell("tools", json!([]));
        }
        for (index, tool) in tools.into_iter().enumerate() {
            decode_tools(Object::of(tool, format!("tools[{index}]"))?, &mut request)?;
        }
    }
    if let Some(config) = object.take_either(["toolConfig", "tool_config"]) {
        decode_choice(config, &mut object, &mut request);
    }
    request.model = object.string("model")?.unwrap_or_default();
    request.extra = object.finish(DIALECT);
    Ok(request)
}

fn config_is_empty(request: &Request) -> bool {
    let mut lost = Losses::default();
    encode_config(request, &AT_HOME, true, &mut lost).0.is_empty()
}

const AT_HOME: Target<'static> = Target::SELF;

/// Numbers, which JSON of Google's kind may have as texts.
const NUMBERS: [&str; 9] = [
    "temperature",
    "topP",
    "topK",
    "maxOutputTokens",
    "candidateCount",
    "seed",
    "frequencyPenalty",
    "presencePenalty",
    "logprobs",
];

/// A whole number, which JSON of Google's kind may have as a text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn decode_config(config: &mut Object, request: &mut Request) -> Result<(), Malformed> {
    // Clients write either spelling; from here on there is one.
    for (snake, camel) in [
        ("top_p", "topP"),
        ("top_k", "topK"),
        ("max_output_tokens", "maxOutputTokens"),
        ("stop_sequences", "stopSequences"),
        ("candidate_count", "candidateCount"),
        ("frequency_penalty", "frequencyPenalty"),
        ("presence_penalty", "presencePenalty"),
        ("response_logprobs", "responseLogprobs"),
        ("response_mime_type", "responseMimeType"),
        ("response_schema", "responseSchema"),
        ("response_json_schema", "responseJsonSchema"),
        ("thinking_config", "thinkingConfig"),
    ] {
        if let Some(value) = config.take(snake) {
            config.unknown(camel, value);
        }
    }
    for name in NUMBERS {
        if let Some(Value::String(text)) = config.peek(name)
            && let Ok(number) = text.parse::<Number>()
        {
            config.unknown(name, Value::Number(number));
        }
    }
    // Text alone is what anybody answers.
    let only_text = |value: &Value| value == &json!(["TEXT"]);
    if ["responseModalities", "response_modalities"]
        .iter()
        .any(|name| config.peek(name).is_some_and(only_text))
    {
        config.keep_spelling("responseModalities");
        config.keep_spelling("response_modalities");
    }
    let sampling = &mut request.sampling;
    sampling.temperature = config.number("temperature")?;
    sampling.top_p = config.number("topP")?;
    sampling.top_k = config.number("topK")?;
    request.max_output_tokens = config.unsigned("maxOutputTokens")?;
    if request.max_output_tokens == Some(0) {
        return Err(no_answer(&config.path("maxOutputTokens")));
    }
    sampling.n = config.unsigned("candidateCount")?;
    sampling.seed = config.integer("seed")?;
    sampling.frequency_penalty = config.number("frequencyPenalty")?;
    sampling.presence_penalty = config.number("presencePenalty")?;
    sampling.logprobs = config.boolean("responseLogprobs")?;
    sampling.top_logprobs = config.unsigned("logprobs")?;
    if let Some(stops) = config.list("stopSequences")? {
        if stops.is_empty() {
            config.spell("stopSequences", json!([]));
        }
        sampling.stop = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let mime = config.peek("responseMimeType").and_then(Value::as_str).map(str::to_owned);
    let given = config.peek("responseJsonSchema").cloned();
    let older = config.peek("responseSchema").map(schema::from_openapi);
    if let Some(mime) = mime {
        request.format = match (mime.as_str(), given.or(older)) {
            ("application/json", Some(schema)) => Some(Format::schema(schema)),
            ("text/x.enum", Some(schema)) => Some(Format::Schema {
                name: None,
                schema,
                strict: None,
                description: None,
                bare: true,
            }),
            ("application/json", None) => Some(Format::Json),
            // What comes anyway.
            ("text/plain", None) => Some(Format::Text),
            _ => None,
        };
        if request.format.is_some() {
            for name in ["responseMimeType", "responseJsonSchema", "responseSchema"] {
                config.keep_spelling(name);
            }
        }
    }
    if let Some(thinking) = config.peek("thinkingConfig") {
        let either = |camel: &str, snake: &str| thinking.get(camel).or_else(|| thinking.get(snake));
        request.reasoning = Some(Reasoning {
            effort: either("thinkingLevel", "thinking_level")
                .and_then(Value::as_str)
                .and_then(Effort::parse),
            budget: either("thinkingBudget", "thinking_budget").and_then(whole),
            enabled: None,
            show: either("includeThoughts", "include_thoughts").and_then(Value::as_bool),
        });
        config.keep_spelling("thinkingConfig");
    }
    Ok(())
}

/// A list, or what stands for a list of one.
fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        one => vec![one],
    }
}

fn decode_tools(mut tool: Object, request: &mut Request) -> Result<(), Malformed> {
    let declarations = tool.take_either(["functionDeclarations", "function_declarations"]);
    if let Some(items) = declarations.map(listed) {
        let path = tool.path("functionDeclarations");
        for (index, item) in items.into_iter().enumerate() {
            let mut one = Object::of(item, format!("{path}[{index}]"))?;
            let name = one.required_string("name")?;
            let description = one.string("description")?;
            let parameters =
                match one.take_either(["parametersJsonSchema", "parameters_json_schema"]) {
                    Some(schema) => Some(schema),
                    None => {
                        let older = one.peek("parameters").map(schema::from_openapi);
                        if older.is_some() {
                            one.keep_spelling("parameters");
                        }
                        older
                    }
                };
            request.tools.push(Tool {
                kind: ToolKind::Function { name, description, parameters, strict: None },
                cache: None,
                extra: one.finish(DIALECT),
                inner: Extra::NONE,
            });
        }
    }
    if !tool.is_spent()
        && let Value::Object(members) = tool.into_value()
    {
        for (name, value) in members {
            request.tools.push(Tool {
                kind: ToolKind::Opaque(DIALECT, json!({ name: value })),
                cache: None,
                extra: Extra::NONE,
                inner: Extra::NONE,
            });
        }
    }
    Ok(())
}

fn decode_choice(config: Value, object: &mut Object, request: &mut Request) {
    let calling = config
        .get("functionCallingConfig")
        .or_else(|| config.get("function_calling_config"))
        .cloned()
        .unwrap_or_default();
    let either = |camel: &str, snake: &str| calling.get(camel).or_else(|| calling.get(snake));
    let names: Vec<String> = either("allowedFunctionNames", "allowed_function_names")
        .cloned()
        .map_or_else(Vec::new, listed)
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    // By its name, or by the number that it has in Google's definition.
    let mode = calling.get("mode").and_then(|mode| match mode.as_u64() {
        Some(number) => ["", "AUTO", "ANY", "NONE", "VALIDATED"]
            .get(usize::try_from(number).ok()?)
            .map(|word| (*word).to_owned()),
        None => mode.as_str().map(str::to_ascii_uppercase),
    });
    request.tool_choice = match (mode.as_deref(), names.as_slice()) {
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), [one]) => Some(ToolChoice::Named(one.clone())),
        (Some("ANY"), []) => Some(ToolChoice::Required),
        (Some("ANY"), _) => Some(ToolChoice::Among { names, required: true }),
        (Some("VALIDATED"), [_, ..]) => Some(ToolChoice::Among { names, required: false }),
        (Some("AUTO" | "VALIDATED"), _) => Some(ToolChoice::Auto),
        _ => None,
    };
    if encode_choice(request.tool_choice.as_ref()).as_ref() != Some(&config) {
        object.spell("toolConfig", config);
    }
}
