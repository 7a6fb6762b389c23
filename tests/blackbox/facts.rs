//! What today's models accept, from outside: each test is a kind of refusal, over scripted providers
//! in the places of the makers.

use std::io::Write as _;
use std::time::Duration;

use optimux::base::calendar;
use optimux::base::clock::Clock;

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, Received, STREAM_HEAD, chunk, client, completion, end_chunks, respond,
    send,
};

/// An answer in the dialect that the path tells.
fn answer(socket: &mut std::net::TcpStream, request: &Received, _: usize) {
    let body = if request.path().contains("/responses") {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "x",
            "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "by responses", "annotations": []}]}],
            "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}})
    } else if request.path().contains("/messages") {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "by messages"}], "usage": {"input_tokens": 5, "output_tokens": 2}})
    } else if request.path().contains(":generateContent") {
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "{\"a\": \"by gemini\"}"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2}})
    } else {
        return respond(socket, 200, "", "application/json", &completion("x", "by chat"));
    };
    respond(socket, 200, "", "application/json", body.to_string().as_bytes());
}

/// The makers' places, all taken by one provider.
fn gateway(provider: &Provider) -> Gateway {
    let places = ["openai", "anthropic", "gemini", "deepseek", "mistral"];
    let tables =
        places.map(|place| format!("[providers.{place}]\nbase_url = \"{}\"\n", provider.base));
    Gateway::start(&tables.concat())
}

const TOOL: &str = r#"{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{}}}}"#;

#[test]
fn a_model_that_needs_responses_is_asked_there_from_every_front_door() {
    let provider = Provider::start(answer);
    let gateway = gateway(&provider);
    let tool: Value = serde_json::from_str(TOOL).unwrap();
    let flat = json!({"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}});
    for (model, path, body) in [
        (
            "gpt-5.6-terra",
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "hi"}], "tools": [tool]}),
        ),
        (
            "gpt-5.6-terra",
            "/v1/responses",
            json!({"input": "hi", "tools": [flat], "reasoning": {"effort": "medium"}}),
        ),
        (
            "gpt-5.6-terra",
            "/v1/messages",
            json!({"max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}],
            "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ),
        (
            "gpt-6.1-sol",
            "/v1/messages",
            json!({"max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]}),
        ),
        (
            "gpt-5.3-codex",
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "hi"}]}),
        ),
        ("gpt-5.3-codex", "/v1/responses", json!({"input": "hi"})),
    ] {
        let mut body = body;
        body["model"] = json!(model);
        let reply = gateway.post(path, KEY, body.to_string());
        assert_eq!(reply.status, 200, "{model} {path}: {}", reply.text());
        assert!(reply.text().contains("by responses"), "{}", reply.text());
        assert!(provider.last().path().ends_with("/responses"), "{}", provider.last().path());
    }
    // Without thought, chat will do.
    let body = json!({"model": "gpt-5.6-terra", "reasoning_effort": "none", "tools": [tool],
        "messages": [{"role": "user", "content": "hi"}]});
    assert!(gateway.chat(&body).said().contains("by chat"));
}

#[test]
fn what_a_model_refuses_is_dropped_and_named_or_refused_when_strict() {
    let provider = Provider::start(answer);
    let gateway = gateway(&provider);
    for (model, member, value, dropped) in [
        ("gpt-5-mini", "temperature", json!(0), true),
        ("gpt-5-mini", "stop", json!(["x"]), true),
        ("claude-opus-4-7", "temperature", json!(0.2), true),
        ("claude-opus-4-7", "top_p", json!(0.9), true),
        ("claude-haiku-4-5", "temperature", json!(0.2), false),
        ("gpt-4o", "temperature", json!(0.2), false),
    ] {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        body[member] = value;
        let reply = gateway.chat(&body);
        assert_eq!(reply.status, 200, "{model} {member}: {}", reply.text());
        assert_eq!(reply.header("x-optimux-dropped").contains(member), dropped, "{model} {member}");
        let sent = provider.last().json();
        let there = sent.get(member).or_else(|| sent.get("stop_sequences")).is_some();
        assert_ne!(there, dropped, "{sent}");
        if dropped {
            let strict = send(
                client()
                    .post(format!("{}/v1/chat/completions", gateway.base))
                    .bearer_auth(KEY)
                    .header("x-optimux-strict", "true")
                    .header("content-type", "application/json")
                    .body(body.to_string()),
            );
            assert_eq!(strict.status, 400, "{model} {member}");
            assert_eq!(strict.json()["error"]["param"], member);
        }
    }
    // A body that needs nothing passes byte for byte.
    let plain = "{ \"model\":\"gpt-4o\", \"temperature\" : 0.25, \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}] }";
    assert_eq!(gateway.post("/v1/chat/completions", KEY, plain).status, 200);
    assert_eq!(String::from_utf8(provider.last().body).unwrap(), plain);
}

#[test]
fn auto_prefers_a_model_that_keeps_what_was_asked_for() {
    let provider = Provider::start(answer);
    let gateway = gateway(&provider);
    for model in ["auto", "auto:cheap", "auto:best"] {
        let body = json!({"model": model, "temperature": 0.2, "messages": [
            {"role": "user", "content": "Prove that there are infinitely many primes."}]});
        let reply = gateway.chat(&body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            reply.header("x-optimux-dropped"),
            "",
            "{model}: {}",
            reply.header("x-optimux-model")
        );
    }
}

#[test]
fn a_combination_that_one_cannot_do_goes_to_another_and_else_into_words() {
    let provider = Provider::start(answer);
    let both = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "tools": [serde_json::from_str::<Value>(TOOL).unwrap()],
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object",
            "properties": {"a": {"type": "string"}}}}}});
    let deployments = |list: &str| {
        format!(
            "[providers.gemini]\nbase_url = \"{0}\"\n[providers.openai]\nbase_url = \"{0}\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{list}]\n",
            provider.base
        )
    };
    let first = "{ provider = \"gemini\", model = \"gemini-2.5-flash\" }";
    let second = "{ provider = \"openai\", model = \"gpt-4o\" }";
    let two = Gateway::start(&deployments(&format!("{first}, {second}")));
    let reply = two.chat(&both);
    assert_eq!((reply.said().as_str(), reply.header("x-optimux-dropped")), ("by chat", ""));
    let alone = Gateway::start(&deployments(first));
    let reply = alone.chat(&both);
    assert_eq!(reply.said(), "{\"a\": \"by gemini\"}", "{}", reply.text());
    assert_eq!(reply.header("x-optimux-dropped"), "response_format");
    let sent = provider.last().json();
    assert!(sent["generationConfig"]["responseMimeType"].is_null(), "{sent}");
    assert!(sent["systemInstruction"].to_string().contains("JSON Schema"), "{sent}");
}

#[test]
fn a_refusal_that_names_a_member_is_learned_from_once() {
    for stream in [false, true] {
        let provider = Provider::start(move |socket, request, number| {
            if request.json().get("logit_bias").is_some() {
                let body = br#"{"error":{"message":"Unrecognized request argument supplied: logit_bias","type":"invalid_request_error","param":null,"code":null}}"#;
                return respond(socket, 400, "", "application/json", body);
            }
            if stream {
                let _ = socket.write_all(STREAM_HEAD.as_bytes());
                chunk(
                    socket,
                    &crate::house::delta(
                        "x",
                        &json!({"role": "assistant", "content": "ok"}),
                        Some("stop"),
                    ),
                );
                chunk(socket, b"data: [DONE]\n\n");
                return end_chunks(socket);
            }
            let _ = number;
            respond(socket, 200, "", "application/json", &completion("x", "ok"));
        });
        let gateway = Gateway::start(&crate::house::chain(&[&provider]));
        let body = json!({"model": "m", "stream": stream, "logit_bias": {"1": 2},
            "messages": [{"role": "user", "content": "hi"}]});
        for (asked, count) in [("first", 2), ("second", 3)] {
            let reply = gateway.chat(&body);
            assert_eq!(reply.status, 200, "{asked}: {}", reply.text());
            assert_eq!(reply.header("x-optimux-dropped"), "logit_bias", "{asked}");
            assert_eq!(provider.count(), count, "asked twice once, then never again");
        }
        let status = gateway.admin("GET", "/status", &Value::Null).json();
        assert_eq!(status["learned_refusals"][0]["members"], json!(["logit_bias"]), "{status}");
        assert!(
            gateway
                .get("/metrics", "")
                .text()
                .contains("optimux_learned_refusals_total{member=\"logit_bias\"")
        );
    }
}

/// JSON mode is promised, also of a provider that has none and of which no file says so.
#[test]
fn a_provider_without_json_mode_is_asked_in_words_and_held_to_them() {
    for stream in [false, true] {
        let provider = Provider::start(move |socket, request, _| {
            let asked = request.json();
            if asked.get("response_format").is_some() {
                let body = br#"{"error":{"message":"Unsupported parameter: 'response_format' is not supported with this model.","type":"invalid_request_error","param":"response_format","code":"unsupported_parameter"}}"#;
                return respond(socket, 400, "", "application/json", body);
            }
            assert!(asked.to_string().contains("one valid JSON object"), "{asked}");
            let text = "Sure:\n```json\n{\"capital\": \"Canberra\"}\n```";
            if stream {
                let _ = socket.write_all(STREAM_HEAD.as_bytes());
                let said = json!({"role": "assistant", "content": text});
                chunk(socket, &crate::house::delta("x", &said, Some("stop")));
                chunk(socket, b"data: [DONE]\n\n");
                return end_chunks(socket);
            }
            respond(socket, 200, "", "application/json", &completion("x", text));
        });
        let gateway = Gateway::start(&crate::house::chain(&[&provider]));
        let body = json!({"model": "m", "stream": stream, "response_format": {"type": "json_object"},
            "messages": [{"role": "user", "content": "The capital of Australia?"}]});
        for (asked, count) in [("first", 2), ("second", 3)] {
            let reply = gateway.chat(&body);
            assert_eq!(reply.status, 200, "{asked}: {}", reply.text());
            assert_eq!(reply.header("x-optimux-dropped"), "response_format", "{asked}");
            assert_eq!(provider.count(), count, "asked twice once, then never again");
            let text = reply.text();
            assert!(text.contains("Canberra") && !text.contains("Sure"), "{asked}: {text}");
            assert!(!text.contains("```"), "{asked}: {text}");
        }
        // With nothing dropped in silence, it is a refusal.
        let url = format!("{}/v1/chat/completions", gateway.base);
        let strict = client().post(url).bearer_auth(KEY).header("x-optimux-strict", "true");
        let strict = send(strict.body(body.to_string()));
        assert_eq!(strict.status, 400, "{}", strict.text());
    }
}

#[test]
fn a_refusal_that_is_not_the_callers_fault_goes_elsewhere() {
    for message in [
        "Your credit balance is too low to access the API.",
        "The model `x` has been decommissioned and is no longer supported.",
        "Function calling with a response mime type: 'application/json' is unsupported",
    ] {
        let said =
            json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
        let first = Provider::start(move |socket, _, _| {
            respond(socket, 400, "", "application/json", said.as_bytes());
        });
        let second = Provider::start(crate::house::good("elsewhere"));
        let gateway = Gateway::start(&crate::house::chain(&[&first, &second]));
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(gateway.chat(&body).said(), "elsewhere", "{message}");
    }
}

#[test]
fn names_of_tools_come_back_as_the_caller_knows_them_streamed_or_whole() {
    let long = "mcp__plugin_example-plugin-of-some-length_example-server__do_a_thing_that_needs_many_words";
    let provider = Provider::start(|socket, request, _| {
        let name = request.json()["tools"][0]["function"]["name"].as_str().unwrap().to_owned();
        assert!(name.len() <= 64, "{name}");
        let call = json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}]);
        if request.json()["stream"] == true {
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(
                socket,
                &crate::house::delta(
                    "x",
                    &json!({"role": "assistant", "tool_calls": call}),
                    Some("tool_calls"),
                ),
            );
            chunk(socket, b"data: [DONE]\n\n");
            return end_chunks(socket);
        }
        let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "x", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": null, "tool_calls": call}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let gateway = gateway(&provider);
    for stream in [false, true] {
        let chat = json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": long, "parameters": {"type": "object", "properties": {}}}}]});
        let reply = gateway.chat(&chat);
        assert!(reply.text().contains(long), "{}", reply.text());
        let messages = json!({"model": "gpt-4o", "stream": stream, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": long, "input_schema": {"type": "object", "properties": {}}}]});
        let reply = gateway.post("/v1/messages", KEY, messages.to_string());
        assert!(reply.text().contains(long), "{}", reply.text());
    }
}

#[test]
fn models_that_have_ended_answer_through_their_replacement_and_those_that_end_soon_say_so() {
    let provider = Provider::start(answer);
    let config = format!(
        "[providers.house]\nbase_url = \"{}\"\n\
         [[models]]\nid = \"gone\"\nends = \"2026-01-01\"\nreplacement = \"heir\"\n\
         deployments = [{{ provider = \"house\" }}]\n\
         [[models]]\nid = \"heir\"\ndeployments = [{{ provider = \"house\" }}]\n",
        provider.base
    );
    let gateway = Gateway::start(&config);
    let body = json!({"model": "gone", "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&body);
    assert_eq!((reply.status, reply.header("x-optimux-model")), (200, "heir"), "{}", reply.text());
    assert_eq!(reply.header("x-optimux-replaced"), "gone has ended; heir answers in its place");
    assert_eq!(provider.last().json()["model"], "heir");

    let in_ten_days = Clock::System.now().after(Duration::from_secs(10 * 86_400));
    let day = calendar::written_day(in_ten_days);
    let config = format!(
        "[providers.house]\nbase_url = \"{}\"\n[[models]]\nid = \"soon\"\nends = \"{day}\"\n\
         replacement = \"heir\"\ndeployments = [{{ provider = \"house\" }}]\n",
        provider.base
    );
    let gateway = Gateway::start(&config);
    let body = json!({"model": "soon", "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&body);
    assert_eq!(reply.header("x-optimux-model-ends"), format!("{day}; then heir"));
    let listed = gateway.get("/v1/models/soon", KEY).json();
    assert_eq!(
        (&listed["ends"], &listed["replacement"]),
        (&json!(day), &json!("heir")),
        "{listed}"
    );
    assert!(gateway.log().contains("a model ends soon"), "{}", gateway.log());
}

#[test]
fn claude_on_vertex_is_named_in_the_address() {
    let provider = Provider::start(|socket, _, _| {
        let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "from vertex"}], "usage": {"input_tokens": 5, "output_tokens": 2}});
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let config = format!(
        "[providers.v]\nbase_url = \"{0}/google\"\ndialects = [\"gemini\", \"anthropic\"]\nauth = \"none\"\n\
         dialect_urls = {{ anthropic = \"{0}/anthropic/models/{{model}}\" }}\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"v\", model = \"claude-opus-4-8\", dialects = [\"anthropic\"] }}]\n",
        provider.base
    );
    let gateway = Gateway::start(&config);
    for (path, body) in [
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        ),
    ] {
        let reply = gateway.post(path, KEY, body.to_string());
        assert!(reply.text().contains("from vertex"), "{}", reply.text());
        assert_eq!(provider.last().path(), "/anthropic/models/claude-opus-4-8:rawPredict");
        let sent = provider.last().json();
        assert_eq!(
            (&sent["anthropic_version"], &sent["model"]),
            (&json!("vertex-2023-10-16"), &Value::Null)
        );
    }
}

#[test]
fn anything_a_provider_serves_can_be_asked_by_its_place_if_its_price_is_known() {
    let provider = Provider::start(answer);
    let config = format!(
        "[providers.house]\nbase_url = \"{0}\"\nusd_per_million = {{ input = 1.0, output = 2.0 }}\n\
         [providers.anthropic]\nbase_url = \"{0}\"\n",
        provider.base
    );
    let gateway = Gateway::start(&config);
    let ask = |model: &str| {
        gateway.chat(&json!({"model": model, "temperature": 0.2, "messages": [{"role": "user", "content": "hi"}]}))
    };
    let reply = ask("house/anything-7b");
    assert_eq!(
        (reply.status, reply.header("x-optimux-model")),
        (200, "house/anything-7b"),
        "{}",
        reply.text()
    );
    let refused = ask("anthropic/claude-opus-5-6");
    assert_eq!(refused.json()["error"]["code"], "model_not_priced", "{}", refused.text());
    assert!(refused.text().contains("usd_per_million"), "the line that would price it");
    // Priced, it has the facts of its family.
    let priced = format!(
        "[providers.anthropic]\nbase_url = \"{}\"\n[[models]]\nid = \"claude-opus-5-6\"\n\
         deployments = [{{ provider = \"anthropic\", usd_per_million = {{ input = 4.0, output = 20.0 }} }}]\n",
        provider.base
    );
    let gateway = Gateway::start(&priced);
    let body = json!({"model": "claude-opus-5-6", "temperature": 0.2, "reasoning_effort": "high",
        "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&body);
    assert_eq!(
        (reply.status, reply.header("x-optimux-dropped")),
        (200, "temperature"),
        "{}",
        reply.text()
    );
    let sent = provider.last().json();
    assert_eq!(
        (&sent["thinking"]["type"], &sent["output_config"]["effort"]),
        (&json!("adaptive"), &json!("high")),
        "{sent}"
    );
}

#[test]
fn reasoning_that_another_has_sealed_is_left_out_once_it_is_refused() {
    let provider = Provider::start(|socket, request, number| {
        if request.json().to_string().contains("encrypted_content\":\"theirs") {
            let error = json!({"error": {"message": "The encrypted content for item could not be verified.",
                "type": "invalid_request_error", "param": null, "code": "invalid_encrypted_content"}});
            return respond(socket, 400, "", "application/json", error.to_string().as_bytes());
        }
        answer(socket, request, number);
    });
    let gateway = gateway(&provider);
    let body = json!({"model": "gpt-5", "store": false, "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "summary": [], "encrypted_content": "theirs"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "more"}]});
    for times in [2, 4] {
        let told = gateway.post("/v1/responses", KEY, body.to_string());
        assert_eq!(told.status, 200, "{}", told.text());
        assert!(told.header("x-optimux-dropped").contains("reasoning"));
        // It says nothing of other chains: each is asked as it came.
        assert_eq!(provider.count(), times);
        let sent = provider.last().json();
        assert_eq!(sent["input"].as_array().unwrap().len(), 3, "{sent}");
    }
}

#[test]
fn a_chain_kept_here_gives_a_model_its_own_thoughts_back() {
    let provider = Provider::start(|socket, request, number| {
        if number > 0 {
            return answer(socket, request, number);
        }
        let call =
            json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let body = json!({"id": "x", "object": "chat.completion", "model": "x", "choices": [{"index": 0,
            "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                "reasoning_content": "R1", "tool_calls": [call]}}]});
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let gateway = gateway(&provider);
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}});
    let first = json!({"model": "deepseek-v4-pro", "input": "x", "tools": [tool]});
    let first = gateway.post("/v1/responses", KEY, first.to_string()).json();
    let then = json!({"model": "deepseek-v4-pro", "previous_response_id": first["id"], "tools": [tool],
        "input": [{"type": "function_call_output", "call_id": "c1", "output": "1"}]});
    let told = gateway.post("/v1/responses", KEY, then.to_string());
    assert_eq!(told.status, 200, "{}", told.text());
    let sent = provider.last().json();
    let turn = sent["messages"].as_array().unwrap().iter().find(|turn| turn["role"] == "assistant");
    assert_eq!(turn.unwrap()["reasoning_content"], "R1", "{sent}");
}
