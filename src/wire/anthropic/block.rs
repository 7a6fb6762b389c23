//! Content blocks: the same objects in requests, answers and streams.

use serde_json::{Map, Value, json};

use crate::wire::frame::json::{Builder, Object, type_name};
use crate::wire::vocab::{
    Body, CallKind, Citation, ContentShape, Dialect, Losses, Malformed, Media, MediaKind,
    MediaSource, Part, Signature, Thought, ToolCall, ToolResult,
};

/// The dialect of these blocks, by which what only it knows is tagged.
pub(super) const DIALECT: Dialect = Dialect::Anthropic;

/// A content: a string or a list of blocks.
pub(super) fn decode_content(
    value: Option<Value>,
    path: &str,
) -> Result<(ContentShape, Vec<Part>), Malformed> {
    match value {
        None => Ok((ContentShape::Absent, Vec::new())),
        Some(Value::Null) => Ok((ContentShape::Null, Vec::new())),
        Some(Value::String(text)) => Ok((ContentShape::Text, vec![Part::text(text)])),
        Some(Value::Array(items)) => {
            let mut parts = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                parts.push(decode(item, &format!("{path}.{index}"))?);
            }
            Ok((ContentShape::List, parts))
        }
        Some(other) => {
            Err(Malformed::wrong_type(path, "a string or an array of blocks", type_name(&other)))
        }
    }
}

pub(super) fn decode(value: Value, path: &str) -> Result<Part, Malformed> {
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        _ if !value.is_object() => {
            return Err(Malformed::wrong_type(path, "an object", type_name(&value)));
        }
        _ => return Err(Malformed::missing(&format!("{path}.type"))),
    };
    let is_read = matches!(
        kind.as_str(),
        "text" | "thinking" | "redacted_thinking" | "tool_use" | "tool_result"
    ) || (matches!(kind.as_str(), "image" | "document") && has_plain_source(&value));
    if !is_read {
        return Ok(Part::new(Body::Opaque(DIALECT, value)));
    }
    let mut block = Object::of(value, path)?;
    block.take("type");
    let cache = block.take("cache_control");
    let mut signature = None;
    let mut inner = None;
    let mut citations = Vec::new();
    let body = match kind.as_str() {
        "text" => {
            let all = block.peek("citations").and_then(Value::as_array);
            citations = all.into_iter().flatten().map(citation).collect();
            block.keep_spelling("citations");
            Body::Text(block.required_string("text")?)
        }
        "thinking" => {
            match block.string("signature")? {
                // A thought of another maker, as our own answers show it: nobody has signed it.
                Some(value) if value.is_empty() => block.spell("signature", Value::from(value)),
                value => signature = value.map(|value| Signature { by: DIALECT, value }),
            }
            Body::Thought(Thought {
                text: block.required_string("thinking")?,
                ..Thought::default()
            })
        }
        "redacted_thinking" => {
            let value = block.required_string("data")?;
            if value.is_empty() {
                block.spell("data", Value::from(value));
            } else {
                signature = Some(Signature { by: DIALECT, value });
            }
            Body::Thought(Thought { redacted: true, ..Thought::default() })
        }
        "tool_use" => Body::Call(ToolCall {
            id: Some(block.required_string("id")?),
            name: block.required_string("name")?,
            arguments: match block.take("input") {
                // Some servers write the object as a text, as chat does.
                Some(Value::String(text)) if is_object(&text) => {
                    block.spell("input", Value::from(text.as_str()));
                    Some(text)
                }
                input => input.map(|input| input.to_string()),
            },
            kind: CallKind::Function,
        }),
        "tool_result" => {
            let call_id = Some(block.required_string("tool_use_id")?);
            let path = block.path("content");
            let (shape, parts) = decode_content(block.take_any("content"), &path)?;
            let is_error = block.boolean("is_error")?;
            Body::Outcome(ToolResult { call_id, name: None, parts, shape, is_error, json: None })
        }
        _ => {
            let mut source =
                block.object("source")?.ok_or_else(|| Malformed::missing(&block.path("source")))?;
            let mut media = Media {
                kind: if kind == "image" { MediaKind::Image } else { MediaKind::File },
                source: MediaSource::Url(String::new()),
                mime: source.string("media_type")?,
                filename: block.string("title")?,
                detail: None,
            };
            media.source = match source.required_string("type")?.as_str() {
                "base64" => MediaSource::Inline(source.required_string("data")?),
                "text" => MediaSource::Text(source.required_string("data")?),
                "file" => MediaSource::Id(source.required_string("file_id")?),
                _ => MediaSource::Url(source.required_string("url")?),
            };
            inner = Some(source);
            if matches!(media.source, MediaSource::Text(_)) {
                // Elsewhere it is told with the text.
                block.keep_spelling("context");
            }
            Body::Media(media)
        }
    };
    let mut part = Part::new(body);
    part.signature = signature;
    part.citations = citations;
    part.cache = cache;
    part.inner = inner.map(|inner| inner.finish(DIALECT)).unwrap_or_default();
    part.extra = block.finish(DIALECT);
    Ok(part)
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

/// Gives the blocks of a request that no other dialect has the words that they hold for the model:
/// found pages, documents made of blocks, tools that were found.
pub(super) fn put_into_words(parts: &mut [Part]) {
    for part in parts {
        match &mut part.body {
            Body::Opaque(_, value) => {
                let mut lines = Vec::new();
                gather(value, &mut lines);
                part.words = (!lines.is_empty()).then(|| lines.join("\n"));
            }
            Body::Media(Media { source: MediaSource::Text(text), filename, .. }) => {
                let context = part.extra.get(DIALECT, "context").and_then(Value::as_str);
                let around = [filename.as_deref(), context].into_iter().flatten();
                let lines: Vec<&str> = around.chain([text.as_str()]).collect();
                part.words = (lines.len() > 1).then(|| lines.join("\n"));
            }
            Body::Outcome(outcome) => put_into_words(&mut outcome.parts),
            _ => {}
        }
    }
}

/// The same of summaries that stand for the conversation before them, which may be left out.
pub(super) fn put_summaries_into_words(parts: &mut [Part]) {
    for part in parts {
        if let Body::Opaque(_, value) = &part.body
            && value.get("type").is_some_and(|kind| kind == "compaction")
        {
            part.words = value.get("content").and_then(Value::as_str).map(str::to_owned);
        }
    }
}

/// What a block says, member by member, and so on inside.
fn gather(block: &Value, lines: &mut Vec<String>) {
    let members = match block {
        Value::Object(members) => members,
        Value::Array(blocks) => return blocks.iter().for_each(|block| gather(block, lines)),
        _ => return,
    };
    let is_text = members.get("type").is_some_and(|kind| kind == "text");
    for (name, member) in members {
        match (name.as_str(), member) {
            ("tool_name", Value::String(tool)) => lines.push(format!("Found the tool {tool}.")),
            ("data", Value::String(text)) if is_text => lines.push(text.clone()),
            (
                "title" | "source" | "url" | "context" | "text" | "content" | "stdout" | "stderr",
                Value::String(text),
            ) if !text.is_empty() => lines.push(text.clone()),
            ("content" | "source" | "tool_references", inside) => gather(inside, lines),
            _ => {}
        }
    }
}

pub(super) fn citation(cited: &Value) -> Citation {
    let text = |name: &str| cited.get(name).and_then(Value::as_str).map(str::to_owned);
    Citation {
        url: text("url").or_else(|| text("source")),
        title: text("title").or_else(|| text("document_title")),
        quote: text("cited_text"),
        span: None,
    }
}

/// A source as one that a search found, or as a document of the caller's.
pub(super) fn cited(citation: &Citation) -> Value {
    let quote = citation.quote.as_deref().unwrap_or_default();
    match &citation.url {
        Some(url) => json!({
            "type": "web_search_result_location", "url": url, "title": citation.title,
            "cited_text": quote, "encrypted_index": "",
        }),
        None => json!({
            "type": "char_location", "document_index": 0, "document_title": citation.title,
            "cited_text": quote, "start_char_index": 0, "end_char_index": quote.chars().count(),
        }),
    }
}

fn has_plain_source(block: &Value) -> bool {
    block
        .get("source")
        .and_then(|source| source.get("type"))
        .and_then(Value::as_str)
        .is_some_and(|kind| matches!(kind, "base64" | "text" | "file" | "url"))
}

/// `None` when the dialect has no block for it; `lost` then says so.
pub(super) fn encode(part: &Part, at_home: bool, lost: &mut Losses) -> Option<Value> {
    let mut block = Builder::new();
    match &part.body {
        Body::Text(text) => {
            // White space alone is refused.
            if text.trim().is_empty() && !at_home {
                return None;
            }
            block.set("type", "text").set("text", text.as_str());
            if !at_home && !part.citations.is_empty() {
                block.set("citations", part.citations.iter().map(cited).collect::<Vec<_>>());
            }
        }
        Body::Refusal(text) => {
            if text.trim().is_empty() && !at_home {
                return None;
            }
            block.set("type", "text").set("text", text.as_str());
        }
        Body::Thought(thought) => {
            let signature = part.signature.as_ref().filter(|signature| signature.by == DIALECT);
            match (thought.redacted, signature) {
                (true, Some(signature)) => {
                    block.set("type", "redacted_thinking").set("data", signature.value.as_str());
                }
                (false, signature) if signature.is_some() || at_home => {
                    block.set("type", "thinking").set("thinking", thought.text.as_str());
                    block.maybe("signature", signature.map(|signature| signature.value.as_str()));
                }
                // Unsigned, or signed by another maker: Anthropic refuses it.
                _ => {
                    lost.dropped("reasoning");
                    return None;
                }
            }
        }
        Body::Call(call) => {
            block.set("type", "tool_use");
            block.set("id", call.id.as_deref().unwrap_or_default());
            block.set("name", call.name.as_str());
            match &call.arguments {
                Some(arguments) => {
                    block.set("input", arguments_object(arguments, at_home));
                }
                None if !at_home => {
                    block.set("input", json!({}));
                }
                None => {}
            }
        }
        Body::Outcome(outcome) => {
            block.set("type", "tool_result");
            block.set("tool_use_id", outcome.call_id.as_deref().unwrap_or_default());
            if let Some(content) = encode_outcome(outcome, at_home, lost) {
                block.set("content", content);
            }
            block.maybe("is_error", outcome.is_error);
        }
        Body::Media(media) => match encode_media(media, at_home) {
            Some((kind, mut source)) => {
                part.inner.write(&mut source.0, DIALECT, "source", lost);
                block.set("type", kind).set("source", source.done());
                if kind == "document" {
                    block.maybe("title", media.filename.as_deref());
                }
            }
            None => {
                lost.lost(format!("content.{:?}", media.kind).to_lowercase());
                return None;
            }
        },
        Body::Opaque(DIALECT, value) => return Some(value.clone()),
        Body::Opaque(..) if let Some(words) = &part.words => {
            block.set("type", "text").set("text", words.as_str());
        }
        Body::Opaque(_, value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("part");
            lost.dropped_at("content", kind);
            return None;
        }
    }
    block.maybe("cache_control", part.cache.clone());
    part.extra.write(&mut block.0, DIALECT, "content", lost);
    Some(block.done())
}

/// Arguments are an object here. Text that is none is carried under a name of its own.
fn arguments_object(text: &str, at_home: bool) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() || at_home => value,
        Ok(value) => json!({ "arguments": value }),
        Err(_) => json!({ "arguments": text }),
    }
}

fn encode_outcome(outcome: &ToolResult, at_home: bool, lost: &mut Losses) -> Option<Value> {
    if outcome.json.is_some() {
        let text = outcome.text();
        if outcome.parts.is_empty() {
            return Some(Value::from(text));
        }
        let said = Part::text(text);
        let parts = std::iter::once(&said).chain(&outcome.parts);
        let blocks = parts.filter_map(|part| encode(part, at_home, lost)).collect();
        return Some(Value::Array(blocks));
    }
    match (outcome.shape, outcome.parts.as_slice()) {
        (ContentShape::Absent, []) if at_home => None,
        (ContentShape::Null, []) if at_home => Some(Value::Null),
        (ContentShape::Text, [Part { body: Body::Text(text), .. }]) => {
            Some(Value::from(text.as_str()))
        }
        (ContentShape::List, []) if at_home => Some(json!([])),
        (_, []) => None,
        (_, parts) => Some(Value::Array(
            parts.iter().filter_map(|part| encode(part, at_home, lost)).collect(),
        )),
    }
}

fn encode_media(media: &Media, at_home: bool) -> Option<(&'static str, Builder)> {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::File => "document",
        MediaKind::Audio | MediaKind::Video => return None,
    };
    let mut source = Builder(Map::new());
    match &media.source {
        MediaSource::Url(url) => {
            source.set("type", "url").set("url", url.as_str());
        }
        // Documents are PDF, or text as such.
        MediaSource::Inline(_)
            if kind == "document"
                && !at_home
                && media.mime.as_deref().is_some_and(|mime| mime != "application/pdf") =>
        {
            return None;
        }
        MediaSource::Inline(data) => {
            let fallback = if kind == "image" { "image/png" } else { "application/pdf" };
            source.set("type", "base64");
            source.set("media_type", media.mime.as_deref().unwrap_or(fallback));
            source.set("data", data.as_str());
        }
        MediaSource::Text(text) => {
            source.set("type", "text");
            source.set("media_type", media.mime.as_deref().unwrap_or("text/plain"));
            source.set("data", text.as_str());
        }
        MediaSource::Id(id) => {
            source.set("type", "file").set("file_id", id.as_str());
        }
    }
    Some((kind, source))
}
