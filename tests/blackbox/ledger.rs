//! Limits, credits and usage, on every pair of engines that an operator may choose.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, chain, chunk, client, completion, delta, end_chunks, eventually, good,
    respond, send,
};
use crate::servers::{Postgres, Redis};

/// Where a gateway keeps its books and counts its limits.
struct Engines {
    redis: Option<Redis>,
    postgres: Option<Postgres>,
}

impl Engines {
    fn of(redis: bool, postgres: bool) -> Option<Self> {
        let engines = Self {
            redis: if redis { Some(Redis::start()?) } else { None },
            postgres: if postgres { Some(Postgres::start()?) } else { None },
        };
        Some(engines)
    }

    fn config(&self) -> String {
        let section = |name: &str, url: Option<&String>| {
            url.map(|url| format!("[{name}]\nurl = \"{url}\"\n")).unwrap_or_default()
        };
        let redis = section("redis", self.redis.as_ref().map(|server| &server.url));
        redis + &section("store", self.postgres.as_ref().map(|server| &server.url))
    }
}

const PLANS: &str = "
[plans.small]
requests_per_minute = 60
[plans.daily]
requests_per_day = 2
[plans.poor]
credits_per_month = 3
[plans.wordy]
tokens_per_minute = 2000
";

fn ask(gateway: &Gateway, key: &str) -> crate::house::Reply {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    gateway.post("/v1/chat/completions", key, body.to_string())
}

fn suite(engines: &Engines) {
    let provider = Provider::start(|socket, request, number| {
        if request.json()["messages"][0]["content"] == "fail" {
            respond(socket, 400, "", "application/json", br#"{"error":{"message":"no"}}"#);
        } else {
            good("Hello")(socket, request, number);
        }
    });
    let gateway = Gateway::start(&format!("{}{}{PLANS}", engines.config(), chain(&[&provider])));
    rates(&gateway);
    credits(&gateway);
    words(&gateway);
    keys(&gateway);
    replayed_refunds(&gateway);
    let proof = gateway.admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}

/// A burst passes, then one each interval, and every header says so.
fn rates(gateway: &Gateway) {
    let (_, key) = gateway.account("rates", "small", &json!({}));
    let first = ask(gateway, &key);
    assert_eq!(first.status, 200, "{}", first.text());
    for (name, value) in [
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "59"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    let reset: u64 = first.header("x-ratelimit-reset").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now..=now + 3).contains(&reset), "{reset} at {now}");
    assert_eq!(first.header("x-ratelimit-limit-tokens"), "");
    let mut passed = 1;
    let refused = loop {
        let reply = ask(gateway, &key);
        if reply.status == 429 {
            break reply;
        }
        assert_eq!(reply.status, 200);
        passed += 1;
        assert!(passed < 80, "no end of it");
    };
    // What leaks while they run is one each second.
    assert!((60..=64).contains(&passed), "{passed}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    eventually("there is room again", || ask(gateway, &key).status == 200);
    let (_, key) = gateway.account("days", "daily", &json!({}));
    assert_eq!(ask(gateway, &key).header("x-ratelimit-limit"), "2");
    assert_eq!(ask(gateway, &key).header("x-ratelimit-remaining"), "0");
    let refused = ask(gateway, &key);
    assert_eq!(refused.status, 429);
    assert!((1..=86_400).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
}

/// A plan's credits and not one more; what fails costs nothing; what is granted stays.
fn credits(gateway: &Gateway) {
    let (account, key) = gateway.account("credits", "poor", &json!({}));
    let fail = json!({"model": "m", "messages": [{"role": "user", "content": "fail"}]});
    for _ in 0..5 {
        assert_eq!(gateway.post("/v1/chat/completions", &key, fail.to_string()).status, 400);
    }
    for _ in 0..3 {
        assert_eq!(ask(gateway, &key).status, 200);
    }
    let refused = ask(gateway, &key);
    assert_eq!(refused.status, 402);
    let error = &refused.json()["error"];
    assert_eq!(error["message"], "Insufficient credits. Please upgrade your plan.");
    assert_eq!((&error["type"], &error["code"]), (&json!("insufficient_credits"), &json!(402)));
    let usage = gateway.get("/v1/usage?group_by=day", &key).json();
    assert_eq!(usage["credits_used"], 3);
    assert_eq!(usage["credits_remaining"], 0);
    assert_eq!(usage["credits_total"], 3);
    assert_eq!(usage["tier_breakdown"]["mid"], 3, "{usage}");
    assert_eq!(usage["usage"]["requests"], 3);
    assert_eq!(usage["usage"]["failed_requests"], 5);
    assert_eq!(usage["usage"]["input_tokens"], 9);
    assert_eq!(usage["usage"]["output_tokens"], 6);
    assert!(usage["billing_period_start"].as_str().unwrap().ends_with("-01T00:00:00Z"));
    assert!(usage["billing_period_end"].as_str().unwrap().ends_with("T23:59:59Z"));

    let granted = gateway.admin(
        "POST",
        &format!("/accounts/{account}/credits"),
        &json!({"credits": 2, "reason": "thanks"}),
    );
    assert_eq!(granted.status, 200, "{}", granted.text());
    for _ in 0..2 {
        assert_eq!(ask(gateway, &key).status, 200);
    }
    assert_eq!(ask(gateway, &key).status, 402);
    let usage = gateway.get("/v1/usage", &key).json();
    assert_eq!(
        (usage["credits_used"].as_i64(), usage["credits_total"].as_i64()),
        (Some(5), Some(5))
    );
    // Another plan, from now on.
    let changed = gateway.admin("PATCH", &format!("/accounts/{account}"), &json!({"plan": "pro"}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(ask(gateway, &key).status, 200);
    assert_eq!(gateway.get("/v1/usage", &key).json()["credits_total"], 100_002);

    reports(gateway, &key);
    let suspended = gateway.admin("POST", &format!("/accounts/{account}/suspend"), &json!({}));
    assert_eq!(suspended.status, 200);
    assert_eq!(ask(gateway, &key).status, 403);
}

/// The same sums, however they are asked for.
fn reports(gateway: &Gateway, key: &str) {
    let by_model = gateway.get("/v1/usage?group_by=model", key).json();
    let group =
        by_model["data"].as_array().unwrap().iter().find(|one| one["model"] == "m").unwrap();
    assert_eq!(group["credits"], 6, "{by_model}");
    let by_day = gateway.get("/v1/usage?group_by=day&format=csv", key).text();
    let lines: Vec<&str> = by_day.lines().collect();
    assert!(lines[0].starts_with("day,requests,failed_requests,"), "{by_day}");
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains(",6,5,"), "{by_day}");
    let nothing = gateway.get("/v1/usage?start=2020-01-01&end=2020-02-01", key).json();
    assert_eq!(nothing["usage"]["requests"], 0);
    assert_eq!(gateway.get("/v1/usage?start=never", key).status, 400);
    assert_eq!(gateway.get("/v1/usage?group_by=colour", key).status, 400);

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let page = gateway
        .get(&format!("/v1/organization/usage/completions?start_time={now}&group_by=model"), key)
        .json();
    let results = &page["data"][0]["results"];
    assert_eq!(results[0]["num_model_requests"], 6, "{page}");
    assert_eq!(results[0]["input_tokens"], 18);
    assert_eq!(results[0]["model"], "m");
    let costs = gateway.get(&format!("/v1/organization/costs?start_time={now}"), key).json();
    assert_eq!(costs["data"][0]["results"][0]["amount"]["currency"], "usd", "{costs}");

    // One request, by its id, and not another's.
    let reply = ask(gateway, key);
    let id = reply.header("x-request-id").to_owned();
    let told = gateway.get(&format!("/v1/requests/{id}"), key).json();
    assert_eq!(told["status"], "complete", "{told}");
    assert_eq!(told["credits"], 1);
    assert_eq!(told["model"], "m");
    assert_eq!(told["attempts"][0]["outcome"], "ok");
    let (_, other) = gateway.account("other", "pro", &json!({}));
    assert_eq!(gateway.get(&format!("/v1/requests/{id}"), &other).status, 404);
    assert_eq!(gateway.get(&format!("/v1/requests/{id}"), KEY).status, 200);
    assert_eq!(gateway.get("/v1/usage?account=other", key).status, 403);
    assert_eq!(gateway.get("/v1/usage", &other).json()["credits_used"], 0);
}

/// Tokens are taken by estimate and corrected by what was used.
fn words(gateway: &Gateway) {
    let (_, key) = gateway.account("words", "wordy", &json!({}));
    let reply = ask(gateway, &key);
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), "2000");
    // Five were used, whatever was taken first.
    let reply = ask(gateway, &key);
    let left: u64 = reply.header("x-ratelimit-remaining-tokens").parse().unwrap();
    assert!(left > 1_700, "{left}");
    let long = "word ".repeat(1_900);
    let body =
        json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": long}]});
    assert_eq!(gateway.post("/v1/chat/completions", &key, body.to_string()).status, 429);
}

/// A key has terms of its own.
fn keys(gateway: &Gateway) {
    let (account, _) = gateway.account("keys", "pro", &json!({}));
    let vectors = gateway.key(&account, &json!({"scopes": ["embeddings"]}));
    let refused = ask(gateway, &vectors);
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (403, Some("missing_scope"))
    );
    let others = gateway.key(&account, &json!({"models": ["gpt-*"]}));
    assert!((403..=404).contains(&ask(gateway, &others).status));
    let listed = |key: &str| gateway.get("/v1/models", key).text().contains("\"m\"");
    assert!(listed(&vectors) && !listed(&others));
    let few = gateway.key(&account, &json!({"requests_per_minute": 2, "monthly_credits": 100}));
    assert_eq!(
        [ask(gateway, &few).status, ask(gateway, &few).status, ask(gateway, &few).status],
        [200, 200, 429]
    );
    let poor = gateway.key(&account, &json!({"monthly_credits": 1}));
    assert_eq!([ask(gateway, &poor).status, ask(gateway, &poor).status], [200, 402]);
    let broke = gateway.key(&account, &json!({"monthly_budget_usd": "0"}));
    // Nobody has said what the model under test costs, and that is not nothing.
    assert_eq!(ask(gateway, &broke).status, 402);
    let late = gateway.key(&account, &json!({"expires_at": 1_000}));
    assert_eq!(ask(gateway, &late).status, 401);
    let made = gateway.admin("POST", "/keys", &json!({"account": account, "colour": "red"}));
    assert_eq!(made.status, 400);
    // Rotated: both are good for a while.
    let listed = gateway.admin("GET", &format!("/keys?account={account}"), &Value::Null).json();
    let hint = listed["data"].as_array().unwrap().iter().find(|key| key["monthly_credits"] == 100);
    let id = hint.unwrap()["id"].as_str().unwrap().to_owned();
    let fresh = gateway.admin("POST", &format!("/keys/{id}/rotate"), &json!({})).json();
    assert_eq!(fresh["requests_per_minute"], 2, "{fresh}");
    // What the old one has used is used.
    assert_eq!(ask(gateway, fresh["key"].as_str().unwrap()).status, 429);
    let audit = gateway.admin("GET", "/audit", &Value::Null).json();
    assert_eq!(audit["data"][0]["action"], "key.rotate", "{audit}");
}

/// A request is given back once, to where it was charged.
fn replayed_refunds(gateway: &Gateway) {
    let (_, key) = gateway.account("refunds", "pro", &json!({}));
    let id = ask(gateway, &key).header("x-request-id").to_owned();
    assert_eq!(gateway.get("/v1/usage", &key).json()["credits_used"], 1);
    let refund = json!({"request": id, "reason": "wrong"});
    assert_eq!(gateway.admin("POST", "/refunds", &refund).status, 200);
    assert_eq!(gateway.admin("POST", "/refunds", &refund).status, 409);
    let usage = gateway.get("/v1/usage", &key).json();
    assert_eq!(
        (usage["credits_used"].as_i64(), usage["tier_breakdown"]["mid"].as_i64()),
        (Some(0), Some(0))
    );
    assert_eq!(gateway.admin("POST", "/refunds", &json!({"request": "req_0"})).status, 404);
    // What was given back can be used again.
    let (_, key) = gateway.account("refunded", "poor", &json!({"monthly_credits": 3}));
    let ids: Vec<String> =
        (0..3).map(|_| ask(gateway, &key).header("x-request-id").to_owned()).collect();
    assert_eq!(ask(gateway, &key).status, 402);
    gateway.get("/v1/usage", &key);
    assert_eq!(gateway.admin("POST", "/refunds", &json!({"request": ids[1]})).status, 200);
    eventually("there is room for one", || ask(gateway, &key).status == 200);
    assert_eq!(ask(gateway, &key).status, 402);
}

#[test]
fn it_adds_up_on_sqlite_in_process() {
    suite(&Engines::of(false, false).unwrap());
}

#[test]
fn it_adds_up_on_sqlite_and_redis() {
    match Engines::of(true, false) {
        Some(engines) => suite(&engines),
        None => eprintln!("skipped it_adds_up_on_sqlite_and_redis: no redis-server here"),
    }
}

#[test]
fn it_adds_up_on_postgresql_and_redis() {
    match Engines::of(true, true) {
        Some(engines) => suite(&engines),
        None => eprintln!("skipped it_adds_up_on_postgresql_and_redis: a server is missing here"),
    }
}

/// A caller who leaves pays for what was produced; a provider that breaks off is not paid.
#[test]
fn what_was_produced_is_charged() {
    let provider = Provider::start(|socket, request, _| {
        use std::io::Write as _;
        let wish = request.json()["messages"][0]["content"].as_str().unwrap().to_owned();
        let _gone = socket.write_all(crate::house::STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": "One two three"}), None));
        match wish.as_str() {
            "long" => {
                while chunk(socket, &delta("m", &json!({"content": " four"}), None)) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            "break" => {}
            _ => {
                chunk(socket, &delta("m", &json!({}), Some("stop")));
                chunk(socket, b"data: [DONE]\n\n");
                end_chunks(socket);
            }
        }
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("a", "pro", &json!({}));
    let body = |wish: &str| {
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": wish}]})
            .to_string()
    };
    let used = |credits: i64| {
        eventually("the books say so", || {
            gateway.get("/v1/usage", &key).json()["credits_used"] == credits
        });
        gateway.get("/v1/usage?group_by=day", &key).json()
    };
    // Nothing was said of its usage, so it is counted here.
    let reply = gateway.post("/v1/chat/completions", &key, body("well"));
    assert_eq!(reply.status, 200);
    let usage = used(1);
    assert_eq!(usage["usage"]["estimated_requests"], 1);
    assert_eq!(usage["usage"]["output_tokens"], 3);
    // Broken off: the caller sees an error, and pays nothing.
    let reply = gateway.post("/v1/chat/completions", &key, body("break"));
    assert!(reply.text().contains("\"error\""), "{}", reply.text());
    let usage = used(1);
    assert_eq!(usage["usage"]["failed_requests"], 1);
    // Left: what came until then is charged.
    crate::house::runtime().block_on(async {
        let sent = client()
            .post(format!("{}/v1/chat/completions", gateway.base))
            .bearer_auth(&key)
            .header("content-type", "application/json")
            .body(body("long"))
            .send();
        let mut reply = sent.await.unwrap();
        reply.chunk().await.unwrap();
    });
    let usage = used(2);
    assert!(usage["usage"]["output_tokens"].as_i64().unwrap() > 5, "{usage}");
}

/// Without Redis each node goes on by itself, and comes back without a restart.
#[test]
fn redis_may_go_and_come_back() {
    let Some(mut redis) = Redis::start() else {
        eprintln!("skipped redis_may_go_and_come_back: no redis-server here");
        return;
    };
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&format!(
        "[redis]\nurl = \"{}\"\n[plans.few]\nrequests_per_minute = 3\ncredits_per_month = 5\n{}",
        redis.url,
        chain(&[&provider])
    ));
    let (_, key) = gateway.account("a", "few", &json!({}));
    assert_eq!(ask(&gateway, &key).status, 200);
    redis.kill();
    let statuses: Vec<u16> = (0..6).map(|_| ask(&gateway, &key).status).collect();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(passed, 3, "one plan's worth more, and no more: {statuses:?}");
    let metrics = || send(client().get(format!("{}/metrics", gateway.base))).text();
    eventually("it is told", || metrics().contains("\noptimux_quota_shared 0\n"));
    redis.start_again();
    eventually("it comes back", || metrics().contains("\noptimux_quota_shared 1\n"));
    // Redis has forgotten everything but learns from the books: one credit is left.
    let statuses: Vec<u16> = (0..3).map(|_| ask(&gateway, &key).status).collect();
    assert_eq!(statuses, [200, 402, 402]);
}

/// Searches that no answer counts, and what other models did for it, at their own prices.
#[test]
fn what_goes_on_beside_an_answer_is_booked() {
    let chat = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5-search-api",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}});
    let response = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.1",
        "status": "completed",
        "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "x", "annotations": []}]}],
        "tools": [{"type": "image_generation", "model": "gpt-image-2"}],
        "tool_usage": {"image_gen": {"input_tokens": 40, "output_tokens": 1000, "total_tokens": 1040,
                "input_tokens_details": {"text_tokens": 40, "image_tokens": 0},
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 1000}},
            "web_search": {"num_requests": 3}},
        "usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-haiku-4-5", "content": [{"type": "text", "text": "x"}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 100, "output_tokens": 10, "iterations": [
            {"type": "message", "input_tokens": 100, "output_tokens": 10},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 1000, "output_tokens": 100}]}});
    let answers = [("chat/completions", chat), ("responses", response), ("messages", message)];
    let provider = Provider::start(move |socket, request, _| {
        let answer = answers.iter().find(|(path, _)| request.path().ends_with(path));
        let Some((_, answer)) = answer else { return };
        if request.json()["stream"] == true {
            let event = json!({"type": "response.completed", "response": answer});
            let body = format!("event: response.completed\ndata: {event}\n\n");
            return respond(socket, 200, "", "text/event-stream", body.as_bytes());
        }
        respond(socket, 200, "", "application/json", answer.to_string().as_bytes());
    });
    let base = &provider.base;
    let gateway = Gateway::start(&format!(
        "[providers.openai]\nbase_url = \"{base}/v1\"\napi_key_file = \"key\"\n\
         [providers.anthropic]\nbase_url = \"{base}\"\napi_key_file = \"key\"\n"
    ));
    let messages = json!([{"role": "user", "content": "hi"}]);
    let drawing = |stream: bool| {
        json!({"model": "gpt-5.1", "input": "hi", "store": false, "stream": stream,
            "tools": [{"type": "image_generation"}, {"type": "web_search"}]})
    };
    // In nano-USD: the answer's own tokens, then what goes beside.
    let drawn = 100 * 1_250 + 10 * 10_000 + 40 * 5_000 + 1_000 * 30_000 + 3 * 10_000_000;
    for (name, path, body, cost) in [
        (
            "searched",
            "/v1/chat/completions",
            json!({"model": "gpt-5-search-api", "messages": messages}),
            1_000 * 1_250 + 100 * 10_000 + 10_000_000,
        ),
        ("drawn", "/v1/responses", drawing(false), drawn),
        ("streamed", "/v1/responses", drawing(true), drawn),
        (
            "advised",
            "/v1/messages",
            json!({"model": "claude-haiku-4-5", "max_tokens": 99, "messages": messages}),
            100 * 1_000 + 10 * 5_000 + 1_000 * 5_000 + 100 * 25_000,
        ),
    ] {
        let (_, key) = gateway.account(name, "pro", &json!({}));
        let reply = gateway.post(path, &key, body.to_string());
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let usage = gateway.get("/v1/usage?group_by=day", &key).json();
        assert_eq!(usage["usage"]["cost_nano_usd"], cost, "{name}: {usage}");
    }
}

/// What was asked for last keeps the model under test from being one that costs.
#[test]
fn a_price_makes_a_cost() {
    let provider = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "Hi"));
    });
    let config = chain(&[&provider]).replace(
        "model = \"m\" }",
        "model = \"m\", usd_per_million = { input = 1.0, output = 10.0 } }",
    );
    let gateway = Gateway::start(&config);
    let (account, key) = gateway.account("a", "pro", &json!({}));
    assert_eq!(ask(&gateway, &key).status, 200);
    let usage = gateway.get("/v1/usage?group_by=day", &key).json();
    assert_eq!(usage["usage"]["cost_nano_usd"], 3 * 1_000 + 2 * 10_000);
    // A budget below one request's price.
    let poor = gateway.key(&account, &json!({"monthly_budget_usd": 0.000_001}));
    let refused = ask(&gateway, &poor);
    assert_eq!(refused.status, 402, "{}", refused.text());
}

/// The same request under the same key is answered as it was, and charged once.
#[test]
fn a_request_that_comes_again_is_charged_once() {
    let provider = Provider::start(|socket, request, number| {
        use std::io::Write as _;
        if request.json()["stream"] != true {
            return good("Hello")(socket, request, number);
        }
        let _gone = socket.write_all(crate::house::STREAM_HEAD.as_bytes());
        chunk(socket, &delta("m", &json!({"role": "assistant", "content": "Hello"}), None));
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        end_chunks(socket);
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("a", "pro", &json!({}));
    let body = |stream: bool| {
        json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
            .to_string()
    };
    let under = |name: &str, body: String| {
        send(
            client()
                .post(format!("{}/v1/chat/completions", gateway.base))
                .bearer_auth(&key)
                .header("idempotency-key", name)
                .body(body),
        )
    };
    // This provider leaves the last word out, which then is a piece of its own.
    for (name, stream) in [("one", false), ("two", true)] {
        let first = under(name, body(stream));
        let again = under(name, body(stream));
        assert_eq!((first.status, again.status), (200, 200), "{}", again.text());
        assert_eq!(first.text(), again.text());
        assert_eq!(stream, first.text().ends_with("data: [DONE]\n\n"));
        for header in ["x-request-id", "content-type", "x-optimux-model"] {
            assert_eq!(first.header(header), again.header(header));
        }
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    assert_eq!(provider.count(), 2);
    assert_eq!(gateway.get("/v1/usage", &key).json()["credits_used"], 2);
    let other = under("one", body(true));
    assert_eq!(
        (other.status, other.json()["error"]["code"].as_str()),
        (400, Some("idempotency_key_reused"))
    );
    // Another account's key of the same name is another.
    let (_, theirs) = gateway.account("b", "pro", &json!({}));
    let sent = client()
        .post(format!("{}/v1/chat/completions", gateway.base))
        .bearer_auth(&theirs)
        .header("idempotency-key", "one")
        .body(body(false));
    assert_eq!(send(sent).header("idempotent-replayed"), "");
    assert_eq!(provider.count(), 3);
}

/// Responses too, in the background and not.
#[test]
fn a_response_that_is_asked_for_again_is_the_same() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let under = |name: &str, body: &Value| {
        send(
            client()
                .post(format!("{}/v1/responses", gateway.base))
                .bearer_auth(KEY)
                .header("idempotency-key", name)
                .body(body.to_string()),
        )
    };
    for (name, body) in [
        ("one", json!({"model": "m", "input": "Hi"})),
        ("two", json!({"model": "m", "input": "Hi", "stream": true})),
        ("three", json!({"model": "m", "input": "Hi", "background": true})),
    ] {
        let (first, again) = (under(name, &body), under(name, &body));
        assert_eq!((first.status, again.status), (200, 200), "{}", again.text());
        assert_eq!(first.text(), again.text());
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    eventually("each was asked for once", || provider.count() == 3);
}

/// A moment that cannot be is refused, and holds no worker up.
#[test]
fn absurd_moments_are_refused() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let most = "9223372036854775";
    for path in [
        format!("/v1/organization/costs?start_time={most}&end_time={most}"),
        format!("/v1/organization/usage/completions?start_time=-{most}&bucket_width=1m"),
        format!("/v1/usage?start={most}&end={most}9"),
    ] {
        assert_eq!(gateway.get(&path, KEY).status, 400, "{path}");
    }
    let path = format!("/v1/organization/costs?start_time=0&page=page_{most}807");
    assert_eq!(gateway.get(&path, KEY).status, 200);
}

/// An administrator sees an account as the account does.
#[test]
fn an_account_is_shown_with_its_own_plan() {
    let provider = Provider::start(good("Hello"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let (_, key) = gateway.account("a", "pro", &json!({}));
    assert_eq!(ask(&gateway, &key).status, 200);
    let plain = gateway.get("/v1/usage", &key).json();
    let names: Vec<&String> = plain.as_object().unwrap().keys().collect();
    let documented = [
        "credits_used",
        "credits_remaining",
        "credits_total",
        "billing_period_start",
        "billing_period_end",
        "tier_breakdown",
    ];
    assert_eq!(names, documented, "what is documented, and nothing beside it");
    let own = gateway.get("/v1/usage?group_by=day", &key).json();
    let shown = gateway.get("/v1/usage?account=a", KEY).json();
    for name in ["plan", "credits_used", "credits_total", "tier_breakdown"] {
        assert_eq!(own[name], shown[name], "{name}");
    }
    assert_eq!(own["plan"], "pro");
}

/// What failed is tried again under the same key.
#[test]
fn a_failure_is_not_kept() {
    let provider = Provider::start(|socket, request, number| {
        if number == 0 {
            respond(socket, 400, "", "application/json", br#"{"error":{"message":"no"}}"#);
        } else {
            good("Hello")(socket, request, number);
        }
    });
    let gateway = Gateway::start(&chain(&[&provider]));
    let ask = || {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
        send(
            client()
                .post(format!("{}/v1/chat/completions", gateway.base))
                .bearer_auth(KEY)
                .header("idempotency-key", "k")
                .body(body.to_string()),
        )
        .status
    };
    assert_eq!(ask(), 400);
    eventually("its place is free", || ask() == 200);
}
