//! Contents and their parts: the same objects in requests and answers.

use serde_json::{Map, Value, json};

use crate::wire::frame::json::{Builder, Object};
use crate::wire::vocab::{
    Body, CallKind, ContentShape, Dialect, Losses, Malformed, Media, MediaKind, MediaSource, Part,
    Role, Signature, Thought, ToolCall, ToolResult, Turn, mime_of_name,
};

/// The dialect of these contents, by which what only it knows is tagged.
pub(super) const DIALECT: Dialect = Dialect::Gemini;

/// What Google documents for calls whose thinking was done elsewhere.
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

pub(super) fn decode(value: Value, path: &str) -> Result<Turn, Malformed> {
    let mut content = Object::of(value, path)?;
    let role = match content.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("model") => Role::Assistant,
        None => {
            content.spell("role", Value::Null);
            Role::User
        }
        Some(other) => {
            content.spell("role", Value::from(other));
            if other == "function" { Role::Tool } else { Role::User }
        }
    };
    let path = content.path("parts");
    let (shape, items) = match content.list_or_one("parts")? {
        Some(items) => (ContentShape::List, items),
        None => (ContentShape::Absent, Vec::new()),
    };
    let mut parts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        parts.push(decode_part(item, &format!("{path}[{index}]"))?);
    }
    Ok(Turn { role, parts, shape, extra: content.finish(DIALECT) })
}

pub(super) fn decode_part(value: Value, path: &str) -> Result<Part, Malformed> {
    let has =
        |names: [&str; 2]| names.iter().any(|name| value.get(*name).is_some_and(|v| !v.is_null()));
    let is_call = has(["functionCall", "function_call"]);
    let is_outcome = has(["functionResponse", "function_response"]);
    let is_media = has(["inlineData", "inline_data"]) || has(["fileData", "file_data"]);
    if value.is_object() && !(is_call || is_outcome || is_media || has(["text", "text"])) {
        return Ok(Part::new(Body::Opaque(DIALECT, value)));
    }
    let mut object = Object::of(value, path)?;
    let signature = object
        .take_either(["thoughtSignature", "thought_signature"])
        .and_then(|value| value.as_str().map(str::to_owned))
        .map(|value| Signature { by: DIALECT, value });
    let mut inner = Object::of(json!({}), path)?;
    let nested = |object: &mut Object, names: [&str; 2]| -> Result<Object, Malformed> {
        let path = object.path(names[0]);
        Object::of(object.take_either(names).unwrap_or_default(), path)
    };
    let body = if is_call {
        inner = nested(&mut object, ["functionCall", "function_call"])?;
        Body::Call(ToolCall {
            id: inner.string("id")?,
            name: inner.string("name")?.unwrap_or_default(),
            arguments: inner.take("args").map(|args| args.to_string()),
            kind: CallKind::Function,
        })
    } else if is_outcome {
        inner = nested(&mut object, ["functionResponse", "function_response"])?;
        let mut parts = Vec::new();
        for part in inner.peek("parts").and_then(Value::as_array).into_iter().flatten() {
            parts.push(decode_part(part.clone(), &inner.path("parts"))?);
        }
        inner.keep_spelling("parts");
        Body::Outcome(ToolResult {
            call_id: inner.string("id")?,
            name: inner.string("name")?,
            parts,
            shape: ContentShape::Absent,
            is_error: inner
                .peek("response")
                .is_some_and(|response| response.get("error").is_some())
                .then_some(true),
            json: inner.take("response"),
        })
    } else if has_data(&object, ["inlineData", "inline_data"]) {
        inner = nested(&mut object, ["inlineData", "inline_data"])?;
        let mime = mime_of(&mut inner);
        let data = inner.required_string("data")?;
        Body::Media(media(MediaSource::Inline(data), mime))
    } else if is_media {
        inner = nested(&mut object, ["fileData", "file_data"])?;
        let mime = mime_of(&mut inner);
        let uri = inner.take_either(["fileUri", "file_uri"]);
        let uri = uri.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        Body::Media(by_address(uri, mime))
    } else {
        let text = object.required_string("text")?;
        if object.peek("thought").and_then(Value::as_bool) == Some(true) {
            object.take("thought");
            Body::Thought(Thought { text, ..Thought::default() })
        } else {
            Body::Text(text)
        }
    };
    let mut part = Part::new(body);
    part.signature = signature;
    part.inner = inner.finish(DIALECT);
    part.extra = object.finish(DIALECT);
    Ok(part)
}

fn has_data(object: &Object, names: [&str; 2]) -> bool {
    names.iter().any(|name| object.has(name))
}

fn mime_of(inner: &mut Object) -> Option<String> {
    inner.take_either(["mimeType", "mime_type"]).and_then(|value| value.as_str().map(str::to_owned))
}

/// A file of Google's own storage or upload is known to Google alone; what is at `YouTube` is a video.
fn by_address(uri: String, mime: Option<String>) -> Media {
    if is_google_s(&uri) {
        return media(MediaSource::Id(uri), mime);
    }
    let bare = uri.trim_start_matches("https://").trim_start_matches("www.");
    let video = ["youtube.com/", "youtu.be/", "m.youtube.com/"];
    let kind = video.iter().any(|host| bare.starts_with(host)).then_some(MediaKind::Video);
    let media = media(MediaSource::Url(uri), mime);
    Media { kind: kind.unwrap_or(media.kind), ..media }
}

fn is_google_s(uri: &str) -> bool {
    let uploaded = "https://generativelanguage.googleapis.com/";
    uri.starts_with("gs://") || uri.starts_with("files/") || uri.starts_with(uploaded)
}

fn media(source: MediaSource, mime: Option<String>) -> Media {
    let kind = match mime.as_deref().and_then(|mime| mime.split('/').next()) {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::File,
    };
    Media { kind, source, mime, filename: None, detail: None }
}

// === writing ===

/// Names of calls by their ids: a result here must say which function it is of.
pub(super) type CallNames = std::collections::HashMap<String, String>;

pub(super) fn encode(
    turn: &Turn,
    at_home: bool,
    names: &mut CallNames,
    lost: &mut Losses,
) -> Value {
    let mut content = Builder::new();
    content.set("role", if turn.role == Role::Assistant { "model" } else { "user" });
    if !(at_home && turn.shape == ContentShape::Absent && turn.parts.is_empty()) {
        content.set("parts", encode_parts(turn, at_home, names, lost));
    }
    turn.extra.write(&mut content.0, DIALECT, "messages", lost);
    if content.0.get("role").is_some_and(Value::is_null) {
        content.0.shift_remove("role");
    }
    content.done()
}

pub(super) fn encode_parts(
    turn: &Turn,
    at_home: bool,
    names: &mut CallNames,
    lost: &mut Losses,
) -> Vec<Value> {
    let mut parts = Vec::with_capacity(turn.parts.len());
    // Of parallel calls only the first carries a signature.
    let mut unsigned = !at_home;
    for part in &turn.parts {
        if let Body::Call(call) = &part.body
            && let Some(id) = &call.id
        {
            names.insert(id.clone(), call.name.clone());
        }
        let Some(mut value) = encode_part(part, at_home, names, lost) else { continue };
        if let (true, Body::Call(_), Some(object)) = (unsigned, &part.body, value.as_object_mut()) {
            object.entry("thoughtSignature").or_insert_with(|| Value::from(FOREIGN_CALL));
            unsigned = false;
        }
        parts.push(value);
        if let (Body::Outcome(outcome), false) = (&part.body, at_home) {
            // Pictures in a result stand beside it.
            let beside = outcome.parts.iter().filter(|part| !part.is_words());
            parts.extend(beside.filter_map(|part| encode_part(part, at_home, names, lost)));
        }
    }
    parts
}

/// What another maker's model has answered.
pub(super) fn answered(turn: &Turn) -> Value {
    let parts: Vec<Value> = turn.parts.iter().filter_map(answered_part).collect();
    json!({"role": "model", "parts": parts})
}

/// A part of such an answer. A call goes with Google's word for one whose thinking was done
/// elsewhere, so that it can come back to a model that would miss it.
pub(super) fn answered_part(part: &Part) -> Option<Value> {
    let mut lost = Losses::default();
    if let Body::Thought(thought) = &part.body {
        return (!thought.text.is_empty()).then(|| json!({"text": thought.text, "thought": true}));
    }
    let mut value = encode_part(part, true, &CallNames::new(), &mut lost)?;
    // Other makers' calls have ids.
    if let (Body::Call(call @ ToolCall { id: Some(_), .. }), Some(members)) =
        (&part.body, value.as_object_mut())
    {
        members.entry("thoughtSignature").or_insert_with(|| Value::from(FOREIGN_CALL));
        if call.arguments.is_none()
            && let Some(Value::Object(inner)) = members.get_mut("functionCall")
        {
            inner.insert("args".to_owned(), json!({}));
        }
    }
    Some(value)
}

pub(super) fn encode_part(
    part: &Part,
    at_home: bool,
    names: &CallNames,
    lost: &mut Losses,
) -> Option<Value> {
    let mut object = Builder::new();
    let signature = part.signature.as_ref().filter(|signature| signature.by == DIALECT);
    match &part.body {
        Body::Text(text) => {
            if text.is_empty() && !at_home && signature.is_none() {
                return None;
            }
            object.set("text", text.as_str());
        }
        Body::Refusal(text) => {
            object.set("text", text.as_str());
        }
        // Nothing was thought that could be read, or proven.
        Body::Thought(thought)
            if thought.text.is_empty() && part.signature.is_none() && !at_home =>
        {
            return None;
        }
        Body::Thought(thought) => {
            if !at_home && signature.is_none() {
                lost.dropped("reasoning");
                return None;
            }
            object.set("text", thought.text.as_str()).set("thought", true);
        }
        Body::Call(call) => {
            let mut inner = Builder::new();
            inner.maybe("id", call.id.as_deref());
            if !call.name.is_empty() || !at_home {
                inner.set("name", call.name.as_str());
            }
            match &call.arguments {
                Some(arguments) => {
                    inner.set("args", object_of(arguments, "arguments"));
                }
                None if at_home => {}
                None => {
                    inner.set("args", json!({}));
                }
            }
            part.inner.write(&mut inner.0, DIALECT, "tool_calls", lost);
            object.set("functionCall", inner.done());
        }
        Body::Outcome(outcome) => {
            let mut inner = Builder::new();
            inner.maybe("id", outcome.call_id.as_deref());
            let known = outcome.call_id.as_ref().and_then(|id| names.get(id));
            let name = outcome.name.as_ref().or(known);
            inner.maybe("name", name.map(String::as_str).or((!at_home).then_some("tool")));
            match &outcome.json {
                Some(json) => {
                    inner.set("response", json.clone());
                }
                None if at_home && outcome.parts.is_empty() => {}
                None => {
                    inner.set("response", response_of(outcome));
                }
            }
            part.inner.write(&mut inner.0, DIALECT, "tool_result", lost);
            object.set("functionResponse", inner.done());
        }
        Body::Media(Media { source: MediaSource::Text(_), .. }) => {
            object.set("text", part.as_words().unwrap_or_default());
        }
        Body::Media(media) => {
            let (name, mut inner) = encode_media(media, lost)?;
            part.inner.write(&mut inner.0, DIALECT, "content", lost);
            object.set(name, inner.done());
        }
        Body::Opaque(DIALECT, value) => return Some(value.clone()),
        Body::Opaque(..) if let Some(words) = &part.words => {
            object.set("text", words.as_str());
        }
        Body::Opaque(_, value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("part");
            lost.dropped_at("content", kind);
            return None;
        }
    }
    if part.cache.is_some() {
        lost.dropped("cache_control");
    }
    if !part.citations.is_empty() && !at_home {
        lost.dropped("content.citations");
    }
    object.maybe("thoughtSignature", signature.map(|signature| signature.value.as_str()));
    part.extra.write(&mut object.0, DIALECT, "content", lost);
    Some(object.done())
}

fn object_of(text: &str, name: &str) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => value,
        Ok(value) => json!({ name: value }),
        Err(_) => json!({ name: text }),
    }
}

/// A result as an object: itself if it is one, else under Google's own names. A `$ref` inside
/// would be resolved and refused, so such a result stays text.
fn response_of(outcome: &ToolResult) -> Value {
    let text = outcome.text();
    if outcome.is_error == Some(true) {
        return json!({ "error": text });
    }
    match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(object) if !text.contains("\"$ref\"") => Value::Object(object),
        _ => json!({ "result": text }),
    }
}

fn encode_media(media: &Media, lost: &mut Losses) -> Option<(&'static str, Builder)> {
    let mut inner = Builder::new();
    let fallback = match media.kind {
        MediaKind::Image => "image/png",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => "video/mp4",
        MediaKind::File => "application/pdf",
    };
    let mime = match media.mime.as_deref() {
        Some("audio/mp3") => "audio/mpeg",
        Some(mime) => mime,
        None => match &media.source {
            MediaSource::Url(url) => mime_of_url(url).unwrap_or(fallback),
            _ => fallback,
        },
    };
    let name = match &media.source {
        MediaSource::Inline(data) => {
            inner.set("mimeType", mime).set("data", data.as_str());
            "inlineData"
        }
        MediaSource::Url(url) => {
            inner.set("mimeType", mime).set("fileUri", url.as_str());
            "fileData"
        }
        MediaSource::Id(uri) if is_google_s(uri) => {
            inner.set("mimeType", mime).set("fileUri", uri.as_str());
            "fileData"
        }
        // Written as a text part by the caller.
        MediaSource::Text(_) => return None,
        MediaSource::Id(_) => {
            lost.lost("content.file_id");
            return None;
        }
    };
    if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
        lost.dropped("image_url.detail");
    }
    Some((name, inner))
}

fn mime_of_url(url: &str) -> Option<&'static str> {
    mime_of_name(url.split(['?', '#']).next().unwrap_or(url))
}
