//! What an operator is told: the access log, metrics on a listener of their own, and traces.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::TcpListener;

use optimux::telemetry::metrics::Metrics;
use optimux::telemetry::traceparent::Hex;
use serde_json::{Value, json};

use crate::house::{
    Gateway, KEY, Provider, STREAM_HEAD, chain, chunk, client, delta, eventually, good, is_written,
    respond, send,
};

/// The fields of the access log's lines, in the order in which requests ended.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let access = lines.filter(|line| line["target"] == "optimux::access");
    access.map(|line| line["fields"].clone()).collect()
}

/// The line of a request.
fn line(gateway: &Gateway, id: &str) -> Value {
    let mut found = None;
    eventually("the request is told of", || {
        found = lines(gateway).into_iter().find(|line| line["request"] == id);
        found.is_some()
    });
    found.unwrap()
}

fn priced(provider: &Provider) -> String {
    format!(
        "[log]\njson = true\n[providers.p]\nbase_url = \"{}/v1\"\ndialect = \"openai-chat\"\n\
         [[models]]\nid = \"m\"\ndeployments = [{{ provider = \"p\", model = \"m-1\", \
         usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n",
        provider.base
    )
}

fn said(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "stream_options": if stream { json!({"include_usage": true}) } else { Value::Null },
           "messages": [{"role": "user", "content": "a secret prompt"}]})
}

#[test]
fn every_request_leaves_a_line_that_says_what_it_came_to() {
    let provider = Provider::start(good("a secret answer"));
    let gateway = Gateway::start(&priced(&provider));
    let (account, key) = gateway.account("acme", "enterprise", &json!({}));
    let reply = gateway.post("/v1/chat/completions", &key, said("m", false).to_string());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = line(&gateway, reply.header("x-request-id"));
    for (name, wanted) in [
        ("method", json!("POST")),
        ("endpoint", json!("openai-chat")),
        ("status", json!(200)),
        ("account", json!(account)),
        ("asked", json!("m")),
        ("model", json!("m")),
        ("provider", json!("p")),
        ("attempts", json!(1)),
        ("tokens_in", json!(3)),
        ("tokens_out", json!(2)),
        ("cost_usd", json!(0.000_023)),
        ("stream", json!(false)),
        ("outcome", json!("complete")),
    ] {
        assert_eq!(told[name], wanted, "{name}: {told}");
    }
    assert!(told["key"].as_str().unwrap().starts_with("key_"), "{told}");
    let time = |name: &str| told[name].as_f64().unwrap();
    assert!(time("overhead_ms") > 0.0 && time("overhead_ms") <= time("first_byte_ms"), "{told}");
    assert!(time("first_byte_ms") <= time("ms"), "{told}");

    // A stream's line comes with its end, not with its head.
    let reply = gateway.post("/v1/chat/completions", &key, said("m", true).to_string());
    let told = line(&gateway, reply.header("x-request-id"));
    assert_eq!((&told["stream"], &told["outcome"]), (&json!(true), &json!("complete")), "{told}");
    assert_eq!(lines(&gateway).len(), 4, "two made an account and its key: {:?}", lines(&gateway));

    // So do those that come to nothing, under the id that the caller has read.
    for (path, key, status, endpoint) in [
        ("/v1/chat/completions", "sk-optimux-wrong", 401, "openai-chat"),
        ("/v1/sk-optimux-in-the-path", KEY, 404, "other"),
        ("/v1beta/models/m:generateContent?key=sk-optimux-in-the-query", "", 401, "gemini"),
    ] {
        let reply = gateway.post(path, key, said("none", false).to_string());
        assert_eq!(reply.status, status, "{path}");
        let told = line(&gateway, reply.header("x-request-id"));
        let had = (&told["status"], &told["endpoint"]);
        assert_eq!(had, (&json!(status), &json!(endpoint)), "{told}");
    }
    let log = gateway.log();
    for secret in ["a secret prompt", "a secret answer", &key, KEY, "sk-optimux-"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    assert!(!log.contains('\u{1b}'), "nobody sees the colours");
}

#[test]
fn a_caller_who_leaves_is_told_of_too() {
    let provider = Provider::start(|socket, _, _| {
        let piece = delta("m", &json!({"role": "assistant", "content": "word "}), None);
        if !chunk_after_head(socket, &piece) {
            return;
        }
        while chunk(socket, &piece) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let gateway = Gateway::start(&priced(&provider));
    let id = crate::house::runtime().block_on(async {
        let asked = client()
            .post(format!("{}/v1/chat/completions", gateway.base))
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .body(said("m", true).to_string());
        let mut reply = asked.send().await.unwrap();
        reply.chunk().await.unwrap();
        reply.headers()["x-request-id"].to_str().unwrap().to_owned()
    });
    let told = line(&gateway, &id);
    assert_eq!((&told["status"], &told["outcome"]), (&json!(200), &json!("left")), "{told}");
    let scraped = gateway.get("/metrics", "").text();
    eventually("nothing is under way", || {
        gateway.get("/metrics", "").text().contains("optimux_in_flight 0")
    });
    assert!(scraped.contains("optimux_tokens_total"), "{scraped}");
}

fn chunk_after_head(socket: &mut std::net::TcpStream, piece: &[u8]) -> bool {
    std::io::Write::write_all(socket, STREAM_HEAD.as_bytes()).is_ok() && chunk(socket, piece)
}

#[test]
fn the_access_log_can_be_switched_off_and_is_text_where_the_log_is() {
    let provider = Provider::start(good("yes"));
    let config = priced(&provider).replace("json = true", "access = false");
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.chat(&said("m", false)).status, 200);
    gateway.ask_to_stop();
    let mut gateway = gateway;
    gateway.has_stopped();
    assert!(!gateway.log().contains("endpoint="), "{}", gateway.log());

    let mut gateway = Gateway::start(&priced(&provider).replace("json = true", ""));
    let reply = gateway.chat(&said("m", false));
    gateway.ask_to_stop();
    gateway.has_stopped();
    let log = gateway.log();
    // What has ended is told of before the process does.
    let line = log.lines().find(|line| line.contains(reply.header("x-request-id"))).unwrap();
    for part in ["INFO answered request=req_", " endpoint=openai-chat ", " cost_usd=0.000023 "] {
        assert!(line.contains(part), "{line}");
    }
}

/// The families of a scrape, with their kinds.
fn scraped(text: &str) -> BTreeMap<&str, &str> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.collect()
}

/// A gateway that has been through most of what is counted.
fn used() -> (Gateway, String) {
    let broken = Provider::start(|socket, _, _| {
        respond(socket, 500, "", "application/json", b"{\"error\":{\"message\":\"no\"}}");
    });
    let breaks_off = Provider::start(|socket, _, _| {
        let _gone = chunk_after_head(socket, &delta("m", &json!({"content": "word"}), None));
    });
    let answers = Provider::start(good("yes"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = format!(
        "{}[[models]]\nid = \"other\"\ndeployments = [{{ provider = \"p2\", model = \"o\", \
         usd_per_million = {{ input = 1.0, output = 10.0 }} }}]\n[plans.tiny]\nrequests_per_minute = 1\n",
        chain(&[&broken, &breaks_off, &answers])
            .replace("[server]\n", &format!("[server]\nadmin_listen = \"{}\"\n", &admin[7..]))
    );
    // Its own readiness is on the other listener.
    let gateway = Gateway::start_watched(&config, &admin);
    let (_, key) = gateway.account("tiny", "tiny", &json!({}));
    for _ in 0..6 {
        let _broken = gateway.chat(&said("m", true));
        assert_eq!(gateway.chat(&said("other", false)).status, 200);
    }
    for status in [200, 429] {
        let reply = gateway.post("/v1/chat/completions", &key, said("other", false).to_string());
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    (gateway, admin)
}

fn scrape(admin: &str) -> String {
    let reply = send(client().get(format!("{admin}/metrics")));
    assert_eq!(reply.status, 200);
    reply.text()
}

#[test]
fn metrics_and_probes_have_a_listener_of_their_own() {
    let (gateway, admin) = used();
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(gateway.get(path, "").status, 404, "{path}");
        assert_eq!(send(client().get(format!("{admin}{path}"))).status, 200, "{path}");
        // As some balancers ask.
        let head = send(client().head(format!("{admin}{path}")));
        assert_eq!((head.status, head.text().as_str()), (200, ""), "{path}");
    }
    let models = send(client().head(format!("{}/v1/models", gateway.base)).bearer_auth(KEY));
    assert_eq!((models.status, models.text().as_str()), (200, ""));
    assert_eq!(send(client().get(format!("{admin}/v1/models"))).status, 404);
    let text = scrape(&admin);
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<f64>().unwrap()
    };
    assert!(value("optimux_attempts_total{model=\"m\",outcome=\"broken\",provider=\"p0\"}") >= 3.0);
    assert!(
        value("optimux_broken_streams_total{fault=\"broken\",model=\"m\",provider=\"p1\"}") >= 1.0
    );
    // Faults in a row have opened it.
    assert!((value("optimux_deployment_passing{model=\"m\",provider=\"p0\"}")).abs() < 0.5);
    assert!(value("optimux_deployment_passing{model=\"other\",provider=\"p2\"}") > 0.5);
    // Seven answers of 3 tokens in and 2 out.
    let cost = value("optimux_cost_usd_total{model=\"other\",provider=\"p2\"}");
    assert!((cost - 7.0 * 23e-6).abs() < 1e-12, "{cost}");
    assert!(value("optimux_overhead_seconds_count") >= 7.0);
    assert!(value("optimux_request_first_byte_seconds_count{surface=\"openai-chat\"}") >= 7.0);
    assert!(value("optimux_requests_total{status=\"4xx\",surface=\"openai-chat\"}") >= 1.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 5.0);
    assert!((value("optimux_in_flight")).abs() < 0.5);
    eventually("all is in the store", || {
        scrape(&admin).contains("\noptimux_journal_lag_seconds 0\n")
    });
}

#[test]
fn the_page_of_metrics_is_made_from_them_and_a_scrape_has_no_others() {
    let metrics = Metrics::new().unwrap();
    let mut page = include_str!("telling/metrics.md").to_owned();
    page.push_str("\n| metric | kind | labels | what |\n| --- | --- | --- | --- |\n");
    for one in metrics.families() {
        let labels: Vec<String> = one.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{}` | {} | {} | {} |", one.name, one.kind, labels.join(", "), one.help)
            .unwrap();
    }
    is_written("docs/metrics.md", &page);
    let (_gateway, admin) = used();
    let text = scrape(&admin);
    let live = scraped(&text);
    for (name, kind) in &live {
        let known = metrics.families().iter().find(|one| one.name == *name);
        assert_eq!(known.map(|one| one.kind), Some(*kind), "{name}");
    }
    // What is seen only where something rare has happened.
    let seldom = [
        "optimux_cascades_total",
        "optimux_gossip_total",
        "optimux_guardrails_total",
        "optimux_hedges_total",
        "optimux_learned_refusals_total",
        "optimux_outcomes_total",
        "optimux_rescues_total",
        "optimux_schema_violations_total",
        "optimux_unreadable_events_total",
    ];
    let missing: Vec<&str> = metrics
        .families()
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| !live.contains_key(name) && !seldom.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names of metrics in a query of Prometheus, without what a histogram adds.
fn names(query: &str) -> BTreeSet<String> {
    let words = query.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_'));
    let ours = words.filter(|word| word.starts_with("optimux_") || word.starts_with("process_"));
    ours.map(|word| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word)
            .to_owned()
    })
    .collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let board = std::fs::read_to_string(root.join("grafana/optimux.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let mut asked = BTreeSet::new();
    let panels = board["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        for target in targets {
            let found = names(target["expr"].as_str().unwrap());
            assert!(!found.is_empty(), "{}", panel["title"]);
            asked.extend(found);
        }
    }
    assert!(panels.len() > 12, "{}", panels.len());
    let alerts = std::fs::read_to_string(root.join("prometheus/alerts.yml")).unwrap();
    let queries = alerts.lines().filter(|line| !line.trim_start().starts_with('#'));
    let of_alerts = names(&queries.collect::<Vec<_>>().join("\n"));
    assert!(of_alerts.len() > 6, "{of_alerts:?}");
    asked.extend(of_alerts);
    let metrics = Metrics::new().unwrap();
    let known: BTreeSet<String> = metrics.families().iter().map(|one| one.name.clone()).collect();
    let unknown: Vec<&String> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A message of protobuf: its fields by number, as they come.
#[derive(Debug, Clone, Default)]
struct Message(Vec<(u64, Field)>);

#[derive(Debug, Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// Reads the wire format by itself, so that what is sent is held to the specification and not to the
/// code that wrote it: <https://protobuf.dev/programming-guides/encoding/>.
fn message(mut bytes: &[u8]) -> Message {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for place in 0.. {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << (7 * place);
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    fn fixed<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
        let (first, rest) = bytes.split_at(N);
        *bytes = rest;
        first.try_into().unwrap()
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(fixed(&mut bytes))),
            5 => Field::Number(u32::from_le_bytes(fixed(&mut bytes)).into()),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (held, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(held.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, field));
    }
    Message(fields)
}

impl Message {
    fn all(&self, number: u64) -> Vec<Self> {
        self.0
            .iter()
            .filter(|(one, _)| *one == number)
            .map(|(_, field)| match field {
                Field::Bytes(bytes) => message(bytes),
                Field::Number(_) => panic!("{number} is no message"),
            })
            .collect()
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        let found = self.0.iter().find(|(one, _)| *one == number);
        found.map_or_else(Vec::new, |(_, field)| match field {
            Field::Bytes(bytes) => bytes.clone(),
            Field::Number(_) => panic!("{number} is a number"),
        })
    }

    fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number)).unwrap()
    }

    fn number(&self, number: u64) -> u64 {
        let found = self.0.iter().find(|(one, _)| *one == number);
        found.map_or(0, |(_, field)| match field {
            Field::Number(value) => *value,
            Field::Bytes(_) => panic!("{number} is no number"),
        })
    }

    /// Attributes (`KeyValue`s) under a field, as JSON.
    fn attributes(&self, number: u64) -> BTreeMap<String, Value> {
        let value = |any: &Self| match any.0.first() {
            Some((1, Field::Bytes(text))) => json!(String::from_utf8(text.clone()).unwrap()),
            Some((2, Field::Number(truth))) => json!(*truth == 1),
            Some((3, Field::Number(count))) => json!(count.cast_signed()),
            Some((5, Field::Bytes(list))) => {
                json!(message(list).all(1).iter().map(|one| one.text(1)).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        };
        self.all(number).iter().map(|one| (one.text(1), value(&one.all(2)[0]))).collect()
    }
}

/// A span as a collector has received it.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    attributes: BTreeMap<String, Value>,
    failed: bool,
}

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

fn spans(collector: &Provider) -> Vec<Span> {
    let received = collector.received.lock().unwrap().clone();
    let mut all = Vec::new();
    for one in received {
        assert!(one.path().ends_with("/v1/traces"), "{}", one.head);
        assert!(one.head.to_lowercase().contains("content-type: application/x-protobuf"));
        for of_us in message(&one.body).all(1) {
            let resource = of_us.all(1)[0].attributes(1);
            assert_eq!(resource["service.name"], "optimux");
            for span in of_us.all(2).iter().flat_map(|scope| scope.all(2)) {
                all.push(Span {
                    trace: hex(&span.bytes(1)),
                    id: hex(&span.bytes(2)),
                    parent: hex(&span.bytes(4)),
                    name: span.text(5),
                    kind: span.number(6),
                    start: span.number(7),
                    end: span.number(8),
                    attributes: span.attributes(9),
                    failed: span.all(15).first().is_some_and(|status| status.number(3) == 2),
                });
            }
        }
    }
    all
}

fn collector() -> Provider {
    Provider::start(|socket, _, _| respond(socket, 200, "", "application/x-protobuf", b""))
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_trace_says_what_the_bill_says() {
    let collector = collector();
    let broken = Provider::start(|socket, _, _| {
        respond(socket, 500, "", "application/json", b"{\"error\":{\"message\":\"no\"}}");
    });
    let answers = Provider::start(good("yes"));
    let mut gateway = Gateway::start_with(
        &chain(&[&broken, &answers]),
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=collector-secret"),
        ],
    );
    let mut ids = Vec::new();
    for stream in [false, true] {
        let asked = client()
            .post(format!("{}/v1/chat/completions", gateway.base))
            .bearer_auth(KEY)
            .header("traceparent", TRACEPARENT)
            .body(json!({"model": "m", "stream": stream, "top_k": 5, "stream_options": if stream { json!({"include_usage": true}) } else { Value::Null },
                         "messages": [{"role": "user", "content": "a secret prompt"}]}).to_string());
        let reply = send(asked);
        assert_eq!(reply.status, 200, "{}", reply.text());
        ids.push(reply.header("x-request-id").to_owned());
    }
    let bills: Vec<Value> =
        ids.iter().map(|id| gateway.get(&format!("/v1/requests/{id}"), KEY).json()).collect();
    // What waits is delivered before the process ends.
    gateway.ask_to_stop();
    gateway.has_stopped();
    let all = spans(&collector);
    for (id, bill) in ids.iter().zip(&bills) {
        let of = |span: &&Span| span.attributes.get("optimux.request") == Some(&json!(id));
        let root = all.iter().find(of).unwrap_or_else(|| panic!("no span of {id}: {all:#?}"));
        assert_eq!((&*root.trace, &*root.parent), (&TRACEPARENT[3..35], &TRACEPARENT[36..52]));
        assert_eq!((&*root.name, root.kind, root.failed), ("chat m", 2, false));
        let said = |name: &str| root.attributes.get(name).unwrap_or(&Value::Null).clone();
        for (name, wanted) in [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.request.model", bill["model_requested"].clone()),
            ("gen_ai.response.model", bill["model"].clone()),
            ("gen_ai.provider.name", bill["provider"].clone()),
            ("gen_ai.system", bill["provider"].clone()),
            ("gen_ai.usage.input_tokens", bill["usage"]["input_tokens"].clone()),
            ("gen_ai.usage.output_tokens", bill["usage"]["output_tokens"].clone()),
            ("optimux.account", bill["account"].clone()),
            ("optimux.key", bill["api_key_id"].clone()),
            ("optimux.outcome", bill["status"].clone()),
            ("optimux.attempts", bill["attempt_count"].clone()),
            ("optimux.stream", bill["stream"].clone()),
            ("http.response.status_code", json!(200)),
        ] {
            assert_eq!(said(name), wanted, "{name}: {root:#?} {bill}");
        }
        assert_eq!(said("optimux.cost_nanousd"), bill["cost_nano_usd"], "{bill}");
        let attempts: Vec<&Span> = all.iter().filter(|span| span.parent == root.id).collect();
        assert_eq!(attempts.len(), 2, "{all:#?}");
        assert_eq!((attempts[0].kind, attempts[0].failed), (3, true));
        assert_eq!(attempts[0].attributes["error.type"], "broken");
        assert_eq!(attempts[0].attributes["gen_ai.provider.name"], "p0");
        assert!(!attempts[1].failed && attempts[1].attributes["gen_ai.provider.name"] == "p1");
        for attempt in &attempts {
            assert_eq!(attempt.trace, root.trace);
            assert!(root.start <= attempt.start && attempt.end <= root.end, "{all:#?}");
        }
        // The stream's span is open to its last chunk.
        assert_eq!(attempts[1].end == root.end, bill["stream"] == true, "{all:#?}");
        // The provider belongs to the same trace, below its attempt.
        let told = |provider: &Provider, attempt: &Span| {
            let received = provider.received.lock().unwrap();
            let wanted = format!("traceparent: 00-{}-{}-01", attempt.trace, attempt.id);
            received.iter().any(|one| one.head.to_lowercase().contains(&wanted))
        };
        assert!(told(&broken, attempts[0]) && told(&answers, attempts[1]), "{all:#?}");
    }
    let sent = collector.received.lock().unwrap();
    assert!(sent.iter().all(|one| one.head.contains("x-token: collector-secret")));
    for secret in [b"a secret prompt".as_slice(), KEY.as_bytes()] {
        let holds = |one: &[u8]| one.windows(secret.len()).any(|part| part == secret);
        assert!(!sent.iter().any(|one| holds(&one.body)));
    }
    assert!(!gateway.log().contains("collector-secret"));
}

#[test]
fn only_a_share_is_traced_and_nothing_where_no_collector_is_named() {
    let (collector, answers) = (collector(), Provider::start(good("yes")));
    let config = format!(
        "[telemetry]\notlp_endpoint = \"{}\"\nsample_ratio = 0.0\n{}",
        collector.base,
        chain(&[&answers])
    );
    let mut gateway = Gateway::start(&config);
    assert_eq!(gateway.chat(&said("m", false)).status, 200);
    let asked = client().post(format!("{}/v1/chat/completions", gateway.base)).bearer_auth(KEY);
    let traced = asked.header("traceparent", TRACEPARENT).body(said("m", false).to_string());
    assert_eq!(send(traced).status, 200);
    gateway.ask_to_stop();
    gateway.has_stopped();
    assert_eq!(spans(&collector).len(), 2, "the one whose caller traces, and its attempt");

    let gateway = Gateway::start(&chain(&[&answers]));
    let asked = client().post(format!("{}/v1/chat/completions", gateway.base)).bearer_auth(KEY);
    send(asked.header("traceparent", TRACEPARENT).body(said("m", false).to_string()));
    assert!(!answers.last().head.to_lowercase().contains("traceparent"));
}

#[test]
fn a_collector_that_is_away_costs_no_request_and_is_counted() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let answers = Provider::start(good("yes"));
    let mut gateway = Gateway::start_with(
        &chain(&[&answers]),
        &[("OPTIMUX_TELEMETRY__OTLP_ENDPOINT", away.as_str())],
    );
    assert_eq!(gateway.chat(&said("m", false)).status, 200);
    eventually("what could not be delivered is counted", || {
        let text = gateway.get("/metrics", "").text();
        text.contains("optimux_telemetry_dropped_total{queue=\"traces\"} 1")
    });
    assert!(gateway.log().contains("traces cannot be delivered"), "{}", gateway.log());
    gateway.ask_to_stop();
    gateway.has_stopped();
}
