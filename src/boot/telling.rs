//! What is told of requests: the access log, and traces for a collector.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::failure::Failure;
use super::sources::secret_variable;
use crate::base::egress::Egress;
use crate::base::ids::AuditId;
use crate::config::{Config, ConfigFault};
use crate::telemetry::access::{self, AccessLog, LineFormat};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{self, Collector, CollectorError};
use crate::telemetry::traceparent::Sampling;
use crate::telemetry::trails::Trails;

/// How long the last traces may take to be delivered.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// The variables that OpenTelemetry has for what a setting does not say.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Where requests are told of. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    teller: AccessLog,
    /// The share of requests that is traced, where any is.
    ratio: Option<f64>,
    ends: Arc<Mutex<Option<Ends>>>,
}

/// What has to be waited for at the end.
#[derive(Debug)]
struct Ends {
    access: access::AccessThread,
    traces: Option<JoinHandle<()>>,
}

/// The collector that is configured, if one is.
pub(super) fn collector(config: &Config, faults: &mut Vec<ConfigFault>) -> Option<Collector> {
    use secrecy::ExposeSecret as _;
    let telemetry = &config.telemetry;
    if !(0.0..=1.0).contains(&telemetry.sample_ratio) {
        let why = "has to be a share from 0 to 1";
        faults.push(ConfigFault::new("telemetry.sample_ratio", why));
    }
    let set = telemetry.otlp_endpoint.as_ref().map(|one| ("telemetry.otlp_endpoint", one.clone()));
    let variable = || Some((ENDPOINT, secret_variable(ENDPOINT)?.expose_secret().to_owned()));
    let (at, endpoint) = set.or_else(variable).filter(|(_, endpoint)| !endpoint.is_empty())?;
    let headers = secret_variable(HEADERS);
    let headers = headers.as_ref().map_or("", |headers| headers.expose_secret());
    let node = AuditId::fresh().as_str().replace("audit_", "node_");
    match Collector::new(&endpoint, headers, &telemetry.service_name, &node) {
        Ok(collector) => Some(collector),
        Err(why) => {
            let at = if matches!(why, CollectorError::Header(_)) { HEADERS } else { at };
            faults.push(ConfigFault::new(at, why.to_string()));
            None
        }
    }
}

impl Telling {
    /// Starts what tells.
    ///
    /// # Errors
    /// When there is no thread or no client to be had.
    pub fn start(
        config: &Config,
        collector: Option<Collector>,
        egress: &Egress,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let ratio = collector.as_ref().map(|_| config.telemetry.sample_ratio);
        let started = collector.map(|one| otlp::start(one, egress, metrics)).transpose()?;
        let (exporter, traces) = started.unzip();
        let form = if config.log.json { LineFormat::Json } else { LineFormat::Text };
        let lines = config.log.access.then_some(form);
        let (teller, access) = access::start(metrics, lines, exporter)?;
        Ok(Self { teller, ratio, ends: Arc::new(Mutex::new(Some(Ends { access, traces }))) })
    }

    /// A worker's requests.
    ///
    /// # Errors
    /// When the operating system has no chance to give.
    pub fn trails(&self, metrics: &Metrics) -> Result<Trails, Failure> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let sampling = self.ratio.map(|ratio| Sampling::new(ratio, u64::from_le_bytes(seed)));
        Ok(Trails::new(metrics.clone(), self.teller.clone(), sampling))
    }

    /// Waits until all that ended has been told.
    pub async fn finish(self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ends { access, traces }) = ends else { return };
        // Its thread ends at once; an exporter that is gone ends the sending.
        let _panicked = tokio::task::spawn_blocking(move || access.finish()).await;
        if let Some(traces) = traces
            && tokio::time::timeout(LAST_TRACES, traces).await.is_err()
        {
            tracing::warn!("the last traces could not be delivered in time");
        }
    }
}
