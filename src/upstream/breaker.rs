//! A circuit breaker per deployment: `Passing`, then `Tripped` after faults in a row, then
//! `Probing` with one request at a time until one has ended well. A state machine of values; the time
//! comes in as an argument. Longer than most files: every move of the machine, and its laws.

use std::time::Duration;

use tokio::time::Instant;

/// Faults in a row that trip it.
const TRIPS_AFTER: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(2);
/// A probe that fails at once costs its caller next to nothing: whoever is back is soon found out.
const LONGEST_REST: Duration = Duration::from_secs(8);
/// A probe that runs into a time limit makes its caller wait.
const LONGEST_REST_AFTER_TIMEOUTS: Duration = Duration::from_secs(60);
/// A deployment that nobody asks for so long after its rest may be asked without a caller.
const UNASKED: Duration = Duration::from_secs(1);
/// What another node has found out is heeded for so long at most.
const LONGEST_HEARD: Duration = Duration::from_secs(15);
/// Who has answered here so lately is not down, whatever another node has found.
const BELIEVED_FOR: Duration = Duration::from_secs(15);
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
pub enum FailureCost {
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
    /// When an answer last came to its end here.
    answered: Option<Instant>,
}

/// Leave to send a request through a breaker, and when it was given: as one of many, or as the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerLeave {
    Usual { since: Instant },
    Probe { since: Instant },
}

impl BreakerLeave {
    #[must_use]
    pub fn is_probe(self) -> bool {
        matches!(self, Self::Probe { .. })
    }

    fn since(self) -> Instant {
        match self {
            Self::Usual { since } | Self::Probe { since } => since,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let state = State::Passing { faults: 0 };
        Self { state, rest: FIRST_REST, resting_until: None, answered: None }
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

    pub fn leave(&mut self, now: Instant) -> Option<BreakerLeave> {
        if !self.is_passing(now) {
            return None;
        }
        self.resting_until = None;
        match self.state {
            State::Passing { .. } => Some(BreakerLeave::Usual { since: now }),
            State::Tripped { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Some(BreakerLeave::Probe { since: now })
            }
        }
    }

    /// An answer came to its end. That a stream began is nothing yet: it may still break. Says whether
    /// requests are let through again by that.
    pub fn succeeded(&mut self, leave: BreakerLeave, now: Instant) -> bool {
        let closed = !matches!(self.state, State::Passing { .. });
        self.answered = Some(now);
        // A request from before the trip says nothing of now.
        if leave.is_probe() || matches!(self.state, State::Passing { .. }) {
            self.state = State::Passing { faults: 0 };
            self.rest = FIRST_REST;
            return closed;
        }
        false
    }

    /// How long it rests because of that, where it does.
    pub fn failed(
        &mut self,
        leave: BreakerLeave,
        failure: FailureCost,
        now: Instant,
    ) -> Option<Duration> {
        let longest = match failure {
            FailureCost::Fast => LONGEST_REST,
            FailureCost::Timeout => LONGEST_REST_AFTER_TIMEOUTS,
        };
        match self.state {
            State::Probing { .. } if self.is_probe(leave) => {
                self.rest = (self.rest * 2).min(longest);
            }
            State::Passing { faults } if faults + 1 >= TRIPS_AFTER => {
                self.rest = self.rest.min(longest);
            }
            State::Passing { faults } => {
                self.state = State::Passing { faults: faults + 1 };
                return None;
            }
            // A request from before the trip says nothing new.
            State::Tripped { .. } | State::Probing { .. } => return None,
        }
        // It found how things were when it was sent: how long it took is part of the rest, unless its
        // caller had to wait for that.
        let from = if failure == FailureCost::Fast { leave.since() } else { now };
        let until = (from + self.rest).max(now + FIRST_REST);
        self.state = State::Tripped { until };
        Some(until.saturating_duration_since(now))
    }

    /// The outcome says nothing of the deployment: a probe may be sent again.
    pub fn neither(&mut self, leave: BreakerLeave, now: Instant) {
        if self.is_probe(leave) {
            self.state = State::Tripped { until: now };
        }
    }

    /// Whether this is the probe that is under way, not one that was given up.
    fn is_probe(&self, leave: BreakerLeave) -> bool {
        match (self.state, leave) {
            (State::Probing { since }, BreakerLeave::Probe { since: sent }) => since == sent,
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
    /// next fault trips it, for longer. Says whether they are by that.
    pub fn is_there(&mut self, leave: BreakerLeave) -> bool {
        let heard = self.is_probe(leave);
        if heard {
            self.state = State::Passing { faults: TRIPS_AFTER - 1 };
            self.rest = (self.rest * 2).min(LONGEST_REST_AFTER_TIMEOUTS);
        }
        heard
    }

    /// Another node has found it down, and leaves it alone for so long. So does this one, unless it knows
    /// better: one node that gets nowhere must not close what the others reach.
    pub fn heard_down(&mut self, rest: Duration, failure: FailureCost, now: Instant) {
        let longest = match failure {
            FailureCost::Fast => LONGEST_REST,
            FailureCost::Timeout => LONGEST_HEARD,
        };
        let until = now + rest.min(longest);
        let lately = self.answered.is_some_and(|at| now < at + BELIEVED_FOR);
        match self.state {
            State::Passing { faults: 0 } if lately => {}
            State::Passing { .. } => self.state = State::Tripped { until },
            State::Tripped { until: known } => {
                self.state = State::Tripped { until: known.max(until) };
            }
            // It is about to find out by itself.
            State::Probing { .. } => {}
        }
    }

    /// Another node has found it up: requests are let through again, and the next fault trips it. Says
    /// whether they are by that.
    pub fn heard_up(&mut self) -> bool {
        let closed = !matches!(self.state, State::Passing { .. });
        if closed {
            self.state = State::Passing { faults: TRIPS_AFTER - 1 };
        }
        closed
    }

    pub fn rest_until(&mut self, until: Instant) {
        self.resting_until = Some(self.resting_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::probing;
    use super::*;
    use crate::base::clock::Dice;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, FailureCost::Fast, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn trips_after_faults_in_a_row_and_a_success_forgets_them() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..TRIPS_AFTER - 1 {
            let leave = breaker.leave(now).unwrap();
            breaker.failed(leave, FailureCost::Fast, now);
        }
        breaker.succeeded(BreakerLeave::Usual { since: now }, now);
        assert!(breaker.leave(now).is_some());
        let mut tripped = tripped(now);
        assert!(tripped.leave(now).is_none());
        tripped.succeeded(BreakerLeave::Usual { since: now }, now);
        assert!(tripped.leave(now).is_none(), "what began before the trip says nothing of now");
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_rests_longer_each_time() {
        for (failure, longest) in
            [(FailureCost::Fast, LONGEST_REST), (FailureCost::Timeout, LONGEST_REST_AFTER_TIMEOUTS)]
        {
            let mut now = Instant::now();
            let mut breaker = tripped(now);
            let mut rest = FIRST_REST;
            for _ in 0..9 {
                assert!(breaker.leave(now + rest - Duration::from_millis(1)).is_none());
                now += rest;
                let probe = breaker.leave(now).unwrap();
                assert_eq!(probe, BreakerLeave::Probe { since: now });
                assert!(breaker.leave(now).is_none(), "one at a time");
                breaker.failed(probe, failure, now);
                rest = (rest * 2).min(longest);
            }
            assert_eq!(breaker.wait(now), longest);
            let probe = breaker.leave(now + longest).unwrap();
            breaker.succeeded(probe, now);
            assert_eq!(breaker.leave(now), Some(BreakerLeave::Usual { since: now }));
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
        breaker.failed(probe, FailureCost::Fast, broke);
        assert_eq!(breaker.wait(broke), FIRST_REST, "most of its rest is over");
        let probe = breaker.leave(broke + FIRST_REST).unwrap();
        breaker.failed(probe, FailureCost::Timeout, broke + Duration::from_secs(12));
        assert_eq!(breaker.wait(broke + Duration::from_secs(12)), 4 * FIRST_REST);
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
        breaker.succeeded(lost, later);
        assert_eq!(breaker.leave(later), Some(BreakerLeave::Usual { since: later }));
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

    /// How the callers of a simulation come to each node: at most so many seconds apart, so many at once;
    /// whether providers are asked for their list of models where nobody comes; and how many nodes there are,
    /// which hear of one another, mostly.
    #[derive(Debug, Clone, Copy)]
    struct Traffic {
        gap: Option<f64>,
        at_once: usize,
        probes: bool,
        nodes: usize,
    }

    /// What is under way from a node: how it was let through, when it was sent and when it ends, and whether
    /// it asks for the list of models.
    #[derive(Debug, Clone, Copy)]
    struct Flying {
        node: usize,
        leave: BreakerLeave,
        sent: Instant,
        ends: Instant,
        list: bool,
    }

    /// What one node found is heard by the others, unless it is lost.
    fn told(nodes: &mut [Breaker], by: usize, dice: &mut Dice, hear: impl Fn(&mut Breaker)) {
        let others = nodes.iter_mut().enumerate().filter(|(node, _)| *node != by);
        others.filter(|_| dice.unit() < 0.9).for_each(|(_, breaker)| hear(breaker));
    }

    /// A deployment that is down, and then up again, which fails within six seconds while it is down, and
    /// whose list of models comes in time once it is up: for how long after it was back a caller of the first
    /// node would not have been let through to it.
    fn recovery(dice: &mut Dice, start: Instant, traffic: Traffic) -> Duration {
        let seconds = |dice: &mut Dice, most: f64| Duration::from_secs_f64(dice.unit() * most);
        let back = start + seconds(dice, 300.0);
        // Of some the list of models is there all the same; some take long to fail.
        let (listed, slow) = (dice.unit() < 0.2, dice.unit() < 0.5);
        let never = start + Duration::from_secs(86_400);
        let mut nodes = vec![tripped(start); traffic.nodes];
        let mut flying: Vec<Flying> = Vec::new();
        let mut calls: Vec<Instant> = nodes
            .iter()
            .map(|_| traffic.gap.map_or(never, |gap| start + seconds(dice, gap)))
            .collect();
        let mut rounds = vec![if traffic.probes { start } else { never }; traffic.nodes];
        let (mut now, mut shut) = (start, back);
        loop {
            flying.sort_by_key(|one| one.ends);
            let soonest = |times: &[Instant]| times.iter().copied().min().unwrap_or(never);
            let ends = flying.first().map_or(never, |one| one.ends);
            let next = ends.min(soonest(&calls)).min(soonest(&rounds));
            if next > back {
                let from = now.max(back);
                let wait = nodes[0].wait(from);
                if !wait.is_zero() {
                    shut = (from + wait).min(next);
                }
                let open = !nodes[0].has_tripped() && flying.iter().all(|one| one.sent >= back);
                if open || next == never {
                    return shut - back;
                }
            }
            now = next;
            if ends <= now {
                let Flying { node, leave, sent, list, .. } = flying.remove(0);
                let up = match (list, sent >= back) {
                    (true, up) if up || listed => nodes[node].is_there(leave),
                    (false, true) => nodes[node].succeeded(leave, now),
                    _ => {
                        if let Some(rest) = nodes[node].failed(leave, FailureCost::Fast, now) {
                            let hear =
                                |one: &mut Breaker| one.heard_down(rest, FailureCost::Fast, now);
                            told(&mut nodes, node, dice, hear);
                        }
                        false
                    }
                };
                if up {
                    let hear = |one: &mut Breaker| {
                        let _again = one.heard_up();
                    };
                    told(&mut nodes, node, dice, hear);
                }
                continue;
            }
            for node in 0..traffic.nodes {
                let mut asks = Vec::new();
                if calls[node] <= now {
                    calls[node] = now + seconds(dice, traffic.gap.unwrap_or_default());
                    asks.extend(std::iter::repeat_n(false, traffic.at_once));
                }
                if rounds[node] <= now {
                    rounds[node] = now + dice.jitter(probing::INTERVAL);
                    asks.extend(nodes[node].is_due(now).then_some(true));
                }
                for list in asks {
                    let Some(leave) = nodes[node].leave(now) else { continue };
                    if now >= back && !list && node == 0 {
                        return shut - back;
                    }
                    let longest = match (list, slow) {
                        (true, _) => probing::PATIENCE.as_secs_f64(),
                        (false, true) => 6.0,
                        (false, false) => 0.3,
                    };
                    let ends = now + seconds(dice, longest);
                    flying.push(Flying { node, leave, sent: now, ends, list });
                }
                let own = flying.iter().filter(|one| one.node == node && one.leave.is_probe());
                // Another node's word may have ended what one was sent for.
                let out = own.filter(|one| nodes[node].is_probe(one.leave));
                assert!(out.count() <= 1, "one probe at a time");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_is_back_is_used_again_within_fifteen_seconds() {
        let start = Instant::now();
        let traffic = |gap, at_once, probes, nodes| Traffic { gap, at_once, probes, nodes };
        for (traffic, at_least) in [
            (traffic(Some(0.5), 3, true, 1), 7),
            (traffic(Some(0.5), 1, false, 1), 7),
            (traffic(Some(4.0), 2, true, 1), 10),
            (traffic(Some(60.0), 1, false, 1), 7),
            (traffic(Some(60.0), 1, true, 1), 12),
            (traffic(Some(600.0), 5, true, 1), 12),
            (traffic(None, 0, true, 1), 12),
            (traffic(Some(4.0), 2, true, 3), 7),
            (traffic(None, 0, true, 3), 7),
        ] {
            let mut longest = Duration::ZERO;
            for seed in 0..3_000 {
                let shut = recovery(&mut Dice::seeded(seed), start, traffic);
                assert!(shut <= Duration::from_secs(15), "{traffic:?}, seed {seed}: {shut:?}");
                longest = longest.max(shut);
            }
            println!("{traffic:?}: {longest:?}");
            let least = Duration::from_secs(at_least);
            assert!(longest > least, "{traffic:?} meets no long rest: {longest:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_node_found_is_heeded_for_a_while_unless_it_is_known_better() {
        let now = Instant::now();
        let rest = Duration::from_secs(40);
        for (failure, longest) in
            [(FailureCost::Fast, LONGEST_REST), (FailureCost::Timeout, LONGEST_HEARD)]
        {
            let mut breaker = Breaker::default();
            breaker.heard_down(rest, failure, now);
            assert_eq!(breaker.wait(now), longest);
            breaker.heard_down(Duration::from_secs(1), failure, now);
            assert_eq!(breaker.wait(now), longest, "what is shorter changes nothing");
            let probe = breaker.leave(now + longest).unwrap();
            assert!(probe.is_probe(), "then one finds out");
            breaker.heard_down(rest, failure, now + longest);
            breaker.succeeded(probe, now + longest);
            assert!(breaker.is_passing(now + longest));
            // It has just answered here.
            let later = now + longest + BELIEVED_FOR;
            breaker.heard_down(rest, failure, later - Duration::from_millis(1));
            assert!(breaker.is_passing(later));
            breaker.heard_down(rest, failure, later);
            assert!(!breaker.is_passing(later));
            assert!(breaker.heard_up() && !breaker.heard_up());
            let leave = breaker.leave(later).unwrap();
            assert!(breaker.failed(leave, failure, later).is_some(), "one fault trips it");
        }
    }
}
