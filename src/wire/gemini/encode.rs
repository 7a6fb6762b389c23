//! generateContent requests, written.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::content::{self, CallNames, DIALECT};
use super::schema;
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{
    Effort, Format, Losses, Reasoning, Request, Role, ThinkingStyle, ToolChoice, ToolKind,
};
use crate::wire::{Encoded, Target, paired};

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
                    let schema = parameters.as_ref().map(|schema| {
                        if at_home { schema.clone() } else { schema::inlined(schema) }
                    });
                    // Gemini refuses an object without properties.
                    let schema = schema.filter(|schema| at_home || schema::says_anything(schema));
                    one.maybe("parametersJsonSchema", schema);
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

pub(super) fn encode_choice(choice: Option<&ToolChoice>) -> Option<Value> {
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

pub(super) fn encode_config(
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
    if at_home || request.tells_logprobs() {
        config.maybe("responseLogprobs", sampling.logprobs);
        config.maybe("logprobs", sampling.top_logprobs);
    } else {
        request.name_logprobs(lost);
    }
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
            Some(Format::Schema { schema, bare, .. }) => {
                let kind = if *bare { "text/x.enum" } else { "application/json" };
                config.set("responseMimeType", kind);
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
    if thinking.manner == ThinkingStyle::None {
        lost.dropped("reasoning");
        return None;
    }
    // The name speaks for a model of which nothing is known.
    let levels = matches!(thinking.manner, ThinkingStyle::Effort | ThinkingStyle::Always)
        || (thinking.manner == ThinkingStyle::Unknown && target.model.contains("gemini-3"));
    if reasoning.enabled == Some(false) || reasoning.budget == Some(0) {
        return (!levels).then(|| json!({"thinkingBudget": 0}));
    }
    let mut told = Builder::new();
    told.set("includeThoughts", reasoning.show.unwrap_or(true));
    if levels {
        let effort = reasoning.effort.or_else(|| reasoning.budget.and_then(Effort::of_budget));
        let level = effort.map(|effort| match effort {
            Effort::None | Effort::Minimal if thinking.manner == ThinkingStyle::Unknown => {
                Effort::Low
            }
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
