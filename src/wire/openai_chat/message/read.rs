//! Messages, read. Longer than most files: every kind of part and every spelling of it is here once.

use serde_json::{Value, json};

use super::DIALECT;
use crate::wire::frame::json::{Object, type_name};
use crate::wire::vocab::{
    Body, CallKind, Citation, ContentShape, Dialect, Malformed, Media, MediaKind, MediaSource,
    Part, Role, Signature, Thought, ToolCall, ToolResult, Turn,
};

pub(in crate::wire::openai_chat) fn decode(value: Value, path: &str) -> Result<Turn, Malformed> {
    let mut message = Object::of(value, path)?;
    let role = match message.string("role")?.as_deref() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        Some("function") => {
            message.spell("role", Value::from("function"));
            Role::Tool
        }
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            return Err(Malformed::new(format!(
                "Invalid value: '{other}'. Supported values are: 'system', 'developer', 'user', \
                 'assistant', 'tool' and 'function'."
            ))
            .at(message.path("role"))
            .coded("invalid_value"));
        }
        None => return Err(Malformed::missing(&message.path("role"))),
    };
    decode_as(role, message)
}

/// The message of an answer, whose role some providers leave out.
pub(in crate::wire::openai_chat) fn decode_answer(
    value: Value,
    path: &str,
) -> Result<Turn, Malformed> {
    let mut message = Object::of(value, path)?;
    match message.string("role")? {
        Some(role) if role != "assistant" => message.spell("role", Value::from(role)),
        _ => {}
    }
    decode_as(Role::Assistant, message)
}

fn decode_as(role: Role, mut message: Object) -> Result<Turn, Malformed> {
    let mut parts = Vec::new();
    if role == Role::Assistant {
        decode_thoughts(&mut message, &mut parts)?;
    }
    let (shape, content) = decode_content(&mut message)?;
    if role == Role::Tool {
        let outcome = ToolResult {
            call_id: message.string("tool_call_id")?,
            name: message.string("name")?,
            parts: content,
            shape,
            is_error: None,
            json: None,
        };
        parts.push(Part::new(Body::Outcome(outcome)));
    } else {
        parts.extend(content);
    }
    if role == Role::Assistant {
        if let Some(refusal) = message.string("refusal")? {
            parts.push(Part::new(Body::Refusal(refusal)));
        }
        decode_calls(&mut message, &mut parts)?;
        parts.extend(pictures(&message));
        message.keep_spelling("images");
        cite(&mut message, &mut parts);
        sign_text(&mut message, &mut parts);
    }
    Ok(Turn { role, parts, shape, extra: message.finish(DIALECT) })
}

/// Pictures that the model drew, as OpenRouter has them: beside the content.
pub(in crate::wire::openai_chat) fn pictures(message: &Object) -> Vec<Part> {
    let all = message.peek("images").and_then(Value::as_array);
    let urls = all.into_iter().flatten().filter_map(|one| one.pointer("/image_url/url")?.as_str());
    urls.map(|url| {
        let (source, mime) = MediaSource::of_url(url.to_owned());
        let kind = MediaKind::Image;
        Part::new(Body::Media(Media { kind, source, mime, filename: None, detail: None }))
    })
    .collect()
}

/// Sources stand beside the text.
fn cite(message: &mut Object, parts: &mut [Part]) {
    let said = parts.iter_mut().find(|part| matches!(part.body, Body::Text(_)));
    if let (Some(part), Some(all)) = (said, message.peek("annotations").and_then(Value::as_array)) {
        part.citations = all.iter().filter_map(citation).collect();
        message.keep_spelling("annotations");
    }
}

pub(in crate::wire::openai_chat) fn citation(annotation: &Value) -> Option<Citation> {
    let cited = annotation.get("url_citation")?;
    let text = |name: &str| cited.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| cited.get(name).and_then(Value::as_u64);
    Some(Citation {
        url: text("url"),
        title: text("title"),
        quote: None,
        span: number("start_index").zip(number("end_index")),
    })
}

fn decode_content(message: &mut Object) -> Result<(ContentShape, Vec<Part>), Malformed> {
    let path = message.path("content");
    match message.take_any("content") {
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
            Err(Malformed::wrong_type(&path, "a string or an array of parts", type_name(&other)))
        }
    }
}

fn decode_part(item: Value, path: &str) -> Result<Part, Malformed> {
    let whole = item.clone_if_opaque();
    let mut object = Object::of(item, path)?;
    let kind = object.required_string("type")?;
    let cache = object.peek("cache_control").cloned();
    object.keep_spelling("cache_control");
    let mut inner = None;
    let body = match kind.as_str() {
        // The names that a text has in Responses are understood.
        "text" | "input_text" | "output_text" => {
            let text = object.string("text")?;
            if text.is_none() && object.is_spent() {
                return Err(Malformed::missing(&object.path("text")));
            }
            if kind != "text" {
                object.spell("type", Value::from(kind.as_str()));
            }
            Body::Text(text.unwrap_or_default())
        }
        "refusal" => Body::Refusal(object.required_string("refusal")?),
        "thinking" => {
            // Mistral: `thinking` is itself a list of texts.
            let text = thinking_text(object.peek("thinking"));
            object.keep_spelling("thinking");
            object.spell("type", Value::from("thinking"));
            Body::Thought(Thought { text, redacted: false, spelled: false })
        }
        "image_url" => {
            let (url, detail) = match object.take("image_url") {
                Some(Value::String(url)) => {
                    object.spell("image_url", Value::from(url.clone()));
                    (url, None)
                }
                Some(value) => {
                    let mut image = Object::of(value, object.path("image_url"))?;
                    let url = image.required_string("url")?;
                    let detail = image.string("detail")?;
                    inner = Some(image);
                    (url, detail)
                }
                None => return Err(Malformed::missing(&object.path("image_url"))),
            };
            let (source, mime) = MediaSource::of_url(url);
            Body::Media(Media { kind: MediaKind::Image, source, mime, filename: None, detail })
        }
        "input_audio" => {
            let mut audio = object
                .object("input_audio")?
                .ok_or_else(|| Malformed::missing(&object.path("input_audio")))?;
            let data = audio.required_string("data")?;
            let mime = audio.string("format")?.map(|format| format!("audio/{format}"));
            inner = Some(audio);
            Body::Media(Media {
                kind: MediaKind::Audio,
                source: MediaSource::Inline(data),
                mime,
                filename: None,
                detail: None,
            })
        }
        "file" => {
            let mut file =
                object.object("file")?.ok_or_else(|| Malformed::missing(&object.path("file")))?;
            let filename = file.string("filename")?;
            let data = file.string("file_data")?;
            let id = file.string("file_id")?;
            let (source, mime) = match (data, id) {
                (Some(data), id) => {
                    if let Some(id) = id {
                        file.unknown("file_id", Value::from(id));
                    }
                    MediaSource::of_file_data(data, filename.as_deref())
                }
                (None, Some(id)) => (MediaSource::Id(id), None),
                (None, None) => {
                    return Err(Malformed::missing(&file.path("file_data")));
                }
            };
            inner = Some(file);
            Body::Media(Media { kind: MediaKind::File, source, mime, filename, detail: None })
        }
        "video_url" if object.peek("video_url").is_some_and(Value::is_object) => {
            let mut video = object
                .object("video_url")?
                .ok_or_else(|| Malformed::missing(&object.path("video_url")))?;
            let (source, mime) = MediaSource::of_url(video.required_string("url")?);
            inner = Some(video);
            Body::Media(Media {
                kind: MediaKind::Video,
                source,
                mime,
                filename: None,
                detail: None,
            })
        }
        _ => return Ok(Part::new(Body::Opaque(DIALECT, whole))),
    };
    let mut part = Part::new(body);
    part.cache = cache;
    part.inner = inner.map(|inner| inner.finish(DIALECT)).unwrap_or_default();
    part.extra = object.finish(DIALECT);
    Ok(part)
}

/// A part is copied whole only when its type is none of those that are read.
trait CloneIfOpaque {
    fn clone_if_opaque(&self) -> Value;
}

impl CloneIfOpaque for Value {
    fn clone_if_opaque(&self) -> Value {
        match self.get("type").and_then(Self::as_str) {
            Some(
                "text" | "input_text" | "output_text" | "refusal" | "thinking" | "image_url"
                | "input_audio" | "file",
            ) => Self::Null,
            _ => self.clone(),
        }
    }
}

fn thinking_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| item.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}

/// Reasoning comes under four names: `reasoning_content` (DeepSeek and most), `reasoning` (Groq,
/// Ollama, OpenRouter), `reasoning_details` (OpenRouter, with signatures), `thinking_blocks`
/// (LiteLLM). The signed ones say most, so they are read first.
fn decode_thoughts(message: &mut Object, parts: &mut Vec<Part>) -> Result<(), Malformed> {
    let signed = match (message.peek("reasoning_details"), message.peek("thinking_blocks")) {
        (Some(Value::Array(details)), _) => thoughts_of_details(details),
        (_, Some(Value::Array(blocks))) => thoughts_of_blocks(blocks),
        _ => Vec::new(),
    };
    for name in ["reasoning_details", "thinking_blocks"] {
        if message.has(name) {
            message.keep_spelling(name);
        }
    }
    let plain_name = ["reasoning_content", "reasoning"].into_iter().find(|name| message.has(name));
    if signed.is_empty() {
        match plain_name {
            Some("reasoning_content") => {
                if let Some(text) = message.string("reasoning_content")? {
                    parts.push(thought(text, None, false));
                }
            }
            Some(name) => {
                if let Some(text) = message.peek(name).and_then(Value::as_str) {
                    parts.push(thought(text.to_owned(), None, true));
                    message.keep_spelling(name);
                }
            }
            None => {}
        }
    } else {
        let mut signed = signed;
        // Only the signature was streamed in the details; the words stand in the plain member.
        if let [only] = signed.as_mut_slice()
            && let Body::Thought(thought) = &mut only.body
            && thought.text.is_empty()
            && !thought.redacted
            && let Some(text) =
                plain_name.and_then(|name| message.peek(name)).and_then(Value::as_str)
        {
            text.clone_into(&mut thought.text);
        }
        parts.extend(signed);
    }
    for name in ["reasoning_content", "reasoning"] {
        if message.peek(name).is_some_and(Value::is_string) {
            message.keep_spelling(name);
        }
    }
    Ok(())
}

fn thought(text: String, signature: Option<Signature>, spelled: bool) -> Part {
    let mut part = Part::new(Body::Thought(Thought { text, redacted: false, spelled }));
    part.signature = signature;
    part
}

fn maker(format: Option<&str>) -> Option<Dialect> {
    let format = format?;
    if format.starts_with("anthropic") {
        Some(Dialect::Anthropic)
    } else if format.starts_with("openai-responses") {
        Some(Dialect::OpenAiResponses)
    } else if format.starts_with("google") {
        Some(Dialect::Gemini)
    } else {
        None
    }
}

pub(in crate::wire::openai_chat) fn thoughts_of_details(details: &[Value]) -> Vec<Part> {
    let mut parts: Vec<(Option<u64>, Part)> = Vec::new();
    for detail in details {
        let field = |name: &str| detail.get(name).and_then(Value::as_str);
        let index = detail.get("index").and_then(Value::as_u64);
        let by = maker(field("format"));
        match field("type") {
            Some("reasoning.text") => {
                let signature = match (field("signature"), by.or(Some(Dialect::Anthropic))) {
                    (Some(value), Some(by)) if !value.is_empty() => {
                        Some(Signature { by, value: value.to_owned() })
                    }
                    _ => None,
                };
                let text = field("text").unwrap_or_default();
                // Fragments of one thought, as a client gathered them from a stream.
                let open = parts.last_mut().filter(|(known, part)| {
                    *known == index && index.is_some() && part.signature.is_none()
                });
                match open.map(|(_, part)| part) {
                    Some(Part {
                        body: Body::Thought(known), signature: known_signature, ..
                    }) if !known.redacted => {
                        known.text.push_str(text);
                        *known_signature = signature;
                    }
                    _ => parts.push((index, thought(text.to_owned(), signature, true))),
                }
            }
            Some("reasoning.summary") => {
                let text = field("summary").unwrap_or_default().to_owned();
                parts.push((index, thought(text, None, true)));
            }
            Some("reasoning.encrypted") => {
                if let (Some(data), Some(by)) = (field("data"), by) {
                    let mut part = Part::new(Body::Thought(Thought {
                        text: String::new(),
                        redacted: true,
                        spelled: true,
                    }));
                    part.signature = Some(Signature { by, value: data.to_owned() });
                    parts.push((index, part));
                }
            }
            _ => {}
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

fn thoughts_of_blocks(blocks: &[Value]) -> Vec<Part> {
    let by = Dialect::Anthropic;
    blocks
        .iter()
        .filter_map(|block| {
            let field = |name: &str| block.get(name).and_then(Value::as_str).map(str::to_owned);
            // An empty one is no proof: another maker's thought, as our own answers show it.
            let proof = |name: &str| field(name).filter(|value| !value.is_empty());
            match field("type").as_deref() {
                Some("thinking") => Some(thought(
                    field("thinking").unwrap_or_default(),
                    proof("signature").map(|value| Signature { by, value }),
                    true,
                )),
                Some("redacted_thinking") => {
                    let mut part = Part::new(Body::Thought(Thought {
                        text: String::new(),
                        redacted: true,
                        spelled: true,
                    }));
                    part.signature = proof("data").map(|value| Signature { by, value });
                    Some(part)
                }
                _ => None,
            }
        })
        .collect()
}

fn decode_calls(message: &mut Object, parts: &mut Vec<Part>) -> Result<(), Malformed> {
    let path = message.path("tool_calls");
    if let Some(calls) = message.list("tool_calls")? {
        if calls.is_empty() {
            message.spell("tool_calls", json!([]));
        }
        for (index, call) in calls.into_iter().enumerate() {
            parts.push(decode_call(Object::of(call, format!("{path}[{index}]"))?)?);
        }
    }
    let said = |value: &Value, name: &str| value.get(name).is_some_and(|text| text != "");
    // Some servers say of every answer that it calls nothing.
    if message
        .peek("function_call")
        .is_some_and(|call| !said(call, "name") && !said(call, "arguments"))
    {
        message.keep_spelling("function_call");
    }
    if let Some(mut call) = message.object("function_call")? {
        let mut part = Part::new(Body::Call(ToolCall {
            id: None,
            name: call.string("name")?.unwrap_or_default(),
            arguments: call.string("arguments")?,
            kind: CallKind::Legacy,
        }));
        part.inner = call.finish(DIALECT);
        parts.push(part);
    }
    Ok(())
}

fn decode_call(mut object: Object) -> Result<Part, Malformed> {
    let id = object.string("id")?;
    let signature = google_signature(&object);
    if signature.is_some() {
        object.keep_spelling("extra_content");
    }
    let (kind, nested) = match object.string("type")?.as_deref() {
        Some("custom") => (CallKind::Custom, "custom"),
        Some("function") => (CallKind::Function, "function"),
        Some(other) => {
            object.spell("type", Value::from(other));
            (CallKind::Function, "function")
        }
        None => {
            // Left out, or null, which stays as it was spelled.
            (CallKind::Function, "function")
        }
    };
    let mut inner =
        object.object(nested)?.ok_or_else(|| Malformed::missing(&object.path(nested)))?;
    let arguments = match inner.take(if kind == CallKind::Custom { "input" } else { "arguments" }) {
        None => None,
        Some(Value::String(text)) => Some(text),
        // Some servers send the object itself.
        Some(other) => {
            let text = other.to_string();
            inner.spell("arguments", other);
            Some(text)
        }
    };
    let name = inner.string("name")?.unwrap_or_default();
    let mut part = Part::new(Body::Call(ToolCall { id, name, arguments, kind }));
    part.signature = signature;
    part.inner = inner.finish(DIALECT);
    part.extra = object.finish(DIALECT);
    Ok(part)
}

/// Google's own OpenAI endpoint carries thought signatures so; LiteLLM in `provider_specific_fields`.
fn google_signature(object: &Object) -> Option<Signature> {
    let google = object
        .peek("extra_content")
        .and_then(|extra| extra.get("google"))
        .or_else(|| object.peek("provider_specific_fields"))?;
    let value = google.get("thought_signature").and_then(Value::as_str)?;
    Some(Signature { by: Dialect::Gemini, value: value.to_owned() })
}

fn sign_text(message: &mut Object, parts: &mut [Part]) {
    if let Some(signature) = google_signature(message) {
        let text = parts.iter_mut().find(|part| matches!(part.body, Body::Text(_)));
        if let Some(part) = text {
            part.signature = Some(signature);
            message.keep_spelling("extra_content");
        }
    }
}
