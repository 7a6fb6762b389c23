//! What a conversation brings along: media, thoughts, pictures of the model's own, groups of tools.

use super::*;

#[test]
fn inline_media_are_in_the_one_base64_that_everybody_takes() {
    // The bytes fb ff fe, in every spelling that clients have for them and for two of them.
    for (spelled, standard) in [
        ("+//+", "+//+"),
        ("-__-", "+//+"),
        ("-__-\n", "+//+"),
        ("+//\r\n+", "+//+"),
        ("-_8", "+/8="),
        ("-_8=", "+/8="),
        ("+/8", "+/8="),
        (" +/8= ", "+/8="),
    ] {
        let picture = format!("data:image/png;base64,{spelled}");
        let bodies = [
            (
                Dialect::OpenAiChat,
                json!({"model": "m", "messages": [{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": picture}}]}]}),
            ),
            (
                Dialect::OpenAiResponses,
                json!({"model": "m", "input": [{"role": "user", "content": [
                    {"type": "input_image", "image_url": picture}]}]}),
            ),
            (
                Dialect::Anthropic,
                json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": spelled}}]}]}),
            ),
            (
                Dialect::Gemini,
                json!({"contents": [{"role": "user", "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": spelled}}]}]}),
            ),
        ];
        for (from, body) in bodies {
            for to in [CHAT, RESPONSES, ANTHROPIC, GEMINI, Protocol::Bedrock] {
                let (sent, _) = sent(from, &body, to, &Facts::default());
                let ends = format!("{standard}\"");
                assert!(sent.to_string().contains(&ends), "{from:?} to {to:?}: {sent}");
            }
        }
    }
}

#[test]
fn thoughts_that_their_maker_has_not_signed_do_not_go_to_it() {
    let answered = |thought: Value| {
        json!({"model": "m", "max_tokens": 9_000, "thinking": {"type": "enabled", "budget_tokens": 2_000},
               "messages": [{"role": "user", "content": "hi"},
                   {"role": "assistant", "content": [thought, {"type": "text", "text": "Four."}]},
                   {"role": "user", "content": "and?"}]})
    };
    let signed = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
    let model = |facts| TargetModel {
        facts,
        protocol: ANTHROPIC,
        max_tokens_only: false,
        last_resort: false,
        refused_form: false,
    };
    let plain = Facts::default();
    let glance = |dialect: Dialect, body: &Value, model: &TargetModel<'_>| {
        let bytes = body.to_string();
        let head = codec(dialect).head(bytes.as_bytes()).unwrap();
        may_need(&head, bytes.as_bytes(), model)
    };
    for bare in [
        json!({"type": "thinking", "thinking": "hm", "signature": ""}),
        json!({"type": "thinking", "thinking": "hm"}),
    ] {
        let body = answered(bare);
        assert!(glance(Dialect::Anthropic, &body, &model(&plain)), "{body}");
        let (sent, named) = sent(Dialect::Anthropic, &body, ANTHROPIC, &plain);
        assert_eq!(sent["messages"][1]["content"], json!([{"type": "text", "text": "Four."}]));
        assert_eq!(named, ["messages.reasoning"]);
        assert_eq!(sent["thinking"], body["thinking"], "{sent}");
        // Elsewhere it is still worth something.
        let (sent, _) = self::sent(Dialect::Anthropic, &body, CHAT, &plain);
        assert_eq!(sent["messages"][1]["reasoning_content"], "hm", "{sent}");
        assert!(!says(&sent, "reasoning_details"), "{sent}");
    }
    let body = answered(signed);
    assert!(!glance(Dialect::Anthropic, &body, &model(&plain)), "{body}");
    let (sent, named) = sent(Dialect::Anthropic, &body, ANTHROPIC, &plain);
    assert_eq!((&sent["messages"], named.len()), (&body["messages"], 0));

    // A loop of calls that began without a signed thought goes on without thinking.
    let mut body = answered(json!({"type": "thinking", "thinking": "hm", "signature": ""}));
    body["messages"][1]["content"][1] =
        json!({"type": "tool_use", "id": "t1", "name": "clock", "input": {}});
    body["messages"][2]["content"] =
        json!([{"type": "tool_result", "tool_use_id": "t1", "content": "noon"}]);
    let (sent, _) = self::sent(Dialect::Anthropic, &body, ANTHROPIC, &plain);
    assert_eq!(sent["messages"][1]["content"].as_array().unwrap().len(), 1, "{sent}");
    assert!(!says(&sent, "thinking"), "{sent}");

    // Items of our own making, which OpenAI could not look up; its own go by their ids.
    for (id, goes) in [("rs_0198aa_0", false), ("rs_68af0198aa", true)] {
        let thought = json!({"type": "reasoning", "id": id, "summary": []});
        let body = json!({"model": "m", "input": [{"role": "user", "content": "hi"}, thought,
            {"role": "assistant", "content": "Four."}, {"role": "user", "content": "and?"}]});
        let model = TargetModel { protocol: RESPONSES, ..model(&plain) };
        assert_eq!(glance(Dialect::OpenAiResponses, &body, &model), !goes);
        let (sent, _) = self::sent(Dialect::OpenAiResponses, &body, RESPONSES, &plain);
        assert_eq!(says(&sent, "reasoning"), goes, "{sent}");
        assert_eq!(sent["input"].as_array().unwrap().len(), if goes { 4 } else { 3 });
    }
}

#[test]
fn what_the_model_drew_is_shown_by_the_user_where_models_cannot_be_told_so() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "a cat"}]},
        {"role": "model", "parts": [{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {"role": "user", "parts": [{"text": "bluer"}]},
    ]});
    for (to, path) in [
        (CHAT, "/messages"),
        (RESPONSES, "/input"),
        (ANTHROPIC, "/messages"),
        (Protocol::Bedrock, "/messages"),
    ] {
        let (sent, named) = sent(Dialect::Gemini, &body, to, &Facts::default());
        let turns = sent.pointer(path).unwrap().as_array().unwrap();
        let of = |role: &str| -> String {
            turns.iter().filter(|turn| turn["role"] == role).map(ToString::to_string).collect()
        };
        assert!(!of("assistant").contains("AAAA") && of("user").contains("AAAA"), "{sent}");
        assert!(named.is_empty(), "{named:?}");
    }
    let (sent, _) = sent(Dialect::Gemini, &body, GEMINI, &Facts::default());
    assert_eq!(sent["contents"], body["contents"]);
}

#[test]
fn groups_of_tools_are_laid_flat_and_calls_find_their_group_again() {
    let tool = |name: &str| {
        json!({"type": "function", "name": name, "description": "d",
               "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}})
    };
    // The second group's name is one that Anthropic and Gemini do not take.
    for group in ["mcp__code", "mcp.code v2"] {
        let body = json!({"model": "m", "tools": [
                tool("shell"),
                {"type": "namespace", "name": group, "description": "d", "tools": [tool("run")]},
                {"type": "tool_search"}],
            "input": [
                {"role": "user", "content": "go"},
                {"type": "additional_tools", "role": "developer", "tools": [tool("extra"), tool("shell")]},
                {"type": "function_call", "call_id": "c1", "name": "run", "namespace": group, "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "done"}]});
        let request =
            codec(Dialect::OpenAiResponses).decode_request(body.to_string().as_bytes()).unwrap();
        for to in [CHAT, ANTHROPIC, GEMINI, Protocol::Bedrock] {
            let plain = Facts::default();
            let model = TargetModel {
                facts: &plain,
                protocol: to,
                max_tokens_only: false,
                last_resort: false,
                refused_form: false,
            };
            let fitted = fit(&request, &model);
            let offered: Vec<&str> =
                fitted.request.tools.iter().filter_map(|tool| tool.name()).collect();
            assert_eq!(
                (offered.len(), offered[0], offered[2]),
                (3, "shell", "extra"),
                "{offered:?}"
            );
            let called = fitted.request.turns.iter().flat_map(|turn| &turn.parts).find_map(
                |part| match &part.body {
                    crate::wire::vocab::Body::Call(call) => Some((call.name.as_str(), part)),
                    _ => None,
                },
            );
            let (name, part) = called.unwrap();
            assert_eq!(name, offered[1], "one name in offers and history");
            let (_, named) = sent(Dialect::OpenAiResponses, &body, to, &plain);
            assert_eq!(named, ["tools.tool_search"], "{to:?}");
            // The answer's call, as a Responses caller reads it.
            let mut answered = part.clone();
            fitted.names.restore(&mut answered);
            let reply = crate::wire::vocab::Reply {
                choices: vec![crate::wire::vocab::Choice {
                    index: 0,
                    turn: crate::wire::vocab::Turn::new(Role::Assistant, vec![answered]),
                    finish: None,
                    extra: crate::wire::vocab::Extra::NONE,
                }],
                ..crate::wire::vocab::Reply::default()
            };
            let told = codec(Dialect::OpenAiResponses)
                .encode_reply(&reply, &crate::wire::Heading::default());
            let told: Value = serde_json::from_slice(&told).unwrap();
            let call = &told["output"][0];
            assert_eq!(
                (&call["name"], &call["namespace"]),
                (&json!("run"), &json!(group)),
                "{told}"
            );
        }
        // At home it stays as it is.
        let (sent, named) = sent(Dialect::OpenAiResponses, &body, RESPONSES, &Facts::default());
        assert_eq!(
            (&sent["tools"], &sent["input"], named.len()),
            (&body["tools"], &body["input"], 0)
        );
    }
}
