//! Counts that servers write otherwise than the dialect's maker does: the same is booked.

use serde_json::{Value, json};

use super::{chat, content, message, response, whole};
use crate::wire::vocab::{Dialect, Usage};

/// The counts as texts, and with empty fractions.
fn spelled(usage: &Value, fraction: bool) -> Value {
    match usage {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), spelled(value, fraction))).collect()
        }
        Value::Array(all) => all.iter().map(|one| spelled(one, fraction)).collect(),
        Value::Number(count) if fraction => json!(count.as_f64()),
        Value::Number(count) => json!(count.to_string()),
        other => other.clone(),
    }
}

fn answer(dialect: Dialect, usage: Value) -> Value {
    match dialect {
        Dialect::OpenAiChat => chat(usage, "default"),
        Dialect::OpenAiResponses => {
            let mut answer = response();
            answer["usage"] = usage;
            answer
        }
        Dialect::Anthropic => message(usage),
        Dialect::Gemini => content("gemini-3-flash", &[], usage),
    }
}

fn counted(dialect: Dialect, usage: Value) -> Usage {
    Usage { raw: None, ..whole(dialect, &answer(dialect, usage)) }
}

#[test]
fn a_count_is_booked_whichever_way_it_is_spelled() {
    for (dialect, usage) in [
        (
            Dialect::OpenAiChat,
            json!({"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140,
                "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 8}}),
        ),
        (
            Dialect::OpenAiChat,
            json!({"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140}),
        ),
        (
            Dialect::OpenAiResponses,
            json!({"input_tokens": 100, "output_tokens": 40, "total_tokens": 140,
                "input_tokens_details": {"cached_tokens": 60}}),
        ),
        (
            Dialect::Anthropic,
            json!({"input_tokens": 40, "output_tokens": 40, "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 5}}),
        ),
        (
            Dialect::Gemini,
            json!({"promptTokenCount": 100, "candidatesTokenCount": 30, "thoughtsTokenCount": 10,
                "totalTokenCount": 140, "cachedContentTokenCount": 60,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}]}),
        ),
    ] {
        let usual = counted(dialect, usage.clone());
        assert!(usual.prompt() >= 100 && usual.completion() == 40, "{usual:?}");
        for fraction in [false, true] {
            let odd = spelled(&usage, fraction);
            assert_eq!(counted(dialect, odd.clone()), usual, "{odd}");
        }
    }
}

#[test]
fn openais_dialects_are_understood_in_each_others_words() {
    let details = |name: &str| json!({name: 60});
    let chat = json!({"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140,
        "prompt_tokens_details": details("cached_tokens"),
        "completion_tokens_details": details("reasoning_tokens")});
    let text = chat.to_string().replace("prompt_tokens", "input_tokens");
    let responses: Value =
        serde_json::from_str(&text.replace("completion_tokens", "output_tokens")).unwrap();
    for dialect in [Dialect::OpenAiChat, Dialect::OpenAiResponses] {
        for usage in [&chat, &responses] {
            let counted = counted(dialect, usage.clone());
            let told = (counted.prompt(), counted.cached(), counted.completion(), counted.thought);
            assert_eq!(told, (100, 60, 40, 40), "{usage}");
        }
        // Some write both, one of them as nothing.
        let both = json!({"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 100, "output_tokens": 40});
        let mirrored = json!({"prompt_tokens": 100, "completion_tokens": 40, "input_tokens": 0, "output_tokens": 0});
        for usage in [both, mirrored] {
            let counted = counted(dialect, usage.clone());
            assert_eq!((counted.prompt(), counted.completion()), (100, 40), "{usage}");
        }
    }
}

#[test]
fn a_cache_in_anthropics_words_beside_openais_is_counted_once() {
    let caches = |prompt: u64, total: u64, details: Value| {
        let usage = json!({"prompt_tokens": prompt, "completion_tokens": 40, "total_tokens": total,
            "prompt_tokens_details": details,
            "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10});
        let counted = counted(Dialect::OpenAiChat, usage);
        (counted.prompt(), counted.cached(), counted.cache_writes(), counted.completion())
    };
    // Within the prompt; beside it, by the total or because it is larger; told by both.
    assert_eq!(caches(100, 140, Value::Null), (100, 60, 10, 40));
    assert_eq!(caches(100, 210, Value::Null), (170, 60, 10, 40));
    assert_eq!(caches(30, 0, Value::Null), (100, 60, 10, 40));
    assert_eq!(caches(100, 140, json!({"cached_tokens": 60})), (100, 60, 10, 40));
}

#[test]
fn what_only_geminis_total_counts_is_thought() {
    for (usage, thought, completion) in [
        (
            json!({"promptTokenCount": 100, "candidatesTokenCount": 30, "totalTokenCount": 140}),
            10,
            40,
        ),
        (json!({"promptTokenCount": 100, "totalTokenCount": 140}), 40, 40),
        (
            json!({"promptTokenCount": 100, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 30,
                "thoughtsTokenCount": 3, "totalTokenCount": 140}),
            3,
            33,
        ),
        (json!({"promptTokenCount": 100, "candidatesTokenCount": 30, "totalTokenCount": 0}), 0, 30),
        // Where no prompt is told, that is what is missing.
        (json!({"candidatesTokenCount": 30, "totalTokenCount": 130}), 0, 30),
    ] {
        let counted = counted(Dialect::Gemini, usage.clone());
        assert_eq!((counted.thought, counted.completion()), (thought, completion), "{usage}");
    }
}
