//! A circuit breaker per deployment: `Passing`, then `Tripped` after faults in a row, then
//! `Probing` with one request at a time until one succeeds. A state machine of values; the time
//! comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Faults in a row that trip it.
const TRIPS_AFTER: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// A probe that has not reported by then does not keep others from being sent.
const PROBE_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passing { faults: u32 },
    Tripped { until: Instant },
    Probing { since: Instant },
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
        self.resting_until.is_none_or(|until| now >= until)
            && match self.state {
                State::Passing { .. } => true,
                State::Tripped { until } => now >= until,
                State::Probing { since } => now >= since + PROBE_PATIENCE,
            }
    }

    /// How long until a request would be let through.
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

    /// An answer came to its end.
    pub fn succeeded(&mut self) {
        self.state = State::Passing { faults: 0 };
        self.rest = FIRST_REST;
    }

    /// A stream began. That forgets no faults, as it may still break: one that breaks after a probe
    /// trips the breaker again, for longer.
    pub fn begun(&mut self, leave: Leave) {
        if self.is_probe(leave) {
            self.state = State::Passing { faults: TRIPS_AFTER - 1 };
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
    }

    pub fn failed(&mut self, leave: Leave, now: Instant) {
        match self.state {
            State::Probing { .. } if self.is_probe(leave) => {
                self.rest = (self.rest * 2).min(LONGEST_REST);
                self.state = State::Tripped { until: now + self.rest };
            }
            State::Passing { faults } if faults + 1 >= TRIPS_AFTER => {
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

    pub fn rest_until(&mut self, until: Instant) {
        self.resting_until = Some(self.resting_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn trips_after_faults_in_a_row_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER - 1 {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, now);
        }
        breaker.succeeded();
        assert!(breaker.leave(now).is_some());
        assert!(tripped(now).leave(now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_rests_longer_each_time() {
        let mut now = Instant::now();
        let mut breaker = tripped(now);
        now += FIRST_REST;
        let probe = breaker.leave(now).unwrap();
        assert_eq!(probe, Leave::Probe { since: now });
        assert!(breaker.leave(now).is_none(), "one at a time");
        breaker.failed(probe, now);
        assert!(breaker.leave(now + FIRST_REST).is_none(), "twice as long now");
        assert!(breaker.leave(now + 2 * FIRST_REST).is_some());
        breaker.succeeded();
        assert_eq!(breaker.leave(now), Some(Leave::Usual));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_break_midway_trip_it_though_each_began() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER {
            let leave = breaker.leave(now).unwrap();
            breaker.begun(leave);
            breaker.failed(Leave::Usual, now);
        }
        assert!(breaker.leave(now).is_none());
        // A probe that begins lets others through; one that breaks ends that at once, for longer.
        let probe = breaker.leave(now + FIRST_REST).unwrap();
        breaker.begun(probe);
        assert_eq!(breaker.leave(now + FIRST_REST), Some(Leave::Usual));
        breaker.failed(Leave::Usual, now + FIRST_REST);
        assert!(breaker.leave(now + 2 * FIRST_REST).is_none());
        assert!(breaker.leave(now + 3 * FIRST_REST).is_some());
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
}
