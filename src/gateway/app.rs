//! The handles that every request on a worker shares.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::administration::Administration;
use crate::admit::{Authentication, Identities, Inflow, Plans};
use crate::affinity::Affinity;
use crate::apps::Connections;
use crate::base::clock::{Clock, Dice, Timestamp};
use crate::base::ids::KeyId;
use crate::findings::CorrectionStore;
use crate::ledger::{Counter, Journal};
use crate::live::{Current, Live, Trial};
use crate::memory::Memories;
use crate::quota;
use crate::responses::Responses;
use crate::store::Store;
use crate::stored::{CallerStore, Keys};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{AttemptLimits, HealthBoard, Hedges, Refusals, StreamsEnd, Upstream};
use crate::words::Keeping;

/// Time limits of a realtime session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    pub idle: Duration,
    pub duration: Duration,
}

/// How first answers are checked, beside what can be told from them alone.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// The model that is asked whether an answer is right.
    pub judge: Option<String>,
    /// How long it may take, and how long the second answer may.
    pub patience: Duration,
    /// Short answers are asked for once more.
    pub twice: bool,
}

/// What requests are decided by, and what is known of those who answer.
#[derive(Clone)]
pub struct Routing {
    /// The catalogue and the router, as they are now.
    pub current: Current,
    /// Tries what another revision would be.
    pub trial: Trial,
    pub health: Arc<HealthBoard>,
    /// What deployments refused, though no file says so.
    pub refusals: Arc<Refusals>,
    /// How many streams may still be asked of two deployments.
    pub hedges: Arc<Hedges>,
    /// The share of `auto`'s requests that find something out.
    pub explore: f64,
    /// How first answers of cascades are checked.
    pub checks: Checks,
    /// Where conversations were answered.
    pub affinity: Affinity,
    /// What was found out of models while they were used.
    pub learned: CorrectionStore,
}

/// Where it is counted and written down what was delivered.
#[derive(Clone)]
pub struct Books {
    pub journal: Journal,
    /// Where nodes agree on limits, if they do.
    pub redis: Option<quota::SharedCounters>,
    /// The model that savings are told against.
    pub baseline_model: Option<String>,
}

/// The state of this node's process.
#[derive(Clone)]
pub struct NodeState {
    /// When it began.
    pub started: Timestamp,
    /// The store answered when it was last asked, which is twice a second.
    pub store_is_up: Arc<AtomicBool>,
    /// It has been told to stop: it still answers, and wants nothing new.
    pub draining: Arc<AtomicBool>,
    /// Ends the streams that are under way, when it is stopped.
    pub streams_end: StreamsEnd,
}

/// Within which bounds requests are served, and where this gateway is reached.
#[derive(Clone)]
pub struct Serving {
    pub limits: AttemptLimits,
    pub body_limit_bytes: usize,
    /// What may be on its way to this node at once.
    pub inflow: Inflow,
    /// Every request is strict, whether or not it says so.
    pub strict: bool,
    pub sessions: SessionLimits,
    /// How long the address of a picture is good.
    pub images_kept_for: Duration,
    /// Where this gateway is reached from outside, if not where a request says.
    pub public_url: Option<String>,
    /// Callers' addresses are told by `X-Forwarded-For`.
    pub behind_proxy: bool,
}

/// What all workers share, by what it is for.
#[derive(Clone)]
pub struct Shared {
    pub store: Store,
    pub clock: Clock,
    pub metrics: Metrics,
    pub identities: Identities,
    /// Where people sign in.
    pub authentication: Authentication,
    pub plans: Plans,
    pub routing: Routing,
    pub books: Books,
    pub node: NodeState,
    pub serving: Serving,
    /// Where answers that are given again and contents are kept.
    pub words: Keeping,
    /// What is remembered of users.
    pub memories: Memories,
    /// Apps whose tools can be run.
    pub connections: Connections,
    /// Answers of `/v1/responses` that can be built on.
    pub responses: Responses,
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
            current: &shared.routing.current,
            trial: &shared.routing.trial,
            recent: shared.routing.learned.recorder.clone().map(
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

    /// Where callers keep what is theirs.
    #[must_use]
    pub fn kept(&self) -> CallerStore<'_> {
        CallerStore { store: &self.shared.store, clock: self.shared.clock }
    }

    /// Where keys are seen to.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        let Shared { store, identities, routing, clock, .. } = &self.shared;
        Keys { store, identities, current: &routing.current, clock: *clock }
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
        self.shared.routing.current.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::plan::PlanEntry;
    use crate::boot::fixture::Fixture;
    use crate::catalogue::Catalogue;
    use crate::router::Predictor;

    #[tokio::test]
    async fn work_that_goes_on_counts_where_its_worker_does_and_draws_for_itself() {
        let fixture = Fixture::of("").await;
        let app = &fixture.app;
        let aside = app.aside();
        assert!(Rc::ptr_eq(&app.counter, &aside.counter));
        assert!(Arc::ptr_eq(&app.upstream.health, &aside.upstream.health));
        assert!(Arc::ptr_eq(&app.live(), &aside.live()));
        let draws = |app: &App| [(); 4].map(|()| app.dice.borrow_mut().unit().to_bits());
        assert_ne!(draws(app), draws(&aside));
    }

    #[tokio::test]
    async fn what_is_put_in_force_is_what_the_next_request_is_decided_by() {
        let fixture = Fixture::of("").await;
        let app = &fixture.app;
        let before = app.live();
        let catalogue = Catalogue::default();
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
        app.shared.routing.current.swap(Live {
            catalogue,
            predictor,
            guardrails: None,
            revision: 7,
        });
        assert_eq!((before.revision, app.live().revision), (0, 7));
    }

    #[tokio::test]
    async fn what_is_administered_is_logged_under_whoever_did_it() {
        let fixture = Fixture::of("").await;
        let actor = KeyId::stored("key_ann");
        let administration = fixture.app.administration(actor.clone());
        assert!(administration.recent.is_none(), "nothing is recorded that is not to be");
        let account =
            administration.open_account("house", "free", &PlanEntry::default()).await.unwrap();
        let audits = fixture.app.shared.store.audits(None, 10).await.unwrap();
        let of = |one: &crate::store::Audit| (one.actor.clone(), one.target.clone());
        let told: Vec<(String, String)> = audits.iter().map(of).collect();
        assert_eq!(told, [("key_ann".to_owned(), account.id.as_str().to_owned())]);
    }
}
