//! How requests are taken and answers leave, whatever they are about: bodies that are compressed or
//! not JSON, pages of other origins, old clients, proxies in front, and the way out of service.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chain, chunk, client, completion, delta, end_chunks,
    eventually, good, respond, send,
};
use crate::servers::{Postgres, RedisTls, Secured};

/// Something for every route that takes a body. `N` stands for a number that is new each time.
const BODIES: [(&str, &str, &str); 17] = [
    (
        "POST",
        "/v1/chat/completions",
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#,
    ),
    ("POST", "/v1/responses", r#"{"model":"gpt-4o","input":"hi"}"#),
    ("POST", "/v1/responses/input_tokens", r#"{"model":"gpt-4o","input":"hi"}"#),
    (
        "POST",
        "/v1/messages",
        r#"{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
    ),
    (
        "POST",
        "/v1/messages/count_tokens",
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#,
    ),
    (
        "POST",
        "/v1beta/models/gpt-4o:generateContent",
        r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
    ),
    ("POST", "/v1beta/models/gpt-4o:countTokens", r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#),
    ("POST", "/v1/embeddings", r#"{"model":"text-embedding-3-small","input":"hi"}"#),
    ("POST", "/v1/images/generations", r#"{"model":"dall-e-3","prompt":"a cat"}"#),
    ("POST", "/v1/route", r#"{"model":"auto","messages":[{"role":"user","content":"hi"}]}"#),
    ("POST", "/v1/feedback", r#"{"request":"req_none","score":1}"#),
    ("POST", "/v1/conversations", r#"{"items":[{"type":"message","role":"user","content":"hi"}]}"#),
    ("POST", "/v1/agents", r#"{"name":"agent N","model":"gpt-4o","instructions":"Be kind."}"#),
    ("POST", "/v1/memory/search", r#"{"user":"u","query":"cats"}"#),
    ("PUT", "/optima/v1/conversations", r#"{"title":"t","messages":[]}"#),
    ("POST", "/v1/admin/accounts", r#"{"name":"account N"}"#),
    ("POST", "/api/auth/login", r#"{"email":"a@example.com","password":"wrong"}"#),
];

fn ask(gateway: &Gateway, method: &str, path: &str) -> reqwest::RequestBuilder {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    client().request(method, format!("{}{path}", gateway.base)).bearer_auth(KEY)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_compressed_body_is_read_as_the_plain_one_on_every_route() {
    let gateway = Gateway::start("[server]\nbody_limit_bytes = 100000\n");
    let mut number = 0;
    let bomb = zstd::stream::encode_all(&vec![b' '; 32 << 20][..], 3).unwrap();
    for (method, path, body) in BODIES {
        let mut fresh = || {
            number += 1;
            body.replace('N', &number.to_string()).into_bytes()
        };
        let plain = send(ask(&gateway, method, path).body(fresh()));
        for (coding, body) in [
            ("gzip", gzip(&fresh())),
            ("deflate", deflate(&fresh())),
            ("zstd", zstd::stream::encode_all(&fresh()[..], 0).unwrap()),
        ] {
            let encoded = ask(&gateway, method, path).header("content-encoding", coding);
            let encoded = send(encoded.body(body));
            assert_eq!(encoded.status, plain.status, "{path} {coding}: {}", encoded.text());
        }
        for (coding, body, status) in
            [("snappy", fresh(), 415), ("gzip", fresh(), 400), ("zstd", bomb.clone(), 413)]
        {
            let refused = ask(&gateway, method, path).header("content-encoding", coding);
            let refused = send(refused.body(body));
            assert_eq!(refused.status, status, "{path} {coding}: {}", refused.text());
            assert!(status != 415 || refused.text().contains("snappy"), "{}", refused.text());
        }
    }
}

#[test]
fn a_body_of_another_type_is_refused_with_the_cause() {
    let gateway = Gateway::start("");
    for (method, path, body) in BODIES {
        for (media, other) in [
            (None, false),
            (Some("application/json; charset=utf-8"), false),
            (Some("application/problem+json"), false),
            (Some("application/x-www-form-urlencoded"), true),
            (Some("text/plain"), true),
        ] {
            let mut request = ask(&gateway, method, path).body(body.as_bytes().to_vec());
            if let Some(media) = media {
                request = request.header("content-type", media);
            }
            let (status, text) = crate::house::runtime().block_on(async {
                let answer = request.send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            });
            assert_eq!(status == 415, other, "{path} {media:?}: {text}");
            assert!(!other || text.contains("application/json"), "{path}: {text}");
        }
    }
}

/// Sends bytes, and reads until the other end has hung up or nothing comes for a while.
fn raw(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(gateway.base.trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.write_all(bytes).unwrap();
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => told.extend_from_slice(&buffer[..read]),
        }
        // The head and a body of a known length are all there will be on a kept connection.
        let text = String::from_utf8_lossy(&told);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Some(length) =
                head.lines().find_map(|line| line.strip_prefix("content-length: "))
            && body.len() >= length.parse::<usize>().unwrap()
        {
            break;
        }
    }
    String::from_utf8(told).unwrap()
}

/// Every route with a body, of those that are described, but for signing in, which has no caller.
#[test]
fn nobody_is_listened_to_before_it_is_known_who_speaks() {
    let gateway = Gateway::start("");
    let described = gateway.get("/openapi.json", "").json();
    let mut asked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation.get("requestBody").is_none() || path.starts_with("/api/auth") {
                continue;
            }
            asked += 1;
            let head = format!(
                "{} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: \
                 1000000\r\n\r\n{{",
                method.to_uppercase()
            );
            let began = Instant::now();
            let told = raw(&gateway, head.replace(['{', '}'], "").as_bytes());
            assert!(told.starts_with("HTTP/1.1 401"), "{method} {path}: {told}");
            assert!(began.elapsed() < Duration::from_secs(3), "{method} {path}");
        }
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn pages_of_other_origins_may_call_where_the_configuration_lets_them() {
    let origin = "https://app.example.com";
    let some = format!("[server]\ncors_origins = [\"{origin}\"]\n");
    let [off, one, all] = [
        Gateway::start(""),
        Gateway::start(&some),
        Gateway::start("[server]\ncors_origins = [\"*\"]\n"),
    ];
    let preflight = |gateway: &Gateway, path: &str, origin: &str| {
        send(
            ask(gateway, "OPTIONS", path)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization, x-stainless-os"),
        )
    };
    let paths = [
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/m:generateContent",
        "/api/v1/responses",
        "/v1/keys/key_1",
        "/v1/admin/accounts",
        "/api/auth/login",
        "/optima/v1/models",
        "/healthz",
    ];
    for path in paths {
        let told = preflight(&one, path, origin);
        assert!((200..300).contains(&told.status), "{path}: {}", told.status);
        assert_eq!(told.header("access-control-allow-origin"), origin, "{path}");
        assert!(told.header("access-control-allow-methods").contains("POST"), "{path}");
        let headers = told.header("access-control-allow-headers").to_lowercase();
        assert!(headers.contains("authorization") && headers.contains("x-stainless-os"), "{path}");
        assert!(told.header("vary").to_lowercase().contains("origin"), "{path}");
        assert_eq!(
            preflight(&all, path, "https://any.example").header("access-control-allow-origin"),
            "*"
        );
        for (gateway, from) in [(&one, "https://evil.example"), (&off, origin)] {
            let told = preflight(gateway, path, from);
            assert_eq!(told.header("access-control-allow-origin"), "", "{path} {from}");
        }
    }
    // Answers and refusals alike can be read, with all their headers.
    for (key, status) in [(KEY, 200), ("sk-optimux-wrong", 401)] {
        let body = BODIES[0].2;
        let request = client().post(format!("{}/v1/chat/completions", one.base));
        let told = send(request.bearer_auth(key).header("origin", origin).body(body));
        assert_eq!(told.status, status);
        assert_eq!(told.header("access-control-allow-origin"), origin);
        assert!(told.header("access-control-expose-headers").contains("x-request-id"));
        let other = client().post(format!("{}/v1/chat/completions", one.base));
        let other =
            send(other.bearer_auth(key).header("origin", "https://evil.example").body(body));
        assert_eq!((other.status, other.header("access-control-allow-origin")), (status, ""));
    }
}

#[test]
fn an_old_client_reads_a_stream_to_the_end_of_its_connection() {
    let provider = Provider::start(good("all of it"));
    let gateway = Gateway::start(&chain(&[&provider]));
    let stream = |path: &str, body: &str| {
        raw(
            &gateway,
            format!(
                "POST {path} HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\nauthorization: Bearer \
                 {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
    };
    for (path, body, last) in [
        (
            "/v1/chat/completions",
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
            "data: [DONE]\n\n",
        ),
        ("/v1/responses", r#"{"model":"m","stream":true,"input":"hi"}"#, "\n\n"),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
            "\n\n",
        ),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
            "\n",
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
            "]",
        ),
    ] {
        let told = stream(path, body);
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {told}");
        assert!(!head.to_lowercase().contains("chunked"), "{path}: {head}");
        assert!(!head.to_lowercase().contains("keep-alive"), "{path}: {head}");
        assert!(
            body.contains("all of it") && body.trim_end().ends_with(last.trim_end()),
            "{path}: {body}"
        );
        assert!(
            body.starts_with("data:") || body.starts_with("event:") || body.starts_with('['),
            "{path}: {body}"
        );
    }
}

#[test]
fn a_socket_that_a_proxy_spoilt_is_named_as_such() {
    let gateway = Gateway::start("");
    for path in ["/v1/realtime?model=gpt-realtime", "/v1/connect/events"] {
        let told = raw(
            &gateway,
            format!(
                "GET {path} HTTP/1.0\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer \
                 {KEY}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: \
                 13\r\n\r\n"
            )
            .as_bytes(),
        );
        let head = told.to_lowercase();
        assert!(head.starts_with("http/1.0 426") || head.starts_with("http/1.1 426"), "{told}");
        assert!(head.contains("upgrade: websocket") && told.contains("proxy_set_header"), "{told}");
    }
}

#[test]
fn every_surface_says_503_and_when_to_come_again() {
    let broken = Provider::start(|socket, _, _| respond(socket, 500, "", "text/plain", b"no"));
    let silent = Provider::start(|_, _, _| std::thread::sleep(Duration::from_secs(2)));
    let limited =
        Provider::start(|socket, _, _| respond(socket, 429, "", "application/json", b"{}"));
    for provider in [&broken, &silent, &limited] {
        for (path, body) in [
            (
                "/v1/chat/completions",
                r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
            ),
            ("/v1/responses", r#"{"model":"m","input":"hi"}"#),
            (
                "/v1/messages",
                r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
            ),
            ("/v1beta/models/m:generateContent", r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#),
            ("/v1/embeddings", r#"{"model":"m","input":"hi"}"#),
        ] {
            let config = chain(&[provider]).replace("3s", "500ms");
            let config = if path.ends_with("embeddings") {
                config.replace("id = \"m\"\n", "id = \"m\"\nmode = \"embedding\"\n")
            } else {
                config
            };
            if path != "/v1/chat/completions" && std::ptr::eq(provider, &raw const silent) {
                continue;
            }
            let gateway = Gateway::start(&config);
            let told = gateway.post(path, KEY, body);
            assert!([503, 529].contains(&told.status), "{path}: {} {}", told.status, told.text());
            let seconds: u64 = told.header("retry-after").parse().unwrap();
            let millis: u64 = told.header("retry-after-ms").parse().unwrap();
            assert!(seconds >= 1 && millis.div_ceil(1000) == seconds, "{path}: {seconds} {millis}");
        }
    }
}

#[test]
fn headers_of_pictures_speak_of_pictures() {
    let gateway = Gateway::start("[plans.few]\nrequests_per_minute = 50\nimages_per_minute = 2\n");
    let (_, key) = gateway.account("few", "few", &json!({}));
    let draw =
        || gateway.post("/v1/images/generations", &key, r#"{"model":"dall-e-3","prompt":"a cat"}"#);
    for remaining in ["1", "0"] {
        let drawn = draw();
        assert_eq!(drawn.status, 200, "{}", drawn.text());
        assert_eq!(drawn.header("x-ratelimit-limit-requests"), "2");
        assert_eq!(drawn.header("x-ratelimit-remaining-requests"), remaining);
        assert_eq!(drawn.header("x-ratelimit-limit"), "2");
    }
    let refused = draw();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(refused.header("retry-after-ms").parse::<u64>().unwrap() > 0);
    // Nothing of it was taken of chat.
    let chat = gateway.post("/v1/chat/completions", &key, BODIES[0].2);
    assert_eq!(chat.header("x-ratelimit-limit-requests"), "50");
    assert_eq!(chat.header("x-ratelimit-remaining-requests"), "49");
}

#[test]
fn without_credits_the_error_has_the_three_members_of_the_contract() {
    let gateway = Gateway::start("[plans.poor]\ncredits_per_month = 0\n");
    let (_, key) = gateway.account("poor", "poor", &json!({}));
    for path in ["/v1/chat/completions", "/v1/responses"] {
        let body = BODIES.iter().find(|one| one.1 == path).unwrap().2;
        let refused = gateway.post(path, &key, body);
        assert_eq!(refused.status, 402);
        let error = refused.json()["error"].as_object().unwrap().clone();
        let mut names: Vec<&str> = error.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["code", "message", "type"], "{path}");
        assert_eq!((&error["code"], &error["type"]), (&json!(402), &json!("insufficient_credits")));
    }
}

#[test]
fn addresses_go_where_the_gateway_is_and_not_where_a_stranger_says() {
    let picture = |gateway: &Gateway, headers: &[(&str, &str)]| -> String {
        let body = r#"{"model":"gpt-image-1","prompt":"a cat","response_format":"url"}"#;
        let mut request = ask(gateway, "POST", "/v1/images/generations");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let drawn = send(request.body(body));
        assert_eq!(drawn.status, 200, "{}", drawn.text());
        drawn.json()["data"][0]["url"].as_str().unwrap().to_owned()
    };
    let strange = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "javascript"),
        ("forwarded", "host=evil.example;proto=javascript"),
    ];
    let open = Gateway::start("");
    assert!(picture(&open, &strange).starts_with(&format!("{}/v1/images/", open.base)));
    let behind = Gateway::start("[signin]\nbehind_proxy = true\n");
    let ours =
        [("x-forwarded-host", "evil.example, ai.example.com"), ("x-forwarded-proto", "https")];
    assert!(picture(&behind, &ours).starts_with("https://ai.example.com/v1/images/"));
    let wrong = [("x-forwarded-host", "a b"), ("x-forwarded-proto", "javascript")];
    assert!(picture(&behind, &wrong).starts_with(&format!("{}/v1/images/", behind.base)));
}

#[test]
fn auto_names_the_one_that_answered() {
    let broken = Provider::start(|socket, _, _| respond(socket, 500, "", "text/plain", b"no"));
    let fine = Provider::start(good("fine"));
    let price = "usd_per_million = { input = 1.0, output = 1.0 }";
    let config =
        chain(&[&broken, &fine]).replace("model = \"m\" }", &format!("model = \"m\", {price} }}"));
    let gateway = Gateway::start(&config);
    let told =
        gateway.chat(&json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!((told.status, told.header("x-optimux-provider")), (200, "p1"), "{}", told.text());
    let decision = told.header("x-optimux-decision");
    assert!(decision.starts_with("auto:balanced -> m @ p1; "), "{decision}");
    assert!(decision.ends_with("; in place of m @ p0"), "{decision}");
}

#[test]
fn a_stopping_node_says_so_first_and_serves_until_balancers_can_tell() {
    let provider = Provider::start(good("fine"));
    let mut gateway =
        Gateway::start_with(&chain(&[&provider]), &[("OPTIMUX_SERVER__DRAIN_DELAY", "1500ms")]);
    let steady = client();
    let chat = |client: &reqwest::Client| {
        let request = client.post(format!("{}/v1/chat/completions", gateway.base));
        send(
            request
                .bearer_auth(KEY)
                .body(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#),
        )
    };
    assert_eq!(chat(&steady).header("connection"), "");
    let began = Instant::now();
    gateway.ask_to_stop();
    eventually("it is not ready", || gateway.get("/readyz", "").status == 503);
    assert_eq!(gateway.get("/v1/admin/health", "").status, 503);
    assert_eq!(gateway.get("/healthz", "").status, 200);
    // New connections and those that are kept are served, and told not to come again.
    for client in [&client(), &steady] {
        let told = chat(client);
        assert_eq!((told.status, told.header("connection")), (200, "close"));
    }
    assert!(began.elapsed() < Duration::from_millis(1_400), "the test itself is too slow");
    gateway.has_stopped();
    assert!(began.elapsed() > Duration::from_millis(1_400));
}

#[test]
fn a_second_signal_ends_the_delay() {
    let mut gateway = Gateway::start_with("", &[("OPTIMUX_SERVER__DRAIN_DELAY", "60s")]);
    gateway.ask_to_stop();
    eventually("it is not ready", || gateway.get("/readyz", "").status == 503);
    gateway.ask_to_stop();
    gateway.has_stopped();
}

#[test]
fn a_node_is_ready_while_the_store_that_all_share_is_away() {
    let Some(mut postgres) = Postgres::start() else {
        eprintln!("skipped a_node_is_ready_while_the_store_that_all_share_is_away: no initdb here");
        return;
    };
    let provider = Provider::start(good("fine"));
    let config = format!("[store]\nurl = \"{}\"\n{}", postgres.url, chain(&[&provider]));
    let gateway = Gateway::start(&config);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.chat(&body).status, 200);
    postgres.kill();
    eventually("it is known to be away", || {
        let began = Instant::now();
        let told = gateway.get("/readyz", "");
        assert_eq!(told.status, 200);
        assert!(began.elapsed() < Duration::from_secs(1), "a probe waits no longer");
        told.json()["store"] == "down"
    });
    let health = gateway.get("/v1/admin/health", "");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("degraded")));
    assert_eq!(gateway.chat(&body).status, 200);
    postgres.start_again();
    eventually("it is known to be back", || gateway.get("/readyz", "").json()["store"] == "up");
}

#[test]
fn a_key_file_is_read_again_on_sighup() {
    let provider = Provider::start(good("fine"));
    let config = chain(&[&provider])
        .replace("dialect = \"openai-chat\"", "dialect = \"openai-chat\"\napi_key_file = \"key\"");
    let gateway = Gateway::start(&config);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let bearer = || {
        assert_eq!(gateway.chat(&body).status, 200);
        let head = provider.last().head.to_lowercase();
        let line = head.lines().find(|line| line.starts_with("authorization:")).unwrap();
        line.to_owned()
    };
    assert_eq!(bearer(), "authorization: bearer provider-secret-0123456789");
    std::fs::write(gateway.folder.join("key"), "another-secret\r\n").unwrap();
    gateway.signal("HUP");
    eventually("the new key is used", || bearer() == "authorization: bearer another-secret");
    // One that cannot be read leaves the old one in force, and the process alive.
    std::fs::remove_file(gateway.folder.join("key")).unwrap();
    gateway.signal("HUP");
    eventually("it is told of", || gateway.log().contains("the catalogue stays as it is"));
    assert_eq!(bearer(), "authorization: bearer another-secret");
}

#[test]
fn a_stream_of_a_stopping_node_comes_whole() {
    let provider = Provider::start(|socket, _, _| {
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        for _ in 0..4 {
            chunk(socket, &delta("m", &json!({"content": "a"}), None));
            std::thread::sleep(Duration::from_millis(100));
        }
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let mut gateway = Gateway::start(&chain(&[&provider]));
    let body: Value =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| gateway.chat(&body));
        eventually("the stream is under way", || provider.count() == 1);
        gateway.ask_to_stop();
        let told = reading.join().unwrap();
        assert_eq!((told.said().as_str(), told.whole), ("aaaa", true));
    });
    gateway.has_stopped();
}

#[test]
fn limits_are_counted_together_over_tls() {
    let Some(mut redis) = RedisTls::start() else {
        eprintln!("skipped limits_are_counted_together_over_tls: no redis-server or openssl here");
        return;
    };
    let authority = redis.authority.display().to_string();
    let config = format!("[redis]\nurl = \"{}\"\n", redis.url);
    let gateway = Gateway::start_with(&config, &[("SSL_CERT_FILE", &authority)]);
    let shared = || {
        let told = gateway.get("/metrics", "").text();
        told.lines().any(|line| line == "optimux_quota_shared 1")
    };
    let (_, key) = gateway.account("one", "free", &json!({}));
    assert_eq!(gateway.post("/v1/chat/completions", &key, BODIES[0].2).status, 200);
    eventually("they are counted together", shared);
    redis.kill();
    eventually("they are counted apart", || !shared());
}

#[test]
fn a_provider_over_tls_is_trusted_as_the_system_says() {
    let provider = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "in private"));
    });
    let Some(secured) = Secured::before(&provider.base) else {
        println!("skipped: openssl is not installed");
        return;
    };
    let config = format!(
        "[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\" }}]\n",
        secured.base
    );
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let authority = secured.authority.display().to_string();
    let trusting = Gateway::start_with(&config, &[("SSL_CERT_FILE", &authority)]);
    let told = trusting.chat(&body);
    assert_eq!(told.said(), "in private", "{}", told.text());
    // Nobody vouches for it here.
    let wary = Gateway::start(&config);
    assert_eq!(wary.chat(&body).status, 503);
    assert_eq!(provider.count(), 1);
}

/// What a proxy was asked for, and what it answers: a chat completion, or a refusal to go anywhere.
fn proxy() -> Provider {
    Provider::start(|socket, request, _| {
        if request.head.starts_with("CONNECT") {
            respond(socket, 403, "", "text/plain", b"no way");
        } else {
            respond(socket, 200, "", "application/json", &completion("m", "by proxy"));
        }
    })
}

#[test]
fn every_way_out_leads_through_the_proxy_that_is_set() {
    let document = json!({"openapi": "3.0.0", "info": {"title": "t", "version": "1"},
        "servers": [{"url": "http://tools.invalid/v2"}],
        "paths": {"/look": {"get": {"operationId": "look", "responses": {"200": {"description": "ok"}}}}}});
    let way = |scheme: &str| {
        format!(
            "[providers.far]\nbase_url = \"{scheme}://provider.invalid:8000/v1\"\ndialect = \"openai-chat\"\n\
             [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"far\", model = \"m\" }}]\n\
             [[models]]\nid = \"talk\"\nmode = \"realtime\"\ndeployments = [{{ provider = \"far\", model = \"talk\" }}]\n\
             [connect.apps.tools]\nopenapi = \"tools.json\"\n"
        )
    };
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let folder = std::env::temp_dir().join(format!("optimux-tools-{}.json", std::process::id()));
    std::fs::write(&folder, document.to_string()).unwrap();
    let way = |scheme: &str| way(scheme).replace("tools.json", &folder.display().to_string());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPTIMUX_UPSTREAM__PROXY"] {
        let proxy = proxy();
        let gateway = Gateway::start_with(&way("http"), &[(variable, &proxy.base)]);
        let told = gateway.chat(&body);
        assert_eq!(told.said(), "by proxy", "{variable}: {}", told.text());
        assert_eq!(proxy.last().path(), "http://provider.invalid:8000/v1/chat/completions");
        let (_, key) = gateway.account("one", "enterprise", &json!({}));
        let run = json!({"action": "tools.look", "arguments": {}}).to_string();
        let ran = gateway.post("/v1/connect/actions/run", &key, run);
        assert_eq!(
            proxy.last().path(),
            "http://tools.invalid/v2/look",
            "{variable}: {}",
            ran.text()
        );
    }
    for variable in ["HTTPS_PROXY", "all_proxy", "OPTIMUX_UPSTREAM__PROXY"] {
        let proxy = proxy();
        let gateway = Gateway::start_with(&way("https"), &[(variable, &proxy.base)]);
        assert_eq!(gateway.chat(&body).status, 503);
        let tunnel = "CONNECT provider.invalid:8000 HTTP/1.1";
        assert!(proxy.last().head.starts_with(tunnel), "{variable}: {}", proxy.last().head);
        let before = proxy.count();
        let socket = send(
            ask(&gateway, "GET", "/v1/realtime?model=talk")
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        );
        assert_eq!(socket.status, 503, "{}", socket.text());
        assert!(proxy.count() > before && proxy.last().head.starts_with(tunnel), "{variable}");
    }
    // A proxy with a password is told it; whoever is reached directly is not.
    let (asked, direct) = (proxy(), Provider::start(good("directly")));
    let named = asked.base.replace("http://", "http://user:word@");
    let told = Gateway::start_with(&way("http"), &[("HTTP_PROXY", &named)]).chat(&body);
    assert_eq!(told.said(), "by proxy", "{}", told.text());
    assert!(asked.last().head.contains("proxy-authorization: Basic dXNlcjp3b3Jk"));
    let config = way("http").replace("http://provider.invalid:8000", &direct.base);
    let spared = [("HTTP_PROXY", named.as_str()), ("NO_PROXY", "127.0.0.1")];
    assert_eq!(Gateway::start_with(&config, &spared).chat(&body).said(), "directly");
    assert!(!direct.last().head.contains("proxy-authorization"));
    // What is spared is reached directly, or not at all.
    let proxy = proxy();
    for (name, value) in [("NO_PROXY", "provider.invalid"), ("no_proxy", "*")] {
        let variables = [("HTTP_PROXY", proxy.base.as_str()), (name, value)];
        assert_eq!(Gateway::start_with(&way("http"), &variables).chat(&body).status, 503);
    }
    let never = [("HTTP_PROXY", proxy.base.as_str()), ("OPTIMUX_UPSTREAM__PROXY", "none")];
    assert_eq!(Gateway::start_with(&way("http"), &never).chat(&body).status, 503);
    assert_eq!(proxy.count(), 0);
    std::fs::remove_file(folder).unwrap();
}

/// Runs the binary in a folder of its own with these variables, until it ends; how, and what it says.
fn run(config: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("optimux-run-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("optimux.toml"), config).unwrap();
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_optimux"))
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().copied())
        .current_dir(&folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(told).unwrap())
}

/// A configuration, variables of the environment, and words of what is told.
type Case = (String, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn what_keeps_the_gateway_from_starting_is_what_check_finds() {
    const ADMIN: (&str, &str) = ("OPTIMUX_ADMIN_KEY", "abcde");
    let provider =
        "[providers.house]\nbase_url = \"http://127.0.0.1:9/v1\"\ndialect = \"openai-chat\"\n";
    let cases: &[Case] = &[
        (String::new(), &[ADMIN], &["OPTIMUX_ADMIN_KEY", "fewer than 16"]),
        (String::new(), &[("OPTIMUX_VAULT_KEY", "short")], &["32 characters"]),
        (String::new(), &[("OPENAI_KEY", "sk-x")], &["OPENAI_KEY", "did you mean OPENAI_API_KEY?", "--simulate"]),
        ("[providers.ollama]\nenabled = true\n[server]\nworkerz = 1\n".to_owned(), &[], &["did you mean 'workers'?"]),
        ("[providers.openai]\n".to_owned(), &[], &["OPENAI_API_KEY is not set"]),
        ("[[models]]\nid = \"a\"\ndeployments = [{ provider = \"groq\" }]\n".to_owned(), &[], &["GROQ_API_KEY is not set"]),
        (provider.replace("openai-chat", "openai"), &[], &["'openai' is no dialect"]),
        (format!("{provider}[memory]\nembedding_model = \"ghost\"\n[routes.fallback]\n\"gone\" = [\"lost\"]\n"), &[],
            &["memory.embedding_model: there is no model 'ghost'", "there is no model 'gone'", "there is no model 'lost'"]),
        ("[signin]\nregister = \"ghost\"\n[server]\ncors_origins = [\"app.example.com\"]\nlisten = \"nowhere\"\n".to_owned(), &[],
            &["there is no plan 'ghost'", "server.cors_origins", "server.listen"]),
        ("[connect.apps.x]\ncommand = [\"/no/such/server\"]\n".to_owned(), &[], &["connect.apps.x", "/no/such/server"]),
        (format!("{provider}headers = {{ \"x y\" = \"1\", z = \"a\\nb\" }}\n"), &[],
            &["providers.house.headers.x y", "providers.house.headers.z", "cannot be sent"]),
        (format!("{provider}api_key_env = \"HOUSE_KEY\"\n"), &[("HOUSE_KEY", "sk\n-house")], &["HOUSE_KEY", "cannot be sent"]),
        ("[store]\nurl = \"postgres://u:p@127.0.0.1:1/d\"\n".to_owned(), &[], &["store.url", "refused"]),
        ("[upstream]\nproxy = \"proxy:3128\"\n".to_owned(), &[], &["upstream.proxy", "http://proxy.example.com:3128"]),
    ];
    for (config, variables, words) in cases {
        for command in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"][..]] {
            let (good, told) = run(config, command, variables);
            assert!(!good, "{command:?} {config} {variables:?}: {told}");
            for word in *words {
                assert!(told.contains(word), "{command:?} {config}: {word}: {told}");
            }
        }
    }
    let (good, told) = run("", &["check", "--json"], &[ADMIN]);
    let found: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(
        (good, &found["ok"], &found["faults"][0]["at"]),
        (false, &json!(false), &json!("OPTIMUX_ADMIN_KEY"))
    );
    assert!(run("", &["check"], &[("OPENAI_API_KEY", "sk-x")]).0);
}

#[test]
fn check_asks_providers_when_it_is_told_to() {
    let provider = Provider::start(|socket, request, _| {
        let good = request.head.contains("Bearer good") || request.head.contains("bearer good");
        let (status, body) = if good { (200, &b"{\"data\":[]}"[..]) } else { (401, &b"{}"[..]) };
        respond(socket, status, "", "application/json", body);
    });
    let config = format!(
        "[providers.house]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\napi_key_env = \"HOUSE_KEY\"\n",
        provider.base
    );
    // Blanks and line ends around a key are of the file that it came from.
    let (good, told) = run(&config, &["check", "--online"], &[("HOUSE_KEY", " good\r\n")]);
    assert!(good && told.contains("providers.house: is there"), "{told}");
    let (good, told) = run(&config, &["check", "--online"], &[("HOUSE_KEY", "bad")]);
    assert!(!good && told.contains("does not take the key"), "{told}");
    assert!(
        run(&config, &["check"], &[("HOUSE_KEY", "bad")]).0,
        "nobody is asked unless it is said"
    );
}

#[test]
fn secrets_of_the_environment_have_no_blanks_around_them() {
    let provider = Provider::start(good("fine"));
    for (name, sent) in [
        ("line end", "sk-house\n"),
        ("carriage return", "sk-house\r\n"),
        ("blanks", "  sk-house  "),
    ] {
        let config = chain(&[&provider]).replace(
            "dialect = \"openai-chat\"",
            "dialect = \"openai-chat\"\napi_key_env = \"HOUSE_KEY\"",
        );
        let admin = format!("{KEY}\n");
        let gateway =
            Gateway::start_with(&config, &[("HOUSE_KEY", sent), ("TEST_ADMIN_KEY", &admin)]);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(gateway.chat(&body).status, 200, "{name}");
        let head = provider.last().head.to_lowercase();
        assert!(
            head.lines().any(|line| line == "authorization: bearer sk-house"),
            "{name}: {head}"
        );
    }
}

#[test]
fn whoever_asks_for_the_head_alone_is_answered_as_for_all_of_it() {
    let watched = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let apart = Gateway::start_watched(
        &format!("[server]\nadmin_listen = \"{watched}\""),
        &format!("http://{watched}"),
    );
    let gateway = Gateway::start("");
    for (gateway, base, paths) in [
        (
            &gateway,
            gateway.base.clone(),
            &[
                "/",
                "/docs",
                "/signin",
                "/openapi.json",
                "/healthz",
                "/readyz",
                "/metrics",
                "/v1/models",
                "/v1/models/gpt-4o",
                "/v1beta/models",
                "/v1/usage",
                "/v1/keys",
                "/v1/nowhere",
                "/console",
            ][..],
        ),
        (&apart, format!("http://{watched}"), &["/healthz", "/readyz", "/metrics"][..]),
    ] {
        for path in paths {
            let url = format!("{base}{path}");
            let once = client();
            let whole = send(once.get(&url).bearer_auth(KEY));
            // Twice on one connection: nothing of a body is left in it.
            for _ in 0..2 {
                let head = send(once.head(&url).bearer_auth(KEY));
                assert_eq!((head.status, head.body.len()), (whole.status, 0), "{path}");
                assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
            }
        }
        assert_eq!(gateway.get("/v1/models", KEY).status, 200);
    }
    let refused =
        send(client().head(format!("{}/v1/chat/completions", gateway.base)).bearer_auth(KEY));
    assert_eq!(refused.status, 404, "there is nothing to have the head of");
}
