//! Every metric's name, in one struct.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, MetricFamily};
use prometheus::{
    Counter, CounterVec, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::process::Process;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;

/// What providers charge, by provider and model.
pub const COST_SERIES: &str = "optimux_cost_usd_total";
/// From a quick answer to the longest that is waited for, in seconds.
const LATENCIES: [f64; 14] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0];
/// From the least that can be seen to what an objective would call broken, in seconds.
const OVERHEADS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.001_5, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];

#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    families: Arc<Vec<Family>>,
    build: IntGaugeVec,
    /// Requests by surface and status class.
    pub requests: IntCounterVec,
    /// What we take of the time to the first byte, beside what providers take.
    pub overhead_seconds: Histogram,
    /// From a request's arrival to the first byte of its answer, by surface, where a provider was
    /// asked.
    pub request_first_byte_seconds: HistogramVec,
    /// The same, to the last byte.
    pub request_seconds: HistogramVec,
    /// Attempts at providers by how they went.
    pub attempts: IntCounterVec,
    /// Seconds from sending an attempt to its first byte.
    pub first_byte_seconds: HistogramVec,
    /// Requests whose answer is under way.
    pub in_flight: IntGauge,
    /// Requests that a limit kept out, by which.
    pub refusals: IntCounterVec,
    /// Whether limits are counted together with other nodes, as configured.
    pub quota_shared: IntGauge,
    /// Settlements that are written down here and not in the store yet.
    pub journal_backlog: IntGauge,
    /// For how long, in seconds, the oldest of them has been waiting.
    pub journal_lag: Gauge,
    /// Tokens by provider, model and kind.
    pub tokens: IntCounterVec,
    /// What providers charge, by provider and model.
    cost: CounterVec,
    /// 1 for each deployment that is asked, 0 while its breaker leaves it alone.
    pub passing: IntGaugeVec,
    /// Streams that broke off after they had begun, by provider, model and fault.
    pub broken_streams: IntCounterVec,
    /// Ended requests that the access log or the traces had no room for.
    pub telemetry_dropped: IntCounterVec,
    pub queue_length: IntGaugeVec,
    of_process: OfProcess,
    /// Members that a model refused, though its facts do not say so.
    pub learned_refusals: IntCounterVec,
    /// Answers that break a schema which their model could not be told whole.
    pub schema_violations: IntCounterVec,
    pub cascades: IntCounterVec,
    pub outcomes: IntCounterVec,
    /// Guardrails that were met, by rule, stage and verdict.
    pub guardrails: IntCounterVec,
    /// Events of streams that were left out, as nobody could read them.
    pub unreadable_events: IntCounterVec,
    /// Streams that were asked of a second deployment too, by the first one's provider.
    pub hedges: IntCounterVec,
    /// Streams that broke off and were gone on with by another deployment.
    pub rescues: IntCounterVec,
    /// What nodes told one another through Redis: `told` by this one, and `heard` of others.
    pub gossip: IntCounterVec,
}

/// What the operating system says of us.
#[derive(Debug, Clone)]
struct OfProcess {
    resident: IntGauge,
    cpu: Counter,
    open_files: IntGauge,
    most_open_files: IntGauge,
    threads: IntGauge,
    started: IntGauge,
}

/// What a metric is called, what it is, and what it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    /// As Prometheus calls it: counter, gauge, histogram.
    pub kind: &'static str,
    pub labels: Vec<String>,
    pub help: String,
}

/// Makes metrics, and remembers what they are.
#[derive(Default)]
struct Registering {
    registry: Registry,
    families: Vec<Family>,
}

impl Registering {
    fn add<C: Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        made: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let made = made?;
        self.families.extend(made.desc().into_iter().map(|one| Family {
            name: one.fq_name.clone(),
            kind,
            labels: one.variable_labels.clone(),
            help: one.help.clone(),
        }));
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.add("counter", IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn amounts(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<CounterVec> {
        self.add("counter", CounterVec::new(Opts::new(name, help), labels))
    }

    fn sum(&mut self, name: &str, help: &str) -> Made<Counter> {
        self.add("counter", Counter::new(name, help))
    }

    fn gauge(&mut self, name: &str, help: &str) -> Made<IntGauge> {
        self.add("gauge", IntGauge::new(name, help))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.add("gauge", IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn amount(&mut self, name: &str, help: &str) -> Made<Gauge> {
        self.add("gauge", Gauge::new(name, help))
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Made<Histogram> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add("histogram", Histogram::with_opts(opts))
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Made<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add("histogram", HistogramVec::new(opts, labels))
    }
}

type Made<C> = prometheus::Result<C>;

/// One deployment's part of them.
#[derive(Debug, Clone)]
pub struct DeploymentMetrics {
    pub answered: IntCounter,
    pub first_byte_seconds: Histogram,
    /// Input, cache read, cache write, output, thought.
    pub tokens: [IntCounter; 5],
}

impl Metrics {
    /// What is counted of a model at a provider.
    #[must_use]
    pub fn of_deployment(&self, provider: &str, model: &str) -> DeploymentMetrics {
        let kinds = ["input", "cache_read", "cache_write", "output", "thought"];
        DeploymentMetrics {
            answered: self.attempts.with_label_values(&[provider, model, "ok"]),
            first_byte_seconds: self.first_byte_seconds.with_label_values(&[provider, model]),
            tokens: kinds.map(|kind| self.tokens.with_label_values(&[provider, model, kind])),
        }
    }

    /// # Errors
    /// When two metrics have one name, which a test would have found.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut all = Registering::default();
        let by_deployment = ["provider", "model"];
        let metrics = Self {
            requests: all.counters(
                "optimux_requests_total",
                "Requests answered, by the part of the surface and the class of the status.",
                &["surface", "status"],
            )?,
            overhead_seconds: all.histogram(
                "optimux_overhead_seconds",
                "The gateway's own part of the time to a first byte: what no provider was waited for.",
                &OVERHEADS,
            )?,
            request_first_byte_seconds: all.histograms(
                "optimux_request_first_byte_seconds",
                "From a request's arrival to its answer's first byte, where a provider was asked.",
                &["surface"],
                &LATENCIES,
            )?,
            request_seconds: all.histograms(
                "optimux_request_seconds",
                "From a request's arrival to its answer's last byte, where a provider was asked.",
                &["surface"],
                &LATENCIES,
            )?,
            in_flight: all.gauge("optimux_in_flight", "Requests under way.")?,
            attempts: all.counters(
                "optimux_attempts_total",
                "Attempts at providers; `outcome` is `ok` or what went wrong.",
                &["provider", "model", "outcome"],
            )?,
            first_byte_seconds: all.histograms(
                "optimux_first_byte_seconds",
                "From sending an attempt to its first byte.",
                &by_deployment,
                &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0],
            )?,
            broken_streams: all.counters(
                "optimux_broken_streams_total",
                "Streams that broke off after they had begun.",
                &["provider", "model", "fault"],
            )?,
            passing: all.gauges(
                "optimux_deployment_passing",
                "1 for a deployment that is asked, 0 while its breaker leaves it alone.",
                &by_deployment,
            )?,
            tokens: all.counters(
                "optimux_tokens_total",
                "Tokens used; `kind` is `input`, `cache_read`, `cache_write`, `output` or `thought`.",
                &["provider", "model", "kind"],
            )?,
            cost: all.amounts(
                COST_SERIES,
                "What providers charge, in US dollars.",
                &by_deployment,
            )?,
            refusals: all.counters(
                "optimux_refusals_total",
                "Requests that a limit kept out, by which.",
                &["limit"],
            )?,
            quota_shared: all.gauge(
                "optimux_quota_shared",
                "1 while limits are counted in Redis, or in the only process; 0 while Redis is away.",
            )?,
            journal_backlog: all
                .gauge("optimux_journal_backlog", "Settlements that are not in the store yet.")?,
            journal_lag: all.amount(
                "optimux_journal_lag_seconds",
                "For how long the oldest of them has been waiting.",
            )?,
            cascades: all.counters(
                "optimux_cascades_total",
                "First answers of cascades, by whether they stood, or why not.",
                &["model", "outcome"],
            )?,
            outcomes: all.counters(
                "optimux_outcomes_total",
                "What answers of `auto` have shown by themselves: `sign` is sound, or what is wrong.",
                &["model", "sign"],
            )?,
            guardrails: all.counters(
                "optimux_guardrails_total",
                "Guardrails that were met; `verdict` is `block`, `mask`, `flag` or `unanswered`.",
                &["rule", "stage", "verdict"],
            )?,
            learned_refusals: all.counters(
                "optimux_learned_refusals_total",
                "Members that a model refused, though its facts do not say so.",
                &["provider", "model", "member"],
            )?,
            schema_violations: all.counters(
                "optimux_schema_violations_total",
                "Answers that break a schema which their model could not be told whole.",
                &by_deployment,
            )?,
            unreadable_events: all.counters(
                "optimux_unreadable_events_total",
                "Events of streams that were left out, as they were not JSON.",
                &by_deployment,
            )?,
            hedges: all.counters(
                "optimux_hedges_total",
                "Streams asked of a second deployment too, by whether that one began first.",
                &["provider", "outcome"],
            )?,
            rescues: all.counters(
                "optimux_rescues_total",
                "Streams that broke off and were gone on with by another deployment.",
                &by_deployment,
            )?,
            gossip: all.counters(
                "optimux_gossip_total",
                "What nodes told one another through Redis: `told` by this one, and `heard` of others.",
                &["way"],
            )?,
            telemetry_dropped: all.counters(
                "optimux_telemetry_dropped_total",
                "Requests that the access log (`access`) or the collector (`traces`) did not get.",
                &["queue"],
            )?,
            queue_length: all.gauges(
                "optimux_queue_length",
                "What waits: lines for the access log (`access`), requests for the collector (`traces`), \
                 settlements for Redis (`redis`), letters of all nodes for the mail server (`mail`).",
                &["queue"],
            )?,
            build: all.gauges("optimux_build_info", "1, under the version that runs.", &["version"])?,
            of_process: OfProcess {
                resident: all.gauge("process_resident_memory_bytes", "Resident memory.")?,
                cpu: all.sum("process_cpu_seconds_total", "Processor time, user and system.")?,
                open_files: all.gauge("process_open_fds", "Open file descriptors.")?,
                most_open_files: all.gauge("process_max_fds", "Most that may be open.")?,
                threads: all.gauge("process_threads", "Threads.")?,
                started: all
                    .gauge("process_start_time_seconds", "When it started, since the epoch.")?,
            },
            registry: all.registry,
            families: Arc::new(all.families),
        };
        metrics.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // Seen from the start: a rate of something that is not there alerts nobody.
        for queue in ["access", "traces"] {
            metrics.telemetry_dropped.with_label_values(&[queue]);
        }
        for queue in ["access", "traces", "redis", "mail"] {
            metrics.queue_length.with_label_values(&[queue]);
        }
        Ok(metrics)
    }

    /// Every metric that there is.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Requests since the start, by the class of their status.
    #[must_use]
    pub fn requests_by_class(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for metric in self.requests.collect().iter().flat_map(MetricFamily::get_metric) {
            let class = metric.get_label().iter().find(|label| label.name() == "status");
            let class = class.map_or("", LabelPair::value).to_owned();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole count, kept as a float"
            )]
            let count = metric.get_counter().get_value() as u64;
            *counts.entry(class).or_default() += count;
        }
        counts
    }

    /// Something was settled.
    pub fn charged(&self, provider: &str, model: &str, cost: Nanos) {
        if cost.0 > 0 {
            #[expect(clippy::cast_precision_loss, reason = "the sum is a float, as all counters")]
            self.cost.with_label_values(&[provider, model]).inc_by(cost.0 as f64 / 1e9);
        }
    }

    /// The deployments that have been asked: provider and model, each once.
    #[must_use]
    pub fn asked_deployments(&self) -> BTreeSet<(String, String)> {
        let families = self.attempts.collect();
        let of = |labels: &[LabelPair], name: &str| {
            let found = labels.iter().find(|label| label.name() == name);
            found.map(|label| label.value().to_owned())
        };
        let all = families.iter().flat_map(MetricFamily::get_metric).filter_map(|metric| {
            let labels = metric.get_label();
            Some((of(labels, "provider")?, of(labels, "model")?))
        });
        all.collect()
    }

    /// Looks at the process anew.
    pub fn see_process(&self, process: Process, started: Timestamp) {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let of = &self.of_process;
        of.resident.set(whole(process.resident_bytes));
        of.cpu.inc_by((process.cpu_seconds - of.cpu.get()).max(0.0));
        of.open_files.set(whole(process.open_files));
        of.most_open_files.set(whole(process.most_open_files));
        of.threads.set(whole(process.threads));
        of.started.set(started.seconds());
    }

    /// In Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        let metrics = Metrics::new().unwrap();
        metrics.in_flight.inc();
        assert!(
            String::from_utf8(metrics.render().unwrap()).unwrap().contains("optimux_in_flight 1")
        );
    }
}
