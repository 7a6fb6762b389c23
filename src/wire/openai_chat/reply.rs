//! Chat completion answers.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::message::{self, DIALECT};
use crate::wire::Heading;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::openai_usage;
use crate::wire::vocab::{
    Body, Choice, Citation, Class, ContentShape, Dialect, Finish, Losses, Malformed, Reply, Role,
    Stop, ThoughtsBack, Turn, Usage, tokens_in,
};

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let mut object = Object::parse(body)?;
    let mut reply = Reply {
        id: object.string("id")?,
        model: object.string("model")?,
        created: object.peek("created").and_then(Value::as_i64),
        ..Reply::default()
    };
    // Writer's is a string.
    if object.peek("created").is_some_and(|created| created.as_i64().is_none()) {
        object.keep_spelling("created");
    } else {
        object.take("created");
    }
    if let Some(kind) = object.string("object")?
        && kind != "chat.completion"
    {
        object.spell("object", Value::from(kind));
    }
    let choices = object.list("choices")?.ok_or_else(|| Malformed::missing("choices"))?;
    if choices.is_empty() {
        return Err(Malformed::new("the answer holds no choice"));
    }
    let within = choices.iter().find_map(|choice| choice.get("usage")).cloned();
    let sources = sources(&mut object);
    for (position, value) in choices.into_iter().enumerate() {
        let mut choice = decode_choice(value, position)?;
        let text = choice.turn.parts.iter_mut().find(|part| matches!(part.body, Body::Text(_)));
        if let Some(part) = text.filter(|part| part.citations.is_empty()) {
            part.citations.clone_from(&sources);
        }
        reply.choices.push(choice);
    }
    if let Some(usage) = object.take("usage").or(within.filter(Value::is_object)) {
        reply.usage = Some(usage_from(usage, openai_usage::class(object.peek("service_tier"))));
    }
    reply.extra = object.finish(DIALECT);
    Ok(reply)
}

/// Sources beside the choices, which the text cites by their numbers (Perplexity): with titles, or as
/// bare addresses.
pub(super) fn sources(object: &mut Object) -> Vec<Citation> {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let list = |name: &str| object.peek(name).and_then(Value::as_array).into_iter().flatten();
    let results = list("search_results").filter_map(|one| {
        let url = Some(text(one, "url")?);
        Some(Citation { url, title: text(one, "title"), ..Citation::default() })
    });
    let mut all: Vec<Citation> = results.collect();
    if all.is_empty() {
        let addresses = list("citations").filter_map(Value::as_str);
        all = addresses
            .map(|url| Citation { url: Some(url.to_owned()), ..Citation::default() })
            .collect();
    }
    for name in ["citations", "search_results"] {
        if object.has(name) {
            object.keep_spelling(name);
        }
    }
    all
}

fn decode_choice(value: Value, position: usize) -> Result<Choice, Malformed> {
    let mut object = Object::of(value, format!("choices[{position}]"))?;
    let index = object.take("index").and_then(|index| index.as_u64()).unwrap_or(position as u64);
    // Counted beside all others.
    object.keep_spelling("usage");
    let turn = match object.take("message") {
        Some(message) => message::decode_answer(message, &object.path("message"))?,
        None => Turn { shape: ContentShape::Absent, ..Turn::new(Role::Assistant, Vec::new()) },
    };
    let called = turn.parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let finish = object.string("finish_reason")?.map(|word| finish(word, called));
    Ok(Choice { index, turn, finish, extra: object.finish(DIALECT) })
}

/// What the provider's word means. That tools were called is seen from the calls, not the word.
pub(super) fn finish(word: String, called: bool) -> Finish {
    let why = match word.as_str() {
        "length" | "max_tokens" | "model_length" => Stop::Length,
        "content_filter" | "sensitive" => Stop::Filter,
        "tool_calls" | "function_call" | "tool_call" => Stop::ToolCalls,
        word if gives_up(word) => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    };
    Finish { why, word: Some((DIALECT, word)), sequence: None }
}

/// Whether a reason says that no answer came of it (OpenRouter, Z.AI, DeepSeek; vLLM and `SGLang` abort).
pub(super) fn gives_up(word: &str) -> bool {
    matches!(word, "error" | "network_error" | "insufficient_system_resource" | "abort")
}

pub(super) fn finish_word(finish: &Finish) -> &str {
    finish.word_in(DIALECT).unwrap_or(match finish.why {
        Stop::End | Stop::Sequence | Stop::Pause | Stop::Failed => "stop",
        Stop::Length => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::Filter => "content_filter",
    })
}

/// `class` is what the answer around it says of the class of service.
pub(super) fn usage_from(raw: Value, class: Class) -> Usage {
    let count = |name: &str| raw.get(name).and_then(tokens_in);
    let either = |names| openai_usage::count_of(&raw, names);
    let completion = either(["completion_tokens", "output_tokens"]).unwrap_or(0);
    let total = count("total_tokens").unwrap_or(0);
    // Many say these three and no more; every further name that is looked for costs a hash.
    if let Some(prompt) = count("prompt_tokens")
        && raw.as_object().is_some_and(|all| all.len() == 3)
        && prompt.checked_add(completion) == Some(total)
    {
        let mut usage = Usage { input: prompt, output: completion, ..Usage::default() };
        usage.more.class = class;
        usage.raw = Some((DIALECT, raw));
        return usage;
    }
    // Writer leaves a letter out.
    let names = ["prompt_tokens_details", "prompt_token_details", "input_tokens_details"];
    let details = openai_usage::details(&raw, &names);
    let read = either(["prompt_tokens", "input_tokens"]).unwrap_or(0);
    let mut prompt = openai_usage::prompt(read, details);
    if prompt.cached == 0 {
        let others = ["prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"];
        prompt.cached = others.into_iter().find_map(count).unwrap_or(0);
    }
    openai_usage::add_cache(&raw, completion, &mut prompt);
    let names = ["completion_tokens_details", "completion_token_details", "output_tokens_details"];
    let details = openai_usage::details(&raw, &names);
    let mut answer = openai_usage::answer(completion, details);
    // xAI counts reasoning beside the completion, and Mistral sounds beside the prompt, everyone
    // else within it. The total tells which.
    let beside = total.saturating_sub(prompt.total).saturating_sub(completion);
    let (thought, audio) = (answer.thought, prompt.audio);
    let apart = match beside {
        0 if total == 0 && thought > completion => thought,
        0 => 0,
        _ if beside == thought || beside == thought.saturating_add(audio) => thought,
        _ if beside == audio => 0,
        // Gemini's endpoint says of its thoughts only that they are in the total, whichever
        // details it gives.
        _ => beside,
    };
    answer.thought = thought.max(apart);
    answer.total = completion.saturating_add(apart);
    if audio > 0 && beside == audio.saturating_add(apart) {
        prompt.total = prompt.total.saturating_add(audio);
    }
    let mut usage = Usage::default();
    prompt.add_to(&mut usage);
    answer.add_to(&mut usage);
    usage.more.searches = openai_usage::searches(&raw);
    // Mistral and Anthropic's own say it within.
    usage.more.class = class.or(openai_usage::class(raw.get("service_tier")));
    usage.raw = Some((DIALECT, raw));
    usage
}

pub(super) fn usage_value(usage: &Usage) -> Value {
    if let Some(raw) = usage.raw_in(DIALECT) {
        return raw.clone();
    }
    let more = &usage.more;
    let mut prompt = Builder::new();
    prompt.set("cached_tokens", usage.cached()).set("cache_write_tokens", usage.cache_writes());
    let mut completion = Builder::new();
    completion.set("reasoning_tokens", usage.thought);
    let audio_in = more.audio_in.saturating_add(more.cache_read_audio);
    let image_in = more.image_in.saturating_add(more.cache_read_image);
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    prompt.maybe("audio_tokens", some(audio_in)).maybe("image_tokens", some(image_in));
    completion.maybe("audio_tokens", some(more.audio_out));
    completion.maybe("image_tokens", some(more.image_out));
    json!({
        "prompt_tokens": usage.prompt(),
        "completion_tokens": usage.completion(),
        "total_tokens": usage.total(),
        "prompt_tokens_details": prompt.done(),
        "completion_tokens_details": completion.done(),
    })
}

pub(super) fn encode(reply: &Reply, heading: &Heading) -> Bytes {
    let mut lost = Losses::default();
    let mut body = Builder::new();
    body.set("id", reply.id.as_deref().unwrap_or(&heading.id));
    body.set("object", "chat.completion");
    body.set("created", reply.created.unwrap_or(heading.created));
    body.set("model", reply.model.as_deref().unwrap_or(&heading.model));
    let mut choices: Vec<Value> =
        reply.choices.iter().map(|choice| encode_choice(choice, reply, &mut lost)).collect();
    if heading.functions {
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            let mut finish = choice.get("finish_reason").cloned();
            if let Some(Value::Object(message)) = choice.get_mut("message") {
                as_functions(message, finish.as_mut());
            }
            if let Some(finish) = finish {
                choice.insert("finish_reason".to_owned(), finish);
            }
        }
    }
    body.set("choices", choices);
    body.maybe("usage", reply.usage.as_ref().map(usage_value));
    reply.extra.write_quietly(&mut body.0, DIALECT);
    Bytes::from(body.done().to_string())
}

/// Calls as they were before there were tools: the first one, without an id. A model that makes several
/// makes the others again once it has the first one's result.
pub(super) fn as_functions(said: &mut Map<String, Value>, finish: Option<&mut Value>) {
    if let Some(finish) = finish.filter(|word| *word == "tool_calls") {
        *finish = Value::from("function_call");
    }
    let Some(Value::Array(calls)) = said.shift_remove("tool_calls") else { return };
    let is_first = |call: &Value| call.get("index").is_none_or(|index| index == 0);
    let mut calls = calls.into_iter().filter(is_first);
    if let Some(function) = calls.find_map(|mut call| Some(call.get_mut("function")?.take())) {
        said.insert("function_call".to_owned(), function);
    }
}

fn encode_choice(choice: &Choice, reply: &Reply, lost: &mut Losses) -> Value {
    let mut object = Builder::new();
    object.set("index", choice.index);
    let from_chat = choice.finish.as_ref().is_some_and(|finish| finish.word_in(DIALECT).is_some())
        || choice.extra.came_from(DIALECT)
        || choice.turn.extra.came_from(DIALECT)
        || reply.extra.came_from(DIALECT);
    let mut messages = Vec::new();
    if !(choice.turn.shape == ContentShape::Absent && from_chat && choice.turn.parts.is_empty()) {
        // An answer holds no results.
        let all = ThoughtsBack::All;
        message::encode(&choice.turn, from_chat, all, lost, &mut Vec::new(), &mut messages);
    }
    if let Some(mut message) = messages.pop() {
        if !from_chat && let Some(message) = message.as_object_mut() {
            message.entry("refusal").or_insert(Value::Null);
            number_calls(message, reply, choice.index);
            let drawn: Vec<Value> = choice.turn.parts.iter().filter_map(message::picture).collect();
            if !drawn.is_empty() {
                message.insert("images".to_owned(), Value::Array(drawn));
            }
        }
        object.set("message", message);
    }
    if !from_chat {
        object.set("logprobs", logprobs(choice));
    }
    match &choice.finish {
        Some(finish) => {
            object.set("finish_reason", finish_word(finish));
        }
        None if !from_chat => {
            let called = choice.turn.parts.iter().any(|part| matches!(part.body, Body::Call(_)));
            object.set("finish_reason", if called { "tool_calls" } else { "stop" });
        }
        None => {}
    }
    choice.extra.write_quietly(&mut object.0, DIALECT);
    object.done()
}

/// How likely each token was, as other dialects tell it of a whole answer.
fn logprobs(choice: &Choice) -> Value {
    let parts = choice.turn.parts.iter();
    let told = parts.filter_map(|part| part.extra.get(Dialect::OpenAiResponses, "logprobs"));
    let mut content: Vec<Value> = told.filter_map(Value::as_array).flatten().cloned().collect();
    if let Some(result) = choice.extra.get(Dialect::Gemini, "logprobsResult") {
        let list = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let token = |one: &Value| {
            let text = one.get("token").and_then(Value::as_str).unwrap_or_default();
            json!({
                "token": text,
                "logprob": one.get("logProbability").and_then(Value::as_f64).unwrap_or(0.0),
                "bytes": text.as_bytes(),
            })
        };
        let tops = list(result, "topCandidates");
        for (place, chosen) in list(result, "chosenCandidates").iter().enumerate() {
            let others = tops.get(place).map(|top| list(top, "candidates")).unwrap_or_default();
            let mut told = token(chosen);
            told["top_logprobs"] = others.iter().map(token).collect();
            content.push(told);
        }
    }
    if content.is_empty() { Value::Null } else { json!({"content": content, "refusal": null}) }
}

/// Calls that came without an id get one that no other answer has.
fn number_calls(message: &mut Map<String, Value>, reply: &Reply, choice: u64) {
    let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) else { return };
    for (index, call) in calls.iter_mut().enumerate() {
        if let Some(call) = call.as_object_mut()
            && !call.contains_key("id")
        {
            let id = made_call_id(reply.id.as_deref(), choice, index as u64);
            call.insert("id".to_owned(), Value::from(id));
        }
    }
}

/// An id for a call that its provider gave none: the same whenever the same answer is encoded.
pub(super) fn made_call_id(reply: Option<&str>, choice: u64, index: u64) -> String {
    // FNV-1a: short, stable, and nobody's security.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in reply.unwrap_or_default().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("call_{hash:016x}{choice}{index}")
}
