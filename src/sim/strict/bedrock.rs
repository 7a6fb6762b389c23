//! What Converse refuses of every model. Sources: the service's API reference (`Message`,
//! `DocumentBlock`, `ImageBlock`) and public reports of its `ValidationException`s.

use serde_json::Value;

use super::asked::{RawRequest, list, member, text};
use super::wording::Complaint;
use crate::wire::vocab::Protocol;

const DOCUMENTS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const PICTURES: [&str; 4] = ["png", "jpeg", "gif", "webp"];
const AUDIO: [&str; 14] = [
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg",
    "mpga", "pcm",
];

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    if asked.protocol != Protocol::Bedrock {
        return None;
    }
    turns(asked).or_else(|| blocks(asked)).or_else(|| extraneous(asked))
}

fn turns(asked: &RawRequest<'_>) -> Option<Complaint> {
    let mut last = "";
    for (_, message) in list(asked.body, "messages") {
        let role = text(message, "role").unwrap_or_default();
        if role == last {
            return Some(Complaint::new(
                "A conversation must alternate between user and assistant roles. Make sure the \
                 conversation alternates between user and assistant roles and try again.",
            ));
        }
        last = role;
    }
    None
}

fn blocks(asked: &RawRequest<'_>) -> Option<Complaint> {
    let mut names: Vec<&str> = Vec::new();
    for (turn, message) in list(asked.body, "messages") {
        let alone = list(message, "content").count() == 1;
        for (index, block) in list(message, "content") {
            let at = format!("messages.{turn}.content.{index}");
            // Text that is only white space goes where other text stands beside it (recorded).
            if text(block, "text")
                .is_some_and(|text| text.is_empty() || (alone && text.trim().is_empty()))
            {
                return Some(Complaint::new(format!(
                    "The text field in the ContentBlock object at {at} is blank. Add text to the \
                     text field, and try again."
                )));
            }
            let uses = block.get("toolUse").is_some() || block.get("toolResult").is_some();
            if uses && asked.at("/toolConfig/tools").is_none() {
                return Some(Complaint::new(
                    "The toolConfig field must be defined when using toolUse and toolResult \
                     content blocks.",
                ));
            }
            let id = block
                .pointer("/toolUse/toolUseId")
                .or_else(|| block.pointer("/toolResult/toolUseId"));
            if let Some(id) = id.and_then(Value::as_str)
                && !is_id(id)
                && (asked.is_claude() || asked.model.contains("nova"))
            {
                return Some(Complaint::new(format!(
                    "1 validation error detected: Value '{id}' at '{at}.toolUseId' failed to \
                     satisfy constraint: Member must satisfy regular expression pattern: \
                     [a-zA-Z0-9_-]+"
                )));
            }
            let inner = block.pointer("/toolResult/content").and_then(Value::as_array);
            for one in std::iter::once(block).chain(inner.into_iter().flatten()) {
                if let Some(complaint) = media(one, &at, &mut names) {
                    return Some(complaint);
                }
            }
        }
    }
    None
}

fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    (1..=64).contains(&id.len()) && id.chars().all(fits)
}

fn media<'a>(block: &'a Value, at: &str, names: &mut Vec<&'a str>) -> Option<Complaint> {
    let kinds = [("document", &DOCUMENTS[..]), ("image", &PICTURES[..]), ("audio", &AUDIO[..])];
    for (kind, formats) in kinds {
        let Some(held) = member(block, kind) else { continue };
        let format = text(held, "format").unwrap_or_default();
        if !formats.contains(&format) && (kind != "document" || !format.is_empty()) {
            return Some(Complaint::new(format!(
                "1 validation error detected: Value '{format}' at '{at}.{kind}.format' failed to \
                 satisfy constraint: Member must satisfy enum value set: [{}]",
                formats.join(", ")
            )));
        }
        if kind != "document" {
            continue;
        }
        let name = text(held, "name").unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || " \t-_()[]".contains(c);
        if name.is_empty() || name.contains("  ") || !name.chars().all(fits) {
            return Some(Complaint::new(format!(
                "The value at {at}.document.name is not valid. The file name can contain only \
                 alphanumeric characters, whitespace characters, hyphens, parentheses, and square \
                 brackets. The name can't contain more than one consecutive whitespace character."
            )));
        }
        if names.contains(&name) {
            return Some(Complaint::new(format!(
                "The document names in a request must be unique: '{name}' at {at}.document.name \
                 is used more than once."
            )));
        }
        names.push(name);
    }
    None
}

fn extraneous(asked: &RawRequest<'_>) -> Option<Complaint> {
    let known = ["maxTokens", "temperature", "topP", "stopSequences"];
    let inference = member(asked.body, "inferenceConfig").and_then(Value::as_object)?;
    let name = inference.keys().find(|name| !known.contains(&name.as_str()))?;
    Some(Complaint::new(format!(
        "Malformed input request: #/inferenceConfig: extraneous key [{name}] is not permitted, \
         please reformat your input and try again."
    )))
}
