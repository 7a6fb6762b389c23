//! A circuit breaker per deployment: `Passing`, then `Tripped` after faults in a row, then
//! `Probing` with one request at a time until one has ended well. A state machine of values; the time
//! comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Faults in a row that trip it.
const TRIPS_AFTER: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(2);
/// A probe that fails at once costs its caller next to nothing: whoever is back is soon found out.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// A probe that runs into a time limit makes its caller wait.
const LONGEST_REST_AFTER_TIMEOUTS: Duration = Duration::from_secs(60);
/// A deployment that nobody asks for so long after its rest may be asked without a caller.
const UNASKED: Duration = Duration::from_secs(3);
/// A probe that has not ended by then does not keep others from being sent.
const PROBE_PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passing { faults: u32 },
    Tripped { until: Instant },
    Probing { since: Instant },
}

/// What a failure cost whoever waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A status, a refused connection, a stream that broke.
    Fast,
    /// A limit of time had to run out.
    Timeout,
}

#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    rest: Duration,
    /// The provider asked to be left alone until then (`Retry-After`).
    resting_until: Option<Instant>,
}

/// Leave to try: as one of many, or as the probe that was sent then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Usual,
    Probe { since: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Passing { faults: 0 }, rest: FIRST_REST, resting_until: None }
    }
}

impl Breaker {
    /// Whether a request would be let through, without asking for it.
    #[must_use]
    pub fn is_passing(&self, now: Instant) -> bool {
        self.wait(now).is_zero()
    }

    /// How long until a request would be let through, unless a probe ends before.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let state = match self.state {
            State::Passing { .. } => now,
            State::Tripped { until } => until,
            State::Probing { since } => since + PROBE_PATIENCE,
        };
        let until = self.resting_until.map_or(state, |rest| rest.max(state));
        until.saturating_duration_since(now)
    }

    pub fn leave(&mut self, now: Instant) -> Option<Leave> {
        if !self.is_passing(now) {
            return None;
        }
        self.resting_until = None;
        match self.state {
            State::Passing { .. } => Some(Leave::Usual),
            State::Tripped { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Some(Leave::Probe { since: now })
            }
        }
    }

    /// An answer came to its end. That a stream began is nothing yet: it may still break.
    pub fn succeeded(&mut self, leave: Leave) {
        // A request from before the trip says nothing of now.
        if matches!(leave, Leave::Probe { .. }) || matches!(self.state, State::Passing { .. }) {
            self.state = State::Passing { faults: 0 };
            self.rest = FIRST_REST;
        }
    }

    pub fn failed(&mut self, leave: Leave, failure: Failure, now: Instant) {
        let longest = match failure {
            Failure::Fast => LONGEST_REST,
            Failure::Timeout => LONGEST_REST_AFTER_TIMEOUTS,
        };
        match self.state {
            State::Probing { .. } if self.is_probe(leave) => {
                self.rest = (self.rest * 2).min(longest);
                self.state = State::Tripped { until: now + self.rest };
            }
            State::Passing { faults } if faults + 1 >= TRIPS_AFTER => {
                self.rest = self.rest.min(longest);
                self.state = State::Tripped { until: now + self.rest };
            }
            State::Passing { faults } => self.state = State::Passing { faults: faults + 1 },
            // A request from before the trip says nothing new.
            State::Tripped { .. } | State::Probing { .. } => {}
        }
    }

    /// The outcome says nothing of the deployment: a probe may be sent again.
    pub fn neither(&mut self, leave: Leave, now: Instant) {
        if self.is_probe(leave) {
            self.state = State::Tripped { until: now };
        }
    }

    /// Whether this is the probe that is under way, not one that was given up.
    fn is_probe(&self, leave: Leave) -> bool {
        match (self.state, leave) {
            (State::Probing { since }, Leave::Probe { since: sent }) => since == sent,
            _ => false,
        }
    }

    #[cfg(test)]
    pub(super) fn has_tripped(&self) -> bool {
        !matches!(self.state, State::Passing { .. })
    }

    /// Its rest has been over for a while, and nobody has asked for leave.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let over = match self.state {
            State::Passing { .. } => return false,
            State::Tripped { until } => until,
            State::Probing { since } => since + PROBE_PATIENCE,
        };
        now >= over + UNASKED && self.resting_until.is_none_or(|until| now >= until)
    }

    /// A probe found that it is there, not that it answers requests: they are let through again, and the
    /// next fault trips it, for longer.
    pub fn is_there(&mut self, leave: Leave) {
        if self.is_probe(leave) {
            self.state = State::Passing { faults: TRIPS_AFTER - 1 };
            self.rest = (self.rest * 2).min(LONGEST_REST_AFTER_TIMEOUTS);
        }
    }

    pub fn rest_until(&mut self, until: Instant) {
        self.resting_until = Some(self.resting_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Dice;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, Failure::Fast, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn trips_after_faults_in_a_row_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER - 1 {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, Failure::Fast, now);
        }
        breaker.succeeded(Leave::Usual);
        assert!(breaker.leave(now).is_some());
        let mut tripped = tripped(now);
        assert!(tripped.leave(now).is_none());
        tripped.succeeded(Leave::Usual);
        assert!(tripped.leave(now).is_none(), "what began before the trip says nothing of now");
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_rests_longer_each_time() {
        for (failure, longest) in
            [(Failure::Fast, LONGEST_REST), (Failure::Timeout, LONGEST_REST_AFTER_TIMEOUTS)]
        {
            let mut now = Instant::now();
            let mut breaker = tripped(now);
            let mut rest = FIRST_REST;
            for _ in 0..9 {
                assert!(breaker.leave(now + rest - Duration::from_millis(1)).is_none());
                now += rest;
                let probe = breaker.leave(now).unwrap();
                assert_eq!(probe, Leave::Probe { since: now });
                assert!(breaker.leave(now).is_none(), "one at a time");
                breaker.failed(probe, failure, now);
                rest = (rest * 2).min(longest);
            }
            assert_eq!(breaker.wait(now), longest);
            let probe = breaker.leave(now + longest).unwrap();
            breaker.succeeded(probe);
            assert_eq!(breaker.leave(now), Some(Leave::Usual));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_judged_by_how_it_ends() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        let probe = breaker.leave(now + FIRST_REST).unwrap();
        // It streams for ten seconds, and breaks.
        let broke = now + FIRST_REST + Duration::from_secs(10);
        assert!(breaker.leave(broke).is_none(), "its first byte let nobody through");
        breaker.failed(probe, Failure::Fast, broke);
        assert_eq!(breaker.wait(broke), 2 * FIRST_REST);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_probe_that_is_under_way_is_heard() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        let lost = breaker.leave(now + FIRST_REST).unwrap();
        let later = now + FIRST_REST + PROBE_PATIENCE;
        let probe = breaker.leave(later).unwrap();
        breaker.neither(lost, later);
        assert!(breaker.leave(later).is_none(), "the newer one is still out");
        breaker.neither(probe, later);
        assert!(breaker.leave(later).is_some());
        // A long stream that ends well has shown all the same that its deployment is up.
        breaker.succeeded(lost);
        assert_eq!(breaker.leave(later), Some(Leave::Usual));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_probe_does_not_block_for_ever() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        assert!(breaker.leave(now + FIRST_REST).is_some());
        assert!(breaker.leave(now + FIRST_REST + PROBE_PATIENCE).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_a_provider_alone_as_long_as_it_asks() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.rest_until(now + Duration::from_secs(3));
        assert!(breaker.leave(now + Duration::from_secs(2)).is_none());
        assert!(breaker.leave(now + Duration::from_secs(3)).is_some());
    }

    /// Asks of a deployment that is down until `back`: when, after that, it first answered one.
    fn recovery(dice: &mut Dice, start: Instant) -> Duration {
        let seconds = |dice: &mut Dice, most: f64| Duration::from_secs_f64(dice.unit() * most);
        let back = start + seconds(dice, 300.0);
        let (mut breaker, mut now) = (Breaker::default(), start);
        // What is under way: how it was let through, when it was sent and when it ends.
        let mut flying: Vec<(Leave, Instant, Instant)> = Vec::new();
        loop {
            flying.sort_by_key(|(.., ends)| *ends);
            while let Some((leave, sent, ends)) = flying.first().copied()
                && ends <= now
            {
                flying.remove(0);
                if sent < back {
                    breaker.failed(leave, Failure::Fast, ends);
                } else {
                    breaker.succeeded(leave);
                }
            }
            if let Some(leave) = breaker.leave(now) {
                if now >= back {
                    return now - back;
                }
                let fast = seconds(dice, 0.9);
                flying.push((leave, now, now + fast));
            }
            let probes = flying.iter().filter(|(leave, ..)| *leave != Leave::Usual);
            assert!(probes.count() <= 1, "one probe at a time");
            now += seconds(dice, 4.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_is_back_is_used_again_within_fifteen_seconds() {
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        for seed in 0..10_000 {
            longest = longest.max(recovery(&mut Dice::seeded(seed), start));
        }
        assert!(longest < Duration::from_secs(15), "{longest:?}");
        assert!(longest > Duration::from_secs(8), "the simulation meets no long rest: {longest:?}");
    }
}
