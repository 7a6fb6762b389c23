//! The body of a streamed answer, which reads the provider as it is read itself: no task, no
//! channel, natural back pressure. Dropping it cancels the provider. Longer than
//! most files: its stages are one machine, and each takes up where the one before ends.

mod rescuing;

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use super::client::WireBody;
use super::closing::Closing;
use super::failover::kind_label;
use super::health::Permit;
use super::passage::{Conversion, Passage};
use super::passing::{Rename, Withheld, count_tokens};
use super::rescue::{Rescue, Rescuing};
use super::scrub::{scrubbed, shortened};
use super::{AttemptLimits, Upstream};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::Pictures;
use crate::ledger::{Delivered, FailedAttempt, Hold, Outcome};
use crate::router::Step;
use crate::shape::Names;
use crate::wire::json_mode::JsonForm;
use crate::wire::vocab::{Dialect, Fault, FaultKind, Protocol};
use crate::wire::{Heading, blame};

/// A provider that keeps its connection open behind its last word is not waited for longer.
const LINGER: Duration = Duration::from_millis(250);
/// Behind the reasons for which all choices ended, the usage and the last word come at once, if they
/// come at all.
const FOLLOW_UP: Duration = Duration::from_secs(5);
/// Behind a reason and a usage, where there is no last word, more of the answer may come: Vertex gives
/// both with every chunk, and most servers hang up at once.
const MORE_MAY_COME: Duration = Duration::from_secs(1);

/// Everything a relay needs to know of its request.
#[derive(Debug)]
pub struct Setup {
    pub upstream: Upstream,
    pub step: Step,
    pub front: Dialect,
    /// What the provider was asked in.
    pub protocol: Protocol,
    /// The provider's bytes are the caller's.
    pub passes: bool,
    pub(super) withheld: Withheld,
    /// The answer has to be held to JSON mode.
    pub json: Option<JsonForm>,
    /// Tools that go by other names there.
    pub names: Rc<Names>,
    pub heading: Heading,
    pub request: RequestId,
    pub limits: AttemptLimits,
    /// Somebody else may have to go on with the answer.
    pub keeps: bool,
}

/// The wait until what was settled is safe, or has to be taken back.
type Safety = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// What a relay has to settle, and what it will say of how the answer came about.
struct Settling {
    hold: Hold,
    attempts: u8,
    tried: Vec<FailedAttempt>,
    first_byte: Timestamp,
    /// Told how it ended.
    ending: Rc<Cell<Option<Outcome>>>,
}

/// Where what comes next is read from.
enum Source {
    Provider(WireBody),
    /// The answer broke off, and somebody is asked to go on with it.
    Rescue(Rescuing),
    /// All was said, or it is given up.
    Nobody,
}

/// What is read, and what it comes to.
struct Reading {
    source: Source,
    passage: Passage,
    last_heard: Instant,
}

/// An answer that has begun: its end settles the hold, once there is one, and is what its deployment is judged
/// by.
struct Begun {
    setup: Setup,
    settling: Option<Settling>,
    /// How the answer ends is reported to its deployment's breaker.
    permit: Option<Permit>,
    /// When the answer began.
    began: Instant,
    /// Who else could go on with it.
    rescue: Option<Box<Rescue>>,
}

/// How far the answer has come, with what it owns there. One that has not begun is no relay yet:
/// [`Relay::open`] reads until it has.
#[expect(
    clippy::large_enum_variant,
    reason = "a relay is boxed, and has begun for nearly all of its life"
)]
enum Stage {
    Begun(Begun),
    /// All of it was counted and settled. The last piece does not leave before that is safe, and whoever was
    /// told how it ended is told otherwise, should it not become so.
    Settled {
        safe: Safety,
        told: Rc<Cell<Option<Outcome>>>,
    },
    Ended,
}

/// The body of an answer that has begun.
pub struct Relay {
    reading: Reading,
    stage: Stage,
    limits: AttemptLimits,
    pulse: Option<Pin<Box<Sleep>>>,
    closing: Closing,
    last_said: Instant,
    failed: bool,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("setup", &self.begun().map(|begun| &begun.setup))
            .finish_non_exhaustive()
    }
}

impl Reading {
    /// Takes in the next piece. `false` at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let Source::Provider(body) = &mut self.source else { return Poll::Ready(Ok(false)) };
        let taken = match ready!(Pin::new(body).poll_frame(cx)) {
            None => self.end().map(|()| false),
            // What comes behind the last word does not matter, nor how it breaks.
            Some(Err(_)) if self.passage.has_ended() || self.passage.may_be_over() => {
                self.end().map(|()| false)
            }
            Some(Err(why)) => {
                let text = format!("the stream broke off: {why}");
                Err(Fault::new(FaultKind::Broken, text))
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    // Behind the last word nothing is waited for, and nothing can go wrong.
                    let had_ended = self.passage.has_ended();
                    if !had_ended {
                        self.last_heard = Instant::now();
                    }
                    match self.passage.take(data) {
                        Err(_) if had_ended && self.passage.has_ended() => {
                            self.end().map(|()| false)
                        }
                        taken => taken.map(|()| true),
                    }
                }
                Err(_) => Ok(true),
            },
        };
        Poll::Ready(taken)
    }

    /// Nothing more is read.
    fn end(&mut self) -> Result<(), Fault> {
        self.source = Source::Nobody;
        self.passage.end()
    }
}

impl Relay {
    /// Reads until the answer has begun. The first of the stream has to come within `patience`, and the
    /// first of the answer itself within `first_token`; what only announces an answer is held for no
    /// longer than a caller can be left without a word.
    ///
    /// # Errors
    /// The fault that came in its place: another provider can still be asked.
    pub async fn open(
        body: WireBody,
        setup: Setup,
        patience: Duration,
        first_token: Duration,
    ) -> Result<Self, Fault> {
        let rename = Rename::of(&setup.step);
        let manner = if !setup.passes {
            Conversion::Translated {
                names: Rc::clone(&setup.names),
                json: setup.json,
                hides_cost: setup.withheld.cost,
            }
        } else if rename.is_some() || setup.withheld.usage || setup.withheld.cost {
            Conversion::Edited { rename, withheld: setup.withheld }
        } else {
            Conversion::Verbatim
        };
        let now = Instant::now();
        let limits = setup.limits;
        let passage = Passage::new(setup.front, setup.protocol, manner, setup.heading.clone());
        let mut reading = Reading { source: Source::Provider(body), passage, last_heard: now };
        if setup.keeps {
            reading.passage.keep();
        }
        let token_until = now.checked_add(first_token);
        let by_then = |until: Instant| token_until.map_or(until, |token| token.min(until));
        let mut until = by_then(now + patience);
        let mut held_until = None;
        while !reading.passage.has_begun() {
            let next = std::future::poll_fn(|cx| reading.poll(cx));
            match tokio::time::timeout_at(until, next).await {
                Ok(Ok(true)) => {
                    let held_until = *held_until.get_or_insert(Instant::now() + limits.keep_alive);
                    until = by_then(held_until.min(Instant::now() + limits.idle));
                }
                // It came to its end, which is to say that it had one.
                Ok(Ok(false)) => break,
                Ok(Err(fault)) => return Err(fault),
                Err(_) if token_until.is_some_and(|until| Instant::now() >= until) => {
                    let text = "the first token did not come in time";
                    return Err(Fault::new(FaultKind::Timeout, text));
                }
                Err(_) if held_until.is_some_and(|until| Instant::now() >= until) => break,
                Err(_) => {
                    return Err(Fault::new(FaultKind::Timeout, "the stream did not begin"));
                }
            }
        }
        let closing = setup.upstream.closing.clone();
        let began = Instant::now();
        let begun = Begun { setup, settling: None, permit: None, began, rescue: None };
        Ok(Self {
            reading,
            stage: Stage::Begun(begun),
            limits,
            pulse: None,
            closing,
            last_said: now,
            failed: false,
        })
    }

    fn begun(&self) -> Option<&Begun> {
        match &self.stage {
            Stage::Begun(begun) => Some(begun),
            Stage::Settled { .. } | Stage::Ended => None,
        }
    }

    fn begun_mut(&mut self) -> Option<&mut Begun> {
        match &mut self.stage {
            Stage::Begun(begun) => Some(begun),
            Stage::Settled { .. } | Stage::Ended => None,
        }
    }

    /// From here on the end of the answer is what its deployment is judged by.
    pub(super) fn report_with(&mut self, permit: Permit) {
        if let Some(begun) = self.begun_mut() {
            begun.permit = Some(permit);
        }
    }

    /// From here on whoever reads the answer, or stops reading it, settles the hold.
    pub fn settle_with(
        &mut self,
        hold: Hold,
        attempts: u8,
        tried: Vec<FailedAttempt>,
        ending: Rc<Cell<Option<Outcome>>>,
    ) {
        let first_byte = Clock::System.now();
        if let Some(begun) = self.begun_mut() {
            begun.settling = Some(Settling { hold, attempts, tried, first_byte, ending });
        }
    }

    /// It cannot go on: say so in the caller's dialect, and stop.
    fn fail(&mut self, fault: Fault) {
        let Stage::Begun(begun) = &mut self.stage else { return self.stop(&fault.into_error()) };
        let setup = &begun.setup;
        // The request itself is gone by now.
        let asked = blame::FaultContext { model: &setup.step.deployment.name, sent: b"" };
        let fault = blame::told_apart(fault, asked);
        let fault = scrubbed(fault, &setup.step.deployment.provider);
        tracing::warn!(
            request = %setup.request,
            provider = %setup.step.deployment.provider.id,
            model = %setup.step.model.id,
            kind = ?fault.kind,
            why = fault.loggable(),
            "stream failed after it began"
        );
        tracing::debug!(request = %setup.request, said = ?shortened(&fault.message), "it said");
        let labels =
            [&*setup.step.deployment.provider.id, &*setup.step.model.label, kind_label(fault.kind)];
        setup.upstream.metrics.broken_streams.with_label_values(&labels).inc();
        if let Some(permit) = begun.permit.take() {
            setup.upstream.health.failed(permit, &fault, None);
        }
        let upstream = setup.upstream.clone();
        if let Err(fault) = self.asks_again(fault, upstream) {
            self.stop(&fault.into_error());
        }
    }

    /// The last that the caller reads is an error.
    fn stop(&mut self, error: &Error) {
        self.failed = true;
        self.reading.source = Source::Nobody;
        self.reading.passage.fail(error);
    }

    fn is_rescued(&self) -> bool {
        matches!(self.reading.source, Source::Rescue(_))
    }

    /// How long the provider may be silent.
    fn patience(&self) -> Duration {
        let idle = self.limits.idle;
        if self.is_rescued() {
            // It has a limit of its own.
            Duration::from_secs(3_600)
        } else if self.reading.passage.has_ended() {
            idle.min(LINGER)
        } else if self.reading.passage.is_complete() {
            idle.min(match (self.reading.passage.usage(), self.reading.passage.may_be_over()) {
                (Some(_), false) => LINGER,
                (Some(_), true) if self.reading.passage.has_begun() => MORE_MAY_COME,
                _ => FOLLOW_UP,
            })
        } else {
            idle
        }
    }

    /// The provider was silent for too long.
    fn give_up(&mut self) {
        if !self.reading.passage.is_complete() {
            let text = format!("silent for {} ms", self.limits.idle.as_millis());
            return self.fail(Fault::new(FaultKind::Timeout, text));
        }
        // It has said all, and has only not hung up.
        if let Err(fault) = self.reading.end() {
            self.fail(fault);
        }
    }

    /// Watches the time while the provider is silent. Ready when there is something to do: a word to
    /// say, or the answer's end.
    fn poll_pulse(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.closing.poll(cx).is_ready() {
            let text = "The gateway is being stopped before the answer has come to its end. Send \
                        the request again.";
            self.stop(&Error::new(Kind::Overloaded, text).coded("gateway_stopping"));
            return Poll::Ready(None);
        }
        loop {
            let given_up = self.reading.last_heard + self.patience();
            let due = self.last_said.max(self.reading.last_heard) + self.limits.keep_alive;
            let next = given_up.min(due);
            let pulse = self.pulse.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            // Most pieces come long before; then the clock is left as it is set.
            if next < pulse.deadline() {
                pulse.as_mut().reset(next);
            }
            ready!(pulse.as_mut().poll(cx));
            let now = Instant::now();
            if now >= given_up {
                self.give_up();
                return Poll::Ready(None);
            }
            let later = if now < due {
                due
            } else if self.reading.passage.is_between_events() {
                self.last_said = now;
                pulse.as_mut().reset(given_up.min(now + self.limits.keep_alive));
                return Poll::Ready(Some(Bytes::from_static(self.reading.passage.keep_alive())));
            } else {
                now + Duration::from_millis(50)
            };
            pulse.as_mut().reset(given_up.min(later));
        }
    }

    /// The next piece for the caller; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.is_rescued() && !self.reading.passage.has_more() {
                if let Some(bytes) = ready!(self.poll_rescue(cx)) {
                    return Poll::Ready(Some(bytes));
                }
                continue;
            }
            if matches!(self.reading.source, Source::Nobody) {
                self.close(if self.failed { Outcome::Failed } else { Outcome::Complete });
                if let Stage::Settled { safe, told } = &mut self.stage {
                    let (safe, told) = (ready!(safe.as_mut().poll(cx)), Rc::clone(told));
                    self.stage = Stage::Ended;
                    if let Err(error) = safe {
                        self.take_back(&error, &told);
                    }
                }
            }
            let piece = match self.reading.source {
                Source::Provider(_) => self.reading.passage.pop_before_the_end(),
                Source::Rescue(_) | Source::Nobody => self.reading.passage.pop(),
            };
            if let Some(bytes) = piece {
                self.last_said = self.reading.last_heard;
                return Poll::Ready(Some(bytes));
            }
            match self.reading.source {
                Source::Provider(_) => {}
                Source::Rescue(_) => continue,
                Source::Nobody => return Poll::Ready(None),
            }
            match self.reading.poll(cx) {
                Poll::Pending => {
                    if let Some(bytes) = ready!(self.poll_pulse(cx)) {
                        return Poll::Ready(Some(bytes));
                    }
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(fault)) => self.fail(fault),
            }
        }
    }

    /// The end of the answer could not be written down: an error stands in its place.
    fn take_back(&mut self, error: &Error, told: &Cell<Option<Outcome>>) {
        while self.reading.passage.pop().is_some() {}
        self.stop(error);
        told.set(Some(Outcome::Failed));
    }

    /// Counts what was used and settles it, once.
    fn close(&mut self, outcome: Outcome) {
        if !matches!(self.stage, Stage::Begun(_)) {
            return;
        }
        let Stage::Begun(begun) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        let Begun { setup, settling, permit, began, rescue: _ } = begun;
        let (provider, model) = (&*setup.step.deployment.provider.id, &*setup.step.model.id);
        let left_out = self.reading.passage.left_out();
        if left_out > 0 {
            tracing::warn!(
                request = %setup.request, provider, model, left_out,
                "events of a stream were not JSON and were left out"
            );
            let labels = [provider, &*setup.step.model.label];
            setup.upstream.metrics.unreadable_events.with_label_values(&labels).inc_by(left_out);
        }
        if outcome == Outcome::Complete
            && let Some(permit) = permit
        {
            setup.upstream.health.succeeded(permit);
        }
        let usage = self.reading.passage.usage();
        count_tokens(&setup.upstream, &setup.step, usage);
        if let Some(usage) = usage.filter(|_| outcome == Outcome::Complete) {
            let seconds = began.elapsed().as_secs_f32();
            // What comes in one piece tells nothing of how fast it was written.
            if seconds > 0.2 && usage.output > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a rate")]
                let rate = usage.output as f32 / seconds;
                setup.upstream.health.wrote(setup.step.deployment.id, rate);
            }
        }
        let Some(Settling { hold, attempts, tried, first_byte, ending }) = settling else { return };
        ending.set(Some(outcome));
        let to_the_end = self.reading.passage.is_complete();
        let (tokens, basis) =
            self.reading.passage.transcript().used(usage, to_the_end, hold.prompt_tokens());
        let receipt = hold.settle(Delivered {
            model: &setup.step.model,
            deployment: &setup.step.deployment,
            outcome,
            tokens,
            asides: usage.map(|usage| usage.asides.as_slice()).unwrap_or_default(),
            basis,
            pictures: Pictures::default(),
            attempts,
            tried,
            first_byte,
        });
        self.stage = Stage::Settled { safe: Box::pin(receipt.safe()), told: ending };
    }
}

impl Stream for Relay {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.get_mut().poll_piece(cx)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !matches!(self.reading.source, Source::Nobody)
            && let Some(Begun { setup, .. }) = self.begun()
        {
            tracing::debug!(request = %setup.request, "the caller left");
        }
        self.close(if self.failed { Outcome::Failed } else { Outcome::Left });
    }
}
