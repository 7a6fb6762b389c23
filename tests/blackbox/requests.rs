//! Good input and bad, from outside.

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chain, chunk, client, completion, end_chunks, eventually,
    good, respond, send,
};
use crate::servers::Postgres;

#[test]
fn bad_input_gets_the_documented_error() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&format!(
        "{}\n",
        chain(&[&provider]).replace("[server]\n", "[server]\nbody_limit_bytes = 100000\n")
    ));
    let message = json!([{"role": "user", "content": "hi"}]);
    let big = "x".repeat(200_000);
    let deep =
        format!("{{\"model\":\"m\",\"messages\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let cases: &[(&str, String, u16, &str, &str)] = &[
        (
            "not JSON",
            "{\"model\": \"m\", ".to_owned(),
            400,
            "invalid_request_error",
            "parse the JSON",
        ),
        ("empty", String::new(), 400, "invalid_request_error", "parse the JSON"),
        ("a list", "[]".to_owned(), 400, "invalid_request_error", "must be a JSON object"),
        (
            "a control character",
            String::from(
                "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\u{0}\"}]}",
            ),
            400,
            "invalid_request_error",
            "parse the JSON",
        ),
        ("too deep", deep, 400, "invalid_request_error", "parse the JSON"),
        (
            "no model",
            json!({"messages": message}).to_string(),
            400,
            "invalid_request_error",
            "'model'",
        ),
        (
            "no messages",
            json!({"model": "m"}).to_string(),
            400,
            "invalid_request_error",
            "'messages'",
        ),
        (
            "empty messages",
            json!({"model": "m", "messages": []}).to_string(),
            400,
            "invalid_request_error",
            "empty array",
        ),
        (
            "messages as text",
            json!({"model": "m", "messages": "hi"}).to_string(),
            400,
            "invalid_request_error",
            "expected an array",
        ),
        (
            "no role",
            json!({"model": "m", "messages": [{"content": "hi"}]}).to_string(),
            400,
            "invalid_request_error",
            "messages[0].role",
        ),
        (
            "unknown role",
            json!({"model": "m", "messages": [{"role": "alien", "content": "hi"}]}).to_string(),
            400,
            "invalid_request_error",
            "'alien'",
        ),
        (
            "content as number",
            json!({"model": "m", "messages": [{"role": "user", "content": 5}]}).to_string(),
            400,
            "invalid_request_error",
            "messages[0].content",
        ),
        (
            "temperature as text",
            json!({"model": "m", "messages": message, "temperature": "hot"}).to_string(),
            400,
            "invalid_request_error",
            "'temperature'",
        ),
        (
            "temperature too high",
            json!({"model": "m", "messages": message, "temperature": 3}).to_string(),
            400,
            "invalid_request_error",
            "'temperature'",
        ),
        (
            "stream as text",
            json!({"model": "m", "messages": message, "stream": "yes"}).to_string(),
            400,
            "invalid_request_error",
            "'stream'",
        ),
        (
            "negative max_tokens",
            json!({"model": "m", "messages": message, "max_tokens": -1}).to_string(),
            400,
            "invalid_request_error",
            "'max_tokens'",
        ),
        (
            "model as number",
            json!({"model": 4, "messages": message}).to_string(),
            400,
            "invalid_request_error",
            "'model'",
        ),
        (
            "unknown model",
            json!({"model": "nope", "messages": message}).to_string(),
            404,
            "not_found_error",
            "'nope'",
        ),
        (
            "too large",
            json!({"model": "m", "messages": [{"role": "user", "content": big}]}).to_string(),
            413,
            "invalid_request_error",
            "larger than",
        ),
    ];
    for (name, body, status, kind, words) in cases {
        let reply = gateway.post("/v1/chat/completions", KEY, body.clone());
        assert_eq!(reply.status, *status, "{name}: {}", reply.text());
        let error = &reply.json()["error"];
        assert_eq!(error["type"], *kind, "{name}");
        assert!(error["message"].as_str().unwrap().contains(words), "{name}: {error}");
        assert!(error["code"].is_string(), "{name}: {error}");
        assert!(error.get("param").is_some(), "{name}");
        assert!(reply.header("x-request-id").starts_with("req_"), "{name}");
    }
    assert_eq!(provider.count(), 0, "none of it reached a provider");
    let nowhere = gateway.get("/v1/nowhere", KEY);
    assert_eq!(
        (nowhere.status, nowhere.json()["error"]["type"].as_str()),
        (404, Some("not_found_error"))
    );
}

#[test]
fn every_way_to_present_a_key() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let url = format!("{}/v1/chat/completions", gateway.base);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let post = || client().post(&url).body(body.clone());
    for (name, value) in [
        ("authorization", format!("Bearer {KEY}")),
        ("authorization", format!("bearer {KEY}")),
        ("x-api-key", KEY.to_owned()),
        ("x-goog-api-key", KEY.to_owned()),
        ("sec-websocket-protocol", format!("realtime, openai-insecure-api-key.{KEY}")),
    ] {
        assert_eq!(send(post().header(name, &value)).status, 200, "{name}");
    }
    let missing = send(post());
    assert_eq!(
        (missing.status, missing.json()["error"]["type"].as_str()),
        (401, Some("authentication_error"))
    );
    for wrong in ["sk-optimux-0000000000000000000000000000000000000000000", "sk-other", ""] {
        let reply = send(post().bearer_auth(wrong));
        assert_eq!(reply.status, 401, "{wrong}");
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
    }
    let invalid = send(post().bearer_auth("sk-x"));
    assert_eq!(
        invalid.json()["error"],
        json!({"message": "Invalid API key provided.", "type": "authentication_error", "param": null, "code": "invalid_api_key"})
    );
    // In the address only on Gemini's paths.
    let in_address = send(client().post(format!("{url}?key={KEY}")).body(body.clone()));
    assert_eq!(in_address.status, 401);
    for version in ["v1", "v1beta"] {
        let url = format!("{}/{version}/models/none:generateContent?key={KEY}", gateway.base);
        let known = send(client().post(url).body(r#"{"contents":[]}"#));
        assert_eq!(known.status, 404, "{version}: {}", known.text());
    }
}

#[test]
fn keys_are_made_rotated_and_revoked_on_sqlite() {
    keys_are_made_rotated_and_revoked("sqlite://optimux.db");
    let gateway = Gateway::start("");
    let key = gateway.command(&["key", "create", "--account", "first"]);
    // What was just written stands in the log beside the file.
    let mut store = Vec::new();
    for name in ["optimux.db", "optimux.db-wal"] {
        store.extend(std::fs::read(gateway.folder.join(name)).unwrap_or_default());
    }
    let holds = |text: &str| memchr::memmem::find(&store, text.as_bytes()).is_some();
    assert!(holds(&optimux::base::secret::KeyHash::of(&key).to_hex()), "its hash is kept");
    assert!(!holds(&key), "and nothing else");
}

#[test]
fn keys_are_made_rotated_and_revoked_on_postgresql() {
    let Some(postgres) = Postgres::start() else {
        eprintln!("skipped keys_are_made_rotated_and_revoked_on_postgresql: no initdb here");
        return;
    };
    keys_are_made_rotated_and_revoked(&postgres.url);
}

fn keys_are_made_rotated_and_revoked(store: &str) {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&format!("[store]\nurl = \"{store}\"\n{}", chain(&[&provider])));
    let ask = |key: &str| {
        gateway
            .post(
                "/v1/chat/completions",
                key,
                json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string(),
            )
            .status
    };

    gateway.command(&["account", "create", "acme", "--plan", "pro"]);
    let made: Value =
        serde_json::from_str(&gateway.command(&["key", "create", "--account", "acme", "--json"]))
            .unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("sk-optimux-") && key.len() == 11 + 43);
    assert_eq!(ask(key), 200);
    assert!(!gateway.command(&["key", "list"]).contains(key), "shown once");

    let rotated: Value =
        serde_json::from_str(&gateway.command(&["key", "rotate", id, "--json"])).unwrap();
    let second = rotated["key"].as_str().unwrap();
    assert_eq!((ask(key), ask(second)), (200, 200), "both, while they overlap");
    gateway.command(&["key", "revoke", id]);
    eventually("the revoked key is refused", || ask(key) == 401);
    assert_eq!(ask(second), 200);

    // The same over HTTP, where it takes effect at once.
    let account =
        gateway.post("/v1/admin/accounts", KEY, r#"{"name":"zeta","plan":"starter"}"#).json();
    let made = gateway
        .post("/v1/admin/keys", KEY, json!({"account": account["id"], "name": "ci"}).to_string())
        .json();
    let third = made["key"].as_str().unwrap().to_owned();
    assert_eq!(ask(&third), 200);
    let path = format!("/v1/admin/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(
        send(client().delete(format!("{}{path}", gateway.base)).bearer_auth(KEY)).status,
        200
    );
    assert_eq!(ask(&third), 401);
    assert_eq!(
        gateway.post("/v1/admin/keys", second, r#"{"account":"acme"}"#).status,
        403,
        "a customer is no administrator"
    );
    assert_eq!(gateway.post("/v1/admin/accounts", KEY, r#"{"name":"zeta"}"#).status, 409);
    assert!(!gateway.log().contains(&third), "no key in the log");
}

#[test]
fn the_same_dialect_passes_byte_for_byte() {
    let answer = br#"{ "id":"x",  "choices" : [ {"index":0,"message":{"role":"assistant","content":"\u00e9 "},"finish_reason":"stop"} ],"new_member":{"a":[1, 2.50]},"model":"m-2026-01-01","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2} }"#;
    let provider =
        Provider::start(move |socket, _, _| respond(socket, 200, "", "application/json", answer));
    let gateway = Gateway::start(&chain(&[&provider]));
    let sent = "{ \"messages\" : [ {\"role\":\"user\", \"content\":\"\\u00e9\"} ], \"unheard_of\": 1.50,\n \"model\" : \"m\" }";
    let reply = gateway.post("/v1/chat/completions", KEY, sent);
    assert_eq!(reply.body, answer);
    assert_eq!(provider.last().body, sent.as_bytes());
    assert!(!provider.last().head.contains(KEY), "our key is not the provider's");
}

#[test]
fn the_providers_own_name_is_not_the_customers() {
    let provider = Provider::start(|socket, request, _| {
        assert_eq!(request.json()["model"], "inner/name");
        if request.json()["stream"] == true {
            use std::io::Write;
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(
                socket,
                &crate::house::delta("inner/name", &json!({"content": "a"}), Some("stop")),
            );
            chunk(socket, b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"inner/name\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\ndata: [DONE]\n\n");
            end_chunks(socket);
        } else {
            respond(socket, 200, "", "application/json", &completion("inner/name", "a"));
        }
    });
    let config = chain(&[&provider]).replace("model = \"m\" }", "model = \"inner/name\" }");
    let gateway = Gateway::start(&config);
    let ask = |stream: bool| {
        gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}))
    };
    assert_eq!(ask(false).json()["model"], "m");
    let events = ask(true).events();
    assert_eq!(events.len(), 1, "usage that nobody asked for is left out: {events:?}");
    assert_eq!(events[0]["model"], "m");
    assert_eq!(provider.last().json()["stream_options"], json!({"include_usage": true}));
}

#[test]
fn a_stream_without_its_last_word_gets_one() {
    let provider = Provider::start(|socket, _, _| {
        use std::io::Write;
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &crate::house::delta("m", &json!({"content": "a"}), Some("stop")));
        end_chunks(socket);
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let reply = gateway.chat(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true, "stream_options": {"include_usage": true}}));
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
}

#[test]
fn auto_chooses_explains_and_keeps_to_the_needs() {
    let gateway = Gateway::start("");
    let ask = |model: &str, extra: Value| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        gateway.chat(&body)
    };
    let reply = ask("auto", json!({}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("x-optimux-decision").starts_with("auto:balanced -> "));
    assert_eq!(reply.json()["model"], reply.header("x-optimux-model"));
    let route = |model: &str| {
        gateway.post("/v1/route", KEY, json!({"model": model, "messages": [{"role": "user", "content": "Prove that there are infinitely many primes, step by step, and compare two strategies."}]}).to_string()).json()
    };
    let quality = |model: &str| route(model)["explanation"]["kept"][0]["quality"].as_f64().unwrap();
    assert!(quality("auto:cheap") <= quality("auto") && quality("auto") <= quality("auto:best"));
    assert_eq!(route("auto")["model"], route("auto:balanced")["model"]);
    assert_eq!(route("gpt-4o")["plan"][0]["model"], "gpt-4o");

    let models = gateway.get("/v1/models", KEY).json();
    assert_eq!(models["data"][0]["id"], "auto");
    assert!(models["data"].as_array().unwrap().len() >= 56);
    assert_eq!(
        gateway.get("/v1/models/claude-sonnet-4-20250514", KEY).json()["id"],
        "claude-sonnet-4"
    );
    assert_eq!(gateway.get("/v1/models/auto", KEY).json()["owned_by"], "optimux");
    assert_eq!(gateway.get("/v1/models/none", KEY).status, 404);
    assert_eq!(gateway.get("/api/v1/models", KEY).status, 200);
    assert_eq!(gateway.get("/v1/models", "").status, 401);
}

#[test]
fn a_plan_without_a_tier_refuses_its_models() {
    let gateway = Gateway::start("[plans.free]\ntiers = [\"free\", \"budget\"]\n");
    gateway.command(&["account", "create", "small"]);
    let key = gateway.command(&["key", "create", "--account", "small"]);
    let ask = |model: &str| {
        gateway.post(
            "/v1/chat/completions",
            &key,
            json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string(),
        )
    };
    let refused = ask("claude-opus-4");
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (403, Some("permission_error"))
    );
    assert_eq!(ask("deepseek-v3").status, 200);
    assert_eq!(ask("auto:best").status, 200);
}

#[test]
fn check_says_what_is_wrong() {
    let gateway = Gateway::start("");
    std::fs::write(
        gateway.folder.join("bad.toml"),
        "[[models]]\nid = \"x\"\ndeployments = [{ provider = \"ghost\" }]\n",
    )
    .unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(["check", "--config", "bad.toml"])
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    assert!(!done.status.success());
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("there is no provider 'ghost'"), "{told}");
    assert!(gateway.command(&["check"]).contains("good"));
}

#[test]
fn invalid_utf8_is_refused() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let body = b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}";
    assert_eq!(gateway.post("/v1/chat/completions", KEY, &body[..]).status, 400);
    let body = b"{\"model\":\"\xff\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    assert_eq!(gateway.post("/v1/chat/completions", KEY, &body[..]).status, 400);
}

#[test]
fn the_configuration_of_the_contract_is_accepted() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&format!(
        "[redis]\nurl = \"redis://127.0.0.1:1\"\n[plans.pro]\nrequests_per_minute = 300\n\
         credits_per_month = 1000\n{}\n[[models]]\nid = \"other\"\ndeployments = [{{ provider = \"p0\", \
         model = \"m\", usd_per_million = {{ input = 2.5, output = 10.0, cache_read = 1.25 }} }}]\n",
        chain(&[&provider])
    ));
    let ask = |model: &str| {
        gateway.chat(&json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
    };
    assert_eq!(ask("other").status, 200);
    assert_eq!(ask("p0/other").header("x-optimux-provider"), "p0");
    assert_eq!(ask("p1/other").status, 404);
}

#[test]
fn a_silent_stream_is_kept_alive() {
    let provider = Provider::start(|socket, _, _| {
        use std::io::Write;
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &crate::house::delta("m", &json!({"content": "a"}), None));
        std::thread::sleep(std::time::Duration::from_millis(500));
        chunk(socket, &crate::house::delta("m", &json!({"content": "b"}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let config = chain(&[&provider])
        .replace("[upstream]\n", "[upstream]\nkeep_alive = \"100ms\"\n")
        .replace("idle_timeout = \"400ms\"", "idle_timeout = \"5s\"");
    let gateway = Gateway::start(&config);
    let reply = gateway.chat(
        &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true}),
    );
    assert_eq!(reply.said(), "ab");
    let kept = reply.text().matches(": keep-alive\n\n").count();
    assert!((2..=5).contains(&kept), "{kept}");
}

#[test]
fn a_stream_under_way_outlives_the_signal_to_stop() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let (begun, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begin, stop) = (Arc::clone(&begun), Arc::clone(&stopped));
    let provider = Provider::start(move |socket, _, _| {
        use std::io::Write;
        let _ = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &crate::house::delta("m", &json!({"content": "before"}), None));
        begin.store(true, Ordering::SeqCst);
        eventually("the gateway is stopping", || stop.load(Ordering::SeqCst));
        chunk(socket, &crate::house::delta("m", &json!({"content": " and after"}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let gateway = Gateway::start(&chain(&[&provider]).replace("400ms", "20s").replace("3s", "20s"));
    let address = gateway.base.trim_start_matches("http://").to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the stream has begun", || begun.load(Ordering::SeqCst));
            gateway.ask_to_stop();
            eventually("nobody else is let in", || std::net::TcpStream::connect(&address).is_err());
            stopped.store(true, Ordering::SeqCst);
        });
        let reply = gateway.chat(
            &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true}),
        );
        assert_eq!(reply.said(), "before and after");
        assert!(reply.whole);
    });
}

#[test]
fn a_stream_that_the_grace_cuts_says_so_and_takes_no_credits() {
    for front in ["/v1/chat/completions", "/v1/messages"] {
        let provider = Provider::start(|socket, _, _| {
            use std::io::{Read, Write};
            let _ = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(socket, &crate::house::delta("m", &json!({"content": "before"}), None));
            let _ = socket.read(&mut [0; 1]);
        });
        let config = chain(&[&provider])
            .replace("400ms", "20s")
            .replace("[server]\n", "[server]\nshutdown_grace = \"1s\"\ndrain_delay = 0\n");
        let mut gateway = Gateway::start(&config);
        let body = json!({"model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let reply = std::thread::scope(|scope| {
            let asking = scope.spawn(|| gateway.post(front, KEY, body.to_string()));
            eventually("the stream is under way", || provider.count() == 1);
            gateway.ask_to_stop();
            asking.join().unwrap()
        });
        let text = reply.text();
        assert!(reply.whole && text.contains("before"), "{text}");
        let last: Value =
            serde_json::from_str(text.trim_end().rsplit("data: ").next().unwrap()).unwrap();
        let told = last["error"]["message"].as_str().unwrap();
        assert!(told.contains("being stopped"), "{text}");
        gateway.has_stopped();
        gateway.start_again();
        let id = reply.header("x-request-id").to_owned();
        let booked = gateway.get(&format!("/v1/requests/{id}"), KEY).json();
        assert_eq!((&booked["status"], &booked["credits"]), (&json!("failed"), &json!(0)));
        assert_eq!(booked["usage"]["output_tokens"], 1, "{booked}");
    }
}

#[test]
fn what_a_provider_cannot_be_told_is_named() {
    let gateway = Gateway::start("");
    let ask = |extra: Value| {
        let mut body =
            json!({"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        gateway.chat(&body)
    };
    assert_eq!(ask(json!({})).header("x-optimux-dropped"), "");
    let dropped = ask(json!({"seed": 7, "logit_bias": {"1": 2}, "made\r\nup": 1}));
    assert_eq!(dropped.status, 200);
    assert_eq!(dropped.header("x-optimux-dropped"), "seed, logit_bias, madeup");
    // What changes the answer is refused instead.
    let refused = ask(json!({"n": 2}));
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("n")));
}

#[test]
fn strict_mode_refuses_what_would_be_dropped() {
    let provider = Provider::start(|socket, _, _| {
        let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "fine"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
    });
    let config = chain(&[&provider]).replace("openai-chat", "anthropic");
    let gateway = Gateway::start(&config);
    let body = json!({"model": "m", "seed": 7, "messages": [{"role": "user", "content": "hi"}]});
    let lenient = gateway.chat(&body);
    assert_eq!((lenient.status, lenient.header("x-optimux-dropped")), (200, "seed"));
    let strictly = |gateway: &Gateway, body: &Value, header: &str| {
        let url = format!("{}/v1/chat/completions", gateway.base);
        let request = client().post(url).bearer_auth(KEY).header("x-optimux-strict", header);
        send(request.body(body.to_string()))
    };
    let refused = strictly(&gateway, &body, "true");
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("seed")));
    assert_eq!(provider.count(), 1);
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(strictly(&gateway, &plain, "true").status, 200);
    assert_eq!(strictly(&gateway, &body, "false").status, 200);
    let always = Gateway::start(&config.replace("[server]\n", "[server]\nstrict = true\n"));
    assert_eq!(always.chat(&body).status, 400);
}
