//! A circuit breaker per deployment: `Passing`, then `Tripped` after faults in a row, then
//! `Probing` with one request at a time until one succeeds. A state machine of values; the time
//! comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Faults in a row that trip it.
const TRIPS_AFTER: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// A probe that never reports, because its caller left, is given up after this.
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

/// Leave to try. Every permit is reported on, as succeeded or failed,
/// or counts as neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    pub probe: bool,
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

    pub fn permit(&mut self, now: Instant) -> Option<Permit> {
        if !self.is_passing(now) {
            return None;
        }
        self.resting_until = None;
        match self.state {
            State::Passing { .. } => Some(Permit { probe: false }),
            State::Tripped { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Some(Permit { probe: true })
            }
        }
    }

    pub fn succeeded(&mut self) {
        self.state = State::Passing { faults: 0 };
        self.rest = FIRST_REST;
    }

    pub fn failed(&mut self, permit: Permit, now: Instant) {
        match self.state {
            State::Probing { .. } if permit.probe => {
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
    pub fn neither(&mut self, permit: Permit, now: Instant) {
        if permit.probe && matches!(self.state, State::Probing { .. }) {
            self.state = State::Tripped { until: now };
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
            let permit = breaker.permit(now).unwrap();
            breaker.failed(permit, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn trips_after_faults_in_a_row_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER - 1 {
            let permit = breaker.permit(now).unwrap();
            breaker.failed(permit, now);
        }
        breaker.succeeded();
        assert!(breaker.permit(now).is_some());
        assert!(tripped(now).permit(now).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_rests_longer_each_time() {
        let mut now = Instant::now();
        let mut breaker = tripped(now);
        now += FIRST_REST;
        let probe = breaker.permit(now).unwrap();
        assert!(probe.probe);
        assert!(breaker.permit(now).is_none(), "one at a time");
        breaker.failed(probe, now);
        assert!(breaker.permit(now + FIRST_REST).is_none(), "twice as long now");
        let probe = breaker.permit(now + 2 * FIRST_REST).unwrap();
        assert!(probe.probe);
        breaker.succeeded();
        assert_eq!(breaker.permit(now), Some(Permit { probe: false }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_probe_does_not_block_for_ever() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        assert!(breaker.permit(now + FIRST_REST).is_some());
        assert!(breaker.permit(now + FIRST_REST + PROBE_PATIENCE).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_a_provider_alone_as_long_as_it_asks() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.rest_until(now + Duration::from_secs(3));
        assert!(breaker.permit(now + Duration::from_secs(2)).is_none());
        assert!(breaker.permit(now + Duration::from_secs(3)).is_some());
    }
}
