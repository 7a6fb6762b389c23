//! Responses answers.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::item::{self, DIALECT};
use crate::wire::Heading;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::openai_usage;
use crate::wire::vocab::{
    AuxiliaryUsage, Body, Choice, Class, ContentShape, Finish, Losses, Malformed, Media, MediaKind,
    MediaSource, Part, Reply, Role, Stop, Turn, Usage, tokens_in,
};

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let mut object = Object::parse(body)?;
    if let Some(error) = object.peek("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("failed").to_owned();
        return Err(Malformed::new(message));
    }
    let mut reply = Reply {
        id: object.string("id")?,
        model: object.string("model")?,
        created: object.peek("created_at").and_then(Value::as_i64),
        ..Reply::default()
    };
    // LM Studio's is a fraction.
    if reply.created.is_some() {
        object.take("created_at");
    } else {
        object.keep_spelling("created_at");
    }
    match object.string("object")? {
        // `response.compaction`: an answer of the compacting endpoint.
        Some(kind) if kind != "response" => object.spell("object", Value::from(kind)),
        _ => {}
    }
    let status = object.string("status")?;
    let reason = object
        .peek("incomplete_details")
        .and_then(|details| details.get("reason"))
        .and_then(Value::as_str)
        .map(str::to_owned);
    let output = object.list("output")?.ok_or_else(|| Malformed::missing("output"))?;
    let mut parts = Vec::new();
    for (index, value) in output.iter().enumerate() {
        parts.extend(item::decode(value.clone(), &format!("output[{index}]"))?.parts);
    }
    let output = Value::Array(output);
    let mut around = UsageContext::of(object.peek("service_tier"), Some(&output));
    around.add_tools(object.peek("tool_usage"), object.peek("tools"));
    // Items keep their ids and states, which no other dialect has words for.
    object.spell("output", output);
    let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let finish = status.map(|status| finish(status, reason.as_deref(), called));
    if let Some(usage) = object.take("usage") {
        reply.usage = Some(usage_from(usage, around));
    }
    let shape = if parts.is_empty() { ContentShape::Null } else { ContentShape::List };
    let turn = Turn { shape, ..Turn::new(Role::Assistant, parts) };
    reply.choices.push(Choice { index: 0, turn, finish, extra: crate::wire::vocab::Extra::NONE });
    reply.extra = object.finish(DIALECT);
    Ok(reply)
}

pub(super) fn finish(status: String, reason: Option<&str>, called: bool) -> Finish {
    let why = match (status.as_str(), reason) {
        ("incomplete", Some("content_filter")) => Stop::Filter,
        ("incomplete", _) => Stop::Length,
        ("failed" | "cancelled", _) => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    };
    Finish { why, word: Some((DIALECT, status)), sequence: None }
}

/// What the rest of a response tells of its usage.
#[derive(Debug, Clone, Default)]
pub(super) struct UsageContext {
    pub class: Class,
    pub searches: u64,
    /// What the tool that draws took, which is a model of its own.
    pub drawn: Option<AuxiliaryUsage>,
}

impl UsageContext {
    pub(super) fn of(service_tier: Option<&Value>, output: Option<&Value>) -> Self {
        let items = output.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let searches = items.iter().filter(|item| is_search(item)).count() as u64;
        Self { class: openai_usage::class(service_tier), searches, drawn: None }
    }

    /// What hosted tools say of what they took (the openai SDK's `Response.tool_usage`); `tools` tell
    /// which model draws.
    fn add_tools(&mut self, usage: Option<&Value>, tools: Option<&Value>) {
        let Some(usage) = usage else { return };
        let count = |at: &str| usage.pointer(at).and_then(tokens_in).unwrap_or(0);
        self.searches = self.searches.max(count("/web_search/num_requests"));
        let Some(raw) = usage.get("image_gen") else { return };
        let drawn = openai_usage::drawn(raw).filter(|drawn| drawn.total() > 0);
        let tools = tools.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let draws = |tool: &&Value| tool.get("type").is_some_and(|kind| kind == "image_generation");
        let model = tools.iter().find(draws).and_then(|tool| tool.get("model")?.as_str());
        self.drawn = drawn.map(|usage| AuxiliaryUsage { model: model.map(str::to_owned), usage });
    }

    /// Of a response as an object.
    pub(super) fn of_response(response: &Value) -> Self {
        let mut around = Self::of(response.get("service_tier"), response.get("output"));
        around.add_tools(response.get("tool_usage"), response.get("tools"));
        around
    }
}

/// A search of the web. To open a page that was found, or to look for words in it, is a call of
/// the same kind, but is not charged for (OpenAI's guide to web search).
fn is_search(item: &Value) -> bool {
    item.get("type").and_then(Value::as_str) == Some("web_search_call")
        && item.pointer("/action/type").and_then(Value::as_str).is_none_or(|kind| kind == "search")
}

pub(super) fn usage_from(raw: Value, around: UsageContext) -> Usage {
    let either = |names| openai_usage::count_of(&raw, names).unwrap_or(0);
    let mut usage = Usage::default();
    let details = openai_usage::details(&raw, &["input_tokens_details", "prompt_tokens_details"]);
    let mut prompt = openai_usage::prompt(either(["input_tokens", "prompt_tokens"]), details);
    let names = ["output_tokens_details", "completion_tokens_details"];
    let details = openai_usage::details(&raw, &names);
    let answer = openai_usage::answer(either(["output_tokens", "completion_tokens"]), details);
    openai_usage::add_cache(&raw, answer.total, &mut prompt);
    prompt.add_to(&mut usage);
    answer.add_to(&mut usage);
    usage.more.searches = around.searches.max(openai_usage::searches(&raw));
    usage.more.class = around.class;
    usage.asides.extend(around.drawn);
    usage.raw = Some((DIALECT, raw));
    usage
}

pub(super) fn usage_value(usage: &Usage) -> Value {
    if let Some(raw) = usage.raw_in(DIALECT) {
        return raw.clone();
    }
    json!({
        "input_tokens": usage.prompt(),
        "input_tokens_details": {
            "cached_tokens": usage.cached(),
            "cache_write_tokens": usage.cache_writes(),
        },
        "output_tokens": usage.completion(),
        "output_tokens_details": {"reasoning_tokens": usage.thought},
        "total_tokens": usage.total(),
    })
}

pub(super) fn usage_of(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        usage: Option<&'a RawValue>,
        service_tier: Option<Value>,
        #[serde(borrow)]
        output: Option<&'a RawValue>,
        tool_usage: Option<Value>,
        #[serde(borrow)]
        tools: Option<&'a RawValue>,
    }
    let only: Only<'_> = serde_json::from_slice(body).ok()?;
    // Hardly any answer searched: its items need not be read.
    let searched = |output: &&RawValue| output.get().contains("\"web_search_call\"");
    let output = only.output.filter(searched);
    let output: Option<Value> = output.and_then(|output| serde_json::from_str(output.get()).ok());
    let mut around = UsageContext::of(only.service_tier.as_ref(), output.as_ref());
    if only.tool_usage.is_some() {
        let tools = only.tools.and_then(|tools| serde_json::from_str::<Value>(tools.get()).ok());
        around.add_tools(only.tool_usage.as_ref(), tools.as_ref());
    }
    serde_json::from_str(only.usage?.get()).ok().map(|raw| usage_from(raw, around))
}

/// A response around its output: the members that the SDK's type and the Open Responses schema
/// require, the request's settings repeated, and the rest.
pub(super) fn around(heading: &Heading, status: &str, output: Vec<Value>) -> Map<String, Value> {
    let mut body = Builder::new();
    body.set("id", response_id(&heading.id));
    body.set("object", "response");
    body.set("created_at", heading.created);
    body.set("completed_at", Value::Null);
    body.set("status", status);
    body.set("background", false);
    body.set("error", Value::Null).set("incomplete_details", Value::Null);
    body.set("instructions", Value::Null).set("max_output_tokens", Value::Null);
    body.set("model", heading.model.as_str());
    body.set("output", output);
    body.set("parallel_tool_calls", true).set("previous_response_id", Value::Null);
    body.set("reasoning", json!({"effort": null, "summary": null}));
    body.set("store", false).set("temperature", 1.0);
    body.set("text", json!({"format": {"type": "text"}}));
    body.set("tool_choice", "auto").set("tools", json!([]));
    body.set("top_p", 1.0).set("truncation", "disabled");
    body.set("presence_penalty", 0.0).set("frequency_penalty", 0.0).set("top_logprobs", 0);
    body.set("max_tool_calls", Value::Null).set("service_tier", "default");
    body.set("safety_identifier", Value::Null).set("prompt_cache_key", Value::Null);
    // No `usage` yet: OpenAI's document has no place for a null there, though its servers send one.
    body.set("metadata", json!({}));
    for (name, value) in &heading.echo {
        if !value.is_null() {
            body.set(name, value.clone());
        }
    }
    body.0
}

/// What is known of a response only at its end.
pub(super) fn complete(body: &mut Map<String, Value>, heading: &Heading, usage: Option<&Usage>) {
    // Not before it was begun, by whichever clock that was told.
    let now = heading.clock.now().seconds().max(heading.created);
    let done = body.get("status").is_some_and(|status| status == "completed");
    body.insert("completed_at".to_owned(), json!(done.then_some(now)));
    let usage = usage.map_or_else(|| usage_value(&Usage::default()), usage_value);
    body.insert("usage".to_owned(), usage);
}

/// Ids of answers begin with `resp_`, whoever gave them.
pub(super) fn response_id(id: &str) -> String {
    if id.starts_with("resp") { id.to_owned() } else { format!("resp_{id}") }
}

/// Status and details of how an answer ended.
pub(super) fn ended(finish: Option<&Finish>) -> (&'static str, Value) {
    match finish.map(|finish| finish.why) {
        Some(Stop::Length) => ("incomplete", json!({"reason": "max_output_tokens"})),
        Some(Stop::Filter) => ("incomplete", json!({"reason": "content_filter"})),
        _ => ("completed", Value::Null),
    }
}

pub(super) fn encode(reply: &Reply, heading: &Heading) -> Bytes {
    let choice = reply.choices.first();
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    if reply.extra.came_from(DIALECT) {
        return encode_at_home(reply, finish);
    }
    let mut heading = heading.clone();
    // The gateway's own: a chain refers to it, and not every provider's is unlike all others.
    if heading.id.is_empty() {
        heading.id = reply.id.clone().unwrap_or_default();
    }
    heading.model = reply.model.clone().unwrap_or(heading.model);
    heading.created = reply.created.unwrap_or(heading.created);
    let parts = choice.map(|choice| choice.turn.parts.as_slice()).unwrap_or_default();
    let (status, details) = ended(finish);
    let mut body = around(&heading, status, output(parts, &heading.id));
    body.insert("incomplete_details".to_owned(), details);
    complete(&mut body, &heading, reply.usage.as_ref());
    Bytes::from(Value::Object(body).to_string())
}

fn encode_at_home(reply: &Reply, finish: Option<&Finish>) -> Bytes {
    let mut body = Builder::new();
    body.maybe("id", reply.id.as_deref());
    body.set("object", "response");
    body.maybe("created_at", reply.created);
    body.maybe("model", reply.model.as_deref());
    body.maybe("status", finish.and_then(|finish| finish.word_in(DIALECT)));
    body.maybe("usage", reply.usage.as_ref().map(usage_value));
    reply.extra.write_quietly(&mut body.0, DIALECT);
    Bytes::from(body.done().to_string())
}

/// Items of output, each with an id: texts in a row are one message.
fn output(parts: &[Part], id: &str) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    let mut message: Vec<Value> = Vec::new();
    for part in parts {
        match &part.body {
            Body::Text(_) | Body::Refusal(_) => message.extend(content(part)),
            Body::Thought(_) if is_silent(part) => {}
            Body::Thought(_) | Body::Call(_) | Body::Media(_) => {
                close_message(&mut message, &mut items, id);
                items.extend(finished(part, id, items.len()));
            }
            _ => {}
        }
    }
    close_message(&mut message, &mut items, id);
    items
}

fn close_message(content: &mut Vec<Value>, items: &mut Vec<Value>, id: &str) {
    if !content.is_empty() {
        let content = std::mem::take(content);
        items.push(json!({
            "id": item_id("msg", id, items.len()),
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": content,
        }));
    }
}

pub(super) fn item_id(prefix: &str, id: &str, index: usize) -> String {
    format!("{prefix}_{}_{index}", id.trim_start_matches("resp_"))
}

/// A text or a refusal inside a message.
pub(super) fn content(part: &Part) -> Option<Value> {
    match &part.body {
        Body::Text(text) => {
            let annotations: Vec<Value> =
                part.citations.iter().map(|one| item::annotation(one, text)).collect();
            Some(
                json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}),
            )
        }
        Body::Refusal(text) => Some(json!({"type": "refusal", "refusal": text})),
        _ => None,
    }
}

/// A thought, a call or a picture as a whole item.
pub(super) fn finished(part: &Part, id: &str, index: usize) -> Option<Value> {
    match &part.body {
        Body::Thought(thought) => {
            let summary: Vec<Value> = Some(&thought.text)
                .filter(|text| !text.is_empty())
                .map(|text| json!({"type": "summary_text", "text": text}))
                .into_iter()
                .collect();
            let mut item = Builder::new();
            item.set("id", item_id("rs", id, index)).set("type", "reasoning");
            item.set("summary", summary);
            let sealed = part.signature.as_ref().filter(|signature| signature.by == DIALECT);
            item.maybe("encrypted_content", sealed.map(|sealed| sealed.value.as_str()));
            Some(item.done())
        }
        Body::Call(call) => {
            let mut lost = Losses::default();
            let mut item = item::encode_item(part, false, &mut lost)?;
            if let Some(members) = item.as_object_mut() {
                members.insert("id".to_owned(), Value::from(item_id("fc", id, index)));
                members.insert("status".to_owned(), Value::from("completed"));
                // As a stream of the same answer has it.
                if members.get("arguments").is_some_and(|text| text == "") {
                    members.insert("arguments".to_owned(), Value::from("{}"));
                }
                if call.id.as_ref().is_none_or(String::is_empty) {
                    members.insert("call_id".to_owned(), Value::from(item_id("call", id, index)));
                }
            }
            Some(item)
        }
        Body::Media(media) => picture(media, id, index),
        _ => None,
    }
}

/// A picture that another maker's model drew, as the tool of OpenAI's that draws would have it.
fn picture(media: &Media, id: &str, index: usize) -> Option<Value> {
    let (MediaKind::Image, MediaSource::Inline(data)) = (media.kind, &media.source) else {
        return None;
    };
    Some(json!({
        "id": item_id("ig", id, index),
        "type": "image_generation_call",
        "status": "completed",
        "result": data,
    }))
}

/// A thought that can neither be read nor be given back to OpenAI.
pub(super) fn is_silent(part: &Part) -> bool {
    let Body::Thought(thought) = &part.body else { return false };
    let sealed = part.signature.as_ref().is_some_and(|signature| signature.by == DIALECT);
    thought.text.is_empty() && !sealed
}
