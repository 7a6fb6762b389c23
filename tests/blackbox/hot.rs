//! Changes of the configuration that a running node takes up, and those that it does not.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chunk, delta, end_chunks, eventually, good,
};

fn configured(providers: &[(&str, &Provider)], rest: &str) -> String {
    let table = |(id, provider): &(&str, &Provider)| {
        let base = &provider.base;
        format!("[providers.{id}]\nbase_url = \"{base}/v1\"\ndialect = \"openai-chat\"\n")
    };
    let tables: String = providers.iter().map(table).collect();
    format!("{ADMIN}{tables}{rest}")
}

/// What every gateway under test begins with.
const ADMIN: &str = "[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n";

fn model(id: &str, provider: &str, usd: f64) -> String {
    format!(
        "[[models]]\nid = \"{id}\"\ndeployments = [{{ provider = \"{provider}\", model = \"x\", \
         usd_per_million = {{ input = {usd:?}, output = {usd:?} }} }}]\n"
    )
}

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

fn write(gateway: &Gateway, config: &str) {
    std::fs::write(gateway.folder.join("optimux.toml"), config).unwrap();
}

#[test]
fn a_changed_configuration_is_taken_up_and_requests_keep_what_they_began_with() {
    let go_on = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&go_on);
    let slow = Provider::start(move |socket, _, _| {
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        chunk(socket, &delta("x", &json!({"role": "assistant", "content": "old"}), None));
        while !told.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        chunk(socket, &delta("x", &json!({}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let new = Provider::start(good("new"));
    let config = configured(&[("one", &slow)], &model("m", "one", 1.0));
    let gateway = Gateway::start(config.strip_prefix(ADMIN).unwrap());
    let (_, key) = gateway.account("acme", "free", &json!({}));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| gateway.chat(&body("m", true)));
        eventually("the stream is under way", || slow.count() == 1);
        // Another provider, another model, another price, another plan.
        let rest = format!(
            "{}{}[plans.free]\nrequests_per_minute = 1\n",
            model("m", "two", 2.0),
            model("fresh", "two", 3.0)
        );
        write(&gateway, &configured(&[("two", &new)], &rest));
        eventually("the new model is there", || gateway.chat(&body("fresh", false)).status == 200);
        let reply = gateway.chat(&body("m", false));
        assert_eq!((reply.status, reply.said().as_str()), (200, "new"));
        let id = reply.header("x-request-id").to_owned();
        let bill = gateway.get(&format!("/v1/requests/{id}"), KEY).json();
        // Three tokens in and two out, at two dollars a million.
        assert_eq!(bill["cost_nano_usd"], 10_000, "{bill}");
        let ask = || gateway.post("/v1/chat/completions", &key, body("m", false).to_string());
        assert_eq!((ask().status, ask().status), (200, 429), "the plan is the new one");
        go_on.store(true, Ordering::SeqCst);
        let old = reading.join().unwrap();
        assert_eq!((old.said().as_str(), old.whole), ("old", true));
    });
    assert!(gateway.log().contains("the configuration has been read again"), "{}", gateway.log());
}

#[test]
fn a_change_that_does_not_hold_changes_nothing_and_is_told_of_with_its_fault() {
    let provider = Provider::start(good("yes"));
    let good = configured(&[("one", &provider)], &model("m", "one", 1.0));
    let gateway = Gateway::start(good.strip_prefix(ADMIN).unwrap());
    let served = || gateway.chat(&body("m", false)).status;
    for (changed, fault) in [
        (format!("{good}[serverr]\n"), "did you mean 'server'?"),
        (good.replace("openai-chat", "openai-chatt"), "optimux.toml:5: providers.one.dialect"),
        (good.replace("provider = \"one\"", "provider = \"two\""), "two"),
        (format!("{good}[routes.fallback]\nm = [\"nobody\"]\n"), "there is no model 'nobody'"),
        ("[admin]\n".to_owned(), "nothing of what is configured can be asked"),
        (good.replace("[[models]]", "[[models]"), "line"),
    ] {
        write(&gateway, &changed);
        eventually(fault, || {
            let log = gateway.log();
            log.lines()
                .any(|line| line.contains("the catalogue stays as it is") && line.contains(fault))
        });
        assert_eq!(served(), 200, "{fault}");
    }
    // A file that is gone is a mistake, until somebody asks: then it is told of.
    std::fs::remove_file(gateway.folder.join("optimux.toml")).unwrap();
    gateway.signal("HUP");
    eventually("it is missed", || gateway.log().contains("there is no such configuration file"));
    assert_eq!(served(), 200);
    // What wants a restart is named, and what does not is taken up all the same.
    let changed = good.replace("id = \"m\"", "id = \"n\"");
    write(&gateway, &format!("{changed}[upstream]\nattempts = 3\n[credits]\nmid = 4\n"));
    eventually("the model is there", || gateway.chat(&body("n", false)).status == 200);
    assert_eq!(served(), 404);
    eventually("what waits is named", || {
        let log = gateway.log();
        log.lines()
            .any(|line| line.contains("wait for a restart") && line.contains("upstream, credits"))
    });
}
