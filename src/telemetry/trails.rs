//! What becomes known of the requests that are under way on a worker, gathered by their ids for
//! whoever tells of them at their end: metrics, the access log, traces.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use super::access::AccessLog;
use super::metrics::Metrics;
use super::traceparent::{Context, Sampling, SpanId};
use super::trail::{Attempt, Bill, RequestOrigin, ResponseSummary, Trail};
use crate::base::ids::{AccountId, KeyId, RequestId};
use crate::base::money::Nanos;

/// More of the guardrails that a request met is not told.
const GUARDRAILS_BYTES: usize = 1_000;

/// How an attempt began; given back when it is over.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    at: Instant,
    span: Option<(Context, SpanId)>,
}

impl Beginning {
    /// What the provider is told of the trace, if this request is traced.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.span.map(|(context, span)| context.written(span))
    }
}

/// A worker's requests under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trails(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Ids are made here: nobody can choose them to collide, so a fast hash will do.
    open: RefCell<HashMap<RequestId, Box<Trail>, FixedState>>,
    metrics: Metrics,
    teller: AccessLog,
    sampling: RefCell<Option<Sampling>>,
}

impl Trails {
    /// `sampling` says which requests are traced; none where it is not given.
    #[must_use]
    pub fn new(metrics: Metrics, teller: AccessLog, sampling: Option<Sampling>) -> Self {
        let sampling = RefCell::new(sampling);
        Self(Rc::new(Inner { open: RefCell::default(), metrics, teller, sampling }))
    }

    /// Some requests are traced.
    #[must_use]
    pub fn traces(&self) -> bool {
        self.0.sampling.borrow().is_some()
    }

    /// A request has come. `traceparent` is what its caller says of the trace that it belongs to.
    pub fn begin(&self, id: &RequestId, arrived: RequestOrigin, traceparent: Option<&str>) {
        let context =
            self.0.sampling.borrow_mut().as_mut().and_then(|all| all.context(traceparent));
        let mut trail = Trail::begun(id, context);
        trail.arrived = Some(arrived);
        self.0.metrics.in_flight.inc();
        self.0.open.borrow_mut().insert(id.clone(), Box::new(trail));
    }

    fn with<T>(&self, id: &RequestId, act: impl FnOnce(&mut Trail) -> T) -> Option<T> {
        self.0.open.borrow_mut().get_mut(id).map(|trail| act(trail))
    }

    /// Who it is that asks.
    pub fn asked_by(&self, id: &RequestId, account: &AccountId, key: &KeyId) {
        self.with(id, |trail| trail.caller = Some((account.clone(), key.clone())));
    }

    /// Its body has been read.
    pub fn heard(&self, id: &RequestId) {
        self.with(id, |trail| trail.heard = Some(Instant::now()));
    }

    /// A deployment is about to be asked.
    #[must_use]
    pub fn attempt(&self, id: &RequestId) -> Beginning {
        let context = self.with(id, |trail| trail.context).flatten();
        let mut sampling = self.0.sampling.borrow_mut();
        let span = context.zip(sampling.as_mut()).map(|(one, all)| (one, all.span()));
        Beginning { at: Instant::now(), span }
    }

    /// How that went.
    pub fn attempted(
        &self,
        id: &RequestId,
        beginning: Beginning,
        provider: &Arc<str>,
        (model, deployment): (&str, &str),
        fault: Option<&'static str>,
    ) {
        self.with(id, |trail| {
            trail.attempts.push(Attempt {
                provider: Arc::clone(provider),
                model: model.to_owned(),
                deployment: deployment.to_owned(),
                began: beginning.at,
                over: Instant::now(),
                fault,
                span: beginning.span.map(|(_, span)| span),
            });
        });
    }

    /// A guardrail was met.
    pub fn guarded(&self, id: &RequestId, stage: &'static str, rule: &str, verdict: &'static str) {
        self.0.metrics.guardrails.with_label_values(&[rule, stage, verdict]).inc();
        self.with(id, |trail| {
            let all = trail.guardrails.get_or_insert_default();
            if all.len() < GUARDRAILS_BYTES {
                if !all.is_empty() {
                    all.push_str(", ");
                }
                all.extend([stage, " ", rule, "=", verdict]);
            }
        });
    }

    /// A moderation model has found something.
    pub fn moderated(&self, id: &RequestId, rule: &str, categories: &[String]) {
        if categories.is_empty() {
            return;
        }
        self.with(id, |trail| {
            let all = trail.moderation.get_or_insert_default();
            if all.len() < GUARDRAILS_BYTES {
                if !all.is_empty() {
                    all.push_str(", ");
                }
                all.extend([rule, ": ", &categories.join(" ")]);
            }
        });
    }

    /// What it came to, and who pays. Work that is of no request under way is told of at once.
    pub fn settled(&self, id: &RequestId, caller: (&AccountId, &KeyId), bill: Bill) {
        let mut bill = Some(bill);
        self.with(id, |trail| {
            if trail.bill.is_none() {
                trail.bill = bill.take();
                trail.caller = Some((caller.0.clone(), caller.1.clone()));
            }
        });
        let Some(bill) = bill else { return };
        let context = self.0.sampling.borrow_mut().as_mut().and_then(|all| all.context(None));
        let mut alone = Trail::begun(id, context);
        let lasted = u64::try_from(bill.settled_ms - bill.began_ms).unwrap_or(0);
        let lasted = Duration::from_millis(lasted);
        alone.wall = alone.wall.checked_sub(lasted).unwrap_or(alone.wall);
        alone.began = alone.began.checked_sub(lasted).unwrap_or(alone.began);
        alone.caller = Some((caller.0.clone(), caller.1.clone()));
        alone.bill = Some(bill);
        self.0.teller.tell(Box::new(alone));
    }

    /// What a provider charges for it.
    pub fn charged(&self, provider: &str, model: &str, cost: Nanos) {
        self.0.metrics.charged(provider, model, cost);
    }

    /// What was settled has been taken back, as it could not be written down in time.
    pub fn withdrawn(&self, id: &RequestId) {
        self.with(id, |trail| {
            if let Some(bill) = &mut trail.bill {
                bill.outcome = "withdrawn";
            }
        });
    }

    /// The end of its answer.
    pub fn end(&self, id: &RequestId, left: ResponseSummary) {
        let Some(mut trail) = self.0.open.borrow_mut().remove(id) else { return };
        let metrics = &self.0.metrics;
        metrics.in_flight.dec();
        trail.ended = Instant::now();
        let surface = trail.arrived.map_or("other", |arrived| arrived.surface);
        metrics.requests.with_label_values(&[surface, class(left.status)]).inc();
        trail.left = Some(left);
        if let Some(overhead) = trail.overhead() {
            metrics.overhead_seconds.observe(overhead.as_secs_f64());
            let lasted = trail.lasted().as_secs_f64();
            metrics.request_seconds.with_label_values(&[surface]).observe(lasted);
            if let Some(first) = trail.first_byte() {
                let first = first.as_secs_f64();
                metrics.request_first_byte_seconds.with_label_values(&[surface]).observe(first);
            }
        }
        self.0.teller.tell(trail);
    }
}

fn class(status: u16) -> &'static str {
    match status {
        100..400 => "2xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_leaves_nothing_behind() {
        let metrics = Metrics::new().unwrap();
        let trails = Trails::new(metrics.clone(), AccessLog::silent(&metrics), None);
        let id = RequestId::fresh();
        trails.begin(&id, RequestOrigin { method: "GET", surface: "models" }, None);
        assert_eq!(metrics.in_flight.get(), 1);
        let left =
            ResponseSummary { status: 200, first_byte: None, whole: true, bytes: 0, dropped: None };
        trails.end(&id, left.clone());
        trails.end(&id, left);
        assert_eq!(metrics.in_flight.get(), 0);
        assert!(trails.0.open.borrow().is_empty());
        assert_eq!(metrics.requests.with_label_values(&["models", "2xx"]).get(), 1);
    }
}
