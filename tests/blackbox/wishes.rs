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
    let mut model = |id: &str, maker: &str, places: &[(&str, f64)]| {
        let places: Vec<String> = places
            .iter()
            .map(|(provider, usd)| {
                format!("{{ provider = \"{provider}\", model = \"m\", usd_per_million = {{ input = {usd}, output = {usd} }} }}")
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
        &[("deepinfra", 3.0), ("together", 1.0), ("openai", 2.0)],
    );
    model("llama-3.3-70b", "meta", &[("deepinfra", 2.0), ("together", 3.0), ("azure", 1.0)]);
    model("claude-sonnet-4-5", "anthropic", &[("anthropic", 9.0)]);
    model("gpt-5-mini", "openai", &[("openai", 5.0), ("azure", 6.0)]);
    model("gemini-3-flash-preview", "google", &[("gemini", 0.0)]);
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

/// The bodies of OpenRouter's pages on provider routing and on model fallbacks, as printed there.
#[test]
fn the_examples_of_openrouter_run_as_printed() {
    let house = House::start();
    for (body, by) in [
        (
            ask("meta-llama/llama-3.3-70b-instruct", json!({"provider": {"sort": "throughput"}})),
            "deepinfra",
        ),
        (ask("meta-llama/llama-3.3-70b-instruct:nitro", json!({})), "deepinfra"),
        (ask("meta-llama/llama-3.3-70b-instruct", json!({"provider": {"sort": "price"}})), "azure"),
        (ask("meta-llama/llama-3.3-70b-instruct:floor", json!({})), "azure"),
        (
            ask(
                "mistralai/mixtral-8x7b-instruct",
                json!({"provider": {"order": ["openai", "together"]}}),
            ),
            "openai",
        ),
        (
            ask(
                "mistralai/mixtral-8x7b-instruct",
                json!({"provider": {"order": ["openai", "together"], "allow_fallbacks": false}}),
            ),
            "openai",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"order": ["deepinfra/turbo"], "allow_fallbacks": false}}),
            ),
            "deepinfra",
        ),
        (
            ask("mistralai/mixtral-8x7b-instruct", json!({"provider": {"allow_fallbacks": false}})),
            "deepinfra",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"require_parameters": true}, "response_format": {"type": "json_object"}}),
            ),
            "deepinfra",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"data_collection": "deny"}}),
            ),
            "together",
        ),
        (ask("meta-llama/llama-3.3-70b-instruct", json!({"provider": {"zdr": true}})), "azure"),
        (ask("openai/gpt-5-mini", json!({"provider": {"only": ["azure"]}})), "azure"),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"ignore": ["deepinfra"]}}),
            ),
            "together",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"max_price": {"prompt": 1, "completion": 2}}}),
            ),
            "azure",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"sort": "price", "preferred_min_throughput": {"p90": 50}}}),
            ),
            "azure",
        ),
        (
            ask(
                "meta-llama/llama-3.3-70b-instruct",
                json!({"provider": {"sort": "price", "preferred_max_latency": {"p90": 3, "p99": 5}}}),
            ),
            "azure",
        ),
        (
            ask(
                "",
                json!({"model": null, "models": ["anthropic/claude-sonnet-4.5", "openai/gpt-5-mini", "google/gemini-3-flash-preview"], "provider": {"sort": {"by": "throughput", "partition": "none"}}}),
            ),
            "anthropic",
        ),
        (
            ask(
                "",
                json!({"model": null, "models": ["anthropic/claude-sonnet-4.5", "openai/gpt-5-mini", "google/gemini-3-flash-preview"], "provider": {"sort": {"by": "price", "partition": "none"}}}),
            ),
            "gemini",
        ),
        (
            ask(
                "",
                json!({"model": null, "models": ["anthropic/claude-sonnet-4.5", "gryphe/mythomax-l2-13b"]}),
            ),
            "anthropic",
        ),
        (
            ask(
                "openai/gpt-5-mini",
                json!({"models": ["anthropic/claude-sonnet-4.5"], "route": "fallback"}),
            ),
            "openai",
        ),
        (ask("google/gemini-3-flash-preview:free", json!({})), "gemini"),
    ] {
        let (reply, answered_by) = house.chat(&body);
        assert_eq!((reply.status, answered_by.as_str()), (200, by), "{body}: {}", reply.text());
        assert_eq!(reply.said(), by);
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
