//! The conversation so far: roles, calls and their results, proofs, and who speaks last. Sources:
//! recorded refusals; the makers' documents on tool use; DeepSeek's and Mistral's messages as
//! public reports quote them.

use serde_json::Value;

use super::asked::{Function, RawRequest, either, list, member, text};
use super::house::House;
use super::wording::Complaint;
use crate::wire::vocab::Dialect;

/// The longest id of a call that OpenAI takes on chat, and on Responses.
const CALL_ID: (usize, usize) = (40, 64);

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    match asked.dialect() {
        Some(Dialect::OpenAiChat) => roles(asked).or_else(|| chat_calls(asked)),
        Some(Dialect::OpenAiResponses) => responses(asked),
        Some(Dialect::Anthropic) if asked.house == House::Anthropic => {
            anthropic(asked).or_else(|| prefill(asked))
        }
        Some(Dialect::Gemini) if asked.house == House::Google => gemini(asked),
        Some(_) => None,
        None => prefill(asked),
    }
}

/// Calls of functions in the conversation, as far as their names are judged.
pub fn calls<'a>(asked: &RawRequest<'a>) -> Vec<Function<'a>> {
    let mut all = Vec::new();
    let mut add = |at: String, of: &'a Value| {
        if let Some(name) = text(of, "name") {
            all.push(Function { at, name, schema: None, strict: false });
        }
    };
    let turns = if asked.dialect() == Some(Dialect::Gemini) { "contents" } else { "messages" };
    match asked.dialect() {
        Some(Dialect::OpenAiChat) => {
            for (turn, message) in list(asked.body, turns) {
                for (index, call) in list(message, "tool_calls") {
                    if let Some(function) = member(call, "function") {
                        add(format!("messages[{turn}].tool_calls[{index}].function"), function);
                    }
                }
            }
        }
        Some(Dialect::OpenAiResponses) => {
            for (index, item) in list(asked.body, "input") {
                if text(item, "type") == Some("function_call") {
                    add(format!("input[{index}]"), item);
                }
            }
        }
        Some(Dialect::Anthropic) => {
            for (turn, message) in list(asked.body, turns) {
                for (index, block) in list(message, "content") {
                    if text(block, "type") == Some("tool_use") {
                        add(format!("messages.{turn}.content.{index}.tool_use"), block);
                    }
                }
            }
        }
        Some(Dialect::Gemini) => {
            for (turn, content) in list(asked.body, turns) {
                for (index, part) in list(content, "parts") {
                    if let Some(call) = either(part, "functionCall") {
                        add(format!("contents[{turn}].parts[{index}].function_call"), call);
                    }
                }
            }
        }
        None => {
            for (turn, message) in list(asked.body, turns) {
                for (index, block) in list(message, "content") {
                    if let Some(call) = member(block, "toolUse") {
                        add(format!("messages.{turn}.content.{index}.toolUse"), call);
                    }
                }
            }
        }
    }
    all
}

fn roles(asked: &RawRequest<'_>) -> Option<Complaint> {
    for (index, message) in list(asked.body, "messages") {
        let at = format!("messages[{index}].role");
        let role = text(message, "role")?;
        let known = matches!(role, "system" | "user" | "assistant" | "tool" | "function");
        if known || (role == "developer" && developer(asked)) {
            continue;
        }
        return Some(match asked.house {
            House::DeepSeek => Complaint::new(format!(
                "Failed to deserialize the JSON body into the target type: {at}: unknown variant \
                 `{role}`, expected one of `system`, `user`, `assistant`, `tool`"
            ))
            .code("invalid_request_error"),
            House::Mistral => {
                let message = format!(
                    "Input tag '{role}' found using 'role' does not match any of the expected \
                     tags: 'system', 'user', 'assistant', 'tool'"
                );
                Complaint::of(format!("messages[{index}]"), message).code("union_tag_invalid")
            }
            _ => {
                let rest =
                    " Supported values are: 'system', 'assistant', 'user', 'function', and 'tool'.";
                Complaint::value(&at, &format!("'{role}'"), rest)
            }
        });
    }
    None
}

fn developer(asked: &RawRequest<'_>) -> bool {
    asked.facts.developer && !matches!(asked.house, House::DeepSeek | House::Mistral)
}

fn chat_calls(asked: &RawRequest<'_>) -> Option<Complaint> {
    let mut open: Vec<&str> = Vec::new();
    let strict = matches!(asked.house, House::OpenAi | House::DeepSeek | House::Mistral);
    let unanswered = |open: &[&str]| {
        let message = format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding \
             to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            open.join(", ")
        );
        Complaint::of("messages", message)
    };
    for (turn, message) in list(asked.body, "messages") {
        let role = text(message, "role").unwrap_or_default();
        if role == "tool" {
            let id = text(message, "tool_call_id").unwrap_or_default();
            let at = format!("messages[{turn}].tool_call_id");
            if let Some(complaint) = call_id(asked, id, &at) {
                return Some(complaint);
            }
            if strict && !open.contains(&id) {
                let message = "messages with role 'tool' must be a response to a preceeding \
                     message with 'tool_calls'.";
                return Some(Complaint::of(at, message));
            }
            open.retain(|one| *one != id);
            continue;
        }
        if strict && !open.is_empty() {
            return Some(unanswered(&open));
        }
        open.clear();
        for (index, call) in list(message, "tool_calls") {
            let id = text(call, "id").unwrap_or_default();
            if let Some(complaint) =
                call_id(asked, id, &format!("messages[{turn}].tool_calls[{index}].id"))
            {
                return Some(complaint);
            }
            open.push(id);
        }
    }
    (strict && !open.is_empty()).then(|| unanswered(&open))
}

fn call_id(asked: &RawRequest<'_>, id: &str, at: &str) -> Option<Complaint> {
    let exact = asked.facts.call_id_length.or((asked.house == House::Mistral).then_some(9));
    if let Some(length) = exact {
        let fits = id.len() == length && id.chars().all(|c| c.is_ascii_alphanumeric());
        return (!fits).then(|| {
            let message = format!(
                "Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of {length}."
            );
            Complaint::of(at, message)
        });
    }
    let most = if asked.is_chat() { CALL_ID.0 } else { CALL_ID.1 };
    (asked.house == House::OpenAi && id.len() > most).then(|| {
        let message = format!(
            "Invalid '{at}': string too long. Expected a string with maximum length {most}, but \
             got a string with length {} instead.",
            id.len()
        );
        Complaint::of(at, message).code("string_above_max_length")
    })
}

fn responses(asked: &RawRequest<'_>) -> Option<Complaint> {
    let mut made: Vec<&str> = Vec::new();
    let chained =
        asked.at("/previous_response_id").is_some() || asked.at("/conversation").is_some();
    for (index, item) in list(asked.body, "input") {
        let at = format!("input[{index}]");
        let role = text(item, "role");
        let known = matches!(role, None | Some("system" | "developer" | "user" | "assistant"));
        if !known || (role == Some("developer") && !asked.facts.developer) {
            let message = format!(
                "Invalid value: '{}'. Supported values are: 'assistant', 'system', 'developer', \
                 and 'user'.",
                role.unwrap_or_default()
            );
            return Some(Complaint::of(at, message).code("invalid_value"));
        }
        let id = text(item, "call_id").unwrap_or_default();
        match text(item, "type") {
            Some(kind) if kind.ends_with("_call") => {
                if let Some(complaint) = call_id(asked, id, &format!("{at}.call_id")) {
                    return Some(complaint);
                }
                made.push(id);
            }
            Some("function_call_output")
                if asked.house == House::OpenAi && !chained && !made.contains(&id) =>
            {
                let message =
                    format!("No tool call found for function call output with call_id {id}.");
                return Some(Complaint::of("input", message));
            }
            Some("item_reference") => return None,
            _ => {}
        }
    }
    None
}

fn anthropic(asked: &RawRequest<'_>) -> Option<Complaint> {
    let messages: Vec<&Value> = list(asked.body, "messages").map(|(_, one)| one).collect();
    if messages.is_empty() {
        return Some(Complaint::new("messages: at least one message is required"));
    }
    let mut open: Vec<&str> = Vec::new();
    for (turn, message) in messages.iter().enumerate() {
        let role = text(message, "role").unwrap_or_default();
        if !matches!(role, "user" | "assistant" | "system") {
            let message = format!("messages.{turn}.role: Input should be 'user' or 'assistant'");
            return Some(Complaint::new(message));
        }
        let plain = member(message, "content").and_then(Value::as_str);
        if let Some(complaint) = plain.and_then(blank) {
            return Some(complaint);
        }
        let last = turn + 1 == messages.len();
        // White space goes where something else stands beside it (recorded).
        let beside = list(message, "content").any(|(_, block)| text(block, "type") != Some("text"));
        let mut answered: Vec<&str> = Vec::new();
        let mut made: Vec<&str> = Vec::new();
        for (index, block) in list(message, "content") {
            let at = format!("messages.{turn}.content.{index}");
            match text(block, "type").unwrap_or_default() {
                "text" if !beside => {
                    if let Some(complaint) = blank(text(block, "text").unwrap_or_default()) {
                        return Some(complaint);
                    }
                }
                "thinking" if text(block, "signature").is_none_or(str::is_empty) => {
                    let message = format!("{at}.thinking.signature: Field required");
                    return Some(Complaint::new(message));
                }
                "tool_use" => {
                    let id = text(block, "id").unwrap_or_default();
                    if !is_id(id) {
                        return Some(bad_id(&format!("{at}.tool_use.id")));
                    }
                    made.push(id);
                }
                "tool_result" => {
                    let id = text(block, "tool_use_id").unwrap_or_default();
                    if !is_id(id) {
                        return Some(bad_id(&format!("{at}.tool_result.tool_use_id")));
                    }
                    if !open.contains(&id) {
                        return Some(Complaint::new(format!(
                            "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
                             Each `tool_result` block must have a corresponding `tool_use` block \
                             in the previous message."
                        )));
                    }
                    answered.push(id);
                }
                _ => {}
            }
        }
        // Equal roles in a row are one turn.
        let same = messages.get(turn + 1).and_then(|next| text(next, "role")) == Some(role);
        open.retain(|id| !answered.contains(id));
        if role == "user" && !open.is_empty() && !same {
            return Some(Complaint::new(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately \
                 after: {}. Each `tool_use` block must have a corresponding `tool_result` block in \
                 the next message.",
                turn.saturating_sub(1),
                open.join(", ")
            )));
        }
        open.extend(made);
        if last && role == "assistant" && asked.facts.prefill {
            let end = plain.or_else(|| {
                let (_, block) = list(message, "content").last()?;
                text(block, "text")
            });
            if end.is_some_and(|end| end.ends_with(char::is_whitespace)) {
                return Some(Complaint::new(
                    "messages: final assistant content cannot end with trailing whitespace",
                ));
            }
        }
    }
    None
}

fn blank(text: &str) -> Option<Complaint> {
    if text.is_empty() {
        return Some(Complaint::new("messages: text content blocks must be non-empty"));
    }
    let blank = text.chars().all(char::is_whitespace);
    blank.then(|| Complaint::new("messages: text content blocks must contain non-whitespace text"))
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn bad_id(at: &str) -> Complaint {
    Complaint::new(format!("{at}: String should match pattern '^[a-zA-Z0-9_-]+$'"))
}

/// The last turn is the model's own, to be gone on with.
fn prefill(asked: &RawRequest<'_>) -> Option<Complaint> {
    let (_, last) = list(asked.body, "messages").last()?;
    let own = text(last, "role") == Some("assistant");
    (own && asked.is_claude() && !asked.facts.prefill).then(|| {
        Complaint::new(
            "This model does not support assistant message prefill. The conversation must end with \
             a user message.",
        )
    })
}

fn gemini(asked: &RawRequest<'_>) -> Option<Complaint> {
    for (_, turn) in list(asked.body, "contents") {
        let role = text(turn, "role");
        if !matches!(role, None | Some("user" | "model" | "function")) {
            return Some(Complaint::new("Please use a valid role: user, model."));
        }
        if list(turn, "parts").next().is_none() {
            return Some(Complaint::new(
                "* GenerateContentRequest.contents.parts: contents.parts must not be empty.\n",
            ));
        }
    }
    unproved(asked)
}

/// A call of the current turn that lacks the proof of the thought behind it (Gemini 3 and later).
fn unproved(asked: &RawRequest<'_>) -> Option<Complaint> {
    if !asked.facts.needs_thought_signature || asked.dialect() != Some(Dialect::Gemini) {
        return None;
    }
    let turns: Vec<&Value> = list(asked.body, "contents").map(|(_, turn)| turn).collect();
    let asks = |turn: &Value| {
        let user = !matches!(turn.get("role").and_then(Value::as_str), Some("model"));
        user && list(turn, "parts").any(|(_, part)| part.get("text").is_some())
    };
    let from = turns.iter().rposition(|turn| asks(turn)).unwrap_or(0);
    for (index, turn) in turns.iter().enumerate().skip(from) {
        let first = list(turn, "parts").find(|(_, part)| either(part, "functionCall").is_some());
        let Some((_, part)) = first else { continue };
        if either(part, "thoughtSignature").is_none() {
            let call = either(part, "functionCall").and_then(|call| call.get("name")?.as_str());
            return Some(Complaint::new(format!(
                "Function call is missing a thought_signature in functionCall parts. This is \
                 required for tools to work correctly, and missing thought_signature may lead to \
                 degraded model performance. Additional data, function call `default_api:{}` , \
                 position {}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures \
                 for more details.",
                call.unwrap_or_default(),
                index + 1
            )));
        }
    }
    None
}
