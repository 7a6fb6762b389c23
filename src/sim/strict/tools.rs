//! Tools: where they may be offered, what they may be called, and whether a call can be demanded.

use serde_json::Value;

use super::asked::{Function, RawRequest, list};
use super::history;
use super::house::House;
use super::wording::Complaint;
use crate::catalogue::{NameRule, SchemaSubset};
use crate::wire::vocab::Dialect;

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    let functions = asked.functions();
    place(asked, !functions.is_empty())
        .or_else(|| functions.iter().find_map(|one| name(asked, one)))
        .or_else(|| history::calls(asked).iter().find_map(|one| name(asked, one)))
        .or_else(|| shape(asked, &functions))
        .or_else(|| choice(asked, !functions.is_empty()))
        .or_else(|| beside_schema(asked, !functions.is_empty()))
}

/// Whether the model, or its tools, can be had in this dialect.
fn place(asked: &RawRequest<'_>, tools: bool) -> Option<Complaint> {
    let facts = asked.facts;
    let model = asked.model;
    let path = match asked.dialect()? {
        Dialect::OpenAiChat => "v1/chat/completions",
        Dialect::OpenAiResponses => "v1/responses",
        Dialect::Anthropic => "v1/messages",
        Dialect::Gemini => "generateContent",
    };
    if !facts.speaks(asked.protocol, false, None) {
        let message = format!("This model is only supported in v1/responses and not in {path}.");
        return Some(Complaint::of("model", message).status(404));
    }
    if !facts.speaks(asked.protocol, tools, asked.effort()) {
        let message = format!(
            "Function tools with reasoning_effort are not supported for {model} in /{path}. \
             Please use /v1/responses instead."
        );
        return Some(Complaint::of("reasoning_effort", message));
    }
    (tools && !facts.tools).then(|| {
        let message = "`tool calling` is not supported with this model";
        Complaint::of("tools", message)
    })
}

/// What each maker takes of every model, where the catalogue says nothing.
fn rule(asked: &RawRequest<'_>) -> Option<NameRule> {
    if let Some(rule) = &asked.facts.tool_name {
        return Some(rule.clone());
    }
    let up_to = |max: usize| Some(NameRule { max, also: String::new(), letter_first: false });
    match asked.house {
        House::Anthropic => up_to(128),
        House::OpenAi | House::Bedrock | House::Mistral | House::DeepSeek => up_to(64),
        House::Google => Some(NameRule { max: 64, also: ".:".to_owned(), letter_first: true }),
        House::Xai | House::OpenRouter | House::Other => None,
    }
}

fn name(asked: &RawRequest<'_>, function: &Function<'_>) -> Option<Complaint> {
    let rule = rule(asked)?;
    let Function { at, name, .. } = function;
    if rule.takes(name) {
        return None;
    }
    let (max, length) = (rule.max, name.chars().count());
    let pattern = format!("^[a-zA-Z0-9_-]{{1,{max}}}$");
    Some(match asked.dialect() {
        Some(Dialect::Anthropic) => {
            Complaint::new(format!("{at}.name: String should match pattern '{pattern}'"))
        }
        Some(Dialect::Gemini) => Complaint::new(format!(
            "* GenerateContentRequest.{at}.name: Invalid function name. Must start with a letter \
             or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), \
             colons (:), or dashes (-), with a maximum length of {max}.\n"
        )),
        None => Complaint::new(format!(
            "1 validation error detected: Value '{name}' at '{at}.name' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
        )),
        Some(_) if length > max => {
            let message = format!(
                "Invalid '{at}.name': string too long. Expected a string with maximum length \
                 {max}, but got a string with length {length} instead."
            );
            Complaint::of(format!("{at}.name"), message).code("string_above_max_length")
        }
        Some(_) => {
            let message = format!(
                "Invalid '{at}.name': string does not match pattern. Expected a string that \
                 matches the pattern '^[a-zA-Z0-9_-]+$'."
            );
            Complaint::of(format!("{at}.name"), message).code("invalid_value")
        }
    })
}

/// What Anthropic wants of every tool.
fn shape(asked: &RawRequest<'_>, functions: &[Function<'_>]) -> Option<Complaint> {
    if asked.house != House::Anthropic {
        return None;
    }
    for (index, function) in functions.iter().enumerate() {
        let at = &function.at;
        let Some(schema) = function.schema else {
            return Some(Complaint::new(format!("{at}.input_schema: Field required")));
        };
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => {}
            Some(_) => {
                let message = format!("{at}.input_schema.type: Input should be 'object'");
                return Some(Complaint::new(message));
            }
            None => {
                let message = format!("{at}.input_schema.type: Field required");
                return Some(Complaint::new(message));
            }
        }
        if functions.iter().take(index).any(|other| other.name == function.name) {
            return Some(Complaint::new("tools: Tool names must be unique."));
        }
    }
    None
}

fn choice(asked: &RawRequest<'_>, functions: bool) -> Option<Complaint> {
    let any = functions || list(asked.body, "tools").next().is_some();
    let only_with_tools = |name: &str| {
        let message = format!(
            "Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
        );
        Some(Complaint::of(name, message))
    };
    if !any {
        let said = |pointer: &str| asked.at(pointer).is_some();
        return match (asked.dialect(), asked.house) {
            (Some(Dialect::OpenAiChat), House::OpenAi) if said("/functions") => None,
            (Some(Dialect::OpenAiChat), House::OpenAi) if said("/tool_choice") => {
                only_with_tools("tool_choice")
            }
            (Some(Dialect::OpenAiChat), House::OpenAi) if said("/parallel_tool_calls") => {
                only_with_tools("parallel_tool_calls")
            }
            (_, House::Anthropic) if said("/tool_choice") => Some(Complaint::new(
                "tool_choice: tool_choice may only be specified while providing tools",
            )),
            (_, House::Google) if asked.is_forced() => Some(Complaint::new(
                "Function calling config is set without function_declarations.",
            )),
            _ => None,
        };
    }
    if !asked.is_forced() {
        return None;
    }
    let kind = asked.thinking().and_then(|one| one.get("type")).and_then(Value::as_str);
    // `adaptive` goes with it (recorded of Opus 4.6).
    if asked.is_claude() && kind == Some("enabled") {
        return Some(Complaint::new(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if asked.facts.forced.allowed(asked.thinks()) {
        return None;
    }
    Some(if asked.is_claude() {
        Complaint::new("tool_choice.type: Input should be 'auto' or 'none' for this model")
    } else {
        let message = "The tool_choice parameter does not support being set to required or object \
             in thinking mode";
        Complaint::of("tool_choice", message).code("invalid_parameter_error")
    })
}

fn beside_schema(asked: &RawRequest<'_>, functions: bool) -> Option<Complaint> {
    if !functions || asked.facts.tools_with_schema || !asked.wants_json() {
        return None;
    }
    let mime = asked.generation("responseMimeType").and_then(Value::as_str);
    Some(match asked.dialect()? {
        Dialect::Gemini => Complaint::new(format!(
            "Function calling with a response mime type: '{}' is unsupported",
            mime.unwrap_or("application/json")
        )),
        _ => Complaint::of(
            "response_format",
            "json mode cannot be combined with tool/function calling",
        ),
    })
}

/// Whether the answer's schema is one that JSON mode alone cannot have.
pub fn only_json_mode(asked: &RawRequest<'_>) -> bool {
    asked.facts.schema == Some(SchemaSubset::JsonObject)
}
