//! The state of every deployment, shared by the workers.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerLeave, FailureCost};
use super::keys::Keys;
use super::pulse::Pulse;
use crate::catalogue::{Catalogue, DeploymentId};
use crate::router::Health;
use crate::wire::vocab::{Fault, FaultKind};

#[derive(Debug, Default)]
struct Vitals {
    breaker: Breaker,
    pulse: Pulse,
    /// Requests that have leave to try it, and have not ended.
    in_flight: u32,
}

/// A panic elsewhere does not spoil them: they are whole after every call.
fn locked(vitals: &Mutex<Vitals>) -> MutexGuard<'_, Vitals> {
    vitals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The breaker and the pulse of every deployment. A lock is held for a few instructions and never
/// over an await.
#[derive(Debug)]
pub struct HealthBoard {
    vitals: ArcSwap<Table>,
    usual: Usual,
    keys: Keys,
    /// Told when a probe has ended: whoever waits for its deployment looks again.
    probed: Notify,
    /// Told what is found out, where there are other nodes to tell.
    tidings: OnceLock<mpsc::Sender<(DeploymentId, Tiding)>>,
}

/// What a node has found out of a deployment, for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiding {
    /// It is left alone for so long.
    Down {
        rest: Duration,
        failure: FailureCost,
    },
    Up,
}

/// Tidings that wait to be told. Those beyond are dropped: they would be late.
const WAITING: usize = 1_024;

/// Vitals by id. A deployment that is in two catalogues has one state under two ids.
#[derive(Debug)]
struct Table {
    /// The id of the first of them.
    first: usize,
    slots: Vec<Arc<Mutex<Vitals>>>,
}

/// What answers of all deployments usually take, in seconds: whole ones, and streams to their first
/// token. Whoever was not asked lately is taken to be like the others, neither faster nor slower.
#[derive(Debug, Default)]
struct Usual([AtomicU32; 2]);

/// What the newest answer weighs in it.
const WEIGHT: f32 = 0.02;

impl Usual {
    fn seconds(&self, stream: bool) -> f32 {
        f32::from_bits(self.0[usize::from(stream)].load(Ordering::Relaxed))
    }

    /// Two that come at once may count as one: it is an average.
    fn observe(&self, stream: bool, took: Duration) {
        let (known, new) = (self.seconds(stream), took.as_secs_f32());
        let moved = if known > 0.0 { known + WEIGHT * (new - known) } else { new };
        self.0[usize::from(stream)].store(moved.to_bits(), Ordering::Relaxed);
    }
}

impl HealthBoard {
    #[must_use]
    pub fn new(ids: Range<usize>) -> Self {
        let first = ids.start;
        let slots = ids.map(|_| Arc::default()).collect();
        let vitals = ArcSwap::from_pointee(Table { first, slots });
        Self {
            vitals,
            usual: Usual::default(),
            keys: Keys::default(),
            probed: Notify::new(),
            tidings: OnceLock::new(),
        }
    }

    /// Makes room for a catalogue that takes the place of another. What is known of a deployment
    /// that is in both stays known; requests under way still find those of the old one.
    pub fn adopt(&self, old: &Catalogue, new: &Catalogue) {
        let table = self.vitals.load_full();
        let of_old = |id: usize| table.slots.get(id.checked_sub(table.first)?).map(Arc::clone);
        let mut slots: Vec<Arc<Mutex<Vitals>>> =
            old.ids().map(|id| of_old(id).unwrap_or_default()).collect();
        let places = |catalogue: &Catalogue| -> HashMap<(Arc<str>, String), usize> {
            let all = catalogue.models().iter().flat_map(|model| &model.deployments);
            all.map(|one| ((Arc::clone(&one.provider.id), one.name.clone()), one.id.0)).collect()
        };
        let before = places(old);
        let mut kept: HashMap<usize, Arc<Mutex<Vitals>>> = HashMap::new();
        for (place, id) in places(new) {
            if let Some(vitals) = before.get(&place).and_then(|id| of_old(*id)) {
                kept.insert(id, vitals);
            }
        }
        // Ids go on where those of the old one end.
        let gap = old.ids().end..new.ids().start;
        slots.extend(gap.map(|_| Arc::default()));
        slots.extend(new.ids().map(|id| kept.remove(&id).unwrap_or_default()));
        self.vitals.store(Arc::new(Table { first: old.ids().start, slots }));
    }

    fn vitals<T>(&self, id: DeploymentId, act: impl FnOnce(&mut Vitals) -> T) -> Option<T> {
        let table = self.vitals.load();
        let vitals = table.slots.get(id.0.checked_sub(table.first)?)?;
        Some(act(&mut locked(vitals)))
    }

    fn with<T>(&self, id: DeploymentId, act: impl FnOnce(&mut Breaker) -> T) -> Option<T> {
        self.vitals(id, |vitals| act(&mut vitals.breaker))
    }

    /// The keys of providers that have several.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What the router goes by. `stream` says which kind of answer is waited for.
    #[must_use]
    pub fn state(&self, id: DeploymentId, stream: bool, now: Instant) -> Health {
        let state = self.vitals(id, |Vitals { breaker, pulse, in_flight }| Health {
            in_flight: *in_flight,
            passing: breaker.is_passing(now),
            strained: pulse.is_strained(now),
            wait_seconds: pulse
                .wait_seconds(stream, now)
                .unwrap_or_else(|| self.usual.seconds(stream)),
        });
        state.unwrap_or(Health { passing: false, ..Health::default() })
    }

    /// How long answers of that kind have taken of late, in seconds; `None` where it gave none.
    #[must_use]
    pub fn wait_seconds(&self, id: DeploymentId, stream: bool, now: Instant) -> Option<f32> {
        self.vitals(id, |vitals| vitals.pulse.wait_seconds(stream, now)).flatten()
    }

    /// The share of attempts that failed of late, from 0 to 1.
    #[must_use]
    pub fn fault_share(&self, id: DeploymentId) -> f32 {
        self.vitals(id, |vitals| vitals.pulse.fault_share()).unwrap_or_default()
    }

    #[must_use]
    pub fn wait(&self, id: DeploymentId, now: Instant) -> Duration {
        self.with(id, |breaker| breaker.wait(now)).unwrap_or_default()
    }

    /// Whether it would be let through now, without asking for it.
    #[must_use]
    pub fn is_passing(&self, id: DeploymentId, now: Instant) -> bool {
        self.with(id, |breaker| breaker.is_passing(now)).unwrap_or_default()
    }

    /// Whether its rest is over and nobody asks it.
    #[must_use]
    pub fn is_due(&self, id: DeploymentId, now: Instant) -> bool {
        self.with(id, |breaker| breaker.is_due(now)).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn has_tripped(&self, id: DeploymentId) -> bool {
        self.with(id, |breaker| breaker.has_tripped()).unwrap_or_default()
    }

    /// Waits for so long, or until any probe has ended.
    pub async fn rested(&self, wait: Duration) {
        // That nobody told in time is as good.
        let _told = tokio::time::timeout(wait, self.probed.notified()).await;
    }

    /// Leave to try a deployment; `None` while it is left alone.
    pub fn permit(self: &Arc<Self>, id: DeploymentId, now: Instant) -> Option<Permit> {
        let table = self.vitals.load();
        let slot = table.slots.get(id.0.checked_sub(table.first)?)?;
        let mut vitals = locked(slot);
        let leave = vitals.breaker.leave(now)?;
        vitals.in_flight += 1;
        let probe = leave.is_probe().then(|| Arc::clone(self));
        Some(Permit { id, leave, vitals: Arc::clone(slot), probe, reported: false })
    }

    /// An answer of it came to its end.
    pub fn succeeded(&self, permit: Permit) {
        let now = Instant::now();
        let (id, leave, up) = permit.reported(|leave, vitals| vitals.breaker.succeeded(leave, now));
        self.told_of(leave);
        if up {
            self.tell(id, Tiding::Up);
        }
    }

    /// A session with it opened. That says enough of a probe, for which others wait. Of any other the end tells
    /// more: the permit is handed back for it, and counts as in flight until then.
    pub fn opened(&self, permit: Permit) -> Option<Permit> {
        if permit.leave.is_probe() {
            self.succeeded(permit);
            return None;
        }
        Some(permit)
    }

    /// A session with it broke off in the middle. `permit`: what was left of [`Self::opened`].
    pub fn broke_off(self: &Arc<Self>, id: DeploymentId, permit: Option<Permit>, fault: &Fault) {
        // A session that was a probe says nothing of a deployment that rests by now: the next probe does.
        let fresh = || self.permit(id, Instant::now()).filter(|fresh| !fresh.leave.is_probe());
        if let Some(permit) = permit.or_else(fresh) {
            self.failed(permit, fault, None);
        }
    }

    /// A probe that cost nothing found that it is there.
    pub fn is_there(&self, permit: Permit) {
        let (id, leave, up) = permit.reported(|leave, vitals| vitals.breaker.is_there(leave));
        self.told_of(leave);
        if up {
            self.tell(id, Tiding::Up);
        }
    }

    /// A probe that cost nothing found that it is not.
    pub fn is_away(&self, permit: Permit) {
        let now = Instant::now();
        // Nobody had to wait for that, however long it took.
        let failure = FailureCost::Fast;
        let (id, leave, rest) =
            permit.reported(|leave, vitals| vitals.breaker.failed(leave, failure, now));
        self.told_of(leave);
        self.tell_down(id, failure, rest);
    }

    /// It began to answer after `took`: `stream` says what was asked for. How that ends is still to
    /// be reported.
    pub fn begun(&self, id: DeploymentId, stream: bool, took: Duration) {
        self.usual.observe(stream, took);
        self.vitals(id, |vitals| vitals.pulse.answered(stream, took, Instant::now()));
    }

    /// A stream of it began after so long, or was not waited for any longer; `thinks` = it thought first.
    pub fn first_token(&self, id: DeploymentId, thinks: bool, took: Duration) {
        self.vitals(id, |vitals| vitals.pulse.first_token(thinks, took));
    }

    /// A stream of it said so many tokens per second.
    pub fn wrote(&self, id: DeploymentId, rate: f32) {
        self.vitals(id, |vitals| vitals.pulse.wrote(rate));
    }

    /// After how long a first token is later than nearly ever, if enough are known.
    #[must_use]
    pub fn late(&self, id: DeploymentId, thinks: bool) -> Option<Duration> {
        self.vitals(id, |vitals| vitals.pulse.first_tokens(thinks).late()).flatten()
    }

    /// Seconds to the first token that a share of its streams does not exceed.
    #[must_use]
    pub fn latency(&self, id: DeploymentId, share: f64) -> Option<f32> {
        self.vitals(id, |vitals| vitals.pulse.first_tokens(false).quantile(share)).flatten()
    }

    /// Tokens per second that a share of its streams does not fall short of.
    #[must_use]
    pub fn throughput(&self, id: DeploymentId, share: f64) -> Option<f32> {
        self.vitals(id, |vitals| vitals.pulse.rates().quantile(1.0 - share)).flatten()
    }

    /// It said what share of its limits is left.
    pub fn left(&self, id: DeploymentId, share: f64) {
        self.vitals(id, |vitals| vitals.pulse.left(share, Instant::now()));
    }

    /// It failed, before or after it began; `rest` is how long it asks to be left alone.
    pub fn failed(&self, permit: Permit, fault: &Fault, rest: Option<Duration>) {
        let now = Instant::now();
        let failure = match fault.kind {
            FaultKind::Timeout => FailureCost::Timeout,
            _ => FailureCost::Fast,
        };
        let (id, leave, rests) = permit.reported(|leave, Vitals { breaker, pulse, .. }| {
            let mut rests = None;
            if fault.counts_against_health() {
                rests = breaker.failed(leave, failure, now);
                pulse.failed();
            } else {
                breaker.neither(leave, now);
            }
            if let Some(rest) = rest {
                breaker.rest_until(now + rest);
            }
            rests
        });
        self.told_of(leave);
        self.tell_down(id, failure, rests);
    }

    /// What is found out from now on, for other nodes; to be asked for once.
    pub fn tidings(&self) -> mpsc::Receiver<(DeploymentId, Tiding)> {
        let (told, tidings) = mpsc::channel(WAITING);
        // Asked for again, there are none.
        let _once = self.tidings.set(told);
        tidings
    }

    /// Another node has found that out. It is not told again.
    pub fn heard(&self, id: DeploymentId, tiding: Tiding) {
        let now = Instant::now();
        let up = self.with(id, |breaker| match tiding {
            Tiding::Up => breaker.heard_up(),
            Tiding::Down { rest, failure } => {
                breaker.heard_down(rest, failure, now);
                false
            }
        });
        if up == Some(true) {
            self.probed.notify_waiters();
        }
    }

    fn tell_down(&self, id: DeploymentId, failure: FailureCost, rest: Option<Duration>) {
        if let Some(rest) = rest {
            self.tell(id, Tiding::Down { rest, failure });
        }
    }

    fn tell(&self, id: DeploymentId, tiding: Tiding) {
        if let Some(told) = self.tidings.get() {
            // Late is as good as never.
            let _full = told.try_send((id, tiding));
        }
    }

    fn told_of(&self, leave: BreakerLeave) {
        if leave.is_probe() {
            self.probed.notify_waiters();
        }
    }
}

/// Leave to try a deployment, and the duty to report how it went. One that is dropped without a word,
/// because its caller left, says nothing of the deployment: another probe may be sent at once.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing of the deployment"]
pub struct Permit {
    id: DeploymentId,
    leave: BreakerLeave,
    vitals: Arc<Mutex<Vitals>>,
    /// Of a probe others want to know how it went, even if nobody says.
    probe: Option<Arc<HealthBoard>>,
    reported: bool,
}

impl Permit {
    /// It has ended, and says so much of the deployment.
    fn reported<T>(
        mut self,
        act: impl FnOnce(BreakerLeave, &mut Vitals) -> T,
    ) -> (DeploymentId, BreakerLeave, T) {
        self.reported = true;
        let mut vitals = locked(&self.vitals);
        vitals.in_flight = vitals.in_flight.saturating_sub(1);
        let found = act(self.leave, &mut vitals);
        drop(vitals);
        (self.id, self.leave, found)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.reported {
            return;
        }
        let mut vitals = locked(&self.vitals);
        vitals.in_flight = vitals.in_flight.saturating_sub(1);
        if let Some(board) = self.probe.take() {
            vitals.breaker.neither(self.leave, Instant::now());
            drop(vitals);
            board.told_of(self.leave);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::FaultKind;

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_leaves_blocks_nobody() {
        let board = Arc::new(HealthBoard::new(0..1));
        let id = DeploymentId(0);
        let fault = Fault::new(FaultKind::Broken, "");
        while let Some(permit) = board.permit(id, Instant::now()) {
            board.failed(permit, &fault, None);
        }
        tokio::time::advance(board.wait(id, Instant::now())).await;
        let probe = board.permit(id, Instant::now()).unwrap();
        assert!(board.permit(id, Instant::now()).is_none(), "one at a time");
        drop(probe);
        assert!(board.permit(id, Instant::now()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_in_flight_from_leave_to_report_or_until_their_caller_leaves() {
        let board = Arc::new(HealthBoard::new(0..1));
        let (id, now) = (DeploymentId(0), Instant::now());
        let in_flight = || board.state(id, true, now).in_flight;
        let mut permits: Vec<Permit> = (0..3).filter_map(|_| board.permit(id, now)).collect();
        assert_eq!(in_flight(), 3);
        board.succeeded(permits.pop().unwrap());
        assert_eq!(in_flight(), 2);
        board.failed(permits.pop().unwrap(), &Fault::new(FaultKind::Broken, ""), None);
        assert_eq!(in_flight(), 1);
        drop(permits);
        assert_eq!(in_flight(), 0);
    }
}
