//! What is told of how the gateway is, and to whom.

use serde_json::{Value, json};

use super::*;
use crate::admit::KeyTerms;
use crate::boot::fixture::{Fixture, Folder};
use crate::store::Node;
use crate::wire::vocab::Fault;

/// `chat` at two providers with a price, `vectors` and `sees` at the second.
const CONFIG: &str = "
    [providers.p1]
    base_url = \"http://127.0.0.1:1/v1\"
    dialect = \"openai-chat\"
    [providers.p2]
    base_url = \"http://127.0.0.1:1/v1\"
    dialect = \"openai-chat\"
    [[models]]
    id = \"chat\"
    aliases = [\"talk\"]
    tier = \"budget\"
        capabilities = [\"system\"]
    deployments = [
        { provider = \"p1\", usd_per_million = { input = 1.5, output = 6.0, cache_read = 0.5 } },
        { provider = \"p2\" },
    ]
    [[models]]
    id = \"vectors\"
    mode = \"embedding\"
    tier = \"budget\"
        capabilities = []
    deployments = [{ provider = \"p2\" }]
    [[models]]
    id = \"sees\"
    tier = \"ultra\"
    capabilities = [\"vision\", \"tools\"]
    deployments = [{ provider = \"p2\" }]
    [plans.cheap]
    tiers = [\"budget\"]
    [plans.unrouted]
    features = { auto_routing = false }
";

fn json_of(told: impl Serialize) -> Value {
    serde_json::to_value(told).unwrap()
}

#[tokio::test]
async fn a_model_is_up_degraded_or_down_by_those_who_serve_it() {
    let fixture = Fixture::of(CONFIG).await;
    let caller = fixture.caller("enterprise").await;
    let healths = || {
        let told = json_of(models(&fixture.app, &caller));
        let all = told["data"].as_array().unwrap().clone();
        let health = |one: &Value| one["health"].as_str().unwrap().to_owned();
        all.iter().map(health).collect::<Vec<_>>()
    };
    let up = |model: &str| is_up(&fixture.app, &fixture.step(model).model);
    assert_eq!(healths(), ["up", "up", "up"]);
    fixture.rest("p2");
    assert_eq!(healths(), ["degraded", "down", "down"]);
    assert!(up("chat") && !up("vectors"), "one place is enough");
    fixture.rest("p1");
    assert_eq!(healths(), ["down", "down", "down"]);
    assert!(!up("chat"));
}

#[tokio::test]
async fn a_caller_is_shown_the_models_that_are_theirs_with_the_first_price() {
    let fixture = Fixture::of(CONFIG).await;
    fixture.rest("p2");
    let cheap = fixture.caller("cheap").await;
    let told = json_of(models(&fixture.app, &cheap));
    let ids: Vec<&Value> = told["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["chat", "vectors"]);
    let chat = &told["data"][0];
    let price = json!({"input": 1.5, "output": 6.0, "cache_read": 0.5});
    assert_eq!((&chat["usd_per_million_tokens"], &chat["aliases"]), (&price, &json!(["talk"])));
    let places = json!([{"provider": "p1", "health": "up"}, {"provider": "p2", "health": "down"}]);
    assert_eq!(chat["deployments"], places);
    let terms = KeyTerms { models: Some(vec!["sees".to_owned()]), ..KeyTerms::default() };
    let held = fixture.caller_with("enterprise", &terms).await;
    let told = json_of(models(&fixture.app, &held));
    assert_eq!(told["data"].as_array().unwrap().len(), 1);
    assert_eq!(told["data"][0]["capabilities"], json!(["tools", "vision"]));
}

#[tokio::test]
async fn what_can_be_done_is_what_some_model_of_the_callers_that_is_up_can_do() {
    let fixture = Fixture::of(CONFIG).await;
    let of = async |plan: &str| {
        let caller = fixture.caller(plan).await;
        let told = json_of(capabilities(&fixture.app, &caller));
        let flag = |name: &str| told[name].as_bool().unwrap();
        let vision = told["model_capabilities"]["vision"].as_bool().unwrap();
        let chats = [flag("chat"), flag("embeddings"), flag("auto_routing"), vision];
        (chats, told["models_available"].as_u64().unwrap())
    };
    assert_eq!(of("enterprise").await, ([true, true, true, true], 3));
    assert_eq!(of("cheap").await, ([true, true, true, false], 2));
    assert_eq!(of("unrouted").await, ([true, true, false, true], 3));
    fixture.rest("p2");
    assert_eq!(of("enterprise").await, ([true, false, true, false], 1));
    fixture.rest("p1");
    assert_eq!(of("enterprise").await, ([false, false, false, false], 0));
}

#[tokio::test]
async fn a_node_is_ready_until_it_is_told_to_stop_and_whole_while_its_store_is_there() {
    let fixture = Fixture::of(CONFIG).await;
    let node = &fixture.app.shared.node;
    for (draining, store, ready, status) in [
        (false, true, true, "healthy"),
        (false, false, true, "degraded"),
        (true, true, false, "stopping"),
        (true, false, false, "stopping"),
    ] {
        node.draining.store(draining, Ordering::Relaxed);
        node.store_is_up.store(store, Ordering::Relaxed);
        let (is_ready, told) = admin_health(&fixture.app);
        let told = json_of(told);
        assert_eq!(
            (is_ready, &told["status"], &told["ready"]),
            (ready, &json!(status), &json!(ready))
        );
        assert_eq!(told["dependencies"]["redis"], "not configured");
        assert_eq!(told["dependencies"]["store"], if store { "up" } else { "down" });
        assert_eq!(is_whole(&fixture.app), (ready, store));
        let all = json_of(admin_status(&fixture.app).await);
        assert_eq!(all["status"], if store { "ok" } else { "degraded" });
    }
    let providers = |fixture: &Fixture| {
        json_of(admin_health(&fixture.app).1)["dependencies"]["providers"].clone()
    };
    fixture.rest("p2");
    assert_eq!(providers(&fixture), "up", "somebody is there");
    fixture.rest("p1");
    assert_eq!(providers(&fixture), "down");
}

#[tokio::test]
async fn keys_are_told_of_by_their_ends_and_why_they_rest() {
    let folder = Folder::new();
    let file = folder.path("keys");
    std::fs::write(
        &file,
        "sk-0123456789abcdef-first,sk-0123456789abcdef-other,sk-0123456789abcdef-third",
    )
    .unwrap();
    let keyed = format!("[providers.p1]\napi_key_file = \"{}\"", file.display());
    let fixture = Fixture::of(&CONFIG.replace("[providers.p1]", &keyed)).await;
    let deployment = fixture.step("chat").deployment;
    let health = fixture.app.shared.routing.health.keys();
    let fault = |kind| Fault::new(kind, "no");
    health.failed(&deployment, 0, &fault(FaultKind::Quota), Instant::now());
    health.failed(&deployment, 1, &fault(FaultKind::RateLimited), Instant::now());
    health.failed(&deployment, 2, &fault(FaultKind::Credential), Instant::now());
    let told = json_of(keys(&fixture.app, &deployment.provider));
    let all: Vec<[&Value; 3]> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|key| [&key["health"], &key["why"], &key["limited_deployments"]])
        .collect();
    assert_eq!(
        all,
        [
            [&json!("resting"), &json!("quota"), &json!(0)],
            [&json!("up"), &json!("rate_limited"), &json!(1)],
            [&json!("resting"), &json!("credential"), &json!(0)],
        ]
    );
    assert_eq!(told[1]["resting_seconds"], Value::Null, "it is asked with for other models");
    assert!(told[0]["resting_seconds"].as_u64().is_some_and(|wait| wait > 0));
    assert!(told[0]["ends_in"].as_str().is_some_and(|end| "first".ends_with(end)), "{told}");
    assert!(!told.to_string().contains("0123456789"), "never what they are");
}

#[tokio::test]
async fn an_administrator_is_told_how_each_provider_is_and_which_nodes_were_heard_of() {
    let fixture = Fixture::of(CONFIG).await;
    let shared = &fixture.app.shared;
    let now = shared.clock.now();
    for (id, seconds) in [("node_here", 20), ("node_gone", 40)] {
        let seen = now.before(Duration::from_secs(seconds));
        let node = Node {
            id: id.to_owned(),
            address: "10.0.0.1:8080".to_owned(),
            version: "1".to_owned(),
            started: seen,
            seen,
        };
        let oldest = now.before(Duration::from_secs(3_600));
        shared.store.hear_of(node, oldest).await.unwrap();
    }
    fixture.rest("p1");
    let sees = fixture.step("sees").deployment;
    shared.routing.health.first_token(sees.id, false, Duration::from_millis(800));
    shared.routing.health.begun(sees.id, true, Duration::from_millis(500));
    let told = json_of(admin_status(&fixture.app).await);
    assert_eq!(
        (&told["nodes"][0]["id"], told["nodes"].as_array().unwrap().len()),
        (&json!("node_here"), 1)
    );
    let of = |at: usize| {
        let one = &told["providers"][at];
        [&one["id"], &one["health"], &one["deployments"]]
    };
    assert_eq!(of(0), [&json!("p1"), &json!("down"), &json!(1)]);
    assert_eq!(of(1), [&json!("p2"), &json!("up"), &json!(3)]);
    assert_eq!(told["providers"][0]["latency_seconds"], Value::Null, "nobody was asked there");
    let waited = told["providers"][1]["latency_seconds"].as_f64().unwrap();
    assert!((0.1..1.0).contains(&waited), "of those that were asked: {waited}");
    assert_eq!((&told["models"], &told["catalogue_revision"]), (&json!(3), &json!(0)));
}
