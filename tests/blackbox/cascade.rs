//! Cascades, from outside: who answers, what is delivered, what is charged and what the record says.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, client, completion, delta, respond, send};

const HARD: &str =
    "Prove that every finite integral domain is a field, and find all such rings of order $p^2$.";

/// A cheap model and a dear one, at one provider.
fn config(base: &str, more: &str) -> String {
    format!(
        "{more}\n[providers.p]\nbase_url = \"{base}/v1\"\n\
         [[models]]\nid = \"gpt-4o-mini\"\ntier = \"budget\"\n\
         deployments = [{{ provider = \"p\", usd_per_million = {{ input = 0.1, output = 0.4 }} }}]\n\
         [[models]]\nid = \"gpt-4o\"\ntier = \"premium\"\n\
         deployments = [{{ provider = \"p\", usd_per_million = {{ input = 5.0, output = 20.0 }} }}]\n"
    )
}

/// Says `cheap` as the cheap model, and `dear` as the other.
fn provider(cheap: &'static str, dear: &'static str) -> Provider {
    Provider::start(move |socket, received, _| {
        let asked = received.json();
        let model = asked["model"].as_str().unwrap().to_owned();
        let text = if model == "gpt-4o-mini" { cheap } else { dear };
        if asked["stream"] == json!(true) {
            let mut all = delta(&model, &json!({"role": "assistant", "content": text}), None);
            all.extend(delta(&model, &json!({}), Some("stop")));
            all.extend(b"data: [DONE]\n\n");
            return respond(socket, 200, "", "text/event-stream", &all);
        }
        respond(socket, 200, "", "application/json", &completion(&model, text));
    })
}

fn ask(gateway: &Gateway, key: &str, body: &Value, cascade: Option<&str>) -> Reply {
    let url = format!("{}/v1/chat/completions", gateway.base);
    let mut request = client().post(url).bearer_auth(key).body(body.to_string());
    request = request.header("content-type", "application/json");
    if let Some(said) = cascade {
        request = request.header("x-optimux-cascade", said);
    }
    send(request)
}

fn wanting_json(stream: bool) -> Value {
    json!({"model": "auto:best", "stream": stream, "response_format": {"type": "json_object"},
        "messages": [{"role": "user", "content": HARD}]})
}

fn record(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.header("x-request-id").to_owned();
    gateway.get(&format!("/v1/requests/{id}"), KEY).json()
}

#[test]
fn a_cheap_answer_that_stands_is_delivered() {
    let provider = provider("{\"cheap\": true}", "{\"dear\": true}");
    let gateway = Gateway::start(&config(&provider.base, ""));
    for stream in [false, true] {
        let reply = ask(&gateway, KEY, &wanting_json(stream), Some("true"));
        assert_eq!((reply.status, reply.said().as_str()), (200, "{\"cheap\": true}"));
        assert_eq!(reply.header("x-optimux-cascade"), "first");
        assert!(reply.header("x-optimux-decision").contains("gpt-4o-mini"), "{}", reply.text());
        let record = record(&gateway, &reply);
        assert_eq!(record["model"], "gpt-4o-mini", "{record}");
    }
    assert_eq!(provider.count(), 2, "one call each");
    let reply = ask(&gateway, KEY, &wanting_json(false), None);
    assert_eq!(reply.said(), "{\"dear\": true}", "nothing is cascaded unasked");
}

#[test]
fn an_answer_that_does_not_stand_is_replaced_and_not_charged() {
    let provider = provider("Certainly! Here is", "{\"dear\": true}");
    let gateway = Gateway::start(&config(&provider.base, ""));
    for stream in [false, true] {
        let plain = record(&gateway, &ask(&gateway, KEY, &wanting_json(stream), None));
        let reply = ask(&gateway, KEY, &wanting_json(stream), Some("true"));
        assert_eq!((reply.status, reply.said().as_str()), (200, "{\"dear\": true}"));
        assert_eq!(reply.header("x-optimux-cascade"), "second");
        let line = reply.header("x-optimux-decision");
        assert!(line.contains("cascade: gpt-4o-mini was doubted: answer_not_json"), "{line}");
        let record = record(&gateway, &reply);
        assert_eq!(record["model"], "gpt-4o", "{record}");
        assert_eq!(record["attempt_count"], 2, "{record}");
        assert_eq!(record["attempts"][0]["outcome"], "answer_not_json", "{record}");
        for name in ["credits", "cost_nano_usd", "usage"] {
            assert_eq!(record[name], plain[name], "{name}: {record} {plain}");
        }
    }
}

#[test]
fn a_plan_can_have_it_and_a_request_can_go_without() {
    let provider = provider("{\"cheap\": true}", "{\"dear\": true}");
    let plan = "[plans.thrifty]\nfeatures = { cascade = true }";
    let gateway = Gateway::start(&config(&provider.base, plan));
    let (_, key) = gateway.account("one", "thrifty", &json!({}));
    let said = |cascade| ask(&gateway, &key, &wanting_json(false), cascade).said();
    assert_eq!(said(None), "{\"cheap\": true}");
    assert_eq!(said(Some("false")), "{\"dear\": true}");
    let reply = ask(&gateway, &key, &wanting_json(false), Some("perhaps"));
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("x-optimux-cascade")));
}

#[test]
fn a_cheap_model_that_is_down_is_passed_over() {
    let provider = Provider::start(|socket, received, _| {
        let model = received.json()["model"].as_str().unwrap().to_owned();
        if model == "gpt-4o-mini" {
            return respond(socket, 503, "", "application/json", b"{\"error\": {}}");
        }
        respond(socket, 200, "", "application/json", &completion(&model, "{\"dear\": true}"));
    });
    let gateway = Gateway::start(&config(&provider.base, ""));
    let reply = ask(&gateway, KEY, &wanting_json(false), Some("true"));
    assert_eq!((reply.status, reply.said().as_str()), (200, "{\"dear\": true}"));
    assert!(reply.header("x-optimux-decision").contains("gpt-4o-mini did not answer"));
}

fn asking(text: &str) -> Value {
    json!({"model": "auto:best", "messages": [{"role": "user", "content": text}]})
}

/// A provider where the cheap model counts up from `first`, the judge says `verdict` (or, for "slow",
/// nothing), and the dear model is always right.
fn judging(cheap: &'static [&'static str], verdict: &'static str) -> Provider {
    let said = std::sync::atomic::AtomicUsize::new(0);
    Provider::start(move |socket, received, _| {
        let asked = received.json();
        let model = asked["model"].as_str().unwrap().to_owned();
        let text = match model.as_str() {
            "gpt-4o-mini" => {
                let number = said.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                cheap[number.min(cheap.len() - 1)]
            }
            "judge" if verdict == "broken" => {
                return respond(socket, 500, "", "application/json", b"{\"error\": {}}");
            }
            "judge" => {
                let told = asked["messages"][1]["content"].as_str().unwrap();
                assert!(told.contains("<question>") && told.contains("<answer>"), "{told}");
                let most = asked["max_completion_tokens"].as_u64().unwrap();
                assert!(most <= 1_024, "{asked}");
                verdict
            }
            _ => "the dear answer, which is long enough to be no short one",
        };
        respond(socket, 200, "", "application/json", &completion(&model, text));
    })
}

const LONG: &str = "A long answer of the cheap model, which nobody would call short.";

fn with_judge(base: &str) -> String {
    let judge = "[[models]]\nid = \"judge\"\ntier = \"mid\"\ncontext_tokens = 100\n\
         deployments = [{ provider = \"p\", usd_per_million = { input = 1.0, output = 1.0 } }]\n";
    config(base, "[router.cascade]\njudge = \"judge\"") + judge
}

#[test]
fn a_judge_has_the_last_word_and_its_cost_is_in_the_record() {
    for (verdict, which, outcome) in [
        ("GOOD", "first", "judged_good"),
        ("Bad.", "second", "judged_bad"),
        ("I think that it is BAD", "first", "judge_unclear"),
        ("broken", "first", ""),
    ] {
        let provider = judging(&[LONG], verdict);
        let gateway = Gateway::start(&with_judge(&provider.base));
        let reply = ask(&gateway, KEY, &asking(HARD), Some("true"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-optimux-cascade"), which, "{verdict}");
        assert_eq!(reply.said() == LONG, which == "first", "{verdict}");
        let record = record(&gateway, &reply);
        let model = if which == "first" { "gpt-4o-mini" } else { "gpt-4o" };
        assert_eq!(record["model"], model, "{record}");
        let attempts = record["attempts"].as_array().unwrap();
        let judged = attempts.iter().find(|one| one["model"] == "judge");
        if outcome.is_empty() {
            assert!(judged.is_none(), "{record}");
            continue;
        }
        let judged = judged.unwrap();
        assert_eq!(judged["outcome"], outcome, "{record}");
        // Three tokens of the prompt and two of the answer, at a dollar a million.
        assert_eq!(judged["cost_nano_usd"], json!(5_000), "{record}");
        let priced = if which == "first" { 3 * 100 + 2 * 400 } else { 3 * 5_000 + 2 * 20_000 };
        assert_eq!(record["cost_nano_usd"], json!(priced), "what is delivered: {record}");
        if which == "second" {
            assert!(attempts.iter().any(|one| one["outcome"] == "answer_judged_bad"), "{record}");
        }
    }
}

#[test]
fn short_answers_are_asked_for_twice() {
    for (cheap, which, calls) in [
        (&["**17**", "17."][..], "first", 2),
        (&["17", "18"][..], "second", 3),
        (&[LONG][..], "first", 1),
    ] {
        let provider = judging(cheap, "GOOD");
        let gateway = Gateway::start(&config(&provider.base, ""));
        let reply = ask(&gateway, KEY, &asking(HARD), Some("true"));
        assert_eq!(reply.header("x-optimux-cascade"), which, "{cheap:?}");
        assert_eq!(provider.count(), calls, "{cheap:?}");
        let record = record(&gateway, &reply);
        assert_eq!(record["attempt_count"], calls, "{record}");
    }
    let provider = judging(&["17", "18"], "GOOD");
    let gateway = Gateway::start(&config(&provider.base, "[router.cascade]\ntwice = false"));
    let reply = ask(&gateway, KEY, &asking(HARD), Some("true"));
    assert_eq!((reply.header("x-optimux-cascade"), provider.count()), ("first", 1));
}
