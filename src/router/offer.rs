//! What a model's deployments would cost and make a caller wait, and which of them is asked first.
//! To look at the state of one takes a lock, and a catalogue has a thousand: only those are looked at
//! that may be chosen.

use std::sync::Arc;

use super::choose::{MODELS, order};
use super::explain::Kept;
use super::{HealthOf, expected_cost};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::catalogue::{Deployment, Model, TokenKind};
use crate::wire::vocab::Said;

/// What a second of waiting is worth in USD: at the middle of the dial as much as one good answer in
/// a hundred and sixty. As money, so that the dial weighs it against quality as it does money.
const USD_PER_SECOND: f64 = 0.000_1;
/// Waiting so long bothers nobody.
const GRACE_SECONDS: f32 = 0.5;
/// So many candidates are put in order at a time.
const AT_A_TIME: usize = 12;

/// What is asked of a deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub now: Timestamp,
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
}

impl Ask {
    pub fn cost(self, deployment: &Deployment) -> Nanos {
        expected_cost(
            deployment,
            self.now,
            self.input_tokens,
            self.cached_tokens,
            self.output_tokens,
        )
    }
}

/// What an answer costs in USD, the wait for it included. Differences within [`GRACE_SECONDS`] are
/// noise, and nothing to leave a warm prompt cache for.
pub(super) fn burden(cost: Nanos, wait_seconds: f32) -> f64 {
    // Worked out for every candidate: to multiply takes a fifth of what dividing does.
    #[expect(clippy::cast_precision_loss, reason = "a rank, not a bill")]
    let usd = cost.0 as f64 * 1e-9;
    usd + USD_PER_SECOND * f64::from((wait_seconds - GRACE_SECONDS).max(0.0))
}

/// What an answer of the model costs at least, wherever and whenever it is asked.
pub(super) fn at_least(model: &Model, ask: Ask) -> Nanos {
    let cached = ask.cached_tokens.min(ask.input_tokens);
    Nanos::sum_for_tokens([
        (model.least.of(TokenKind::Input), ask.input_tokens - cached),
        (model.least.of(TokenKind::CacheRead), cached),
        (model.least.of(TokenKind::Output), ask.output_tokens),
    ])
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

/// The deployment to ask first: one with room under its limits, then the one whose price and wait
/// weigh least, then the one that the operator named first. `None` if all are down.
fn best_offer(model: &Model, health: HealthOf<'_>, ask: Ask) -> Option<Offer> {
    let live = model.deployments.iter().enumerate().filter(|(_, one)| one.is_live(ask.now));
    let offers = live.filter_map(|(place, deployment)| {
        let state = health(deployment.id);
        state.passing.then(|| Offer {
            deployment: place,
            cost: ask.cost(deployment),
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

/// Looks at the state of candidates.
pub(super) struct Looking<'a> {
    pub models: &'a [Arc<Model>],
    pub health: HealthOf<'a>,
    pub now: Timestamp,
    pub input_tokens: u64,
    pub max_cost: Option<Nanos>,
    /// What is asked for explicitly.
    pub explicit: Said,
    pub dollar: f64,
    /// Places, and why each is out.
    pub rejected: &'a mut Vec<(usize, &'static str)>,
}

impl Looking<'_> {
    /// Puts a candidate at the deployment that would be asked; `false`, with a reason, if none can.
    pub fn at(&mut self, one: &mut Kept) -> bool {
        let ask = Ask {
            now: self.now,
            input_tokens: self.input_tokens,
            cached_tokens: one.cached_tokens,
            output_tokens: one.output_tokens,
        };
        let model = self.models.get(one.place);
        let Some(offer) = model.and_then(|model| best_offer(model, self.health, ask)) else {
            self.rejected.push((one.place, "down"));
            return false;
        };
        if self.max_cost.is_some_and(|most| offer.cost > most) {
            self.rejected.push((one.place, "dearer than allowed"));
            return false;
        }
        let there = model.and_then(|model| model.deployments.get(offer.deployment));
        one.keeps = there.is_none_or(|there| !there.facts.drops.has(self.explicit));
        (one.deployment, one.cost) = (offer.deployment, offer.cost);
        one.wait_seconds = offer.wait_seconds;
        one.utility = f64::from(one.quality) - self.dollar * burden(offer.cost, offer.wait_seconds);
        true
    }

    /// The best quality that there is. Whoever has it has been looked at, or is gone.
    pub fn best_quality(&mut self, kept: &mut Vec<Kept>, looked: bool) -> f32 {
        loop {
            let best = kept.iter().enumerate().max_by(|(_, one), (_, other)| {
                one.quality.total_cmp(&other.quality).then(other.place.cmp(&one.place))
            });
            let Some((place, quality)) = best.map(|(place, one)| (place, one.quality)) else {
                return 0.0;
            };
            let up = looked || kept.get_mut(place).is_some_and(|one| self.at(one));
            if up {
                return quality;
            }
            kept.swap_remove(place);
        }
    }

    /// Looks at as many as it takes to be sure of the first few, and puts those in front, in order.
    /// Those that have not been looked at are estimated at the least that they can cost, without a
    /// wait, so none of them can turn out better.
    pub fn at_the_best(&mut self, kept: &mut Vec<Kept>) {
        let mut looked: Vec<usize> = Vec::with_capacity(2 * AT_A_TIME);
        let mut tried: Vec<usize> = Vec::with_capacity(2 * AT_A_TIME);
        let out = self.rejected.len();
        let before =
            |kept: &[Kept], one: usize, other: usize| match (kept.get(one), kept.get(other)) {
                (Some(one), Some(other)) => order(one, other).is_lt(),
                _ => false,
            };
        'looking: loop {
            let batch = best_of(kept, &tried);
            if batch.is_empty() {
                break;
            }
            for at in batch {
                if looked.get(MODELS - 1).is_some_and(|last| before(kept, *last, at)) {
                    break 'looking;
                }
                tried.push(at);
                if kept.get_mut(at).is_some_and(|one| self.at(one)) {
                    let place = looked.partition_point(|known| before(kept, *known, at));
                    looked.insert(place, at);
                }
            }
        }
        looked.truncate(MODELS);
        for front in 0..looked.len() {
            let Some(from) = looked.get(front).copied() else { break };
            kept.swap(front, from);
            // Whoever stood in front stands there now.
            for later in looked.iter_mut().skip(front + 1).filter(|later| **later == front) {
                *later = from;
            }
        }
        if let Some(down) = self.rejected.get(out..).filter(|down| !down.is_empty()) {
            kept.retain(|one| !down.iter().any(|(place, _)| *place == one.place));
        }
    }
}

/// The best few of those that were not tried yet, in order.
fn best_of(kept: &[Kept], tried: &[usize]) -> Vec<usize> {
    let mut best: Vec<(usize, &Kept)> = Vec::with_capacity(AT_A_TIME + 1);
    for (at, one) in kept.iter().enumerate() {
        let last = best.last().filter(|_| best.len() == AT_A_TIME);
        if last.is_some_and(|(_, last)| order(last, one).is_lt()) || tried.contains(&at) {
            continue;
        }
        let place = best.partition_point(|(_, known)| order(known, one).is_lt());
        best.insert(place, (at, one));
        best.truncate(AT_A_TIME);
    }
    best.into_iter().map(|(at, _)| at).collect()
}
