//! Content blocks.

use serde_json::{Value, json};

use crate::wire::vocab::{
    Body, CallKind, Citation, Dialect, Losses, Media, MediaKind, MediaSource, Part, Signature,
    Thought, ToolCall, ToolResult,
};

/// Claude's proofs are the same wherever it runs.
const SIGNER: Dialect = Dialect::Anthropic;

pub(super) fn encode(part: &Part, lost: &mut Losses) -> Option<Value> {
    let block = match &part.body {
        // A blank text is refused.
        Body::Text(text) | Body::Refusal(text) if text.trim().is_empty() => return None,
        Body::Text(text) | Body::Refusal(text) => json!({ "text": text }),
        Body::Thought(thought) => {
            let Some(sealed) = part.signature.as_ref().filter(|sealed| sealed.by == SIGNER) else {
                lost.dropped("reasoning");
                return None;
            };
            if thought.redacted {
                json!({"reasoningContent": {"redactedContent": sealed.value}})
            } else {
                json!({"reasoningContent": {"reasoningText": {"text": thought.text, "signature": sealed.value}}})
            }
        }
        Body::Call(call) => json!({"toolUse": {
            "toolUseId": call.id.as_deref().unwrap_or_default(),
            "name": call.name,
            "input": arguments(call.arguments.as_deref().unwrap_or_default()),
        }}),
        Body::Outcome(outcome) => json!({"toolResult": {
            "toolUseId": outcome.call_id.as_deref().unwrap_or_default(),
            "content": results(outcome, lost),
            "status": if outcome.is_error == Some(true) { "error" } else { "success" },
        }}),
        Body::Media(media) => match encode_media(media) {
            Some(mut block) => {
                part.inner.name_lost("content", lost);
                let context = part.extra.get(Dialect::Anthropic, "context");
                if let (Some(Value::Object(document)), Some(context)) =
                    (block.get_mut("document"), context)
                {
                    document.insert("context".to_owned(), context.clone());
                }
                block
            }
            None => {
                lost.lost(format!("content.{:?}", media.kind).to_lowercase());
                return None;
            }
        },
        Body::Opaque(..) if let Some(words) = &part.words => json!({ "text": words }),
        Body::Opaque(_, value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("part");
            lost.dropped_at("content", kind);
            return None;
        }
    };
    part.extra.name_lost("content", lost);
    if !part.citations.is_empty() {
        lost.dropped("content.citations");
    }
    if block.pointer("/document/context").is_some() {
        lost.carried("content.context");
    }
    Some(block)
}

fn arguments(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => value,
        _ if text.trim().is_empty() => json!({}),
        Ok(value) => json!({ "arguments": value }),
        Err(_) => json!({ "arguments": text }),
    }
}

fn results(outcome: &ToolResult, lost: &mut Losses) -> Vec<Value> {
    let object = outcome.json.as_ref().map(|value| json!({ "json": value }));
    let parts = outcome.parts.iter().filter_map(|part| encode(part, lost));
    let blocks: Vec<Value> = object.into_iter().chain(parts).collect();
    if blocks.is_empty() { vec![json!({ "text": "No result." })] } else { blocks }
}

/// Only what is sent along: the service fetches nothing but from its own storage.
fn encode_media(media: &Media) -> Option<Value> {
    let mime = media.mime.as_deref().unwrap_or_default();
    let kind = mime.split(['/', ';']).nth(1).unwrap_or_default();
    match (&media.source, media.kind) {
        (MediaSource::Text(text), _) => Some(json!({"document": {
            "format": "txt",
            "name": document_name(media),
            "source": {"bytes": base64(text)},
        }})),
        (MediaSource::Inline(data), MediaKind::Image) => {
            let format = match kind {
                "jpeg" | "jpg" => "jpeg",
                "gif" => "gif",
                "webp" => "webp",
                _ => "png",
            };
            Some(json!({"image": {"format": format, "source": {"bytes": data}}}))
        }
        (MediaSource::Inline(data), MediaKind::Video) => {
            let format = match kind {
                "quicktime" => "mov",
                "x-matroska" => "mkv",
                "3gpp" => "three_gp",
                "" => "mp4",
                other => other,
            };
            Some(json!({"video": {"format": format, "source": {"bytes": data}}}))
        }
        (MediaSource::Inline(data), MediaKind::File) => {
            let format = match kind {
                "csv" => "csv",
                "html" => "html",
                "plain" => "txt",
                "markdown" => "md",
                "msword" => "doc",
                kind if kind.ends_with("wordprocessingml.document") => "docx",
                "vnd.ms-excel" => "xls",
                kind if kind.ends_with("spreadsheetml.sheet") => "xlsx",
                "pdf" | "x-pdf" | "" | "octet-stream" => "pdf",
                // A sound or anything else is no document, whatever it is called.
                _ => return None,
            };
            Some(json!({"document": {
                "format": format,
                "name": document_name(media),
                "source": {"bytes": data},
            }}))
        }
        _ => None,
    }
}

/// Letters, digits, white space, hyphens, parentheses and brackets only.
fn document_name(media: &Media) -> String {
    let name: String = media
        .filename
        .as_deref()
        .unwrap_or("document")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-()[] ".contains(c) { c } else { '-' })
        .take(200)
        .collect();
    if name.trim().is_empty() { "document".to_owned() } else { name }
}

fn base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    BASE64_STANDARD.encode(text)
}

/// A block of an answer. Several of its texts may be cited ones.
pub(super) fn decode(block: &Value) -> Vec<Part> {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(said) = text(block, "text") {
        return vec![Part::text(said)];
    }
    if let Some(call) = block.get("toolUse") {
        return vec![Part::new(Body::Call(ToolCall {
            id: text(call, "toolUseId"),
            name: text(call, "name").unwrap_or_default(),
            arguments: call.get("input").map(ToString::to_string),
            kind: CallKind::Function,
        }))];
    }
    if let Some(reasoning) = block.get("reasoningContent") {
        return vec![thought(reasoning)];
    }
    let list = |name: &str| {
        block.get("citationsContent").and_then(|cited| cited.get(name)).and_then(Value::as_array)
    };
    let mut parts: Vec<Part> = list("content")
        .into_iter()
        .flatten()
        .filter_map(|one| text(one, "text"))
        .map(Part::text)
        .collect();
    if let Some(part) = parts.last_mut() {
        part.citations = list("citations").into_iter().flatten().map(citation).collect();
    }
    parts
}

pub(super) fn citation(cited: &Value) -> Citation {
    let at = |path: &str| cited.pointer(path).and_then(Value::as_str).map(str::to_owned);
    Citation {
        url: at("/location/web/url"),
        title: at("/title"),
        quote: at("/sourceContent/0/text"),
        span: None,
    }
}

fn thought(reasoning: &Value) -> Part {
    let at = |name: &str| reasoning.pointer(name).and_then(Value::as_str).map(str::to_owned);
    let redacted = at("/redactedContent");
    let mut part = Part::new(Body::Thought(Thought {
        text: at("/reasoningText/text").unwrap_or_default(),
        redacted: redacted.is_some(),
        ..Thought::default()
    }));
    part.signature = redacted
        .or_else(|| at("/reasoningText/signature"))
        .map(|value| Signature { by: SIGNER, value });
    part
}
