//! What is changed through one of two nodes on one store, and holds on the other within a second.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{Gateway, eventually, within_a_second};
use crate::servers::Postgres;
use crate::signin::with;

/// A key that the account's own makes; its id and the key.
fn made(gateway: &Gateway, keeper: &str, terms: &Value) -> (String, String) {
    let made = with(gateway, "POST", "/v1/keys", keeper, terms);
    assert_eq!(made.status, 200, "{}", made.text());
    let member = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (member("id"), member("key"))
}

fn reads(gateway: &Gateway, key: &str) -> u16 {
    gateway.get("/v1/usage", key).status
}

#[test]
fn keys_end_and_are_rotated_on_every_node_within_a_second() {
    let Some(postgres) = Postgres::start() else { return };
    let config = format!("[store]\nurl = \"{}\"\n", postgres.url);
    let nodes = [Gateway::start(&config), Gateway::start(&config)];
    let (_, keeper) = nodes[0].account("acme", "enterprise", &json!({}));
    let keys: Vec<_> =
        (0..4).map(|_| made(&nodes[0], &keeper, &json!({"name": "short"}))).collect();
    // What the other node remembers would be forgotten by the news that these were made: it has them first.
    let (id, last) = made(&nodes[0], &keeper, &json!({"name": "last"}));
    assert_eq!(nodes.each_ref().map(|node| reads(node, &last)), [200, 200]);
    let less = json!({"scopes": ["chat"]});
    assert_eq!(with(&nodes[0], "PATCH", &format!("/v1/keys/{id}"), &keeper, &less).status, 200);
    eventually("the other node has all news", || reads(&nodes[1], &last) == 403);
    for (turn, (id, key)) in keys.iter().enumerate() {
        let (here, there) = (&nodes[turn % 2], &nodes[(turn + 1) % 2]);
        assert_eq!((reads(here, key), reads(there, key)), (200, 200));
        let gone = with(here, "DELETE", &format!("/v1/keys/{id}"), &keeper, &Value::Null);
        let began = Instant::now();
        assert_eq!(gone.status, 200, "{}", gone.text());
        assert_eq!(reads(here, key), 401, "at once where it was revoked");
        within_a_second("the other node refuses it", began, || reads(there, key) == 401);
    }
    is_rotated(&nodes, &keeper);
}

/// Beside the new key, which is held to the same, the old one is good for as long as was said.
fn is_rotated(nodes: &[Gateway; 2], keeper: &str) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let terms = json!({
        "name": "turning", "scopes": ["chat", "usage"], "models": ["gpt-5*", "auto"],
        "monthly_budget_usd": "12.5", "monthly_credits": 40, "requests_per_minute": 50,
        "requests_per_day": 500, "tokens_per_minute": 10_000, "images_per_minute": 3,
        "data_collection": "deny", "zdr": true, "regions": ["eu"],
        "expires_at": now.as_secs() + 86_400,
    });
    let (old, key) = made(&nodes[0], keeper, &terms);
    let told = |id: &str| {
        let told = nodes[1].get(&format!("/v1/keys/{id}"), keeper);
        let Value::Object(mut told) = told.json() else { panic!("{}", told.text()) };
        for own in ["id", "hint", "created", "revoked", "last_used_at"] {
            told.remove(own);
        }
        told
    };
    for (name, value) in terms.as_object().unwrap() {
        assert_eq!(&told(&old)[name], value, "{name}");
    }
    assert_eq!(nodes.each_ref().map(|node| reads(node, &key)), [200, 200]);
    let overlap = Duration::from_secs(2);
    let path = format!("/v1/keys/{old}/rotate?overlap_seconds={}", overlap.as_secs());
    let began = Instant::now();
    let turned = with(&nodes[0], "POST", &path, keeper, &Value::Null);
    let answered = Instant::now();
    assert_eq!(turned.status, 200, "{}", turned.text());
    let newer = turned.json();
    let (new, fresh) = (newer["id"].as_str().unwrap(), newer["key"].as_str().unwrap());
    let both = |key: &str| nodes.each_ref().map(|node| reads(node, key));
    assert_eq!(both(fresh), [200, 200], "good at once everywhere");
    assert_eq!(both(&key), [200, 200], "and so is the old one");
    assert!(began.elapsed() < overlap, "this machine is too slow to tell");
    assert_eq!(told(new), told(&old));
    for node in nodes {
        eventually("the old one ends", || reads(node, &key) == 401);
        assert!(began.elapsed() >= overlap, "too early: {:?}", began.elapsed());
    }
    within_a_second("it has ended everywhere", answered + overlap, || both(&key) == [401, 401]);
    assert_eq!(both(fresh), [200, 200]);
}
