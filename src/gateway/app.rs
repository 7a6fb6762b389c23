//! The handles that every request on a worker shares.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;

use super::cache::Answers;
use super::cascade::Checks;
use super::memory::Recollections;
use super::responses::Runs;
use crate::administration::Administration;
use crate::admit::{Authentication, Identities, Inflow, Plans};
use crate::affinity::Affinity;
use crate::base::clock::{Clock, Dice, Timestamp};
use crate::base::ids::KeyId;
use crate::base::seal::Vault;
use crate::connect::Apps;
use crate::findings::Learned;
use crate::ledger::{Counter, Journal};
use crate::live::{Current, Live, Trial};
use crate::quota;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{HealthBoard, Hedges, Limits, Refusals, StreamsEnd, Upstream};

/// Time limits of a realtime session.
#[derive(Debug, Clone, Copy)]
pub struct Sessions {
    pub idle: Duration,
    pub duration: Duration,
}

/// Models that memory asks, where it is told to.
#[derive(Debug, Clone, Default)]
pub struct MemoryModels {
    /// For vectors; the embedded static embedding, if not given.
    pub embedding_model: Option<String>,
    /// For what a memory states; rules, if not given.
    pub extraction_model: Option<String>,
}

/// What all workers share.
#[derive(Clone)]
pub struct Shared {
    /// The catalogue and the router, as they are now.
    pub current: Current,
    /// Tries what another revision would be.
    pub trial: Trial,
    pub identities: Identities,
    /// Where people sign in.
    pub authentication: Authentication,
    /// What credentials are sealed with; `None` = none can be kept.
    pub vault: Option<Vault>,
    /// Callers' addresses are told by `X-Forwarded-For`.
    pub behind_proxy: bool,
    pub plans: Plans,
    pub journal: Journal,
    /// Where nodes agree on limits, if they do.
    pub redis: Option<quota::Shared>,
    /// The model that savings are told against.
    pub baseline_model: Option<String>,
    pub store: Store,
    /// The store answered when it was last asked, which is every second.
    pub store_is_up: Arc<AtomicBool>,
    /// The process has been told to stop: it still answers, and wants nothing new.
    pub draining: Arc<AtomicBool>,
    pub health: Arc<HealthBoard>,
    /// What deployments refused, though no file says so.
    pub refusals: Arc<Refusals>,
    /// How many streams may still be asked of two deployments.
    pub hedges: Arc<Hedges>,
    /// The share of `auto`'s requests that find something out.
    pub explore: f64,
    /// What was found out of models while they were used.
    pub learned: Learned,
    /// How first answers of cascades are checked.
    pub checks: Checks,
    /// Answers that are given again.
    pub answers: Answers,
    /// What finds what is remembered of users.
    pub recollections: Recollections,
    pub memory: MemoryModels,
    /// Apps whose tools can be run.
    pub apps: Apps,
    /// Moves with every event of this node that somebody may watch for.
    pub noted: Arc<watch::Sender<u64>>,
    /// Where conversations were answered.
    pub affinity: Affinity,
    pub metrics: Metrics,
    /// Ends the streams that are under way, when the process is stopped.
    pub streams_end: StreamsEnd,
    /// When this process began.
    pub started: Timestamp,
    pub clock: Clock,
    pub limits: Limits,
    pub body_limit_bytes: usize,
    /// What may be on its way to this node at once.
    pub inflow: Inflow,
    /// Every request is strict, whether or not it says so.
    pub strict: bool,
    /// Answers of `/v1/responses` in the background, on this node.
    pub runs: Runs,
    /// How long such answers can be built on.
    pub responses_kept_for: Duration,
    /// How long the address of a picture is good.
    pub images_kept_for: Duration,
    pub sessions: Sessions,
    /// Where this gateway is reached from outside, if not where a request says.
    pub public_url: Option<String>,
}

/// What one worker has: the shared handles, and what must stay on its thread.
pub struct App {
    pub shared: Shared,
    pub upstream: Upstream,
    pub dice: RefCell<Dice>,
    /// Where this worker's requests are counted and written down.
    pub counter: Rc<Counter>,
}

impl App {
    /// Where accounts, keys and money are seen to, on behalf of whoever holds `actor`.
    #[must_use]
    pub fn administration(&self, actor: KeyId) -> Administration<'_> {
        let shared = &self.shared;
        Administration {
            store: &shared.store,
            current: &shared.current,
            trial: &shared.trial,
            recent: shared.learned.recorder.clone().map(
                |recorder| -> Arc<dyn Fn(usize) -> _ + Send + Sync> {
                    Arc::new(move |most| recorder.recent(most))
                },
            ),
            plans: &shared.plans,
            identities: &shared.identities,
            quota: &self.counter.quota,
            mail: shared.authentication.mail.as_ref(),
            clock: shared.clock,
            actor,
        }
    }

    /// The same worker, for work that goes on when a request is answered.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            upstream: self.upstream.clone(),
            dice: RefCell::new(self.dice.borrow_mut().split()),
            counter: Rc::clone(&self.counter),
        }
    }

    /// What the request that asks is decided by, to its end.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.shared.current.load()
    }
}
