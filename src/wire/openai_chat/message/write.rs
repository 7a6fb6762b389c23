//! Messages, written.

use serde_json::{Value, json};

use super::DIALECT;
use crate::wire::frame::json::Builder;
use crate::wire::vocab::{
    Body, CallKind, Citation, ContentShape, Dialect, Losses, Media, MediaKind, MediaSource, Part,
    Role, Signature, Thought, ThoughtsBack, ToolResult, Turn,
};

/// How OpenRouter labels whose reasoning a `reasoning_details` entry is.
const ANTHROPIC_FORMAT: &str = "anthropic-claude-v1";
const RESPONSES_FORMAT: &str = "openai-responses-v1";
const GEMINI_FORMAT: &str = "google-gemini-v1";

/// A turn as messages: results of tool calls are messages of their own here.
pub(in crate::wire::openai_chat) fn encode(
    turn: &Turn,
    from_chat: bool,
    thoughts: ThoughtsBack,
    lost: &mut Losses,
    shown: &mut Vec<Value>,
    out: &mut Vec<Value>,
) {
    let mut rest: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        match &part.body {
            Body::Outcome(outcome) => {
                let mut message = Builder::new();
                message.set("role", "tool");
                message.maybe("tool_call_id", outcome.call_id.as_deref());
                if turn.role == Role::Tool {
                    message.maybe("name", outcome.name.as_deref().filter(|_| from_chat));
                }
                let told = outcome.in_words();
                if let Some(content) = encode_outcome(&told, from_chat, lost, shown) {
                    message.set("content", content);
                }
                part.extra.write(&mut message.0, DIALECT, "messages.content", lost);
                if turn.role == Role::Tool {
                    turn.extra.write(&mut message.0, DIALECT, "messages", lost);
                }
                out.push(message.done());
            }
            _ => rest.push(part),
        }
    }
    if turn.role == Role::Tool || (rest.is_empty() && !turn.parts.is_empty()) {
        return;
    }
    let mut message = Builder::new();
    message.set(
        "role",
        match turn.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        },
    );
    if turn.role == Role::Assistant {
        encode_assistant(turn, &rest, from_chat, thoughts, lost, &mut message);
    } else {
        let plain = !from_chat && rest.iter().all(|part| matches!(part.body, Body::Text(_)));
        match turn.shape {
            ContentShape::Null if rest.is_empty() => {
                message.set("content", Value::Null);
            }
            ContentShape::Absent if rest.is_empty() && from_chat => {}
            ContentShape::Text => encode_text_or_list(&rest, from_chat, lost, &mut message),
            _ if plain => encode_text_or_list(&rest, from_chat, lost, &mut message),
            _ => {
                message.set("content", encode_list(&rest, from_chat, lost));
            }
        }
    }
    turn.extra.write(&mut message.0, DIALECT, "messages", lost);
    out.push(message.done());
}

fn encode_text_or_list(parts: &[&Part], from_chat: bool, lost: &mut Losses, message: &mut Builder) {
    match parts {
        [Part { body: Body::Text(text), extra, cache, .. }] => {
            extra.write(&mut serde_json::Map::new(), DIALECT, "messages.content", lost);
            note_cache(cache.is_some() && !extra.came_from(DIALECT), lost);
            message.set("content", text.as_str());
        }
        parts => {
            message.set("content", encode_list(parts, from_chat, lost));
        }
    }
}

fn note_cache(dropped: bool, lost: &mut Losses) {
    if dropped {
        lost.dropped("cache_control");
    }
}

fn encode_list(parts: &[&Part], from_chat: bool, lost: &mut Losses) -> Value {
    Value::Array(parts.iter().filter_map(|part| encode_part(part, from_chat, lost)).collect())
}

/// A result. What of it is not text goes to `shown`, because chat knows only text here.
fn encode_outcome(
    outcome: &ToolResult,
    from_chat: bool,
    lost: &mut Losses,
    shown: &mut Vec<Value>,
) -> Option<Value> {
    if outcome.json.is_some() {
        shown.extend(outcome.parts.iter().filter_map(|part| encode_part(part, from_chat, lost)));
        return Some(Value::from(outcome.text()));
    }
    match (outcome.shape, outcome.parts.as_slice()) {
        (ContentShape::Null, []) => Some(Value::Null),
        (ContentShape::Absent, []) if from_chat => None,
        (_, []) if !from_chat => Some(Value::from("")),
        (ContentShape::Text, [Part { body: Body::Text(text), .. }]) => {
            Some(Value::from(text.as_str()))
        }
        (_, parts) if from_chat => {
            Some(encode_list(&parts.iter().collect::<Vec<_>>(), from_chat, lost))
        }
        (_, parts) => {
            let media = parts.iter().filter(|part| !part.is_words());
            shown.extend(media.filter_map(|part| encode_part(part, from_chat, lost)));
            Some(Value::from(outcome.text()))
        }
    }
}

fn encode_assistant(
    turn: &Turn,
    parts: &[&Part],
    from_chat: bool,
    thoughts: ThoughtsBack,
    lost: &mut Losses,
    message: &mut Builder,
) {
    let proofs = from_chat || matches!(thoughts, ThoughtsBack::All | ThoughtsBack::Google);
    let calls: Vec<Value> =
        parts.iter().filter_map(|part| encode_call(part, proofs, lost)).collect();
    let content: Vec<&Part> = parts
        .iter()
        .copied()
        .filter(|part| match &part.body {
            Body::Text(_) | Body::Media(_) | Body::Opaque(..) => true,
            Body::Refusal(_) => turn.shape == ContentShape::List && from_chat,
            // Mistral's thinking stands among the content's parts.
            Body::Thought(thought) => {
                from_chat && !thought.spelled && part.extra.get(DIALECT, "thinking").is_some()
            }
            _ => false,
        })
        .collect();
    match turn.shape {
        ContentShape::List if from_chat => {
            message.set("content", encode_list(&content, from_chat, lost));
        }
        ContentShape::Absent if from_chat => {}
        _ if content.is_empty() => {
            message.set("content", Value::Null);
        }
        _ => {
            message.set("content", joined_text(&content));
            for part in &content {
                match &part.body {
                    Body::Text(_) => {
                        note_cache(part.cache.is_some() && !from_chat, lost);
                        part.extra.write(
                            &mut serde_json::Map::new(),
                            DIALECT,
                            "messages.content",
                            lost,
                        );
                    }
                    _ if part.is_words() => {}
                    _ => lost.dropped("messages.content"),
                }
            }
        }
    }
    encode_thoughts(parts, from_chat, thoughts, message);
    let mut cited = Vec::new();
    // Places are those in the whole content, which the parts make up.
    let mut before = 0;
    for part in &content {
        let words = part.as_words().unwrap_or_default();
        cited.extend(part.citations.iter().filter_map(|one| {
            let (start, end) = one.span_in(words);
            annotation(one, (before + start, before + end))
        }));
        before += words.chars().count() as u64;
    }
    // At home they stand as they were spelled.
    if !cited.is_empty() && !from_chat {
        message.set("annotations", cited);
    }
    if let Some(signature) = content.iter().find_map(|part| part.signature.as_ref())
        && signature.by == Dialect::Gemini
        && proofs
    {
        message.set("extra_content", json!({"google": {"thought_signature": signature.value}}));
    }
    for part in parts {
        match &part.body {
            Body::Refusal(refusal) if !(turn.shape == ContentShape::List && from_chat) => {
                message.set("refusal", refusal.as_str());
            }
            Body::Call(call) if call.kind == CallKind::Legacy => {
                let mut inner = Builder::new();
                inner.set("name", call.name.as_str());
                inner.maybe("arguments", call.arguments.as_deref());
                part.inner.write_quietly(&mut inner.0, DIALECT);
                message.set("function_call", inner.done());
            }
            _ => {}
        }
    }
    if !calls.is_empty() {
        message.set("tool_calls", calls);
    }
}

/// A source as chat has it, pages only, of the characters that `span` covers in the content.
pub(in crate::wire::openai_chat) fn annotation(
    citation: &Citation,
    (start, end): (u64, u64),
) -> Option<Value> {
    let url = citation.url.as_deref()?;
    let title = citation.title.as_deref().unwrap_or_default();
    Some(json!({"type": "url_citation", "url_citation":
        {"url": url, "title": title, "start_index": start, "end_index": end}}))
}

fn joined_text(parts: &[&Part]) -> String {
    parts.iter().filter_map(|part| part.as_words()).collect()
}

/// Thoughts that the turn's own members do not already say.
fn encode_thoughts(
    parts: &[&Part],
    from_chat: bool,
    thoughts: ThoughtsBack,
    message: &mut Builder,
) {
    let mut text = String::new();
    let mut said = false;
    let mut details = Vec::new();
    for part in parts {
        let Body::Thought(thought) = &part.body else { continue };
        if thought.spelled || part.extra.get(DIALECT, "thinking").is_some() {
            continue;
        }
        if !thought.redacted {
            text.push_str(&thought.text);
            said |= !thought.text.is_empty() || from_chat;
        }
        if let Some(detail) = thought_detail(thought, part.signature.as_ref(), details.len()) {
            details.push(detail);
        }
    }
    if said && matches!(thoughts, ThoughtsBack::All | ThoughtsBack::Content) {
        message.set("reasoning_content", text);
    }
    if !details.is_empty() && matches!(thoughts, ThoughtsBack::All | ThoughtsBack::Details) {
        message.set("reasoning_details", details);
    }
}

/// A signed thought as OpenRouter writes it, which is how it comes back to us.
pub(in crate::wire::openai_chat) fn thought_detail(
    thought: &Thought,
    signature: Option<&Signature>,
    index: usize,
) -> Option<Value> {
    let signature = signature?;
    let format = match signature.by {
        Dialect::Anthropic => ANTHROPIC_FORMAT,
        Dialect::Gemini => GEMINI_FORMAT,
        Dialect::OpenAiResponses => RESPONSES_FORMAT,
        Dialect::OpenAiChat => return None,
    };
    Some(if thought.redacted {
        json!({"type": "reasoning.encrypted", "data": signature.value, "format": format, "index": index})
    } else {
        json!({"type": "reasoning.text", "text": thought.text, "signature": signature.value,
               "format": format, "index": index})
    })
}

fn encode_part(part: &Part, from_chat: bool, lost: &mut Losses) -> Option<Value> {
    let mut object = Builder::new();
    // OpenAI's own servers read no address where this dialect has the content of a file, others do. Named,
    // so that a model is asked in another dialect, if it can be, that has a word for it.
    if let Body::Media(Media { kind: MediaKind::File, source: MediaSource::Url(_), .. }) =
        &part.body
        && !from_chat
    {
        lost.dropped("content.file_url");
    }
    let mut nested = |name: &str, mut inner: Builder, object: &mut Builder| {
        part.inner.write(&mut inner.0, DIALECT, name, lost);
        object.set(name, inner.done());
    };
    match &part.body {
        Body::Text(text) => {
            object.set("type", "text").set("text", text.as_str());
        }
        Body::Refusal(refusal) => {
            object.set("type", "refusal").set("refusal", refusal.as_str());
        }
        Body::Thought(_) => {
            object.set("type", "thinking");
        }
        Body::Media(Media { source: MediaSource::Text(_), .. }) => {
            object.set("type", "text").set("text", part.as_words().unwrap_or_default());
        }
        Body::Media(media) => match encode_media(media, from_chat) {
            Some((name, inner)) => {
                object.set("type", name);
                nested(name, inner, &mut object);
            }
            None => {
                lost.lost(format!("content.{:?}", media.kind).to_lowercase());
                return None;
            }
        },
        Body::Opaque(DIALECT, value) => return Some(value.clone()),
        Body::Opaque(..) if let Some(words) = &part.words => {
            object.set("type", "text").set("text", words.as_str());
        }
        Body::Opaque(_, value) => {
            let kind = value.get("type").and_then(Value::as_str).unwrap_or("part");
            lost.dropped_at("content", kind);
            return None;
        }
        Body::Call(_) | Body::Outcome(_) => return None,
    }
    note_cache(part.cache.is_some() && !part.extra.came_from(DIALECT), lost);
    part.extra.write(&mut object.0, DIALECT, "content", lost);
    Some(object.done())
}

/// A picture of an answer. OpenAI's own models draw elsewhere; OpenRouter's form is the one that
/// clients know.
pub(in crate::wire::openai_chat) fn picture(part: &Part) -> Option<Value> {
    let Body::Media(media @ Media { kind: MediaKind::Image, .. }) = &part.body else { return None };
    let (name, inner) = encode_media(media, false)?;
    Some(json!({"type": name, name: inner.done()}))
}

fn data_uri(mime: Option<&str>, fallback: &str, data: &str) -> String {
    format!("data:{};base64,{data}", mime.unwrap_or(fallback))
}

fn encode_media(media: &Media, from_chat: bool) -> Option<(&'static str, Builder)> {
    let mut inner = Builder::new();
    let mime = media.mime.as_deref();
    let name = match (media.kind, &media.source) {
        (MediaKind::Image, MediaSource::Url(url)) => {
            inner.set("url", url.as_str());
            "image_url"
        }
        (MediaKind::Image, MediaSource::Inline(data)) => {
            inner.set("url", data_uri(mime, "image/png", data));
            "image_url"
        }
        (MediaKind::Video, MediaSource::Url(url)) => {
            inner.set("url", url.as_str());
            "video_url"
        }
        (MediaKind::Video, MediaSource::Inline(data)) => {
            inner.set("url", data_uri(mime, "video/mp4", data));
            "video_url"
        }
        (MediaKind::Audio, MediaSource::Inline(data)) => {
            let format = match mime.unwrap_or("audio/wav") {
                "audio/mpeg" | "audio/mp3" => "mp3",
                "audio/x-wav" | "audio/wave" => "wav",
                other => other.strip_prefix("audio/").unwrap_or(other),
            };
            inner.set("data", data.as_str()).set("format", format);
            "input_audio"
        }
        (MediaKind::File, MediaSource::Inline(data)) => {
            inner.set("file_data", data_uri(mime, "application/pdf", data));
            "file"
        }
        // Not in the specification, but what the servers that fetch documents accept.
        (MediaKind::File, MediaSource::Url(url)) => {
            inner.set("file_data", url.as_str());
            "file"
        }
        (MediaKind::File, MediaSource::Id(id)) => {
            inner.set("file_id", id.as_str());
            "file"
        }
        _ => return None,
    };
    inner.maybe("filename", media.filename.as_deref());
    inner.maybe("detail", media.detail.as_deref());
    if !from_chat
        && name == "file"
        && media.filename.is_none()
        && matches!(media.source, MediaSource::Inline(_))
    {
        // OpenAI refuses inline files without a name.
        inner.set("filename", media.made_up_name());
    }
    Some((name, inner))
}

fn encode_call(part: &Part, proofs: bool, lost: &mut Losses) -> Option<Value> {
    let Body::Call(call) = &part.body else { return None };
    let (kind, payload, default) = match call.kind {
        CallKind::Function => ("function", "arguments", "{}"),
        CallKind::Custom => ("custom", "input", ""),
        CallKind::Legacy => return None,
    };
    let mut inner = Builder::new();
    inner.set("name", call.name.as_str());
    inner.set(payload, call.arguments.as_deref().unwrap_or(default));
    part.inner.write(&mut inner.0, DIALECT, "tool_calls", lost);
    let mut object = Builder::new();
    object.maybe("id", call.id.as_deref());
    object.set("type", kind);
    object.set(kind, inner.done());
    if let Some(signature) = &part.signature
        && signature.by == Dialect::Gemini
        && proofs
    {
        object.set("extra_content", json!({"google": {"thought_signature": signature.value}}));
    }
    part.extra.write(&mut object.0, DIALECT, "tool_calls", lost);
    Some(object.done())
}
