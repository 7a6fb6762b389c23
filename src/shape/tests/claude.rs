//! What Claude would refuse: proofs and sources of other makers, the usual word for "off", files that
//! are no documents; and forms of the answer that its beta knew.

use super::*;

fn asked_with(content: &Value) -> Value {
    json!({"model": "claude-x", "max_tokens": 9_000, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "go on"},
    ]})
}

/// As it is sent to Claude, unless it passes as it came.
fn fitted(body: &Value) -> (Value, Vec<String>) {
    let facts = Facts::default();
    let bytes = body.to_string();
    let head = codec(Dialect::Anthropic).head(bytes.as_bytes()).unwrap();
    let model = TargetModel {
        facts: &facts,
        protocol: ANTHROPIC,
        max_tokens_only: false,
        last_resort: true,
        refused_form: false,
    };
    if may_need(&head, bytes.as_bytes(), &model) {
        sent(Dialect::Anthropic, body, ANTHROPIC, &facts)
    } else {
        (body.clone(), Vec::new())
    }
}

#[test]
fn sources_that_are_not_claude_s_own_do_not_go_back_to_it() {
    let said = |citation: Value| {
        asked_with(&json!([{"type": "text", "text": "It is.", "citations": [citation]}]))
    };
    let searched = |index: &str| {
        json!({"type": "web_search_result_location", "url": "https://a.example", "title": "A",
               "cited_text": "x", "encrypted_index": index})
    };
    let within = json!({"type": "char_location", "document_index": 0, "document_title": null,
                        "cited_text": "x", "start_char_index": 0, "end_char_index": 1});
    for foreign in [searched(""), within.clone()] {
        let (body, named) = fitted(&said(foreign));
        assert_eq!(
            body["messages"][1]["content"],
            json!([{"type": "text", "text": "It is."}]),
            "{body}"
        );
        assert_eq!(named, ["content.citations"]);
    }
    let own = said(searched("Eo8BCioIAhgB"));
    assert_eq!(fitted(&own), (own.clone(), Vec::new()));
    let mut with_document = said(within);
    with_document["messages"][0]["content"] = json!([{"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]);
    assert_eq!(fitted(&with_document), (with_document.clone(), Vec::new()));
}

#[test]
fn empty_proofs_are_none() {
    let (body, named) = fitted(&asked_with(
        &json!([{"type": "redacted_thinking", "data": ""}, {"type": "text", "text": "a"}]),
    ));
    assert_eq!(body["messages"][1]["content"], json!([{"type": "text", "text": "a"}]), "{body}");
    assert_eq!(named, ["messages.reasoning"]);
    for block in [
        json!({"type": "thinking", "thinking": "Hm", "signature": ""}),
        json!({"type": "redacted_thinking", "data": ""}),
    ] {
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "a", "thinking_blocks": [block]},
            {"role": "user", "content": "go on"},
        ]});
        let (body, _) = sent(Dialect::OpenAiChat, &body, ANTHROPIC, &Facts::default());
        assert!(!says(&body, "signature") && !says(&body, "data"), "{body}");
        assert!(says(&body, "text") || body["messages"][1]["content"] == "a", "{body}");
    }
}

#[test]
fn off_is_said_in_the_model_s_own_word() {
    let facts = facts("thinking = \"adaptive\"\nthinking_off = \"between-tools\"");
    let form = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
    let mut body = asking(Dialect::Anthropic, "thinking", json!({"type": "disabled"}));
    let (told, named) = sent(Dialect::Anthropic, &body, ANTHROPIC, &facts);
    assert_eq!((&told["thinking"], named.len()), (&json!({"type": "between_tools"}), 0));
    body["output_config"] = form.clone();
    let (told, _) = sent(Dialect::Anthropic, &body, ANTHROPIC, &facts);
    assert_eq!(
        (&told["thinking"], &told["output_config"]),
        (&json!({"type": "between_tools"}), &form)
    );
    body["thinking"] = json!({"type": "between_tools"});
    let (told, _) = sent(Dialect::Anthropic, &body, ANTHROPIC, &facts);
    assert_eq!(told["thinking"], json!({"type": "between_tools"}));
}

#[test]
fn the_beta_s_form_of_the_answer_is_one() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}},
                        "required": ["a"], "additionalProperties": false});
    let form = json!({"type": "json_schema", "schema": schema});
    let body = asking(Dialect::Anthropic, "output_format", form);
    let (told, named) = sent(Dialect::Anthropic, &body, CHAT, &Facts::default());
    assert_eq!(told["response_format"]["json_schema"]["schema"], schema, "{told}");
    assert!(named.is_empty(), "{named:?}");
    let (told, _) = sent(Dialect::Anthropic, &body, ANTHROPIC, &Facts::default());
    assert_eq!(told["output_format"], body["output_format"]);
    assert!(told.get("output_config").is_none(), "{told}");
}

#[test]
fn files_are_what_they_are() {
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let with = |mime: &str| {
        json!({"contents": [{"role": "user", "parts": [
            {"text": "read"}, {"inlineData": {"mimeType": mime, "data": "YSxiCg=="}}]}]})
    };
    let plain = Facts::default();
    let (_, named) = sent(Dialect::Gemini, &with(DOCX), ANTHROPIC, &plain);
    assert_eq!(named, ["content.file"]);
    for mime in ["text/csv", "application/pdf"] {
        let (body, named) = sent(Dialect::Gemini, &with(mime), ANTHROPIC, &plain);
        assert!(says(&body, "document") && named.is_empty(), "{body}");
    }
    for (to, mime, name) in [
        (RESPONSES, "text/csv", "file.csv"),
        (RESPONSES, "application/pdf", "file.pdf"),
        (RESPONSES, DOCX, "file.docx"),
        (CHAT, DOCX, "file.docx"),
    ] {
        let (body, _) = sent(Dialect::Gemini, &with(mime), to, &plain);
        assert!(body.to_string().contains(&format!("\"filename\":\"{name}\"")), "{body}");
    }
}

#[test]
fn a_function_that_claude_does_not_hold_to_its_schema_is_named() {
    let tool = |strict: bool| {
        json!([{"type": "function", "function": {"name": "f", "strict": strict,
            "parameters": {"type": "object", "properties": {}}}}])
    };
    for (strict, expected) in [(true, &["tools.strict"][..]), (false, &[])] {
        let body = asking(Dialect::OpenAiChat, "tools", tool(strict));
        let (_, named) = sent(Dialect::OpenAiChat, &body, ANTHROPIC, &Facts::default());
        assert_eq!(named, expected);
    }
}

#[test]
fn thinking_keeps_within_what_the_caller_allows_in_all() {
    let facts = facts("thinking = \"budget\"");
    for (limit, budget) in
        [(500, None), (1_300, None), (2_000, Some(1_500)), (40_000, Some(24_576))]
    {
        let body = json!({"model": "m", "reasoning_effort": "high", "max_completion_tokens": limit,
            "messages": [{"role": "user", "content": "x"}]});
        for (to, most, told) in [
            (ANTHROPIC, "/max_tokens", "/thinking/budget_tokens"),
            (
                Protocol::Bedrock,
                "/inferenceConfig/maxTokens",
                "/additionalModelRequestFields/thinking/budget_tokens",
            ),
        ] {
            let (body, named) = sent(Dialect::OpenAiChat, &body, to, &facts);
            assert_eq!(body.pointer(most), Some(&json!(limit)), "{body}");
            assert_eq!(body.pointer(told).and_then(Value::as_i64), budget, "{body}");
            assert_eq!(named.contains(&"reasoning".to_owned()), budget.is_none(), "{named:?}");
        }
    }
}

#[test]
fn what_does_not_go_beside_thinking_goes_another_way() {
    let asked = |more: Value| {
        let mut body = json!({"model": "m", "max_tokens": 9_000, "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let facts = facts("thinking = \"adaptive\"\nefforts = [\"low\", \"high\"]\nprefill = true");
    for (more, taken) in [
        (json!({}), true),
        (json!({"reasoning_effort": "high"}), false),
        (json!({"response_format": schema}), false),
    ] {
        let (body, named) = sent(Dialect::OpenAiChat, &asked(more), ANTHROPIC, &facts);
        let last = body["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["role"] == "assistant", taken, "{body}");
        assert_eq!(!named.contains(&"prefill".to_owned()), taken, "{named:?}");
    }
    for (top_p, stays) in [(0.5, false), (0.95, true)] {
        let body = json!({"model": "m", "top_p": top_p, "reasoning_effort": "high",
            "messages": [{"role": "user", "content": "x"}]});
        let (body, named) = sent(Dialect::OpenAiChat, &body, ANTHROPIC, &facts);
        assert_eq!(body.get("top_p").is_some(), stays, "{body}");
        assert_eq!(!named.contains(&"top_p".to_owned()), stays, "{named:?}");
    }
}
