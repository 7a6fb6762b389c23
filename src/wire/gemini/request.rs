//! generateContent requests.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::content::{self, CallNames};
use super::{DIALECT, schema};
use crate::wire::frame::json::{Builder, Object};
use crate::wire::vocab::{
    Effort, Extra, Format, Head, Losses, Malformed, Manner, Reasoning, Request, Role, Said, Tool,
    ToolChoice, ToolKind,
};
use crate::wire::{Encoded, Target, paired, prompt_bytes};

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
    max_output_tokens: Option<u64>,
    #[serde(alias = "thinking_config")]
    thinking_config: Option<IgnoredAny>,
    #[serde(alias = "response_mime_type")]
    response_mime_type: Option<IgnoredAny>,
}

fn no_answer(field: &str) -> Malformed {
    Malformed::invalid(field, "expected a value of at least 1, but got 0")
}

/// The model and the wish for a stream stand in the path here.
pub(super) fn head(body: &[u8]) -> Result<Head, Malformed> {
    let read: HeadBody = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    if read.contents.is_none() {
        return Err(Malformed::missing("contents"));
    }
    let config = match read.config {
        Some(HeadConfig::Said(settings)) => *settings,
        Some(HeadConfig::Other(_)) | None => HeadSettings::default(),
    };
    if config.max_output_tokens == Some(0) {
        return Err(no_answer("generationConfig.maxOutputTokens"));
    }
    Ok(Head {
        include_usage: true,
        prompt_bytes: prompt_bytes(body),
        max_output_tokens: config.max_output_tokens,
        said: Said::of(&[
            (config.temperature.is_some(), Said::TEMPERATURE),
            (config.top_p.is_some(), Said::TOP_P),
            (config.top_k.is_some(), Said::TOP_K),
            (config.frequency_penalty.is_some(), Said::FREQUENCY_PENALTY),
            (config.presence_penalty.is_some(), Said::PRESENCE_PENALTY),
            (config.response_logprobs.is_some(), Said::LOGPROBS),
            (config.logprobs.is_some(), Said::TOP_LOGPROBS),
            (config.stop_sequences.is_some(), Said::STOP),
            (config.candidate_count.is_some(), Said::N),
            (config.seed.is_some(), Said::SEED),
            (config.max_output_tokens.is_some(), Said::MAX_TOKENS),
            (config.thinking_config.is_some(), Said::REASONING),
            (config.response_mime_type.is_some(), Said::FORMAT),
            (read.tools.is_some(), Said::TOOLS),
            (read.choice.is_some(), Said::TOOL_CHOICE),
        ]),
        ..Head::default()
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
            ("application/json", Some(schema)) => {
                Some(Format::Schema { name: None, schema, strict: None, description: None })
            }
            ("application/json", None) => Some(Format::Json),
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
            budget: either("thinkingBudget", "thinking_budget").and_then(Value::as_i64),
            enabled: None,
            show: either("includeThoughts", "include_thoughts").and_then(Value::as_bool),
        });
        config.keep_spelling("thinkingConfig");
    }
    Ok(())
}

fn decode_tools(mut tool: Object, request: &mut Request) -> Result<(), Malformed> {
    let declarations = tool.take_either(["functionDeclarations", "function_declarations"]);
    if let Some(Value::Array(items)) = declarations {
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
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let mode = calling.get("mode").and_then(Value::as_str).map(str::to_ascii_uppercase);
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

// === writing ===

pub(super) fn encode(request: &Request, target: &Target<'_>) -> Encoded {
    let mut lost = Losses::default();
    let at_home = request.from == Some(DIALECT);
    let mut body = Builder::new();
    let mut names = CallNames::new();
    let mut contents: Vec<Value> = Vec::with_capacity(request.turns.len());
    if at_home {
        for turn in &request.turns {
            contents.push(content::encode(turn, true, &mut names, &mut lost));
        }
        if let Some(system) = &request.instructions {
            let mut value = content::encode(system, true, &mut names, &mut lost);
            // Clients name no role here, or any.
            if system.extra.get(DIALECT, "role").is_none()
                && let Some(value) = value.as_object_mut()
            {
                value.insert("role".to_owned(), Value::from("user"));
            }
            body.set("systemInstruction", value);
        }
    } else {
        encode_foreign(request, &mut names, &mut contents, &mut lost, &mut body);
    }
    body.set("contents", contents);
    encode_tools(request, at_home, &mut lost, &mut body);
    if !request.tools.is_empty() || at_home {
        body.maybe("toolConfig", encode_choice(request.tool_choice.as_ref()));
    }
    if request.parallel_tool_calls == Some(false) {
        lost.dropped("parallel_tool_calls");
    }
    if request.user.is_some() {
        lost.dropped("user");
    }
    let config = encode_config(request, target, at_home, &mut lost);
    if at_home && !request.model.is_empty() {
        body.set("model", request.model.as_str());
    }
    request.extra.write(&mut body.0, DIALECT, "", &mut lost);
    if !config.0.is_empty() {
        // What the vocabulary had no word for stands there already.
        match body.0.get_mut("generationConfig") {
            Some(Value::Object(left)) => {
                for (name, value) in config.0 {
                    left.entry(name).or_insert(value);
                }
            }
            _ => {
                body.set("generationConfig", config.done());
            }
        }
    }
    Encoded { body: Bytes::from(body.done().to_string()), losses: lost }
}

fn encode_foreign(
    request: &Request,
    names: &mut CallNames,
    contents: &mut Vec<Value>,
    lost: &mut Losses,
    body: &mut Builder,
) {
    let mut system = Vec::new();
    let mut merged: Vec<(bool, Vec<Value>)> = Vec::new();
    for turn in request.instructions.iter().chain(&*paired(&request.turns)) {
        turn.extra.write(&mut Map::new(), DIALECT, "messages", lost);
        let parts = content::encode_parts(turn, false, names, lost);
        if matches!(turn.role, Role::System | Role::Developer) {
            system.extend(parts);
            continue;
        }
        // All results of one turn's calls belong in one content.
        let model = turn.role == Role::Assistant;
        match merged.last_mut() {
            Some((same, known)) if *same == model => known.extend(parts),
            _ => merged.push((model, parts)),
        }
    }
    if !system.is_empty() {
        body.set("systemInstruction", json!({ "parts": system }));
    }
    merged.retain(|(_, parts)| !parts.is_empty());
    if merged.is_empty() {
        merged.push((false, vec![json!({"text": "Continue."})]));
    }
    contents.extend(merged.into_iter().map(
        |(model, parts)| json!({"role": if model { "model" } else { "user" }, "parts": parts}),
    ));
}

fn encode_tools(request: &Request, at_home: bool, lost: &mut Losses, body: &mut Builder) {
    let mut declarations = Vec::new();
    let mut others = Vec::new();
    for tool in &request.tools {
        match &tool.kind {
            ToolKind::Function { name, description, parameters, strict } => {
                let mut one = Builder::new();
                one.set("name", name.as_str());
                one.maybe("description", description.as_deref());
                if tool.extra.get(DIALECT, "parameters").is_none() {
                    let schema = parameters.as_ref().filter(|schema| {
                        // Gemini refuses an object without properties.
                        at_home
                            || schema.get("properties").is_some_and(|properties| {
                                properties.as_object().is_some_and(|members| !members.is_empty())
                            })
                    });
                    one.maybe(
                        "parametersJsonSchema",
                        schema.map(
                            |schema| {
                                if at_home { schema.clone() } else { schema::inlined(schema) }
                            },
                        ),
                    );
                }
                if *strict == Some(true) {
                    lost.dropped("tools.strict");
                }
                if tool.cache.is_some() {
                    lost.dropped("cache_control");
                }
                tool.extra.write(&mut one.0, DIALECT, "tools", lost);
                declarations.push(one.done());
            }
            ToolKind::Opaque(DIALECT, value) => others.push(value.clone()),
            ToolKind::Opaque(_, value) => lost.lost_tool(value),
        }
    }
    let mut tools = Vec::new();
    if !declarations.is_empty() {
        tools.push(json!({ "functionDeclarations": declarations }));
    }
    tools.extend(others);
    if !tools.is_empty() {
        body.set("tools", tools);
    }
}

fn encode_choice(choice: Option<&ToolChoice>) -> Option<Value> {
    let config = match choice? {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        ToolChoice::Among { names, required } => json!({
            "mode": if *required { "ANY" } else { "VALIDATED" },
            "allowedFunctionNames": names,
        }),
        ToolChoice::Opaque(..) => return None,
    };
    Some(json!({ "functionCallingConfig": config }))
}

fn encode_config(
    request: &Request,
    target: &Target<'_>,
    at_home: bool,
    lost: &mut Losses,
) -> Builder {
    let mut config = Builder::new();
    let sampling = &request.sampling;
    config.maybe("temperature", sampling.temperature.clone());
    config.maybe("topP", sampling.top_p.clone());
    config.maybe("topK", sampling.top_k.clone());
    config.maybe("maxOutputTokens", request.max_output_tokens);
    config.maybe("candidateCount", sampling.n.filter(|n| at_home || *n > 1));
    config.maybe("seed", sampling.seed);
    config.maybe("frequencyPenalty", sampling.frequency_penalty.clone());
    config.maybe("presencePenalty", sampling.presence_penalty.clone());
    config.maybe("responseLogprobs", sampling.logprobs);
    config.maybe("logprobs", sampling.top_logprobs);
    if !sampling.stop.is_empty() {
        config.set("stopSequences", sampling.stop.clone());
    }
    let spelled = |name: &str| {
        let config = request.extra.get(DIALECT, "generationConfig");
        at_home && config.is_some_and(|config| config.get(name).is_some())
    };
    if !spelled("responseMimeType") && !spelled("responseJsonSchema") && !spelled("responseSchema")
    {
        match &request.format {
            Some(Format::Json) => {
                config.set("responseMimeType", "application/json");
            }
            Some(Format::Schema { schema, .. }) => {
                config.set("responseMimeType", "application/json");
                config.set("responseJsonSchema", schema::inlined(schema));
            }
            Some(Format::Text) | None => {}
        }
    }
    if let Some(reasoning) = &request.reasoning
        && !spelled("thinkingConfig")
    {
        config.maybe("thinkingConfig", encode_thinking(reasoning, target, lost));
    }
    config
}

/// A budget up to 2.5, a level from 3 on; either is refused together with the other.
fn encode_thinking(reasoning: &Reasoning, target: &Target<'_>, lost: &mut Losses) -> Option<Value> {
    let thinking = target.thinking;
    if thinking.manner == Manner::None {
        lost.dropped("reasoning");
        return None;
    }
    // The name speaks for a model of which nothing is known.
    let levels = matches!(thinking.manner, Manner::Effort | Manner::Always)
        || (thinking.manner == Manner::Unknown && target.model.contains("gemini-3"));
    if reasoning.enabled == Some(false) || reasoning.budget == Some(0) {
        return (!levels).then(|| json!({"thinkingBudget": 0}));
    }
    let mut told = Builder::new();
    told.set("includeThoughts", reasoning.show.unwrap_or(true));
    if levels {
        let effort = reasoning.effort.or_else(|| reasoning.budget.map(Effort::of_budget));
        let level = effort.map(|effort| match effort {
            Effort::None | Effort::Minimal if thinking.manner == Manner::Unknown => Effort::Low,
            Effort::XHigh | Effort::Max if !thinking.efforts.has(effort) => Effort::High,
            other => other,
        });
        told.maybe("thinkingLevel", level.map(|level| level.as_str().to_ascii_uppercase()));
    } else {
        let budget = reasoning.budget.or_else(|| reasoning.effort.map(Effort::budget));
        if budget == Some(0) {
            return Some(json!({"thinkingBudget": 0}));
        }
        told.maybe("thinkingBudget", budget);
    }
    Some(told.done())
}
