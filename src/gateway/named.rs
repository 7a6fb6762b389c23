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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::Kind;
    use crate::boot::fixture::Fixture;

    /// The model `m` at two providers, of whom only the second keeps nothing, and a dear one.
    const CONFIG: &str = "
        [providers.p1]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        [providers.p2]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        data = { retention_days = 0 }
        [[models]]
        id = \"m\"
        tier = \"budget\"
        deployments = [{ provider = \"p1\" }, { provider = \"p2\" }]
        [[models]]
        id = \"dear\"
        tier = \"ultra\"
        deployments = [{ provider = \"p1\" }]
        [plans.cheap]
        tiers = [\"free\", \"budget\"]
        [plans.single]
        features = { failover = false }
        [plans.private]
        zdr = true
    ";

    fn providers(decision: &Decision) -> Vec<&str> {
        decision.steps.iter().map(|step| &*step.deployment.provider.id).collect()
    }

    #[tokio::test]
    async fn a_plan_without_failover_gets_one_deployment_and_the_others_all_of_them() {
        let fixture = Fixture::of(CONFIG).await;
        for (plan, places) in [("cheap", &["p1", "p2"][..]), ("single", &["p1"])] {
            let caller = fixture.caller(plan).await;
            let decision = named(&fixture.app, &caller, "m", Mode::Chat).unwrap();
            assert_eq!(providers(&decision), places, "{plan}");
        }
        // What a decision was made for otherwise is held to it by itself.
        let caller = fixture.caller("single").await;
        let decision = by_name(&fixture.app, &caller, "m", Mode::Chat).unwrap();
        assert_eq!(providers(&decision), ["p1", "p2"]);
    }

    #[tokio::test]
    async fn the_one_deployment_without_failover_is_one_that_is_up() {
        let fixture = Fixture::of(CONFIG).await;
        fixture.rest("p1");
        let caller = fixture.caller("single").await;
        let decision = named(&fixture.app, &caller, "m", Mode::Chat).unwrap();
        assert_eq!(providers(&decision), ["p2"]);
    }

    #[tokio::test]
    async fn a_model_out_of_the_plan_or_of_the_key_is_refused() {
        let fixture = Fixture::of(CONFIG).await;
        let cheap = fixture.caller("cheap").await;
        let terms = KeyTerms { models: Some(vec!["d*".to_owned()]), ..KeyTerms::default() };
        let held = fixture.caller_with("enterprise", &terms).await;
        for (caller, model) in [(&cheap, "dear"), (&held, "m")] {
            let error = named(&fixture.app, caller, model, Mode::Chat).unwrap_err();
            assert_eq!(error.kind, Kind::Forbidden, "{model}");
        }
        assert!(named(&fixture.app, &cheap, "m", Mode::Chat).is_ok());
        assert!(named(&fixture.app, &held, "dear", Mode::Chat).is_ok());
    }

    #[tokio::test]
    async fn what_a_plan_demands_of_providers_leaves_out_those_who_do_not_meet_it() {
        let fixture = Fixture::of(CONFIG).await;
        let caller = fixture.caller("private").await;
        let decision = named(&fixture.app, &caller, "m", Mode::Chat).unwrap();
        assert_eq!(providers(&decision), ["p2"]);
        assert_eq!(decision.left_out.len(), 1);
        let error = named(&fixture.app, &caller, "dear", Mode::Chat).unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (Kind::Forbidden, Some("plan.zdr")));
    }

    #[tokio::test]
    async fn a_model_of_another_kind_and_a_name_that_nobody_has_are_told_apart() {
        let fixture = Fixture::of(CONFIG).await;
        let caller = fixture.caller("cheap").await;
        let kind = |model, mode| named(&fixture.app, &caller, model, mode).unwrap_err().kind;
        assert_eq!(kind("m", Mode::Embedding), Kind::Unsupported);
        assert_eq!(kind("nobody", Mode::Chat), Kind::UnknownModel);
    }
}
