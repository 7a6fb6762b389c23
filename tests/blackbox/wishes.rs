//! How callers ask to be routed: OpenRouter's members in the body, headers, and what `/v1/route` says
//! of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, client, completion, good, respond, send};

/// Providers by the names of OpenRouter's examples. Each answers with its own name.
const PROVIDERS: [&str; 6] = ["anthropic", "openai", "together", "deepinfra", "azure", "gemini"];

struct House {
    gateway: Gateway,
    providers: Vec<Provider>,
}

impl House {
    fn start() -> Self {
        let providers: Vec<Provider> =
            PROVIDERS.iter().map(|name| Provider::start(good(name))).collect();
        Self { gateway: Gateway::start(&config(&providers)), providers }
    }

    /// What was answered, and by whom.
    fn chat(&self, body: &Value) -> (Reply, String) {
        let reply = self.gateway.chat(body);
        let by = reply.header("x-optimux-provider").to_owned();
        (reply, by)
    }

    fn route(&self, body: &Value) -> Value {
        self.gateway.post("/v1/route", KEY, body.to_string()).json()
    }
}

fn config(providers: &[Provider]) -> String {
    let mut config = String::new();
    for (name, provider) in PROVIDERS.iter().zip(providers) {
        let data = match *name {
            "azure" => "data = { trains = false, retention_days = 0 }\n",
            "together" => "data = { trains = false }\n",
            _ => "",
        };
        let _infallible = write!(
            config,
            "[providers.{name}]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\nauth = \"none\"\n{data}",
            provider.base
        );
    }
    let mut model = |id: &str, maker: &str, places: &[(&str, &str, f64)]| {
        let places: Vec<String> = places
            .iter()
            .map(|(provider, name, usd)| {
                format!("{{ provider = \"{provider}\", model = \"{name}\", usd_per_million = {{ input = {usd}, output = {usd} }} }}")
            })
            .collect();
        let _infallible = write!(
            config,
            "[[models]]\nid = \"{id}\"\nowned_by = \"{maker}\"\ncontext_tokens = 100000\nmax_output_tokens = 9000\ndeployments = [{}]\n",
            places.join(", ")
        );
    };
    model(
        "mixtral-8x7b-instruct",
        "mistral",
        &[("deepinfra", "m", 3.0), ("together", "m", 1.0), ("openai", "m", 2.0)],
    );
    model(
        "llama-3.3-70b",
        "meta",
        &[("deepinfra", "m", 2.0), ("together", "m", 3.0), ("azure", "m", 1.0)],
    );
    model(
        "llama-3.1-8b",
        "meta",
        &[("deepinfra", "llama-bf16", 1.0), ("together", "Llama-8B-FP8", 2.0), ("azure", "m", 3.0)],
    );
    model("deepseek-v3.2", "deepseek", &[("together", "m", 1.0), ("deepinfra", "m", 2.0)]);
    model("deepseek-r1", "deepseek", &[("together", "m", 1.0), ("deepinfra", "m", 2.0)]);
    model("claude-3-5-sonnet", "anthropic", &[("anthropic", "m", 9.0)]);
    model("claude-sonnet-4-5", "anthropic", &[("anthropic", "m", 9.0)]);
    model("gpt-4", "openai", &[("openai", "m", 5.0), ("azure", "m", 6.0)]);
    model("gpt-4o", "openai", &[("openai", "m", 5.0), ("azure", "m", 6.0)]);
    model("gpt-5-mini", "openai", &[("openai", "m", 5.0), ("azure", "m", 6.0)]);
    model("gemini-3-flash-preview", "google", &[("gemini", "m", 0.0)]);
    config
}

fn ask(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    let Value::Object(more) = more else { panic!("an object") };
    for (name, value) in more {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(&name);
        } else {
            body[name] = value;
        }
    }
    body
}

/// The bodies of OpenRouter's pages on provider routing and on model fallbacks, as printed there, each with
/// who answers here. Where the page names no model, `auto` chooses one.
fn printed() -> Vec<(Value, &'static [&'static str])> {
    let hello = |body: Value| {
        let mut body = body;
        let said = json!([{"role": "user", "content": "Hello"}]);
        body.as_object_mut().unwrap().entry("messages").or_insert(said);
        body
    };
    let meaning = json!([{"role": "user", "content": "What is the meaning of life?"}]);
    let three = json!([
        "anthropic/claude-sonnet-4.5",
        "openai/gpt-5-mini",
        "google/gemini-3-flash-preview"
    ]);
    let two = json!(["anthropic/claude-sonnet-4.5", "openai/gpt-5-mini"]);
    let llama = "meta-llama/llama-3.3-70b-instruct";
    let mixtral = "mistralai/mixtral-8x7b-instruct";
    let anybody: &[&str] = &PROVIDERS;
    let all: Vec<(Value, &[&str])> = vec![
        // Provider sorting and its shortcuts.
        (
            json!({"model": llama, "provider": {"sort": "throughput"}, "stream": false}),
            &["deepinfra"],
        ),
        (json!({"model": llama, "provider": {"sort": "price"}}), &["azure"]),
        (json!({"model": llama, "provider": {"sort": "latency"}}), &["deepinfra"]),
        (json!({"model": "meta-llama/llama-3.3-70b-instruct:nitro"}), &["deepinfra"]),
        (json!({"model": "meta-llama/llama-3.3-70b-instruct:floor"}), &["azure"]),
        // Advanced sorting with partition; performance thresholds.
        (
            json!({"models": three, "provider": {"sort": {"by": "throughput", "partition": "none"}}}),
            &["anthropic"],
        ),
        (
            json!({"models": three, "provider": {"sort": {"by": "price", "partition": "none"}, "preferred_min_throughput": {"p90": 50}}}),
            &["gemini"],
        ),
        (
            json!({"models": two, "provider": {"sort": {"by": "price", "partition": "none"}, "preferred_max_latency": {"p90": 3}}}),
            &["openai"],
        ),
        (
            json!({"model": "deepseek/deepseek-v3.2", "provider": {"preferred_max_latency": {"p50": 1, "p90": 3, "p99": 5}, "preferred_min_throughput": {"p50": 100, "p90": 50}}}),
            &["together"],
        ),
        (
            json!({"model": llama, "provider": {"preferred_min_throughput": 50, "preferred_max_latency": 3}}),
            &["deepinfra"],
        ),
        (
            json!({"models": three, "provider": {"sort": {"by": "price", "partition": "none"}}}),
            &["gemini"],
        ),
        // Ordering, targeting, and no fallbacks.
        (
            json!({"model": mixtral, "provider": {"order": ["openai", "together"]}, "stream": false}),
            &["openai"],
        ),
        (
            json!({"model": mixtral, "provider": {"order": ["openai", "together"], "allow_fallbacks": false}}),
            &["openai"],
        ),
        (
            json!({"model": "deepseek/deepseek-r1", "provider": {"order": ["deepinfra/turbo"], "allow_fallbacks": false}}),
            &["deepinfra"],
        ),
        (json!({"provider": {"allow_fallbacks": false}, "stream": false}), anybody),
        // Parameters, data and distillation.
        (
            json!({"provider": {"require_parameters": true}, "response_format": {"type": "json_object"}, "stream": false}),
            anybody,
        ),
        (json!({"provider": {"data_collection": "deny"}, "stream": false}), &["together", "azure"]),
        (json!({"model": "gpt-4", "provider": {"zdr": true}, "stream": false}), &["azure"]),
        (
            json!({"model": llama, "provider": {"enforce_distillable_text": true}, "stream": false}),
            &["deepinfra"],
        ),
        // Which providers, computed how, and at which price.
        (json!({"model": "openai/gpt-5-mini", "provider": {"only": ["azure"]}}), &["azure"]),
        (json!({"model": llama, "provider": {"ignore": ["deepinfra"]}}), &["together"]),
        (
            json!({"model": "meta-llama/llama-3.1-8b-instruct", "provider": {"quantizations": ["fp8"]}, "stream": false}),
            &["together"],
        ),
        (
            json!({"model": "meta-llama/llama-3.1-8b-instruct", "provider": {"quantizations": ["int4", "unknown"]}}),
            &["azure"],
        ),
        (
            json!({"model": llama, "provider": {"max_price": {"prompt": 1, "completion": 2}}}),
            &["azure"],
        ),
        (
            json!({"model": llama, "provider": {"sort": "throughput", "max_price": {"prompt": "2", "completion": "2", "request": "0", "image": 0}}}),
            &["deepinfra"],
        ),
        // Model fallbacks.
        (
            json!({"models": ["anthropic/claude-3.5-sonnet", "gryphe/mythomax-l2-13b"], "messages": meaning}),
            &["anthropic"],
        ),
        (
            json!({"model": "openai/gpt-4o", "models": ["anthropic/claude-3.5-sonnet", "gryphe/mythomax-l2-13b"], "messages": meaning}),
            &["openai"],
        ),
        (
            json!({"model": "openai/gpt-5-mini", "models": ["anthropic/claude-sonnet-4.5"], "route": "fallback"}),
            &["openai"],
        ),
        (json!({"model": "google/gemini-3-flash-preview:free"}), &["gemini"]),
    ];
    all.into_iter().map(|(body, by)| (hello(body), by)).collect()
}

#[test]
fn the_examples_of_openrouter_run_as_printed() {
    let house = House::start();
    for (body, by) in printed() {
        let (reply, answered_by) = house.chat(&body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        assert!(by.contains(&answered_by.as_str()), "{body}: {answered_by}");
        assert_eq!(reply.said(), answered_by);
    }
    // None of it is anybody else's business.
    for provider in &house.providers {
        for received in provider.received.lock().unwrap().iter() {
            let body = received.json();
            for member in ["provider", "models", "route", "auto_models"] {
                assert!(body.get(member).is_none(), "{body}");
            }
        }
    }
}

#[test]
fn what_cannot_be_met_is_named() {
    let house = House::start();
    for (model, more, member) in [
        ("gpt-5-mini", json!({"provider": {"only": ["together"]}}), "provider.only"),
        ("gpt-5-mini", json!({"provider": {"ignore": ["openai", "azure"]}}), "provider.ignore"),
        (
            "gpt-5-mini",
            json!({"provider": {"order": ["groq"], "allow_fallbacks": false}}),
            "provider.order",
        ),
        (
            "claude-sonnet-4-5",
            json!({"provider": {"data_collection": "deny"}}),
            "provider.data_collection",
        ),
        ("claude-sonnet-4-5", json!({"provider": {"zdr": true}}), "provider.zdr"),
        (
            "claude-sonnet-4-5",
            json!({"provider": {"max_price": {"completion": 1}}}),
            "provider.max_price",
        ),
        ("gpt-5-mini:free", json!({}), "provider.max_price"),
        ("gpt-5-mini", json!({"provider": {"quantizations": ["fp8"]}}), "provider.quantizations"),
        ("llama-3.1-8b", json!({"provider": {"quantizations": ["fp4"]}}), "provider.quantizations"),
        ("gpt-5-mini", json!({"provider": {"quantizations": ["fp7"]}}), "provider.quantizations"),
        (
            "gpt-5-mini",
            json!({"provider": {"enforce_distillable_text": true}}),
            "provider.enforce_distillable_text",
        ),
        ("gpt-5-mini", json!({"provider": {"experimental": {}}}), "provider.experimental"),
        ("gpt-5-mini", json!({"provider": {"sort": "beauty"}}), "provider.sort"),
        ("auto", json!({"provider": {"only": ["groq"]}}), "provider.only"),
        ("auto", json!({"auto_models": {"allow": ["grok-*"]}}), "auto_models.allow"),
        ("auto", json!({"auto_models": {"deny": ["*"]}}), "auto_models.deny"),
    ] {
        for stream in [false, true] {
            let mut body = ask(model, more.clone());
            body["stream"] = json!(stream);
            let (reply, _) = house.chat(&body);
            let error = &reply.json()["error"];
            assert_eq!(
                (reply.status, error["param"].as_str()),
                (400, Some(member)),
                "{body}: {error}"
            );
        }
    }
    assert!(house.providers.iter().all(|provider| provider.count() == 0));
}

#[test]
fn wishes_hold_on_every_dialect_and_in_headers() {
    let house = House::start();
    let wish = json!({"only": ["azure"]});
    let say = json!({"role": "user", "content": "hi"});
    for (path, body) in [
        (
            "/v1/chat/completions",
            json!({"model": "gpt-5-mini", "messages": [say], "provider": wish}),
        ),
        (
            "/v1/messages",
            json!({"model": "gpt-5-mini", "max_tokens": 9, "messages": [say], "provider": wish}),
        ),
        (
            "/v1/responses",
            json!({"model": "gpt-5-mini", "input": "hi", "store": false, "provider": wish}),
        ),
        (
            "/v1beta/models/gpt-5-mini:generateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "provider": wish}),
        ),
    ] {
        let reply = house.gateway.post(path, KEY, body.to_string());
        let by = reply.header("x-optimux-provider");
        assert_eq!((reply.status, by), (200, "azure"), "{path}: {}", reply.text());
        assert_eq!(reply.header("x-optimux-dropped"), "", "{path}");
    }
    // The first of a list is the model where none is named.
    let models = json!(["gpt-5-mini", "claude-sonnet-4-5"]);
    for (path, body) in [
        ("/v1/messages", json!({"models": models, "max_tokens": 9, "messages": [say]})),
        ("/v1/responses", json!({"models": models, "input": "hi", "store": false})),
    ] {
        let reply = house.gateway.post(path, KEY, body.to_string());
        let model = reply.header("x-optimux-model");
        assert_eq!((reply.status, model), (200, "gpt-5-mini"), "{path}: {}", reply.text());
    }
    let with = |name: &str, value: &str, model: &str| {
        let auto = json!({"allow": ["claude-sonnet-4-5", "mixtral-*"]});
        let more = if model == "auto" { json!({"auto_models": auto}) } else { json!({}) };
        let body = ask(model, more).to_string();
        let request = client().post(format!("{}/v1/chat/completions", house.gateway.base));
        send(request.bearer_auth(KEY).header(name, value).body(body))
    };
    let reply = with("x-optimux-provider-wishes", r#"{"only":["azure"]}"#, "gpt-5-mini");
    assert_eq!(reply.header("x-optimux-provider"), "azure");
    let reply = with("x-optimux-models", "gpt-5-mini, claude-sonnet-4-5", "nobody");
    assert_eq!(reply.header("x-optimux-model"), "gpt-5-mini");
    let reply = with("x-optimux-allow", "mistral/*", "auto");
    assert_eq!(reply.header("x-optimux-model"), "mixtral-8x7b-instruct");
    let reply = with("x-optimux-deny", "mixtral-*", "auto");
    assert_eq!(reply.header("x-optimux-model"), "claude-sonnet-4-5");
    for (name, value) in [
        ("x-optimux-provider-wishes", "azure"),
        ("x-optimux-timeouts", "first_token"),
        ("x-optimux-timeouts", "first_token=soon"),
        ("x-optimux-timeouts", "last_token=1s"),
    ] {
        let reply = with(name, value, "gpt-5-mini");
        assert_eq!((reply.status, reply.json()["error"]["param"].as_str()), (400, Some(name)));
    }
}

#[test]
fn a_route_says_what_wishes_did() {
    let house = House::start();
    let body = ask(
        "mixtral-8x7b-instruct",
        json!({"models": ["nobody", "llama-3.3-70b"], "provider": {"ignore": ["deepinfra"], "sort": "price"}}),
    );
    let route = house.route(&body);
    let plan: Vec<&str> = route["plan"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["provider"].as_str().unwrap())
        .collect();
    assert_eq!(plan, ["together", "openai", "azure", "together"]);
    assert_eq!(
        route["left_out"],
        json!([
            {"model": "nobody", "member": "models"},
            {"model": "mixtral-8x7b-instruct", "provider": "deepinfra", "member": "provider.ignore"},
            {"model": "llama-3.3-70b", "provider": "deepinfra", "member": "provider.ignore"},
        ])
    );
    let route = house.route(&ask("llama-3.1-8b", json!({"provider": {"quantizations": ["fp8"]}})));
    assert_eq!(
        route["plan"],
        json!([{"model": "llama-3.1-8b", "provider": "together", "tier": "free", "quantization": "fp8"}])
    );
    let member = "provider.quantizations";
    assert_eq!(
        route["left_out"],
        json!([
            {"model": "llama-3.1-8b", "provider": "deepinfra", "member": member},
            {"model": "llama-3.1-8b", "provider": "azure", "member": member},
        ])
    );
    assert!(house.providers.iter().all(|provider| provider.count() == 0));
}

#[test]
fn models_are_asked_in_turn() {
    let down = Provider::start(|socket, _, _| respond(socket, 503, "", "application/json", b"{}"));
    let up = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "up"));
    });
    let config = format!(
        "[providers.a]\nbase_url = \"{}/v1\"\n[providers.b]\nbase_url = \"{}/v1\"\n\
         [[models]]\nid = \"one\"\ndeployments = [{{ provider = \"a\", model = \"m\" }}]\n\
         [[models]]\nid = \"two\"\ndeployments = [{{ provider = \"b\", model = \"m\" }}]\n",
        down.base, up.base
    );
    let gateway = Gateway::start(&config);
    let reply = gateway.chat(&ask("one", json!({"models": ["one", "two"]})));
    assert_eq!((reply.status, reply.header("x-optimux-model")), (200, "two"), "{}", reply.text());
    assert_eq!(down.count(), 1, "a steady 503 is not asked again before another model");
}
