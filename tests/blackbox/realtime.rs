//! Realtime sessions, over real sockets: the recorded ones played back on both sides, and what
//! happens when a side is slow, large, late or gone.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, accept_hdr_async_with_config, connect_async,
};

use crate::house::{Gateway, KEY, eventually, runtime};
use crate::recordings::lines;

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Server = WebSocketStream<TcpStream>;
/// The request line and headers of each socket that was opened.
type Doors = Arc<Mutex<Vec<String>>>;

/// A provider that does `talk` on every socket.
fn provider<F>(talk: impl Fn(Server) -> F + Send + Sync + 'static) -> (String, Doors)
where
    F: Future<Output = ()> + Send + 'static,
{
    let doors = Doors::default();
    let seen = Arc::clone(&doors);
    let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    runtime().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            #[expect(clippy::result_large_err, reason = "the signature is the crate's")]
            let note = |request: &Request, response: Response| {
                let headers = request.headers().iter();
                let headers: Vec<String> = headers
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                    .collect();
                let door = format!("{} {}", request.uri(), headers.join(" "));
                seen.lock().unwrap().push(door);
                Ok(response)
            };
            let config = WebSocketConfig::default().max_message_size(Some(64 << 20));
            if let Ok(socket) = accept_hdr_async_with_config(socket, note, Some(config)).await {
                tokio::spawn(talk(socket));
            }
        }
    });
    (base, doors)
}

fn gateway(base: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "[providers.openai]\nbase_url = \"{base}/v1\"\napi_key_file = \"key\"\n\
         [providers.azured]\nbase_url = \"{base}/openai/v1\"\nauth = \"api-key\"\napi_key_file = \"key\"\n\
         [[models]]\nid = \"talk\"\nmode = \"realtime\"\ndeployments = [{{ provider = \"openai\", model = \"gpt-realtime\" }}]\n\
         [[models]]\nid = \"azure-talk\"\nmode = \"realtime\"\ndeployments = [{{ provider = \"azured\", model = \"my deployment\" }}]\n\
         {more}"
    ))
}

async fn dial(
    gateway: &Gateway,
    model: &str,
    header: (&'static str, &str),
) -> Result<Client, Error> {
    let url = format!("{}/v1/realtime?model={model}", gateway.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert(header.0, header.1.parse().unwrap());
    connect_async(request).await.map(|(socket, response)| {
        assert_eq!(response.headers()["x-optimux-model"], model);
        if header.0 == "sec-websocket-protocol" {
            assert_eq!(response.headers()["sec-websocket-protocol"], "realtime");
        }
        socket
    })
}

fn bearer() -> (&'static str, String) {
    ("authorization", format!("Bearer {KEY}"))
}

async fn open(gateway: &Gateway, model: &str) -> Client {
    let (name, value) = bearer();
    dial(gateway, model, (name, &value)).await.unwrap()
}

/// The next message that says something.
async fn next<S>(socket: &mut WebSocketStream<S>) -> Option<Message>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), socket.next()).await.unwrap();
        match next {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(message)) => return Some(message),
            _ => return None,
        }
    }
}

fn json_of(message: Option<&Message>) -> Value {
    serde_json::from_str(message.and_then(|message| message.to_text().ok()).unwrap_or("null"))
        .unwrap()
}

#[test]
fn recorded_sessions_pass_both_ways() {
    let sessions: Vec<Vec<(bool, Value)>> = lines()
        .iter()
        .filter(|row| row["api"] == "realtime" && row["provider"] != "gemini")
        .map(|row| {
            let events = row["events"].as_array().unwrap().iter();
            events
                .filter(|event| event["kind"] == "message" && event["data"].is_object())
                .map(|event| (event["direction"] == "sent", event["data"].clone()))
                .collect()
        })
        .collect();
    assert!(sessions.len() >= 15, "{} sessions", sessions.len());
    let count = sessions.len();
    let script = Arc::new(Mutex::new(sessions.clone().into_iter()));
    let (base, doors) = provider(move |mut socket| {
        let events = script.lock().unwrap().next().unwrap();
        async move {
            for (sent, event) in events {
                if sent {
                    assert_eq!(json_of(next(&mut socket).await.as_ref()), event);
                } else {
                    socket.send(Message::text(event.to_string())).await.unwrap();
                }
            }
            socket.close(None).await.unwrap();
        }
    });
    let gateway = gateway(&base, "");
    let mut tokens = 0;
    runtime().block_on(async {
        for events in sessions {
            let mut socket = open(&gateway, "talk").await;
            for (sent, event) in events {
                if sent {
                    socket.send(Message::text(event.to_string())).await.unwrap();
                } else {
                    assert_eq!(json_of(next(&mut socket).await.as_ref()), event);
                    let used = ["/response/usage/output_tokens", "/usage/output_tokens"];
                    if event["type"] == "response.done" {
                        tokens +=
                            used.iter().find_map(|at| event.pointer(at)?.as_u64()).unwrap_or(0);
                    }
                }
            }
            assert!(matches!(next(&mut socket).await, Some(Message::Close(_))));
        }
    });
    let doors = doors.lock().unwrap();
    assert_eq!(doors.len(), count);
    assert!(doors[0].starts_with("/v1/realtime?model=gpt-realtime "), "{}", doors[0]);
    assert!(doors[0].contains("authorization: Bearer provider-secret-0123456789"));
    // Every response of every session was metered.
    let metrics = gateway.get("/metrics", "").text();
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.contains("kind=\"output\"") || line.contains("kind=\"thought\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, tokens);
}

/// Says back what it hears.
async fn echo(mut socket: Server) {
    while let Some(Ok(message)) = socket.next().await {
        let said = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            _ => Ok(()),
        };
        if said.is_err() {
            break;
        }
    }
}

#[test]
fn keys_stand_in_headers_or_among_the_protocols() {
    let (base, doors) = provider(echo);
    let gateway = gateway(&base, "");
    runtime().block_on(async {
        let protocols = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
        let mut socket =
            dial(&gateway, "azure-talk", ("sec-websocket-protocol", &protocols)).await.unwrap();
        socket.send(Message::text("{\"a\":1}")).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text("{\"a\":1}")));
        socket.send(Message::binary(vec![0, 255])).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::binary(vec![0, 255])));
        for (header, value, model, status) in [
            ("authorization", "Bearer sk-optimux-wrong", "talk", 401),
            ("x-test", "no key", "talk", 401),
            ("x-api-key", KEY, "nobody", 404),
        ] {
            match dial(&gateway, model, (header, value)).await {
                Err(Error::Http(refused)) => assert_eq!(refused.status(), status),
                other => panic!("{other:?}"),
            }
        }
        dial(&gateway, "talk", ("x-api-key", KEY)).await.unwrap();
    });
    let door = doors.lock().unwrap()[0].clone();
    assert!(door.starts_with("/openai/v1/realtime?model=my%20deployment "), "{door}");
    assert!(door.contains("api-key: provider-secret-0123456789"), "{door}");
    assert!(door.contains("openai-beta: realtime=v1"), "{door}");
    assert!(!door.contains("insecure") && !gateway.log().contains("sk-optimux"), "{door}");
    // Not a socket at all.
    assert_eq!(gateway.get("/v1/realtime?model=talk", KEY).status, 426);
}

#[test]
fn close_codes_reach_the_other_side() {
    let (base, _) = provider(|mut socket| async move {
        next(&mut socket).await;
        let reason = CloseFrame { code: 4_008.into(), reason: "enough".into() };
        socket.close(Some(reason)).await.unwrap();
    });
    let heard = Arc::new(Mutex::new(None));
    let (other, _) = provider({
        let heard = Arc::clone(&heard);
        move |mut socket| {
            let heard = Arc::clone(&heard);
            async move {
                let last = next(&mut socket).await;
                *heard.lock().unwrap() = last;
            }
        }
    });
    let (first, second) = (gateway(&base, ""), gateway(&other, ""));
    runtime().block_on(async {
        let mut socket = open(&first, "talk").await;
        socket.send(Message::text("{}")).await.unwrap();
        let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
            panic!("not closed")
        };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4_008, "enough"));

        let mut socket = open(&second, "talk").await;
        let reason = CloseFrame { code: 3_000.into(), reason: "done".into() };
        socket.close(Some(reason)).await.unwrap();
        // Until the other side has closed too.
        while next(&mut socket).await.is_some() {}
    });
    eventually("the provider hears of it", || heard.lock().unwrap().is_some());
    let Some(Message::Close(Some(frame))) = heard.lock().unwrap().clone() else {
        panic!("not closed")
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (3_000, "done"));
}

#[test]
fn a_broken_provider_is_told_of_and_closed_after() {
    let (base, _) = provider(|socket| async move { drop(socket) });
    let gateway = gateway(&base, "");
    runtime().block_on(async {
        let mut socket = open(&gateway, "talk").await;
        let event = json_of(next(&mut socket).await.as_ref());
        assert_eq!(
            (&event["type"], &event["error"]["code"]),
            (&json!("error"), &json!("upstream_disconnected"))
        );
        let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
            panic!("not closed")
        };
        assert_eq!(u16::from(frame.code), 1_011);
    });
}

/// A session that breaks off counts against its deployment, though it opened: it is left alone after some. One in
/// which nothing was said, and which its caller left, speaks neither for it nor against it.
#[test]
fn a_provider_whose_sessions_break_off_is_left_alone() {
    for patient in [false, true] {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let (base, _) = provider(move |mut socket| {
            let holds = patient && count.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            async move { while holds && matches!(socket.next().await, Some(Ok(_))) {} }
        });
        let gateway = gateway(&base, "");
        let refused = runtime().block_on(async {
            for turn in 0..20 {
                let Ok(mut socket) = open_at(&gateway, "model=talk").await else {
                    return Some(turn);
                };
                if patient && turn % 2 == 1 {
                    socket.close(None).await.unwrap();
                }
                while next(&mut socket).await.is_some() {}
            }
            None
        });
        assert!(refused.is_some_and(|turns| turns >= 2), "{patient}: {refused:?}");
    }
}

#[test]
fn a_node_that_stops_says_so_in_its_sessions() {
    let (base, _) =
        provider(|mut socket| async move { while let Some(Ok(_)) = socket.next().await {} });
    let server = "[server]\nshutdown_grace = \"1s\"\ndrain_delay = 0\n";
    let mut gateway = gateway(&base, server);
    runtime().block_on(async {
        let mut socket = open(&gateway, "talk").await;
        gateway.ask_to_stop();
        let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
            panic!("not closed")
        };
        assert_eq!(
            (u16::from(frame.code), frame.reason.as_str()),
            (1_001, "the gateway is stopping")
        );
    });
    gateway.has_stopped();
}

#[test]
fn a_key_that_a_provider_quotes_in_a_session_is_told_to_nobody() {
    let secret = "provider-secret-0123456789";
    let (base, doors) = provider(move |mut socket| async move {
        let error = json!({"type": "error", "error": {"message": format!("{secret} is expired")}});
        let _gone = socket.send(Message::text(error.to_string())).await;
    });
    let gateway = gateway(&base, "");
    runtime().block_on(async {
        let mut client = open(&gateway, "talk").await;
        let told = next(&mut client).await.unwrap().to_text().unwrap().to_owned();
        assert!(told.contains("… is expired") && !told.contains(secret), "{told}");
    });
    assert!(doors.lock().unwrap()[0].contains(secret), "sent to its provider");
    assert!(!gateway.log().contains(secret));
}

#[test]
fn a_provider_that_lets_nobody_in_is_an_error_before_the_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gateway = gateway(&base, "");
    runtime().block_on(async {
        let (name, value) = bearer();
        match dial(&gateway, "talk", (name, &value)).await {
            Err(Error::Http(refused)) => assert_eq!(refused.status(), 503),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn sessions_end_when_idle_too_long_or_too_large() {
    let (base, _) = provider(echo);
    let quick = gateway(&base, "[realtime]\nidle_timeout = \"300ms\"\n");
    let short = gateway(&base, "[realtime]\nmax_duration = \"300ms\"\n");
    let normal = gateway(&base, "");
    runtime().block_on(async {
        for (gateway, code) in [(&quick, "session_idle"), (&short, "session_expired")] {
            let mut socket = open(gateway, "talk").await;
            let event = json_of(next(&mut socket).await.as_ref());
            assert_eq!(event["error"]["code"], code);
            let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
                panic!("not closed")
            };
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1_001, code));
        }
        let mut socket = open(&normal, "talk").await;
        // A megabyte passes; more than the limit does not.
        let large = "x".repeat(1 << 20);
        socket.send(Message::text(large.clone())).await.unwrap();
        assert_eq!(next(&mut socket).await, Some(Message::text(large)));
        // It may be cut off while it is still sending.
        let _cut = socket.send(Message::text("x".repeat(17 << 20))).await;
        assert!(!matches!(next(&mut socket).await, Some(Message::Text(_))));
    });
}

/// Opens a socket, says `frames`, and gives the close code that comes back.
fn closed_with(gateway: &Gateway, path: &str, frames: &[u8]) -> Option<u16> {
    let address = gateway.base.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let opening = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {KEY}\r\n\r\n"
    );
    socket.write_all(opening.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    socket.write_all(frames).unwrap();
    // Whatever comes first, until a close, or the end of the connection.
    loop {
        let mut frame = [0; 2];
        socket.read_exact(&mut frame).ok()?;
        let mut body = vec![0; usize::from(frame[1] & 0x7f)];
        socket.read_exact(&mut body).ok()?;
        if frame[0] == 0x88 {
            return Some(u16::from_be_bytes([body[0], body[1]]));
        }
    }
}

/// The header of a masked frame that announces so many bytes.
fn announcing(first: u8, bytes: u64) -> Vec<u8> {
    let mut header = vec![first, 0xff];
    header.extend(bytes.to_be_bytes());
    header.extend([0; 4]);
    header
}

#[test]
fn a_frame_that_is_announced_too_large_ends_the_socket_by_its_header() {
    let (base, _) = provider(echo);
    let gateway = gateway(&base, "");
    let continued = |first: u64, second: u64| {
        let mut all = announcing(0x01, first);
        all.extend(std::iter::repeat_n(0, usize::try_from(first).unwrap()));
        all.extend(announcing(0x00, second));
        all
    };
    for (what, frames) in [
        ("text", announcing(0x81, 1 << 40)),
        ("binary", announcing(0x82, 17 << 20)),
        ("the largest", announcing(0x81, u64::MAX)),
        ("a ping", announcing(0x89, 1 << 20)),
        ("the first of several", announcing(0x01, 1 << 33)),
        ("a later one", continued(70_000, (16 << 20) - 69_999)),
    ] {
        let code = closed_with(&gateway, "/v1/realtime?model=talk", &frames);
        assert_eq!(code, Some(1_009), "{what}");
        // Nobody talks to a watcher: what is read of it is bounded as well.
        let code = closed_with(&gateway, "/v1/connect/events", &frames);
        assert_eq!(code, Some(1_009), "{what}");
    }
}

/// Opens a socket at an address of its own.
async fn open_at(gateway: &Gateway, query: &str) -> Result<Client, Error> {
    let url = format!("{}/v1/realtime?{query}", gateway.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    let (name, value) = bearer();
    request.headers_mut().insert(name, value.parse().unwrap());
    connect_async(request).await.map(|(socket, _)| socket)
}

#[test]
fn what_the_address_says_beside_the_model_goes_on() {
    let (base, doors) = provider(echo);
    let gateway = gateway(&base, "");
    for (asked, sent) in [
        (
            "model=talk&intent=transcription",
            "/v1/realtime?model=gpt-realtime&intent=transcription ",
        ),
        ("a=b%20c&model=azure-talk", "/openai/v1/realtime?model=my%20deployment&a=b%20c "),
        // The model of a transcription is a setting of the session: any will do to get there.
        ("intent=transcription", "realtime?intent=transcription "),
        ("model=talk&key=secret", "/v1/realtime?model=gpt-realtime "),
    ] {
        runtime().block_on(async { open_at(&gateway, asked).await.unwrap() });
        let door = doors.lock().unwrap().last().unwrap().clone();
        assert!(door.contains(sent), "{asked}: {door}");
    }
    let refused = runtime().block_on(open_at(&gateway, "intent=talk"));
    assert!(matches!(refused, Err(Error::Http(refused)) if refused.status() == 400));
}

/// A transcription costs, in a session for nothing else and beside answers; there it is settled with
/// the next of them, or at the end.
#[test]
fn transcriptions_are_booked() {
    let (base, _) = provider(echo);
    let gateway = gateway(&base, "");
    let wrote = json!({"type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i", "transcript": "Hi.", "usage": {"type": "tokens", "total_tokens": 1010,
        "input_tokens": 1000, "input_token_details": {"audio_tokens": 1000, "text_tokens": 0},
        "output_tokens": 10}});
    let answered = json!({"type": "response.done", "response": {"usage":
        {"total_tokens": 110, "input_tokens": 100, "output_tokens": 10}}});
    // In nano-USD, at the prices of gpt-realtime-2.
    let (writing, answering) = (1_000 * 32_000 + 10 * 24_000, 100 * 4_000 + 10 * 24_000);
    let mut answers = Vec::new();
    for (name, query, events, cost) in [
        ("only", "model=gpt-realtime-2&intent=transcription", vec![&wrote, &wrote], 2 * writing),
        ("beside", "model=gpt-realtime-2", vec![&wrote, &answered], writing + answering),
        ("left", "model=gpt-realtime-2", vec![&answered, &wrote], writing + answering),
    ] {
        let (_, key) = gateway.account(name, "pro", &json!({}));
        let url = format!("{}/v1/realtime?{query}", gateway.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        runtime().block_on(async {
            let (mut socket, _) = connect_async(request).await.unwrap();
            for event in events {
                socket.send(Message::text(event.to_string())).await.unwrap();
                assert_eq!(&json_of(next(&mut socket).await.as_ref()), event);
            }
            socket.close(None).await.unwrap();
        });
        let mut usage = Value::Null;
        eventually(&format!("{name} is booked"), || {
            usage = gateway.get("/v1/usage?group_by=day", &key).json();
            usage["usage"]["cost_nano_usd"] == cost
        });
        answers.push(usage["usage"]["requests"].as_i64().unwrap());
    }
    assert_eq!(answers, [2, 1, 2]);
}

#[test]
fn flat_settings_are_understood_by_a_server_of_today() {
    let (base, _) = provider(|mut socket| async move {
        let created = json!({"type": "session.created", "session": {"type": "realtime", "output_modalities": ["audio"]}});
        socket.send(Message::text(created.to_string())).await.unwrap();
        let asked = json_of(next(&mut socket).await.as_ref());
        let good = asked["session"] == json!({"type": "realtime", "output_modalities": ["text"]});
        let told = if good { "response.output_text.delta" } else { "error" };
        let event = json!({"type": told, "delta": "hi", "asked": asked});
        socket.send(Message::text(event.to_string())).await.unwrap();
    });
    let gateway = gateway(&base, "");
    runtime().block_on(async {
        let mut socket = open(&gateway, "talk").await;
        next(&mut socket).await.unwrap();
        let flat = json!({"type": "session.update", "session": {"modalities": ["text"]}});
        socket.send(Message::text(flat.to_string())).await.unwrap();
        let event = json_of(next(&mut socket).await.as_ref());
        assert_eq!(event["type"], "response.text.delta", "{event}");
    });
}

#[test]
fn a_secret_lent_to_a_browser_opens_the_session_that_it_was_lent_for() {
    let (base, doors) = provider(echo);
    let gateway = gateway(&base, "");
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let asked = json!({
        "expires_after": {"anchor": "created_at", "seconds": 7_200},
        "session": {"type": "realtime", "model": "talk", "instructions": "Be brief."}});
    let made = gateway.post("/v1/realtime/client_secrets", &key, asked.to_string());
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let secret = made["value"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("ek_"), "{made}");
    assert_eq!(made["session"]["object"], "realtime.session");
    assert_eq!(made["session"]["model"], "talk");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = made["expires_at"].as_u64().unwrap();
    assert!((now + 3_500..=now + 3_601).contains(&until), "{until}");
    let protocols = format!("realtime, openai-insecure-api-key.{secret}");
    let bearer = format!("Bearer {secret}");
    runtime().block_on(async {
        for (header, value) in
            [("sec-websocket-protocol", protocols.as_str()), ("authorization", bearer.as_str())]
        {
            // The address need not say what the secret does.
            let url = format!("{}/v1/realtime", gateway.base.replacen("http", "ws", 1));
            let mut request = url.into_client_request().unwrap();
            request.headers_mut().insert(header, value.parse().unwrap());
            let (mut socket, _) = connect_async(request).await.unwrap();
            let first = json_of(next(&mut socket).await.as_ref());
            assert_eq!(
                first,
                json!({"type": "session.update", "session":
                    {"type": "realtime", "instructions": "Be brief."}})
            );
            socket.send(Message::text("{\"a\":1}")).await.unwrap();
            assert_eq!(next(&mut socket).await, Some(Message::text("{\"a\":1}")));
        }
        match dial(&gateway, "azure-talk", ("authorization", &bearer)).await {
            Err(Error::Http(refused)) => assert_eq!(refused.status(), 403),
            other => panic!("{other:?}"),
        }
    });
    assert!(doors.lock().unwrap()[0].contains("model=gpt-realtime"));
    assert!(!gateway.log().contains("ek_"));
    let chat = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.post("/v1/chat/completions", &secret, chat.to_string()).status, 403);
    assert_eq!(
        gateway.admin("POST", &format!("/accounts/{account}/suspend"), &json!({})).status,
        200
    );
    eventually("nobody gets in", || {
        let dialled = runtime().block_on(dial(&gateway, "talk", ("authorization", &bearer)));
        matches!(dialled, Err(Error::Http(refused)) if refused.status() == 403)
    });
}
