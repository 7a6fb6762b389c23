//! What nodes tell one another through Redis: which deployments are down or up again, and where
//! conversations are answered.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Reply, chain, client, eventually, good, respond, send};
use crate::servers::Redis;

fn nodes(config: &str, redis: &Redis) -> [Gateway; 2] {
    let config = format!("{config}\n[redis]\nurl = \"{}\"\n", redis.url);
    let nodes = [(); 2].map(|()| Gateway::start(&config));
    let channel = ["PUBSUB", "NUMSUB", "optimux:0:gossip"];
    eventually("both listen", || redis.command(&channel).ends_with('2'));
    nodes
}

fn heard(node: &Gateway) -> u64 {
    node.counter("optimux_gossip_total{way=\"heard\"}")
}

fn ask(node: &Gateway, model: &str, session: Option<&str>) -> Reply {
    let address = format!("{}/v1/chat/completions", node.base);
    let mut request = client().post(address).bearer_auth(KEY);
    if let Some(session) = session {
        request = request.header("x-optimux-session", session);
    }
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    send(request.body(body.to_string()))
}

/// A provider that is down as long as that is true; what it says takes a moment.
fn switched(said: &'static str) -> (Provider, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let provider = Provider::start(move |socket, request, number| {
        if is_down.load(Ordering::SeqCst) {
            respond(socket, 503, "", "application/json", br#"{"error":{"message":"down"}}"#);
        } else {
            std::thread::sleep(Duration::from_millis(300));
            good(said)(socket, request, number);
        }
    });
    (provider, down)
}

fn health(node: &Gateway) -> String {
    let told = node.get("/v1/admin/status", KEY).json();
    let providers = told["providers"].as_array().unwrap();
    let first = providers.iter().find(|one| one["id"] == "p0").unwrap();
    first["health"].as_str().unwrap().to_owned()
}

#[test]
fn who_is_down_for_one_node_is_left_alone_by_the_other_and_asked_again_with_it() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped who_is_down_for_one_node: no redis-server here");
        return;
    };
    let (first, down) = switched("first");
    let second = Provider::start(good("second"));
    let [here, there] = nodes(&chain(&[&first, &second]), &redis);
    down.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(ask(&here, "m", None).said(), "second");
    }
    eventually("the other node hears it", || heard(&there) > 0);
    assert_eq!(health(&there), "down");
    let asked = first.count();
    assert_eq!(ask(&there, "m", None).said(), "second");
    assert_eq!(first.count(), asked, "none of its callers finds out");
    // It is back: one node's caller finds that out, and the other lets all of its callers through.
    down.store(false, Ordering::SeqCst);
    let before = heard(&there);
    eventually("one node finds it up", || ask(&here, "m", None).said() == "first");
    eventually("the other hears that", || heard(&there) > before);
    let said: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| ask(&there, "m", None).said())).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(said, ["first"; 4], "not one at a time");
}

#[test]
fn a_node_that_gets_nowhere_does_not_close_what_the_other_reaches() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped a_node_that_gets_nowhere: no redis-server here");
        return;
    };
    let (first, _) = switched("first");
    let second = Provider::start(good("second"));
    let [here, there] = nodes(&chain(&[&first, &second]), &redis);
    assert_eq!(ask(&there, "m", None).said(), "first");
    let down = json!({"down": {"provider": "p0", "name": "m", "rest_ms": 8_000, "slow": false}});
    let tell =
        |line: &Value| redis.command(&["PUBLISH", "optimux:0:gossip", &format!("x\n{line}")]);
    // What nobody understands is passed over.
    tell(&json!({"sideways": 1}));
    tell(&down);
    eventually("both hear it", || heard(&here) > 0 && heard(&there) > 0);
    assert_eq!(health(&here), "down", "it knows nothing better");
    assert_eq!(health(&there), "up");
    assert_eq!(ask(&there, "m", None).said(), "first");
    tell(&json!({"up": {"provider": "p0", "name": "m"}}));
    eventually("that is heard", || health(&here) == "up");
}

#[test]
fn nodes_go_by_themselves_while_redis_is_away() {
    let Some(mut redis) = Redis::start() else {
        eprintln!("skipped nodes_go_by_themselves: no redis-server here");
        return;
    };
    let (first, down) = switched("first");
    let second = Provider::start(good("second"));
    let [here, there] = nodes(&chain(&[&first, &second]), &redis);
    redis.kill();
    down.store(true, Ordering::SeqCst);
    for node in [&here, &there] {
        for _ in 0..5 {
            assert_eq!(ask(node, "m", None).said(), "second");
        }
        assert_eq!(health(node), "down");
    }
    redis.start_again();
    eventually("what is found out is heard again", || {
        ask(&here, "m", None);
        heard(&there) > 0
    });
}

#[test]
fn a_conversation_stays_where_another_node_has_had_it_answered() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped a_conversation_stays: no redis-server here");
        return;
    };
    let providers = ["one", "two"].map(|said| Provider::start(good(said)));
    let config = chain(&[&providers[0], &providers[1]])
        .replace("[[models]]", "[[models]]\nbalance = \"weights\"");
    let [here, there] = nodes(&config, &redis);
    let sessions: Vec<String> = (0..24).map(|number| format!("s{number}")).collect();
    let said: Vec<String> =
        sessions.iter().map(|session| ask(&here, "m", Some(session)).said()).collect();
    assert!(said.contains(&"one".to_owned()) && said.contains(&"two".to_owned()));
    eventually("the other node has heard of all", || heard(&there) >= 24);
    for (session, said) in sessions.iter().zip(&said) {
        assert_eq!(ask(&there, "m", Some(session)).said(), *said);
    }
    // Where nothing has changed, nothing is told again.
    assert_eq!(heard(&here), 0);
}

#[test]
fn auto_stays_with_the_model_that_has_answered_on_another_node() {
    let Some(redis) = Redis::start() else {
        eprintln!("skipped auto_stays: no redis-server here");
        return;
    };
    let both = [switched("first"), switched("second")];
    let mut config = String::from("[router]\nexplore = 0.0\n");
    for (place, (provider, _)) in both.iter().enumerate() {
        let _infallible = write!(
            config,
            "[providers.p{place}]\nbase_url = \"{}/v1\"\n[[models]]\nid = \"m{place}\"\ndeployments = [{{ provider = \"p{place}\", model = \"m\", usd_per_million = {{ input = {place}.1, output = {place}.1 }} }}]\n",
            provider.base
        );
    }
    let [here, there] = nodes(&config, &redis);
    let usual = ask(&there, "auto", Some("other")).said();
    let (_, down) =
        both.iter().zip(["first", "second"]).find(|(_, said)| *said == usual).unwrap().0;
    down.store(true, Ordering::SeqCst);
    let before = heard(&there);
    let instead = ask(&here, "auto", Some("s")).said();
    assert_ne!(instead, usual);
    down.store(false, Ordering::SeqCst);
    eventually("the other node has heard of it", || heard(&there) > before);
    assert_eq!(ask(&there, "auto", Some("s")).said(), instead);
    assert_eq!(ask(&there, "auto", Some("another")).said(), usual);
}
