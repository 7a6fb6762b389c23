//! How others are reached and how this gateway is: authorities and certificates of a provider's own, HTTP/2
//! with TLS and without, sockets in the file system, IPv6.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Version};
use serde_json::json;

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chunk, completion, delta, end_chunks, eventually, good,
    respond, runtime,
};
use crate::servers::Secured;

/// One model at one provider, with these settings of the provider's.
fn configured(base: &str, settings: &str) -> String {
    format!(
        "[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n[providers.p]\nbase_url = \"{base}/v1\"\n\
         dialect = \"openai-chat\"\n{settings}\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m\" }}]\n"
    )
}

fn asking() -> serde_json::Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

fn private() -> Provider {
    Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", &completion("m", "in private"));
    })
}

#[test]
fn a_provider_is_shown_the_certificate_that_it_demands() {
    let provider = private();
    let Some(secured) = Secured::demanding(&provider.base) else {
        println!("skipped: openssl is not installed");
        return;
    };
    let file = |name: &str| secured.folder.join(name).display().to_string();
    let trusted = format!("ca_file = \"{}\"\n", file("ca.pem"));
    let shown = format!(
        "{trusted}client_cert_file = \"{}\"\nclient_key_file = \"{}\"\n",
        file("client.pem"),
        file("client.key")
    );
    // Whoever shows nothing is not let in.
    let gateway = Gateway::start(&configured(&secured.base, &trusted));
    assert_eq!(gateway.chat(&asking()).status, 503);
    assert_eq!(provider.count(), 0);
    // It is taken up while it runs.
    let config = configured(&secured.base, &shown);
    std::fs::write(gateway.folder.join("optimux.toml"), &config).unwrap();
    eventually("the certificate is shown", || gateway.chat(&asking()).status == 200);
    assert_eq!(gateway.chat(&asking()).said(), "in private");
    // What does not fit together is named, and changes nothing.
    let wrong = config.replace("client.key", "server.key");
    std::fs::write(gateway.folder.join("optimux.toml"), wrong).unwrap();
    eventually("the fault is told of", || {
        gateway.log().contains("client_key_file") && gateway.log().contains("is not the key")
    });
    assert_eq!(gateway.chat(&asking()).said(), "in private");
}

#[test]
fn authorities_are_trusted_by_a_setting_for_all_or_for_one_provider() {
    let provider = private();
    let Some(secured) = Secured::before(&provider.base) else {
        println!("skipped: openssl is not installed");
        return;
    };
    let Some(other) = Secured::before(&provider.base) else { return };
    let file = |secured: &Secured| format!("ca_file = \"{}\"\n", secured.authority.display());
    let all = format!("[upstream]\n{}", file(&secured));
    for (config, status) in [
        (configured(&secured.base, ""), 503),
        (configured(&secured.base, &file(&secured)), 200),
        (configured(&secured.base, &file(&other)), 503),
        (format!("{}{all}", configured(&secured.base, "")), 200),
        // A provider's own authorities stand in the place of those for all.
        (format!("{}{all}", configured(&secured.base, &file(&other))), 503),
    ] {
        let gateway = Gateway::start(&config);
        assert_eq!(gateway.chat(&asking()).status, status, "{config}");
    }
    // A webhook of a guardrail goes by those for all.
    let hook = Provider::start(|socket, _, _| {
        respond(socket, 200, "", "application/json", br#"{"verdict":"block"}"#);
    });
    let Some(hooked) = Secured::before(&hook.base) else { return };
    let rule = format!(
        "[upstream]\n{}[[guardrails]]\nname = \"policy\"\nkind = \"webhook\"\nurl = \"{}/check\"\n\
         on_error = \"allow\"\n",
        file(&hooked),
        hooked.base
    );
    let gateway = Gateway::start(&format!("{}{rule}", configured(&provider.base, "")));
    assert_eq!(gateway.chat(&asking()).status, 400);
    let lost = format!("{}[upstream]\nca_file = \"lost.pem\"\n", configured(&provider.base, ""));
    assert!(faults(&lost).contains("upstream.ca_file"), "{}", faults(&lost));
}

/// What `optimux check` says of a configuration that is none.
fn faults(config: &str) -> String {
    let folder = std::env::temp_dir().join(format!("optimux-networks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("optimux.toml"), config).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_optimux"))
        .arg("check")
        .env("TEST_ADMIN_KEY", KEY)
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(!checked.status.success());
    std::fs::remove_dir_all(&folder).unwrap();
    String::from_utf8_lossy(&checked.stdout).into_owned()
        + &String::from_utf8_lossy(&checked.stderr)
}

/// A client that begins with HTTP/2, without TLS.
fn at_once() -> Client {
    optimux::boot::prepare();
    Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

#[test]
fn http2_is_spoken_without_tls_where_the_configuration_says_so() {
    let provider = Provider::start(good("fine"));
    let config = configured(&provider.base, "");
    let gateway = Gateway::start(&format!("[server]\nhttp2_cleartext = true\n{config}"));
    let address = format!("{}/v1/chat/completions", gateway.base);
    runtime().block_on(async {
        let client = at_once();
        for stream in [false, true] {
            let mut body = asking();
            body["stream"] = stream.into();
            let asked = client.post(&address).bearer_auth(KEY);
            let asked = asked.header("content-type", "application/json").body(body.to_string());
            let reply = asked.send().await.unwrap();
            assert_eq!((reply.status().as_u16(), reply.version()), (200, Version::HTTP_2));
            assert!(reply.headers().contains_key("x-request-id"));
            assert!(reply.text().await.unwrap().contains("fine"));
        }
    });
    // HTTP/1.1 beside it, as ever.
    assert_eq!(gateway.chat(&asking()).said(), "fine");
    drop(gateway);
    let plain = Gateway::start(&config);
    let asked = at_once().get(format!("{}/healthz", plain.base)).send();
    assert!(runtime().block_on(asked).is_err());
}

#[test]
fn one_connection_has_so_many_requests_under_way_and_no_more() {
    // They are answered once all that are let through have been asked.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Arc::clone(&gate);
    let provider = Provider::start(move |socket, _, _| {
        let (open, opened) = &*held;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        respond(socket, 200, "", "application/json", &completion("m", "fine"));
    });
    let config = configured(&provider.base, "");
    let gateway = Gateway::start(&format!("[server]\nhttp2_cleartext = true\n{config}"));
    let address = format!("{}/v1/chat/completions", gateway.base);
    let statuses = runtime().block_on(async {
        let client = at_once();
        let one = || {
            let asked = client.post(&address).bearer_auth(KEY);
            let asked = asked.header("content-type", "application/json").body(asking().to_string());
            async move { asked.send().await.unwrap().status().as_u16() }
        };
        // One that opens the connection, so that all the others find it open.
        let opened = client.get(format!("{}/healthz", gateway.base)).send().await.unwrap();
        assert_eq!(opened.status().as_u16(), 200);
        let all: Vec<_> = (0..300).map(|_| tokio::spawn(one())).collect();
        let asked = tokio::task::spawn_blocking(move || {
            eventually("so many are asked", || provider.count() >= 256);
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
        });
        let mut statuses = Vec::new();
        for one in all {
            statuses.push(one.await.unwrap());
        }
        asked.await.unwrap();
        // Whoever has ended makes room.
        statuses.push(one().await);
        statuses
    });
    let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(200), count(429)), (257, 44), "{statuses:?}");
}

#[test]
fn a_connection_of_http2_that_lies_open_does_not_keep_the_process() {
    let provider = Provider::start(|socket, _, _| {
        let _gone = socket.write_all(STREAM_HEAD.as_bytes());
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(300));
            chunk(socket, &delta("m", &json!({"content": "a"}), None));
        }
        chunk(socket, &delta("m", &json!({}), Some("stop")));
        chunk(socket, b"data: [DONE]\n\n");
        end_chunks(socket);
    });
    let config = configured(&provider.base, "");
    let mut gateway = Gateway::start(&format!("[server]\nhttp2_cleartext = true\n{config}"));
    let client = at_once();
    let mut body = asking();
    body["stream"] = true.into();
    let asked = client.post(format!("{}/v1/chat/completions", gateway.base)).bearer_auth(KEY);
    let asked = asked.header("content-type", "application/json").body(body.to_string());
    let reading = runtime().spawn(async move { asked.send().await.unwrap().text().await.unwrap() });
    eventually("the stream is under way", || provider.count() == 1);
    let began = Instant::now();
    gateway.ask_to_stop();
    // What is under way is told to its end, and the grace is not used up for a connection without a request.
    let text = runtime().block_on(reading).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    gateway.has_stopped();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(client);
}

/// A gateway that listens at a socket.
struct AtSocket(Child);

impl AtSocket {
    fn start(folder: &Path) -> Self {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_optimux"))
            .arg("serve")
            .current_dir(folder)
            .env("TEST_ADMIN_KEY", KEY)
            .env("OPTIMUX_SERVER__DRAIN_DELAY", "0s")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let node = Self(child);
        eventually("it listens", || UnixStream::connect(folder.join("http.sock")).is_ok());
        node
    }

    fn end(&mut self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
        eventually("it ends", || self.0.try_wait().unwrap().is_some());
    }
}

impl Drop for AtSocket {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn requests_come_in_by_a_socket_in_the_file_system() {
    let provider = Provider::start(good("by socket"));
    let folder = std::env::temp_dir().join(format!("optimux-at-socket-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config =
        format!("[server]\nlisten = \"unix:http.sock\"\n{}", configured(&provider.base, ""));
    std::fs::write(folder.join("optimux.toml"), config).unwrap();
    let ask = || {
        let body = asking().to_string();
        let mut socket = UnixStream::connect(folder.join("http.sock")).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut told = String::new();
        socket.read_to_string(&mut told).unwrap();
        told
    };
    let mut node = AtSocket::start(&folder);
    let told = ask();
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("by socket"), "{told}");
    let healthy = Command::new(env!("CARGO_BIN_EXE_optimux"))
        .arg("health")
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    // One that was killed leaves its socket behind, which the next takes over.
    node.end("-KILL");
    assert!(folder.join("http.sock").exists());
    let mut node = AtSocket::start(&folder);
    assert!(ask().contains("by socket"));
    node.end("-TERM");
    assert!(!folder.join("http.sock").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_socket_is_not_spoken_tls_at() {
    let told = faults(
        "[server]\nlisten = \"unix:http.sock\"\ntls_cert_file = \"a.pem\"\ntls_key_file = \"a.key\"\n",
    );
    assert!(told.contains("server.listen") && told.contains("take server.tls_cert_file"), "{told}");
}

#[test]
fn requests_come_in_over_ipv6_and_where_all_addresses_are_listened_at_over_both() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let provider = Provider::start(good("over six"));
    for (listens, asked) in [("[::1]", &["[::1]"][..]), ("[::]", &["[::1]", "127.0.0.1"][..])] {
        let port = TcpListener::bind("[::]:0").unwrap().local_addr().unwrap().port();
        let folder =
            std::env::temp_dir().join(format!("optimux-six-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config =
            format!("[server]\nlisten = \"{listens}:{port}\"\n{}", configured(&provider.base, ""));
        std::fs::write(folder.join("optimux.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_optimux"))
            .arg("serve")
            .current_dir(&folder)
            .env("TEST_ADMIN_KEY", KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let _node = AtSocket(child);
        for host in asked {
            eventually("it listens", || TcpStream::connect(format!("{host}:{port}")).is_ok());
            let reply = crate::house::send(
                crate::house::client()
                    .post(format!("http://{host}:{port}/v1/chat/completions"))
                    .bearer_auth(KEY)
                    .body(asking().to_string()),
            );
            assert_eq!(reply.said(), "over six", "{host}: {}", reply.text());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
