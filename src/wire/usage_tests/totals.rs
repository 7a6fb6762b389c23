//! Whatever parts a provider reports, what it reports as totals holds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{chat, content, message, response, whole};
use crate::wire::vocab::{Dialect, tokens_in};

/// Counts that fit each other, or not at all.
fn count() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..100_u64).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!(-3)),
        1 => Just(json!("7")),
    ]
}

/// Puts a count at each of the places.
fn filled(places: &[&str], counts: &[Value]) -> Value {
    let mut usage = json!({});
    for (place, count) in places.iter().zip(counts) {
        let mut at = &mut usage;
        for name in place.split('/') {
            at = &mut at[name];
        }
        *at = count.clone();
    }
    usage
}

fn number(usage: &Value, name: &str) -> u64 {
    usage.get(name).and_then(tokens_in).unwrap_or(0)
}

const OPENAI: [&str; 16] = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details/cached_tokens",
    "prompt_tokens_details/cache_write_tokens",
    "prompt_tokens_details/audio_tokens",
    "prompt_tokens_details/image_tokens",
    "prompt_tokens_details/video_tokens",
    "prompt_tokens_details/cached_tokens_details/audio_tokens",
    "prompt_tokens_details/cached_tokens_details/image_tokens",
    "prompt_tokens_details/cache_write_tokens_details/ttl_12h_tokens",
    "completion_tokens_details/reasoning_tokens",
    "completion_tokens_details/audio_tokens",
    "completion_tokens_details/image_tokens",
    "num_sources_used",
    "server_tool_use/web_search_requests",
];

proptest! {
    #[test]
    fn chat_totals_hold(counts in proptest::collection::vec(count(), 16)) {
        let raw = filled(&OPENAI, &counts);
        let (prompt, completion) =
            (number(&raw, "prompt_tokens"), number(&raw, "completion_tokens"));
        let audio = number(&raw["prompt_tokens_details"], "audio_tokens");
        let thought = number(&raw["completion_tokens_details"], "reasoning_tokens");
        let total = number(&raw, "total_tokens");
        let usage = whole(Dialect::OpenAiChat, &chat(raw, "default"));
        // Reasoning or sounds may be counted beside.
        let apart = |count: u64, part: u64| [count, count.saturating_add(part)];
        prop_assert!(apart(prompt, audio).contains(&usage.prompt()));
        // The rest of the total is reasoning, but for what details explain.
        let rest = total.saturating_sub(prompt);
        prop_assert!(
            apart(completion, thought).contains(&usage.completion()) || usage.completion() == rest
        );
        if total == prompt.saturating_add(completion) && total > 0 {
            prop_assert_eq!((usage.prompt(), usage.completion()), (prompt, completion));
        }
    }

    #[test]
    fn response_totals_hold(counts in proptest::collection::vec(count(), 16)) {
        let places = OPENAI.map(|place| {
            place.replace("prompt_tokens", "input_tokens")
                .replace("completion_tokens", "output_tokens")
        });
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        let raw = filled(&places, &counts);
        let (prompt, completion) = (number(&raw, "input_tokens"), number(&raw, "output_tokens"));
        let mut answer = response();
        answer["usage"] = raw;
        let usage = whole(Dialect::OpenAiResponses, &answer);
        prop_assert_eq!((usage.prompt(), usage.completion()), (prompt, completion));
    }

    #[test]
    fn anthropic_totals_hold(counts in proptest::collection::vec(count(), 8)) {
        let raw = filled(&[
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens",
            "cache_creation/ephemeral_1h_input_tokens",
            "cache_creation/ephemeral_5m_input_tokens",
            "output_tokens_details/thinking_tokens",
            "server_tool_use/web_search_requests",
        ], &counts);
        let written = tokens_in(&raw["cache_creation_input_tokens"]);
        let prompt = number(&raw, "input_tokens")
            .saturating_add(number(&raw, "cache_read_input_tokens"));
        let completion = number(&raw, "output_tokens");
        let usage = whole(Dialect::Anthropic, &message(raw));
        if let Some(written) = written {
            prop_assert_eq!(usage.prompt(), prompt.saturating_add(written));
        }
        prop_assert_eq!(usage.completion(), completion);
    }

    #[test]
    fn gemini_totals_hold(
        counts in proptest::collection::vec(count(), 5),
        media in proptest::collection::vec(count(), 12),
    ) {
        let mut raw = filled(&[
            "promptTokenCount",
            "cachedContentTokenCount",
            "candidatesTokenCount",
            "thoughtsTokenCount",
            "toolUsePromptTokenCount",
        ], &counts);
        let groups = ["promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails",
            "toolUsePromptTokensDetails"];
        for (group, counts) in groups.into_iter().zip(media.chunks(3)) {
            raw[group] = ["AUDIO", "IMAGE", "VIDEO"].iter().zip(counts)
                .map(|(medium, count)| json!({"modality": medium, "tokenCount": count})).collect();
        }
        let prompt = number(&raw, "promptTokenCount")
            .saturating_add(number(&raw, "toolUsePromptTokenCount"));
        let completion = number(&raw, "candidatesTokenCount")
            .saturating_add(number(&raw, "thoughtsTokenCount"));
        let usage = whole(Dialect::Gemini, &content("gemini-3-flash", &[], raw));
        prop_assert_eq!((usage.prompt(), usage.completion()), (prompt, completion));
    }
}
