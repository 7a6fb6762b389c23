//! What OpenAI's surfaces say of tokens: totals and their details, which bear the same names in
//! chat, responses, realtime and pictures. Source: the openai SDK's types and the recordings.

use serde_json::Value;

use crate::wire::vocab::{AnswerCount, Class, PromptCount, Usage, tokens_in};

fn number(details: &Value, name: &str) -> Option<u64> {
    details.get(name).and_then(tokens_in)
}

/// The first of the names under which there is a count: what OpenAI calls `prompt_tokens` in chat it
/// calls `input_tokens` in Responses, and servers take the one for the other, or write both, one of them
/// as nothing.
pub(in crate::wire) fn count_of(usage: &Value, names: [&str; 2]) -> Option<u64> {
    let told = names.map(|name| number(usage, name));
    told.into_iter().flatten().find(|count| *count > 0).or(told[0]).or(told[1])
}

/// Counts of a cache in Anthropic's words, which proxies in front of Claude leave beside OpenAI's.
/// They are within the prompt, unless it is too small for that or the total says otherwise.
pub(in crate::wire) fn add_cache(usage: &Value, answer: u64, prompt: &mut PromptCount) {
    let count = |name: &str| number(usage, name).unwrap_or(0);
    let (cached, written) =
        (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let all = cached.saturating_add(written);
    if all == 0 {
        return;
    }
    // Where OpenAI's own details tell of the cache, the prompt is counted as they count it.
    let told = prompt.cached > 0 || prompt.written > 0;
    let with = prompt.total.saturating_add(all);
    let beside = all > prompt.total || count("total_tokens") == with.saturating_add(answer);
    if !told && beside {
        prompt.total = with;
    }
    if prompt.cached == 0 {
        prompt.cached = cached;
    }
    if prompt.written == 0 {
        prompt.written = written;
    }
}

/// The details of a total, under the first of the names that is an object.
pub(in crate::wire) fn details<'a>(usage: &'a Value, names: &[&str]) -> &'a Value {
    let found = names.iter().filter_map(|name| usage.get(*name));
    found.into_iter().find(|details| details.is_object()).unwrap_or(&Value::Null)
}

pub(in crate::wire) fn prompt(total: u64, details: &Value) -> PromptCount {
    let count = |name: &str| number(details, name).unwrap_or(0);
    let within = |group: &str, name: &str| {
        details.get(group).and_then(|inner| number(inner, name)).unwrap_or(0)
    };
    PromptCount {
        total,
        cached: count("cached_tokens"),
        cached_audio: within("cached_tokens_details", "audio_tokens"),
        cached_image: within("cached_tokens_details", "image_tokens"),
        cached_video: 0,
        written: count("cache_write_tokens"),
        // The usual lifetime is 30 minutes.
        written_long: within("cache_write_tokens_details", "ttl_12h_tokens"),
        audio: count("audio_tokens"),
        image: count("image_tokens"),
        // OpenRouter's.
        video: count("video_tokens"),
    }
}

pub(in crate::wire) fn answer(total: u64, details: &Value) -> AnswerCount {
    let count = |name: &str| number(details, name).unwrap_or(0);
    AnswerCount {
        total,
        thought: count("reasoning_tokens"),
        audio: count("audio_tokens"),
        image: count("image_tokens"),
    }
}

/// What a model took that draws. All that it writes is a picture, unless it says otherwise.
pub(in crate::wire) fn drawn(usage: &Value) -> Option<Usage> {
    let input = number(usage, "input_tokens")?;
    let mut counted = Usage::default();
    prompt(input, details(usage, &["input_tokens_details"])).add_to(&mut counted);
    let details = details(usage, &["output_tokens_details"]);
    let mut written = answer(number(usage, "output_tokens").unwrap_or(0), details);
    if details.is_null() {
        written.image = written.total;
    }
    written.add_to(&mut counted);
    Some(counted)
}

/// The class of service that an answer names. `fast` is another word for `priority` here.
pub(in crate::wire) fn class(word: Option<&Value>) -> Class {
    match word.and_then(Value::as_str).map(Class::of_word) {
        Some(Class::Fast) => Class::Priority,
        class => class.unwrap_or_default(),
    }
}

/// Searches that the provider ran itself, as OpenRouter, xAI and Perplexity count them.
pub(in crate::wire) fn searches(usage: &Value) -> u64 {
    let count = |name: &str| number(usage, name).unwrap_or(0);
    let within = |group: &str, name: &str| {
        usage.get(group).and_then(|inner| number(inner, name)).unwrap_or(0)
    };
    let tools = "server_side_tool_usage_details";
    within("server_tool_use", "web_search_requests")
        .max(within("server_tool_use_details", "web_search_requests"))
        .max(within(tools, "web_search_calls").saturating_add(within(tools, "x_search_calls")))
        .max(count("num_sources_used"))
        .max(count("num_search_queries"))
}
