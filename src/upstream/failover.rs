//! What to do after a fault: again, next, or give up; and who is next. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::AttemptLimits;
use crate::base::clock::Dice;
use crate::wire::vocab::{Fault, FaultKind, Retry};

/// Attempts and time that a request has left.
#[derive(Debug, Clone, Copy)]
pub struct AttemptBudget {
    limits: AttemptLimits,
    until: Instant,
    attempts: u8,
    /// The step that is being tried, and how often it was.
    at: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailoverVerdict {
    /// The same deployment, after a pause.
    Again {
        after: Duration,
    },
    Next,
    GiveUp,
}

/// Who could be asked instead of whoever has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// Other deployments that are up, of whichever model.
    pub up: usize,
    /// One of them answers as well as the one that failed: it has the same model, or the model was
    /// `auto`'s choice and not the caller's.
    pub as_good: bool,
}

/// Before the same deployment is asked once more, half to all of it.
const PAUSE: Duration = Duration::from_millis(400);

impl AttemptBudget {
    #[must_use]
    pub fn new(limits: AttemptLimits, now: Instant) -> Self {
        Self { limits, until: now + limits.deadline, attempts: 0, at: None }
    }

    pub fn begin(&mut self, step: usize) {
        self.attempts = self.attempts.saturating_add(1);
        self.at = match self.at {
            Some((known, tries)) if known == step => Some((step, tries.saturating_add(1))),
            _ => Some((step, 1)),
        };
    }

    /// One that is asked beside the step that is being tried.
    pub fn begin_beside(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The step is tried in another way: what it was tried in so far does not count.
    pub fn anew(&mut self) {
        self.at = None;
    }

    /// Nothing was sent after all.
    pub fn refund(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    #[must_use]
    pub fn attempts(&self) -> u8 {
        self.attempts
    }

    /// Whether another attempt may be made.
    #[must_use]
    pub fn lasts(&self, now: Instant) -> bool {
        self.attempts < self.limits.attempts && !self.left(now).is_zero()
    }

    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    fn tries_here(&self) -> u8 {
        self.at.map_or(0, |(_, tries)| tries)
    }
}

/// How long a whole answer may take to come, when `others` could still be asked instead: a
/// deployment that hangs must leave them time.
#[must_use]
pub fn patience_of(left: Duration, others: usize) -> Duration {
    if others > 0 { left / 2 } else { left }
}

/// Another deployment that is as good is better than a pause; a short pause is better than another
/// model, or than giving up. `tries` is how often one deployment may be asked.
#[must_use]
pub fn judge(
    fault: &Fault,
    others: Others,
    (budget, tries): (&AttemptBudget, u8),
    now: Instant,
    dice: &mut Dice,
) -> FailoverVerdict {
    let left = budget.left(now);
    if !budget.lasts(now) || fault.retry() == Retry::Never {
        return FailoverVerdict::GiveUp;
    }
    let next = if others.up > 0 { FailoverVerdict::Next } else { FailoverVerdict::GiveUp };
    if others.as_good || budget.tries_here() >= tries {
        return next;
    }
    match pause(fault, others.up == 0, dice) {
        Some(after) if after <= budget.limits.longest_wait && after < left => {
            FailoverVerdict::Again { after }
        }
        _ => next,
    }
}

/// How long to wait before the same deployment is asked once more, where that may help: as long as it
/// asks for; after what may have been a hiccup, a moment. A deployment that is silent or overloaded
/// stays so for a while: only where there is nobody else is the latter asked again.
fn pause(fault: &Fault, alone: bool, dice: &mut Dice) -> Option<Duration> {
    let moment = |dice: &mut Dice| Some(dice.jitter(PAUSE));
    match (fault.kind, fault.wait) {
        (FaultKind::Timeout, _) => None,
        _ if fault.retry() != Retry::Same => None,
        (_, Some(wait)) => Some(wait),
        (FaultKind::Broken, None) => moment(dice),
        (_, None) if alone => moment(dice),
        _ => None,
    }
}

/// Where a request has been, and where it goes next.
#[derive(Debug, Default)]
pub struct Course {
    /// Steps that have failed, and whether that may be over soon.
    been: Vec<(usize, bool)>,
}

/// What a request does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    Try(usize),
    /// Those that it has not been at rest: the soonest for so long.
    Wait(Duration),
    /// It has been everywhere.
    Over,
}

impl Course {
    /// Who has failed is not asked again, unless the request waits and what failed may be over.
    pub fn leave(&mut self, step: usize, fault: Option<&Fault>) {
        let soon = fault
            .is_some_and(|fault| fault.retry() == Retry::Same && fault.kind != FaultKind::Timeout);
        self.been.push((step, soon));
    }

    #[must_use]
    pub fn has_left(&self, step: usize) -> bool {
        self.been.iter().any(|(been, _)| *been == step)
    }

    /// Time has passed.
    pub fn waited(&mut self) {
        self.been.retain(|(_, soon)| !soon);
    }

    pub fn start_over(&mut self) {
        self.been.clear();
    }

    /// The first of `steps` that it has not been at and that is up. `wait` says how long each rests.
    #[must_use]
    pub fn next(&self, steps: usize, wait: impl Fn(usize) -> Duration) -> NextStep {
        let mut soonest: Option<Duration> = None;
        for step in (0..steps).filter(|step| !self.has_left(*step)) {
            let wait = wait(step);
            if wait.is_zero() {
                return NextStep::Try(step);
            }
            soonest = Some(soonest.map_or(wait, |known| known.min(wait)));
        }
        soonest.map_or(NextStep::Over, NextStep::Wait)
    }
}

/// A fault as the metrics and the journal call it.
pub(super) fn kind_label(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Refused => "refused",
        FaultKind::Unfit => "unfit",
        FaultKind::ContextLength => "context_length",
        FaultKind::Credential => "credential",
        FaultKind::ModelGone => "model_gone",
        FaultKind::RateLimited => "rate_limited",
        FaultKind::Quota => "quota",
        FaultKind::Overloaded => "overloaded",
        FaultKind::Timeout => "timeout",
        FaultKind::GaveUp => "gave_up",
        FaultKind::Broken => "broken",
        FaultKind::Unreachable => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::breaker::{Breaker, BreakerLeave, FailureCost};
    use crate::upstream::probing;

    const TRIES: u8 = 2;
    /// Nobody else, another deployment of the same model, another model.
    const ALONE: Others = Others { up: 0, as_good: false };
    const SAME: Others = Others { up: 1, as_good: true };
    const OTHER: Others = Others { up: 1, as_good: false };

    fn verdict(fault: &Fault, others: Others, begun: u8) -> FailoverVerdict {
        let now = Instant::now();
        let mut budget = AttemptBudget::new(AttemptLimits::default(), now);
        for _ in 0..begun {
            budget.begin(0);
        }
        judge(fault, others, (&budget, TRIES), now, &mut Dice::seeded(1))
    }

    fn of(kind: FaultKind, wait: Option<f64>) -> Fault {
        Fault::new(kind, "").after(wait.map(Duration::from_secs_f64))
    }

    #[tokio::test]
    async fn a_refused_request_is_not_tried_elsewhere() {
        assert_eq!(verdict(&of(FaultKind::Refused, None), SAME, 1), FailoverVerdict::GiveUp);
    }

    #[tokio::test]
    async fn what_another_may_do_goes_to_another() {
        for kind in [FaultKind::ContextLength, FaultKind::Credential, FaultKind::Quota] {
            for others in [SAME, OTHER] {
                assert_eq!(verdict(&of(kind, None), others, 1), FailoverVerdict::Next);
            }
            assert_eq!(verdict(&of(kind, None), ALONE, 1), FailoverVerdict::GiveUp);
        }
    }

    #[tokio::test]
    async fn the_same_once_more_before_another_model_and_before_giving_up() {
        let (again, next, over) = ("again", FailoverVerdict::Next, FailoverVerdict::GiveUp);
        for (fault, others, expected) in [
            // What was a hiccup, maybe.
            (of(FaultKind::Broken, None), SAME, Err(next)),
            (of(FaultKind::Broken, None), OTHER, Ok(again)),
            (of(FaultKind::Broken, None), ALONE, Ok(again)),
            // A wait that was asked for, and is short.
            (of(FaultKind::RateLimited, Some(2.0)), SAME, Err(next)),
            (of(FaultKind::RateLimited, Some(2.0)), OTHER, Ok(again)),
            (of(FaultKind::RateLimited, Some(2.0)), ALONE, Ok(again)),
            (of(FaultKind::Overloaded, Some(3.0)), OTHER, Ok(again)),
            (of(FaultKind::RateLimited, Some(3.1)), OTHER, Err(next)),
            (of(FaultKind::RateLimited, Some(60.0)), ALONE, Err(over)),
            // What stays for a while.
            (of(FaultKind::RateLimited, None), OTHER, Err(next)),
            (of(FaultKind::Overloaded, None), OTHER, Err(next)),
            (of(FaultKind::Overloaded, None), ALONE, Ok(again)),
            (of(FaultKind::Unreachable, None), OTHER, Err(next)),
            (of(FaultKind::Unreachable, None), ALONE, Ok(again)),
            (of(FaultKind::Timeout, None), OTHER, Err(next)),
            (of(FaultKind::Timeout, None), ALONE, Err(over)),
        ] {
            match (verdict(&fault, others, 1), expected) {
                (FailoverVerdict::Again { after }, Ok(_)) => match fault.wait {
                    Some(wait) => assert_eq!(after, wait),
                    None => assert!((200..=400).contains(&after.as_millis()), "{after:?}"),
                },
                (verdict, Err(expected)) => assert_eq!(verdict, expected, "{fault:?} {others:?}"),
                (verdict, _) => panic!("{fault:?} {others:?}: {verdict:?}"),
            }
            // Once, and no more.
            let second = verdict(&fault, others, 2);
            assert_eq!(second, if others.up > 0 { next } else { over }, "{fault:?} {others:?}");
        }
    }

    #[tokio::test]
    async fn attempts_run_out() {
        let fault = of(FaultKind::Broken, None);
        assert_eq!(
            verdict(&fault, SAME, AttemptLimits::default().attempts),
            FailoverVerdict::GiveUp
        );
    }

    #[tokio::test]
    async fn a_request_goes_where_it_has_not_been_and_waits_for_those_that_rest() {
        let seconds = Duration::from_secs;
        let mut course = Course::default();
        assert_eq!(course.next(2, |_| Duration::ZERO), NextStep::Try(0));
        course.leave(0, Some(&of(FaultKind::Broken, None)));
        assert_eq!(course.next(2, |_| Duration::ZERO), NextStep::Try(1));
        assert_eq!(course.next(3, |step| seconds(9 - step as u64)), NextStep::Wait(seconds(7)));
        course.leave(1, Some(&of(FaultKind::ContextLength, None)));
        assert_eq!(course.next(2, |_| Duration::ZERO), NextStep::Over);
        course.waited();
        assert_eq!(course.next(2, |_| Duration::ZERO), NextStep::Try(0), "what may be over by now");
        course.start_over();
        assert_eq!(course.next(2, |step| seconds(1 - step as u64)), NextStep::Try(1));
    }

    /// A list of models that is being read: how it was let through, when it ends, whether it is there.
    type Listing = Option<(BreakerLeave, Instant, bool)>;

    /// Two deployments, of which one is up at any time, requests every second or so, and lists of models that
    /// are asked for where nobody comes: how many requests got no answer.
    fn unanswered(dice: &mut Dice, start: Instant) -> usize {
        let seconds = |dice: &mut Dice, most: f64| Duration::from_secs_f64(dice.unit() * most);
        let mut breakers = [Breaker::default(), Breaker::default()];
        let mut listings: [Listing; 2] = [None, None];
        let (mut now, mut failed) = (start, 0);
        let (mut up, mut until) = (0, start);
        let mut round = start;
        for _ in 0..300 {
            now += seconds(dice, 2.0);
            let (mut course, arrived) = (Course::default(), now);
            let answered = loop {
                while now >= until {
                    (up, until) = (1 - up, until + Duration::from_secs(20) + seconds(dice, 100.0));
                }
                for (breaker, listing) in breakers.iter_mut().zip(&mut listings) {
                    if let Some((leave, _, there)) = listing.take_if(|(_, ends, _)| *ends <= now) {
                        if there {
                            let _again = breaker.is_there(leave);
                        } else {
                            let _rest = breaker.failed(leave, FailureCost::Fast, now);
                        }
                    }
                }
                if round <= now {
                    round = now + dice.jitter(probing::INTERVAL);
                    for (place, breaker) in breakers.iter_mut().enumerate() {
                        if breaker.is_due(now)
                            && let Some(leave) = breaker.leave(now)
                        {
                            let ends = now + seconds(dice, probing::PATIENCE.as_secs_f64());
                            listings[place] = Some((leave, ends, place == up));
                        }
                    }
                }
                match course.next(2, |step| breakers[step].wait(now)) {
                    NextStep::Try(step) => {
                        let Some(leave) = breakers[step].leave(now) else { continue };
                        if step == up {
                            breakers[step].succeeded(leave, now);
                            break true;
                        }
                        breakers[step].failed(leave, FailureCost::Fast, now);
                        course.leave(step, Some(&of(FaultKind::Overloaded, None)));
                    }
                    NextStep::Wait(wait)
                        if (now + wait) - arrived < AttemptLimits::default().queue =>
                    {
                        // Whoever waits is told when a probe has ended.
                        let told = listings.iter().flatten().map(|(_, ends, _)| *ends).min();
                        now = told.unwrap_or(now + wait).min(now + wait);
                        course.waited();
                    }
                    _ => break false,
                }
            };
            failed += usize::from(!answered);
        }
        failed
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_fails_while_a_deployment_is_up() {
        let start = Instant::now();
        for seed in 0..4_000 {
            assert_eq!(unanswered(&mut Dice::seeded(seed), start), 0, "seed {seed}");
        }
    }
}
