//! Guardrails: what is blocked, masked and flagged on the way in and out, in every dialect, for whom.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chunk, completion, delta, end_chunks, eventually, good,
    respond,
};

/// One model at one chat provider, and these rules.
fn configured(provider: &Provider, rules: &str) -> String {
    format!(
        "[log]\njson = true\n[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\", \
         usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n{rules}",
        provider.base
    )
}

/// Says the pieces one after the other, or all of them at once.
fn saying(pieces: &'static [&'static str]) -> Provider {
    Provider::start(move |socket, request, _| {
        if request.json()["stream"] != true {
            return respond(
                socket,
                200,
                "",
                "application/json",
                &completion("m", &pieces.concat()),
            );
        }
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": ""}), None));
        for piece in pieces {
            chunk(socket, &delta("m", &json!({"content": piece}), None));
        }
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    })
}

/// The same request at each front door.
fn doors(text: &str, stream: bool) -> [(String, Value); 4] {
    let verb = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    let said = json!([{"role": "user", "content": text}]);
    [
        (
            "/v1/chat/completions".to_owned(),
            json!({"model": "m", "messages": said, "stream": stream}),
        ),
        (
            "/v1/messages".to_owned(),
            json!({"model": "m", "messages": said, "max_tokens": 99, "stream": stream}),
        ),
        ("/v1/responses".to_owned(), json!({"model": "m", "input": said, "stream": stream})),
        (
            format!("/v1beta/models/m:{verb}"),
            json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        ),
    ]
}

/// The fields of a request's line in the access log.
fn line(gateway: &Gateway, id: &str) -> Value {
    let mut found = None;
    eventually("the request is told of", || {
        let log = gateway.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines
            .find(|line| line["target"] == "optimux::access" && line["fields"]["request"] == id)
            .map(|line| line["fields"].clone());
        found.is_some()
    });
    found.unwrap()
}

const CARDS: &str = "[[guardrails]]\nname = \"cards\"\naction = \"mask\"\n\
                     patterns = ['\\b\\d{4}-\\d{4}\\b']\n";

#[test]
fn what_is_masked_is_masked_both_ways_in_every_dialect() {
    let provider = saying(&["Your card 12", "34-56", "78, or 9", "999-1111", "."]);
    let gateway = Gateway::start(&configured(&provider, CARDS));
    for stream in [false, true] {
        for (path, body) in doors("mine is 4321-8765", stream) {
            let reply = gateway.post(&path, KEY, body.to_string());
            let text = reply.text();
            assert_eq!(reply.status, 200, "{path} {text}");
            let asked = String::from_utf8(provider.last().body).unwrap();
            assert!(asked.contains("mine is [CARDS]") && !asked.contains("4321"), "{path} {asked}");
            assert!(!text.contains("34-56") && !text.contains("1234"), "{path} {text}");
            assert_eq!(text.matches("1111").count(), 0, "{path} {text}");
            assert!(text.contains("[CARDS]"), "{path} {text}");
            let told = reply.header("x-optimux-guardrails");
            assert!(told.contains("input cards=mask"), "{path} {told}");
            let line = line(&gateway, reply.header("x-request-id"));
            let recorded = line["guardrails"].as_str().unwrap_or_default().to_owned();
            assert!(recorded.contains("output cards=mask"), "{path} {recorded}");
            assert_eq!(line["outcome"], "complete", "{path}");
        }
    }
    let metrics = gateway.get("/metrics", KEY).text();
    let counted = "optimux_guardrails_total{rule=\"cards\",stage=\"input\",verdict=\"mask\"} 8";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn what_is_blocked_on_the_way_in_is_neither_asked_nor_charged() {
    let provider = Provider::start(good("fine"));
    let rules = "[[guardrails]]\nname = \"deny\"\nkind = \"words\"\non = \"input\"\n\
                 words = [\"blue harvest\"]\n";
    let gateway = Gateway::start(&configured(&provider, rules));
    for (path, body) in doors("tell me of Blue\nHarvest", false) {
        let reply = gateway.post(&path, KEY, body.to_string());
        assert_eq!(reply.status, 400, "{path} {}", reply.text());
        assert!(reply.text().contains("'deny'"), "{}", reply.text());
        let line = line(&gateway, reply.header("x-request-id"));
        assert_eq!(line["guardrails"], "input deny=block");
        assert_eq!(line["cost_usd"], Value::Null);
    }
    let chat = &doors("blue harvest", false)[0];
    assert_eq!(
        gateway.post(&chat.0, KEY, chat.1.to_string()).json()["error"]["code"],
        "guardrail_blocked"
    );
    // In two parts, in what a tool came back with, and said twice, where the last is harmless.
    let parts = json!([{"type": "text", "text": "blue"}, {"type": "text", "text": " harvest"}]);
    for body in [
        json!({"model": "m", "messages": [{"role": "user", "content": parts}]}).to_string(),
        json!({"model": "m", "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
                "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "blue harvest"}]})
        .to_string(),
    ] {
        assert_eq!(gateway.post("/v1/chat/completions", KEY, body).status, 400);
    }
    assert_eq!(provider.count(), 0);
    let twice = r#"{"model":"m","messages":[{"role":"user","content":"blue harvest"}],"messages":[{"role":"user","content":"hi"}]}"#;
    assert_eq!(gateway.post("/v1/chat/completions", KEY, twice).status, 200);
    let asked = String::from_utf8(provider.last().body).unwrap();
    assert!(!asked.contains("harvest"), "{asked}");
    assert_eq!(
        gateway
            .chat(&json!({"model": "m", "messages": [{"role": "user", "content": "harvest"}]}))
            .status,
        200
    );
}

#[test]
fn a_body_that_passes_goes_on_as_its_bytes() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider, CARDS));
    let body =
        "{\"model\" :\"m\",  \"messages\": [ {\"role\":\"user\",\"content\":\"h\\u0069\"} ] }";
    let reply = gateway.post("/v1/chat/completions", KEY, body);
    assert_eq!(reply.status, 200);
    assert_eq!(String::from_utf8(provider.last().body).unwrap(), body);
    assert_eq!(reply.body, completion("m", "fine"));
    assert_eq!(reply.header("x-optimux-guardrails"), "");
}

#[test]
fn an_answer_that_is_blocked_is_withheld_and_what_was_delivered_is_charged() {
    let provider = saying(&["Well, the pass", "word is hun", "ter2 and more", " and more"]);
    let rules = "[[guardrails]]\nname = \"secrets\"\non = \"output\"\npatterns = ['hunter\\d']\n";
    let gateway = Gateway::start(&configured(&provider, rules));
    for (path, body) in doors("hi", false) {
        let reply = gateway.post(&path, KEY, body.to_string());
        assert_eq!(reply.status, 400, "{path} {}", reply.text());
        assert!(!reply.text().contains("hunter"), "{path}");
        let line = line(&gateway, reply.header("x-request-id"));
        assert_eq!(line["guardrails"], "output secrets=block");
        assert!(line["cost_usd"].as_f64().unwrap() > 0.0, "{line}");
    }
    for (path, body) in doors("hi", true) {
        let reply = gateway.post(&path, KEY, body.to_string());
        let text = reply.text();
        assert_eq!(reply.status, 200, "{path}");
        assert!(!text.contains("word is") && !text.contains("and more"), "{path} {text}");
        assert!(text.contains("'secrets'"), "{path} {text}");
        assert!(!text.contains("message_stop") && !text.contains("\"stop\""), "{path} {text}");
        let line = line(&gateway, reply.header("x-request-id"));
        assert_eq!(line["guardrails"], "output secrets=block");
        assert!(line["tokens_out"].as_u64().unwrap() > 0, "{line}");
    }
}

#[test]
fn a_plan_an_account_and_a_key_add_rules_and_take_none_away() {
    let provider = Provider::start(good("fine"));
    let rule = |name: &str, word: &str| {
        format!(
            "[[guardrails]]\nname = \"{name}\"\nkind = \"words\"\nalways = false\n\
             words = [\"{word}\"]\n"
        )
    };
    let rules = format!(
        "[plans.careful]\nguardrails = [\"one\"]\n{}{}{}",
        rule("one", "alpha"),
        rule("two", "beta"),
        rule("three", "gamma")
    );
    let gateway = Gateway::start(&configured(&provider, &rules));
    let said = |key: &str, text: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        gateway.post("/v1/chat/completions", key, body.to_string()).status
    };
    let (_, free) = gateway.account("free", "enterprise", &json!({}));
    assert_eq!(said(&free, "alpha beta gamma"), 200);
    let (account, key) = gateway.account("acme", "careful", &json!({"guardrails": []}));
    let other = gateway.key(&account, &json!({"guardrails": ["three"]}));
    assert_eq!([said(&key, "alpha"), said(&key, "beta"), said(&key, "gamma")], [400, 200, 200]);
    assert_eq!([said(&other, "alpha"), said(&other, "gamma")], [400, 400]);
    let changed = gateway.admin(
        "PATCH",
        &format!("/accounts/{account}"),
        &json!({"limits": {"guardrails": ["two"]}}),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    eventually("the account's own holds", || said(&key, "beta") == 400);
    assert_eq!([said(&key, "alpha"), said(&key, "gamma"), said(&key, "delta")], [400, 200, 200]);
    for (path, body) in [
        ("/keys", json!({"account": account, "guardrails": ["none-such"]})),
        (
            "/accounts",
            json!({"name": "x", "plan": "free", "limits": {"guardrails": ["none-such"]}}),
        ),
    ] {
        assert_eq!(gateway.admin("POST", path, &body).status, 400, "{path}");
    }
    let rules = rules.replace("name = \"three\"", "name = \"four\"");
    let config =
        format!("[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n{}", configured(&provider, &rules));
    std::fs::write(gateway.folder.join("optimux.toml"), config).unwrap();
    eventually("what is demanded and not there lets nothing through", || {
        said(&other, "delta") == 403
    });
    assert_eq!(said(&key, "delta"), 200);
}

#[test]
fn a_webhook_says_what_becomes_of_a_text() {
    let provider = saying(&["Ask An", "n Smith", " today"]);
    let hook = Provider::start(|socket, request, _| {
        let asked = request.json();
        assert!(asked["request_id"].as_str().unwrap().starts_with("req_"));
        let text = asked["text"].as_str().unwrap();
        let said = if text.contains("forbidden") {
            json!({"verdict": "block"})
        } else if text.contains("broken") {
            json!({"verdict": "perhaps"})
        } else if text.contains("Ann Smith") {
            json!({"verdict": "mask", "masks": ["Ann Smith"]})
        } else {
            json!({"verdict": "allow"})
        };
        respond(socket, 200, "", "application/json", said.to_string().as_bytes());
    });
    let rule = |name: &str, on_error: &str| {
        format!(
            "[[guardrails]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}/check\"\n\
             timeout = \"5s\"\nalways = {}\non_error = \"{on_error}\"\n",
            hook.base,
            name == "names"
        )
    };
    let gateway = Gateway::start(&configured(&provider, &rule("names", "block")));
    for stream in [false, true] {
        for (path, body) in doors("hello", stream) {
            let reply = gateway.post(&path, KEY, body.to_string());
            let text = reply.text();
            assert_eq!(reply.status, 200, "{path} {text}");
            assert!(text.contains("[NAMES]") && !text.contains("Smith"), "{path} {text}");
        }
    }
    let chat = |text: &str| {
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": text}]}))
    };
    assert_eq!(chat("forbidden").status, 400);
    assert_eq!(chat("broken").status, 400);
    assert_eq!(provider.count(), 8);
    drop(gateway);
    let gateway = Gateway::start(&configured(&provider, &rule("names", "allow")));
    let reply =
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": "broken"}]}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("x-optimux-guardrails").starts_with("input names=unanswered"));
}

#[test]
fn rules_are_taken_up_while_it_runs_and_faults_change_nothing() {
    let provider = Provider::start(good("fine"));
    let config = format!("[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n{}", configured(&provider, ""));
    let gateway = Gateway::start(&config);
    let said = || {
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": "1234-5678"}]}))
    };
    assert_eq!(said().header("x-optimux-guardrails"), "");
    let file = gateway.folder.join("optimux.toml");
    std::fs::write(&file, format!("{config}{CARDS}")).unwrap();
    eventually("the rule holds", || said().header("x-optimux-guardrails") == "input cards=mask");
    std::fs::write(&file, format!("{config}[[guardrails]]\nname = \"cards\"\npatterns = ['(']\n"))
        .unwrap();
    eventually("the fault is told of", || gateway.log().contains("guardrails.cards"));
    assert_eq!(said().header("x-optimux-guardrails"), "input cards=mask");
    let realtime = gateway.get("/v1/realtime?model=m", KEY);
    assert!(realtime.status >= 400);
}

/// Answers chat completions, and moderations as OpenAI does: what says "kill" is violent.
fn moderating() -> Provider {
    Provider::start(|socket, request, _| {
        if request.path() != "/v1/moderations" {
            return good("go and kill it")(socket, request, 0);
        }
        let asked = request.json();
        assert_eq!(asked["model"], "omni-moderation-latest");
        let text = asked["input"].as_str().unwrap();
        if text.contains("broken") {
            return respond(socket, 500, "", "application/json", br#"{"error":{"message":"no"}}"#);
        }
        let found = text.contains("kill");
        let score = if found { 0.7 } else { 0.01 };
        let said = json!({"id": "modr-1", "model": "omni-moderation-latest", "results": [{
            "flagged": found, "categories": {"violence": found, "hate": false},
            "category_scores": {"violence": score, "hate": 0.0}}]});
        respond(socket, 200, "", "application/json", said.to_string().as_bytes());
    })
}

fn moderation(settings: &str) -> String {
    format!(
        "[[guardrails]]\nname = \"policy\"\nkind = \"moderation\"\nprovider = \"p\"\n{settings}"
    )
}

#[test]
fn a_moderation_model_says_what_becomes_of_a_text() {
    let provider = moderating();
    let gateway = Gateway::start(&configured(&provider, &moderation("on = \"input\"\n")));
    for (path, body) in doors("how do I kill a process?", false) {
        let reply = gateway.post(&path, KEY, body.to_string());
        assert_eq!(reply.status, 400, "{path} {}", reply.text());
        assert!(reply.text().contains("'policy'"), "{path} {}", reply.text());
        let line = line(&gateway, reply.header("x-request-id"));
        assert_eq!(line["guardrails"], "input policy=block", "{line}");
        assert_eq!(line["moderation"], "policy: violence", "{line}");
        assert_eq!(line["cost_usd"], Value::Null);
    }
    let asked = provider.received.lock().unwrap().clone();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|one| one.path() == "/v1/moderations"));
    let metrics = gateway.get("/metrics", KEY).text();
    let counted = "optimux_guardrails_total{rule=\"policy\",stage=\"input\",verdict=\"block\"} 4";
    assert!(metrics.contains(counted), "{metrics}");
    let chat = |gateway: &Gateway, text: &str| {
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": text}]}))
    };
    assert_eq!(chat(&gateway, "hello").status, 200);
    // Whoever cannot be asked: closed, unless the rule says otherwise.
    assert_eq!(chat(&gateway, "broken").status, 400);
    let open = moderation("on = \"input\"\non_error = \"allow\"\n");
    let gateway = Gateway::start(&configured(&provider, &open));
    let reply = chat(&gateway, "broken");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-optimux-guardrails"), "input policy=unanswered");
    assert_eq!(chat(&gateway, "kill").status, 400);
}

#[test]
fn a_moderation_model_goes_by_categories_and_scores_and_sees_answers_before_they_leave() {
    let provider = moderating();
    let chat = |gateway: &Gateway, stream: bool| {
        gateway.chat(&json!({"model": "m", "stream": stream,
            "messages": [{"role": "user", "content": "hello"}]}))
    };
    for (settings, blocked) in [
        ("on = \"output\"\n", true),
        ("categories = [\"hate\"]\n", false),
        ("categories = [\"hate\", \"violence\"]\n", true),
        ("threshold = 0.9\n", false),
        ("threshold = 0.5\n", true),
        // What the model does not know lets nothing through.
        ("categories = [\"hatred\"]\n", true),
        ("action = \"flag\"\n", false),
    ] {
        let gateway = Gateway::start(&configured(&provider, &moderation(settings)));
        let whole = chat(&gateway, false);
        assert_eq!(whole.status == 400, blocked, "{settings} {}", whole.text());
        let flagged = settings.contains("flag");
        assert_eq!(whole.header("x-optimux-guardrails") == "output policy=flag", flagged);
        let stream = chat(&gateway, true);
        let withheld = !stream.text().contains("kill it");
        assert_eq!(withheld, blocked, "{settings} {}", stream.text());
    }
}

#[test]
fn a_moderation_model_of_nobody_keeps_the_gateway_from_starting() {
    let provider = moderating();
    let rule = moderation("").replace("provider = \"p\"\n", "");
    let folder = std::env::temp_dir().join(format!("optimux-moderation-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("optimux.toml"), configured(&provider, &rule)).unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .arg("check")
        .env_remove("OPENAI_API_KEY")
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success() && told.contains("guardrails.policy.provider"), "{told}");
    std::fs::remove_dir_all(&folder).unwrap();
}
