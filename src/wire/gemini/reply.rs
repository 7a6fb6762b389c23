//! generateContent answers.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::DIALECT;
use super::content::{self, CallNames};
use crate::wire::Heading;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::vocab::{
    Body, Choice, Citation, Extra, Finish, Losses, Malformed, More, Reply, Role, Shape, Stop, Turn,
    Usage,
};

/// The word of a choice that stands for a refused prompt, which has no candidate.
const NO_CANDIDATE: &str = "";

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let mut object = Object::parse(body)?;
    let mut reply = Reply {
        id: object.string("responseId")?,
        model: object.string("modelVersion")?,
        ..Reply::default()
    };
    let blocked = object.peek("promptFeedback").is_some_and(is_blocked);
    match object.list("candidates")? {
        Some(candidates) => {
            if candidates.is_empty() {
                object.spell("candidates", json!([]));
            }
            for (position, value) in candidates.into_iter().enumerate() {
                reply.choices.push(decode_candidate(value, position)?);
            }
        }
        None if blocked => {}
        None if object.has("usageMetadata") => {}
        None => return Err(Malformed::missing("candidates")),
    }
    if reply.choices.is_empty() && blocked {
        reply.choices.push(Choice {
            index: 0,
            turn: Turn { shape: Shape::Absent, ..Turn::new(Role::Assistant, Vec::new()) },
            finish: Some(Finish {
                why: Stop::Filter,
                word: Some((DIALECT, NO_CANDIDATE.to_owned())),
                sequence: None,
            }),
            extra: Extra::NONE,
        });
    }
    if let Some(usage) = object.take("usageMetadata") {
        reply.usage = Some(usage_from(usage));
    }
    reply.extra = object.finish(DIALECT);
    Ok(reply)
}

pub(super) fn is_blocked(feedback: &Value) -> bool {
    feedback.get("blockReason").is_some_and(|reason| !reason.is_null())
}

fn decode_candidate(value: Value, position: usize) -> Result<Choice, Malformed> {
    let mut object = Object::of(value, format!("candidates[{position}]"))?;
    let index = match object.unsigned("index")? {
        Some(index) => index,
        None => {
            object.spell("index", Value::Null);
            position as u64
        }
    };
    let turn = match object.take("content") {
        Some(content) => {
            let mut turn = content::decode(content, &object.path("content"))?;
            turn.role = Role::Assistant;
            turn
        }
        None => {
            object.spell("content", Value::Null);
            Turn { shape: Shape::Absent, ..Turn::new(Role::Assistant, Vec::new()) }
        }
    };
    let mut turn = turn;
    if let Some(part) = turn.parts.iter_mut().rev().find(|part| matches!(part.body, Body::Text(_)))
    {
        part.citations = citations(object.peek("groundingMetadata"));
    }
    let called = turn.parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let finish = take_finish(&mut object, called);
    Ok(Choice { index, turn, finish, extra: object.finish(DIALECT) })
}

/// What a candidate rests on: a page for each passage that cites it, or all that were found.
pub(super) fn citations(grounding: Option<&Value>) -> Vec<Citation> {
    let list = |name: &str| {
        grounding.and_then(|all| all.get(name)).and_then(Value::as_array).map(Vec::as_slice)
    };
    let page = |chunk: &Value, quote: Option<&str>| {
        let page = chunk.get("web").or_else(|| chunk.get("retrievedContext"))?;
        let text = |name: &str| page.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Citation {
            url: text("uri"),
            title: text("title"),
            quote: quote.map(str::to_owned),
            span: None,
        })
    };
    let chunks = list("groundingChunks").unwrap_or_default();
    let supports = list("groundingSupports").unwrap_or_default();
    if supports.is_empty() {
        return chunks.iter().filter_map(|chunk| page(chunk, None)).collect();
    }
    supports
        .iter()
        .flat_map(|support| {
            let quote = support.pointer("/segment/text").and_then(Value::as_str);
            let indices = support.get("groundingChunkIndices").and_then(Value::as_array);
            indices.into_iter().flatten().filter_map(move |index| {
                let index = usize::try_from(index.as_u64()?).ok()?;
                page(chunks.get(index)?, quote)
            })
        })
        .collect()
}

pub(super) fn grounding(citations: &[Citation]) -> Value {
    let chunks: Vec<Value> =
        citations.iter().map(|one| json!({"web": {"uri": one.url, "title": one.title}})).collect();
    let supports: Vec<Value> = citations
        .iter()
        .enumerate()
        .filter_map(|(index, one)| {
            let quote = one.quote.as_deref()?;
            Some(json!({"segment": {"text": quote}, "groundingChunkIndices": [index]}))
        })
        .collect();
    json!({"groundingChunks": chunks, "groundingSupports": supports})
}

/// Vertex writes enums as integers at times.
pub(super) fn take_finish(object: &mut Object, called: bool) -> Option<Finish> {
    let word = match object.take("finishReason")? {
        Value::String(word) => word,
        other => {
            let word = match other.as_u64() {
                Some(1) => "STOP",
                Some(2) => "MAX_TOKENS",
                Some(3) => "SAFETY",
                Some(4) => "RECITATION",
                _ => "OTHER",
            };
            object.spell("finishReason", other);
            word.to_owned()
        }
    };
    Some(finish(word, called))
}

pub(super) fn finish(word: String, called: bool) -> Finish {
    let why = match word.as_str() {
        "MAX_TOKENS" => Stop::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Stop::Filter,
        "CONTINUATION" => Stop::Pause,
        "LANGUAGE"
        | "OTHER"
        | "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE"
        | "NO_IMAGE"
        | "IMAGE_OTHER" => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    };
    Finish { why, word: Some((DIALECT, word)), sequence: None }
}

pub(super) fn finish_word(finish: &Finish) -> &str {
    finish.word_in(DIALECT).unwrap_or(match finish.why {
        Stop::End | Stop::Sequence | Stop::ToolCalls => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filter => "SAFETY",
        Stop::Pause => "CONTINUATION",
        Stop::Failed => "OTHER",
    })
}

pub(super) fn usage_from(raw: Value) -> Usage {
    let count = |name: &str| raw.get(name).and_then(Value::as_u64).unwrap_or(0);
    let prompt = count("promptTokenCount");
    let cache_read = count("cachedContentTokenCount").min(prompt);
    Usage {
        input: (prompt - cache_read).saturating_add(count("toolUsePromptTokenCount")),
        cache_read,
        cache_write: 0,
        output: count("candidatesTokenCount"),
        thought: count("thoughtsTokenCount"),
        more: More::default(),
        raw: Some((DIALECT, raw)),
    }
}

pub(super) fn usage_value(usage: &Usage) -> Value {
    if let Some(raw) = usage.raw_in(DIALECT) {
        return raw.clone();
    }
    let mut value = Builder::new();
    value.set("promptTokenCount", usage.prompt());
    value.set("candidatesTokenCount", usage.output);
    value.set("totalTokenCount", usage.total());
    if usage.thought > 0 {
        value.set("thoughtsTokenCount", usage.thought);
    }
    if usage.cache_read > 0 {
        value.set("cachedContentTokenCount", usage.cache_read);
    }
    value.done()
}

pub(super) fn usage_of(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Only {
        usage_metadata: Option<Value>,
    }
    serde_json::from_slice::<Only>(body).ok()?.usage_metadata.map(usage_from)
}

pub(super) fn encode(reply: &Reply, heading: &Heading) -> Bytes {
    let mut lost = Losses::default();
    let at_home = reply.usage.as_ref().is_some_and(|usage| usage.raw_in(DIALECT).is_some())
        || reply.extra.came_from(DIALECT)
        || reply.choices.iter().any(|choice| {
            choice.finish.as_ref().is_some_and(|finish| finish.word_in(DIALECT).is_some())
        });
    let mut body = Builder::new();
    let candidates: Vec<Value> = reply
        .choices
        .iter()
        .filter(|choice| {
            choice.finish.as_ref().and_then(|finish| finish.word_in(DIALECT)) != Some(NO_CANDIDATE)
        })
        .map(|choice| encode_candidate(choice, at_home, &mut lost))
        .collect();
    if !candidates.is_empty() || !at_home {
        body.set("candidates", candidates);
    }
    body.maybe("usageMetadata", reply.usage.as_ref().map(usage_value));
    if !at_home || reply.model.is_some() {
        body.set("modelVersion", reply.model.as_deref().unwrap_or(&heading.model));
    }
    if !at_home || reply.id.is_some() {
        body.set("responseId", reply.id.as_deref().unwrap_or(&heading.id));
    }
    reply.extra.write_quietly(&mut body.0, DIALECT);
    Bytes::from(body.done().to_string())
}

fn encode_candidate(choice: &Choice, at_home: bool, lost: &mut Losses) -> Value {
    let mut candidate = Builder::new();
    candidate.set("content", content::encode(&choice.turn, true, &mut CallNames::new(), lost));
    match &choice.finish {
        Some(finish) => {
            candidate.set("finishReason", finish_word(finish));
        }
        None if !at_home => {
            candidate.set("finishReason", "STOP");
        }
        None => {}
    }
    candidate.set("index", choice.index);
    let cited: Vec<Citation> =
        choice.turn.parts.iter().flat_map(|part| part.citations.iter().cloned()).collect();
    if !cited.is_empty() && !at_home {
        candidate.set("groundingMetadata", grounding(&cited));
    }
    choice.extra.write_quietly(&mut candidate.0, DIALECT);
    for name in ["index", "content"] {
        if candidate.0.get(name).is_some_and(Value::is_null) {
            candidate.0.shift_remove(name);
        }
    }
    candidate.done()
}
