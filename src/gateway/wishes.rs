//! What a request says of its routing, beside the model: read from its body and its headers, and
//! carried out around the router's decision.

use std::collections::HashSet;
use std::sync::Arc;

use super::app::App;
use super::demands;
use super::named::by_name;
use crate::admit::Caller;
use crate::base::Error;
use crate::catalogue::{DeploymentId, Mode, Model};
use crate::exchange::Arrival;
use crate::live::Live;
use crate::router::{Decision, LeftOut, Measured, Preferences, Wishes};
use crate::wire::aside;

/// Takes what the body says of it out of the body.
///
/// # Errors
/// What cannot be read, with the member's name.
pub(super) fn take(arrival: &mut Arrival) -> Result<(), Error> {
    let in_path = arrival.target.is_some();
    let first = |aside: &serde_json::Map<String, serde_json::Value>| {
        let listed = aside.get("models").and_then(|models| models.get(0)?.as_str());
        // Who says by whom and not by which model is to be answered leaves the model to us.
        let open = || aside.contains_key("provider").then_some("auto");
        listed.or_else(open).filter(|_| !in_path).map(str::to_owned)
    };
    if let Some((body, members)) = aside::taken(&arrival.body, &Wishes::MEMBERS, first)? {
        arrival.body = body;
        arrival.asked.wishes.get_or_insert_default().read(members)?;
    }
    Ok(())
}

/// The deployments of the models that are named, as the caller wishes.
pub(super) fn named(
    app: &App,
    live: &Live,
    caller: &Caller,
    model: &str,
    wishes: &Wishes,
) -> Result<Decision, Error> {
    if !wishes.choose() && !model.contains(':') {
        return by_name(app, caller, model, Mode::Chat);
    }
    let mut wishes = wishes.clone();
    let mut decision: Option<Decision> = None;
    let (mut left_out, mut refused) = (Vec::new(), None);
    let models = std::mem::take(&mut wishes.models);
    let chain = !models.is_empty();
    let mut seen = Vec::new();
    for name in std::iter::once(model).chain(models.iter().map(String::as_str)) {
        let name = wishes.suffixed(name, &live.catalogue);
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        // A provider's name before the model's says who made it, where the caller says elsewhere
        // who is to serve it.
        let slug = live.catalogue.by_slug(name).filter(|_| wishes.choose());
        let id = slug.map_or(name, |model| &*model.id);
        match by_name(app, caller, id, Mode::Chat) {
            Ok(mut next) => {
                left_out.append(&mut next.left_out);
                // The caller's own chain stands in the place of the operator's.
                if let Some(own) = next.steps.first().filter(|_| chain).map(|one| one.model.clone())
                {
                    next.steps.retain(|step| Arc::ptr_eq(&step.model, &own));
                }
                match &mut decision {
                    None => decision = Some(next),
                    Some(decision) => decision.steps.append(&mut next.steps),
                }
            }
            Err(error) => {
                left_out.push(LeftOut { model: name.to_owned(), provider: None, member: "models" });
                refused.get_or_insert(error);
            }
        }
    }
    let Some(mut decision) = decision else {
        return Err(refused.unwrap_or_else(|| Error::unknown_model(model)));
    };
    decision.left_out = left_out;
    arrange(app, &wishes, &mut decision)?;
    Ok(decision)
}

/// Leaves out of a decision, and puts in order, what the caller wishes so.
pub(super) fn arrange(app: &App, wishes: &Wishes, decision: &mut Decision) -> Result<(), Error> {
    let health = &app.shared.routing.health;
    let measured = Measured {
        throughput: &|id, share| health.throughput(id, share),
        latency: &|id, share| health.latency(id, share),
        now: app.shared.clock.now(),
    };
    let steps = std::mem::take(&mut decision.steps);
    decision.steps = wishes.provider.arrange(steps, measured, &mut decision.left_out)?;
    Ok(())
}

/// The deployments that `auto` must not choose: next to nobody has any such wish, or is held to anything.
pub(super) fn excluded(
    app: &App,
    live: &Live,
    caller: &Caller,
    wishes: &Wishes,
) -> HashSet<DeploymentId> {
    let demanded = caller.demanded();
    if wishes.provider == Preferences::NONE && demanded.is_none() {
        return HashSet::new();
    }
    let now = app.shared.clock.now();
    let all = live.catalogue.models().iter();
    let all = all.flat_map(|model| model.deployments.iter().map(move |one| (model, one)));
    let out = all.filter(|(model, one)| {
        wishes.provider.keeps(model, one, now).is_err()
            || demanded.is_some_and(|demanded| demanded.met_by(&one.data).is_err())
    });
    out.map(|(_, one)| one.id).collect()
}

/// Why `auto` has found nobody: for a wish that nobody meets, if it is that.
pub(super) fn unmet(
    app: &App,
    live: &Live,
    caller: &Caller,
    wishes: &Wishes,
    error: Error,
) -> Error {
    if let Some(demanded) = caller.demanded()
        && let Some(unmet) = demands::keep_all_out(live, caller, demanded)
    {
        return unmet;
    }
    if !wishes.choose() {
        return error;
    }
    let allows = |model: &Model| caller.may_use(model) && model.mode == Mode::Chat;
    wishes.unmet(&live.catalogue, &allows, app.shared.clock.now()).unwrap_or(error)
}
