//! What a request is decided by: which deployments may answer, best first, and how strictly it is held to what
//! it says.

use tokio::time::Instant;

use super::app::{App, Routing};
use super::{demands, named, wishes};
use crate::admit::{Caller, Feature};
use crate::affinity::conversation;
use crate::base::{Error, Kind};
use crate::exchange::RequestOptions;
use crate::live::Live;
use crate::router::{
    self, CandidatePool, Decision, Dial, DialWish, Health, Needs, RequestFeatures, Wishes,
};
use crate::wire::Inbound;

/// Whether what a provider cannot be told is refused, not dropped: as the request, the plan or the operator
/// has it.
pub(super) fn is_strict(app: &App, caller: &Caller, asked: &RequestOptions) -> bool {
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
    asked: &RequestOptions,
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
    asked: &RequestOptions,
    dial: Dial,
) -> Result<Decision, Error> {
    let (shared, routing) = (&app.shared, &app.shared.routing);
    caller.features.must_have(Feature::AutoRouting)?;
    let found_out = routing.learned.corrections_of(live, &caller.account).await;
    let (now, stream) = (Instant::now(), inbound.head.stream);
    let request = inbound.request()?;
    let dial = asked.dial.unwrap_or(dial);
    let wish = DialWish { dial, max_cost: asked.max_cost, sold: caller.selling().alone() };
    let (wishes, wall) = (asked.wishes(), shared.clock.now());
    let excluded = wishes::excluded(app, live, caller, wishes);
    let state = |id| {
        let state = routing.health.state(id, stream, now);
        Health { passing: state.passing && !excluded.contains(&id), ..state }
    };
    let choice = CandidatePool {
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
        router::decide_auto(wish, &needs, &demand, &CandidatePool { health: &up, ..choice })
    });
    let mut decision = decided.map_err(|error| wishes::unmet(app, live, caller, wishes, error))?;
    if let Some(explanation) = &mut decision.explanation {
        explanation.moved = (!found_out.is_empty()).then_some(found_out);
        if routing.learned.recorder.is_some() {
            let (router, account) = (live.predictor.id(), &caller.account);
            let features = RequestFeatures::of(&demand, &needs, wish, router, account, wall);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::seconds::Seconds;
    use crate::boot::fixture::Fixture;
    use crate::catalogue::Timeouts;
    use crate::router::Preferences;
    use crate::wire::vocab::Dialect;

    /// Each model at a provider of its own, and `both` at two.
    const CONFIG: &str = "
        [providers.p1]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        [providers.p2]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        [[models]]
        id = \"one\"
        tier = \"budget\"
        deployments = [{ provider = \"p1\" }]
        [[models]]
        id = \"two\"
        tier = \"premium\"
        deployments = [{ provider = \"p2\" }]
        [[models]]
        id = \"both\"
        tier = \"mid\"
        deployments = [{ provider = \"p1\" }, { provider = \"p2\" }]
        [plans.cheap]
        tiers = [\"budget\"]
        [plans.single]
        features = { failover = false }
        [plans.strict]
        features = { strict_parameters = true }
        [plans.unrouted]
        features = { auto_routing = false }
    ";

    fn asking(model: &str) -> Inbound {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        Inbound::arrive(Dialect::OpenAiChat, Bytes::from(body.to_string()), None).unwrap()
    }

    fn wishing(wishes: Wishes) -> RequestOptions {
        RequestOptions { wishes: Some(Box::new(wishes)), ..RequestOptions::default() }
    }

    fn ignoring(providers: &[&str]) -> Wishes {
        let ignore = providers.iter().map(ToString::to_string).collect();
        let provider = Preferences { ignore, ..Preferences::default() };
        Wishes { provider, ..Wishes::default() }
    }

    async fn decided(
        fixture: &Fixture,
        plan: &str,
        model: &str,
        asked: &RequestOptions,
    ) -> Result<Decision, Error> {
        let caller = fixture.caller(plan).await;
        decide(&fixture.app, &fixture.app.live(), &caller, &asking(model), asked).await
    }

    /// The steps as `model at provider`.
    fn steps(decision: &Decision) -> Vec<String> {
        let step =
            |step: &router::Step| format!("{} at {}", step.model.id, step.deployment.provider.id);
        decision.steps.iter().map(step).collect()
    }

    #[tokio::test]
    async fn a_request_is_strict_where_it_the_plan_or_the_operator_says_so() {
        let lax = Fixture::of(CONFIG).await;
        let strict = Fixture::of(&format!("[server]\nstrict = true\n{CONFIG}")).await;
        let plain = RequestOptions::default();
        let says = RequestOptions { strict: true, ..RequestOptions::default() };
        let provider = Preferences { require_parameters: true, ..Preferences::default() };
        let requires = wishing(Wishes { provider, ..Wishes::default() });
        for (fixture, plan, asked, is) in [
            (&lax, "free", &plain, false),
            (&lax, "free", &says, true),
            (&lax, "free", &requires, true),
            (&lax, "strict", &plain, true),
            (&strict, "free", &plain, true),
        ] {
            let caller = fixture.caller(plan).await;
            assert_eq!(is_strict(&fixture.app, &caller, asked), is, "{plan} {asked:?}");
        }
    }

    #[tokio::test]
    async fn auto_chooses_nothing_at_a_provider_that_is_not_wanted() {
        let fixture = Fixture::of(CONFIG).await;
        for (unwanted, left) in [("p1", "p2"), ("p2", "p1")] {
            let asked = wishing(ignoring(&[unwanted]));
            let decision = decided(&fixture, "free", "auto", &asked).await.unwrap();
            let steps = steps(&decision);
            assert!(decision.is_auto() && steps.len() == 2, "{steps:?}");
            assert!(steps.iter().all(|step| step.ends_with(left)), "{steps:?}");
        }
        let asked = wishing(ignoring(&["p1", "p2"]));
        let error = decided(&fixture, "free", "auto", &asked).await.unwrap_err();
        assert_eq!(error.field.as_deref(), Some("provider.ignore"));
    }

    #[tokio::test]
    async fn auto_chooses_within_the_plan_and_the_key() {
        let fixture = Fixture::of(CONFIG).await;
        let decision =
            decided(&fixture, "cheap", "auto", &RequestOptions::default()).await.unwrap();
        assert_eq!(steps(&decision), ["one at p1"]);
        let terms = KeyTerms { models: Some(vec!["two".to_owned()]), ..KeyTerms::default() };
        let (caller, live) = (fixture.caller_with("free", &terms).await, fixture.app.live());
        let asked = RequestOptions::default();
        let decision = decide(&fixture.app, &live, &caller, &asking("auto"), &asked).await.unwrap();
        assert_eq!(steps(&decision), ["two at p2"]);
    }

    #[tokio::test]
    async fn auto_waits_for_those_that_rest_where_nobody_else_is_left() {
        let fixture = Fixture::of(CONFIG).await;
        fixture.rest("p2");
        let decision = decided(&fixture, "free", "auto", &RequestOptions::default()).await.unwrap();
        assert!(steps(&decision)[0].ends_with("p1"), "whoever is up comes first");
        // Only the one that rests may be asked, and the one that is up is not to be.
        let asked = wishing(ignoring(&["p1"]));
        let decision = decided(&fixture, "free", "auto", &asked).await.unwrap();
        assert!(steps(&decision).iter().all(|step| step.ends_with("p2")), "{decision:?}");
        fixture.rest("p1");
        let decision = decided(&fixture, "free", "auto", &RequestOptions::default()).await.unwrap();
        assert!(!decision.steps.is_empty());
    }

    #[tokio::test]
    async fn models_of_the_callers_own_come_behind_what_auto_chose_in_their_order() {
        let fixture = Fixture::of(CONFIG).await;
        let alone = decided(&fixture, "free", "auto", &RequestOptions::default()).await.unwrap();
        let models = vec!["two".to_owned(), "both".to_owned(), "nobody".to_owned()];
        let asked = wishing(Wishes { models, ..Wishes::default() });
        let decision = decided(&fixture, "free", "auto", &asked).await.unwrap();
        let all = steps(&decision);
        let (chosen, then) = all.split_at(alone.steps.len());
        assert_eq!(chosen, steps(&alone));
        assert_eq!(then, ["two at p2", "both at p1", "both at p2"]);
        assert_eq!(decision.left_out.last().map(|one| &*one.model), Some("nobody"));
    }

    #[tokio::test]
    async fn a_plan_without_failover_has_one_step_however_it_was_decided() {
        let fixture = Fixture::of(CONFIG).await;
        let models = vec!["two".to_owned()];
        let asked = wishing(Wishes { models, ..Wishes::default() });
        for model in ["auto", "both"] {
            let decision = decided(&fixture, "single", model, &asked).await.unwrap();
            assert_eq!(decision.steps.len(), 1, "{model}");
        }
    }

    #[tokio::test]
    async fn without_the_feature_auto_is_refused_and_a_name_is_not() {
        let fixture = Fixture::of(CONFIG).await;
        let error =
            decided(&fixture, "unrouted", "auto", &RequestOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Forbidden);
        let decision =
            decided(&fixture, "unrouted", "one", &RequestOptions::default()).await.unwrap();
        assert_eq!((steps(&decision), decision.is_auto()), (vec!["one at p1".to_owned()], false));
    }

    #[tokio::test]
    async fn the_callers_limits_and_leave_to_go_on_are_part_of_each_decision() {
        let fixture = Fixture::of(CONFIG).await;
        let within =
            Timeouts { idle: Some(Seconds(Duration::from_secs(7))), ..Timeouts::default() };
        let mut asked = wishing(Wishes { within, ..Wishes::default() });
        asked.rescue_gives = true;
        for model in ["auto", "one"] {
            let decision = decided(&fixture, "free", model, &asked).await.unwrap();
            assert_eq!((decision.within, decision.rescue_gives), (within, true), "{model}");
        }
    }
}
