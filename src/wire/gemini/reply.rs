//! generateContent answers.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::content::{self, CallNames, DIALECT};
use crate::wire::Heading;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::vocab::{
    AnswerCount, Body, Choice, Citation, Class, ContentShape, Extra, Finish, Losses, Malformed,
    Part, PromptCount, Reply, Role, Stop, Turn, Usage, tokens_in,
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
    let searches = searches(object.peek("candidates"), reply.model.as_deref());
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
            turn: Turn { shape: ContentShape::Absent, ..Turn::new(Role::Assistant, Vec::new()) },
            finish: Some(Finish {
                why: Stop::Filter,
                word: Some((DIALECT, NO_CANDIDATE.to_owned())),
                sequence: None,
            }),
            extra: Extra::NONE,
        });
    }
    if let Some(usage) = object.take("usageMetadata") {
        reply.usage = Some(usage_from(usage, searches));
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
            Turn { shape: ContentShape::Absent, ..Turn::new(Role::Assistant, Vec::new()) }
        }
    };
    let mut turn = turn;
    // The last text may be an empty one, which only holds a proof.
    let says = |part: &Part| matches!(&part.body, Body::Text(text) if !text.is_empty());
    if let Some(part) = turn.parts.iter_mut().rev().find(|part| says(part)) {
        part.citations = sources(&object);
    }
    let called = turn.parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let finish = take_finish(&mut object, called);
    Ok(Choice { index, turn, finish, extra: object.finish(DIALECT) })
}

/// What a candidate rests on, by either of its members.
pub(super) fn sources(candidate: &Object) -> Vec<Citation> {
    let mut all = citations(candidate.peek("groundingMetadata"));
    all.extend(recited(candidate.peek("citationMetadata")));
    all
}

/// What the answer repeats of its training, by its address. Vertex calls the list by another name.
fn recited(metadata: Option<&Value>) -> impl Iterator<Item = Citation> {
    let list = metadata.and_then(|all| all.get("citationSources").or_else(|| all.get("citations")));
    list.and_then(Value::as_array).into_iter().flatten().filter_map(|one| {
        let text = |name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Citation { url: Some(text("uri")?), title: text("title"), ..Citation::default() })
    })
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
        word if gives_up(word) => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    };
    Finish { why, word: Some((DIALECT, word)), sequence: None }
}

/// Whether a reason says that no answer came of it.
pub(super) fn gives_up(word: &str) -> bool {
    let words = [
        "LANGUAGE",
        "OTHER",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "NO_IMAGE",
        "IMAGE_OTHER",
    ];
    words.contains(&word)
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

/// A count's tokens of one medium; Vertex writes enums as integers at times.
fn of_medium(raw: &Value, details: &str, word: &str, number: u64) -> u64 {
    let list = raw.get(details).and_then(Value::as_array);
    let entries = list.into_iter().flatten().filter(|one| match one.get("modality") {
        Some(Value::String(medium)) => medium == word,
        medium => medium.and_then(Value::as_u64) == Some(number),
    });
    entries.filter_map(|one| one.get("tokenCount").and_then(tokens_in)).fold(0, u64::saturating_add)
}

/// Searches that are charged for: up to Gemini 2.5 all queries of a prompt are one,
/// from Gemini 3 on each that differs is. Empty ones do not count. Source: Google's page on grounding
/// with its search.
pub(super) fn searches(candidates: Option<&Value>, model: Option<&str>) -> u64 {
    let all = candidates.and_then(Value::as_array);
    let mut queries: Vec<&str> = all
        .into_iter()
        .flatten()
        .filter_map(|one| one.pointer("/groundingMetadata/webSearchQueries")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .filter(|query| !query.is_empty())
        .collect();
    queries.sort_unstable();
    queries.dedup();
    let old = ["gemini-1", "gemini-2"];
    let by_prompt = model.is_some_and(|model| old.iter().any(|family| model.starts_with(family)));
    let count = queries.len() as u64;
    if by_prompt { count.min(1) } else { count }
}

/// `searches` are told by the candidates.
pub(in crate::wire) fn usage_from(raw: Value, searches: u64) -> Usage {
    let count = |name: &str| raw.get(name).and_then(tokens_in).unwrap_or(0);
    let image = |details: &str| of_medium(&raw, details, "IMAGE", 2);
    let video = |details: &str| of_medium(&raw, details, "VIDEO", 3);
    let audio = |details: &str| of_medium(&raw, details, "AUDIO", 4);
    // Of embeddings the reference spells it so.
    let singular = raw.get("promptTokenDetails").is_some();
    let prompt = if singular { "promptTokenDetails" } else { "promptTokensDetails" };
    let cached = "cacheTokensDetails";
    let (tools, answer) = ("toolUsePromptTokensDetails", "candidatesTokensDetails");
    let mut usage = Usage::default();
    // Tokens that are in the total alone are the prompt's where no prompt is counted, else thoughts: some
    // endpoints count those in the total alone.
    let told = [
        "promptTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
    ]
    .map(count)
    .into_iter()
    .fold(0, u64::saturating_add);
    let untold = count("totalTokenCount").saturating_sub(told);
    let (prompt_untold, thought_untold) = match count("promptTokenCount") {
        0 => (untold, 0),
        _ => (0, untold),
    };
    PromptCount {
        total: count("promptTokenCount").saturating_add(prompt_untold),
        cached: count("cachedContentTokenCount"),
        cached_audio: audio(cached),
        cached_image: image(cached),
        cached_video: video(cached),
        audio: audio(prompt),
        image: image(prompt),
        video: video(prompt),
        ..PromptCount::default()
    }
    .add_to(&mut usage);
    // What tools brought is read beside the prompt.
    PromptCount {
        total: count("toolUsePromptTokenCount"),
        audio: audio(tools),
        image: image(tools),
        video: video(tools),
        ..PromptCount::default()
    }
    .add_to(&mut usage);
    AnswerCount {
        total: count("candidatesTokenCount"),
        audio: audio(answer),
        image: image(answer),
        thought: 0,
    }
    .add_to(&mut usage);
    usage.thought = count("thoughtsTokenCount").saturating_add(thought_untold);
    let class =
        |name: &str| raw.get(name).and_then(Value::as_str).map(Class::of_word).unwrap_or_default();
    usage.more.searches = searches;
    usage.more.class = class("serviceTier").or(class("trafficType"));
    usage.raw = Some((DIALECT, raw));
    usage
}

/// A total by medium, if it is not all text.
fn by_medium(total: u64, media: [(&str, u64); 3]) -> Option<Value> {
    let others = media.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
    let text = ("TEXT", total.saturating_sub(others));
    let entry = |(medium, count): &(&str, u64)| json!({"modality": medium, "tokenCount": count});
    let said = std::iter::once(text).chain(media).filter(|(_, count)| *count > 0);
    (others > 0).then(|| said.map(|one| entry(&one)).collect())
}

pub(super) fn usage_value(usage: &Usage) -> Value {
    if let Some(raw) = usage.raw_in(DIALECT) {
        return raw.clone();
    }
    let more = &usage.more;
    let answer = usage.output.saturating_add(more.completion());
    let mut value = Builder::new();
    value.set("promptTokenCount", usage.prompt());
    value.set("candidatesTokenCount", answer);
    value.set("totalTokenCount", usage.total());
    if usage.thought > 0 {
        value.set("thoughtsTokenCount", usage.thought);
    }
    if usage.cached() > 0 {
        value.set("cachedContentTokenCount", usage.cached());
    }
    let (audio, image) = (more.cache_read_audio, more.cache_read_image);
    let cached = [("AUDIO", audio), ("IMAGE", image), ("VIDEO", 0)];
    let prompt = [
        ("AUDIO", more.audio_in.saturating_add(audio)),
        ("IMAGE", more.image_in.saturating_add(image)),
        ("VIDEO", more.video_in),
    ];
    let written = [("AUDIO", more.audio_out), ("IMAGE", more.image_out), ("VIDEO", 0)];
    value.maybe("promptTokensDetails", by_medium(usage.prompt(), prompt));
    value.maybe("cacheTokensDetails", by_medium(usage.cached(), cached));
    value.maybe("candidatesTokensDetails", by_medium(answer, written));
    value.done()
}

pub(super) fn usage_of(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Only<'a> {
        usage_metadata: Option<Value>,
        model_version: Option<Value>,
        #[serde(borrow)]
        candidates: Option<&'a RawValue>,
    }
    let only: Only<'_> = serde_json::from_slice(body).ok()?;
    // Hardly any answer searched: the others' candidates, pictures maybe, need not be read.
    let searched = |all: &&RawValue| all.get().contains("\"webSearchQueries\"");
    let candidates = only.candidates.filter(searched);
    let candidates: Option<Value> = candidates.and_then(|all| serde_json::from_str(all.get()).ok());
    let model = only.model_version.as_ref().and_then(Value::as_str);
    let searches = searches(candidates.as_ref(), model);
    only.usage_metadata.map(|raw| usage_from(raw, searches))
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
    let content = if at_home {
        content::encode(&choice.turn, true, &mut CallNames::new(), lost)
    } else {
        content::answered(&choice.turn)
    };
    candidate.set("content", content);
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
