//! `auto`: filter by what the request needs, score what is left, take the best first.

use std::cmp::Ordering;
use std::sync::Arc;

use super::explain::{Explanation, Kept};
use super::{Allows, Decision, Demand, HealthOf, Needs, Predictor, Step, Wish, expected_cost};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::catalogue::{Capability, Catalogue, Deployment, Modality, Mode, Model};

/// How many models a plan may run through, and how many deployments of each.
const MODELS: usize = 4;
const DEPLOYMENTS: usize = 2;

/// No provider caches a shorter prompt.
const CACHED_TOKENS: u64 = 1_024;

/// What a second of waiting is worth in USD: at the middle of the dial as much as one good answer in
/// a hundred and sixty. As money, so that the dial weighs it against quality as it does money.
const USD_PER_SECOND: f64 = 0.000_1;
/// Waiting so long bothers nobody.
const GRACE_SECONDS: f32 = 0.5;

/// What an account has found out about a model, in log-odds, by its place in the catalogue.
pub type Corrections<'a> = &'a dyn Fn(usize) -> f32;

/// Where this conversation was answered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The model's place in the catalogue.
    pub place: usize,
    /// Tokens of the prompt that its provider has likely kept.
    pub prefix_tokens: u64,
    /// The caller wishes to stay with it while it will do.
    pub stays: bool,
}

/// What there is to choose from, and what may be chosen.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    pub catalogue: &'a Catalogue,
    pub allows: Allows<'a>,
    pub health: HealthOf<'a>,
    pub predictor: &'a Predictor,
    /// Prices and ends are those of this moment.
    pub now: Timestamp,
    pub corrections: Corrections<'a>,
    pub before: Option<Before>,
    /// This request is to find something out: one of the best few is asked, drawn by this number.
    pub explore: Option<u64>,
}

/// Those of the quality that the dial insists on, best utility first. Equal utilities fall to the
/// cheaper, then to the name's place, so that a decision can be repeated.
pub(super) fn order(one: &Kept, other: &Kept) -> Ordering {
    other
        .above_floor
        .cmp(&one.above_floor)
        .then(other.keeps.cmp(&one.keeps))
        .then(other.stays.cmp(&one.stays))
        .then(other.utility.total_cmp(&one.utility))
        .then(one.cost.cmp(&other.cost))
        .then(one.place.cmp(&other.place))
}

/// # Errors
/// [`Kind::Unsupported`] when no model can do what is asked, [`Kind::Overloaded`] when those that
/// can are all down.
pub fn decide_auto(
    wish: Wish,
    needs: &Needs,
    demand: &Demand,
    choice: &Choice<'_>,
) -> Result<Decision, Error> {
    let Choice { catalogue, allows, health, predictor, now, corrections, before, explore } =
        *choice;
    let models = catalogue.models();
    let mut kept: Vec<Kept> = Vec::with_capacity(models.len());
    let mut rejected = Vec::new();
    let mut down = false;
    let dollar = wish.dial.quality_per_usd();
    for (place, model) in models.iter().enumerate() {
        if model.mode != Mode::Chat {
            continue;
        }
        if let Some(reason) = unfit(model, needs, allows) {
            rejected.push((place, reason));
            continue;
        }
        if !model.is_live(now) {
            rejected.push((place, "ended"));
            continue;
        }
        let prediction = predictor.predict(demand, place, model, corrections(place));
        let output_tokens = needs
            .max_output_tokens
            .map_or(prediction.output_tokens, |most| prediction.output_tokens.min(most));
        let before = before.filter(|before| before.place == place);
        // Only a prompt cache makes what was read before cheaper to read again.
        let caches = model.capabilities.has(Capability::PromptCache);
        let cached = before
            .filter(|before| caches && before.prefix_tokens >= CACHED_TOKENS)
            .map_or(0, |before| before.prefix_tokens);
        let price = |deployment: &Deployment| {
            expected_cost(deployment, now, needs.input_tokens, cached, output_tokens)
        };
        let Some(Offer { deployment, cost, wait_seconds, .. }) =
            best_offer(model, now, health, price)
        else {
            down = true;
            rejected.push((place, "down"));
            continue;
        };
        if wish.max_cost.is_some_and(|most| cost > most) {
            rejected.push((place, "dearer than allowed"));
            continue;
        }
        let utility = f64::from(prediction.quality) - dollar * burden(cost, wait_seconds);
        let quality = prediction.quality;
        let stays = before.is_some_and(|before| before.stays);
        let facts = model.deployments.get(deployment).map(|one| &one.facts);
        kept.push(Kept {
            keeps: facts.is_none_or(|facts| !facts.drops.has(needs.explicit)),
            stays,
            place,
            deployment,
            quality,
            cost,
            wait_seconds,
            output_tokens,
            utility,
            above_floor: true,
        });
    }
    let best = kept.iter().map(|one| one.quality).fold(0.0, f32::max);
    let floor = f64::from(best) * wish.dial.floor();
    for one in &mut kept {
        one.above_floor = f64::from(one.quality) >= floor;
    }
    // Only those that will be tried have to be in order.
    if kept.len() > MODELS {
        kept.select_nth_unstable_by(MODELS - 1, order);
    }
    let first = kept.len().min(MODELS);
    if let Some(first) = kept.get_mut(..first) {
        first.sort_by(order);
    }
    let good = kept.iter().take(MODELS).filter(|one| one.above_floor).count();
    // Whoever wishes to stay is not drawn away.
    let explore = explore.filter(|_| !before.is_some_and(|before| before.stays));
    let drawn = explore.and_then(|draw| draw.checked_rem(good as u64));
    if let Some(drawn) = drawn.and_then(|drawn| usize::try_from(drawn).ok())
        && let Some(front) = kept.get_mut(..=drawn)
    {
        front.rotate_right(1);
    }
    let steps: Vec<Step> = kept
        .iter()
        .take(MODELS)
        .filter_map(|one| Some((models.get(one.place)?, one.deployment)))
        .flat_map(|(model, first)| {
            let first = model.deployments.get(first).into_iter();
            let others =
                model.deployments.iter().filter(|one| one.is_live(now) && health(one.id).passing);
            let places = first
                .clone()
                .chain(others.filter(move |other| first.clone().all(|first| first.id != other.id)));
            places.take(DEPLOYMENTS).map(|deployment| Step {
                model: Arc::clone(model),
                deployment: Arc::clone(deployment),
            })
        })
        .collect();
    if steps.is_empty() {
        return Err(nobody(&rejected, down));
    }
    let explanation = Explanation {
        dial: wish.dial,
        difficulty: demand.difficulty(),
        novelty: demand.novelty(),
        input_tokens: needs.input_tokens,
        explored: drawn.is_some_and(|drawn| drawn > 0),
        kept,
        rejected,
    };
    Ok(Decision { steps, explanation: Some(Box::new(explanation)), replaced: None })
}

/// A deployment of a model that is up.
#[derive(Debug, Clone, Copy)]
struct Offer {
    /// Its place among the model's.
    deployment: usize,
    cost: Nanos,
    wait_seconds: f32,
    strained: bool,
}

/// What an answer costs in USD, the wait for it included. Differences within [`GRACE_SECONDS`] are
/// noise, and nothing to leave a warm prompt cache for.
fn burden(cost: Nanos, wait_seconds: f32) -> f64 {
    cost.as_usd() + USD_PER_SECOND * f64::from((wait_seconds - GRACE_SECONDS).max(0.0))
}

/// The deployment to ask first: one with room under its limits, then the one whose price and wait
/// weigh least, then the one that the operator named first. `None` if all are down.
fn best_offer(
    model: &Model,
    now: Timestamp,
    health: HealthOf<'_>,
    price: impl Fn(&Deployment) -> Nanos,
) -> Option<Offer> {
    let live = model.deployments.iter().enumerate().filter(|(_, one)| one.is_live(now));
    let offers = live.filter_map(|(place, deployment)| {
        let state = health(deployment.id);
        state.passing.then(|| Offer {
            deployment: place,
            cost: price(deployment),
            wait_seconds: state.wait_seconds,
            strained: state.strained,
        })
    });
    // Of equals the first is kept.
    offers.min_by(|one, other| {
        let weight = |offer: &Offer| burden(offer.cost, offer.wait_seconds);
        one.strained.cmp(&other.strained).then(weight(one).total_cmp(&weight(other)))
    })
}

fn nobody(rejected: &[(usize, &'static str)], down: bool) -> Error {
    if down {
        return Error::new(
            Kind::Overloaded,
            "Every model that could answer is temporarily unavailable.",
        )
        .coded("no_model_available");
    }
    if rejected.iter().any(|(_, reason)| *reason == "dearer than allowed") {
        return Error::new(
            Kind::Unsupported,
            "No model that could answer is expected to cost as little as the request allows.",
        )
        .coded("max_cost_too_low");
    }
    Error::new(Kind::Unsupported, "No available model can do what the request asks for.")
        .coded("no_suitable_model")
}

/// Why a model cannot be asked, if it cannot.
fn unfit(model: &Model, needs: &Needs, allows: Allows<'_>) -> Option<&'static str> {
    if !allows(model) {
        return Some("not in the plan");
    }
    if !model.output.contains(&Modality::Text) {
        return Some("does not answer with text");
    }
    let missing = model.capabilities.missing(needs.capabilities);
    for (capability, reason) in [
        (Capability::Tools, "no tools"),
        (Capability::JsonSchema, "no JSON schema"),
        (Capability::Vision, "no vision"),
        (Capability::Pdf, "no documents"),
        (Capability::AudioIn, "no audio"),
        (Capability::VideoIn, "no video"),
    ] {
        if missing.has(capability) {
            return Some(reason);
        }
    }
    if needs.modalities.iter().any(|modality| !model.input.contains(modality)) {
        return Some("cannot read what was sent");
    }
    let output = needs.max_output_tokens.unwrap_or(256);
    if output > model.max_output_tokens {
        return Some("answers too short");
    }
    if needs.input_tokens.saturating_add(output) > model.context_tokens {
        return Some("context too short");
    }
    None
}

#[cfg(test)]
mod tests;
