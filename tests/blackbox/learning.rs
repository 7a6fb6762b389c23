//! What answers of `auto` show by themselves, from outside: what is noticed, for whom it counts, and how
//! operators see it and take it back.

use serde_json::{Value, json};

use crate::house::{Gateway, Provider, Reply, completion, delta, eventually, respond};

/// Two models that both are asked, whatever is prompted: the dear one is not worth its price.
fn config(base: &str, more: &str) -> String {
    format!(
        "{more}\n[providers.p]\nbase_url = \"{base}/v1\"\n\
         [[models]]\nid = \"gpt-4o-mini\"\ntier = \"budget\"\n\
         deployments = [{{ provider = \"p\", usd_per_million = {{ input = 0.1, output = 0.4 }} }}]\n\
         [[models]]\nid = \"gpt-4o\"\ntier = \"premium\"\n\
         deployments = [{{ provider = \"p\", usd_per_million = {{ input = 5.0, output = 20.0 }} }}]\n"
    )
}

/// Says the same whoever is asked; calls a tool where one is offered, with `arguments`.
fn provider(text: &'static str, arguments: &'static str, finish: &'static str) -> Provider {
    Provider::start(move |socket, received, _| {
        let asked = received.json();
        let model = asked["model"].as_str().unwrap().to_owned();
        let call = json!([{"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": arguments}}]);
        let tools = asked.get("tools").is_some();
        if asked["stream"] == json!(true) {
            let said = if tools {
                json!({"role": "assistant", "tool_calls": call})
            } else {
                json!({"role": "assistant", "content": text})
            };
            let mut all = delta(&model, &said, None);
            let end = if tools { "tool_calls" } else { finish };
            all.extend(delta(&model, &json!({}), Some(end)));
            all.extend(b"data: [DONE]\n\n");
            return respond(socket, 200, "", "text/event-stream", &all);
        }
        let mut said: Value = serde_json::from_slice(&completion(&model, text)).unwrap();
        said["choices"][0]["finish_reason"] = json!(finish);
        if tools {
            said["choices"][0]["finish_reason"] = json!("tool_calls");
            said["choices"][0]["message"] =
                json!({"role": "assistant", "content": null, "tool_calls": call});
        }
        respond(socket, 200, "", "application/json", said.to_string().as_bytes());
    })
}

fn ask(gateway: &Gateway, key: &str, more: &Value) -> Reply {
    let mut body = json!({"model": "auto:cheap", "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let reply = gateway.post("/v1/chat/completions", key, body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

fn corrections(gateway: &Gateway, account: &str) -> Value {
    gateway.admin("GET", &format!("/corrections?account={account}"), &Value::Null).json()
}

fn seen(told: &Value, sign: &str) -> u64 {
    let all = told["data"].as_array().unwrap().iter();
    all.filter_map(|one| one["outcomes"]["seen"][sign].as_u64()).sum()
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])
}

#[test]
fn what_answers_show_moves_the_account_by_little_and_nobody_else() {
    let provider = provider("Certainly! Here is", "{\"town\": 1}", "length");
    let gateway = Gateway::start(&config(&provider.base, ""));
    let (account, key) = gateway.account("one", "enterprise", &json!({}));
    let (other, _) = gateway.account("other", "enterprise", &json!({}));
    let object = json!({"type": "json_object"});
    for number in 0..3 {
        let said = json!([{"role": "user", "content": format!("Number {number} as JSON.")}]);
        let limited = json!({"response_format": object, "messages": said, "max_tokens": 1_000});
        // By a limit of the caller's nobody can help it.
        ask(&gateway, &key, &limited);
        for stream in [false, true] {
            ask(&gateway, &key, &json!({"tools": tools(), "stream": stream, "messages": said}));
        }
    }
    // Cut, and not by the caller; the same once more.
    for _ in 0..3 {
        ask(&gateway, &key, &json!({}));
    }
    // A name is the caller's choice.
    ask(&gateway, &key, &json!({"model": "gpt-4o", "response_format": object}));
    eventually("what was shown is written down", || {
        let told = corrections(&gateway, &account);
        seen(&told, "tool_arguments_invalid") == 6 && seen(&told, "answer_cut") == 3
    });
    let told = corrections(&gateway, &account);
    assert_eq!(seen(&told, "answer_not_json"), 0, "{told}");
    assert_eq!(seen(&told, "asked_again"), 1, "once is enough: {told}");
    let all = told["data"].as_array().unwrap();
    for one in all {
        let own = one["own"].as_f64().unwrap();
        assert!((-0.4..0.0).contains(&own), "{one}");
        assert_eq!(one["own"], one["outcomes"]["correction"], "{one}");
        assert_eq!(one["for_all"], json!(0.0), "not unless it is wanted: {one}");
    }
    assert_eq!(corrections(&gateway, &other)["data"], json!([]), "nobody else is moved");
    let name = all[0]["model"].as_str().unwrap();
    let route = |key: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]});
        let told = gateway.post("/v1/route", key, body.to_string()).json();
        let kept = told["explanation"]["kept"].as_array().unwrap().iter();
        let mut of = kept.filter(|one| one["model"] == json!(name));
        of.next().map(|one| one["quality"].as_f64().unwrap()).unwrap()
    };
    let (_, stranger) = gateway.account("stranger", "enterprise", &json!({}));
    eventually("it counts for whoever asked", || route(&key) < route(&stranger));

    let forgotten =
        gateway.admin("DELETE", &format!("/corrections?account={account}"), &Value::Null);
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    assert_eq!(corrections(&gateway, &account)["data"], json!([]));
    assert!((route(&key) - route(&stranger)).abs() < 1e-6);
    let log = gateway.admin("GET", "/audit", &Value::Null).json();
    assert_eq!(log["data"][0]["action"], "corrections.reset", "{log}");
    let denied = gateway.get("/v1/admin/corrections", &key);
    assert_eq!(denied.status, 403);
}

#[test]
fn what_is_sound_is_noticed_too_and_those_who_do_not_learn_notice_nothing() {
    let provider = provider("{\"a\": 1}", "{\"city\": \"Rome\"}", "stop");
    let gateway = Gateway::start(&config(&provider.base, ""));
    let deaf = Gateway::start(&config(&provider.base, "[router]\nlearn = false"));
    for (gateway, learns) in [(&gateway, true), (&deaf, false)] {
        let (account, key) = gateway.account("one", "enterprise", &json!({}));
        for stream in [false, true] {
            let object = json!({"type": "json_object"});
            ask(gateway, &key, &json!({"response_format": object, "stream": stream}));
            ask(gateway, &key, &json!({"tools": tools(), "stream": stream}));
            ask(gateway, &key, &json!({"stream": stream, "user": "plain"}));
        }
        if !learns {
            assert_eq!(corrections(gateway, &account)["data"], json!([]));
            continue;
        }
        eventually("all of it is written down", || {
            let told = corrections(gateway, &account);
            ["answer_sound", "json_sound", "tools_sound"].map(|sign| seen(&told, sign)) == [2, 2, 2]
        });
        let told = corrections(gateway, &account);
        let own = told["data"][0]["own"].as_f64().unwrap();
        assert!((0.0..0.05).contains(&own), "{told}");
    }
}

#[test]
fn where_the_operator_allows_it_accounts_learn_from_each_other_each_counting_once() {
    let provider = provider("Certainly! Here is", "{}", "stop");
    let gateway = Gateway::start(&config(&provider.base, "[router]\nlearn_globally = true"));
    let object = json!({"type": "json_object"});
    for number in 0..2 {
        let (_, key) = gateway.account(&format!("a{number}"), "enterprise", &json!({}));
        for _ in 0..=(20 * number) {
            ask(&gateway, &key, &json!({"response_format": object}));
        }
    }
    let all = || gateway.admin("GET", "/corrections", &Value::Null).json();
    eventually("both accounts count", || all()["for_all"][0]["accounts"] == json!(2));
    eventually("all that they have found out counts", || {
        let told = all();
        let moved = told["for_all"][0]["correction"].as_f64().unwrap();
        let own = told["data"].as_array().unwrap().iter();
        let own: Vec<f64> = own.map(|one| one["own"].as_f64().unwrap()).collect();
        // Who spoke twenty times counts like who spoke once, and both bend to what was predicted.
        own.len() == 2
            && own.iter().all(|own| (-0.25..0.0).contains(own))
            && (moved - own.iter().sum::<f64>() / 6.0).abs() < 1e-3
    });
}
