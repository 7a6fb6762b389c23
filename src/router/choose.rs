//! `auto`: filter by what the request needs, score what is left, take the best first.

use std::sync::Arc;

use super::expect::Weighing;
use super::explain::Explanation;
use super::offer::{Looked, Looking, MODELS, OfferQuery, PriorAnswerer};
use super::{
    Allows, Corrections, Decision, DialWish, Health, HealthOf, Needs, Predictor, PromptDemand, Step,
};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::catalogue::{Capability, Catalogue, Model, Tier};

/// How many deployments of a model a plan may run through.
const DEPLOYMENTS: usize = 2;

/// No provider caches a shorter prompt.
const CACHED_TOKENS: u64 = 1_024;

/// All that `auto` can choose from for one request, and what plan, key and caller leave of it.
#[derive(Clone, Copy)]
pub struct CandidatePool<'a> {
    pub catalogue: &'a Catalogue,
    pub allows: Allows<'a>,
    pub health: HealthOf<'a>,
    pub predictor: &'a Predictor,
    /// Prices and ends are those of this moment.
    pub now: Timestamp,
    pub corrections: Corrections<'a>,
    /// What the caller pays for a request that a model of a tier answers, where that has a price in
    /// money: the larger of this and what the provider takes is what an answer costs.
    pub pays: &'a dyn Fn(Tier) -> Nanos,
    pub before: Option<PriorAnswerer>,
    /// This request is to find something out: one of the best few is asked, drawn by this number.
    pub explore: Option<u64>,
    /// Every model's state is looked at, not only that of those which may be chosen: for whoever
    /// wants to be told of all of them. The choice is the same.
    pub thorough: bool,
}

impl<'a> CandidatePool<'a> {
    /// All models are allowed and up, and the caller has no preferences: for previews.
    #[must_use]
    pub fn of_all(catalogue: &'a Catalogue, predictor: &'a Predictor, now: Timestamp) -> Self {
        Self {
            now,
            catalogue,
            allows: &|_| true,
            health: &|_| Health::default(),
            predictor,
            corrections: None,
            pays: &|_| Nanos(0),
            thorough: true,
            before: None,
            explore: None,
        }
    }
}

/// # Errors
/// [`Kind::Unsupported`] when no model can do what is asked, [`Kind::Overloaded`] when those that
/// can are all down.
pub fn decide_auto(
    wish: DialWish,
    needs: &Needs,
    demand: &PromptDemand,
    choice: &CandidatePool<'_>,
) -> Result<Decision, Error> {
    let CandidatePool { catalogue, health, predictor, now, before, explore, thorough, .. } =
        *choice;
    let models = catalogue.models();
    let table = predictor.table();
    let (fits, mut rejected) = predictor.able().fitting(needs, catalogue, choice.allows, now);
    let pays = Tier::ALL.map(|tier| (choice.pays)(tier));
    #[expect(clippy::cast_possible_truncation, reason = "an estimate in USD")]
    let asked = Weighing {
        needs,
        caution: wish.dial.caution(),
        pays: pays.map(|pays| pays.as_usd() as f32),
    };
    let mut expected = predictor.expect(demand, &asked, choice.corrections);
    // Only a prompt cache makes what was read before cheaper to read again.
    let cached = before.filter(|before| {
        let caches = |model: &Arc<Model>| model.capabilities.has(Capability::PromptCache);
        before.prefix_tokens >= CACHED_TOKENS && models.get(before.place).is_some_and(caches)
    });
    if let Some(cached) = cached {
        table.save(&mut expected, cached.place, cached.prefix_tokens);
    }
    let mut looking = Looking {
        models,
        table,
        expected: &expected,
        fits,
        health,
        now,
        needs,
        max_cost: wish.max_cost,
        sold: wish.sold,
        before,
        cached,
        dollar: wish.dial.quality_per_usd(),
        floor: f32::MIN,
        pays,
        rejected: &mut rejected,
    };
    if let Some(most) = wish.max_cost {
        looking.drop_dearer_than(most);
    }
    looking.floor = at_least(f64::from(looking.best_quality()) * wish.dial.floor());
    let Looked { mut kept, beyond } =
        if thorough { looking.at_all() } else { looking.at_the_best() };
    let considered = looking.fitting() + looking.rejected.len();
    let down = rejected.iter().any(|(_, reason)| *reason == "down");
    // The first few are of different models.
    let first = kept.len().min(MODELS);
    let first = kept.iter().take(first).enumerate();
    let first =
        first.take_while(|(at, one)| kept.iter().take(*at).all(|known| known.place != one.place));
    let first = first.count();
    let good = kept.iter().take(first).filter(|one| one.above_floor).count();
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
        .take(first)
        .filter_map(|one| Some((models.get(one.place)?, one)))
        .flat_map(|(model, kept)| {
            let first = model.deployments.get(kept.deployment).into_iter();
            let ask = OfferQuery {
                now,
                input_tokens: needs.input_tokens,
                cached_tokens: kept.cached_tokens,
                output_tokens: kept.output_tokens,
            };
            let others = model.deployments.iter().filter(move |one| {
                one.is_live(now)
                    && health(one.id).passing
                    // What is sold is the same wherever it is answered, and has been looked at.
                    && (wish.sold.is_some() || wish.max_cost.is_none_or(|most| ask.cost(one) <= most))
            });
            let places = first
                .clone()
                .chain(others.filter(move |other| first.clone().all(|first| first.id != other.id)));
            places.take(DEPLOYMENTS).map(|deployment| Step {
                model: Arc::clone(model),
                deployment: Arc::clone(deployment),
                effort: kept.effort,
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
        ease: demand.ease(),
        unsure: demand.unsure(),
        need: demand.need(),
        thinking: demand.thinking(),
        belief: demand.belief(),
        everyday: demand.everyday(),
        domain: demand.domain(),
        features: None,
        moved: None,
        input_tokens: needs.input_tokens,
        considered,
        beyond,
        explored: drawn.is_some_and(|drawn| drawn > 0),
        kept,
        rejected,
    };
    Ok(Decision { explanation: Some(Box::new(explanation)), ..Decision::of(steps) })
}

/// The log-odds of a quality, and a little more: what is rounded on the way must not fall below.
fn at_least(quality: f64) -> f32 {
    let share = quality.clamp(1e-6, 1.0 - 1e-6);
    #[expect(clippy::cast_possible_truncation, reason = "log-odds")]
    let logit = (share / (1.0 - share)).ln() as f32;
    logit + 1e-3
}

fn nobody(rejected: &[(usize, &'static str)], down: bool) -> Error {
    if down {
        return Error::new(
            Kind::Overloaded,
            "Every model that could answer is failing or resting now. Retry after a brief delay.",
        )
        .coded("no_model_available");
    }
    if rejected.iter().any(|(_, reason)| *reason == "dearer than allowed") {
        return Error::new(
            Kind::Unsupported,
            "Every model that could answer is expected to cost more than the request allows. Raise its limit of cost.",
        )
        .coded("max_cost_too_low");
    }
    Error::new(Kind::Unsupported, "No model that this key may use can do all that the request asks for (its length, tools, files, format). POST /v1/route with the same body names the reason for each.")
        .coded("no_suitable_model")
}

#[cfg(test)]
mod tests;
