//! Traces, sent to a collector: OTLP over HTTP, in protobuf. What is to be sent waits in a queue that
//! has an end, on the background runtime; what finds no place there is counted and left out.

mod message;
mod spans;

use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::metrics::Metrics;
use super::trail::Trail;
use crate::base::egress::Egress;
use message::{
    ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans,
};

/// Requests that may wait to be sent.
const WAITING: usize = 8_192;
/// Requests that are sent at once, at most.
const BATCH: usize = 512;
/// How long a batch is gathered.
const GATHERING: Duration = Duration::from_secs(1);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses before a batch is sent again; then it is given up.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Where traces go.
#[derive(Debug, Clone)]
pub struct Collector {
    url: Url,
    headers: HeaderMap,
    service: String,
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    #[error("'{0}' is no address of a collector such as http://localhost:4318")]
    Address(String),
    #[error("'{0}' is no header: write them as name=value, with commas between them")]
    Header(String),
}

impl Collector {
    /// `endpoint` is the collector's base address, to which `/v1/traces` is added unless it stands
    /// there; `headers` are as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value,name=value`.
    ///
    /// # Errors
    /// For what is no such address or header.
    pub fn new(
        endpoint: &str,
        headers: &str,
        service: &str,
        node: &str,
    ) -> Result<Self, CollectorError> {
        let wrong = || CollectorError::Address(endpoint.to_owned());
        let base = endpoint.trim().trim_end_matches('/');
        let whole = if base.ends_with("/v1/traces") {
            base.to_owned()
        } else {
            format!("{base}/v1/traces")
        };
        let url = Url::parse(&whole).map_err(|_| wrong())?;
        // Without a host the path would be taken for one.
        let named = ["http://", "https://"].iter().any(|scheme| base.starts_with(scheme));
        if !named || url.host().is_none() {
            return Err(wrong());
        }
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        for pair in headers.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            // The value is the secret: it is not shown.
            let wrong = || CollectorError::Header(pair.split('=').next().unwrap_or("").to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(decoded(value.trim())).map_err(|_| wrong())?;
            value.set_sensitive(true);
            all.insert(name, value);
        }
        let (service, node) = (service.to_owned(), node.to_owned());
        Ok(Self { url, headers: all, service, node })
    }

    /// What is sent for these requests.
    fn written(&self, trails: &[Box<Trail>]) -> Vec<u8> {
        let spans = trails.iter().flat_map(|trail| spans::spans(trail)).collect();
        let scope = InstrumentationScope {
            name: "optimux".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let attributes = vec![
            KeyValue::new("service.name", self.service.as_str()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", self.node.as_str()),
        ];
        let of_us = ResourceSpans {
            resource: Some(Resource { attributes }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        };
        ExportTraceServiceRequest { resource_spans: vec![of_us] }.encode_to_vec()
    }
}

/// Percent-encoded text as it was meant (the variable is a W3C baggage list).
fn decoded(text: &str) -> Vec<u8> {
    let mut all = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        all.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    all
}

/// The queue's near end. Its last handle ends the sending.
#[derive(Debug, Clone)]
pub struct Exporter {
    to: Sender<Box<Trail>>,
    dropped: IntCounter,
    /// How many wait to be delivered.
    waiting: IntGauge,
}

impl Exporter {
    /// Never waits.
    pub fn take(&self, trail: Box<Trail>) {
        self.waiting.inc();
        if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) = self.to.try_send(trail) {
            self.waiting.dec();
            self.dropped.inc();
        }
    }
}

/// Starts sending, on the runtime that this is called in. The handle ends once all has been sent, or
/// given up, after the last exporter is gone.
///
/// # Errors
/// When the client cannot be built.
pub fn start(
    collector: Collector,
    egress: &Egress,
    metrics: &Metrics,
) -> Result<(Exporter, JoinHandle<()>), reqwest::Error> {
    let client = egress.client()?.timeout(PATIENCE).build()?;
    let dropped = metrics.telemetry_dropped.with_label_values(&["traces"]);
    let (to, from) = channel(WAITING);
    let waiting = metrics.queue_length.with_label_values(&["traces"]);
    let counted = (dropped.clone(), waiting.clone());
    let sending = tokio::spawn(send(client, collector, from, counted));
    Ok((Exporter { to, dropped, waiting }, sending))
}

async fn send(
    client: Client,
    collector: Collector,
    mut from: Receiver<Box<Trail>>,
    (dropped, waiting): (IntCounter, IntGauge),
) {
    let mut batch = Vec::with_capacity(BATCH);
    // Told of once, until it works again.
    let mut told = false;
    while from.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH && !from.is_closed() {
            tokio::time::sleep(GATHERING).await;
            let room = BATCH - batch.len();
            if !from.is_empty() {
                from.recv_many(&mut batch, room).await;
            }
        }
        match deliver(&client, &collector, collector.written(&batch), from.is_closed()).await {
            Ok(()) => told = false,
            Err(why) => {
                dropped.inc_by(batch.len() as u64);
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%why, requests = batch.len(), "traces cannot be delivered");
                }
            }
        }
        waiting.sub(i64::try_from(batch.len()).unwrap_or(0));
        batch.clear();
    }
}

/// Sends a batch, and again where that may help. Nothing is waited for once the process stops.
async fn deliver(
    client: &Client,
    collector: &Collector,
    body: Vec<u8>,
    stopping: bool,
) -> Result<(), String> {
    let body = bytes::Bytes::from(body);
    let mut pauses = PAUSES.iter().take(if stopping { 0 } else { PAUSES.len() });
    loop {
        let request = client.post(collector.url.clone()).headers(collector.headers.clone());
        let (why, may_pass) = match request.body(body.clone()).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status().as_u16();
                (format!("the collector answers {status}"), matches!(status, 429 | 502..=504))
            }
            // Its address may hold a name and a password.
            Err(why) => (why.without_url().to_string(), true),
        };
        match pauses.next().filter(|_| may_pass) {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_base_or_whole_address() {
        for (endpoint, wanted) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://otlp.example/x/v1/traces", "https://otlp.example/x/v1/traces"),
        ] {
            let made = Collector::new(endpoint, "a=b%20c, x-y = z=", "s", "n").unwrap();
            assert_eq!(made.url.as_str(), wanted);
            assert_eq!(
                (&made.headers["a"], &made.headers["x-y"]),
                (&"b c".parse().unwrap(), &"z=".parse().unwrap())
            );
        }
        for bad in ["localhost:4318", "", "ftp://x", "http://"] {
            assert!(Collector::new(bad, "", "s", "n").is_err(), "{bad}");
        }
        let why = Collector::new("http://a", "secret", "s", "n").unwrap_err();
        assert_eq!(why, CollectorError::Header("secret".to_owned()));
        let why = Collector::new("http://a", "key=se\ncret", "s", "n").unwrap_err().to_string();
        assert!(!why.contains("cret"), "{why}");
    }
}
