//! Keys that a server lends to a page: for how long, for what, from which origins, and for nothing once
//! the key behind them is gone.

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, client, eventually, good, send};

fn configured(provider: &Provider) -> String {
    let base = &provider.base;
    format!(
        "[server]\ncors_origins = [\"https://app.example.com\"]\n\
         [providers.p]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\", \
         usd_per_million = {{ input = 1000.0, output = 1000.0 }} }}]\n\
         [[models]]\nid = \"n\"\ndeployments = [{{ provider = \"p\", model = \"m\", \
         usd_per_million = {{ input = 1000.0, output = 1000.0 }} }}]\n"
    )
}

fn lend(gateway: &Gateway, key: &str, asked: &Value) -> Reply {
    gateway.post("/v1/keys/browser", key, asked.to_string())
}

fn lent(gateway: &Gateway, key: &str, asked: &Value) -> String {
    let made = lend(gateway, key, asked);
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    made.json()["value"].as_str().unwrap().to_owned()
}

fn said(gateway: &Gateway, key: &str, model: &str) -> u16 {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    gateway.post("/v1/chat/completions", key, body.to_string()).status
}

#[test]
fn what_is_lent_is_good_for_what_it_says_and_for_no_more_than_its_key() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let narrow = gateway.key(&account, &json!({"models": ["n"], "scopes": ["chat"]}));
    let any = lent(&gateway, &key, &json!({}));
    assert!(any.starts_with("ek_"));
    assert_eq!([said(&gateway, &any, "m"), said(&gateway, &any, "n")], [200, 200]);
    let only = lent(&gateway, &key, &json!({"models": ["m"]}));
    assert_eq!([said(&gateway, &only, "m"), said(&gateway, &only, "n")], [200, 403]);
    // It names what its key may not.
    let wide = lent(&gateway, &narrow, &json!({"models": ["m", "n"]}));
    assert_eq!([said(&gateway, &wide, "m"), said(&gateway, &wide, "n")], [403, 200]);
    for (asked, status) in [
        (json!({"expires_in_seconds": 3_601}), 400),
        (json!({"expires_in_seconds": 1}), 400),
        (json!({"scopes": ["keys"]}), 400),
        (json!({"scopes": []}), 400),
        (json!({"colour": "red"}), 400),
    ] {
        assert_eq!(lend(&gateway, &key, &asked).status, status, "{asked}");
    }
    assert_eq!(lend(&gateway, &narrow, &json!({"scopes": ["realtime"]})).status, 403);
    // It lends nothing itself, keeps no keys, and reads nothing of the account.
    assert_eq!(lend(&gateway, &any, &json!({})).status, 403);
    assert_eq!(lend(&gateway, KEY, &json!({})).status, 403);
    for path in ["/v1/keys", "/v1/usage", "/v1/requests", "/v1/agents", "/v1/admin/accounts"] {
        assert_eq!(gateway.get(path, &any).status, 403, "{path}");
    }
    assert_eq!(said(&gateway, "ek_made-up", "m"), 401);
    assert!(!gateway.log().contains("ek_"));
    let id = gateway.get("/v1/keys", &key).json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.get("/v1/keys", &key).json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(gateway.admin("DELETE", &format!("/keys/{id}"), &json!({})).status, 200);
    eventually("what it lent is gone with it", || {
        said(&gateway, &any, "m") == 401 || said(&gateway, &wide, "n") == 401
    });
}

#[test]
fn budgets_and_limits_are_its_own_or_those_of_its_key() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    // An answer costs 0.005 USD.
    let poor = lent(&gateway, &key, &json!({"budget_usd": 0.000_001}));
    let slow = lent(&gateway, &key, &json!({"requests_per_minute": 1}));
    assert!(said(&gateway, &poor, "m") >= 400);
    assert_eq!([said(&gateway, &slow, "m"), said(&gateway, &slow, "m")], [200, 429]);
    assert_eq!(said(&gateway, &key, "m"), 200);
    let limited = gateway.key(&account, &json!({"requests_per_minute": 2}));
    let refused = lend(&gateway, &limited, &json!({"requests_per_minute": 9}));
    assert_eq!(refused.json()["error"]["code"], "limits_are_shared");
    let sharing = lent(&gateway, &limited, &json!({}));
    assert_eq!(
        [
            said(&gateway, &sharing, "m"),
            said(&gateway, &limited, "m"),
            said(&gateway, &sharing, "m")
        ],
        [200, 200, 429]
    );
}

#[test]
fn a_page_of_an_allowed_origin_calls_with_it() {
    let provider = Provider::start(good("fine"));
    let gateway = Gateway::start(&configured(&provider));
    let (_, key) = gateway.account("acme", "enterprise", &json!({}));
    let secret = lent(&gateway, &key, &json!({"expires_in_seconds": 60}));
    let path = format!("{}/v1/chat/completions", gateway.base);
    for (origin, allowed) in
        [("https://app.example.com", "https://app.example.com"), ("https://other.example", "")]
    {
        let asked = client()
            .request(reqwest::Method::OPTIONS, &path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let preflight = send(asked);
        assert_eq!(preflight.header("access-control-allow-origin"), allowed, "{origin}");
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let asked = client()
            .post(&path)
            .header("origin", origin)
            .bearer_auth(&secret)
            .body(body.to_string());
        let reply = send(asked);
        assert_eq!(reply.header("access-control-allow-origin"), allowed, "{origin}");
        if !allowed.is_empty() {
            assert_eq!(reply.status, 200, "{}", reply.text());
            let exposed = reply.header("access-control-expose-headers").to_lowercase();
            assert!(exposed.contains("x-optimux-model"), "{exposed}");
        }
    }
}
