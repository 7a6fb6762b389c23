//! What administrators change, and what that does to limits: plans, grants, keys that are rotated.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, chain, client, eventually, good, send};
use crate::servers::Redis;

fn ask(gateway: &Gateway, key: &str) -> u16 {
    let body =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]});
    gateway.post("/v1/chat/completions", key, body.to_string()).status
}

/// Each answer of the model costs one dollar: two tokens that are written.
fn priced(provider: &Provider) -> String {
    chain(&[provider]).replace(
        "model = \"m\" }",
        "model = \"m\", usd_per_million = { input = 0.0, output = 500000.0 } }",
    )
}

/// Rotating a key gives nobody more than they had, whatever the key is held to, and however often.
fn rotations(gateway: &Gateway) {
    let (account, _) = gateway.account("rotating", "enterprise", &json!({}));
    for terms in [
        json!({"monthly_budget_usd": 2.5}),
        json!({"monthly_credits": 3}),
        json!({"requests_per_day": 3}),
        json!({"requests_per_minute": 3}),
    ] {
        let asked = [&terms, &json!({"account": account})].iter().fold(
            serde_json::Map::new(),
            |mut all, one| {
                all.extend(one.as_object().unwrap().clone());
                all
            },
        );
        let made = gateway.admin("POST", "/keys", &Value::Object(asked)).json();
        let mut id = made["id"].as_str().unwrap().to_owned();
        let mut keys = vec![made["key"].as_str().unwrap().to_owned()];
        for _ in 0..3 {
            assert_eq!(ask(gateway, keys.last().unwrap()), 200, "{terms}");
            let path = format!("/keys/{id}/rotate");
            let fresh = gateway.admin("POST", &path, &json!({"overlap_seconds": 600})).json();
            fresh["id"].as_str().unwrap().clone_into(&mut id);
            keys.push(fresh["key"].as_str().unwrap().to_owned());
        }
        for key in &keys {
            let status = ask(gateway, key);
            assert!(matches!(status, 402 | 429), "{terms}: {status}");
        }
    }
}

#[test]
fn a_rotation_starts_no_limit_anew() {
    let provider = Provider::start(good("Hello"));
    rotations(&Gateway::start(&priced(&provider)));
    if let Some(redis) = Redis::start() {
        let config = format!("[redis]\nurl = \"{}\"\n{}", redis.url, priced(&provider));
        rotations(&Gateway::start(&config));
    }
}

/// The books know of a family too: a process that starts anew counts what all its keys used.
#[test]
fn a_rotation_is_known_to_the_books() {
    let provider = Provider::start(good("Hello"));
    let mut gateway = Gateway::start(&priced(&provider));
    let (account, _) = gateway.account("a", "enterprise", &json!({}));
    let asked = json!({"account": account, "monthly_credits": 2});
    let made = gateway.admin("POST", "/keys", &asked).json();
    let old = made["key"].as_str().unwrap();
    assert_eq!(ask(&gateway, old), 200);
    let path = format!("/keys/{}/rotate", made["id"].as_str().unwrap());
    let fresh = gateway.admin("POST", &path, &json!({})).json();
    gateway.ask_to_stop();
    gateway.has_stopped();
    gateway.start_again();
    let fresh = fresh["key"].as_str().unwrap();
    assert_eq!([ask(&gateway, fresh), ask(&gateway, fresh), ask(&gateway, old)], [200, 402, 402]);
}

#[test]
fn a_plan_is_changed_where_something_is_said_of_it() {
    let gateway = Gateway::start("[plans.own]\nrequests_per_minute = 7\ntiers = [\"free\"]");
    let put = |name: &str, said: Value| gateway.admin("PUT", &format!("/plans/{name}"), &said);
    // Of the file's, of one that is made here, of a built-in one: what is not said stays.
    let own = put("own", json!({"requests_per_day": 9})).json();
    assert_eq!(own["requests_per_minute"], 7, "{own}");
    assert_eq!((own["requests_per_day"].as_u64(), &own["tiers"]), (Some(9), &json!(["free"])));
    put("made", json!({"requests_per_minute": 5, "tiers": ["free", "mid"]}));
    let made = put("made", json!({"credits_per_month": 100})).json();
    assert_eq!(made["requests_per_minute"], 5, "{made}");
    assert_eq!(
        (&made["tiers"], &made["credits_per_month"]),
        (&json!(["free", "mid"]), &json!(100))
    );
    let free = put("free", json!({"requests_per_minute": 3})).json();
    assert_eq!((&free["requests_per_minute"], &free["requests_per_day"]), (&json!(3), &json!(200)));
    // Null is no limit, and all tiers.
    let open = put("made", json!({"requests_per_minute": null, "tiers": null})).json();
    assert_eq!(open["requests_per_minute"], "unlimited");
    assert_eq!(
        (open["tiers"].as_array().unwrap().len(), &open["credits_per_month"]),
        (5, &json!(100))
    );
    assert_eq!(put("made", json!({"request_per_minute": 1})).status, 400);
    // What was said can be taken back, unless somebody would be left without a plan.
    let drop = |name: &str| gateway.admin("DELETE", &format!("/plans/{name}"), &Value::Null);
    assert_eq!(drop("free").json()["requests_per_minute"], 10);
    assert_eq!(drop("free").status, 404);
    gateway.account("a", "made", &json!({}));
    assert_eq!(drop("made").status, 409);
    assert_eq!(gateway.admin("PATCH", "/accounts/a", &json!({"plan": "free"})).status, 200);
    assert_eq!(drop("made").json()["deleted"], true);
    assert_eq!(drop("own").json()["requests_per_day"], "unlimited");
}

/// A plan that changes holds from then on, for what was used before too.
#[test]
fn a_change_of_plans_keeps_what_was_used() {
    let provider = Provider::start(good("Hello"));
    let config = "[plans.small]\ncredits_per_month = 2\nrequests_per_day = 2\n\
                  [plans.large]\ncredits_per_month = 4\nrequests_per_day = 4\n";
    let gateway = Gateway::start(&format!("{config}{}", chain(&[&provider])));
    let (account, key) = gateway.account("a", "small", &json!({}));
    assert_eq!([ask(&gateway, &key), ask(&gateway, &key), ask(&gateway, &key)], [200, 200, 402]);
    let change = |plan: &str| {
        let done = gateway.admin("PATCH", &format!("/accounts/{account}"), &json!({"plan": plan}));
        assert_eq!(done.status, 200, "{}", done.text());
    };
    change("large");
    assert_eq!([ask(&gateway, &key), ask(&gateway, &key), ask(&gateway, &key)], [200, 200, 402]);
    change("small");
    assert_eq!(ask(&gateway, &key), 402);
    let usage = gateway.get("/v1/usage", &key).json();
    assert_eq!((&usage["credits_used"], &usage["credits_total"]), (&json!(4), &json!(2)));
    let proof = gateway.admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}

#[test]
fn a_grant_is_made_once_and_can_be_taken_back() {
    let provider = Provider::start(good("Hello"));
    let config = format!("[plans.poor]\ncredits_per_month = 1\n{}", chain(&[&provider]));
    let gateway = Gateway::start(&config);
    let (account, key) = gateway.account("a", "poor", &json!({}));
    let grant = |credits: i64, once: &str| -> Reply {
        let address = format!("{}/v1/admin/accounts/{account}/credits", gateway.base);
        let body = json!({"credits": credits, "reason": "r"}).to_string();
        let request = client().post(address).bearer_auth(KEY).body(body);
        send(if once.is_empty() { request } else { request.header("idempotency-key", once) })
    };
    let total = || gateway.get("/v1/usage", &key).json()["credits_total"].as_i64().unwrap();
    let first = grant(5, "one");
    assert_eq!((first.status, total()), (200, 6));
    let again = grant(5, "one");
    assert_eq!((again.status, again.json()["id"] == first.json()["id"], total()), (200, true, 6));
    assert_eq!(grant(6, "one").status, 400);
    assert_eq!((grant(5, "two").status, grant(5, "").status, total()), (200, 200, 16));
    // Too much was given: what is left of it can be taken back, and no more.
    assert_eq!((grant(-11, "").status, total()), (200, 5));
    assert_eq!([ask(&gateway, &key), ask(&gateway, &key)], [200, 200]);
    eventually("it is in the books", || gateway.get("/v1/usage", &key).json()["credits_used"] == 2);
    assert_eq!((grant(-4, "").status, grant(-3, "").status), (400, 200));
    assert_eq!((total(), ask(&gateway, &key)), (2, 402));
    assert_eq!(grant(0, "").status, 400);
    let proof = gateway.admin("GET", "/ledger/verify", &Value::Null).json();
    assert_eq!(proof["ok"], true, "{proof}");
}
