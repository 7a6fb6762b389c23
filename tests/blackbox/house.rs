//! The gateway as a process, and providers that do exactly what a script says, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::described;

/// The administrator's key of every gateway under test, which may also call models.
pub const KEY: &str = "sk-optimux-testtesttesttesttesttesttesttesttesttesttes";

/// Waits for a condition, with a deadline that only a failure meets: machines that run tests are busy.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "never came true: {what}");
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for what every node has to know within a second of `began`.
pub fn within_a_second(what: &str, began: Instant, holds: impl FnMut() -> bool) {
    eventually(what, holds);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{what}: after {took:?}");
}

/// A page that is made by a test says what the test makes of it. `UPDATE_DOCS=1` writes it anew.
pub fn is_written(path: &str, page: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(old, new)| old != new);
    assert!(written == page, "{path} is stale (UPDATE_DOCS=1 writes it anew): {differs:?}");
}

/// A gateway process with a folder of its own.
pub struct Gateway {
    pub base: String,
    pub folder: PathBuf,
    address: std::net::SocketAddr,
    /// Where its probes are answered.
    watched: String,
    variables: Vec<(String, String)>,
    child: Child,
}

impl Gateway {
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// One whose probes are answered on another listener, at `watched`.
    pub fn start_watched(config: &str, watched: &str) -> Self {
        Self::start_at(config, &[], Some(watched))
    }

    /// With variables of the environment beside the configuration.
    pub fn start_with(config: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_at(config, variables, None)
    }

    fn start_at(config: &str, variables: &[(&str, &str)], watched: Option<&str>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("optimux-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        std::fs::write(
            folder.join("optimux.toml"),
            // A test that says something of administrators says all of it.
            if config.contains("[admin]") {
                config.to_owned()
            } else {
                format!("[admin]\nkey_env = \"TEST_ADMIN_KEY\"\n{config}")
            },
        )
        .unwrap();
        std::fs::write(folder.join("key"), "provider-secret-0123456789\n").unwrap();
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let child = spawn(&folder, address, &variables);
        let base = format!("http://{address}");
        let watched = watched.map_or_else(|| base.clone(), str::to_owned);
        let gateway = Self { base, folder, address, watched, variables, child };
        gateway.is_there();
        gateway
    }

    fn is_there(&self) {
        eventually("the gateway listens", || TcpStream::connect(self.address).is_ok());
        eventually("the gateway is ready", || self.is_ready());
    }

    /// Ends the process as nothing but the operating system can.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, on the same address.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.address, &self.variables);
        self.is_there();
    }

    /// Starts it again, and waits only until it listens.
    pub fn start_unready(&mut self) {
        self.child = spawn(&self.folder, self.address, &self.variables);
        eventually("the gateway listens", || TcpStream::connect(self.address).is_ok());
    }

    /// Whether a probe finds it ready: not, too, where nobody answers.
    pub fn is_ready(&self) -> bool {
        runtime().block_on(async {
            let asked = client().get(format!("{}/readyz", self.watched)).send().await;
            asked.is_ok_and(|reply| reply.status().is_success())
        })
    }

    /// Processor time that the process has used, in clock ticks (mostly 10 ms each).
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // What follows the name, which may hold spaces: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Waits until the process has ended by itself.
    pub fn has_stopped(&mut self) {
        eventually("the gateway stops", || self.child.try_wait().unwrap().is_some());
    }

    /// The signal that a supervisor sends first.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let name = format!("-{name}");
        let sent = Command::new("kill").args([name, self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Runs a command of the binary in the gateway's folder; its standard output.
    pub fn command(&self, arguments: &[&str]) -> String {
        let done = Command::new(env!("CARGO_BIN_EXE_optimux"))
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    pub fn post(&self, path: &str, key: &str, body: impl Into<Vec<u8>>) -> Reply {
        send(client().post(format!("{}{path}", self.base)).bearer_auth(key).body(body.into()))
    }

    /// As the administrator.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        let address = format!("{}/v1/admin{path}", self.base);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        send(client().request(method, address).bearer_auth(KEY).body(body.to_string()))
    }

    /// The books balance, and all that was booked is in them once.
    pub fn has_right_books(&self) {
        let proof = self.admin("GET", "/ledger/verify", &Value::Null);
        let ok = proof.json()["ok"].clone();
        assert_eq!((proof.status, ok), (200, Value::Bool(true)), "{}", proof.text());
    }

    /// A new account on a plan, and a key of it with these terms.
    pub fn account(&self, name: &str, plan: &str, terms: &Value) -> (String, String) {
        let made =
            self.admin("POST", "/accounts", &serde_json::json!({"name": name, "plan": plan}));
        assert_eq!(made.status, 200, "{}", made.text());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        (id.clone(), self.key(&id, terms))
    }

    pub fn key(&self, account: &str, terms: &Value) -> String {
        let mut asked = terms.as_object().cloned().unwrap_or_default();
        asked.insert("account".to_owned(), Value::from(account));
        let made = self.admin("POST", "/keys", &Value::Object(asked));
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// What a counter of its metrics says; 0 where it says nothing.
    pub fn counter(&self, series: &str) -> u64 {
        let told = self.get("/metrics", KEY).text();
        let line = told.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    pub fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", KEY, body.to_string())
    }

    pub fn get(&self, path: &str, key: &str) -> Reply {
        send(client().get(format!("{}{path}", self.base)).bearer_auth(key))
    }
}

fn spawn(
    folder: &std::path::Path,
    address: std::net::SocketAddr,
    variables: &[(String, String)],
) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_optimux"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.ends_with("_API_KEY")) {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars() {
        if ["AWS_", "AZURE_", "GOOGLE_", "VERTEX_"].iter().any(|one| name.starts_with(one)) {
            command.env_remove(name);
        }
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .args(["serve", "--listen", &address.to_string()])
        .env("TEST_ADMIN_KEY", KEY)
        .env("OPTIMUX_SERVER__WORKERS", "2")
        .env("OPTIMUX_SERVER__DRAIN_DELAY", "0s")
        // Scripts count what they are asked: nobody asks of himself, unless a test is about that.
        .env("OPTIMUX_UPSTREAM__PROBES", "false")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _cleared = std::fs::remove_dir_all(&self.folder);
    }
}

/// An answer, read to its end.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
    /// The body came to its proper end.
    pub whole: bool,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `data` of each event.
    pub fn events(&self) -> Vec<Value> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The text of a chat stream or answer.
    pub fn said(&self) -> String {
        let pieces = |name: &str, all: &[Value]| -> String {
            all.iter()
                .filter_map(|one| {
                    one.pointer(&format!("/choices/0/{name}/content"))?.as_str().map(str::to_owned)
                })
                .collect()
        };
        if self.header("content-type").starts_with("text/event-stream") {
            pieces("delta", &self.events())
        } else {
            pieces("message", &[self.json()])
        }
    }
}

pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

pub fn client() -> reqwest::Client {
    optimux::boot::prepare();
    reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap()
}

pub fn send(request: reqwest::RequestBuilder) -> Reply {
    runtime().block_on(async {
        let (client, request) = request.header("content-type", "application/json").build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let mut response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let reply = Reply { status, headers, body, whole };
        described::must_be(method.as_str(), &path, &reply);
        reply
    })
}

/// A request as a scripted provider received it.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    /// The path and query that were asked for.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A provider on a raw socket.
pub struct Provider {
    pub base: String,
    pub received: Arc<Mutex<Vec<Received>>>,
}

/// What a script does with a connection once a request has been read.
pub type Script = dyn Fn(&mut TcpStream, &Received, usize) + Send + Sync;

impl Provider {
    /// `script` gets the socket, the request and its number, from 0; the connection closes after it.
    pub fn start(
        script: impl Fn(&mut TcpStream, &Received, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Storms open hundreds of connections at once. Where the usual queue of 128 is full, the
        // kernel drops what comes, and on a busy machine a gateway gives up before it tries again.
        socket2::SockRef::from(&listener).listen(1_024).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let count = Arc::new(AtomicUsize::new(0));
        let all = Arc::clone(&received);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { continue };
                let (script, all, count) =
                    (Arc::clone(&script), Arc::clone(&all), Arc::clone(&count));
                std::thread::spawn(move || {
                    let Some(request) = read_request(&mut socket) else { return };
                    all.lock().unwrap().push(request.clone());
                    script(&mut socket, &request, count.fetch_add(1, Ordering::SeqCst));
                });
            }
        });
        Self { base, received }
    }

    pub fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    pub fn last(&self) -> Received {
        self.received.lock().unwrap().last().unwrap().clone()
    }
}

pub fn read_request(socket: &mut impl Read) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let read = socket.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length: usize = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length:")
                        .map(|n| n.trim().parse().unwrap())
                })
                .unwrap_or(0);
            let mut body = bytes[end + 4..].to_vec();
            while body.len() < length {
                let read = socket.read(&mut buffer).ok().filter(|read| *read > 0)?;
                body.extend_from_slice(&buffer[..read]);
            }
            return Some(Received { head, body });
        }
    }
}

/// A whole answer.
pub fn respond(socket: &mut TcpStream, status: u16, extra: &str, kind: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n{extra}\r\n",
        body.len()
    );
    let _gone = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body));
}

pub const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a chunked body. `false` when the other end is gone.
pub fn chunk(socket: &mut TcpStream, data: &[u8]) -> bool {
    let mut framed = format!("{:x}\r\n", data.len()).into_bytes();
    framed.extend_from_slice(data);
    framed.extend_from_slice(b"\r\n");
    socket.write_all(&framed).and_then(|()| socket.flush()).is_ok()
}

pub fn end_chunks(socket: &mut TcpStream) {
    let _gone = socket.write_all(b"0\r\n\r\n");
}

/// A chat completion that says `text`.
pub fn completion(model: &str, text: &str) -> Vec<u8> {
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    })
    .to_string()
    .into_bytes()
}

/// A chunk of a chat stream.
pub fn delta(model: &str, delta: &Value, finish: Option<&str>) -> Vec<u8> {
    let chunk = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]
    });
    format!("data: {chunk}\n\n").into_bytes()
}

/// Answers well, as a stream or whole, whichever was asked for.
pub fn good(text: &'static str) -> impl Fn(&mut TcpStream, &Received, usize) + Send + Sync {
    move |socket, request, _| {
        if request.json()["stream"] == true {
            let _gone = socket.write_all(STREAM_HEAD.as_bytes());
            chunk(
                socket,
                &delta("m", &serde_json::json!({"role": "assistant", "content": ""}), None),
            );
            chunk(socket, &delta("m", &serde_json::json!({"content": text}), None));
            chunk(socket, &delta("m", &serde_json::json!({}), Some("stop")));
            chunk(socket, b"data: [DONE]\n\n");
            end_chunks(socket);
        } else {
            respond(socket, 200, "", "application/json", &completion("m", text));
        }
    }
}

/// A configuration in which the model `m` is at each of these chat providers, in order.
pub fn chain(providers: &[&Provider]) -> String {
    use std::fmt::Write as _;
    let mut config = String::from(
        "[upstream]\nfirst_byte_timeout = \"400ms\"\nidle_timeout = \"400ms\"\nconnect_timeout = \"400ms\"\n",
    );
    let mut places = Vec::new();
    for (index, provider) in providers.iter().enumerate() {
        writeln!(
            config,
            "[providers.p{index}]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"",
            provider.base
        )
        .unwrap();
        places.push(format!("{{ provider = \"p{index}\", model = \"m\" }}"));
    }
    format!(
        "[server]\nrequest_timeout = \"3s\"\n{config}[[models]]\nid = \"m\"\ndeployments = [{}]\n",
        places.join(", ")
    )
}
