//! Carrying out a decision: attempts, failover, the relay of what comes back.

mod attempt;
mod breaker;
mod closing;
mod failover;
mod google;
mod health;
mod heard;
mod meters;
mod outgoing;
mod passage;
mod passing;
mod pulse;
mod refusals;
mod relay;
mod scrub;
mod sign;
mod socket;
mod transport;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::base::clock::Dice;
use crate::base::ids::RequestId;
use crate::base::proxy::Proxies;
use crate::base::{Error, Kind};
use crate::catalogue::Timeouts;
use crate::ledger::{Basis, Tokens, Tried as Failed};
use crate::router::{Decision, Step};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trail::Trails;
use crate::wire::Inbound;
use crate::wire::vocab::{Fault, FaultKind, Losses};

pub use closing::{Closing, StreamsEnd};
pub use health::HealthBoard;
pub use meters::Meters;
pub use refusals::Refusals;
pub use relay::Relay;
pub use socket::{Address, Close, Inlet, MESSAGE_BYTES, Message, Outlet, Socket, dial, meter};
pub use transport::{Transport, document};

use attempt::{Tried, Try};
use failover::{Budget, Verdict, judge};
use outgoing::Unsayable;

/// Time and number limits of attempts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connect: Duration,
    /// From sending a request for a stream to its first byte.
    pub first_byte: Duration,
    /// Between two chunks.
    pub idle: Duration,
    /// For an answer that comes whole, if it is less than the deadline.
    pub answer: Duration,
    /// For a request as a whole, up to the first byte that the caller sees.
    pub deadline: Duration,
    pub attempts: u8,
    /// Tries at one deployment, where the fault may pass.
    pub tries_per_deployment: u8,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
    /// A whole answer larger than this is refused.
    pub reply_bytes: usize,
    /// Silence after which a stream to the caller is kept alive.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            answer: Duration::MAX,
            deadline: Duration::from_secs(300),
            attempts: 8,
            tries_per_deployment: 2,
            longest_wait: Duration::from_secs(5),
            reply_bytes: 64 << 20,
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// As they are for one deployment.
    fn at(&self, step: &Step) -> Self {
        let timeouts = step.model.timeouts.over(step.deployment.provider.timeouts);
        Self {
            first_byte: Timeouts::or(timeouts.first_byte, self.first_byte),
            idle: Timeouts::or(timeouts.idle, self.idle),
            answer: Timeouts::or(timeouts.answer, self.answer),
            ..*self
        }
    }
}

/// What an attempt needs beside the request itself.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub transport: Transport,
    pub health: Arc<HealthBoard>,
    pub refusals: Arc<Refusals>,
    pub metrics: Metrics,
    pub meters: Meters,
    /// Told of attempts.
    pub trails: Trails,
    pub limits: Limits,
    pub proxies: Proxies,
    /// Told when streams have to end.
    pub closing: Closing,
}

/// An answer on its way to the caller.
pub struct Answer {
    pub step: Step,
    pub attempts: u8,
    /// Attempts before it that did not answer.
    pub tried: Vec<Failed>,
    pub losses: Losses,
    /// Where the answer breaks a schema that its model could not be told.
    pub schema: Option<String>,
    pub body: AnswerBody,
}

/// Nobody answered.
#[derive(Debug)]
pub struct Unanswered {
    pub error: Error,
    pub attempts: u8,
    pub tried: Vec<Failed>,
}

pub enum AnswerBody {
    /// All of it, and what it took. Where a stream was asked for, these are its events.
    Whole { body: Bytes, tokens: Tokens, basis: Basis },
    /// It reads the provider, and waits to be told whom to settle with.
    Relay(Box<Relay>),
}

/// Tries the decision's steps in order until one answers.
///
/// # Errors
/// The refusal, when the request itself is at fault; else the last fault, once nothing is left to
/// try or the time is up.
pub async fn run(
    upstream: &Upstream,
    decision: &Decision,
    inbound: &Inbound,
    request: &RequestId,
    dice: &mut Dice,
) -> Result<Answer, Unanswered> {
    let mut budget = Budget::new(upstream.limits, Instant::now());
    let mut position = 0;
    let mut last: Option<Fault> = None;
    let mut failed = Vec::new();
    // Nobody could be told all of it: then in other words, if somebody can.
    let mut last_resort = false;
    let mut in_other_words = false;
    // Members whose values the step being tried has refused.
    let mut without: Vec<String> = Vec::new();
    loop {
        let Some(step) = decision.steps.get(position) else {
            // A refusal is an answer to the request as it is; another fault may find somebody else up.
            let open = last.as_ref().is_none_or(|fault| fault.kind != FaultKind::Refused);
            if open && in_other_words && !last_resort {
                (last_resort, position) = (true, 0);
                continue;
            }
            break;
        };
        let now = Instant::now();
        let Some(permit) = upstream.health.permit(step.deployment.id, now) else {
            position += 1;
            continue;
        };
        budget.begin(position);
        // Those that are left alone cannot be asked instead.
        let later = decision.steps.iter().skip(position + 1);
        let others =
            later.filter(|step| upstream.health.is_passing(step.deployment.id, now)).count();
        let this = Try { step, inbound, request, others, last_resort, without: &without };
        let tried = attempt::send(upstream, this, &budget, permit).await;
        let (fault, unwanted) = match tried {
            Tried::Answered { body, losses, schema } => {
                return Ok(Answer {
                    step: step.clone(),
                    attempts: budget.attempts(),
                    tried: failed,
                    losses,
                    schema,
                    body,
                });
            }
            Tried::Failed { fault, unwanted } => (fault, unwanted),
            Tried::Unsayable(Unsayable { error, in_other_words: softer }) => {
                // The step cannot express the request; another may.
                budget.refund();
                position += 1;
                in_other_words |= softer;
                let again = in_other_words && !last_resort;
                if decision.steps.len() == position && last.is_none() && !again {
                    return Err(Unanswered { error, attempts: budget.attempts(), tried: failed });
                }
                continue;
            }
        };
        tracing::warn!(
            %request,
            provider = %step.deployment.provider.id,
            model = %step.model.id,
            attempt = budget.attempts(),
            status = fault.status,
            kind = ?fault.kind,
            why = fault.loggable(),
            "attempt failed"
        );
        tracing::debug!(%request, said = ?shortened(&fault.message), code = ?fault.code, "it said");
        failed.push(Failed {
            provider: step.deployment.provider.id.to_string(),
            model: step.model.id.to_string(),
            fault: attempt::kind_label(fault.kind).into(),
        });
        let time = budget.left(Instant::now());
        if let Some(member) = unwanted
            && budget.attempts() < upstream.limits.attempts
            && !time.is_zero()
        {
            // The same once more, without what it has just said that it does not take.
            without.push(member);
            last = Some(fault.more_telling(last));
            continue;
        }
        let verdict = judge(&fault, others, &budget, Instant::now(), dice);
        match verdict {
            Verdict::Again { after } => tokio::time::sleep(after).await,
            Verdict::Next => {
                position += 1;
                without.clear();
            }
            Verdict::GiveUp => {
                last = Some(fault.more_telling(last));
                break;
            }
        }
        last = Some(fault.more_telling(last));
    }
    // The shortest wait of those that are left alone.
    let now = Instant::now();
    let waits = decision.steps.iter().map(|step| upstream.health.wait(step.deployment.id, now));
    let wait = waits.filter(|wait| !wait.is_zero()).min();
    let error = match last {
        // Somebody who has the model may answer later.
        Some(fault) if fault.kind != FaultKind::ModelGone || wait.is_none() => {
            let soonest = fault.wait.into_iter().chain(wait).min();
            let shortest = soonest.filter(|_| fault.counts_against_health());
            fault.into_error().after(shortest)
        }
        _ => Error::new(Kind::Overloaded, "The model is temporarily unavailable.")
            .coded("model_unavailable")
            .after(wait),
    };
    Err(Unanswered { error, attempts: budget.attempts(), tried: failed })
}

/// As much of a provider's words as goes into a log.
fn shortened(words: &str) -> String {
    words.chars().take(300).collect()
}
