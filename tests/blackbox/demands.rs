//! What plans and keys demand of whoever is sent something: every request is held to it.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, chain, good, respond};

/// The model `m` at three providers: of the first nothing is known, the second keeps what it is sent for a
/// while, the third nothing. `other`, an embedding model and a fallback of `m` are at the first alone.
struct House {
    gateway: Gateway,
    providers: Vec<Provider>,
}

impl House {
    fn start() -> Self {
        let said = ["from the first", "from the second", "from the third"];
        Self::of(said.map(|said| Provider::start(good(said))).into())
    }

    fn of(providers: Vec<Provider>) -> Self {
        let all: Vec<&Provider> = providers.iter().collect();
        let config = chain(&all)
            .replace(
                "[providers.p1]\n",
                "[providers.p1]\ndata = { trains = false, retention_days = 30, region = \"us\" }\n",
            )
            .replace(
                "[providers.p2]\n",
                "[providers.p2]\ndata = { trains = false, region = \"eu\" }\n",
            )
            .replace(
                "provider = \"p2\", model = \"m\"",
                "provider = \"p2\", model = \"m\", data = { retention_days = 0 }",
            );
        let more = "[[models]]\nid = \"other\"\ndeployments = [{ provider = \"p0\" }]\n\
             [[models]]\nid = \"vectors\"\nmode = \"embedding\"\ndeployments = [{ provider = \"p0\" }]\n\
             [routes.fallback]\nm = [\"other\"]\n\
             [plans.strict]\nregions = [\"EU\"]\ndata_collection = \"deny\"\n";
        Self { gateway: Gateway::start(&format!("{config}{more}")), providers }
    }

    fn key(&self, plan: &str, terms: Value) -> String {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("{plan} {number}");
        self.gateway.account(&name, plan, &terms).1
    }

    fn chat(&self, key: &str, model: &str, more: Value) -> (u16, Value, String) {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let reply = self.gateway.post("/v1/chat/completions", key, body.to_string());
        let said = if reply.status == 200 { reply.said() } else { String::new() };
        let told = if reply.status == 200 { Value::Null } else { reply.json()["error"].clone() };
        (reply.status, told, said)
    }
}

fn stream() -> Value {
    json!({"stream": true})
}

#[test]
fn named_models_and_auto_are_held_to_what_a_key_demands() {
    let house = House::start();
    for (terms, by) in [
        (json!({}), "from the first"),
        (json!({"data_collection": "deny"}), "from the second"),
        (json!({"regions": ["US"]}), "from the second"),
        (json!({"zdr": true}), "from the third"),
        (json!({"regions": ["eu", "ch"]}), "from the third"),
    ] {
        let key = house.key("enterprise", terms.clone());
        for more in [json!({}), stream()] {
            assert_eq!(house.chat(&key, "m", more).2, by, "{terms}");
        }
        if terms != json!({}) {
            let (status, _, said) = house.chat(&key, "auto", stream());
            assert_eq!((status, said.as_str()), (200, by), "{terms}");
        }
    }
    let key = house.key("enterprise", json!({"zdr": true}));
    for (path, body) in [
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        ("/v1/responses", json!({"model": "m", "input": "hi"})),
    ] {
        let reply = house.gateway.post(path, &key, body.to_string());
        assert_eq!(reply.header("x-optimux-provider"), "p2", "{path}: {}", reply.text());
    }
    // What was left out, and why, without the fallback either.
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let route = house.gateway.post("/v1/route", &key, body.to_string()).json();
    assert_eq!(route["plan"].as_array().unwrap().len(), 1, "{route}");
    let left_out = json!([
        {"model": "m", "provider": "p0", "member": "key.zdr"},
        {"model": "m", "provider": "p1", "member": "key.zdr"},
        {"model": "other", "provider": "p0", "member": "key.zdr"},
    ]);
    assert_eq!(route["left_out"], left_out);
}

#[test]
fn what_cannot_be_met_is_refused_with_whose_demand_it_is() {
    let house = House::start();
    let zdr = house.key("enterprise", json!({"zdr": true}));
    let plan = house.key("strict", json!({}));
    let both = house.key("strict", json!({"regions": ["us"]}));
    let far = house.key("enterprise", json!({"regions": ["mars"]}));
    for (key, model, more, param) in [
        (&zdr, "other", json!({}), "key.zdr"),
        (&zdr, "p0/m", json!({}), "key.zdr"),
        (
            &zdr,
            "m",
            json!({"provider": {"order": ["p0"], "allow_fallbacks": false}}),
            "provider.order",
        ),
        (&plan, "other", json!({}), "plan.data_collection"),
        (&both, "m", json!({}), "plan.data_collection"),
        (&far, "auto", json!({}), "key.regions"),
        (&far, "m", json!({"models": ["other"]}), "key.regions"),
    ] {
        let (status, error, _) = house.chat(key, model, more.clone());
        assert!((400..500).contains(&status), "{model} {more}: {status} {error}");
        assert_eq!(error["param"], param, "{model} {more}: {error}");
    }
    let (status, error, _) = house.chat(&zdr, "other", json!({}));
    assert_eq!((status, &error["code"]), (403, &json!("data_policy")));
    let text = error["message"].as_str().unwrap();
    assert!(text.contains("This API key demands 'zdr'") && text.contains("'other'"), "{text}");
    let vectors = json!({"model": "vectors", "input": "hi"}).to_string();
    assert_eq!(house.gateway.post("/v1/embeddings", &zdr, vectors).status, 403);
    assert_eq!(house.providers[0].count(), 0, "nothing was sent to whom it must not be");
    // The plan alone is met by one; the administrator is held to nothing.
    assert_eq!(house.chat(&plan, "m", json!({})).2, "from the third");
    assert_eq!(house.chat(KEY, "other", json!({})).2, "from the first");
}

#[test]
fn failover_stays_among_those_who_meet_it() {
    let fails = Provider::start(|socket, _, _| {
        respond(socket, 503, "", "application/json", br#"{"error":{"message":"down"}}"#);
    });
    let others = ["from the first", "from the second"].map(|said| Provider::start(good(said)));
    let house = House::of(others.into_iter().chain([fails]).collect());
    let key = house.key("enterprise", json!({"zdr": true}));
    for more in [json!({}), stream()] {
        assert_eq!(house.chat(&key, "m", more).0, 503);
    }
    assert!(house.providers[..2].iter().all(|provider| provider.count() == 0));
    assert!(house.providers[2].count() > 0);
}

#[test]
fn demands_are_taken_on_and_off() {
    let house = House::start();
    let (account, key) = house.gateway.account("one", "enterprise", &json!({}));
    assert_eq!(house.chat(&key, "m", json!({})).2, "from the first");
    // An account has its own in the place of its plan's.
    let path = format!("/accounts/{account}");
    let limits = |demands: Value| house.gateway.admin("PATCH", &path, &json!({"limits": demands}));
    assert_eq!(limits(json!({"zdr": true})).status, 200);
    crate::house::eventually("it is held", || {
        house.chat(&key, "m", json!({})).2 == "from the third"
    });
    assert_eq!(limits(json!({"zdr": false})).status, 200);
    crate::house::eventually("it is not", || {
        house.chat(&key, "m", json!({})).2 == "from the first"
    });
    // A key that is held back makes no others that are not.
    let held = house.gateway.key(&account, &json!({"zdr": true}));
    let made = house.gateway.post("/v1/keys", &held, json!({"name": "free"}).to_string());
    assert_eq!(made.status, 403, "{}", made.text());
    let wrong = json!({"account": account, "data_collection": "maybe"});
    assert_eq!(house.gateway.admin("POST", "/keys", &wrong).status, 400);
}
