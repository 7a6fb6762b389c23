//! Servers that follow another's dialect, and Bedrock.

use serde_json::{Value, json};

use super::{CHAT, facts, haiku, merged, opus47, said};
use crate::catalogue::Facts;
use crate::wire::vocab::Protocol;

#[test]
fn others_refuse_as_they_do() {
    let history = |id: &str| {
        json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "x"},
        ]})
    };
    let developer = json!({"messages": [{"role": "developer", "content": "d"}]});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {}}}});
    let toggle = || {
        facts(
            json!({"thinking": "toggle", "thinks_by_default": true, "thinking_off": "disabled", "forced_tool_choice": "not-while-thinking"}),
        )
    };
    let forced = json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"});
    for (model, facts, more, starts) in [
        (
            "mistral-m",
            Facts::default(),
            json!({"stream_options": {"include_usage": true}}),
            "Extra inputs are not permitted",
        ),
        (
            "mistral-m",
            Facts::default(),
            history("call_1"),
            "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
        ),
        ("mistral-m", Facts::default(), history("D681PevKs"), ""),
        (
            "deepseek-m",
            Facts::default(),
            developer.clone(),
            "Failed to deserialize the JSON body into the target type: messages[0].role: unknown variant `developer`",
        ),
        (
            "deepseek-m",
            facts(json!({"schema": "json-object"})),
            format.clone(),
            "This response_format type is unavailable now",
        ),
        ("deepseek-m", Facts::default(), format, ""),
        (
            "grok-m",
            facts(json!({"refuses": {"stop": "always"}})),
            json!({"stop": "x"}),
            "Argument not supported on this model: stop",
        ),
        (
            "grok-m",
            facts(json!({"thinking": "none"})),
            json!({"reasoning_effort": "low"}),
            "Model grok-m does not support parameter reasoningEffort.",
        ),
        (
            "glm-m",
            facts(json!({"developer_role": false})),
            developer,
            "Unsupported value: 'messages[0].role' does not support 'developer'",
        ),
        (
            "glm-m",
            facts(json!({"thinking": "always", "efforts": ["low", "high"]})),
            json!({"thinking": {"type": "disabled"}}),
            "Thinking cannot be disabled",
        ),
        (
            "qwen-m",
            toggle(),
            forced.clone(),
            "The tool_choice parameter does not support being set to required",
        ),
        ("qwen-m", toggle(), merged(forced, &json!({"enable_thinking": false})), ""),
        ("qwen-m", Facts::default(), json!({"anything": 1, "temperature": 9}), ""),
    ] {
        let said = said(model, CHAT, &facts, &more);
        assert!(
            said.starts_with(starts) && said.is_empty() == starts.is_empty(),
            "{model} {more}: {said}"
        );
    }
}

#[test]
fn converse_refuses_as_bedrock_does() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let document = |name: &str, format: &str| json!({"document": {"name": name, "format": format, "source": {"bytes": "aaaa"}}});
    let beside = |more: Value| json!({ "additionalModelRequestFields": more });
    for (facts, more, starts) in [
        (
            Facts::default(),
            user(json!([{"toolResult": {"toolUseId": "a", "content": []}}])),
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ),
        (
            Facts::default(),
            user(json!([document("a", "pdf"), document("a", "csv")])),
            "The document names in a request must be unique",
        ),
        (Facts::default(), user(json!([document("a", "pdf"), document("b", "csv")])), ""),
        (
            Facts::default(),
            user(json!([document("a", "json")])),
            "1 validation error detected: Value 'json' at",
        ),
        (
            Facts::default(),
            user(json!([document("a.pdf", "pdf")])),
            "The value at messages.0.content.0.document.name",
        ),
        (
            Facts::default(),
            user(json!([{"text": ""}])),
            "The text field in the ContentBlock object",
        ),
        (
            Facts::default(),
            json!({"inferenceConfig": {"topK": 4}}),
            "Malformed input request: #/inferenceConfig: extraneous key [topK]",
        ),
        (
            opus47(),
            beside(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
            "\"thinking.type.enabled\" is not supported",
        ),
        (
            opus47(),
            json!({"inferenceConfig": {"temperature": 0.2}}),
            "`temperature` is deprecated for this model.",
        ),
        (haiku(), beside(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})), ""),
    ] {
        let said = said("us.anthropic.claude-m-v1:0", Protocol::Bedrock, &facts, &more);
        assert!(said.starts_with(starts) && said.is_empty() == starts.is_empty(), "{more}: {said}");
    }
}
