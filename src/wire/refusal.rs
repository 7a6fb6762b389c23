//! The member that a provider's refusal names as one that it does not take. Makers have no codes for
//! this, so their words are read; `tests/recordings` and the public reports have them.

use serde_json::{Map, Value};

use super::blame::UNFIT;
use super::vocab::{Fault, FaultKind};

/// It does not know a member, or does not want it.
const UNKNOWN: [&str; 12] = [
    "unrecognized",
    "unknown name",
    "unknown parameter",
    "unknown field",
    "unknown argument",
    "unexpected keyword",
    "extra inputs are not permitted",
    "extra fields not permitted",
    "additional properties",
    "not permitted",
    "not allowed",
    "is deprecated",
];

/// Without these there is no request, another one than was asked for, or one without a bound.
const NEEDED: [&str; 22] = [
    "model",
    "messages",
    "input",
    "contents",
    "system",
    "instructions",
    "systemInstruction",
    "stream",
    "tools",
    "tool_choice",
    "toolConfig",
    "functions",
    "text",
    "n",
    "generationConfig",
    "previous_response_id",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "generationConfig.maxOutputTokens",
    "inferenceConfig.maxTokens",
    "thinking.type",
];

/// How a sentence begins that goes on with the name of a member. What stands elsewhere may be the
/// caller's own words, quoted back.
const BEFORE_A_NAME: [&str; 9] = [
    "",
    "Invalid parameter: ",
    "Unsupported parameter: ",
    "Unsupported value: ",
    "Unknown parameter: ",
    "Unrecognized request argument supplied: ",
    "Invalid JSON payload received. Unknown name ",
    "Unknown name ",
    "property ",
];

/// Where the dialects have the form of the answer.
pub const FORMS: [&str; 7] = [
    "response_format",
    "output_config.format",
    "output_format",
    "text.format",
    "generationConfig.responseMimeType",
    "generationConfig.responseSchema",
    "generationConfig.responseJsonSchema",
];

/// Whether a member that was refused is the form of the answer, or inside of it.
#[must_use]
pub fn is_form(path: &str) -> bool {
    FORMS.iter().any(|form| {
        path.strip_prefix(form).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Earlier reasoning, which is sealed for whoever made it (OpenAI's Responses).
const SEALED: &str = "input.[reasoning]";

fn says(message: &str, words: &[&str]) -> bool {
    let lower = message.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// A member that a deployment does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedMember {
    /// Its path in the body that was sent.
    pub path: String,
    /// It is the value that is refused: another may be fine, so this says nothing of later requests.
    pub this_value: bool,
}

/// The member that a refusal says the deployment does not take; `None` if it names none of what was
/// sent, or one without which there is no request.
#[must_use]
pub fn unwanted(fault: &Fault, sent: &[u8]) -> Option<UnsupportedMember> {
    if !matches!(fault.kind, FaultKind::Refused | FaultKind::Unfit) {
        return None;
    }
    // A chain that another maker's model, or another account, has thought about.
    if fault.code.as_deref() == Some("invalid_encrypted_content") {
        return Some(UnsupportedMember { path: SEALED.to_owned(), this_value: true });
    }
    if !says(&fault.message, &UNKNOWN) && !says(&fault.message, &UNFIT) {
        return None;
    }
    let sent: Map<String, Value> = serde_json::from_slice(sent).ok()?;
    if let Some(path) = of_messages(fault, &sent) {
        return Some(UnsupportedMember { path, this_value: false });
    }
    let needed = |path: &String| NEEDED.contains(&path.as_str());
    // A schema that is refused is named in the field, too: its words say what is wrong inside of it.
    let field = fault.field.as_deref().and_then(|name| found(&sent, name));
    let field = field.filter(|path| !needed(path) && !is_form(path));
    let path = field.or_else(|| {
        named(&fault.message).filter_map(|name| found(&sent, name)).find(|path| !needed(path))
    })?;
    let this_value = fault.code.as_deref() == Some("unsupported_value")
        || fault.message.starts_with("Unsupported value");
    Some(UnsupportedMember { path, this_value })
}

/// What every message needs to be one.
const OF_A_MESSAGE: [&str; 4] = ["role", "content", "tool_calls", "tool_call_id"];

/// A member of messages, which strict servers refuse (`name`, `refusal`, `annotations`): Mistral says where it
/// stands, Groq in its words.
fn of_messages(fault: &Fault, sent: &Map<String, Value>) -> Option<String> {
    let member = match fault.field.as_deref() {
        Some(field) => {
            let inside = field.strip_prefix("body.").unwrap_or(field).strip_prefix("messages.")?;
            inside.rsplit('.').next()?
        }
        None => {
            let inside = fault.message.strip_prefix("'messages.")?;
            inside.split_once("property '")?.1.split('\'').next()?
        }
    };
    let mut messages = sent.get("messages")?.as_array()?.iter();
    let said = messages.any(|message| message.get(member).is_some());
    (said && !OF_A_MESSAGE.contains(&member)).then(|| format!("messages.*.{member}"))
}

/// The names with which a message begins: in quotes, or up to a colon or the end.
fn named(message: &str) -> impl Iterator<Item = &str> {
    let rests = BEFORE_A_NAME.iter().filter_map(|before| message.strip_prefix(before));
    rests.filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| "'\"`".contains(*c));
        let name = match quote {
            Some(quote) => rest.get(1..)?.split(quote).next()?,
            None if rest.contains(": ") => rest.split(": ").next()?,
            // `top_k is not supported`, or the name alone.
            None => rest.split(" is ").next()?,
        };
        Some(name.trim().trim_end_matches('.'))
    })
}

/// Where a name stands in the body: at its top, or one level below.
fn found(sent: &Map<String, Value>, name: &str) -> Option<String> {
    let name = name.strip_prefix("body.").unwrap_or(name);
    if name.is_empty() || name.len() > 80 {
        return None;
    }
    let alike = |known: &str, said: &str| {
        let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
        plain(known) == plain(said)
    };
    let (outer, inner) = name.split_once('.').unwrap_or(("", name));
    if outer.is_empty() {
        if let Some(known) = sent.keys().find(|known| alike(known, inner)) {
            return Some(known.clone());
        }
        return sent.iter().find_map(|(outer, value)| {
            let inner = value.as_object()?.keys().find(|known| alike(known, inner))?;
            settings(outer).then(|| format!("{outer}.{inner}"))
        });
    }
    let (outer, value) = sent.iter().find(|(known, _)| alike(known, outer))?;
    let inner = value.as_object()?.keys().find(|known| alike(known, inner))?;
    settings(outer).then(|| format!("{outer}.{inner}"))
}

/// Members that hold settings, of which one can be left out.
fn settings(name: &str) -> bool {
    matches!(
        name,
        "generationConfig"
            | "inferenceConfig"
            | "additionalModelRequestFields"
            | "thinking"
            | "output_config"
            | "reasoning"
            | "stream_options"
            | "text"
            | "thinkingConfig"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &str, field: Option<&str>) -> Fault {
        let field = field.map(str::to_owned);
        Fault { field, ..Fault::new(FaultKind::Refused, message) }
    }

    #[test]
    fn members_that_strict_servers_refuse_in_messages_are_found() {
        let sent = br#"{"messages":[{"role":"user","content":"x","name":"u"},
            {"role":"assistant","content":"a","refusal":null,"tool_calls":[]}]}"#;
        for (message, field, path) in [
            (
                "Extra inputs are not permitted",
                Some("body.messages.user.name"),
                Some("messages.*.name"),
            ),
            (
                "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'refusal' is unsupported)]",
                None,
                Some("messages.*.refusal"),
            ),
            ("Extra inputs are not permitted", Some("body.messages.assistant.audio"), None),
            ("Extra inputs are not permitted", Some("body.messages.assistant.tool_calls"), None),
        ] {
            let found = unwanted(&fault(message, field), sent);
            assert_eq!(found.map(|one| one.path).as_deref(), path, "{message}");
        }
    }

    #[test]
    fn the_member_is_found_in_every_makers_words() {
        let chat =
            br#"{"model":"m","messages":[],"temperature":0.2,"stream_options":{},"logit_bias":{}}"#;
        let gemini = br#"{"contents":[],"generationConfig":{"topK":4,"thinkingConfig":{}}}"#;
        for (message, field, sent, path) in [
            (
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
                Some("temperature"),
                &chat[..],
                "temperature",
            ),
            ("`temperature` is deprecated for this model.", None, chat, "temperature"),
            ("temperature: Extra inputs are not permitted", None, chat, "temperature"),
            ("Extra inputs are not permitted", Some("body.stream_options"), chat, "stream_options"),
            ("Unrecognized request argument supplied: logit_bias", None, chat, "logit_bias"),
            (
                "Invalid JSON payload received. Unknown name \"topK\" at 'generation_config': Cannot find field.",
                None,
                gemini,
                "generationConfig.topK",
            ),
            ("Unknown name \"top_k\": Cannot find field.", None, gemini, "generationConfig.topK"),
            ("generation_config.top_k is not supported", None, gemini, "generationConfig.topK"),
            (
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
                Some("response_format"),
                br#"{"response_format":{"type":"json_schema"}}"#,
                "response_format",
            ),
            (
                "Unsupported parameter: 'text.format' is not supported with this model.",
                Some("text.format"),
                br#"{"text":{"format":{"type":"json_object"}}}"#,
                "text.format",
            ),
        ] {
            let found = unwanted(&fault(message, field), sent).unwrap();
            assert_eq!(found.path, path, "{message}");
            assert_eq!(found.this_value, message.starts_with("Unsupported value"));
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_or_needed_is_left_alone() {
        let sent = br#"{"model":"m","messages":[],"temperature":9,"tools":[]}"#;
        for (message, field) in [
            ("Invalid value for 'temperature': must be at most 2.", Some("temperature")),
            ("'tools' is not supported with this model.", Some("tools")),
            ("'model' is not supported", Some("model")),
            ("'seed' is not supported", Some("seed")),
            // The caller's own words, quoted back.
            ("Unrecognized request argument supplied: x 'temperature' y", None),
            ("Unsupported parameter: 'max_tokens' is not supported.", Some("max_tokens")),
        ] {
            assert_eq!(unwanted(&fault(message, field), sent), None, "{message}");
        }
        // A fault of the schema, not of the form.
        let sent = br#"{"response_format":{"type":"json_schema"}}"#;
        let message = "Invalid schema for response_format 'r': 'oneOf' is not permitted.";
        assert_eq!(unwanted(&fault(message, Some("response_format")), sent), None);
    }

    #[test]
    fn the_form_of_an_answer_is_known_by_its_path() {
        for path in ["response_format", "response_format.type", "output_config.format.schema"] {
            assert!(is_form(path), "{path}");
        }
        for path in ["text", "text.verbosity", "response_formats", "output_config.effort", "n"] {
            assert!(!is_form(path), "{path}");
        }
    }
}
