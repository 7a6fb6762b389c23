//! `auto`, from outside: its dial, its limits, what accounts say of answers, and the commands that
//! train and judge what it chooses by.

use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, chain, client, eventually, good, send};

fn asked(gateway: &Gateway, path: &str, headers: &[(&str, &str)], text: &str) -> (u16, Value) {
    let mut request = client().post(format!("{}{path}", gateway.base)).bearer_auth(KEY).body(
        json!({"model": "auto", "messages": [{"role": "user", "content": text}]}).to_string(),
    );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = send(request);
    (reply.status, reply.json())
}

const HARD: &str =
    "Prove that every finite integral domain is a field, and find all such rings of order $p^2$.";

#[test]
fn the_dial_turns_and_the_limit_holds() {
    let gateway = Gateway::start("");
    let route = |headers: &[(&str, &str)]| asked(&gateway, "/v1/route", headers, HARD);
    let mut before = (0.0, 0.0);
    for dial in ["0", "0.3", "0.6", "1"] {
        let (status, told) = route(&[("x-optimux-quality", dial)]);
        assert_eq!(status, 200, "{told}");
        let first = &told["explanation"]["kept"][0];
        let now =
            (first["quality"].as_f64().unwrap(), told["explanation"]["floor"].as_f64().unwrap());
        assert!(now.0 >= before.0 && now.1 > before.1, "{dial}: {now:?} after {before:?}");
        assert_eq!(first["verdict"], "chosen");
        before = now;
    }
    let (_, told) = route(&[("x-optimux-quality", "1"), ("x-optimux-max-cost-usd", "0.0005")]);
    let explanation = &told["explanation"];
    for kept in explanation["kept"].as_array().unwrap() {
        assert!(kept["expected_cost_nano_usd"].as_i64().unwrap() <= 500_000, "{kept}");
    }
    let rejected = explanation["rejected"].as_array().unwrap();
    assert!(rejected.iter().any(|one| one["reason"] == "dearer than allowed"));
    assert_eq!(explanation["router"], "auto-2");
    for (name, value) in [
        ("x-optimux-quality", "1.5"),
        ("x-optimux-quality", "good"),
        ("x-optimux-max-cost-usd", "-1"),
        ("x-optimux-max-cost-usd", "NaN"),
    ] {
        let (status, error) = asked(&gateway, "/v1/chat/completions", &[(name, value)], "Hi");
        assert_eq!((status, &error["error"]["param"]), (400, &json!(name)), "{error}");
    }
}

#[test]
fn feedback_moves_an_account_and_nobody_else() {
    let gateway = Gateway::start("");
    let (_, key) = gateway.account("other", "enterprise", &json!({}));
    let route = |key: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": HARD}]});
        gateway.post("/v1/route", key, body.to_string()).json()
    };
    let chosen = route(&key)["model"].as_str().unwrap().to_owned();
    let say = |key: &str, said: Value| gateway.post("/v1/feedback", key, said.to_string());
    let mut correction = 0.0;
    for _ in 0..60 {
        let reply = say(&key, json!({"model": chosen, "score": 0.0}));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let now = reply.json()["corrections"][0]["correction"].as_f64().unwrap();
        // Down, by little each time, and never far.
        assert!(now <= correction && correction - now < 0.2 && now >= -0.81, "{now}");
        correction = now;
    }
    assert!(correction < -0.7);
    assert_ne!(route(&key)["model"], json!(chosen), "what is found bad is chosen less");
    assert_eq!(route(KEY)["model"], json!(chosen), "nobody else is moved");

    // By request: what auto promised is what an answer is measured against; said twice, it counts once.
    let reply = gateway.post(
        "/v1/chat/completions",
        KEY,
        json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}).to_string(),
    );
    let id = reply.header("x-request-id").to_owned();
    eventually("the request is in the books", || {
        gateway.get(&format!("/v1/requests/{id}"), KEY).status == 200
    });
    let once = say(KEY, json!({"request_id": id, "score": 1.0})).json();
    let twice = say(KEY, json!({"request_id": id, "score": 1.0})).json();
    assert_eq!(once, twice);
    assert_eq!(once["corrections"][0]["model"], reply.header("x-optimux-model"));
    assert_eq!(say(&key, json!({"request_id": id, "score": 1.0})).status, 404);
    let pair = say(KEY, json!({"better": "gpt-4o-mini", "worse": "gpt-4o"})).json();
    let of = |at: usize| pair["corrections"][at]["correction"].as_f64().unwrap();
    assert!(of(0) > 0.0 && of(1) < 0.0, "{pair}");
    for wrong in [
        json!({}),
        json!({"score": 0.5}),
        json!({"model": "gpt-4o", "score": 2}),
        json!({"better": "gpt-4o", "worse": "gpt-4o"}),
        json!({"better": "gpt-4o"}),
        json!({"model": "gpt-4o", "score": 0.5, "extra": 1}),
    ] {
        assert_eq!(say(KEY, wrong.clone()).status, 400, "{wrong}");
    }
    assert_eq!(say(KEY, json!({"model": "no-such-model", "score": 0.5})).status, 404);
}

#[test]
fn a_session_stays_with_its_model() {
    let gateway = Gateway::start("");
    let ask = |session: &str, dial: &str| {
        let headers = [("x-optimux-session", session), ("x-optimux-quality", dial)];
        let (status, reply) = asked(&gateway, "/v1/chat/completions", &headers, HARD);
        assert_eq!(status, 200, "{reply}");
        reply["model"].as_str().unwrap().to_owned()
    };
    let (best, cheap) = (ask("one", "0.6"), ask("two", "0.1"));
    assert_ne!(best, cheap);
    // What a named session began with, it goes on with, while that is good enough.
    assert_eq!(ask("one", "0.3"), best);
    assert_eq!(ask("three", "0.1"), cheap);
}

/// Rows of two models: the small one answers short questions, the large one all.
fn rows() -> String {
    let mut lines = String::new();
    for number in 0..300 {
        let hard = number % 2 == 0;
        let prompt = if hard {
            format!("Prove theorem {number} about rings, step by step, with every lemma.")
        } else {
            format!("Say hello to person {number}.")
        };
        let row = json!({
            "id": format!("row-{number}"), "source": "made", "domain": if hard { "proofs" } else { "talk" },
            "prompt": prompt,
            "scores": {"small-1b": if hard { 0.0 } else { 1.0 }, "large-70b": 1.0},
            "tokens_out": {"small-1b": 20, "large-70b": 300},
        });
        lines.push_str(&row.to_string());
        lines.push('\n');
    }
    lines
}

#[test]
fn a_router_is_trained_judged_and_used() {
    let gateway = Gateway::start("");
    let folder = &gateway.folder;
    std::fs::write(folder.join("rows.jsonl"), rows()).unwrap();
    let prices = json!({
        "small-1b": {"price_in": 0.1, "price_out": 0.1, "tier": "free"},
        "large-70b": {"price_in": 1.0, "price_out": 1.0, "tier": "mid"},
    });
    std::fs::write(folder.join("models.json"), prices.to_string()).unwrap();
    for out in ["one.bin", "two.bin"] {
        gateway.command(&[
            "router",
            "train",
            "--data",
            "rows.jsonl",
            "--out",
            out,
            "--id",
            "made-1",
            "--seed",
            "7",
        ]);
    }
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(bytes("one.bin") == bytes("two.bin"), "the same seed gives the same bytes");
    let judged = gateway.command(&[
        "router",
        "eval",
        "--data",
        "rows.jsonl",
        "--weights",
        "one.bin",
        "--predictions",
        "out.jsonl",
        "--known",
        "rows.jsonl",
        "--pictures",
        "pictures",
        "--json",
    ]);
    let judged: Vec<Value> = serde_json::from_str(&judged).unwrap();
    let of =
        |by: &str| judged.iter().find(|one| one["by"] == by && one["domain"].is_null()).unwrap();
    assert!(of("router")["apgr"].as_f64().unwrap() > 0.7, "{}", of("router"));
    assert!((of("price")["apgr"].as_f64().unwrap() - 0.5).abs() < 0.2);
    assert!(of("neighbours")["apgr"].as_f64().unwrap() > 0.6);
    let predictions = String::from_utf8(bytes("out.jsonl")).unwrap();
    assert_eq!(predictions.lines().count(), 300);
    for line in predictions.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let quality = |model: &str| line["quality"][model].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&quality("small-1b")) && quality("large-70b") <= 1.0);
    }
    let picture = std::fs::read_to_string(folder.join("pictures/made.svg")).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains("polyline"));

    // A gateway chooses by it when told to, and does not start on what is no router.
    let weights = folder.join("one.bin");
    let config = format!("[router]\nweights = {:?}\n", weights.display().to_string());
    let other = Gateway::start(&config);
    let told = asked(&other, "/v1/route", &[], "Hello").1;
    assert_eq!(told["explanation"]["router"], "made-1");
    let told = gateway.command(&["router", "explain", "Hello", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["router"], "auto-2");
    assert_eq!(told["kept"][0]["verdict"], "chosen");
}

#[test]
fn other_policies_are_weighed_on_what_was_asked() {
    let gateway = Gateway::start("");
    let line = |text: &&str| {
        json!({"model": "gpt-4.1", "messages": [{"role": "user", "content": text}]}).to_string()
    };
    let texts = ["Say hello.", HARD, "Translate 'good morning' into Greek."];
    let lines = texts.iter().map(line).collect::<Vec<_>>().join("\n");
    std::fs::write(gateway.folder.join("asked.jsonl"), lines).unwrap();
    let told = gateway.command(&[
        "router",
        "replay",
        "--from",
        "asked.jsonl",
        "--policy",
        "auto:cheap",
        "auto:best",
        "gpt-4.1",
        "--json",
    ]);
    let told: Vec<Value> = serde_json::from_str(&told).unwrap();
    let of = |at: usize, what: &str| told[at][what].as_f64().unwrap();
    assert!(told.iter().all(|one| one["requests"] == 3 && one["unanswered"] == 0), "{told:?}");
    assert_eq!(told[0]["models"], json!({"gpt-4.1": 3}));
    assert_eq!(
        (&told[0]["cost_nano_usd"], of(0, "quality")),
        (&told[3]["cost_nano_usd"], of(3, "quality"))
    );
    assert!(of(1, "cost_nano_usd") < of(0, "cost_nano_usd"));
    assert!(of(2, "quality") >= of(1, "quality"));
}

/// The effort that a body asks for, in whichever dialect; `none` where thought is turned off.
fn effort_of(body: &Value) -> Option<String> {
    let said = [
        &body["reasoning_effort"],
        &body["reasoning"]["effort"],
        &body["output_config"]["effort"],
        &body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
    ];
    let off = body["thinking"]["type"] == "disabled"
        || body["enable_thinking"] == json!(false)
        || body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == json!(0);
    let word = said.into_iter().find_map(Value::as_str).map(str::to_lowercase);
    word.or_else(|| off.then(|| "none".to_owned()))
}

#[test]
fn the_chosen_effort_is_named_and_sent_in_the_models_own_form() {
    let provider = Provider::start(good("Hello."));
    let place = format!("[providers.openai]\nbase_url = \"{}\"\n", provider.base);
    let gateway = Gateway::start(&place);
    let mut seen = std::collections::BTreeSet::new();
    for dial in ["0.125", "0.5", "0.8", "1"] {
        for text in ["Hi", HARD] {
            let headers = [("x-optimux-quality", dial)];
            let (_, told) = asked(&gateway, "/v1/route", &headers, text);
            let planned = told["plan"][0]["effort"].as_str().map(str::to_owned);
            let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
            let request = client()
                .post(format!("{}/v1/chat/completions", gateway.base))
                .bearer_auth(KEY)
                .header("x-optimux-quality", dial)
                .body(body.to_string());
            let reply = send(request);
            let decision = reply.header("x-optimux-decision").to_owned();
            let named = decision.split_once("; effort ").map(|(_, effort)| effort.to_owned());
            assert_eq!(named, planned, "{decision}");
            let sent = provider.last().json();
            assert_eq!(effort_of(&sent), planned, "{decision}: {sent}");
            assert!(told["explanation"]["kept"][0]["rests_on"].as_str().unwrap().len() > 5);
            seen.insert(planned);
        }
    }
    assert!(seen.len() > 1, "{seen:?}");
    // Who says how hard to think is asked at that, and nothing is added.
    let body = json!({"model": "auto:best", "reasoning_effort": "low",
        "messages": [{"role": "user", "content": HARD}]});
    let reply = gateway.chat(&body);
    assert!(!reply.header("x-optimux-decision").contains("effort"));
    assert_eq!(effort_of(&provider.last().json()).as_deref(), Some("low"));
}

#[test]
fn the_least_busy_of_a_models_deployments_is_asked_first() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let opened = Arc::clone(&gate);
    let held = Provider::start(move |socket, request, number| {
        let (open, told) = &*opened;
        drop(told.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        good("late")(socket, request, number);
    });
    let free = Provider::start(good("at once"));
    let config = chain(&[&held, &free]).replace("\"3s\"", "\"60s\"");
    let gateway =
        Gateway::start(&config.replace("[[models]]", "[[models]]\nbalance = \"least_busy\""));
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    std::thread::scope(|scope| {
        // Of equals one is drawn: one of these is held sooner or later.
        let mut asked = Vec::new();
        eventually("one is held", || {
            asked.push(scope.spawn(|| gateway.chat(&body).status));
            held.count() > 0
        });
        eventually("the others are answered", || {
            asked.iter().filter(|one| !one.is_finished()).count() == held.count()
        });
        let before = held.count();
        for _ in 0..20 {
            assert_eq!(gateway.chat(&body).said(), "at once");
        }
        assert_eq!(held.count(), before, "whoever is busy is not asked first");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        assert!(asked.into_iter().all(|one| one.join().unwrap() == 200));
    });
}

#[test]
fn the_record_of_a_request_says_what_was_weighed_and_why() {
    let gateway = Gateway::start("[router]\nfeatures = \"features.jsonl\"");
    let said = format!("{HARD} Call it swordfish.");
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": said}]});
    let reply = gateway.chat(&body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = gateway.post("/v1/route", KEY, body.to_string()).json();
    let id = reply.header("x-request-id").to_owned();
    eventually("the request is in the books", || {
        gateway.get(&format!("/v1/requests/{id}"), KEY).status == 200
    });
    let record = gateway.get(&format!("/v1/requests/{id}"), KEY).json();
    let (weighed, explained) = (&record["weighed"], &told["explanation"]);
    assert_eq!(weighed["in_words"], explained["in_words"], "{record}");
    assert!(weighed["in_words"].as_str().unwrap().starts_with("It takes "), "{record}");
    let candidates = weighed["candidates"].as_array().unwrap();
    // As many as there is room for, and a count of the others.
    assert!((14..=16).contains(&candidates.len()), "{record}");
    let more = usize::try_from(weighed["more"].as_u64().unwrap()).unwrap();
    let all = explained["kept"].as_array().unwrap().len();
    assert_eq!(candidates.len() + more, all, "{record}");
    assert_eq!(candidates[0]["model"], record["model"]);
    assert_eq!(candidates[0]["verdict"], "chosen");
    for one in candidates {
        let mut all = explained["kept"].as_array().unwrap().iter();
        let same = |other: &&Value| {
            ["model", "effort"].iter().all(|name| one[*name].as_str() == other[*name].as_str())
        };
        let other = all.find(same).unwrap();
        assert!((one["level"].as_f64().unwrap() - other["level"].as_f64().unwrap()).abs() < 0.01);
        assert_eq!(one["rests_on"], other["rests_on"]);
    }
    // A name is the caller's choice: nothing was weighed.
    let named = json!({"model": "gpt-4o", "messages": body["messages"]});
    let id = gateway.chat(&named).header("x-request-id").to_owned();
    eventually("the other is in the books", || {
        gateway.get(&format!("/v1/requests/{id}"), KEY).status == 200
    });
    assert!(gateway.get(&format!("/v1/requests/{id}"), KEY).json()["weighed"].is_null());

    // What was read of the one is kept in numbers, and decides alike.
    let file = gateway.folder.join("features.jsonl");
    let kept = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the features are kept", || kept().ends_with('\n'));
    assert_eq!(kept().lines().count(), 1, "only what was asked of auto");
    assert!(!kept().contains("swordfish"), "{}", kept());
    let line: Value = serde_json::from_str(kept().trim()).unwrap();
    assert_eq!(line["model"], record["model"]);
    let out = gateway.command(&[
        "router",
        "replay",
        "--features",
        "features.jsonl",
        "--policy",
        "auto:best",
        "--json",
    ]);
    let outcomes: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}"));
    assert_eq!(outcomes[0]["requests"], 1, "{out}");
    assert_eq!(outcomes[0]["unanswered"], 0, "{out}");
    let name = record["model"].as_str().unwrap();
    assert_eq!(outcomes[0]["models"][name], 1, "decided as it was: {out}");
    let cost = |name: &str| outcomes[1][name].as_i64().unwrap();
    assert!(cost("cost_low_nano_usd") < cost("cost_nano_usd"), "{out}");
    assert!(cost("cost_nano_usd") < cost("cost_high_nano_usd"), "{out}");
}
