//! Tools that take free text.

use serde_json::{Value, json};

use super::*;

/// A custom tool, a call of it in the history, and the wish to have it called, in either dialect.
fn with_free_text(from: Dialect) -> Value {
    let format = json!({"type": "grammar", "syntax": "lark", "definition": "start: /.+/"});
    match from {
        Dialect::OpenAiChat => json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": "a \"b\"\n"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "done"},
            ],
            "tools": [{"type": "custom", "custom": {"name": "patch", "description": "Edits.", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}}}}],
            "tool_choice": {"type": "custom", "custom": {"name": "patch"}},
        }),
        _ => json!({
            "model": "m",
            "input": [
                {"role": "user", "content": "go"},
                {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "a \"b\"\n"},
                {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
            ],
            "tools": [{"type": "custom", "name": "patch", "description": "Edits.", "format": format}],
            "tool_choice": {"type": "custom", "name": "patch"},
        }),
    }
}

#[test]
fn tools_that_take_free_text_are_functions_where_no_others_are_known() {
    let usual = facts("");
    for from in [Dialect::OpenAiChat, Dialect::OpenAiResponses] {
        let body = with_free_text(from);
        for to in [ANTHROPIC, GEMINI, CHAT, Protocol::Bedrock] {
            if to == Protocol::Dialect(from) {
                continue;
            }
            let (sent, named) = sent(from, &body, to, &usual);
            let text = sent.to_string();
            assert!(!text.contains("custom"), "{from:?} {to:?}: {text}");
            assert!(text.contains("Edits.") && text.contains("start: /.+/"), "{text}");
            assert!(text.contains("done"), "{text}");
            let input = json!({"input": "a \"b\"\n"});
            let spelled = Value::from(input.to_string()).to_string();
            assert!(text.contains(&input.to_string()) || text.contains(&spelled), "{text}");
            assert!(named.iter().any(|field| field == "tools.format"), "{named:?}");
            let chosen = ["tool_choice", "toolConfig"].iter().find_map(|key| sent.get(key));
            assert!(chosen.is_some_and(|chosen| chosen.to_string().contains("patch")), "{text}");
        }
        // Whoever knows them gets them as they are.
        let knows = facts("custom_tools = true");
        for to in [RESPONSES, CHAT] {
            let (sent, _) = sent(from, &body, to, &knows);
            assert_eq!(sent["tools"][0]["type"], "custom", "{sent}");
        }
    }
}
