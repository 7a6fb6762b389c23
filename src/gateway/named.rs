//! The decision for a model by name, as far as the caller's plan goes.

use tokio::time::Instant;

use super::app::App;
use super::demands;
use crate::admit::{Caller, Feature};
use crate::base::Error;
use crate::catalogue::{Mode, Model};
use crate::router::{self, Decision};

/// The deployments of a model by name, best first.
pub(super) fn by_name(
    app: &App,
    caller: &Caller,
    model: &str,
    mode: Mode,
) -> Result<Decision, Error> {
    let shared = &app.shared;
    let now = Instant::now();
    let allows = |model: &Model| caller.may_use(model);
    let live = app.live();
    let health = |id| shared.routing.health.state(id, false, now);
    let draw = app.dice.borrow_mut().unit();
    let wall = shared.clock.now();
    let mut decision =
        router::decide_named(model, mode, &live.catalogue, wall, &allows, &health, draw)?;
    demands::hold(caller, model, &mut decision)?;
    Ok(decision)
}

/// The same, as far as the caller's plan goes.
pub(super) fn named(
    app: &App,
    caller: &Caller,
    model: &str,
    mode: Mode,
) -> Result<Decision, Error> {
    let mut decision = by_name(app, caller, model, mode)?;
    bound(caller, &mut decision);
    Ok(decision)
}

/// Only the first deployment, where the caller has no failover.
pub(super) fn bound(caller: &Caller, decision: &mut Decision) {
    if !caller.features.has(Feature::Failover) {
        decision.steps.truncate(1);
    }
}
