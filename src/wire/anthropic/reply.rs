//! Messages answers.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::block::{self, DIALECT};
use crate::wire::Heading;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::vocab::{
    AnswerCount, AuxiliaryUsage, Body, Choice, Class, ContentShape, Extra, Finish, Losses,
    Malformed, Media, MediaKind, MediaSource, Part, PromptCount, Reply, Role, Stop, Turn, Usage,
    tokens_in,
};

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let mut object = Object::parse(body)?;
    object.take("type");
    object.take("role");
    let mut reply =
        Reply { id: object.string("id")?, model: object.string("model")?, ..Reply::default() };
    if object.peek("content").is_none() {
        return Err(Malformed::missing("content"));
    }
    let (shape, parts) = block::decode_content(object.take("content"), "content")?;
    let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let sequence = object.string("stop_sequence")?;
    let finish = object.string("stop_reason")?.map(|word| finish(word, sequence, called));
    if let Some(usage) = object.take("usage") {
        reply.usage = Some(usage_from(usage));
    }
    let turn = Turn { shape, ..Turn::new(Role::Assistant, parts) };
    reply.choices.push(Choice { index: 0, turn, finish, extra: Extra::NONE });
    reply.extra = object.finish(DIALECT);
    Ok(reply)
}

pub(super) fn finish(word: String, sequence: Option<String>, called: bool) -> Finish {
    let why = match word.as_str() {
        "stop_sequence" => Stop::Sequence,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolCalls,
        "refusal" => Stop::Filter,
        "pause_turn" => Stop::Pause,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    };
    Finish { why, word: Some((DIALECT, word)), sequence }
}

pub(super) fn finish_word(finish: &Finish) -> &str {
    finish.word_in(DIALECT).unwrap_or(match finish.why {
        Stop::End | Stop::Failed => "end_turn",
        Stop::Sequence => {
            if finish.sequence.is_some() {
                "stop_sequence"
            } else {
                "end_turn"
            }
        }
        Stop::Length => "max_tokens",
        Stop::ToolCalls => "tool_use",
        Stop::Filter => "refusal",
        Stop::Pause => "pause_turn",
    })
}

/// Adds one object's counts, which are disjoint here but for what was written for an hour.
fn count(raw: &Value, usage: &mut Usage) {
    let number = |value: &Value, name: &str| value.get(name).and_then(tokens_in);
    let count = |name: &str| number(raw, name).unwrap_or(0);
    let within = |group: &str, name: &str| raw.get(group).and_then(|inner| number(inner, name));
    let hour = within("cache_creation", "ephemeral_1h_input_tokens").unwrap_or(0);
    let minutes = within("cache_creation", "ephemeral_5m_input_tokens").unwrap_or(0);
    let (fresh, cached) = (count("input_tokens"), count("cache_read_input_tokens"));
    let written =
        number(raw, "cache_creation_input_tokens").unwrap_or_else(|| hour.saturating_add(minutes));
    PromptCount {
        total: fresh.saturating_add(cached).saturating_add(written),
        cached,
        written,
        written_long: hour,
        ..PromptCount::default()
    }
    .add_to(usage);
    AnswerCount {
        total: count("output_tokens"),
        thought: within("output_tokens_details", "thinking_tokens").unwrap_or(0),
        ..AnswerCount::default()
    }
    .add_to(usage);
}

pub(super) fn usage_from(raw: Value) -> Usage {
    let mut usage = Usage::default();
    count(&raw, &mut usage);
    // What it took to compact the context is charged, and in none of the counts above (the
    // anthropic SDK's `BetaIterationsUsage`).
    let iterations = raw.get("iterations").and_then(Value::as_array);
    for one in iterations.into_iter().flatten() {
        match one.get("type").and_then(Value::as_str) {
            Some("compaction") => count(one, &mut usage),
            // Nor is what another model was asked for: the advisor, at its own rates (Anthropic's
            // page on the advisor tool).
            Some("advisor_message") => {
                let model = one.get("model").and_then(Value::as_str).map(str::to_owned);
                let known = usage.asides.iter().position(|aside| aside.model == model);
                let mut aside = match known {
                    Some(place) => usage.asides.swap_remove(place),
                    None => AuxiliaryUsage { model, ..AuxiliaryUsage::default() },
                };
                count(one, &mut aside.usage);
                usage.asides.push(aside);
            }
            _ => {}
        }
    }
    let word = |name: &str| raw.get(name).and_then(Value::as_str);
    let class = |name: &str| word(name).map(Class::of_word).unwrap_or_default();
    let searches = raw.pointer("/server_tool_use/web_search_requests").and_then(tokens_in);
    usage.more.searches = searches.unwrap_or(0);
    usage.more.class = class("speed").or(class("service_tier"));
    usage.more.regional = word("inference_geo") == Some("us");
    usage.raw = Some((DIALECT, raw));
    usage
}

pub(super) fn usage_value(usage: &Usage) -> Value {
    if let Some(raw) = usage.raw_in(DIALECT) {
        return raw.clone();
    }
    let (cached, written) = (usage.cached(), usage.cache_writes());
    let fresh = usage.prompt().saturating_sub(cached).saturating_sub(written);
    let mut value = Builder::new();
    value.set("input_tokens", fresh);
    value.set("cache_creation_input_tokens", written);
    value.set("cache_read_input_tokens", cached);
    if usage.more.cache_write_long > 0 {
        let lifetimes = json!({
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.more.cache_write_long,
        });
        value.set("cache_creation", lifetimes);
    }
    value.set("output_tokens", usage.completion());
    if usage.thought > 0 {
        value.set("output_tokens_details", json!({ "thinking_tokens": usage.thought }));
    }
    if usage.more.searches > 0 {
        value.set("server_tool_use", json!({ "web_search_requests": usage.more.searches }));
    }
    value.done()
}

pub(super) fn usage_of(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Only {
        usage: Option<Value>,
    }
    serde_json::from_slice::<Only>(body).ok()?.usage.map(usage_from)
}

/// An id for a call whose provider gave none. Anthropic's are of letters, digits, `_` and `-`.
pub(super) fn call_id(known: Option<&str>, reply: &str, index: u64) -> String {
    if let Some(id) = known.filter(|id| !id.is_empty()) {
        return id.to_owned();
    }
    let bare = reply.trim_start_matches("msg_");
    let bare: String = bare.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("toolu_{bare}_{index}")
}

/// A picture in words, since answers of this dialect have no pictures.
pub(super) fn picture(part: &Part) -> Option<String> {
    let Body::Media(media @ Media { kind: MediaKind::Image, .. }) = &part.body else { return None };
    match &media.source {
        MediaSource::Inline(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            Some(format!("![image](data:{mime};base64,{data})"))
        }
        MediaSource::Url(url) => Some(format!("![image]({url})")),
        MediaSource::Id(_) | MediaSource::Text(_) => None,
    }
}

/// Whether a part says nothing: a text without words, a thought that can neither be read nor be
/// proven to Anthropic.
pub(super) fn is_silent(part: &Part) -> bool {
    match &part.body {
        Body::Text(text) | Body::Refusal(text) => text.is_empty() && part.citations.is_empty(),
        Body::Thought(thought) => {
            let signed = part.signature.as_ref().is_some_and(|signature| signature.by == DIALECT);
            !signed && (thought.redacted || thought.text.is_empty())
        }
        _ => false,
    }
}

/// A part of another maker's answer. A thought that nobody signed (`DeepSeek`'s) is shown all the
/// same: it is only in a request that Anthropic would refuse it.
fn encode_part(part: &Part, reply: &str, index: u64, lost: &mut Losses) -> Option<Value> {
    if is_silent(part) {
        return None;
    }
    match &part.body {
        Body::Thought(thought) if !thought.redacted => {
            let signature = part.signature.as_ref().filter(|signature| signature.by == DIALECT);
            Some(json!({
                "type": "thinking",
                "thinking": thought.text,
                "signature": signature.map_or("", |signature| signature.value.as_str()),
            }))
        }
        Body::Call(call) => {
            let mut block = block::encode(part, false, lost)?;
            if let Some(block) = block.as_object_mut() {
                let id = call_id(call.id.as_deref(), reply, index);
                block.insert("id".to_owned(), Value::from(id));
            }
            Some(block)
        }
        Body::Media(_) => Some(json!({"type": "text", "text": picture(part)?})),
        _ => block::encode(part, false, lost),
    }
}

pub(super) fn encode(reply: &Reply, heading: &Heading) -> Bytes {
    let mut lost = Losses::default();
    let choice = reply.choices.first();
    let at_home = reply.extra.came_from(DIALECT)
        || choice
            .and_then(|choice| choice.finish.as_ref())
            .is_some_and(|finish| finish.word_in(DIALECT).is_some());
    let mut body = Builder::new();
    let id = reply.id.as_deref().unwrap_or(&heading.id);
    body.set("id", id);
    body.set("type", "message").set("role", "assistant");
    body.set("model", reply.model.as_deref().unwrap_or(&heading.model));
    let parts = choice.map(|choice| choice.turn.parts.as_slice()).unwrap_or_default();
    let blocks: Vec<Value> = (0..)
        .zip(parts)
        .filter_map(|(index, part)| {
            if at_home {
                block::encode(part, true, &mut lost)
            } else {
                encode_part(part, id, index, &mut lost)
            }
        })
        .collect();
    if choice.is_some_and(|choice| choice.turn.shape == ContentShape::Text) && at_home {
        body.set(
            "content",
            choice.and_then(|choice| choice.turn.texts().next()).unwrap_or_default(),
        );
    } else {
        body.set("content", blocks);
    }
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    let word = finish.map(finish_word);
    let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let usual = if called { "tool_use" } else { "end_turn" };
    body.set("stop_reason", word.or((!at_home).then_some(usual)));
    body.set("stop_sequence", finish.and_then(|finish| finish.sequence.as_deref()));
    match &reply.usage {
        Some(usage) => {
            body.set("usage", usage_value(usage));
        }
        None if !at_home => {
            body.set("usage", json!({"input_tokens": 0, "output_tokens": 0}));
        }
        None => {}
    }
    reply.extra.write_quietly(&mut body.0, DIALECT);
    Bytes::from(body.done().to_string())
}
