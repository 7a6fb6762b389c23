//! Requests of every caller's dialect written for every provider: what is meant for the model arrives,
//! and what a dialect refuses is not sent.

use serde_json::{Value, json};

use super::vocab::{Dialect, Protocol, Thinking, ThinkingStyle};
use super::{Target, codec, provider_side};

const PROVIDERS: [Protocol; 5] = [
    Protocol::Dialect(Dialect::OpenAiChat),
    Protocol::Dialect(Dialect::OpenAiResponses),
    Protocol::Dialect(Dialect::Anthropic),
    Protocol::Dialect(Dialect::Gemini),
    Protocol::Bedrock,
];

/// What is sent, and what is named as dropped.
fn sent(from: Dialect, body: &Value, to: Protocol) -> (Value, String) {
    let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
    let target = Target { model: "claude-m", max_output_tokens: 9_000, ..Target::SELF };
    let encoded = provider_side(to).encode_request(&request, &target).unwrap();
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.losses.to_string())
}

#[test]
fn words_in_blocks_that_only_anthropic_has_reach_every_model() {
    let text = json!([{"type": "text", "text": "Refunds take 14 days."}]);
    let blocks = [
        (json!({"type": "tool_reference", "tool_name": "WebFetch"}), vec!["WebFetch"]),
        (
            json!({"type": "search_result", "source": "https://x.test", "title": "Terms", "content": text}),
            vec!["https://x.test", "Terms", "Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "title": "Terms", "source": {"type": "content", "content": text}}),
            vec!["Terms", "Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "source": {"type": "content", "content": "Refunds take 14 days."}}),
            vec!["Refunds take 14 days."],
        ),
        (
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Refunds take 14 days."}}),
            vec!["Refunds take 14 days."],
        ),
        (json!({"type": "something_new", "content": text}), vec!["Refunds take 14 days."]),
    ];
    for (block, words) in blocks {
        let said = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": [block, {"type": "text", "text": "so?"}]}]});
        let returned = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [block]}]}]});
        for body in [said, returned] {
            for to in PROVIDERS {
                let (sent, named) = sent(Dialect::Anthropic, &body, to);
                for word in &words {
                    // Bedrock has documents of text as bytes.
                    let packed =
                        sent.pointer("/messages/0/content/0/document/source/bytes").is_some()
                            || sent.to_string().contains("\"document\":{\"format\":\"txt\"");
                    assert!(packed || sent.to_string().contains(word), "{to:?}: {word} in {sent}");
                }
                assert_eq!(named, "", "{to:?}: {sent}");
                if to == Protocol::Dialect(Dialect::Anthropic) {
                    assert_eq!(sent["messages"], body["messages"]);
                }
            }
        }
    }
}

#[test]
fn what_hosted_tools_did_is_not_put_into_the_model_s_mouth() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [
                {"type": "web_search_result", "title": "Found", "url": "https://x.test"}]},
            {"type": "text", "text": "So."}]},
        {"role": "user", "content": "and?"}]});
    for to in PROVIDERS.into_iter().filter(|to| *to != Protocol::Dialect(Dialect::Anthropic)) {
        let (sent, named) = sent(Dialect::Anthropic, &body, to);
        assert!(!sent.to_string().contains("Found") && !named.is_empty(), "{to:?}: {sent} {named}");
    }
}

#[test]
fn media_in_a_result_of_gemini_s_reach_every_model() {
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"seen": "it"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                      {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}]}}]}]});
    for to in PROVIDERS {
        let (sent, named) = sent(Dialect::Gemini, &body, to);
        let text = sent.to_string();
        for data in ["iVBORw0KGgo=", "JVBERi0=", "seen"] {
            assert_eq!(text.matches(data).count(), 1, "{to:?}: {sent}");
        }
        assert_eq!(named, "", "{to:?}");
    }
}

#[test]
fn a_choice_among_no_tools_is_not_sent() {
    let bodies = [
        (
            Dialect::OpenAiResponses,
            json!({"model": "m", "input": "hi", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true}),
        ),
        (
            Dialect::Gemini,
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                   "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
        ),
        (
            Dialect::Anthropic,
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
                   "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            Dialect::OpenAiChat,
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tool_choice": "none"}),
        ),
    ];
    for (from, body) in bodies {
        for to in PROVIDERS.into_iter().filter(|to| *to != Protocol::Dialect(from)) {
            let (sent, _) = sent(from, &body, to);
            for name in ["tool_choice", "parallel_tool_calls", "toolConfig"] {
                assert!(sent.get(name).is_none(), "{from:?} to {to:?}: {sent}");
            }
        }
    }
}

#[test]
fn google_s_single_objects_are_lists_of_one() {
    let tool = json!({"functionDeclarations": [{"name": "f"}]});
    let body = json!({"contents": {"role": "user", "parts": {"text": "hi"}}, "tools": tool});
    let bytes = body.to_string();
    assert!(codec(Dialect::Gemini).head(bytes.as_bytes()).is_ok());
    let request = codec(Dialect::Gemini).decode_request(bytes.as_bytes()).unwrap();
    assert_eq!((request.turns.len(), request.tools.len()), (1, 1));
    let (home, _) = sent(Dialect::Gemini, &body, PROVIDERS[3]);
    assert_eq!(home, body);
    let (chat, _) = sent(Dialect::Gemini, &body, PROVIDERS[0]);
    assert_eq!(chat["messages"][0]["content"], "hi", "{chat}");
}

#[test]
fn no_dialect_asks_for_no_answer_and_openai_s_stop_at_four() {
    let with = |from: Dialect, name: &str, value: Value| {
        let mut body = match from {
            Dialect::OpenAiResponses => json!({"model": "m", "input": "hi"}),
            Dialect::Gemini => {
                json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {}})
            }
            _ => {
                json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
            }
        };
        match from {
            Dialect::Gemini => body["generationConfig"][name] = value,
            _ => body[name] = value,
        }
        body.to_string()
    };
    for (from, name) in [
        (Dialect::OpenAiChat, "max_tokens"),
        (Dialect::OpenAiChat, "max_completion_tokens"),
        (Dialect::OpenAiResponses, "max_output_tokens"),
        (Dialect::Anthropic, "max_tokens"),
        (Dialect::Gemini, "maxOutputTokens"),
        (Dialect::Gemini, "max_output_tokens"),
    ] {
        for (tokens, good) in [(0, false), (1, true)] {
            let body = with(from, name, json!(tokens));
            assert_eq!(codec(from).head(body.as_bytes()).is_ok(), good, "{from:?} {name}");
            let request = codec(from).decode_request(body.as_bytes());
            assert_eq!(request.is_ok(), good, "{from:?} {name}");
        }
    }
    for (stop, good) in [
        (json!("a"), true),
        (json!(null), true),
        (json!([]), true),
        (json!(["a", "b", "c", "d"]), true),
        (json!(["a", "b", "c", "d", "e"]), false),
    ] {
        let body = with(Dialect::OpenAiChat, "stop", stop.clone());
        let head = codec(Dialect::OpenAiChat).head(body.as_bytes());
        assert_eq!(head.is_ok(), good, "{stop}");
        if let Err(why) = head {
            assert_eq!(why.field.as_deref(), Some("stop"));
        }
    }
    // A prompt that the provider keeps needs no input.
    let kept = json!({"model": "m", "prompt": {"id": "p"}}).to_string();
    assert!(codec(Dialect::OpenAiResponses).head(kept.as_bytes()).is_ok());
    assert!(codec(Dialect::OpenAiResponses).head(br#"{"model":"m"}"#).is_err());
}

#[test]
fn a_failed_tool_is_told_in_words_where_nothing_else_can() {
    let of = |content: Value| {
        let result = json!({"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": content});
        json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
            {"role": "user", "content": [result]}]})
    };
    for (content, words) in [
        (json!("boom"), "Error: boom"),
        (json!([{"type": "text", "text": "boom"}]), "Error: boom"),
        (json!("error 12"), "error 12"),
        (json!(""), "Error"),
    ] {
        let body = of(content);
        let (chat, _) = sent(Dialect::Anthropic, &body, PROVIDERS[0]);
        assert!(chat["messages"][2]["content"].as_str().unwrap().starts_with(words), "{chat}");
        let (responses, _) = sent(Dialect::Anthropic, &body, PROVIDERS[1]);
        let output = &responses["input"][2]["output"];
        let said = output.as_str().or_else(|| output.pointer("/0/text")?.as_str());
        assert!(said.unwrap().starts_with(words), "{responses}");
        let (home, _) = sent(Dialect::Anthropic, &body, PROVIDERS[2]);
        assert_eq!(home["messages"], body["messages"]);
    }
}

#[test]
fn custom_tools_have_the_form_of_each_of_openai_s_dialects() {
    let grammar = json!({"syntax": "lark", "definition": "start: /x+/"});
    let flat = json!({"type": "grammar", "syntax": "lark", "definition": "start: /x+/"});
    let chat = json!({"model": "m",
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "custom", "custom": {"name": "run", "input": "xx"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
            {"role": "tool", "tool_call_id": "c2", "content": "done"}],
        "tools": [
            {"type": "custom", "custom": {"name": "run", "format": {"type": "grammar", "grammar": grammar}}},
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "custom", "custom": {"name": "run"}}});
    let (responses, named) = sent(Dialect::OpenAiChat, &chat, PROVIDERS[1]);
    assert_eq!(named, "");
    assert_eq!(responses["input"][3]["type"], "custom_tool_call_output", "{responses}");
    assert_eq!(responses["input"][4]["type"], "function_call_output", "{responses}");
    assert_eq!(responses["tools"][0], json!({"type": "custom", "name": "run", "format": flat}));
    assert_eq!(responses["tool_choice"], json!({"type": "custom", "name": "run"}));
    let (back, named) = sent(Dialect::OpenAiResponses, &responses, PROVIDERS[0]);
    assert_eq!((&back["tools"][0], named.contains("tool")), (&chat["tools"][0], false), "{named}");
    assert_eq!(back["tool_choice"], chat["tool_choice"], "{back}");
    // One of several.
    let mut among = chat.clone();
    among["tool_choice"] = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required",
        "tools": [{"type": "custom", "custom": {"name": "run"}},
                  {"type": "function", "function": {"name": "f"}}]}});
    let (responses, _) = sent(Dialect::OpenAiChat, &among, PROVIDERS[1]);
    assert_eq!(
        responses["tool_choice"],
        json!({"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "custom", "name": "run"}, {"type": "function", "name": "f"}]})
    );
    let (back, _) = sent(Dialect::OpenAiResponses, &responses, PROVIDERS[0]);
    assert_eq!(back["tool_choice"], among["tool_choice"], "{back}");
    for body in [&chat, &among] {
        assert_eq!(
            &sent(Dialect::OpenAiChat, body, PROVIDERS[0]).0["tool_choice"],
            &body["tool_choice"]
        );
    }
}

#[test]
fn responses_is_not_asked_for_fewer_tokens_than_it_takes() {
    let bodies = [
        (Dialect::Anthropic, json!({"max_tokens": 1})),
        (Dialect::OpenAiChat, json!({"max_completion_tokens": 10})),
    ];
    for (from, mut body) in bodies {
        body["model"] = json!("m");
        body["messages"] = json!([{"role": "user", "content": "hi"}]);
        let request = codec(from).decode_request(body.to_string().as_bytes()).unwrap();
        let known = Thinking { manner: ThinkingStyle::None, ..Target::SELF.thinking.clone() };
        let target = Target { thinking: &known, ..Target::SELF };
        let encoded = provider_side(PROVIDERS[1]).encode_request(&request, &target).unwrap();
        let asked: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(asked["max_output_tokens"], 16, "{from:?}");
        // What is not known to be OpenAI's is asked for what was said.
        let (sent, _) = sent(from, &body, PROVIDERS[1]);
        assert!(sent["max_output_tokens"].as_u64() < Some(16), "{from:?}");
    }
    let own = json!({"model": "m", "input": "hi", "max_output_tokens": 1});
    assert_eq!(sent(Dialect::OpenAiResponses, &own, PROVIDERS[1]).0["max_output_tokens"], 1);
}

#[test]
fn an_answer_of_responses_comes_back_without_a_loss() {
    let output = json!([
        {"type": "reasoning", "id": "rs_1", "status": "completed", "summary": []},
        {"type": "message", "id": "msg_1", "status": "completed", "phase": "final_answer", "role": "assistant",
         "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}]},
        {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "id": "fo_1", "status": "completed", "call_id": "c1", "output": "y"}]);
    let body = json!({"model": "m", "input": output});
    for to in PROVIDERS {
        let (sent, named) = sent(Dialect::OpenAiResponses, &body, to);
        // A thought that is not sealed cannot be given back.
        assert!(named.is_empty() || named == "reasoning", "{to:?}: {named}");
        if to == PROVIDERS[1] {
            assert_eq!(sent["input"], output);
        }
    }
}

#[test]
fn likelihoods_are_asked_for_where_they_can_be_told() {
    let asked = |stream: bool| {
        json!({"model": "m", "logprobs": true, "top_logprobs": 2, "stream": stream,
            "messages": [{"role": "user", "content": "hi"}]})
    };
    let (whole, named) = sent(Dialect::OpenAiChat, &asked(false), PROVIDERS[1]);
    assert_eq!((&whole["include"], named.as_str()), (&json!(["message.output_text.logprobs"]), ""));
    assert_eq!(whole["top_logprobs"], 2);
    let (whole, named) = sent(Dialect::OpenAiChat, &asked(false), PROVIDERS[3]);
    assert_eq!(
        (&whole["generationConfig"]["responseLogprobs"], named.as_str()),
        (&json!(true), "")
    );
    for to in [PROVIDERS[1], PROVIDERS[3]] {
        let (streamed, named) = sent(Dialect::OpenAiChat, &asked(true), to);
        assert!(named.contains("logprobs") && named.contains("top_logprobs"), "{named}");
        assert!(!streamed.to_string().contains("ogprobs"), "{streamed}");
    }
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"responseLogprobs": true}});
    for to in [PROVIDERS[0], PROVIDERS[1]] {
        assert_eq!(sent(Dialect::Gemini, &google, to).1, "logprobs", "{to:?}");
    }
}

#[test]
fn the_choice_before_tools_is_understood() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "functions": [{"name": "f", "parameters": {"type": "object"}}], "function_call": {"name": "f"}});
    let (claude, named) = sent(Dialect::OpenAiChat, &body, PROVIDERS[2]);
    assert_eq!((&claude["tool_choice"]["name"], named.as_str()), (&json!("f"), ""), "{claude}");
    let (google, _) = sent(Dialect::OpenAiChat, &body, PROVIDERS[3]);
    assert_eq!(google["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"], json!(["f"]));
    assert_eq!(
        sent(Dialect::OpenAiChat, &body, PROVIDERS[0]).0["function_call"],
        json!({"name": "f"})
    );
    assert!(sent(Dialect::OpenAiChat, &body, PROVIDERS[0]).0.get("tool_choice").is_none());
}

#[test]
fn tools_have_the_schemas_that_each_maker_takes() {
    let object = json!({"type": "object"});
    let asked = |schema: &Value| {
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}],
            "tools": [{"name": "f", "input_schema": schema}]})
    };
    // OpenAI: an object says which properties it has, be it none.
    for schema in [&object, &json!({})] {
        for (to, at) in [
            (Protocol::Dialect(Dialect::OpenAiChat), "/tools/0/function/parameters"),
            (Protocol::Dialect(Dialect::OpenAiResponses), "/tools/0/parameters"),
        ] {
            let (body, _) = sent(Dialect::Anthropic, &asked(schema), to);
            assert_eq!(body.pointer(at), Some(&json!({"type": "object", "properties": {}})));
        }
    }
    // Gemini: one that says nothing is left out, every other reaches it, references written out.
    let gemini = Protocol::Dialect(Dialect::Gemini);
    let at = "/tools/0/functionDeclarations/0/parametersJsonSchema";
    for schema in [
        &object,
        &json!({}),
        &json!({"type": "object", "properties": {}, "additionalProperties": false}),
    ] {
        assert_eq!(
            sent(Dialect::Anthropic, &asked(schema), gemini).0.pointer(at),
            None,
            "{schema}"
        );
    }
    let text = json!({"type": "string"});
    for (schema, written) in [
        (json!({"anyOf": [{"type": "object", "properties": {"a": text}}]}), None),
        (json!({"type": "object", "allOf": [{"properties": {"a": text}}]}), None),
        (json!({"type": "object", "additionalProperties": text}), None),
        (json!({"type": "object", "patternProperties": {"^a": text}}), None),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"x": text}}}}),
            Some(json!({"type": "object", "properties": {"x": text}})),
        ),
    ] {
        let (body, _) = sent(Dialect::Anthropic, &asked(&schema), gemini);
        assert_eq!(body.pointer(at), Some(written.as_ref().unwrap_or(&schema)), "{body}");
    }
}

#[test]
fn google_s_spellings_of_numbers_lists_and_enums_are_understood() {
    let chat = Protocol::Dialect(Dialect::OpenAiChat);
    let asked = |tools: Value, config: Value, choice: Value| {
        json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": tools,
            "generationConfig": config, "toolConfig": {"functionCallingConfig": choice}})
    };
    let f = json!({"name": "f", "parameters": {"type": 6, "properties": {"a": {"type": 1}}}});
    let other = json!({"name": "g"});
    let (body, _) = sent(
        Dialect::Gemini,
        &asked(
            json!([{"functionDeclarations": f}, {"functionDeclarations": [other]}]),
            json!({"temperature": "0.5", "maxOutputTokens": "100", "seed": "3", "topP": "1"}),
            json!({"mode": 2, "allowedFunctionNames": "f"}),
        ),
        chat,
    );
    assert_eq!(body["tools"][0]["function"]["name"], "f", "{body}");
    assert_eq!(
        body["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {"a": {"type": "string"}}})
    );
    assert_eq!(body["tool_choice"]["function"]["name"], "f", "{body}");
    assert_eq!((&body["temperature"], &body["seed"]), (&json!(0.5), &json!(3)), "{body}");
    let most = body.get("max_completion_tokens").or(body.get("max_tokens"));
    assert_eq!(most, Some(&json!(100)), "{body}");
    let bytes =
        asked(json!([]), json!({"maxOutputTokens": "100", "topK": "1"}), json!({})).to_string();
    let head = codec(Dialect::Gemini).head(bytes.as_bytes()).unwrap();
    assert_eq!(head.max_output_tokens, Some(100));
}

#[test]
fn thinking_that_is_left_to_the_model_is_not_switched_off() {
    let asked = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}});
    for to in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic] {
        let (body, _) = sent(Dialect::Gemini, &asked, Protocol::Dialect(to));
        let said = body.to_string();
        assert!(!said.contains("\"none\"") && !said.contains("disabled"), "{to:?} {said}");
    }
}

#[test]
fn files_are_told_by_what_stands_where_their_content_does() {
    let responses = Protocol::Dialect(Dialect::OpenAiResponses);
    let anthropic = Protocol::Dialect(Dialect::Anthropic);
    let chat = |file: Value| json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": file}]}]});
    // Base64 as such is no address.
    let (body, _) = sent(
        Dialect::OpenAiChat,
        &chat(json!({"filename": "a.pdf", "file_data": "JVBERi0="})),
        anthropic,
    );
    let source = &body["messages"][0]["content"][0]["source"];
    assert_eq!(
        (&source["type"], &source["data"]),
        (&json!("base64"), &json!("JVBERi0=")),
        "{body}"
    );
    let (body, _) = sent(
        Dialect::OpenAiChat,
        &chat(json!({"file_data": "https://example.com/a.pdf"})),
        anthropic,
    );
    assert_eq!(body["messages"][0]["content"][0]["source"]["type"], "url", "{body}");
    // A text has no name there: it begins with its title.
    let titled = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "D"}}]}]});
    let (body, _) = sent(Dialect::Anthropic, &titled, responses);
    assert_eq!(body["input"][0]["content"][0]["text"], "T\nD", "{body}");
    assert!(!body.to_string().contains("filename"), "{body}");
    // OpenAI's chat reads no addresses: it is named, so that Responses is asked where it can be.
    let linked = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}]}]});
    let (_, dropped) = sent(Dialect::Anthropic, &linked, Protocol::Dialect(Dialect::OpenAiChat));
    assert_eq!(dropped, "content.file_url");
    assert_eq!(sent(Dialect::Anthropic, &linked, responses).1, "");
}
