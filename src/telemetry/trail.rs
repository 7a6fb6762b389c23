//! What becomes known of the requests that are under way on a worker, gathered by their ids for
//! whoever tells of them at their end: metrics, the access log, traces.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use foldhash::fast::FixedState;

use super::access::Teller;
use super::metrics::Metrics;
use super::traceparent::{Context, Sampling, SpanId};
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

/// One try at one deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub provider: Arc<str>,
    /// The catalogue's name, and the provider's.
    pub model: String,
    pub deployment: String,
    pub began: Instant,
    /// When the answer, or the first of its stream, or the fault had come.
    pub over: Instant,
    /// What went wrong, as the journal calls it.
    pub fault: Option<&'static str>,
    pub span: Option<SpanId>,
}

/// What a line of the ledger says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub surface: Cow<'static, str>,
    pub asked: String,
    /// Who answered, if anybody did.
    pub provider: Option<String>,
    pub model: Option<String>,
    pub streamed: bool,
    pub outcome: &'static str,
    pub tokens: Spent,
    pub cost: Nanos,
    pub attempts: u8,
    /// How `auto` chose, in one line, where traces are wanted.
    pub decision: Option<String>,
    /// Wall clock, in milliseconds since the epoch: when it came and when it was settled.
    pub began_ms: i64,
    pub settled_ms: i64,
}

/// Tokens by kind, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub thought: u64,
}

impl Spent {
    /// All that was read.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// All that was written.
    #[must_use]
    pub fn completion(&self) -> u64 {
        self.output.saturating_add(self.thought)
    }
}

/// How a request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    pub method: &'static str,
    /// The part of the surface that was asked: one of a fixed list, never an address.
    pub surface: &'static str,
}

/// How its answer left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// 499 where the caller was gone before there was one.
    pub status: u16,
    /// When its first byte was handed on.
    pub first_byte: Option<Instant>,
    /// All of it was handed on.
    pub whole: bool,
    pub bytes: u64,
    /// Members that the provider could not be told.
    pub dropped: Option<String>,
}

/// All that is known of one request.
#[derive(Debug)]
pub struct Trail {
    pub id: RequestId,
    pub wall: SystemTime,
    pub began: Instant,
    /// `None` for work that no request of its own asked for: a later turn of an agent, an answer in
    /// the background.
    pub arrived: Option<Arrived>,
    pub caller: Option<(AccountId, KeyId)>,
    pub attempts: Vec<Attempt>,
    pub bill: Option<Bill>,
    /// Guardrails that were met, as `input cards=mask`.
    pub guardrails: Option<String>,
    /// What moderation models have found, as `policy: hate violence`.
    pub moderation: Option<String>,
    pub left: Option<Left>,
    pub ended: Instant,
    /// Where it stands in a trace, if it is traced.
    pub context: Option<Context>,
    /// When its body had been read.
    heard: Option<Instant>,
}

impl Trail {
    /// What we took of the time up to the first byte: from the body's last byte to the first
    /// attempt, and from the end of the last attempt on. `None` where nobody was asked.
    #[must_use]
    pub fn overhead(&self) -> Option<Duration> {
        let first = self.attempts.iter().map(|one| one.began).min()?;
        let last = self.attempts.iter().map(|one| one.over).max()?;
        let out = self.left.as_ref()?.first_byte?;
        let before = first.saturating_duration_since(self.heard.unwrap_or(self.began));
        Some(before + out.saturating_duration_since(last))
    }

    #[must_use]
    pub fn first_byte(&self) -> Option<Duration> {
        let out = self.left.as_ref()?.first_byte?;
        Some(out.saturating_duration_since(self.began))
    }

    /// From arrival to the end.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.ended.saturating_duration_since(self.began)
    }

    /// The wall clock at a moment of this request.
    #[must_use]
    pub fn wall_at(&self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.began) {
            Some(after) => self.wall + after,
            None => self.wall - self.began.saturating_duration_since(at),
        }
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
    teller: Teller,
    sampling: RefCell<Option<Sampling>>,
}

impl Trails {
    /// `sampling` says which requests are traced; none where it is not given.
    #[must_use]
    pub fn new(metrics: Metrics, teller: Teller, sampling: Option<Sampling>) -> Self {
        let sampling = RefCell::new(sampling);
        Self(Rc::new(Inner { open: RefCell::default(), metrics, teller, sampling }))
    }

    /// Some requests are traced.
    #[must_use]
    pub fn traces(&self) -> bool {
        self.0.sampling.borrow().is_some()
    }

    /// A request has come. `traceparent` is what its caller says of the trace that it belongs to.
    pub fn begin(&self, id: &RequestId, arrived: Arrived, traceparent: Option<&str>) {
        let context =
            self.0.sampling.borrow_mut().as_mut().and_then(|all| all.context(traceparent));
        let mut trail = trail(id, context);
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
        let mut alone = trail(id, context);
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
    pub fn end(&self, id: &RequestId, left: Left) {
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

fn trail(id: &RequestId, context: Option<Context>) -> Trail {
    let began = Instant::now();
    Trail {
        id: id.clone(),
        wall: SystemTime::now(),
        began,
        arrived: None,
        caller: None,
        attempts: Vec::new(),
        bill: None,
        guardrails: None,
        moderation: None,
        left: None,
        ended: began,
        context,
        heard: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request that was answered at the second attempt.
    pub fn answered() -> Trail {
        let mut one = trail(&RequestId::stored("req_a"), None);
        let at = |ms| one.began + Duration::from_millis(ms);
        let attempt = |provider: &str, from, to, fault| Attempt {
            provider: provider.into(),
            model: "m".to_owned(),
            deployment: "m-1".to_owned(),
            began: at(from),
            over: at(to),
            fault,
            span: None,
        };
        one.attempts = vec![attempt("p0", 3, 10, Some("broken")), attempt("p1", 210, 300, None)];
        one.heard = Some(at(1));
        one.left = Some(Left {
            status: 200,
            first_byte: Some(at(304)),
            whole: true,
            bytes: 9,
            dropped: None,
        });
        one.ended = at(310);
        one.arrived = Some(Arrived { method: "POST", surface: "openai-chat" });
        one.caller = Some((AccountId::stored("acct_a"), KeyId::stored("key_a")));
        one.bill = Some(Bill {
            surface: "openai-chat".into(),
            asked: "auto\u{1b}[2J\n".to_owned(),
            provider: Some("p1".to_owned()),
            model: Some("m".to_owned()),
            streamed: false,
            outcome: "complete",
            tokens: Spent { input: 3, cache_read: 4, output: 2, thought: 1, ..Spent::default() },
            cost: Nanos(12_345),
            attempts: 2,
            decision: None,
            began_ms: 0,
            settled_ms: 300,
        });
        one
    }

    #[test]
    fn our_own_time_is_what_no_provider_was_waited_for() {
        // 2 ms before the first attempt, 4 behind the last; the pause between them is nobody's.
        assert_eq!(answered().overhead(), Some(Duration::from_millis(6)));
        assert_eq!(answered().first_byte(), Some(Duration::from_millis(304)));
    }

    #[test]
    fn a_request_leaves_nothing_behind() {
        let metrics = Metrics::new().unwrap();
        let trails = Trails::new(metrics.clone(), Teller::silent(&metrics), None);
        let id = RequestId::fresh();
        trails.begin(&id, Arrived { method: "GET", surface: "models" }, None);
        assert_eq!(metrics.in_flight.get(), 1);
        let left = Left { status: 200, first_byte: None, whole: true, bytes: 0, dropped: None };
        trails.end(&id, left.clone());
        trails.end(&id, left);
        assert_eq!(metrics.in_flight.get(), 0);
        assert!(trails.0.open.borrow().is_empty());
        assert_eq!(metrics.requests.with_label_values(&["models", "2xx"]).get(), 1);
    }
}
