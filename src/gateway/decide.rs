//! What a request is decided by: which deployments may answer, best first, and how strictly it is held to what
//! it says.

use tokio::time::Instant;

use super::app::App;
use super::app::Routing;
use super::{demands, named, wishes};
use crate::admit::{Caller, Feature};
use crate::affinity::conversation;
use crate::base::{Error, Kind};
use crate::exchange::Asked;
use crate::live::Live;
use crate::router::{self, Choice, Decision, Dial, Features, Health, Needs, Wish, Wishes};
use crate::wire::Inbound;

/// Whether what a provider cannot be told is refused, not dropped: as the request, the plan or the operator
/// has it.
pub(super) fn is_strict(app: &App, caller: &Caller, asked: &Asked) -> bool {
    asked.strict
        || asked.wishes().provider.require_parameters
        || app.shared.serving.strict
        || caller.features.has(Feature::StrictParameters)
}

/// Which deployments may answer, best first. Only `auto` needs the words.
pub(super) async fn decide(
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
        let Routing { affinity, health, .. } = &app.shared.routing;
        affinity.stay(health, caller, inbound, asked, &mut decision);
    }
    named::bound(caller, &mut decision);
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
    let (shared, routing) = (&app.shared, &app.shared.routing);
    caller.features.must_have(Feature::AutoRouting)?;
    let found_out = routing.learned.corrections_of(live, &caller.account).await;
    let (now, stream) = (Instant::now(), inbound.head.stream);
    let request = inbound.request()?;
    let wish = Wish { dial: asked.dial.unwrap_or(dial), max_cost: asked.max_cost };
    let (wishes, wall) = (asked.wishes(), shared.clock.now());
    let excluded = wishes::excluded(app, live, caller, wishes);
    let state = |id| {
        let state = routing.health.state(id, stream, now);
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
        explore: app.dice.borrow_mut().wins(routing.explore),
        thorough: asked.thorough,
        before: conversation(caller, inbound, asked)?
            .and_then(|conversation| routing.affinity.before(conversation, live.generation())),
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
        if routing.learned.recorder.is_some() {
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
