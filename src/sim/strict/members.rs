//! Members that a maker does not know, and those that must be there. Sources: OpenAI's and
//! Mistral's OpenAPI documents, Anthropic's SDK (`message_create_params`), Google's discovery
//! document.

use serde_json::Value;

use super::asked::{RawRequest, either, list, member, snake, text};
use super::house::House;
use super::wording::Complaint;
use crate::wire::vocab::Dialect;

const OPENAI_CHAT: [&str; 41] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
    "extra_body",
    "extra_headers",
    "data_sources",
    "prompt_caching",
];

/// Members of chat completions that Responses has never heard of.
const NOT_IN_RESPONSES: [&str; 15] = [
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "response_format",
    "reasoning_effort",
    "functions",
    "function_call",
    "prediction",
];

const ANTHROPIC: [&str; 27] = [
    "anthropic_beta",
    "anthropic_version",
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "task_budget",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

const MISTRAL: [&str; 24] = [
    "document_image_limit",
    "document_page_limit",
    "frequency_penalty",
    "guardrails",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "response_format",
    "safe_prompt",
    "stop",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
];

const GEMINI: [&str; 13] = [
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "model",
    "modelArmorConfig",
    "safetySettings",
    "serviceTier",
    "store",
    "systemInstruction",
    "toolConfig",
    "tools",
    "requestMetadata",
];

const GENERATION: [&str; 25] = [
    "audioTimestamp",
    "candidateCount",
    "enableAffectiveDialog",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "logprobs",
    "maxOutputTokens",
    "mediaResolution",
    "modelSelectionConfig",
    "presencePenalty",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "routingConfig",
    "seed",
    "speechConfig",
    "stopSequences",
    "temperature",
    "thinkingConfig",
    "topK",
    "topP",
    "translationConfig",
];

/// Other makers' proofs and thoughts, in messages of chat completions.
const FOREIGN: [&str; 5] =
    ["reasoning_content", "reasoning_details", "reasoning", "thinking_blocks", "extra_content"];

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    match (asked.dialect(), asked.house) {
        (Some(Dialect::OpenAiChat), House::OpenAi) => openai_chat(asked),
        (Some(Dialect::OpenAiChat), House::Mistral) => mistral(asked),
        (Some(Dialect::OpenAiResponses), _) => responses(asked),
        (Some(Dialect::Anthropic), House::Anthropic) => anthropic(asked),
        (Some(Dialect::Gemini), House::Google) => gemini(asked),
        _ => None,
    }
}

fn unknown<'a>(body: &'a Value, known: &[&str]) -> Option<&'a str> {
    let members = body.as_object()?;
    members.keys().map(String::as_str).find(|name| !known.contains(name))
}

fn openai_chat(asked: &RawRequest<'_>) -> Option<Complaint> {
    if let Some(name) = unknown(asked.body, &OPENAI_CHAT) {
        let message = format!("Unrecognized request argument supplied: {name}");
        return Some(Complaint::new(message));
    }
    if asked.at("/stream_options").is_some() && asked.at("/stream") != Some(&Value::Bool(true)) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Some(Complaint::of("stream_options", message));
    }
    for (index, message) in list(asked.body, "messages") {
        let calls = list(message, "tool_calls")
            .filter(|(_, call)| member(call, "extra_content").is_some())
            .map(|(call, _)| format!("messages[{index}].tool_calls[{call}].extra_content"));
        let own = FOREIGN.iter().filter(|name| member(message, name).is_some());
        let own = own.map(|name| format!("messages[{index}].{name}"));
        if let Some(at) = own.chain(calls).next() {
            let message = format!("Unknown parameter: '{at}'.");
            return Some(Complaint::of(at, message).code("unknown_parameter"));
        }
    }
    None
}

fn responses(asked: &RawRequest<'_>) -> Option<Complaint> {
    let name = NOT_IN_RESPONSES.into_iter().find(|name| asked.body.get(name).is_some())?;
    let message = format!("Unknown parameter: '{name}'.");
    Some(Complaint::of(name, message).code("unknown_parameter"))
}

fn mistral(asked: &RawRequest<'_>) -> Option<Complaint> {
    let extra = |at: String| {
        Some(Complaint::of(at, "Extra inputs are not permitted").code("extra_forbidden"))
    };
    if let Some(name) = unknown(asked.body, &MISTRAL) {
        return extra(name.to_owned());
    }
    for (index, message) in list(asked.body, "messages") {
        let known: &[&str] = match text(message, "role") {
            Some("assistant") => &["role", "content", "tool_calls", "prefix"],
            Some("tool") => &["role", "content", "tool_call_id", "name"],
            _ => &["role", "content"],
        };
        if let Some(name) = unknown(message, known) {
            return extra(format!("messages[{index}].{name}"));
        }
        for (call, one) in list(message, "tool_calls") {
            if let Some(name) = unknown(one, &["id", "type", "function", "index"]) {
                return extra(format!("messages[{index}].tool_calls[{call}].{name}"));
            }
        }
    }
    None
}

fn anthropic(asked: &RawRequest<'_>) -> Option<Complaint> {
    if let Some(name) = unknown(asked.body, &ANTHROPIC) {
        return Some(Complaint::new(format!("{name}: Extra inputs are not permitted")));
    }
    match asked.body.get("max_tokens") {
        None | Some(Value::Null) => Some(Complaint::new("max_tokens: Field required")),
        Some(limit) if limit.as_i64().is_some_and(|limit| limit < 1) => {
            Some(Complaint::new("max_tokens: must be greater than or equal to 1"))
        }
        Some(_) => None,
    }
}

fn gemini(asked: &RawRequest<'_>) -> Option<Complaint> {
    let knows =
        |known: &[&str], name: &str| known.iter().any(|one| *one == name || snake(one) == name);
    let stranger = |of: Option<&Value>, known: &[&str], at: &str| {
        let name = of?.as_object()?.keys().find(|name| !knows(known, name))?;
        Some(Complaint::new(format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
        )))
    };
    let config = either(asked.body, "generationConfig");
    stranger(Some(asked.body), &GEMINI, "")
        .or_else(|| stranger(config, &GENERATION, " at 'generation_config'"))
}
