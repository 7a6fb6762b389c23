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
use crate::router::{Decision, LeftOut, MeasuredSpeed, Preferences, Wishes};
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

/// What the caller bounds by prices: what is asked for, where that is all that is told; a bound of costs would
/// tell them.
pub(super) fn bound(caller: &Caller, arrival: &mut Arrival) {
    if let Some(wishes) = &mut arrival.asked.wishes {
        wishes.provider.sold = caller.selling().alone();
    }
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
    let measured = MeasuredSpeed {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::base::Kind;
    use crate::base::ids::RequestId;
    use crate::boot::fixture::Fixture;
    use crate::wire::PathTarget;
    use crate::wire::vocab::Dialect;

    /// The model `m` at three providers, the second the cheapest, with `n` as the operator's fallback.
    const CONFIG: &str = "
        [providers.p1]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        [providers.p2]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        [providers.p3]
        base_url = \"http://127.0.0.1:1/v1\"
        dialect = \"openai-chat\"
        data = { retention_days = 0 }
        [[models]]
        id = \"m\"
        owned_by = \"maker\"
        fallback = [\"n\"]
        deployments = [
            { provider = \"p1\", usd_per_million = { input = 3.0, output = 3.0 } },
            { provider = \"p2\", usd_per_million = { input = 1.0, output = 1.0 } },
            { provider = \"p3\", usd_per_million = { input = 2.0, output = 2.0 } },
        ]
        [[models]]
        id = \"n\"
        deployments = [{ provider = \"p1\", usd_per_million = { input = 9.0, output = 9.0 } }]
        [plans.private]
        zdr = true
    ";

    fn arrived(body: &Value, in_path: bool) -> Arrival {
        let body = Bytes::from(body.to_string());
        let mut arrival = Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, body);
        arrival.target = in_path.then(|| PathTarget { model: "path".to_owned(), stream: false });
        arrival
    }

    fn wishes(members: Value) -> Wishes {
        let mut wishes = Wishes::default();
        let Value::Object(members) = members else { panic!("an object") };
        wishes.read(members).unwrap();
        wishes
    }

    /// The steps that a model's name leads to, as `model at provider`, and whom members left out.
    async fn led_to(fixture: &Fixture, model: &str, wishes: &Wishes) -> Result<Decision, Error> {
        let caller = fixture.caller("enterprise").await;
        named(&fixture.app, &fixture.app.live(), &caller, model, wishes)
    }

    fn steps(decision: &Decision) -> Vec<String> {
        let steps = decision.steps.iter();
        steps.map(|one| format!("{} at {}", one.model.id, one.deployment.provider.id)).collect()
    }

    #[test]
    fn what_is_said_of_routing_is_taken_out_of_the_body_and_names_a_model_where_none_is() {
        for (body, in_path, model, models) in [
            (json!({"models": ["a", "b"]}), false, json!("a"), &["a", "b"][..]),
            (json!({"model": "m", "models": ["a"]}), false, json!("m"), &["a"]),
            (json!({"provider": {"only": ["p"]}}), false, json!("auto"), &[]),
            (json!({"models": ["a"], "provider": {"zdr": true}}), false, json!("a"), &["a"]),
            (json!({"models": ["a"]}), true, Value::Null, &["a"]),
            (json!({"provider": {"zdr": true}}), true, Value::Null, &[]),
        ] {
            let mut arrival = arrived(&body, in_path);
            take(&mut arrival).unwrap();
            let left: Value = serde_json::from_slice(&arrival.body).unwrap();
            assert_eq!(left["model"], model, "{body}");
            assert!(left.get("models").is_none() && left.get("provider").is_none(), "{left}");
            assert_eq!(arrival.asked.wishes().models, models, "{body}");
        }
    }

    #[test]
    fn a_body_that_says_nothing_of_it_is_left_as_it_is() {
        let mut arrival = arrived(&json!({"model": "m", "messages": []}), false);
        let before = arrival.body.clone();
        take(&mut arrival).unwrap();
        assert_eq!((arrival.body.as_ptr(), arrival.asked.wishes), (before.as_ptr(), None));
    }

    #[test]
    fn what_headers_said_before_is_kept_and_what_cannot_be_read_is_named() {
        let mut arrival = arrived(&json!({"model": "m", "provider": {"only": ["p1"]}}), false);
        arrival.asked.wishes = Some(Box::new(wishes(json!({"models": ["h"]}))));
        take(&mut arrival).unwrap();
        let asked = arrival.asked.wishes();
        assert_eq!(
            (&asked.models[..], &asked.provider.only[..]),
            (&["h".to_owned()][..], &["p1".to_owned()][..])
        );
        let error = take(&mut arrived(&json!({"provider": {"onyl": []}}), false)).unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (Kind::Malformed, Some("provider.onyl")));
    }

    #[tokio::test]
    async fn a_name_alone_leads_to_all_places_and_the_operators_fallback() {
        let fixture = Fixture::of(CONFIG).await;
        let decision = led_to(&fixture, "m", &Wishes::NONE).await.unwrap();
        let mut all = steps(&decision);
        assert_eq!(all.pop().as_deref(), Some("n at p1"));
        all.sort();
        assert_eq!(all, ["m at p1", "m at p2", "m at p3"]);
    }

    #[tokio::test]
    async fn preferences_leave_out_and_put_in_order() {
        let fixture = Fixture::of(CONFIG).await;
        for (said, first, left_out) in [
            (json!({"order": ["p3", "p1"]}), &["m at p3", "m at p1", "m at p2"][..], &[][..]),
            (json!({"only": ["p2"]}), &["m at p2"], &["p1", "p1", "p3"]),
            (json!({"ignore": ["p1"], "sort": "price"}), &["m at p2", "m at p3"], &["p1", "p1"]),
            (json!({"sort": "price"}), &["m at p2", "m at p3", "m at p1", "n at p1"], &[]),
            (json!({"order": ["p3"], "allow_fallbacks": false}), &["m at p3"], &["p1", "p1", "p2"]),
            (json!({"zdr": true}), &["m at p3"], &["p1", "p1", "p2"]),
            (json!({"max_price": {"prompt": 1.5}}), &["m at p2"], &["p1", "p1", "p3"]),
        ] {
            let decision = led_to(&fixture, "m", &wishes(json!({"provider": said.clone()}))).await;
            let decision = decision.unwrap();
            assert_eq!(steps(&decision)[..first.len()], *first, "{said}");
            let mut out: Vec<&str> =
                decision.left_out.iter().filter_map(|one| one.provider.as_deref()).collect();
            out.sort_unstable();
            assert_eq!(out, left_out, "{said}");
            let places = decision.steps.len() + decision.left_out.len();
            assert_eq!(places, 4, "{said}: nobody is lost on the way");
        }
        let nobody = led_to(&fixture, "m", &wishes(json!({"provider": {"only": ["x"]}}))).await;
        let error = nobody.unwrap_err();
        assert_eq!(
            (error.kind, error.field.as_deref()),
            (Kind::Unsupported, Some("provider.only"))
        );
    }

    #[tokio::test]
    async fn the_callers_chain_stands_in_the_place_of_the_operators() {
        let fixture = Fixture::of(CONFIG).await;
        let chain = |models: Value| wishes(json!({"models": models}));
        // Each model once, in the order of the chain; who is not there is told of.
        let decision = led_to(&fixture, "n", &chain(json!(["m", "n", "gone"]))).await.unwrap();
        assert_eq!(steps(&decision)[0], "n at p1");
        assert!(steps(&decision)[1..].iter().all(|step| step.starts_with("m at")));
        assert_eq!(decision.steps.len(), 4);
        let out: Vec<(&str, &str)> =
            decision.left_out.iter().map(|one| (&*one.model, one.member)).collect();
        assert_eq!(out, [("gone", "models")]);
        // The operator's fallback of `m` is `n`, which this chain has not.
        let decision = led_to(&fixture, "gone", &chain(json!(["m"]))).await.unwrap();
        assert!(
            decision.steps.len() == 3 && steps(&decision).iter().all(|one| one.starts_with('m'))
        );
        // Where nobody is there, the first is what is told of.
        let error = led_to(&fixture, "gone", &chain(json!(["lost"]))).await.unwrap_err();
        assert!(error.kind == Kind::UnknownModel && error.public.contains("gone"), "{error:?}");
    }

    #[tokio::test]
    async fn the_end_of_a_name_and_its_makers_name_are_understood() {
        let fixture = Fixture::of(CONFIG).await;
        let decision = led_to(&fixture, "m:floor", &Wishes::NONE).await.unwrap();
        assert_eq!(steps(&decision)[0], "m at p2", "the cheapest");
        let error = led_to(&fixture, "m:free", &Wishes::NONE).await.unwrap_err();
        assert_eq!(error.field.as_deref(), Some("provider.max_price"));
        let error = led_to(&fixture, "m:odd", &Wishes::NONE).await.unwrap_err();
        assert_eq!(error.kind, Kind::UnknownModel);
        let by_price = wishes(json!({"provider": {"sort": "price"}}));
        let decision = led_to(&fixture, "maker/m", &by_price).await.unwrap();
        assert_eq!(steps(&decision)[0], "m at p2");
    }

    #[tokio::test]
    async fn auto_must_not_choose_what_wishes_or_demands_do_not_let() {
        let fixture = Fixture::of(CONFIG).await;
        let live = fixture.app.live();
        let free = fixture.caller("enterprise").await;
        let private = fixture.caller("private").await;
        let ignoring = wishes(json!({"provider": {"ignore": ["p3"]}}));
        for (caller, said, left) in [
            (&free, &Wishes::NONE, &["p1", "p1", "p2", "p3"][..]),
            (&free, &ignoring, &["p1", "p1", "p2"]),
            (&private, &Wishes::NONE, &["p3"]),
            (&private, &ignoring, &[]),
        ] {
            let out = excluded(&fixture.app, &live, caller, said);
            let all = live.catalogue.models().iter().flat_map(|model| &model.deployments);
            let mut kept: Vec<&str> =
                all.filter(|one| !out.contains(&one.id)).map(|one| &*one.provider.id).collect();
            kept.sort_unstable();
            assert_eq!(kept, left, "{said:?}");
        }
    }

    #[tokio::test]
    async fn auto_that_finds_nobody_says_for_whose_wish() {
        let fixture = Fixture::of(CONFIG).await;
        let live = fixture.app.live();
        let free = fixture.caller("enterprise").await;
        let why = |caller: &Caller, said: &Wishes| {
            let error = Error::new(Kind::ContextLength, "It is too long.");
            let error = unmet(&fixture.app, &live, caller, said, error);
            (error.kind, error.field.map(std::borrow::Cow::into_owned))
        };
        assert_eq!(why(&free, &Wishes::NONE), (Kind::ContextLength, None));
        let nobody = wishes(json!({"provider": {"only": ["x"]}}));
        assert_eq!(why(&free, &nobody), (Kind::Unsupported, Some("provider.only".to_owned())));
        // Some meet them: it is for something else.
        let some = wishes(json!({"provider": {"only": ["p1"]}}));
        assert_eq!(why(&free, &some), (Kind::ContextLength, None));
        let private = fixture.caller("private").await;
        assert_eq!(why(&private, &Wishes::NONE), (Kind::ContextLength, None), "p3 meets it");
    }
}
