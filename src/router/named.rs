//! A model by name: its deployments in order of preference, then those of its fallback models.

use std::sync::Arc;

use super::Decision;
use super::step::{Allows, HealthOf, Step, expected_cost};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::catalogue::{Balance, Catalogue, Mode, Model, NoPlace, Place};

/// How far a chain of fallbacks is followed.
const FALLBACK_MODELS: usize = 4;

/// `draw`, from 0 to 1, decides where a model's requests are spread over its deployments.
///
/// # Errors
/// [`Kind::UnknownModel`] for a name that nobody serves, [`Kind::Forbidden`] for a tier that the
/// plan does not hold, [`Kind::Unsupported`] for a model that does not converse.
pub fn decide_named(
    name: &str,
    mode: Mode,
    catalogue: &Catalogue,
    now: Timestamp,
    allows: Allows<'_>,
    health: HealthOf<'_>,
    draw: f64,
) -> Result<Decision, Error> {
    let Some(asked) = catalogue.model(name).or_else(|| by_slug(name, catalogue)) else {
        if let Some((_, provider)) = catalogue.unpriced().iter().find(|(id, _)| &**id == name) {
            return Err(unpriced(name, provider));
        }
        return at_provider(name, mode, catalogue, allows);
    };
    // A model that has ended answers through its replacement.
    let model = if asked.is_live(now) {
        asked
    } else {
        catalogue.in_place_of(asked, now).ok_or_else(|| ended(asked))?
    };
    must_serve(name, model, mode, allows)?;
    let mut steps = Vec::with_capacity(model.deployments.len());
    add(model, now, health, draw, &mut steps);
    // Vectors of different models do not mix: only another deployment of the same may answer.
    let most = if mode == Mode::Embedding { 0 } else { FALLBACK_MODELS };
    let chain = catalogue.fallbacks(model).iter().take(most);
    for other in chain.filter_map(|name| catalogue.model(name)) {
        if allows(other) && other.mode == model.mode && other.id != model.id {
            add(other, now, health, draw, &mut steps);
        }
    }
    let replaced = (!Arc::ptr_eq(asked, model)).then(|| asked.id.clone());
    Ok(Decision { replaced, ..Decision::of(steps) })
}

/// `vendor/model` as others call it, unless it is a listed model at a provider of ours.
fn by_slug<'a>(name: &str, catalogue: &'a Catalogue) -> Option<&'a Arc<Model>> {
    let (provider, model) = name.split_once('/')?;
    if catalogue.lists(provider, model) { None } else { catalogue.by_slug(name) }
}

/// `name` is what the caller calls it.
fn must_serve(name: &str, model: &Model, mode: Mode, allows: Allows<'_>) -> Result<(), Error> {
    if !allows(model) {
        return Err(Error::new(
            Kind::Forbidden,
            format!("The model '{name}' is not available on your plan."),
        )
        .at("model")
        .coded("model_not_allowed"));
    }
    if !model.serves(mode) {
        let what = match mode {
            Mode::Embedding => "embeddings",
            Mode::Image => "image generation",
            Mode::Realtime => "the realtime API",
            Mode::Chat => "chat completions",
        };
        return Err(Error::new(
            Kind::Unsupported,
            format!("The model '{name}' does not support {what}."),
        )
        .at("model")
        .coded("model_not_supported"));
    }
    Ok(())
}

fn ended(model: &Model) -> Error {
    let instead = match &model.replacement {
        Some(other) => {
            format!(" Its maker names '{other}' in its place, which is not served here.")
        }
        None => String::new(),
    };
    Error::new(
        Kind::UnknownModel,
        format!("The model '{}' is no longer served by any provider.{instead}", model.id),
    )
    .at("model")
    .coded("model_not_found")
}

/// `provider/name` means that provider and no other, listed or not.
fn at_provider(
    asked: &str,
    mode: Mode,
    catalogue: &Catalogue,
    allows: Allows<'_>,
) -> Result<Decision, Error> {
    let (provider, name) = asked.split_once('/').ok_or_else(|| Error::unknown_model(asked))?;
    match catalogue.place(provider, name) {
        Ok(Place { model, deployment }) => {
            must_serve(asked, &model, mode, allows)?;
            let steps = vec![Step { model, deployment, effort: None }];
            Ok(Decision::of(steps))
        }
        Err(NoPlace::Unknown) => Err(Error::unknown_model(asked)),
        Err(NoPlace::Unpriced { provider, name }) => Err(unpriced(&name, &provider)),
    }
}

/// Nobody has said what it costs: with the line that would.
fn unpriced(name: &str, provider: &str) -> Error {
    Error::new(
        Kind::UnknownModel,
        format!(
            "Nobody has said what the model '{name}' costs at '{provider}'. The operator can add: \
             [[models]] id = \"{name}\", deployments = [{{ provider = \"{provider}\", \
             usd_per_million = {{ input = 1.0, output = 2.0 }} }}]"
        ),
    )
    .at("model")
    .coded("model_not_priced")
}

/// Those that are up first, then those whose limits are nearly used up; the others stay, in case
/// they are all there is. Within each the operator's order holds, but for whom the model's balance
/// puts first.
fn add(model: &Arc<Model>, now: Timestamp, health: HealthOf<'_>, draw: f64, steps: &mut Vec<Step>) {
    let first = steps.len();
    steps.extend(model.deployments.iter().filter(|one| one.is_live(now)).map(|deployment| Step {
        model: Arc::clone(model),
        deployment: Arc::clone(deployment),
        effort: None,
    }));
    let Some(added) = steps.get_mut(first..).filter(|added| added.len() > 1) else { return };
    let class = |step: &Step| {
        let state = health(step.deployment.id);
        (!state.passing, state.strained)
    };
    added.sort_by_cached_key(class);
    let best = added.first().map(class);
    let equals = added.iter().take_while(|step| Some(class(step)) == best).count();
    let equals = added.get_mut(..equals).unwrap_or_default();
    let picked = picked(model.balance, equals, now, health, draw);
    if let Some(front) = equals.get_mut(..=picked) {
        front.rotate_right(1);
    }
}

/// The index below `of`, which is at least 1, that a random number from 0 to 1 falls on.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place among a few"
)]
fn place(draw: f64, of: usize) -> usize {
    ((draw * of as f64) as usize).min(of - 1)
}

/// Who of equals goes first.
fn picked(
    balance: Balance,
    equals: &[Step],
    now: Timestamp,
    health: HealthOf<'_>,
    draw: f64,
) -> usize {
    let all = || equals.iter().enumerate();
    match balance {
        Balance::Order => 0,
        Balance::Price => {
            let cost = |step: &Step| expected_cost(&step.deployment, now, 1_000, 0, 1_000);
            all().min_by_key(|(_, step)| cost(step)).map_or(0, |(place, _)| place)
        }
        Balance::Weights => {
            let total: f64 = equals.iter().map(|step| step.deployment.weight).sum();
            let mut left = draw * total;
            let drawn = all().find(|(_, step)| {
                left -= step.deployment.weight;
                left < 0.0
            });
            drawn.map_or(0, |(place, _)| place)
        }
        Balance::LeastBusy => {
            let busy = |step: &Step| health(step.deployment.id).in_flight;
            let least = equals.iter().map(busy).min();
            let idlest = || all().filter(|(_, step)| Some(busy(step)) == least);
            let drawn = idlest().nth(place(draw, idlest().count().max(1)));
            drawn.map_or(0, |(place, _)| place)
        }
        Balance::Latency => {
            let one = place(draw, equals.len());
            // What is left of the draw is one for the other of the two.
            #[expect(clippy::cast_precision_loss, reason = "a place among a few")]
            let rest = (draw * equals.len() as f64).fract();
            let mut other = place(rest, (equals.len() - 1).max(1));
            other += usize::from(other >= one && equals.len() > 1);
            let wait = |place: usize| {
                equals.get(place).map_or(f32::MAX, |step| health(step.deployment.id).wait_seconds)
            };
            if wait(other) < wait(one) { other } else { one }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Dice;
    use crate::catalogue::{
        DeploymentEntry, DeploymentId, ModelEntry, ProviderEntry, RatesEntry, Sources, load,
    };
    use crate::router::Health;

    /// A model at three deployments, which cost 3, 1 and 2 dollars and have weights of 1, 2 and 1.
    fn catalogue(balance: Balance) -> Catalogue {
        let house =
            ProviderEntry { base_url: Some("http://h".to_owned()), ..ProviderEntry::default() };
        let names = ["a", "b", "c"];
        let place = |(name, (usd, weight)): (&str, (f64, f64))| DeploymentEntry {
            provider: name.to_owned(),
            usd_per_million: Some(RatesEntry {
                input: Some(usd),
                output: Some(usd),
                ..RatesEntry::default()
            }),
            weight: Some(weight),
            ..DeploymentEntry::default()
        };
        let places = names.into_iter().zip([(3.0, 1.0), (1.0, 2.0), (2.0, 1.0)]).map(place);
        let model = ModelEntry {
            id: "m".to_owned(),
            balance: Some(balance),
            deployments: Some(places.collect()),
            ..ModelEntry::default()
        };
        let sources = Sources {
            providers: names.map(|name| (name.to_owned(), house.clone())).into(),
            models: vec![model],
            ..Sources::default()
        };
        load(sources).unwrap()
    }

    /// How often, of a thousand requests, each of the three is asked first.
    fn firsts(balance: Balance, health: &dyn Fn(DeploymentId) -> Health) -> [u32; 3] {
        let catalogue = catalogue(balance);
        let (mut dice, mut counts) = (Dice::seeded(5), [0; 3]);
        for _ in 0..1_000 {
            let now = Timestamp(0);
            let decision =
                decide_named("m", Mode::Chat, &catalogue, now, &|_| true, health, dice.unit());
            let steps = decision.unwrap().steps;
            assert_eq!(steps.len(), 3);
            counts[steps[0].deployment.id.0] += 1;
        }
        counts
    }

    #[test]
    fn requests_are_spread_as_the_operator_says() {
        let up = |id: DeploymentId| Health {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            wait_seconds: id.0 as f32,
            ..Health::default()
        };
        assert_eq!(firsts(Balance::Order, &up), [1_000, 0, 0]);
        assert_eq!(firsts(Balance::Price, &up), [0, 1_000, 0]);
        let [one, two, three] = firsts(Balance::Weights, &up);
        assert!(one.abs_diff(250) < 50 && two.abs_diff(500) < 50 && three.abs_diff(250) < 50);
        // The slowest is never the faster of two.
        let [one, two, three] = firsts(Balance::Latency, &up);
        assert!(
            one.abs_diff(667) < 50 && two.abs_diff(333) < 50 && three == 0,
            "{one} {two} {three}"
        );
        let busy =
            |id: DeploymentId| Health { in_flight: u32::from(id.0 == 1), ..Health::default() };
        let [one, two, three] = firsts(Balance::LeastBusy, &busy);
        assert!(two == 0 && one.abs_diff(500) < 50 && three > 0, "{one} {two} {three}");
        let down = |id: DeploymentId| Health { passing: id.0 != 1, ..Health::default() };
        assert_eq!(firsts(Balance::Price, &down), [0, 0, 1_000], "the cheapest that is up");
        let [one, two, three] = firsts(Balance::Weights, &down);
        assert!(two == 0 && one.abs_diff(three) < 100, "{one} {three}");
    }
}
