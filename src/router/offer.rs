//! What a model's deployments would cost and make a caller wait, and which of them is asked first.
//! To look at the state of one takes a lock, and a catalogue has a thousand: only those are looked at
//! that may be chosen.

use std::sync::Arc;

use super::choose::{MODELS, order};
use super::expect::{Expected, Seat, Table};
use super::explain::Kept;
use super::{Before, HealthOf, Needs, expected_cost};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::catalogue::{Deployment, Model, Tier};
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

/// Looks at the state of candidates: models at efforts, by their seats in the table.
pub(super) struct Looking<'a> {
    pub models: &'a [Arc<Model>],
    pub table: &'a Table,
    pub expected: &'a Expected,
    /// By place: the model can do what is asked.
    pub fits: Vec<bool>,
    pub health: HealthOf<'a>,
    pub now: Timestamp,
    pub needs: &'a Needs,
    pub max_cost: Option<Nanos>,
    /// Where the conversation was, and where its beginning is kept.
    pub before: Option<Before>,
    pub cached: Option<Before>,
    pub dollar: f64,
    /// The least quality that the dial insists on.
    pub floor: f64,
    /// What the caller pays, by tier.
    pub pays: [Nanos; Tier::ALL.len()],
    /// Places, and why each is out.
    pub rejected: &'a mut Vec<(usize, &'static str)>,
}

impl Looking<'_> {
    /// How many models are left.
    pub fn fitting(&self) -> usize {
        self.fits.iter().filter(|fits| **fits).count()
    }

    fn fit(&self, place: usize) -> bool {
        self.fits.get(place).copied().unwrap_or(false)
    }

    fn reject(&mut self, place: usize, reason: &'static str) {
        if let Some(fits) = self.fits.get_mut(place)
            && std::mem::take(fits)
        {
            self.rejected.push((place, reason));
        }
    }

    /// The seats that may be chosen: those of models that fit, at the caller's effort if it said one.
    fn seats(&self) -> impl Iterator<Item = usize> {
        let wish = self.needs.effort;
        let all = match wish {
            None => self.table.seats().len(),
            Some(_) => 0,
        };
        let of_wish = wish.into_iter().flat_map(move |wish| {
            (0..self.models.len()).flat_map(move |place| self.table.of(place, Some(wish)))
        });
        let seats = self.table.seats();
        (0..all)
            .chain(of_wish)
            .filter(move |seat| seats.get(*seat).is_some_and(|seat| self.fit(seat.place)))
    }

    /// Leaves out models that cost more at every effort.
    pub fn drop_dearer_than(&mut self, most: Nanos) {
        let mut dear = self.fits.clone();
        for seat in self.seats() {
            if let Some(place) = self.table.seats().get(seat).map(|seat| seat.place)
                && self.estimate(seat) <= most.as_usd()
                && let Some(dear) = dear.get_mut(place)
            {
                *dear = false;
            }
        }
        for (place, _) in dear.iter().enumerate().filter(|(_, dear)| **dear) {
            self.reject(place, "dearer than allowed");
        }
    }

    /// What a seat costs the operator at least, in USD.
    fn estimate(&self, seat: usize) -> f64 {
        f64::from(self.expected.cost.get(seat).copied().unwrap_or(0.0))
    }

    /// What a seat is worth at most: with nobody waiting, at the least that it can cost.
    fn bound(&self, seat: usize) -> f64 {
        let value = self.expected.value.get(seat).copied().unwrap_or(0.0);
        f64::from(value) - self.dollar * self.estimate(seat)
    }

    fn quality(&self, seat: usize) -> f32 {
        self.expected.quality.get(seat).copied().unwrap_or(0.0)
    }

    /// Puts a seat at the deployment that would be asked; `None`, with a reason, if none can.
    fn at(&mut self, seat: usize) -> Option<Kept> {
        let Seat { place, said, at } = *self.table.seats().get(seat)?;
        // What the caller has said goes as it was said.
        let said = said.filter(|_| self.needs.effort.is_none());
        let model = self.models.get(place)?;
        let cached = self.cached.filter(|cached| cached.place == place);
        let cached_tokens = cached.map_or(0, |cached| cached.prefix_tokens);
        let tokens = self.expected.tokens.get(seat).copied().unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        let ask = Ask {
            now: self.now,
            input_tokens: self.needs.input_tokens,
            cached_tokens,
            output_tokens: tokens as u64,
        };
        let Some(offer) = best_offer(model, self.health, ask) else {
            self.reject(place, "down");
            return None;
        };
        let pays = self.pays.get(model.tier as usize).copied().unwrap_or(Nanos(0));
        let burdens = offer.cost.max(pays);
        if self.max_cost.is_some_and(|most| burdens > most) {
            return None;
        }
        let explicit = self.needs.explicit;
        let there = model.deployments.get(offer.deployment);
        let quality = self.quality(seat);
        let value = self.expected.value.get(seat).copied().unwrap_or(0.0);
        Some(Kept {
            seat,
            place,
            effort: said,
            at,
            deployment: offer.deployment,
            quality,
            cost: offer.cost,
            wait_seconds: offer.wait_seconds,
            output_tokens: ask.output_tokens,
            cached_tokens,
            utility: f64::from(value) - self.dollar * burden(burdens, offer.wait_seconds),
            above_floor: f64::from(quality) >= self.floor,
            keeps: there.is_none_or(|there| !there.facts.drops.has(explicit)),
            stays: self.before.is_some_and(|before| before.stays && before.place == place),
        })
    }

    /// The best quality that there is. Whoever has it can be asked.
    pub fn best_quality(&mut self) -> f32 {
        let mut out: Vec<usize> = Vec::new();
        loop {
            // Of equals the first.
            let left = self.seats().filter(|seat| !out.contains(seat));
            let best = left.map(|seat| (seat, self.quality(seat)));
            let best = best.reduce(|best, one| if one.1 > best.1 { one } else { best });
            let Some((seat, quality)) = best else { return 0.0 };
            if self.at(seat).is_some() {
                return quality;
            }
            out.push(seat);
        }
    }

    /// Looks at all of them: the first few models at their best efforts in front, in order.
    pub fn at_all(&mut self) -> Vec<Kept> {
        let seats: Vec<usize> = self.seats().collect();
        let mut kept: Vec<Kept> = seats.into_iter().filter_map(|seat| self.at(seat)).collect();
        kept.retain(|one| self.fit(one.place));
        for place in 0..self.fits.len() {
            if kept.iter().all(|one| one.place != place) {
                self.reject(place, "dearer than allowed");
            }
        }
        kept.sort_by(order);
        let mut front = 0;
        for at in 0..kept.len() {
            if front == MODELS {
                break;
            }
            let known = kept.get(..front).unwrap_or_default();
            let Some(place) = kept.get(at).map(|one| one.place) else { break };
            if known.iter().all(|one| one.place != place)
                && let Some(between) = kept.get_mut(front..=at)
            {
                between.rotate_right(1);
                front += 1;
            }
        }
        kept
    }

    /// Looks at as many as it takes to be sure of the first few models, and gives those, in order.
    /// Those that have not been looked at are estimated at the least that they can cost, without a
    /// wait, so none of them can turn out better.
    pub fn at_the_best(&mut self) -> Vec<Kept> {
        let mut looked: Vec<Kept> = Vec::with_capacity(MODELS + 1);
        let mut tried: Vec<usize> = Vec::with_capacity(2 * AT_A_TIME);
        loop {
            let batch = self.best_of(&tried);
            if batch.is_empty() {
                return looked;
            }
            for likely in batch {
                if looked.get(MODELS - 1).is_some_and(|last| order(last, &likely).is_lt()) {
                    return looked;
                }
                tried.push(likely.seat);
                if let Some(one) = self.at(likely.seat) {
                    insert(&mut looked, one);
                }
            }
        }
    }

    /// The best few of those that were not tried yet, in order, as they may turn out at best.
    fn best_of(&self, tried: &[usize]) -> Vec<Kept> {
        let mut best: Vec<Kept> = Vec::with_capacity(AT_A_TIME + 1);
        let needed = self.needs.explicit;
        for seat in self.seats() {
            let quality = self.quality(seat);
            let above_floor = f64::from(quality) >= self.floor;
            let utility = self.bound(seat);
            let last = best.last().filter(|_| best.len() == AT_A_TIME);
            // Most are out by these two alone.
            let out = last.is_some_and(|last| {
                (above_floor, utility) < (last.above_floor, last.utility)
                    && needed == Said::default()
                    && self.before.is_none()
            });
            if out {
                continue;
            }
            let Some(Seat { place, said, at }) = self.table.seats().get(seat).copied() else {
                continue;
            };
            let model = self.models.get(place);
            let one = Kept {
                seat,
                place,
                effort: said,
                at,
                deployment: 0,
                quality,
                #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
                cost: Nanos((self.estimate(seat) * 1e9) as i64),
                wait_seconds: 0.0,
                output_tokens: 0,
                cached_tokens: 0,
                utility,
                above_floor,
                keeps: needed == Said::default()
                    || model.is_some_and(|model| {
                        model.deployments.iter().any(|one| !one.facts.drops.has(needed))
                    }),
                stays: self.before.is_some_and(|before| before.stays && before.place == place),
            };
            if last.is_some_and(|last| order(last, &one).is_lt()) || tried.contains(&seat) {
                continue;
            }
            let place = best.partition_point(|known| order(known, &one).is_lt());
            best.insert(place, one);
            best.truncate(AT_A_TIME);
        }
        best
    }
}

/// Into the first few, in order, where of a model only the best stands.
fn insert(looked: &mut Vec<Kept>, one: Kept) {
    if let Some(known) = looked.iter().position(|known| known.place == one.place) {
        match looked.get(known) {
            Some(better) if order(better, &one).is_lt() => return,
            _ => {
                looked.remove(known);
            }
        }
    }
    let place = looked.partition_point(|known| order(known, &one).is_lt());
    looked.insert(place, one);
    looked.truncate(MODELS);
}
