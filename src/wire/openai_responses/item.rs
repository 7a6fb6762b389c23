//! Items of input and output. A message, a call, a result and a thought are items of their own;
//! several in a row make one turn of the conversation elsewhere.

use serde_json::{Value, json};

use crate::wire::frame::json::{Builder, Object, type_name};
use crate::wire::vocab::{
    Body, CallKind, Citation, ContentShape, Dialect, Losses, Malformed, Media, MediaKind,
    MediaSource, Part, Role, Signature, Thought, ToolCall, ToolResult, Turn,
};

/// The dialect of these items, by which what only it knows is tagged.
pub(super) const DIALECT: Dialect = Dialect::OpenAiResponses;

pub(super) fn decode(value: Value, path: &str) -> Result<Turn, Malformed> {
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        _ if value.get("role").is_some() => "message".to_owned(),
        _ if !value.is_object() => {
            return Err(Malformed::wrong_type(path, "an object", type_name(&value)));
        }
        _ => return Err(Malformed::missing(&format!("{path}.type"))),
    };
    match kind.as_str() {
        "message" => decode_message(value, path),
        "function_call" | "custom_tool_call" => {
            let mut item = Object::of(value, path)?;
            item.take("type");
            let custom = kind == "custom_tool_call";
            let call = ToolCall {
                id: Some(item.required_string("call_id")?),
                name: item.required_string("name")?,
                arguments: item.string(if custom { "input" } else { "arguments" })?,
                kind: if custom { CallKind::Custom } else { CallKind::Function },
            };
            keep_own(&mut item);
            let mut part = Part::new(Body::Call(call));
            part.extra = item.finish(DIALECT);
            Ok(Turn::new(Role::Assistant, vec![part]))
        }
        "function_call_output" | "custom_tool_call_output" => {
            let mut item = Object::of(value, path)?;
            item.take("type");
            if kind == "custom_tool_call_output" {
                item.spell("type", Value::from(kind));
            }
            let call_id = Some(item.required_string("call_id")?);
            let path = item.path("output");
            let (shape, parts) = decode_content(item.take_any("output"), &path)?;
            let outcome =
                ToolResult { call_id, name: None, parts, shape, is_error: None, json: None };
            keep_own(&mut item);
            let mut part = Part::new(Body::Outcome(outcome));
            part.extra = item.finish(DIALECT);
            Ok(Turn::new(Role::Tool, vec![part]))
        }
        "reasoning" => decode_reasoning(value, path),
        _ => Ok(Turn::new(Role::Assistant, vec![Part::new(Body::Opaque(DIALECT, value))])),
    }
}

/// What the server gave an item and no other dialect needs.
fn keep_own(item: &mut Object) {
    item.keep_spelling("id");
    item.keep_spelling("status");
}

fn decode_message(value: Value, path: &str) -> Result<Turn, Malformed> {
    let mut item = Object::of(value, path)?;
    let role = match item.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        other => {
            let other: String = other.chars().take(40).collect();
            item.spell("role", Value::from(other));
            Role::User
        }
    };
    let path = item.path("content");
    let (shape, parts) = decode_content(item.take_any("content"), &path)?;
    // `type` may be left out, so it is a spelling.
    keep_own(&mut item);
    item.keep_spelling("type");
    item.keep_spelling("phase");
    Ok(Turn { role, parts, shape, extra: item.finish(DIALECT) })
}

fn decode_content(
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
                parts.push(decode_part(item, &format!("{path}[{index}]"))?);
            }
            Ok((ContentShape::List, parts))
        }
        Some(other) => {
            Err(Malformed::wrong_type(path, "a string or an array of parts", type_name(&other)))
        }
    }
}

pub(super) fn decode_part(value: Value, path: &str) -> Result<Part, Malformed> {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_read = match kind.as_str() {
        "input_text" | "output_text" | "text" | "refusal" => true,
        "input_image" => {
            value.get("image_url").or(value.get("file_id")).is_some_and(Value::is_string)
        }
        "input_file" => ["file_data", "file_id", "file_url"]
            .iter()
            .any(|name| value.get(*name).is_some_and(Value::is_string)),
        _ => false,
    };
    if !is_read {
        if value.is_object() {
            return Ok(Part::new(Body::Opaque(DIALECT, value)));
        }
        return Err(Malformed::wrong_type(path, "an object", type_name(&value)));
    }
    let mut object = Object::of(value, path)?;
    let mut citations = Vec::new();
    let body = match kind.as_str() {
        "refusal" => {
            object.take("type");
            Body::Refusal(object.required_string("refusal")?)
        }
        "input_image" => {
            object.take("type");
            let detail = object.string("detail")?;
            let (source, mime) = match object.string("image_url")? {
                Some(url) => MediaSource::of_url(url),
                None => (MediaSource::Id(object.required_string("file_id")?), None),
            };
            Body::Media(Media { kind: MediaKind::Image, source, mime, filename: None, detail })
        }
        "input_file" => {
            object.take("type");
            let filename = object.string("filename")?;
            let (source, mime) = match (object.string("file_data")?, object.string("file_url")?) {
                (Some(data), _) => MediaSource::of_file_data(data, filename.as_deref()),
                (None, Some(url)) => (MediaSource::Url(url), None),
                (None, None) => (MediaSource::Id(object.required_string("file_id")?), None),
            };
            Body::Media(Media { kind: MediaKind::File, source, mime, filename, detail: None })
        }
        _ => {
            // Which of its names a text goes by depends on whose it is.
            object.keep_spelling("type");
            let all = object.peek("annotations").and_then(Value::as_array);
            citations = all.into_iter().flatten().filter_map(citation).collect();
            // An answer's own members, which come back with it.
            for name in ["annotations", "logprobs"] {
                object.keep_spelling(name);
            }
            Body::Text(object.required_string("text")?)
        }
    };
    let mut part = Part::new(body);
    part.citations = citations;
    part.extra = object.finish(DIALECT);
    Ok(part)
}

pub(super) fn citation(annotation: &Value) -> Option<Citation> {
    let text = |name: &str| annotation.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| annotation.get(name).and_then(Value::as_u64);
    match annotation.get("type").and_then(Value::as_str)? {
        "url_citation" => Some(Citation {
            url: text("url"),
            title: text("title"),
            quote: None,
            span: number("start_index").zip(number("end_index")),
        }),
        "file_citation" => Some(Citation { title: text("filename"), ..Citation::default() }),
        _ => None,
    }
}

pub(super) fn annotation(citation: &Citation, said: &str) -> Value {
    let title = citation.title.as_deref().unwrap_or_default();
    match &citation.url {
        Some(url) => {
            let (start, end) = citation.span_in(said);
            json!({"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end})
        }
        None => json!({"type": "file_citation", "file_id": "", "filename": title, "index": 0}),
    }
}

fn decode_reasoning(value: Value, path: &str) -> Result<Turn, Malformed> {
    let mut item = Object::of(value, path)?;
    item.take("type");
    let signature = item.string("encrypted_content")?.map(|value| Signature { by: DIALECT, value });
    let text = thought_of(|name| item.peek(name));
    for name in ["summary", "content"] {
        if item.has(name) {
            item.keep_spelling(name);
        }
    }
    let mut part = Part::new(Body::Thought(Thought { text, ..Thought::default() }));
    part.signature = signature;
    keep_own(&mut item);
    part.extra = item.finish(DIALECT);
    Ok(Turn::new(Role::Assistant, vec![part]))
}

/// The words of a reasoning item: its summary, and its own text where a server shows that.
fn thought_of<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> String {
    let lists = ["summary", "content"].into_iter().filter_map(|name| member(name)?.as_array());
    let texts: Vec<&str> = lists.flatten().filter_map(|one| one.get("text")?.as_str()).collect();
    texts.join("\n\n")
}

pub(super) fn thought_in(item: &Value) -> String {
    thought_of(|name| item.get(name))
}

// === writing ===

/// A turn as items.
pub(super) fn encode(turn: &Turn, at_home: bool, lost: &mut Losses, out: &mut Vec<Value>) {
    let mut message: Vec<Value> = Vec::new();
    let assistant = turn.role == Role::Assistant;
    for part in &turn.parts {
        match &part.body {
            Body::Call(_) | Body::Outcome(_) | Body::Thought(_) => {
                // What was said before a call stands before it.
                if assistant {
                    flush(turn, &mut message, lost, out);
                }
                out.extend(encode_item(part, at_home, lost));
            }
            Body::Opaque(DIALECT, value)
                if turn.shape == ContentShape::Text && turn.extra.is_empty() =>
            {
                out.push(value.clone());
            }
            _ => message.extend(encode_part(part, assistant, lost)),
        }
    }
    if let (true, ContentShape::Text, [Part { body: Body::Text(text), .. }]) =
        (at_home || !assistant, turn.shape, turn.parts.as_slice())
    {
        message.clear();
        let mut item = Builder::new();
        item.set("role", role(turn.role)).set("content", text.as_str());
        turn.extra.write(&mut item.0, DIALECT, "messages", lost);
        out.push(item.done());
        return;
    }
    if at_home && turn.parts.is_empty() {
        let mut item = Builder::new();
        item.set("role", role(turn.role));
        match turn.shape {
            ContentShape::List => {
                item.set("content", json!([]));
            }
            ContentShape::Null => {
                item.set("content", Value::Null);
            }
            ContentShape::Text | ContentShape::Absent => {}
        }
        turn.extra.write(&mut item.0, DIALECT, "messages", lost);
        out.push(item.done());
    }
    if message.is_empty() && turn.parts.is_empty() && !at_home {
        // Nothing is left of it but what there is no word for.
        turn.extra.name_lost("messages", lost);
    }
    flush(turn, &mut message, lost, out);
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::Assistant => "assistant",
        Role::User | Role::Tool => "user",
    }
}

fn flush(turn: &Turn, content: &mut Vec<Value>, lost: &mut Losses, out: &mut Vec<Value>) {
    if content.is_empty() {
        return;
    }
    let mut item = Builder::new();
    item.set("role", role(turn.role)).set("content", std::mem::take(content));
    turn.extra.write(&mut item.0, DIALECT, "messages", lost);
    out.push(item.done());
}

/// A call, a result or a thought. `None` for a thought that only another maker can read.
pub(super) fn encode_item(part: &Part, at_home: bool, lost: &mut Losses) -> Option<Value> {
    let mut item = Builder::new();
    match &part.body {
        Body::Call(call) => {
            let (kind, payload) = match call.kind {
                CallKind::Custom => ("custom_tool_call", "input"),
                CallKind::Function | CallKind::Legacy => ("function_call", "arguments"),
            };
            item.set("type", kind);
            item.set("call_id", call.id.as_deref().unwrap_or_default());
            item.set("name", call.name.as_str());
            if !at_home || call.arguments.is_some() {
                item.set(payload, call.arguments.as_deref().unwrap_or("{}"));
            }
        }
        Body::Outcome(outcome) => {
            item.set("type", "function_call_output");
            item.set("call_id", outcome.call_id.as_deref().unwrap_or_default());
            let outcome = outcome.in_words();
            match (outcome.shape, &outcome.json) {
                (ContentShape::List, None) => {
                    let parts: Vec<Value> = outcome
                        .parts
                        .iter()
                        .filter_map(|part| encode_part(part, false, lost))
                        .collect();
                    item.set("output", parts);
                }
                (ContentShape::Absent, None) if at_home => {}
                // Media beside an object (Gemini).
                (_, Some(_)) if !outcome.parts.is_empty() => {
                    let said = Part::text(outcome.text());
                    let parts = std::iter::once(&said).chain(&outcome.parts);
                    let parts: Vec<Value> =
                        parts.filter_map(|part| encode_part(part, false, lost)).collect();
                    item.set("output", parts);
                }
                _ => {
                    item.set("output", outcome.text());
                }
            }
        }
        Body::Thought(_) => {
            let signature = part.signature.as_ref().filter(|signature| signature.by == DIALECT);
            if signature.is_none() && !at_home {
                lost.dropped("reasoning");
                return None;
            }
            item.set("type", "reasoning");
            if !at_home {
                item.set("summary", json!([]));
            }
            item.maybe("encrypted_content", signature.map(|signature| signature.value.as_str()));
        }
        _ => return None,
    }
    part.extra.write(&mut item.0, DIALECT, "input", lost);
    Some(item.done())
}

pub(super) fn encode_part(part: &Part, said_by_model: bool, lost: &mut Losses) -> Option<Value> {
    let mut object = Builder::new();
    match &part.body {
        Body::Text(text) => {
            object.set("type", if said_by_model { "output_text" } else { "input_text" });
            object.set("text", text.as_str());
            if said_by_model && !part.citations.is_empty() && !part.extra.came_from(DIALECT) {
                let cited: Vec<Value> =
                    part.citations.iter().map(|one| annotation(one, text)).collect();
                object.set("annotations", cited);
            }
        }
        Body::Refusal(text) => {
            object.set("type", "refusal").set("refusal", text.as_str());
        }
        Body::Media(media) => {
            let data = |fallback: &str, data: &str| {
                format!("data:{};base64,{data}", media.mime.as_deref().unwrap_or(fallback))
            };
            match (media.kind, &media.source) {
                (MediaKind::Image, MediaSource::Url(url)) => {
                    object.set("type", "input_image").set("image_url", url.as_str());
                }
                (MediaKind::Image, MediaSource::Inline(inline)) => {
                    object.set("type", "input_image").set("image_url", data("image/png", inline));
                }
                (MediaKind::Image, MediaSource::Id(id)) => {
                    object.set("type", "input_image").set("file_id", id.as_str());
                }
                (MediaKind::File, MediaSource::Url(url)) => {
                    object.set("type", "input_file").set("file_url", url.as_str());
                }
                (MediaKind::File, MediaSource::Inline(inline)) => {
                    object.set("type", "input_file");
                    object.set("file_data", data("application/pdf", inline));
                    if media.filename.is_none() && !part.extra.came_from(DIALECT) {
                        object.set("filename", media.made_up_name());
                    }
                }
                (MediaKind::File, MediaSource::Id(id)) => {
                    object.set("type", "input_file").set("file_id", id.as_str());
                }
                (_, MediaSource::Text(_)) => {
                    let words = part.as_words().unwrap_or_default();
                    object.set("type", "input_text").set("text", words);
                }
                (kind, _) => {
                    lost.lost(format!("content.{kind:?}").to_lowercase());
                    return None;
                }
            }
            part.inner.name_lost("content", lost);
            object.maybe("detail", media.detail.as_deref());
            if !matches!(media.source, MediaSource::Text(_)) {
                object.maybe("filename", media.filename.as_deref());
            }
        }
        Body::Opaque(DIALECT, value) => return Some(value.clone()),
        Body::Opaque(..) if let Some(words) = &part.words => {
            object.set("type", if said_by_model { "output_text" } else { "input_text" });
            object.set("text", words.as_str());
        }
        Body::Opaque(_, value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("part");
            lost.dropped_at("content", kind);
            return None;
        }
        Body::Call(_) | Body::Outcome(_) | Body::Thought(_) => return None,
    }
    if part.cache.is_some() {
        lost.dropped("cache_control");
    }
    part.extra.write(&mut object.0, DIALECT, "content", lost);
    Some(object.done())
}
