//! What administrators say of providers, models, routes, prices and plans while the gateway runs.

use std::time::Instant;

use serde_json::{Value, json};

use crate::house::{Gateway, Provider, client, eventually, good, send, within_a_second};
use crate::servers::Postgres;

fn configured(provider: &Provider) -> String {
    format!(
        "[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\", \
         usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n",
        provider.base
    )
}

fn said(gateway: &Gateway, model: &str) -> (u16, String) {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let reply = gateway.chat(&body);
    (reply.status, if reply.status == 200 { reply.said() } else { reply.text() })
}

#[test]
fn a_provider_and_a_model_are_added_tried_first_and_taken_back() {
    let (one, two) = (Provider::start(good("one")), Provider::start(good("two")));
    let gateway = Gateway::start(&configured(&one));
    let table = json!({"base_url": format!("{}/v1", two.base), "dialect": "openai-chat"});
    let model = json!({"deployments": [{"provider": "mine", "model": "x",
        "usd_per_million": {"input": 2.0, "output": 2.0}}]});
    // A model of a provider that is not there changes nothing.
    let wrong = gateway.admin("PUT", "/models/house", &model);
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert!(wrong.text().contains("mine"), "{}", wrong.text());
    assert_eq!(gateway.admin("PUT", "/providers/mine?reason=trial", &table).status, 200);
    let tried = gateway.admin("PUT", "/models/house?dry_run=true", &model);
    assert_eq!(tried.status, 200, "{}", tried.text());
    assert_eq!(tried.json()["dry_run"], true);
    assert_eq!(tried.json()["changes"]["models"]["added"], json!(["house"]));
    assert_eq!(said(&gateway, "house").0, 404);
    let made = gateway.admin("PUT", "/models/house", &model).json();
    assert_eq!(made["revision"], 2, "{made}");
    eventually("the model is there", || said(&gateway, "house") == (200, "two".to_owned()));
    assert_eq!(said(&gateway, "m"), (200, "one".to_owned()));
    let listed = gateway.admin("GET", "/models", &json!({})).json();
    assert_eq!(listed["data"][0]["name"], "house");
    assert_eq!(listed["revision"], 2);
    assert_eq!(gateway.admin("GET", "/providers/mine", &json!({})).json()["said"], table);
    // The provider cannot go while the model is there: it is known no more.
    assert_eq!(gateway.admin("DELETE", "/providers/mine", &json!({})).status, 400);
    let gone = gateway.admin("DELETE", "/models/house", &json!({}));
    assert_eq!((gone.status, &gone.json()["revision"]), (200, &json!(3)), "{}", gone.text());
    eventually("the model is gone", || said(&gateway, "house").0 == 404);
    assert_eq!(gateway.admin("DELETE", "/models/house", &json!({})).status, 404);
    let back = gateway.admin("POST", "/revisions/2/restore?reason=oops", &json!({}));
    assert_eq!(back.json()["changes"]["models"]["added"], json!(["house"]));
    eventually("it is there again", || said(&gateway, "house").0 == 200);
    let revisions = gateway.admin("GET", "/revisions", &json!({})).json();
    let all: Vec<(&Value, &Value)> = revisions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["id"], &one["active"]))
        .collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(all, [(&json!(3), &no), (&json!(2), &yes), (&json!(1), &no)]);
    assert_eq!(revisions["data"][2]["reason"], "trial");
    let audit = gateway.admin("GET", "/audit", &json!({})).json();
    let actions: Vec<&str> =
        audit["data"].as_array().unwrap().iter().filter_map(|one| one["action"].as_str()).collect();
    assert_eq!(actions[..4], ["catalogue.rollback", "model.drop", "model.put", "provider.put"]);
}

#[test]
fn prices_and_routes_are_changed_and_stay_when_the_configuration_changes() {
    let (up, down) = (
        Provider::start(good("up")),
        Provider::start(|socket, _, _| crate::house::respond(socket, 500, "", "text/plain", b"no")),
    );
    let table = |id: &str, at: &Provider| {
        format!(
            "[providers.{id}]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"m-{id}\"\ndeployments = [{{ provider = \"{id}\", model = \"x\", \
             usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n",
            at.base
        )
    };
    let config = format!(
        "[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n{}{}",
        table("up", &up),
        table("down", &down)
    );
    let gateway = Gateway::start(&config);
    assert!(said(&gateway, "m-down").0 >= 500);
    let lost = gateway.admin("PUT", "/routes/m-down", &json!({"fallback": ["m-lost"]}));
    assert!(lost.status == 400 && lost.text().contains("m-lost"), "{}", lost.text());
    let routed = gateway.admin("PUT", "/routes/m-down", &json!({"fallback": ["m-up"]}));
    assert_eq!(
        routed.json()["changes"]["routes"][0]["after"],
        json!(["m-up"]),
        "{}",
        routed.text()
    );
    eventually("the route holds", || said(&gateway, "m-down") == (200, "up".to_owned()));
    let price = json!({"usd_per_million": {"input": 3.0, "output": 30.0}});
    assert_eq!(gateway.admin("PUT", "/prices/up/nothing", &price).status, 400);
    let priced = gateway.admin("PUT", "/prices/up/x", &price).json();
    let changes = priced["changes"]["prices"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{priced}");
    assert_eq!((&changes[1]["of"], &changes[1]["after"]), (&json!("up/x"), &json!("30")));
    // Another configuration is taken up, and what was said still holds.
    let file = gateway.folder.join("optimux.toml");
    std::fs::write(&file, format!("{config}[plans.gold]\n")).unwrap();
    eventually("it is taken up", || gateway.log().contains("has been read again"));
    assert_eq!(said(&gateway, "m-down"), (200, "up".to_owned()));
    assert_eq!(gateway.admin("GET", "/prices/up/x", &json!({})).status, 200);
}

#[test]
fn keys_of_providers_cannot_be_sent_elsewhere_and_nobody_else_changes_anything() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    for (name, said) in [
        ("p", json!({"base_url": "https://elsewhere.example"})),
        ("openai", json!({"base_url": "https://elsewhere.example"})),
        ("openai", json!({"headers": {"x-a": "b"}})),
        ("mine", json!({"base_url": "https://e.example", "api_key_env": "TEST_ADMIN_KEY"})),
        ("mine", json!({"base_url": "https://e.example", "api_key_env": "OPENAI_API_KEY"})),
        ("mine", json!({"base_url": "https://e.example", "api_key_file": "/etc/passwd"})),
        ("mine", json!({"base_url": "https://e.example/${OPTIMUX_VAULT_KEY}"})),
        ("mine", json!({"base_adress": "https://e.example"})),
    ] {
        let reply = gateway.admin("PUT", &format!("/providers/{name}"), &said);
        assert_eq!(reply.status, 400, "{name} {said} {}", reply.text());
    }
    assert_eq!(gateway.admin("GET", "/revisions", &json!({})).json()["data"], json!([]));
    let (_, key) = gateway.account("acme", "free", &json!({}));
    let asked = client()
        .put(format!("{}/v1/admin/routes/m", gateway.base))
        .bearer_auth(&key)
        .body(json!({"fallback": []}).to_string());
    assert_eq!(send(asked).status, 403);
}

#[test]
fn plans_are_said_in_revisions_and_taken_back_with_them() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    let put =
        |query: &str, said: Value| gateway.admin("PUT", &format!("/plans/gold{query}"), &said);
    let tried = put("?dry_run=true", json!({"requests_per_minute": 7})).json();
    assert_eq!((&tried["dry_run"], &tried["revision"]), (&json!(true), &Value::Null), "{tried}");
    let change = &tried["changes"]["plans"][0];
    assert_eq!((&change["of"], &change["what"]), (&json!("gold"), &json!("plan")), "{tried}");
    assert_eq!(change["after"], json!({"requests_per_minute": 7}));
    let named = |gateway: &Gateway, name: &str| {
        let all = gateway.admin("GET", "/plans", &json!({})).json();
        let all = all["data"].as_array().unwrap().clone();
        all.into_iter().find(|plan| plan["name"] == name)
    };
    assert_eq!(named(&gateway, "gold"), None, "nothing was changed");
    let made = put("?reason=launch", json!({"requests_per_minute": 1})).json();
    assert_eq!((&made["revision"], &made["requests_per_minute"]), (&json!(1), &json!(1)), "{made}");
    let (_, key) = gateway.account("acme", "gold", &json!({}));
    let ask = || {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        gateway.post("/v1/chat/completions", &key, body.to_string()).status
    };
    assert_eq!([ask(), ask()], [200, 429]);
    let more = put("", json!({"requests_per_minute": 100})).json();
    let change = &more["changes"]["plans"][0];
    assert_eq!((&change["before"], &change["after"]), (&json!(1), &json!(100)), "{more}");
    assert_eq!(ask(), 200);
    // What else is said does not touch them, and is taken back together with them.
    let routed = gateway.admin("PUT", "/routes/m", &json!({"fallback": []})).json();
    assert_eq!(routed["revision"], 3, "{routed}");
    let tried = gateway.admin("POST", "/revisions/1/restore?dry_run=true", &json!({})).json();
    assert_eq!(tried["changes"]["plans"][0]["after"], 1, "{tried}");
    assert_eq!(named(&gateway, "gold").unwrap()["requests_per_minute"], 100);
    assert_eq!(gateway.admin("POST", "/revisions/1/restore", &json!({})).status, 200);
    assert_eq!(named(&gateway, "gold").unwrap()["requests_per_minute"], 1);
    assert_eq!(ask(), 429);
    // Nobody is left without a plan.
    let lost = gateway.admin("POST", "/revisions/0/restore", &json!({}));
    assert_eq!((lost.status, &lost.json()["error"]["code"]), (409, &json!("plan_in_use")));
    assert_eq!(gateway.admin("PATCH", "/accounts/acme", &json!({"plan": "free"})).status, 200);
    assert_eq!(gateway.admin("POST", "/revisions/0/restore", &json!({})).status, 200);
    assert_eq!(named(&gateway, "gold"), None);
    let revisions = gateway.admin("GET", "/revisions", &json!({})).json();
    assert_eq!(revisions["data"][2]["reason"], "launch", "{revisions}");
    let audit = gateway.admin("GET", "/audit", &json!({})).json();
    let all = audit["data"].as_array().unwrap();
    let of_plans = all.iter().filter(|one| one["action"] == "plan.put").count();
    assert_eq!(of_plans, 2, "{audit}");
}

#[test]
fn a_change_of_plans_holds_on_every_node_within_a_second() {
    let Some(postgres) = Postgres::start() else {
        println!("skipped: postgres is not installed");
        return;
    };
    let provider = Provider::start(good("fine"));
    let config = format!("{}[store]\nurl = \"{}\"\n", configured(&provider), postgres.url);
    let [one, other] = [Gateway::start(&config), Gateway::start(&config)];
    let limit = |gateway: &Gateway| {
        let all = gateway.admin("GET", "/plans", &json!({})).json();
        let all = all["data"].as_array().unwrap().clone();
        let free = all.into_iter().find(|plan| plan["name"] == "free").unwrap();
        free["requests_per_minute"].as_u64()
    };
    assert_eq!(limit(&other), Some(10));
    let said = json!({"requests_per_minute": 3});
    assert_eq!(one.admin("PUT", "/plans/free", &said).status, 200);
    let began = Instant::now();
    within_a_second("the other node goes by it", began, || limit(&other) == Some(3));
    assert_eq!(other.admin("POST", "/revisions/0/restore", &json!({})).status, 200);
    eventually("it is taken back on the first", || limit(&one) == Some(10));
}

#[test]
fn a_dry_run_tells_what_recent_requests_would_have_come_to() {
    let provider = Provider::start(good("fine"));
    let model = |id: &str, usd: f64| {
        format!(
            "[[models]]\nid = \"{id}\"\ntier = \"mid\"\ndeployments = [{{ provider = \"p\", \
             model = \"{id}\", usd_per_million = {{ input = {usd:?}, output = {usd:?} }} }}]\n"
        )
    };
    let config = format!(
        "[router]\nfeatures = \"features.jsonl\"\n[providers.p]\nbase_url = \"{}/v1\"\n\
         dialect = \"openai-chat\"\n{}{}",
        provider.base,
        model("cheap", 1.0),
        model("dear", 30.0)
    );
    let gateway = Gateway::start(&config);
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hello"}]});
    for _ in 0..3 {
        assert_eq!(gateway.chat(&body).status, 200);
    }
    let price = |usd: f64| json!({"usd_per_million": {"input": usd, "output": usd}});
    let mut told = Value::Null;
    eventually("the requests are kept", || {
        let path = "/prices/p/cheap?dry_run=true";
        told = gateway.admin("PUT", path, &price(300.0)).json()["replay"].clone();
        told["requests"] == 3
    });
    assert_eq!((&told["unreadable"], &told["moved"]), (&json!(0), &json!(3)), "{told}");
    assert_eq!(told["before"]["models"], json!({"cheap": 3}), "{told}");
    assert_eq!(told["after"]["models"], json!({"dear": 3}), "{told}");
    let cost = |side: &str| told[side]["cost_nano_usd"].as_i64().unwrap();
    assert!(cost("after") > cost("before"), "{told}");
    // Nothing has changed.
    assert_eq!(gateway.admin("GET", "/revisions", &json!({})).json()["data"], json!([]));
    // Where nothing is kept, nothing is told.
    let plain = Gateway::start(&config.replace("features = \"features.jsonl\"\n", ""));
    let tried = plain.admin("PUT", "/prices/p/cheap?dry_run=true", &price(3.0)).json();
    assert_eq!((&tried["dry_run"], &tried["replay"]), (&json!(true), &Value::Null), "{tried}");
}
