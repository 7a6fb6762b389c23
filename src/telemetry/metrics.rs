//! Every metric's name, in one struct.

use std::collections::BTreeMap;

use prometheus::core::Collector as _;
use prometheus::proto::{LabelPair, MetricFamily};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Requests by surface and status class.
    pub requests: IntCounterVec,
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
    /// Tokens by provider, model and kind.
    pub tokens: IntCounterVec,
    /// Members that a model refused, though its facts do not say so.
    pub learned_refusals: IntCounterVec,
    /// Answers that break a schema which their model could not be told whole.
    pub schema_violations: IntCounterVec,
    pub cascades: IntCounterVec,
    /// Events of streams that were left out, as nobody could read them.
    pub unreadable_events: IntCounterVec,
    /// Streams that were asked of a second deployment too, by the first one's provider.
    pub hedges: IntCounterVec,
    /// Streams that broke off and were gone on with by another deployment.
    pub rescues: IntCounterVec,
}

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
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let requests =
            counter("optimux_requests_total", "Requests answered.", &["surface", "status"])?;
        let attempts = counter(
            "optimux_attempts_total",
            "Attempts at providers.",
            &["provider", "model", "outcome"],
        )?;
        let learned_refusals = counter(
            "optimux_learned_refusals_total",
            "Members that a model refused, though its facts do not say so.",
            &["provider", "model", "member"],
        )?;
        let schema_violations = counter(
            "optimux_schema_violations_total",
            "Answers that break a schema which their model could not be told whole.",
            &["provider", "model"],
        )?;
        let cascades = counter(
            "optimux_cascades_total",
            "First answers of cascades, by whether they stood, or why not.",
            &["model", "outcome"],
        )?;
        let unreadable_events = counter(
            "optimux_unreadable_events_total",
            "Events of streams that were left out, as they were not JSON.",
            &["provider", "model"],
        )?;
        let hedges = counter(
            "optimux_hedges_total",
            "Streams asked of a second deployment too, by whether that one began first.",
            &["provider", "outcome"],
        )?;
        let rescues = counter(
            "optimux_rescues_total",
            "Streams that broke off and were gone on with by another deployment.",
            &["provider", "model"],
        )?;
        let tokens =
            counter("optimux_tokens_total", "Tokens used.", &["provider", "model", "kind"])?;
        let first_byte_seconds = HistogramVec::new(
            HistogramOpts::new("optimux_first_byte_seconds", "Time to a provider's first byte.")
                .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            &["provider", "model"],
        )?;
        registry.register(Box::new(first_byte_seconds.clone()))?;
        let in_flight = IntGauge::new("optimux_in_flight", "Requests under way.")?;
        registry.register(Box::new(in_flight.clone()))?;
        let refusals =
            counter("optimux_refusals_total", "Requests that a limit kept out.", &["limit"])?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let quota_shared = gauge(
            "optimux_quota_shared",
            "1 while limits are counted in Redis, or in the only process; 0 while Redis is away.",
        )?;
        let journal_backlog =
            gauge("optimux_journal_backlog", "Settlements not in the store yet.")?;
        Ok(Self {
            registry,
            requests,
            attempts,
            first_byte_seconds,
            in_flight,
            refusals,
            quota_shared,
            journal_backlog,
            tokens,
            learned_refusals,
            schema_violations,
            cascades,
            unreadable_events,
            hedges,
            rescues,
        })
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
