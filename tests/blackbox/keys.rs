//! A provider with several keys: what is asked with which, and what becomes of those that it refuses.

use std::net::TcpStream;

use serde_json::{Value, json};

use crate::house::{Gateway, KEY, Provider, Received, chain, eventually, good, respond};

const ONE: &str = "sk-house-first-000000000001";
const TWO: &str = "sk-house-second-00000000002";
const THREE: &str = "sk-house-third-000000000003";

fn request(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

/// The model at `providers`, the first of which is asked with these keys.
fn keyed(providers: &[&Provider], keys: &str) -> String {
    let config = chain(providers);
    config.replacen("dialect = ", &format!("{keys}\ndialect = "), 1)
}

const LISTED: &str = "api_keys = [{ env = \"HOUSE_ONE\" }, { env = \"HOUSE_TWO\" }]";
const VARIABLES: [(&str, &str); 2] = [("HOUSE_ONE", ONE), ("HOUSE_TWO", TWO)];

fn with(request: &Received, key: &str) -> bool {
    request.head.contains(&format!("Bearer {key}"))
}

/// How often a provider was asked with a key.
fn asked(provider: &Provider, key: &str) -> usize {
    provider.received.lock().unwrap().iter().filter(|request| with(request, key)).count()
}

/// Answers every key but the first well; that one it refuses.
fn refusing(status: u16, extra: &'static str) -> Provider {
    Provider::start(move |socket, request, number| {
        if with(request, ONE) {
            refuse(socket, status, extra);
        } else {
            good("well")(socket, request, number);
        }
    })
}

fn refuse(socket: &mut TcpStream, status: u16, extra: &str) {
    let body = json!({"error": {"message": format!("no: {ONE}"), "code": "some_code"}});
    respond(socket, status, extra, "application/json", body.to_string().as_bytes());
}

#[test]
fn a_key_that_is_refused_rests_and_the_next_is_asked_with_at_once() {
    for (status, extra, why) in
        [(401, "", "credential"), (402, "", "quota"), (429, "retry-after: 60\r\n", "rate_limited")]
    {
        let provider = refusing(status, extra);
        let gateway = Gateway::start_with(&keyed(&[&provider], LISTED), &VARIABLES);
        for turn in 0..20 {
            let reply = gateway.chat(&request(turn % 2 == 0));
            assert_eq!((reply.status, reply.said().as_str()), (200, "well"), "{status}");
        }
        assert_eq!(asked(&provider, ONE), 1, "{status}: it rests");
        assert_eq!(asked(&provider, TWO), 20, "{status}: nobody noticed");
        let told = gateway.get("/v1/admin/status", KEY);
        assert!(!told.text().contains("sk-house"), "{}", told.text());
        let house = told.json()["providers"][0].clone();
        assert_eq!(house["health"], "up", "{house}");
        assert_eq!(
            (&house["keys"][0]["why"], &house["keys"][1]["why"]),
            (&why.into(), &Value::Null)
        );
        assert_eq!(house["keys"][0]["ends_in"], "0001");
        let log = gateway.log();
        assert!(log.contains("a key rests") && !log.contains("sk-house"), "{log}");
    }
}

#[test]
fn only_when_all_keys_rest_somebody_else_is_asked() {
    for (status, extra) in [(401, ""), (403, ""), (429, "retry-after: 60\r\n")] {
        let first = Provider::start(move |socket, _, _| refuse_any(socket, status, extra));
        let second = Provider::start(good("from the second"));
        let gateway = Gateway::start_with(&keyed(&[&first, &second], LISTED), &VARIABLES);
        let reply = gateway.chat(&request(false));
        assert_eq!((reply.status, reply.said().as_str()), (200, "from the second"), "{status}");
        assert_eq!(reply.header("x-optimux-attempts"), "3", "{status}: both keys, then another");
        assert_eq!((asked(&first, ONE), asked(&first, TWO)), (1, 1), "{status}");
        // A limit is the deployment's rest; of refused keys its breaker hears like of one.
        for _ in 0..10 {
            assert_eq!(gateway.chat(&request(false)).said(), "from the second");
        }
        let most = if status == 429 { 2 } else { 6 };
        assert!(first.count() <= most, "{status}: asked {} times", first.count());
    }
}

fn refuse_any(socket: &mut TcpStream, status: u16, extra: &str) {
    let body = json!({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}});
    respond(socket, status, extra, "application/json", body.to_string().as_bytes());
}

#[test]
fn a_short_limit_of_every_key_is_waited_out() {
    let provider = Provider::start(|socket, request, number| {
        if number < 2 {
            refuse_any(socket, 429, "retry-after-ms: 300\r\n");
        } else {
            good("well")(socket, request, number);
        }
    });
    let gateway = Gateway::start_with(&keyed(&[&provider], LISTED), &VARIABLES);
    let reply = gateway.chat(&request(true));
    assert_eq!((reply.status, reply.said().as_str()), (200, "well"));
    assert_eq!(reply.header("x-optimux-attempts"), "3");
}

#[test]
fn requests_are_spread_over_keys_by_weight_and_commas_part_keys() {
    let provider = Provider::start(good("well"));
    let listed = "api_keys = [{ env = \"HOUSE_ONE\", weight = 2 }, { file = \"two\" }]";
    let folderless = keyed(&[&provider], "api_key_env = \"HOUSE_ALL\"");
    let all = format!("{ONE}, {TWO},{THREE}");
    let gateway = Gateway::start_with(&folderless, &[("HOUSE_ALL", &all)]);
    for _ in 0..30 {
        assert_eq!(gateway.chat(&request(false)).status, 200);
    }
    for key in [ONE, TWO, THREE] {
        assert!(asked(&provider, key).abs_diff(10) <= 2, "{}", asked(&provider, key));
    }
    // Taken up while it runs: the file and its list.
    let config = std::fs::read_to_string(gateway.folder.join("optimux.toml")).unwrap();
    std::fs::write(gateway.folder.join("two"), TWO).unwrap();
    let config =
        config.replace("api_key_env = \"HOUSE_ALL\"", &listed.replace("HOUSE_ONE", "HOUSE_ALL"));
    std::fs::write(gateway.folder.join("optimux.toml"), config).unwrap();
    gateway.signal("HUP");
    let keys = || gateway.get("/v1/admin/status", KEY).json()["providers"][0]["keys"].clone();
    // The same key twice is one.
    eventually("the list is in force", || keys().as_array().is_some_and(|all| all.len() == 3));
    provider.received.lock().unwrap().clear();
    for _ in 0..30 {
        assert_eq!(gateway.chat(&request(false)).status, 200);
    }
    assert!(asked(&provider, ONE).abs_diff(10) <= 2);
}

#[test]
fn a_key_of_the_list_that_is_missing_is_named() {
    let gateway = Gateway::start("");
    let config = format!(
        "[providers.house]\nbase_url = \"http://127.0.0.1:1/v1\"\ndialect = \"openai-chat\"\n{}\n",
        "api_keys = [{ file = \"key\" }, { env = \"HOUSE_TWO\" }]"
    );
    std::fs::write(gateway.folder.join("half.toml"), config).unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(["check", "--config", "half.toml"])
        .current_dir(&gateway.folder)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(!done.status.success() && said.contains("HOUSE_TWO is not set"), "{said}");
}
