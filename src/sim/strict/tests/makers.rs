//! Models of OpenAI, Anthropic and Google at their makers.

use serde_json::{Value, json};

use super::{CHAT, CLAUDE, GEMINI, RESPONSES, facts, gpt5, haiku, opus47, said, terra};
use crate::catalogue::Facts;

#[test]
fn openai_models_refuse_as_openai_does() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let flat = json!({"type": "function", "name": "f"});
    for (facts, protocol, more, starts) in [
        (
            gpt5(),
            CHAT,
            json!({"temperature": 0.2}),
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
        ),
        (gpt5(), CHAT, json!({"temperature": 1}), ""),
        (
            gpt5(),
            RESPONSES,
            json!({"temperature": 0.2}),
            "Unsupported parameter: 'temperature' is not supported with this model.",
        ),
        (gpt5(), CHAT, json!({"stop": ["x"]}), "Unsupported parameter: 'stop'"),
        (gpt5(), CHAT, json!({"stop": []}), ""),
        (
            gpt5(),
            CHAT,
            json!({"max_tokens": 9}),
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (gpt5(), CHAT, json!({"max_completion_tokens": 9}), ""),
        (
            gpt5(),
            CHAT,
            json!({"reasoning_effort": "xhigh"}),
            "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
        ),
        (terra(), CHAT, json!({"temperature": 0.2}), "Unsupported value: 'temperature'"),
        (terra(), CHAT, json!({"temperature": 0.2, "reasoning_effort": "none"}), ""),
        (
            terra(),
            CHAT,
            json!({"tools": [tool("f")]}),
            "Function tools with reasoning_effort are not supported for gpt-m in /v1/chat/completions. Please use /v1/responses instead.",
        ),
        (terra(), CHAT, json!({"tools": [tool("f")], "reasoning_effort": "none"}), ""),
        (terra(), RESPONSES, json!({"tools": [flat]}), ""),
        (
            facts(json!({"dialects_only": ["openai-responses"]})),
            CHAT,
            json!({}),
            "This model is only supported in v1/responses",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"tools": [tool(&"x".repeat(90))]}),
            "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string with length 90 instead.",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"tools": [tool("a.b")]}),
            "Invalid 'tools[0].function.name': string does not match pattern.",
        ),
        (Facts::default(), CHAT, json!({"tools": [tool("a-b_1")]}), ""),
        (
            Facts::default(),
            CHAT,
            json!({"temperature": 2.5}),
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"stop": ["1", "2", "3", "4", "5"]}),
            "Invalid 'stop': array too long.",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"top_k": 4}),
            "Unrecognized request argument supplied: top_k",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"response_format": {"type": "json_object"}}),
            "'messages' must contain the word 'json'",
        ),
        (
            Facts::default(),
            CHAT,
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": {"type": "object", "properties": {}}}}}),
            "Invalid schema for response_format 'r': In context=(), 'additionalProperties' is required",
        ),
        (
            Facts::default(),
            RESPONSES,
            json!({"max_output_tokens": 10}),
            "Invalid 'max_output_tokens': integer below minimum value.",
        ),
        (Facts::default(), RESPONSES, json!({"stop": ["x"]}), "Unknown parameter: 'stop'."),
        (Facts::default(), CHAT, json!({"messages": [{"role": "developer", "content": "d"}]}), ""),
        (
            facts(json!({"tools": false})),
            CHAT,
            json!({"tools": [tool("f")]}),
            "`tool calling` is not supported",
        ),
    ] {
        let said = said("gpt-m", protocol, &facts, &more);
        assert!(said.starts_with(starts) && said.is_empty() == starts.is_empty(), "{more}: {said}");
    }
}

#[test]
fn claude_refuses_as_anthropic_does() {
    let schema = |inner: Value| {
        let schema =
            json!({"type": "object", "additionalProperties": false, "properties": {"x": inner}});
        json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}})
    };
    let content = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let image = |kind: &str| {
        content(
            json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": "aaaa"}}),
        )
    };
    let document = |kind: &str| {
        content(
            json!({"type": "document", "source": {"type": "base64", "media_type": kind, "data": "aaaa"}}),
        )
    };
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    for (facts, more, starts) in [
        (opus47(), json!({"temperature": 0.2}), "`temperature` is deprecated for this model."),
        (opus47(), json!({"temperature": 1.0}), ""),
        (
            opus47(),
            json!({"thinking": thinking}),
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.",
        ),
        (opus47(), json!({"thinking": {"type": "disabled"}}), ""),
        (
            opus47(),
            json!({"output_config": {"effort": "xhigh"}}),
            "This model does not support effort level 'xhigh'. Supported levels: high, low, medium.",
        ),
        (
            opus47(),
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "This model does not support assistant message prefill.",
        ),
        (
            haiku(),
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "",
        ),
        (haiku(), json!({"thinking": thinking}), ""),
        (
            haiku(),
            json!({"thinking": {"type": "enabled", "budget_tokens": 1000}}),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            haiku(),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        ),
        (
            haiku(),
            json!({"thinking": {"type": "adaptive"}}),
            "adaptive thinking is not supported on this model",
        ),
        (
            haiku(),
            json!({"thinking": thinking, "temperature": 0.2}),
            "`temperature` may only be set to 1 when thinking is enabled.",
        ),
        (
            haiku(),
            json!({"thinking": thinking, "tools": [tool("f")], "tool_choice": {"type": "any"}}),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        (
            haiku(),
            json!({"temperature": 0.5, "top_p": 0.5}),
            "`temperature` and `top_p` cannot both be specified",
        ),
        (haiku(), json!({"temperature": 1.5}), "temperature: range: 0..1"),
        (
            haiku(),
            json!({"output_config": {"effort": "low"}}),
            "This model does not support the effort parameter.",
        ),
        (Facts::default(), json!({"max_tokens": null}), "max_tokens: Field required"),
        (Facts::default(), json!({"seed": 1}), "seed: Extra inputs are not permitted"),
        (
            Facts::default(),
            schema(json!({"type": "integer", "minimum": 1})),
            "output_config.format.schema: For 'integer' type, property 'minimum' is not supported",
        ),
        (
            Facts::default(),
            schema(json!({"type": "array", "minItems": 2})),
            "output_config.format.schema: For 'array' type, 'minItems'",
        ),
        (
            Facts::default(),
            schema(json!({"type": "object"})),
            "output_config.format.schema: For 'object' type, 'additionalProperties'",
        ),
        (Facts::default(), schema(json!({"type": "string", "enum": ["a"]})), ""),
        (Facts::default(), schema(json!({"$ref": "#"})), "output_config.format.schema: Recursive"),
        (
            Facts::default(),
            json!({"tools": [tool("a.b")]}),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (Facts::default(), json!({"tools": [tool(&"x".repeat(90))]}), ""),
        (
            Facts::default(),
            image("image/jpg"),
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
        ),
        (Facts::default(), image("image/webp"), ""),
        (
            Facts::default(),
            document("text/csv"),
            "messages.0.content.0.document.source.base64.media_type: Input should be 'application/pdf'",
        ),
        (
            Facts::default(),
            content(json!({"type": "text", "text": "\n"})),
            "messages: text content blocks must contain non-whitespace text",
        ),
        (
            Facts::default(),
            json!({"stop_sequences": [" "]}),
            "stop_sequences: each stop sequence must contain non-whitespace",
        ),
        (
            facts(json!({"forced_tool_choice": "no"})),
            json!({"tools": [tool("f")], "tool_choice": {"type": "any"}}),
            "tool_choice.type: Input should be 'auto' or 'none'",
        ),
    ] {
        let said = said("claude-m", CLAUDE, &facts, &more);
        assert!(said.starts_with(starts) && said.is_empty() == starts.is_empty(), "{more}: {said}");
    }
}

#[test]
fn gemini_refuses_as_google_does() {
    let flash = || {
        facts(
            json!({"thinking": "budget", "budget": {"min": 512, "max": 24576}, "thinking_off": "zero", "tools_with_schema": false}),
        )
    };
    let neon = || {
        facts(
            json!({"refuses": {"presence_penalty": "always", "n": "always"}, "thinking": "always", "efforts": ["low", "high"], "needs_thought_signature": true}),
        )
    };
    let config = |name: &str, value: Value| json!({"generationConfig": { name: value }});
    let thinking = |name: &str, value: Value| config("thinkingConfig", json!({ name: value }));
    let tool = |name: &str| json!([{"functionDeclarations": [{"name": name}]}]);
    let call = |signature: Value| {
        let call = json!({"functionCall": {"name": "f"}, "thoughtSignature": signature});
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [call]}]})
    };
    for (facts, more, starts) in [
        (
            flash(),
            thinking("thinkingBudget", json!(32768)),
            "The thinking budget 32768 is invalid. Please choose a value between 512 and 24576.",
        ),
        (flash(), thinking("thinkingBudget", json!(0)), ""),
        (flash(), thinking("thinkingBudget", json!(-1)), ""),
        (
            flash(),
            thinking("thinkingLevel", json!("LOW")),
            "Thinking level is not supported for this model.",
        ),
        (
            neon(),
            thinking("thinkingBudget", json!(2000)),
            "Thinking budget is not supported for this model.",
        ),
        (
            neon(),
            thinking("thinkingLevel", json!("MINIMAL")),
            "Thinking level MINIMAL is not supported",
        ),
        (neon(), thinking("thinkingLevel", json!("low")), ""),
        (neon(), config("presencePenalty", json!(0.5)), "Penalty is not enabled for this model"),
        (
            neon(),
            config("candidateCount", json!(2)),
            "Multiple candidates is not enabled for this model",
        ),
        (neon(), config("candidateCount", json!(1)), ""),
        (neon(), call(Value::Null), "Function call is missing a thought_signature"),
        (neon(), call(json!("c2ln")), ""),
        (
            flash(),
            json!({"tools": tool("f"), "generationConfig": {"responseMimeType": "application/json"}}),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (Facts::default(), json!({"tools": tool("a.b:c")}), ""),
        (
            Facts::default(),
            json!({"tools": tool("1a")}),
            "* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name.",
        ),
        (
            Facts::default(),
            config("responseSchema", json!({"type": "object", "additionalProperties": false})),
            "Invalid JSON payload received. Unknown name \"additionalProperties\"",
        ),
        (
            Facts::default(),
            config("responseJsonSchema", json!({"type": "object", "additionalProperties": false})),
            "",
        ),
        (
            Facts::default(),
            config("seeds", json!(1)),
            "Invalid JSON payload received. Unknown name \"seeds\" at 'generation_config'",
        ),
        (Facts::default(), config("top_p", json!(0.5)), ""),
        (
            Facts::default(),
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/jpg", "data": "aaaa"}}]}]}),
            "Unsupported MIME type: image/jpg",
        ),
    ] {
        let said = said("gemini-m", GEMINI, &facts, &more);
        assert!(said.starts_with(starts) && said.is_empty() == starts.is_empty(), "{more}: {said}");
    }
}
