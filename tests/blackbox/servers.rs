//! Private Redis and PostgreSQL servers on free ports, and a mail server that does as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::house::{eventually, read_request};

/// A private Redis server without a memory of its own, gone when dropped.
pub struct Redis {
    pub url: String,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|found| found.success()) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { url: format!("redis://127.0.0.1:{port}"), port, child: None };
        server.start_again();
        Some(server)
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn start_again(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--bind", "127.0.0.1"])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("Redis answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
}

impl Redis {
    /// A command, by the command line's client; what it says.
    pub fn command(&self, words: &[&str]) -> String {
        cli(self.port, words)
    }
}

fn cli(port: u16, words: &[&str]) -> String {
    let told = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output();
    String::from_utf8_lossy(&told.unwrap().stdout).trim().to_owned()
}

/// A Redis server of a cluster, or one that speaks TLS.
struct Special {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Special {
    /// A sentinel, which writes into its configuration what it finds out.
    fn sentinel(port: u16, said: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("optimux-sentinel-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let own = folder.join("sentinel.conf");
        std::fs::write(&own, said).unwrap();
        let child = Command::new("redis-server")
            .arg(own)
            .arg("--sentinel")
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, port, child };
        eventually("the sentinel answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn start(name: &str, port: u16, arguments: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("optimux-{name}-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let child = Command::new("redis-server")
            .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .args(arguments)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, port, child };
        eventually("Redis answers", || TcpStream::connect(("127.0.0.1", server.port)).is_ok());
        server
    }
}

impl Drop for Special {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        let _cleared = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port whose neighbour at a distance of 10,000, the bus of a cluster, is free as well.
fn free_port(bus: bool) -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if !bus || (port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()) {
            return port;
        }
    }
}

/// A cluster of two Redis servers, each with half of the slots.
pub struct RedisCluster {
    pub url: String,
    _servers: [Special; 2],
}

impl RedisCluster {
    /// `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        Redis::start()?;
        let servers = [free_port(true), free_port(true)].map(|port| {
            let port_text = port.to_string();
            let arguments = ["--port", &port_text, "--cluster-enabled", "yes"];
            Special::start("cluster", port, &arguments)
        });
        let [one, other] = [servers[0].port, servers[1].port];
        for (port, epoch, first, last) in [(one, "1", "0", "8191"), (other, "2", "8192", "16383")] {
            cli(port, &["CLUSTER", "SET-CONFIG-EPOCH", epoch]);
            cli(port, &["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        cli(one, &["CLUSTER", "MEET", "127.0.0.1", &other.to_string()]);
        for port in [one, other] {
            eventually("the cluster is whole", || {
                let told = cli(port, &["CLUSTER", "INFO"]);
                told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:2")
            });
        }
        Some(Self { url: format!("redis://127.0.0.1:{one}"), _servers: servers })
    }
}

/// Two Redis servers, one of which is the other's replica, and three sentinels that watch over them under
/// the name `main`.
pub struct RedisSentinels {
    pub url: String,
    servers: Vec<Special>,
    _sentinels: Vec<Special>,
}

impl RedisSentinels {
    /// `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        Redis::start()?;
        let ports = [free_port(false), free_port(false)];
        let servers: Vec<Special> = ports
            .iter()
            .enumerate()
            .map(|(place, port)| {
                let (port_text, first) = (port.to_string(), format!("127.0.0.1 {}", ports[0]));
                let mut arguments = vec!["--port", &port_text, "--requirepass", "word"];
                arguments.extend(["--masterauth", "word"]);
                if place > 0 {
                    arguments.extend(["--replicaof", &first]);
                }
                Special::start("watched", *port, &arguments)
            })
            .collect();
        eventually("the replica follows", || {
            cli(ports[1], &["-a", "word", "INFO", "replication"]).contains("master_link_status:up")
        });
        let sentinels: Vec<Special> = (0..3)
            .map(|_| {
                let port = free_port(false);
                let said = format!(
                    "port {port}\nsentinel monitor main 127.0.0.1 {} 2\n\
                     sentinel auth-pass main word\nsentinel down-after-milliseconds main 500\n\
                     sentinel failover-timeout main 3000\n",
                    ports[0]
                );
                Special::sentinel(port, &said)
            })
            .collect();
        for one in &sentinels {
            eventually("the sentinels know each other and both servers", || {
                let told = cli(one.port, &["INFO", "sentinel"]);
                told.contains("status=ok,") && told.contains("slaves=1,sentinels=3")
            });
        }
        let hosts: Vec<_> = sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        let url = format!("redis+sentinel://:word@{}/main/0", hosts.join(","));
        Some(Self { url, servers, _sentinels: sentinels })
    }

    /// Ends the master, as if its machine were gone.
    pub fn kill_master(&mut self) {
        let master = &mut self.servers[0].child;
        master.kill().unwrap();
        master.wait().unwrap();
    }
}

/// A Redis server that speaks TLS alone, and the certificate of whoever vouches for it.
pub struct RedisTls {
    pub url: String,
    pub authority: PathBuf,
    server: Special,
}

impl RedisTls {
    /// `None` where Redis or openssl is not installed.
    pub fn start() -> Option<Self> {
        Redis::start()?;
        let port = free_port(false);
        let folder =
            std::env::temp_dir().join(format!("optimux-tls-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).ok()?;
        certified(&folder)?;
        let port_text = port.to_string();
        let arguments = [
            "--port",
            "0",
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            "server.pem",
            "--tls-key-file",
            "server.key",
            "--tls-ca-cert-file",
            "ca.pem",
            "--tls-auth-clients",
            "no",
        ];
        let server = Special::start("tls", port, &arguments);
        let url = format!("rediss://localhost:{port}");
        Some(Self { url, authority: server.folder.join("ca.pem"), server })
    }

    /// Ends it.
    pub fn kill(&mut self) {
        self.server.child.kill().unwrap();
        self.server.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A certificate for `localhost` (`server.pem`, `server.key`) and one for a client (`client.pem`,
/// `client.key`) by an authority of their own (`ca.pem`).
/// `None` where openssl is not installed.
fn certified(folder: &Path) -> Option<()> {
    let openssl = |line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).output();
        done.ok().filter(|done| done.status.success())
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
         -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE",
    )?;
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout \
         server.key -out server.csr",
    )?;
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").ok()?;
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out server.pem",
    )?;
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=gateway -keyout \
         client.key -out client.csr",
    )?;
    openssl(
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out client.pem",
    )?;
    Some(())
}

/// Takes TLS off, and hands each request to a server that knows none.
pub struct Secured {
    /// Where it is reached: `https://localhost:…`.
    pub base: String,
    /// The certificate of who vouches for it.
    pub authority: PathBuf,
    /// Where a client's certificate is (`client.pem`, `client.key`).
    pub folder: PathBuf,
}

impl Secured {
    /// In front of `http://…`. `None` where openssl is not installed.
    pub fn before(plain: &str) -> Option<Self> {
        Self::start(plain, false)
    }

    /// The same, for those alone who show a certificate of its authority.
    pub fn demanding(plain: &str) -> Option<Self> {
        Self::start(plain, true)
    }

    fn start(plain: &str, demands: bool) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder =
            std::env::temp_dir().join(format!("optimux-secured-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        certified(&folder)?;
        let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&ring))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = if demands {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring);
            config.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let config = config.with_single_cert(chain, key).unwrap();
        let (config, plain) = (Arc::new(config), plain.trim_start_matches("http://").to_owned());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (config, plain) = (Arc::clone(&config), plain.clone());
                std::thread::spawn(move || {
                    let tls = ServerConnection::new(config).unwrap();
                    let mut near = StreamOwned::new(tls, socket.unwrap());
                    // Whoever does not trust the certificate asks for nothing.
                    let Some(request) = read_request(&mut near) else { return };
                    let mut far = TcpStream::connect(plain).unwrap();
                    far.write_all(request.head.as_bytes()).unwrap();
                    far.write_all(b"\r\n\r\n").unwrap();
                    far.write_all(&request.body).unwrap();
                    let mut answer = Vec::new();
                    far.read_to_end(&mut answer).unwrap();
                    near.write_all(&answer).unwrap();
                    near.conn.send_close_notify();
                    near.flush().unwrap();
                });
            }
        });
        let authority = folder.join("ca.pem");
        Some(Self { base: format!("https://localhost:{port}"), authority, folder })
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _cleared = std::fs::remove_dir_all(&self.folder);
    }
}

/// A private PostgreSQL server, gone when dropped.
pub struct Postgres {
    pub url: String,
    folder: PathBuf,
    tools: PathBuf,
    port: u16,
    child: Child,
}

/// PostgreSQL refuses to run as root.
fn run(tools: &Path, tool: &str) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(tools.join(tool));
        command
    } else {
        Command::new(tools.join(tool))
    };
    command.current_dir("/tmp").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Postgres {
    /// `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let tools = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .chain(std::env::split_paths(&std::env::var_os("PATH")?))
            .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())?;
        let folder = std::env::temp_dir().join(format!("optimux-pg-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            let done = Command::new("chown").arg("postgres").arg(&folder).status().unwrap();
            assert!(done.success());
        }
        let data = folder.join("data");
        let made = run(&tools, "initdb")
            .args(["-U", "optimux", "-A", "trust", "-N", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success(), "initdb");
        let url = format!("postgres://optimux@127.0.0.1:{port}/postgres");
        let child = Self::spawn(&tools, &folder, port);
        let server = Self { url, folder, tools, port, child };
        server.is_there();
        Some(server)
    }

    fn spawn(tools: &Path, folder: &Path, port: u16) -> Child {
        run(tools, "postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-k",
            ])
            .arg(folder)
            .spawn()
            .unwrap()
    }

    fn is_there(&self) {
        eventually("PostgreSQL answers", || {
            run(&self.tools, "psql")
                .args([&self.url, "-c", "SELECT 1"])
                .status()
                .is_ok_and(|done| done.success())
        });
    }

    /// What a statement comes to, a line a row.
    fn told(&self, statement: &str) -> Vec<String> {
        let mut asking = run(&self.tools, "psql");
        let asked = asking.args([&self.url, "-A", "-t", "-c", statement]).stdout(Stdio::piped());
        let told = asked.output().unwrap();
        assert!(told.status.success(), "{statement}");
        String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Every row of every table, as text.
    pub fn rows(&self) -> Vec<(String, String)> {
        let tables =
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
        let of = |table: String| -> Vec<(String, String)> {
            let rows = self.told(&format!("SELECT one::text FROM \"{table}\" one"));
            rows.into_iter().map(|row| (table.clone(), row)).collect()
        };
        self.told(tables).into_iter().flat_map(of).collect()
    }

    /// Ends it at once, with all that it has not written down.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        let sent = Command::new("kill").args(["-KILL", pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        // Its children may need a moment to see that it is gone, and it will not start before.
        eventually("PostgreSQL starts again", || {
            self.child = Self::spawn(&self.tools, &self.folder, self.port);
            let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
            while std::time::Instant::now() < until && self.child.try_wait().unwrap().is_none() {
                let asked = run(&self.tools, "psql").args([&self.url, "-c", "SELECT 1"]).status();
                if asked.is_ok_and(|done| done.success()) {
                    return true;
                }
            }
            false
        });
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // runuser passes the signal on.
        let _stopped = Command::new("kill").arg(self.child.id().to_string()).status();
        let _reaped = self.child.wait();
        let _cleared = std::fs::remove_dir_all(&self.folder);
    }
}

/// A disk of its own, small enough to fill, gone when dropped.
pub struct SmallDisk {
    pub folder: PathBuf,
}

impl SmallDisk {
    /// `None` where nothing can be mounted: only root may.
    pub fn mount(name: &str, bytes: u64) -> Option<Self> {
        let folder =
            std::env::temp_dir().join(format!("optimux-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={bytes}");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        if done.is_ok_and(|done| done.success()) {
            return Some(Self { folder });
        }
        std::fs::remove_dir(&folder).unwrap();
        None
    }

    /// Takes all that is left of it.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file =
            std::fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        // To the last byte: what is smaller than a block may still fit.
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.folder).status();
        let _cleared = std::fs::remove_dir(&self.folder);
    }
}

/// A mail, as a mail server got it.
#[derive(Debug, Clone)]
pub struct Letter {
    pub to: String,
    /// Headers and text, with the encoding of lines undone.
    pub text: String,
}

impl Letter {
    /// What follows a link's beginning on its line.
    pub fn link(&self, start: &str) -> String {
        let line = self.text.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start}: {}", self.text)).trim().to_owned()
    }
}

/// A mail server that takes or refuses what it is told to. It wants the password `secret`.
pub struct Smtp {
    pub port: u16,
    got: Arc<Mutex<Vec<Letter>>>,
    /// What it answers to the name of whoever a mail is for, in place of yes.
    refuses: Arc<Mutex<Option<&'static str>>>,
}

impl Smtp {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, got: Arc::default(), refuses: Arc::default() };
        let (got, refuses) = (Arc::clone(&server.got), Arc::clone(&server.refuses));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (got, refuses) = (Arc::clone(&got), Arc::clone(&refuses));
                // A client that goes away ends its conversation, and no more.
                std::thread::spawn(move || drop(converse(socket, &got, &refuses)));
            }
        });
        server
    }

    pub fn url(&self, password: &str) -> String {
        format!("smtp://ann:{password}@127.0.0.1:{}", self.port)
    }

    pub fn refuse(&self, answer: Option<&'static str>) {
        *self.refuses.lock().unwrap() = answer;
    }

    pub fn letters(&self, to: &str) -> Vec<Letter> {
        let got = self.got.lock().unwrap();
        got.iter().filter(|one| one.to == to).cloned().collect()
    }

    /// Waits for the mail with that number, from one on, to an address.
    pub fn letter(&self, to: &str, number: usize) -> Letter {
        eventually("the mail is sent", || self.letters(to).len() >= number);
        self.letters(to)[number - 1].clone()
    }
}

/// RFC 5321, as far as a client of one mail needs it.
fn converse(
    socket: TcpStream,
    got: &Mutex<Vec<Letter>>,
    refuses: &Mutex<Option<&'static str>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(socket.try_clone()?);
    let mut socket = socket;
    let mut say = |text: &str| socket.write_all(format!("{text}\r\n").as_bytes());
    say("220 mail.example")?;
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "EHLO" => say("250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN")?,
            // NUL ann NUL secret, in base64
            "AUTH" if line.ends_with("AGFubgBzZWNyZXQ=") => say("235 welcome")?,
            "AUTH" => say("535 5.7.8 the password is wrong")?,
            "RCPT" => match *refuses.lock().unwrap() {
                Some(answer) => say(answer)?,
                None => {
                    line.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut to);
                    say("250 yes")?;
                }
            },
            "DATA" => {
                say("354 go on")?;
                let mut text = String::new();
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line)? == 0 || line == ".\r\n" {
                        break;
                    }
                    text.push_str(&line);
                }
                let text = text.replace("=\r\n", "").replace("=3D", "=");
                got.lock().unwrap().push(Letter { to: to.clone(), text });
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("250 yes")?,
        }
    }
}
