//! A request on its way through the steps of its decision, until one answers.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{self, AttemptResult, Try};
use super::failover::{
    AttemptBudget, Course, FailoverVerdict, NextStep, Others, judge, kind_label,
};
use super::health::Permit;
use super::hedge::{RaceOutcome, race};
use super::outgoing::{Unsayable, thinks};
use super::rescue::Rescue;
use super::scrub::shortened;
use super::{AnswerBody, AttemptLimits, NoAnswer, Upstream, UpstreamAnswer};
use crate::base::clock::{Clock, Dice};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::Pictures;
use crate::ledger::FailedAttempt;
use crate::router::{Decision, Step};
use crate::wire::Inbound;
use crate::wire::vocab::{Fault, FaultKind, Usage};

/// Who asks to be left alone for longer is not waited for: its caller is told at once.
const LONGEST_REST: Duration = Duration::from_secs(15);

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
) -> Result<UpstreamAnswer, NoAnswer> {
    if inbound.head.stream {
        upstream.hedges.earn();
    }
    let mut run = Run::new(upstream, decision, inbound, request);
    // The step that is to be tried once more.
    let mut again: Option<usize> = None;
    loop {
        let at = match again.take() {
            Some(at) => at,
            None => match run.next().await {
                Some(at) => at,
                None => return Err(run.unanswered()),
            },
        };
        let Some(step) = decision.steps.get(at) else { return Err(run.unanswered()) };
        // Another may have taken it meanwhile.
        let now = Instant::now();
        let Some(permit) = upstream.health.permit(step.deployment.id, now) else {
            continue;
        };
        run.attempt = now;
        let (others, beside) = run.others(at, step);
        run.budget.begin(at);
        let went = run.try_at(step, permit, others, beside).await;
        let (fault, unwanted, another_key) = match went {
            Went::Answered(answer) => return Ok(*answer),
            Went::Unsayable(Unsayable { error, in_other_words }) => {
                // The step cannot express the request; another may.
                run.budget.refund();
                run.course.leave(at, None);
                run.in_other_words |= in_other_words;
                run.unsayable = Some(error);
                continue;
            }
            Went::Failed { fault, unwanted, another_key } => (fault, unwanted, another_key),
        };
        run.note(step, &fault);
        let now = Instant::now();
        if another_key && run.budget.lasts(now) {
            run.budget.anew();
            run.last = Some(fault.more_telling(run.last.take()));
            again = Some(at);
            continue;
        }
        if let Some(member) = unwanted
            && run.budget.lasts(now)
        {
            // The same once more, without what it has just said that it does not take.
            run.without.push(member);
            run.last = Some(fault.more_telling(run.last.take()));
            again = Some(at);
            continue;
        }
        let tries = run.limits(step).tries_per_deployment;
        let verdict = judge(&fault, others, (&run.budget, tries), now, dice);
        match verdict {
            FailoverVerdict::Again { after } => {
                tokio::time::sleep(after).await;
                again = Some(at);
            }
            FailoverVerdict::Next | FailoverVerdict::GiveUp => {
                run.course.leave(at, Some(&fault));
                run.without.clear();
            }
        }
        // Those that rest may still be waited for; what is refused is refused by all.
        let over = verdict == FailoverVerdict::GiveUp
            && (fault.kind == FaultKind::Refused || !run.budget.lasts(now));
        run.last = Some(fault.more_telling(run.last.take()));
        if over {
            return Err(run.unanswered());
        }
    }
}

/// How an attempt went, or two side by side.
enum Went {
    Answered(Box<UpstreamAnswer>),
    Failed { fault: Fault, unwanted: Option<String>, another_key: bool },
    Unsayable(Unsayable),
}

struct Run<'a> {
    upstream: &'a Upstream,
    decision: &'a Decision,
    inbound: &'a Inbound,
    request: &'a RequestId,
    /// Those of the request as a whole are those of its first step.
    limits: AttemptLimits,
    budget: AttemptBudget,
    /// When the first attempt began, at the earliest, and the one that is under way.
    began: Instant,
    attempt: Instant,
    course: Course,
    /// How long it has waited for deployments that rest.
    queued: Duration,
    failed: Vec<FailedAttempt>,
    last: Option<Fault>,
    unsayable: Option<Error>,
    /// Nobody could be told all of it: then in other words, if somebody can.
    in_other_words: bool,
    last_resort: bool,
    /// Members whose values the step being tried has refused.
    without: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(
        upstream: &'a Upstream,
        decision: &'a Decision,
        inbound: &'a Inbound,
        request: &'a RequestId,
    ) -> Self {
        let now = Instant::now();
        let mut run = Self {
            upstream,
            decision,
            inbound,
            request,
            limits: upstream.limits,
            budget: AttemptBudget::new(upstream.limits, now),
            began: now,
            attempt: now,
            course: Course::default(),
            queued: Duration::ZERO,
            failed: Vec::new(),
            last: None,
            unsayable: None,
            in_other_words: false,
            last_resort: false,
            without: Vec::new(),
        };
        if let Some(first) = decision.steps.first() {
            run.limits = run.limits(first);
            run.budget = AttemptBudget::new(run.limits, now);
        }
        run
    }

    fn limits(&self, step: &Step) -> AttemptLimits {
        self.upstream.limits.at(step, &self.decision.within, thinks(step, self.inbound))
    }

    /// How long a step's deployment rests.
    fn rests(&self, at: usize, now: Instant) -> Duration {
        let step = self.decision.steps.get(at);
        step.map_or(Duration::ZERO, |step| self.upstream.health.wait(step.deployment.id, now))
    }

    /// The step to try next. Where all that are left rest, the soonest is waited for.
    async fn next(&mut self) -> Option<usize> {
        loop {
            let now = Instant::now();
            if !self.budget.lasts(now) {
                return None;
            }
            let steps = self.decision.steps.len();
            let turn = self.course.next(steps, |at| self.rests(at, now));
            if let NextStep::Try(at) = turn {
                return Some(at);
            }
            // A refusal is an answer to the request as it is; another fault may find somebody else up.
            let open = self.last.as_ref().is_none_or(|fault| fault.kind != FaultKind::Refused);
            if open && self.in_other_words && !self.last_resort {
                self.last_resort = true;
                self.course.start_over();
                continue;
            }
            let patience = self.limits.queue.saturating_sub(self.queued).min(self.budget.left(now));
            match turn {
                NextStep::Wait(wait) if wait <= LONGEST_REST && wait < patience => {
                    self.upstream.health.rested(wait).await;
                    self.queued += now.elapsed();
                    self.course.waited();
                }
                _ => return None,
            }
        }
    }

    /// Who could be asked instead of a step, and who first.
    fn others(&self, at: usize, step: &Step) -> (Others, Option<&'a Step>) {
        let now = Instant::now();
        let (mut others, mut first) = (Others::default(), None);
        for (place, other) in self.decision.steps.iter().enumerate() {
            let same = other.deployment.id == step.deployment.id;
            if place == at
                || same
                || self.course.has_left(place)
                || !self.rests(place, now).is_zero()
            {
                continue;
            }
            others.up += 1;
            others.as_good |= self.decision.is_auto() || Arc::ptr_eq(&other.model, &step.model);
            first = first.or(Some(other));
        }
        (others, first)
    }

    /// What a step is asked, without those members of the request.
    fn ask<'t>(&'t self, step: &'t Step, others: usize, without: &'t [String]) -> Try<'t> {
        Try {
            step,
            inbound: self.inbound,
            request: self.request,
            others,
            last_resort: self.last_resort,
            without,
            limits: self.limits(step),
            until: self.budget.until(),
        }
    }

    /// Asks a step, and another beside it if the first is slower than it nearly ever is.
    async fn try_at(
        &mut self,
        step: &'a Step,
        permit: Permit,
        others: Others,
        beside: Option<&'a Step>,
    ) -> Went {
        let plain = self.inbound.head.stream && self.without.is_empty() && !self.last_resort;
        if plain
            && let Some(beside) = beside
            && let thinks = thinks(step, self.inbound)
            && let Some(late) = self.upstream.health.late(step.deployment.id, thinks)
        {
            // Boxed: most requests are asked of one, and need no room for two.
            return Box::pin(self.side_by_side((step, permit), beside, others, late)).await;
        }
        let asked = self.ask(step, others.up, &self.without);
        let tried = attempt::send(self.upstream, &asked, permit).await;
        self.went(step, tried)
    }

    async fn side_by_side(
        &mut self,
        (step, permit): (&'a Step, Permit),
        beside: &'a Step,
        others: Others,
        late: Duration,
    ) -> Went {
        let (upstream, began) = (self.upstream, Instant::now());
        let started = Cell::new(false);
        let asked = self.ask(step, others.up, &[]);
        let first = Box::pin(attempt::send(upstream, &asked, permit));
        let asked_beside = self.ask(beside, others.up.saturating_sub(1), &[]);
        let start = || {
            let permit = upstream.health.permit(beside.deployment.id, Instant::now())?;
            started.set(upstream.hedges.spend());
            started.get().then(|| Box::pin(attempt::send(upstream, &asked_beside, permit)))
        };
        let answered = |tried: &AttemptResult| matches!(tried, AttemptResult::Answered { .. });
        let RaceOutcome { first, second } = race(first, late, start, answered).await;
        if !started.get() {
            return self.won(step, first);
        }
        self.budget.begin_beside();
        let second_won = second.as_ref().is_some_and(answered);
        let labels = [&*step.deployment.provider.id, if second_won { "won" } else { "lost" }];
        upstream.metrics.hedges.with_label_values(&labels).inc();
        let (winner, won, loser, lost) =
            if second_won { (beside, second, step, first) } else { (step, first, beside, second) };
        match lost {
            Some(AttemptResult::Failed { fault, another_key, .. }) => {
                self.note(loser, &fault);
                let steps = &self.decision.steps;
                let place = steps.iter().position(|one| std::ptr::eq(one, loser));
                if let Some(at) = place.filter(|_| !another_key) {
                    self.course.leave(at, Some(&fault));
                }
                self.last = Some(fault.more_telling(self.last.take()));
            }
            Some(_) => {}
            None => {
                if second_won {
                    // How long it would have taken is not known; at least so long.
                    let thinks = thinks(step, self.inbound);
                    upstream.health.first_token(step.deployment.id, thinks, began.elapsed());
                }
                self.failed.push(overtaken(loser, self.inbound));
            }
        }
        self.won(winner, won)
    }

    fn won(&mut self, step: &Step, tried: Option<AttemptResult>) -> Went {
        match tried {
            Some(tried) => self.went(step, tried),
            // Cannot be: whoever has not lost has won.
            None => Went::Failed {
                fault: Fault::new(FaultKind::Broken, "nobody answered"),
                unwanted: None,
                another_key: false,
            },
        }
    }

    fn went(&mut self, step: &Step, tried: AttemptResult) -> Went {
        match tried {
            AttemptResult::Answered { mut body, losses, schema } => {
                if let AnswerBody::Relay(relay) = &mut body
                    && self.limits.rescue
                {
                    let Decision { steps, within, rescue_gives, .. } = self.decision;
                    let id = step.deployment.id;
                    relay.rescue_with(Rescue::of(
                        steps.iter(),
                        id,
                        self.inbound,
                        (*within, *rescue_gives),
                    ));
                }
                Went::Answered(Box::new(UpstreamAnswer {
                    step: step.clone(),
                    attempts: self.budget.attempts(),
                    tried: std::mem::take(&mut self.failed),
                    losses,
                    schema,
                    body,
                }))
            }
            AttemptResult::Failed { fault, unwanted, another_key } => {
                Went::Failed { fault, unwanted, another_key }
            }
            AttemptResult::Unsayable(unsayable) => Went::Unsayable(unsayable),
        }
    }

    /// Writes down an attempt that failed.
    fn note(&mut self, step: &Step, fault: &Fault) {
        let request = self.request;
        tracing::warn!(
            %request,
            provider = %step.deployment.provider.id,
            model = %step.model.id,
            attempt = self.budget.attempts(),
            status = fault.status,
            kind = ?fault.kind,
            why = fault.loggable(),
            "an attempt failed"
        );
        tracing::debug!(%request, said = ?shortened(&fault.message), code = ?fault.code, "it said");
        self.failed.push(FailedAttempt {
            provider: step.deployment.provider.id.to_string(),
            model: step.model.id.to_string(),
            fault: kind_label(fault.kind).into(),
            cost: None,
            started_ms: Some(milliseconds(self.attempt.duration_since(self.began))),
            took_ms: Some(milliseconds(self.attempt.elapsed())),
            status: fault.status,
        });
    }

    fn unanswered(self) -> NoAnswer {
        let Self { upstream, decision, last, unsayable, failed, budget, .. } = self;
        // The shortest wait of those that are left alone.
        let now = Instant::now();
        let waits = decision.steps.iter().map(|step| upstream.health.wait(step.deployment.id, now));
        let wait = waits.filter(|wait| !wait.is_zero()).min();
        let error = match (last, unsayable) {
            // Somebody who has the model may answer later.
            (Some(fault), _) if fault.kind != FaultKind::ModelGone || wait.is_none() => {
                let soonest = fault.wait.into_iter().chain(wait).min();
                let shortest = soonest.filter(|_| fault.counts_against_health());
                fault.into_error().after(shortest)
            }
            (None, Some(error)) if wait.is_none() => error,
            _ => Error::new(Kind::Overloaded, "Every deployment of the model has failed lately and is resting. Retry after a brief delay, or ask another model.")
                .coded("model_unavailable")
                .after(wait),
        };
        NoAnswer { error, attempts: budget.attempts(), tried: failed }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The record of one that was cancelled as another was faster: it has likely read the prompt.
fn overtaken(step: &Step, inbound: &Inbound) -> FailedAttempt {
    let input = (inbound.head.prompt_bytes as u64).div_ceil(4);
    let usage = Usage { input, ..Usage::default() };
    let now = Clock::System.now();
    FailedAttempt {
        provider: step.deployment.provider.id.to_string(),
        model: step.model.id.to_string(),
        fault: "hedged".into(),
        cost: Some(step.deployment.prices.bill(&usage, Pictures::default(), now)),
        ..FailedAttempt::default()
    }
}
