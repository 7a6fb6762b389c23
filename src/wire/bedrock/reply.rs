//! Converse answers.

use serde_json::Value;

use super::block;
use crate::wire::vocab::{
    Body, Choice, Extra, Finish, Malformed, Reply, Role, Shape, Stop, Turn, Usage,
};

pub(super) fn decode(body: &[u8]) -> Result<Reply, Malformed> {
    let answer: Value = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
    let content = answer
        .pointer("/output/message/content")
        .and_then(Value::as_array)
        .ok_or_else(|| Malformed::missing("output.message.content"))?;
    let parts: Vec<_> = content.iter().flat_map(block::decode).collect();
    let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
    let shape = if parts.is_empty() { Shape::Null } else { Shape::List };
    let turn = Turn { shape, ..Turn::new(Role::Assistant, parts) };
    let word = answer.get("stopReason").and_then(Value::as_str);
    Ok(Reply {
        choices: vec![Choice {
            index: 0,
            turn,
            finish: word.map(|word| finish(word, called)),
            extra: Extra::NONE,
        }],
        usage: answer.get("usage").map(usage),
        ..Reply::default()
    })
}

pub(super) fn finish(word: &str, called: bool) -> Finish {
    Finish::of(match word {
        "tool_use" => Stop::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence,
        "guardrail_intervened" | "content_filtered" => Stop::Filter,
        "malformed_model_output" | "malformed_tool_use" => Stop::Failed,
        _ if called => Stop::ToolCalls,
        _ => Stop::End,
    })
}

/// The counts are disjoint here: `totalTokens` adds them all up.
pub(super) fn usage(raw: &Value) -> Usage {
    let count = |name: &str| raw.get(name).and_then(Value::as_u64).unwrap_or(0);
    Usage {
        input: count("inputTokens"),
        cache_read: count("cacheReadInputTokens"),
        cache_write: count("cacheWriteInputTokens"),
        output: count("outputTokens"),
        ..Usage::default()
    }
}
