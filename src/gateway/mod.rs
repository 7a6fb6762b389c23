//! The path of a request, front to back: one readable function per kind of call.

mod affinity;
pub mod agents;
mod app;
pub mod cache;
mod cascade;
mod charge;
pub mod chats;
mod check;
pub mod connect;
mod count;
mod demands;
mod embed;
pub mod feedback;
mod guarding;
pub mod idempotency;
mod images;
pub mod lifecycle;
pub mod live;
pub mod memory;
mod moderating;
pub mod outcomes;
mod realtime;
mod recorder;
pub mod responses;
mod route;
pub mod users;
mod wishes;
mod words;

use std::borrow::Cow;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use serde_json::Map;
use tokio::time::Instant;

use crate::admit::{Caller, Feature, Scope};
use crate::base::ids::RequestId;
use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Model};
use crate::ledger::Outcome;
use crate::quota::Standing;
use crate::router::{self, Choice, Decision, Dial, Features, Health, Needs, Step, Wish, Wishes};
use crate::wire::vocab::{Dialect, Losses, Reply};
use crate::wire::{Heading, Inbound, PathTarget, codec};

use affinity::conversation;
use cache::CacheWish;
use cascade::Planned;
use guarding::Guarded;
use live::Live;

pub use affinity::{Affinity, Whereabouts};
pub use app::{App, MemoryModels, Sessions, Shared};
pub use cascade::Checks;
use charge::{Earlier, Intent, Why};
pub use count::count_tokens;
pub use embed::embed;
pub use images::{draw, picture};
pub use realtime::{Meter, converse, hang_up, overhear};
pub use recorder::Recorder;
pub use route::explain;

/// A request that has been let in by its credential, not yet read.
#[derive(Debug)]
pub struct Arrival {
    pub id: RequestId,
    pub dialect: Dialect,
    pub body: Bytes,
    /// What the path says, where the dialect puts the model there.
    pub target: Option<PathTarget>,
    /// Headers for a provider of the same dialect.
    pub forward: Vec<(&'static str, String)>,
    pub asked: Asked,
}

/// What the headers of a request ask for, beside its body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
    /// What a provider cannot be told is refused, not dropped.
    pub strict: bool,
    /// Where the dial of `auto` stands, if not where the model's name says.
    pub dial: Option<Dial>,
    /// What `auto` may spend on the request.
    pub max_cost: Option<Nanos>,
    /// A name for requests that `auto` should leave with one model.
    pub session: Option<String>,
    /// Every model is to be told of, not only those that may be chosen.
    pub thorough: bool,
    /// Whether the cheap candidate is to answer first, and be checked; as the plan has it, where
    /// nothing is said.
    pub cascade: Option<bool>,
    /// Should the stream break off, a model may go on from what was said, if it is known to do so.
    pub rescue_gives: bool,
    pub cache: CacheWish,
    /// How it wants to be routed, beside the model: most say nothing of it.
    pub wishes: Option<Box<Wishes>>,
}

impl Asked {
    #[must_use]
    pub fn wishes(&self) -> &Wishes {
        self.wishes.as_deref().unwrap_or(const { &Wishes::NONE })
    }

    /// The same, at another dial.
    fn at(&self, dial: Dial) -> Self {
        Self { dial: Some(dial), ..self.clone() }
    }
}

impl Arrival {
    /// A request whose body says everything.
    #[must_use]
    pub fn of(id: RequestId, dialect: Dialect, body: Bytes) -> Self {
        Self { id, dialect, body, target: None, forward: Vec::new(), asked: Asked::default() }
    }
}

/// The bytes of a streamed answer, as the caller reads them.
pub type Pieces = Pin<Box<dyn Stream<Item = Bytes>>>;

pub enum Body {
    Whole(Bytes),
    Stream(Pieces),
}

impl Body {
    /// A stream that has come to its end.
    fn at_once(events: Bytes) -> Self {
        Self::Stream(Box::pin(futures_util::stream::iter([events])))
    }
}

/// An answer, and what the headers say of how it came about.
pub struct Answered {
    pub step: Step,
    pub attempts: u8,
    pub losses: Losses,
    pub body: Body,
    /// One line, for `auto` only.
    pub decision: Option<String>,
    /// Where the caller stands with its limits, where the request counted.
    pub standing: Option<Standing>,
    /// How the answer ended, once it has.
    pub ending: Ending,
    /// What else the headers say.
    pub notes: Vec<(&'static str, Cow<'static, str>)>,
}

/// How an answer ended: told by whoever settled it.
pub type Ending = Rc<Cell<Option<Outcome>>>;

/// A failure, how many attempts it took, and where the caller stands with its limits.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    pub attempts: u8,
    pub standing: Option<Box<Standing>>,
}

impl Refused {
    /// The same, of a request for pictures.
    fn of_pictures(mut self) -> Self {
        self.standing = self.standing.map(|standing| Box::new(standing.of_pictures()));
        self
    }
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self { error: error.into(), attempts: 0, standing: None }
    }
}

/// Generates: reads the head, decides, takes what it may cost, and has the decision carried out.
///
/// # Errors
/// What the caller is to be told.
pub async fn answer(app: &App, caller: &Caller, arrival: Arrival) -> Result<Answered, Refused> {
    caller.must_be_for(Scope::Chat)?;
    match agents::asked(app, caller, &arrival).await? {
        None => generate(app, caller, arrival).await,
        // Boxed, as all that few requests take: every request's future has room for the largest path.
        Some(agent) => Box::pin(agents::answer(app, caller, &agent, arrival)).await,
    }
}

/// One turn of a model.
async fn generate(app: &App, caller: &Caller, mut arrival: Arrival) -> Result<Answered, Refused> {
    let live = app.live();
    let guarded = if guarding::may_hold(&live, caller) {
        let body = &mut arrival.body;
        Box::pin(guarding::enter(app, &live, caller, &arrival.id, body)).await?
    } else {
        None
    };
    wishes::take(&mut arrival)?;
    let mark = guarded.as_ref().map(Guarded::mark);
    let words = words::prepare(app, caller, &mut arrival, mark).await?;
    let mut inbound = Inbound::arrive(arrival.dialect, arrival.body, arrival.target)?;
    inbound.forward = arrival.forward;
    inbound.strict = arrival.asked.strict
        || arrival.asked.wishes().provider.require_parameters
        || app.shared.strict
        || caller.features.has(Feature::StrictParameters);
    let decision = decide(app, &live, caller, &inbound, &arrival.asked).await?;
    let planned = cascade::plan(app, &live, caller, &inbound, &arrival.asked, decision).await?;
    if let Some(mut known) = words.as_ref().and_then(|words| words.known(app, caller, &inbound)) {
        if let Some(guarded) = &guarded {
            guarded.tell(&mut known);
        }
        return Ok(known);
    }
    let intent = Intent::of(&arrival.id, arrival.dialect.as_str());
    let weighed = planned.decision().explanation.as_deref();
    let weighed = weighed.map(|all| Box::new(all.weighed(&live.catalogue, &live.predictor)));
    let (steps, why) = (planned.steps(), Why { line: planned.line(), weighed });
    let hold = charge::hold_for(app, caller, steps, why, &inbound.head, intent).await?;
    let answered = match &planned {
        Planned::Cascade(both) => {
            Box::pin(cascade::deliver(app, &live, caller, both, &inbound, &arrival.id, hold))
                .await?
        }
        Planned::Plain(decision) => {
            charge::deliver(app, decision, &inbound, &arrival.id, hold, Earlier::default()).await?
        }
    };
    if let Some(explanation) = &planned.decision().explanation
        && let Some(conversation) = conversation(caller, &inbound, &arrival.asked)?
    {
        let mut models = live.catalogue.models().iter();
        if let Some(place) = models.position(|model| Arc::ptr_eq(model, &answered.step.model)) {
            let place = (live.generation(), place);
            app.shared.affinity.answered(conversation, place, explanation.input_tokens);
        }
    } else {
        affinity::remember(app, caller, &inbound, &arrival.asked, &answered.step);
    }
    let answered = match guarded {
        None => answered,
        Some(guarded) => Box::pin(guarded.leave(&inbound, answered)).await?,
    };
    let answered = match words {
        None => answered,
        Some(words) => {
            Box::pin(words.keep(app, caller, &arrival.id, arrival.dialect, answered)).await
        }
    };
    if let Some(recorder) = &app.shared.recorder
        && let Some(features) = planned.features()
    {
        let mut features = Box::new(features.clone());
        features.model = answered.step.model.id.to_string();
        recorder.keep(features);
    }
    Ok(match &app.shared.findings {
        // Those whose names were asked for are none of the router's choice.
        Some(findings) if planned.decision().is_auto() => {
            outcomes::overhear(findings, caller, inbound, answered)
        }
        _ => answered,
    })
}

/// Which deployments may answer, best first. Only `auto` needs the words.
async fn decide(
    app: &App,
    live: &Live,
    caller: &Caller,
    inbound: &Inbound,
    asked: &Asked,
) -> Result<Decision, Error> {
    let mut decision = match Dial::of(&inbound.head.model) {
        Some(dial) => auto(app, live, caller, inbound, asked, dial).await?,
        None => wishes::named(app, live, caller, &inbound.head.model, asked.wishes())?,
    };
    if !decision.is_auto() {
        affinity::stay(app, caller, inbound, asked, &mut decision);
    }
    if !caller.features.has(Feature::Failover) {
        decision.steps.truncate(1);
    }
    decision.within = asked.wishes().within;
    decision.rescue_gives = asked.rescue_gives;
    Ok(decision)
}

/// What `auto` chooses.
async fn auto(
    app: &App,
    live: &Live,
    caller: &Caller,
    inbound: &Inbound,
    asked: &Asked,
    dial: Dial,
) -> Result<Decision, Error> {
    let shared = &app.shared;
    caller.features.must_have(Feature::AutoRouting)?;
    let found_out = feedback::corrections(app, live, &caller.account).await;
    let (now, stream) = (Instant::now(), inbound.head.stream);
    let request = inbound.request()?;
    let wish = Wish { dial: asked.dial.unwrap_or(dial), max_cost: asked.max_cost };
    let (wishes, wall) = (asked.wishes(), shared.clock.now());
    let excluded = wishes::excluded(app, live, caller, wishes);
    let state = |id| {
        let state = shared.health.state(id, stream, now);
        Health { passing: state.passing && !excluded.contains(&id), ..state }
    };
    let choice = Choice {
        catalogue: &live.catalogue,
        allows: &|model| {
            caller.may_use(model)
                && wishes.could_take(model, wall)
                && (excluded.is_empty()
                    || model.deployments.iter().any(|one| !excluded.contains(&one.id)))
        },
        health: &state,
        predictor: &live.predictor,
        now: wall,
        corrections: Some(&*found_out),
        pays: &|tier| app.counter.tariff.paid(tier),
        explore: app.dice.borrow_mut().wins(shared.explore),
        thorough: asked.thorough,
        before: conversation(caller, inbound, asked)?
            .and_then(|conversation| shared.affinity.before(conversation, live.generation())),
    };
    let demand = live.predictor.demand(request);
    let needs = Needs::of(request);
    let decided = router::decide_auto(wish, &needs, &demand, &choice).or_else(|error| {
        if error.kind != Kind::Overloaded {
            return Err(error);
        }
        // All that could answer rest: the best of them are waited for.
        let up = |id| Health { passing: !excluded.contains(&id), ..Health::default() };
        router::decide_auto(wish, &needs, &demand, &Choice { health: &up, ..choice })
    });
    let mut decision = decided.map_err(|error| wishes::unmet(app, live, caller, wishes, error))?;
    if let Some(explanation) = &mut decision.explanation {
        explanation.moved = (!found_out.is_empty()).then_some(found_out);
        if shared.recorder.is_some() {
            let (router, account) = (live.predictor.id(), &caller.account);
            let features = Features::of(&demand, &needs, wish, router, account, wall);
            explanation.features = Some(Box::new(features));
        }
    }
    wishes::arrange(app, wishes, &mut decision)?;
    demands::hold(caller, "auto", &mut decision)?;
    if !wishes.models.is_empty()
        && let Some((first, rest)) = wishes.models.split_first()
    {
        let wishes = Wishes { models: rest.to_vec(), ..wishes.clone() };
        let mut then = wishes::named(app, live, caller, first, &wishes)?;
        decision.steps.append(&mut then.steps);
        decision.left_out.append(&mut then.left_out);
    }
    Ok(decision)
}

/// A whole answer as the stream that says the same.
fn as_stream(
    app: &App,
    dialect: Dialect,
    model: &str,
    reply: &Reply,
    include_usage: bool,
) -> Bytes {
    let heading = Heading {
        id: reply.id.clone().unwrap_or_default(),
        model: model.to_owned(),
        created: reply.created.unwrap_or_else(|| app.shared.clock.now().seconds()),
        include_usage,
        echo: Map::new(),
        clock: app.shared.clock,
    };
    let (mut writer, mut out) = (codec(dialect).writer(heading), Vec::new());
    writer.write(&reply.events(), &mut out);
    writer.finish(&mut out);
    Bytes::from(out)
}

/// The deployments of a model by name, best first.
fn by_name(app: &App, caller: &Caller, model: &str, mode: Mode) -> Result<Decision, Error> {
    let shared = &app.shared;
    let now = Instant::now();
    let allows = |model: &Model| caller.may_use(model);
    let live = app.live();
    let health = |id| shared.health.state(id, false, now);
    let draw = app.dice.borrow_mut().unit();
    let wall = shared.clock.now();
    let mut decision =
        router::decide_named(model, mode, &live.catalogue, wall, &allows, &health, draw)?;
    demands::hold(caller, model, &mut decision)?;
    Ok(decision)
}

/// The same, as far as the caller's plan goes.
fn named(app: &App, caller: &Caller, model: &str, mode: Mode) -> Result<Decision, Error> {
    let mut decision = by_name(app, caller, model, mode)?;
    if !caller.features.has(Feature::Failover) {
        decision.steps.truncate(1);
    }
    Ok(decision)
}
