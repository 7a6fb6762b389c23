//! What customers are asked for and told of money: their own price, and no cost of ours where they are not to
//! know it.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::console::{OPEN, Page, Tab};
use crate::house::{
    Gateway, KEY, Provider, Received, chunk, client, delta, end_chunks, eventually, respond, send,
};
use crate::rights::{filled, routes};
use crate::signin::{member, sign_in};

const PASSWORD: &str = "correct horse battery staple";
/// Seven tokens at 7,777 USD a million: what the deployment that answers charges.
const COST_NANOS: i64 = 54_439_000;
/// The same at the first deployment's 1,000 USD, and half as much again.
const LIST_NANOS: i64 = 10_500_000;

/// Answers as OpenRouter does, with what it charges.
fn with_cost(socket: &mut std::net::TcpStream, request: &Received, _: usize) {
    let usage = json!({
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": 0.054_439,
        "cost_details": {"upstream_inference_cost": 0.054_439},
    });
    if request.json()["stream"] != true {
        let body = json!({
            "id": "gen-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop"}],
            "usage": usage,
        });
        respond(socket, 200, "", "application/json", body.to_string().as_bytes());
        return;
    }
    let said = |choices: &Value, usage: Option<&Value>| {
        let mut event = json!({"id": "gen-1", "object": "chat.completion.chunk", "created": 1,
            "model": "m", "choices": choices});
        if let Some(usage) = usage {
            event["usage"] = usage.clone();
        }
        format!("data: {event}\n\n").into_bytes()
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let _gone = socket.write_all(head.as_bytes());
    chunk(socket, &said(&json!([{"index": 0, "delta": {"content": "Hello"}}]), None));
    let last = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    chunk(socket, &said(&last, Some(&usage)));
    chunk(socket, b"data: [DONE]\n\n");
    end_chunks(socket);
}

/// The model `m` at a cheap provider that fails and a dear one that answers; half as much again is asked.
fn config(failing: &Provider, answering: &Provider, more: &str) -> String {
    let provider = |name: &str, base: &str| {
        format!("[providers.{name}]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n")
    };
    let place = |name: &str, usd: u32| {
        format!(
            "{{ provider = \"{name}\", model = \"m\", usd_per_million = {{ input = {usd}, output = {usd} }} }}"
        )
    };
    format!(
        "{OPEN}{}{}[[models]]\nid = \"m\"\ntier = \"budget\"\ndeployments = [{}, {}]\n\
         [plans.pro]\nmargin = 0.5\n{more}",
        provider("cheap", &failing.base),
        provider("dear", &answering.base),
        place("cheap", 1_000),
        place("dear", 7_777),
    )
}

/// A member that names a cost, or the cost itself, in whatever unit.
fn tells_cost(text: &str) -> Option<&'static str> {
    let words =
        ["\"cost", "_cost", "cost_", "cost $", "54439", "0.0544", "$0.054", ">Cost", "\"Cost"];
    // What a caller is ready to pay is the caller's own word.
    let text = text.replace("max_cost", "");
    words.into_iter().find(|word| text.contains(word))
}

fn asking(model: &str, stream: bool) -> String {
    let mut said = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    if stream {
        said["stream"] = json!(true);
        said["stream_options"] = json!({"include_usage": true});
    }
    said.to_string()
}

#[test]
fn customers_who_are_not_to_know_costs_find_none_anywhere() {
    let failing = Provider::start(|socket, _: &Received, _| {
        respond(socket, 500, "", "application/json", br#"{"error":{"message":"no"}}"#);
    });
    let answering = Provider::start(with_cost);
    let hidden = "[billing]\nshow_cost = false\n";
    let gateway = Gateway::start(&config(&failing, &answering, hidden));
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let (mut ids, mut told) = (Vec::new(), Vec::new());
    for (surface, body) in [
        ("/v1/chat/completions", asking("m", false)),
        ("/v1/chat/completions", asking("m", true)),
        ("/v1/chat/completions", asking("auto", false)),
        ("/v1/chat/completions", asking("auto", true)),
        ("/v1/responses", json!({"model": "auto", "input": "Hello"}).to_string()),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]})
                .to_string(),
        ),
    ] {
        let reply = gateway.post(surface, &key, body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let headers: Vec<String> = reply
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        ids.push(reply.header("x-request-id").to_owned());
        told.push((surface.to_owned(), format!("{}\n{}", headers.join("\n"), reply.text())));
    }
    assert!(told.iter().any(|(_, text)| text.contains("x-optimux-decision")), "auto says why");
    let route = gateway.post("/v1/route", &key, asking("auto", false));
    told.push(("/v1/route".to_owned(), route.text()));
    let agent = json!({"name": "helper", "model": "m", "instructions": "Help."}).to_string();
    let made = gateway.post("/v1/agents", &key, agent).json();
    let path = format!("/v1/agents/{}/runs", made["id"].as_str().unwrap());
    let run = gateway.post(&path, &key, json!({"input": "Hello"}).to_string());
    assert_eq!(run.status, 200, "{}", run.text());
    told.push((path, run.text()));
    let booked =
        || ids.iter().all(|id| gateway.get(&format!("/v1/requests/{id}"), &key).status == 200);
    eventually("they are in the books", booked);
    // A stream whose first, cheap answer stands.
    let tried = send(
        client()
            .post(format!("{}/v1/chat/completions", gateway.base))
            .bearer_auth(&key)
            .header("x-optimux-cascade", "true")
            .body(asking("auto", true)),
    );
    assert_eq!(tried.status, 200, "{}", tried.text());
    told.push(("a cascade".to_owned(), tried.text()));
    for path in ["/metrics", "/healthz", "/readyz"] {
        told.push((path.to_owned(), gateway.get(path, "").text()));
    }
    let described = gateway.get("/openapi.json", "").json();
    let gets = described["paths"].as_object().unwrap().iter();
    let gets = gets.filter(|(_, methods)| methods.get("get").is_some()).map(|(path, _)| path);
    let mut seen = 0;
    for path in gets.filter(|path| !path.starts_with("/v1/admin") && *path != "/openapi.json") {
        let mut path = filled(path, &ids[2]);
        if path.contains("/organization/") {
            path += "?start_time=0&limit=31&group_by=line_item";
        }
        let reply = gateway.get(&path, &key);
        seen += usize::from(reply.status == 200);
        told.push((path, reply.text()));
    }
    assert!(seen > 15, "{seen} endpoints answered");
    for group in ["model", "key", "provider", "tier", "day", "hour"] {
        for format in ["json", "csv"] {
            let path = format!("/v1/usage?group_by={group}&format={format}");
            told.push((path.clone(), gateway.get(&path, &key).text()));
        }
    }
    for (method, route) in routes() {
        // The documentation names the members that others see.
        if method == "get" && !route.starts_with("/assets") && route != "/docs" {
            let path = filled(&route, &ids[2]);
            told.push((path.clone(), tab.get(&path).text));
        }
    }
    for (path, text) in &told {
        assert_eq!(tells_cost(text), None, "{path}: {text}");
    }

    // What they are told in its place: their own price, on pages as in the interface.
    let one = gateway.get(&format!("/v1/requests/{}", ids[0]), &key).json();
    assert_eq!(one["list_nano_usd"], LIST_NANOS, "{one}");
    tab.get(&format!("/console/requests/{}", ids[0])).has("<dt>Price</dt><dd>$0.0105</dd>");
    let usage = gateway.get("/v1/usage?group_by=model", &key).json();
    assert_eq!(usage["usage"]["list_nano_usd"], 8 * LIST_NANOS, "{usage}");
    let models = gateway.get("/optima/v1/models", &key).json();
    let price = |told: &Value| {
        let all = told["data"].as_array().unwrap();
        let model = all.iter().find(|one| one["id"] == "m").unwrap();
        (model["usd_per_million_tokens"]["input"].as_f64(), model["credits_per_request"].clone())
    };
    assert_eq!(price(&models), (Some(1_500.0), json!(1)), "{models}");
    tab.get("/console/models").has("$1,500.00");
    // An account may have a margin of its own.
    let account = one["account"].as_str().unwrap();
    let change = json!({"limits": {"margin": 0.1}});
    let changed = gateway.admin("PATCH", &format!("/accounts/{account}"), &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    eventually("it is in force", || {
        price(&gateway.get("/optima/v1/models", &key).json()).0 == Some(1_100.0)
    });

    // Administrators see both.
    let of_admin = gateway.get(&format!("/v1/requests/{}", ids[0]), KEY).json();
    assert_eq!(of_admin["cost_nano_usd"], COST_NANOS, "{of_admin}");
    assert_eq!(of_admin["list_nano_usd"], LIST_NANOS, "{of_admin}");
    gateway.has_right_books();
}

/// The least bound under which `auto` is planned, in nano-USD: what a caller finds out by trying.
fn least_bound(gateway: &Gateway, key: &str) -> i64 {
    let passes = |nanos: i64| {
        let reply = send(
            client()
                .post(format!("{}/v1/route", gateway.base))
                .bearer_auth(key)
                .header(
                    "x-optimux-max-cost-usd",
                    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
                )
                .body(asking("auto", false)),
        );
        reply.status == 200
    };
    let (mut least, mut most) = (0, 100_000_000_000);
    while least < most {
        let middle = i64::midpoint(least, most);
        if passes(middle) { most = middle } else { least = middle + 1 }
    }
    least
}

#[test]
fn what_callers_may_bound_is_their_own_price() {
    let answering = Provider::start(with_cost);
    let hidden = |usd: u32| {
        let config = config(&answering, &answering, "[billing]\nshow_cost = false\n");
        Gateway::start(&config.replace("7777", &usd.to_string()))
    };
    let bounds: Vec<i64> = [7_777, 50]
        .map(|usd| {
            let gateway = hidden(usd);
            let (_, key) = gateway.account("acme", "pro", &json!({}));
            let priced = |most: f64| {
                let mut body: Value = serde_json::from_str(&asking("m", false)).unwrap();
                body["provider"] = json!({"max_price": {"prompt": most}});
                gateway.post("/v1/route", &key, body.to_string()).status
            };
            assert_eq!((priced(1_499.0), priced(1_500.0)), (400, 200), "at {usd}");
            least_bound(&gateway, &key)
        })
        .to_vec();
    assert_eq!(bounds[0], bounds[1], "whatever the second deployment costs");
}

#[test]
fn what_is_kept_for_one_caller_tells_no_other_its_cost() {
    let answering = Provider::start(with_cost);
    let more = "[billing]\nshow_cost = false\n[plans.pro.features]\nresponse_cache = true\n";
    let gateway = Gateway::start(&config(&answering, &answering, more));
    let (account, key) = gateway.account("acme", "pro", &json!({}));
    member(&gateway, &account, "admin@example.com", "admin");
    let (admin, _) = sign_in(&gateway, "admin@example.com");
    // Administrators of the gateway are told, and fill the cache and what is kept.
    let first = gateway.post("/v1/chat/completions", &admin, asking("auto", false));
    assert!(first.text().contains("\"cost\""), "{}", first.text());
    let second = gateway.post("/v1/chat/completions", &key, asking("auto", false));
    assert_eq!(tells_cost(&second.text()), None, "{}", second.text());
    assert!(!second.header("x-optimux-decision").contains("cost"));
    let kept = json!({"model": "m", "input": "Hello", "store": true}).to_string();
    let kept = gateway.post("/v1/responses", &admin, kept).json();
    let path = format!("/v1/responses/{}", kept["id"].as_str().unwrap());
    for path in [path.clone(), path + "?stream=true"] {
        let told = gateway.get(&path, &key);
        assert_eq!(told.status, 200, "{}", told.text());
        assert_eq!(tells_cost(&told.text()), None, "{path}: {}", told.text());
    }
}

#[test]
fn costs_are_told_beside_prices_unless_they_are_hidden() {
    let failing = Provider::start(|socket, _: &Received, _| {
        respond(socket, 500, "", "application/json", br#"{"error":{"message":"no"}}"#);
    });
    let answering = Provider::start(with_cost);
    let gateway = Gateway::start(&config(&failing, &answering, ""));
    let (tab, key) = Tab::sign_up(&gateway, "ann@example.com");
    let reply = gateway.post("/v1/chat/completions", &key, asking("m", false));
    assert_eq!(reply.json()["usage"]["cost"], 0.054_439, "{}", reply.text());
    let stream = gateway.post("/v1/chat/completions", &key, asking("m", true));
    assert!(stream.text().contains("\"cost\""), "{}", stream.text());
    let path = format!("/v1/requests/{}", reply.header("x-request-id"));
    eventually("it is in the books", || gateway.get(&path, &key).status == 200);
    let told = gateway.get(&path, &key).json();
    let amounts = (&told["cost_nano_usd"], &told["list_nano_usd"]);
    assert_eq!(amounts, (&json!(COST_NANOS), &json!(LIST_NANOS)), "{told}");
    let page = tab.get(&format!("/console/requests/{}", reply.header("x-request-id")));
    page.has("<dt>Cost</dt><dd>$0.0544</dd>");
    page.has("sold for $0.0105");
}

#[test]
fn the_budget_of_a_key_is_of_what_is_asked_for_and_failures_take_nothing_of_it() {
    let failing = Provider::start(|socket, _: &Received, _| {
        respond(socket, 500, "", "application/json", br#"{"error":{"message":"no"}}"#);
    });
    let answering = Provider::start(with_cost);
    // It breaks off after a word that the provider charges for all the same.
    let breaking = Provider::start(|socket, _: &Received, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let _gone = socket.write_all(head.as_bytes());
        chunk(socket, &delta("b", &json!({"content": "Hello"}), None));
    });
    let more = format!(
        "[providers.breaking]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n[[models]]\nid = \"b\"\n\
         tier = \"budget\"\ndeployments = [{{ provider = \"breaking\", model = \"b\", \
         usd_per_million = {{ input = 1000, output = 1000 }} }}]\n",
        breaking.base
    );
    let gateway = Gateway::start(&config(&failing, &answering, &more));
    let (account, _) = gateway.account("acme", "pro", &json!({}));
    let key = gateway.key(&account, &json!({"monthly_budget_usd": 1.0}));
    let ask = || gateway.post("/v1/chat/completions", &key, asking("m", false)).status;
    assert_eq!(ask(), 200);
    let broken = gateway.post("/v1/chat/completions", &key, asking("b", true));
    let path = format!("/v1/requests/{}", broken.header("x-request-id"));
    eventually("it is in the books", || gateway.get(&path, &key).status == 200);
    let told = gateway.get(&path, &key).json();
    assert_eq!((&told["status"], &told["list_nano_usd"]), (&json!("failed"), &json!(0)), "{told}");
    assert!(told["cost_nano_usd"].as_i64().unwrap() > 0, "{told}");
    let left = || {
        let told = gateway.get("/v1/limits", &key).json();
        let all = told["data"].as_array().unwrap().clone();
        let budget = all.iter().find(|one| one["name"] == "monthly_budget_usd");
        budget.unwrap_or_else(|| panic!("{told}"))["left"].as_f64().unwrap()
    };
    eventually("it is in the books", || (left() - 0.989_5).abs() < 1e-9);
}

fn flags(page: &Page, model: &str) -> bool {
    let row = page.text.split("<tr>").find(|row| row.contains(&format!(">{model}</a>")));
    row.unwrap_or_else(|| panic!("no {model}: {}", page.text)).contains("no price")
}

#[test]
fn a_model_without_a_price_is_flagged() {
    let provider = Provider::start(with_cost);
    let unpriced = "[[models]]\nid = \"nameless\"\ntier = \"budget\"\n\
                    deployments = [{ provider = \"dear\", model = \"nameless-1\" }]\n";
    let gateway = Gateway::start(&config(&provider, &provider, unpriced));
    let (account, _) = gateway.account("acme", "pro", &json!({}));
    for role in ["owner", "admin"] {
        member(&gateway, &account, &format!("{role}@example.com"), role);
    }
    let tab = Tab::sign_in(&gateway, "owner@example.com", PASSWORD);
    let page = tab.get("/console/models");
    assert!(flags(&page, "nameless") && !flags(&page, "m"), "{}", page.text);
    tab.get("/console/models/nameless").has("Ask your administrator for its price.");
    tab.get("/console/models/m").lacks("Nobody has said");
    let key = gateway.key(&account, &json!({}));
    let told = gateway.get("/optima/v1/models", &key).json();
    let of = |id: &str| {
        let all = told["data"].as_array().unwrap();
        all.iter().find(|one| one["id"] == id).unwrap()["unpriced"].clone()
    };
    assert_eq!((of("nameless"), of("m")), (json!(true), Value::Null), "{told}");
    let root = Tab::sign_in(&gateway, "admin@example.com", PASSWORD);
    root.get("/admin").has("nameless at dear");
    root.get("/console/models/nameless").has("Give it a price");
}
