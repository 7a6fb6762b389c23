//! Pictures and files, by their media types. Sources: Anthropic's SDK (`Base64ImageSource`,
//! `Base64PDFSource`, `PlainTextSource`), recorded refusals of OpenAI, Google's list of types.

use serde_json::Value;

use super::asked::{RawRequest, either, list, member, text};
use super::house::House;
use super::wording::Complaint;
use crate::wire::vocab::Dialect;

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    match asked.dialect() {
        Some(Dialect::Anthropic) if asked.house == House::Anthropic => anthropic(asked),
        Some(Dialect::Gemini) if asked.house == House::Google => gemini(asked),
        Some(Dialect::OpenAiChat) => chat(asked),
        Some(Dialect::OpenAiResponses) if asked.house == House::OpenAi => responses(asked),
        _ => None,
    }
}

fn anthropic(asked: &RawRequest<'_>) -> Option<Complaint> {
    for (turn, message) in list(asked.body, "messages") {
        for (index, block) in list(message, "content") {
            let at = format!("messages.{turn}.content.{index}");
            let found = source(block, &at).or_else(|| {
                // What a tool gave back.
                list(block, "content").find_map(|(inner, block)| {
                    source(block, &format!("{at}.tool_result.content.{inner}"))
                })
            });
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn source(block: &Value, at: &str) -> Option<Complaint> {
    let kind = text(block, "type")?;
    let source = member(block, "source")?;
    let (of, said) = (text(source, "type")?, text(source, "media_type").unwrap_or_default());
    let wanted: &[&str] = match (kind, of) {
        ("image", "base64") => &["image/jpeg", "image/png", "image/gif", "image/webp"],
        ("document", "base64") => &["application/pdf"],
        ("document", "text") => &["text/plain"],
        _ => return None,
    };
    if wanted.contains(&said) {
        return None;
    }
    let names: Vec<String> = wanted.iter().map(|name| format!("'{name}'")).collect();
    let names = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.join(""),
    };
    let message = format!("{at}.{kind}.source.{of}.media_type: Input should be {names}");
    Some(Complaint::new(message))
}

fn gemini(asked: &RawRequest<'_>) -> Option<Complaint> {
    const KNOWN: [&str; 16] = [
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/heic",
        "image/heif",
        "image/gif",
        "image/bmp",
        "application/pdf",
        "application/json",
        "application/rtf",
        "application/xml",
        "application/x-javascript",
        "application/javascript",
        "application/x-python",
        "application/x-typescript",
        "application/ogg",
    ];
    for (_, turn) in list(asked.body, "contents") {
        for (_, part) in list(turn, "parts") {
            let held = either(part, "inlineData").or_else(|| either(part, "fileData"));
            let Some(kind) = held.and_then(|held| either(held, "mimeType")?.as_str()) else {
                continue;
            };
            let known = KNOWN.contains(&kind)
                || ["audio/", "video/", "text/"].iter().any(|one| kind.starts_with(one));
            if !known || kind.contains(';') {
                return Some(Complaint::new(format!("Unsupported MIME type: {kind}")));
            }
        }
    }
    None
}

/// The media type of a data URI, as it is written; `None` for an address.
fn of_uri(uri: &str) -> Option<&str> {
    let (head, _) = uri.strip_prefix("data:")?.split_once(',')?;
    Some(head.strip_suffix(";base64").unwrap_or(head))
}

fn is_picture(kind: &str) -> bool {
    let plain = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"].contains(&plain.as_str())
}

fn chat(asked: &RawRequest<'_>) -> Option<Complaint> {
    for (turn, message) in list(asked.body, "messages") {
        for (index, part) in list(message, "content") {
            let at = format!("messages[{turn}].content[{index}]");
            let uri = part.pointer("/image_url/url").and_then(Value::as_str);
            if let Some(kind) = uri.and_then(of_uri).filter(|kind| !is_picture(kind)) {
                let message =
                    format!("Invalid MIME type. Only image types are supported. Got '{kind}'.");
                return Some(Complaint::of(at, message).code("invalid_image_format"));
            }
            if text(part, "type") == Some("file") && asked.house == House::Mistral {
                let message = "Input tag 'file' found using 'type' does not match any of the \
                     expected tags: 'text', 'image_url', 'document_url', 'reference', 'input_audio', \
                     'thinking'";
                return Some(Complaint::of(at, message).code("union_tag_invalid"));
            }
            if text(part, "type") == Some("file") && asked.house == House::DeepSeek {
                return Some(Complaint::new(format!(
                    "Failed to deserialize the JSON body into the target type: {at}: unknown \
                     variant `file`, expected `text`"
                )));
            }
            let data = part.pointer("/file/file_data").and_then(Value::as_str);
            if let Some(complaint) = file(asked, data, &format!("{at}.file.file_data")) {
                return Some(complaint);
            }
        }
    }
    None
}

fn responses(asked: &RawRequest<'_>) -> Option<Complaint> {
    for (turn, item) in list(asked.body, "input") {
        for (index, part) in list(item, "content") {
            let at = format!("input[{turn}].content[{index}]");
            if let Some(kind) =
                text(part, "image_url").and_then(of_uri).filter(|kind| !is_picture(kind))
            {
                let message = format!(
                    "Invalid '{at}.image_url'. Expected a base64-encoded data URL with an image \
                     MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got \
                     unsupported MIME type '{kind}'."
                );
                return Some(Complaint::of(at, message).code("invalid_value"));
            }
            let data = text(part, "file_data");
            if let Some(complaint) = file(asked, data, &format!("{at}.file_data")) {
                return Some(complaint);
            }
        }
    }
    None
}

/// A file that OpenAI reads: a document or a text.
fn file(asked: &RawRequest<'_>, data: Option<&str>, at: &str) -> Option<Complaint> {
    let kind = of_uri(data?)?;
    let heard = ["audio/", "video/", "image/"].iter().any(|one| kind.starts_with(one));
    (asked.house == House::OpenAi && heard).then(|| {
        let message = format!(
            "Invalid file data: '{at}'. Expected a base64-encoded data URL with a valid file MIME \
             type (e.g. 'data:text/plain;base64,SGVsbG8sIFdvcmxkIQ=='), but got unsupported MIME \
             type '{kind}'."
        );
        Complaint::of(at, message).code("invalid_value")
    })
}
