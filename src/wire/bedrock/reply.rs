//! Converse answers.

use serde_json::Value;

use super::block;
use crate::wire::vocab::{
    Body, Choice, Class, ContentShape, Extra, Finish, Malformed, PromptCount, Reply, Role, Stop,
    Turn, Usage, tokens_in,
};

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let answer: Value = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let content = answer
        .pointer("/output/message/content")
        .and_then(Value::as_array)
        .ok_or_else(|| Malformed::missing("output.message.content"))?;
    let parts: Vec<_> = content.iter().flat_map(block::decode).collect();
    let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let shape = if parts.is_empty() { ContentShape::Null } else { ContentShape::List };
    let turn = Turn { shape, ..Turn::new(Role::Assistant, parts) };
    let word = answer.get("stopReason").and_then(Value::as_str);
    Ok(Reply {
        choices: vec![Choice {
            index: 0,
            turn,
            finish: word.map(|word| finish(word, called, &answer)),
            extra: Extra::NONE,
        }],
        usage: usage(&answer),
        ..Reply::default()
    })
}

/// `around` is what holds the reason, with what else was asked for.
pub(super) fn finish(word: &str, called: bool, around: &Value) -> Finish {
    let sequence = around.pointer("/additionalModelResponseFields/stop_sequence");
    let finish = Finish::of(match word {
        "tool_use" => Stop::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence,
        "guardrail_intervened" | "content_filtered" => Stop::Filter,
        "malformed_model_output" | "malformed_tool_use" => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    });
    Finish { sequence: sequence.and_then(Value::as_str).map(str::to_owned), ..finish }
}

/// The counts are disjoint here: `totalTokens` adds them all up. `answer` is what holds the usage.
pub(super) fn usage(answer: &Value) -> Option<Usage> {
    let raw = answer.get("usage")?;
    let count = |names: [&str; 2]| {
        names.into_iter().find_map(|name| raw.get(name).and_then(tokens_in)).unwrap_or(0)
    };
    let details = raw.get("cacheDetails").and_then(Value::as_array);
    let hours = details
        .into_iter()
        .flatten()
        .filter(|one| one.get("ttl").and_then(Value::as_str) == Some("1h"));
    let fresh = count(["inputTokens"; 2]);
    let cached = count(["cacheReadInputTokens", "cacheReadInputTokenCount"]);
    let written = count(["cacheWriteInputTokens", "cacheWriteInputTokenCount"]);
    let mut usage = Usage::default();
    PromptCount {
        total: fresh.saturating_add(cached).saturating_add(written),
        cached,
        written,
        written_long: hours
            .filter_map(|one| one.get("inputTokens").and_then(tokens_in))
            .fold(0, u64::saturating_add),
        ..PromptCount::default()
    }
    .add_to(&mut usage);
    usage.output = count(["outputTokens"; 2]);
    let tier = answer.pointer("/serviceTier/type").and_then(Value::as_str);
    usage.more.class = tier.map(Class::of_word).unwrap_or_default();
    Some(usage)
}
