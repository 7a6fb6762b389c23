//! `auto`: filter by what the request needs, score what is left, take the best first.

use std::cmp::Ordering;
use std::sync::Arc;

use super::explain::{Explanation, Kept};
use super::offer::{Ask, Looking, at_least, burden};
use super::{Allows, Decision, Demand, HealthOf, Needs, Predictor, Step, Wish};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::catalogue::{Capability, Catalogue, Modality, Mode, Model};
use crate::wire::vocab::Said;

/// How many models a plan may run through, and how many deployments of each.
pub(super) const MODELS: usize = 4;
const DEPLOYMENTS: usize = 2;

/// No provider caches a shorter prompt.
const CACHED_TOKENS: u64 = 1_024;

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
    /// Every model's state is looked at, not only that of those which may be chosen: for whoever
    /// wants to be told of all of them. The choice is the same.
    pub thorough: bool,
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
    let Choice {
        catalogue,
        allows,
        health,
        predictor,
        now,
        corrections,
        before,
        explore,
        thorough,
    } = *choice;
    let models = catalogue.models();
    let predictions = predictor.predict(demand);
    let mut kept: Vec<Kept> = Vec::with_capacity(models.len());
    let mut rejected = Vec::new();
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
        let prediction = predictions.of(place, corrections(place));
        let output_tokens = needs
            .max_output_tokens
            .map_or(prediction.output_tokens, |most| prediction.output_tokens.min(most));
        let before = before.filter(|before| before.place == place);
        // Only a prompt cache makes what was read before cheaper to read again.
        let caches = model.capabilities.has(Capability::PromptCache);
        let cached = before
            .filter(|before| caches && before.prefix_tokens >= CACHED_TOKENS)
            .map_or(0, |before| before.prefix_tokens);
        let ask =
            Ask { now, input_tokens: needs.input_tokens, cached_tokens: cached, output_tokens };
        // With nobody waiting, at the least that it can cost: no deployment is better than that.
        let cost = at_least(model, ask);
        if wish.max_cost.is_some_and(|most| cost > most) {
            rejected.push((place, "dearer than allowed"));
            continue;
        }
        let quality = prediction.quality;
        kept.push(Kept {
            keeps: needs.explicit == Said::default()
                || model.deployments.iter().any(|one| !one.facts.drops.has(needs.explicit)),
            stays: before.is_some_and(|before| before.stays),
            place,
            deployment: 0,
            quality,
            cost,
            wait_seconds: 0.0,
            output_tokens,
            cached_tokens: cached,
            utility: f64::from(quality) - dollar * burden(cost, 0.0),
            above_floor: true,
        });
    }
    let mut looking = Looking {
        models,
        health,
        now,
        input_tokens: needs.input_tokens,
        max_cost: wish.max_cost,
        explicit: needs.explicit,
        dollar,
        rejected: &mut rejected,
    };
    if thorough {
        kept.retain_mut(|one| looking.at(one));
    }
    let best = looking.best_quality(&mut kept, thorough);
    let floor = f64::from(best) * wish.dial.floor();
    for one in &mut kept {
        one.above_floor = f64::from(one.quality) >= floor;
    }
    if !thorough {
        looking.at_the_best(&mut kept);
    }
    let down = rejected.iter().any(|(_, reason)| *reason == "down");
    if thorough {
        // Only those that will be tried have to be in order.
        if kept.len() > MODELS {
            kept.select_nth_unstable_by(MODELS - 1, order);
        }
        let first = kept.len().min(MODELS);
        if let Some(first) = kept.get_mut(..first) {
            first.sort_by(order);
        }
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
        .filter_map(|one| Some((models.get(one.place)?, one)))
        .flat_map(|(model, kept)| {
            let first = model.deployments.get(kept.deployment).into_iter();
            let ask = Ask {
                now,
                input_tokens: needs.input_tokens,
                cached_tokens: kept.cached_tokens,
                output_tokens: kept.output_tokens,
            };
            let others = model.deployments.iter().filter(move |one| {
                one.is_live(now)
                    && health(one.id).passing
                    && wish.max_cost.is_none_or(|most| ask.cost(one) <= most)
            });
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
