//! What to do after a fault: again, next, or give up. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use crate::base::clock::Dice;
use crate::wire::vocab::{Fault, Retry};

/// What may still be spent on a request.
#[derive(Debug, Clone)]
pub struct Budget {
    limits: Limits,
    until: Instant,
    attempts: u8,
    /// The step that is being tried, and how often it was.
    at: Option<(usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same deployment, after a pause.
    Again {
        after: Duration,
    },
    Next,
    GiveUp,
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);

impl Budget {
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, until: now + limits.deadline, attempts: 0, at: None }
    }

    pub fn begin(&mut self, step: usize) {
        self.attempts = self.attempts.saturating_add(1);
        self.at = match self.at {
            Some((known, tries)) if known == step => Some((step, tries.saturating_add(1))),
            _ => Some((step, 1)),
        };
    }

    /// Nothing was sent after all.
    pub fn refund(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    #[must_use]
    pub fn attempts(&self) -> u8 {
        self.attempts
    }

    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// How long a whole answer may take to come, when `others` could still be asked instead: a
    /// deployment that hangs must leave them time.
    #[must_use]
    pub fn patience(&self, others: usize, now: Instant) -> Duration {
        let left = self.left(now);
        if others > 0 { left / 2 } else { left }
    }

    fn tries_here(&self) -> u8 {
        self.at.map_or(0, |(_, tries)| tries)
    }
}

/// Another deployment is better than a pause; a pause is better than giving up.
#[must_use]
pub fn judge(
    fault: &Fault,
    others: usize,
    budget: &Budget,
    now: Instant,
    dice: &mut Dice,
) -> Verdict {
    let left = budget.left(now);
    if budget.attempts() >= budget.limits.attempts || left.is_zero() {
        return Verdict::GiveUp;
    }
    match fault.retry() {
        Retry::Never => Verdict::GiveUp,
        Retry::Elsewhere | Retry::Same if others > 0 => Verdict::Next,
        Retry::Elsewhere => Verdict::GiveUp,
        Retry::Same => {
            let tries = budget.tries_here();
            let pause = fault
                .wait
                .unwrap_or_else(|| dice.jitter(FIRST_PAUSE * 2_u32.pow(u32::from(tries.min(8)))));
            if tries >= budget.limits.tries_per_deployment
                || pause > budget.limits.longest_wait
                || pause >= left
            {
                Verdict::GiveUp
            } else {
                Verdict::Again { after: pause }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::FaultKind;

    fn verdict(kind: FaultKind, others: usize, begun: u8, retry_after: Option<u64>) -> Verdict {
        let now = Instant::now();
        let mut budget = Budget::new(Limits::default(), now);
        for _ in 0..begun {
            budget.begin(0);
        }
        judge(
            &Fault::new(kind, "").after(retry_after.map(Duration::from_secs)),
            others,
            &budget,
            now,
            &mut Dice::seeded(1),
        )
    }

    #[tokio::test]
    async fn a_refused_request_is_not_tried_elsewhere() {
        assert_eq!(verdict(FaultKind::Refused, 3, 1, None), Verdict::GiveUp);
    }

    #[tokio::test]
    async fn what_another_may_do_goes_to_another() {
        for kind in [FaultKind::ContextLength, FaultKind::Overloaded, FaultKind::Credential] {
            assert_eq!(verdict(kind, 1, 1, None), Verdict::Next);
        }
        assert_eq!(verdict(FaultKind::ContextLength, 0, 1, None), Verdict::GiveUp);
    }

    #[tokio::test]
    async fn the_only_deployment_is_tried_again_after_a_pause() {
        assert!(matches!(verdict(FaultKind::Broken, 0, 1, None), Verdict::Again { .. }));
        assert_eq!(verdict(FaultKind::Broken, 0, 2, None), Verdict::GiveUp);
        assert_eq!(
            verdict(FaultKind::RateLimited, 0, 1, Some(2)),
            Verdict::Again { after: Duration::from_secs(2) }
        );
        assert_eq!(verdict(FaultKind::RateLimited, 0, 1, Some(60)), Verdict::GiveUp);
    }

    #[tokio::test]
    async fn attempts_run_out() {
        assert_eq!(
            verdict(FaultKind::Broken, 9, Limits::default().attempts, None),
            Verdict::GiveUp
        );
    }
}
