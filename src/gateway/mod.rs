//! The path of a request, front to back: one readable function per kind of call.

mod app;
pub mod conversations;
mod converse;
mod count;
mod draw;
mod embed;
mod models;
pub mod responses;
mod route;

use tokio::time::Instant;

use crate::admit::Caller;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::catalogue::Mode;
use crate::router::{self, Decision, Dial, Features, Health, Needs};
use crate::upstream::{self, Answer};
use crate::wire::vocab::Dialect;
use crate::wire::{Inbound, PathTarget};

pub use app::{App, Sessions, Shared};
pub use converse::{converse, overhear};
pub use count::count_tokens;
pub use draw::{draw, picture};
pub use embed::embed;
pub use models::{ListedModel, list_models};
pub use route::explain;

/// A request that has been let in by its credential, not yet read.
#[derive(Debug)]
pub struct Arrival {
    pub id: RequestId,
    pub dialect: Dialect,
    pub body: bytes::Bytes,
    /// What the path says, where the dialect puts the model there.
    pub target: Option<PathTarget>,
    /// Headers for a provider of the same dialect.
    pub forward: Vec<(&'static str, String)>,
    /// What a provider cannot be told is refused, not dropped.
    pub strict: bool,
}

impl Arrival {
    /// A request whose body says everything.
    #[must_use]
    pub fn of(id: RequestId, dialect: Dialect, body: bytes::Bytes) -> Self {
        Self { id, dialect, body, target: None, forward: Vec::new(), strict: false }
    }
}

/// An answer, and what the headers say of how it came about.
pub struct Answered {
    pub answer: Answer,
    /// One line, for `auto` only.
    pub decision: Option<String>,
}

/// A failure, and how many attempts it took.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    pub attempts: u8,
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { error: error.into(), attempts: 0 }
    }
}

/// Generates: reads the head, decides, and has the decision carried out.
///
/// # Errors
/// What the caller is to be told.
pub async fn answer(app: &App, caller: &Caller, arrival: Arrival) -> Result<Answered, Refused> {
    let mut inbound = Inbound::arrive(arrival.dialect, arrival.body, arrival.target)?;
    inbound.forward = arrival.forward;
    inbound.strict = arrival.strict || app.shared.strict;
    let decision = decide(app, caller, &inbound)?;
    carry_out(app, &decision, &inbound, &arrival.id).await
}

/// Has a decision carried out.
async fn carry_out(
    app: &App,
    decision: &Decision,
    inbound: &Inbound,
    id: &RequestId,
) -> Result<Answered, Refused> {
    let mut dice = app.dice.borrow_mut().split();
    let answer = upstream::run(&app.upstream, decision, inbound, id, &mut dice)
        .await
        .map_err(|(error, attempts)| Refused { error, attempts })?;
    let decision = decision.explanation.as_deref().map(router::Explanation::line);
    Ok(Answered { answer, decision })
}

/// Which deployments may answer, best first. Only `auto` needs the words.
fn decide(app: &App, caller: &Caller, inbound: &Inbound) -> Result<Decision, Error> {
    let shared = &app.shared;
    let now = Instant::now();
    let health = |id| Health { passing: shared.health.is_passing(id, now) };
    let allows = |tier| caller.plan.allows(tier);
    match Dial::of(&inbound.head.model) {
        Some(dial) => {
            let request = inbound.request()?;
            router::decide_auto(
                dial,
                &Needs::of(request),
                &Features::of(request),
                &shared.catalogue,
                &allows,
                &health,
                &*shared.predictor,
            )
        }
        None => named(app, caller, &inbound.head.model, Mode::Chat),
    }
}

/// The deployments of a model by name, best first.
fn named(app: &App, caller: &Caller, model: &str, mode: Mode) -> Result<Decision, Error> {
    let shared = &app.shared;
    let now = Instant::now();
    router::decide_named(model, mode, &shared.catalogue, &|tier| caller.plan.allows(tier), &|id| {
        Health { passing: shared.health.is_passing(id, now) }
    })
}
