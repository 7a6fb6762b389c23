//! What a model's deployments would cost and make a caller wait, and which of them is asked first.
//! To look at the state of one takes a lock, and a catalogue has a thousand: only those are looked at
//! that may be chosen.

use std::cmp::Ordering;
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
    /// The least quality that the dial insists on, as log-odds.
    pub floor: f32,
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

    /// The seats of a model that may be chosen: all, or that of the caller's effort.
    fn seats(&self, place: usize) -> std::ops::Range<usize> {
        self.table.of(place, self.needs.effort)
    }

    /// The models that may be chosen.
    fn places(&self) -> impl Iterator<Item = usize> {
        self.fits.iter().enumerate().filter(|(_, fits)| **fits).map(|(place, _)| place)
    }

    /// Leaves out models that cost more at every effort.
    pub fn drop_dearer_than(&mut self, most: Nanos) {
        let dear =
            |place: &usize| self.seats(*place).all(|seat| self.estimate(seat) > most.as_usd());
        let dear: Vec<usize> = self.places().filter(dear).collect();
        for place in dear {
            self.reject(place, "dearer than allowed");
        }
    }

    fn logit(&self, seat: usize) -> f32 {
        self.expected.logits.get(seat).copied().unwrap_or(f32::MIN)
    }

    /// What a seat costs at least, in USD.
    fn estimate(&self, seat: usize) -> f64 {
        f64::from(self.expected.costs.get(seat).copied().unwrap_or(0.0))
    }

    /// What a seat is worth at most: with nobody waiting, at the least that it can cost.
    fn bound(&self, seat: usize) -> Bound {
        let value = self.table.value(self.expected, seat);
        Bound {
            above_floor: self.logit(seat) >= self.floor,
            utility: f64::from(value) - self.dollar * self.estimate(seat),
        }
    }

    /// Puts a seat at the deployment that would be asked; `None`, with a reason, if none can.
    fn at(&mut self, seat: usize) -> Option<Kept> {
        let Seat { place, said, at } = *self.table.seats().get(seat)?;
        // What the caller has said goes as it was said.
        let said = said.filter(|_| self.needs.effort.is_none());
        let model = self.models.get(place)?;
        let cached = self.cached.filter(|cached| cached.place == place);
        let cached_tokens = cached.map_or(0, |cached| cached.prefix_tokens);
        let tokens = self.table.tokens(self.expected, seat);
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
        let quality = self.table.quality(self.expected, seat);
        let value = self.table.value(self.expected, seat);
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
            above_floor: self.logit(seat) >= self.floor,
            keeps: there.is_none_or(|there| !there.facts.drops.has(explicit)),
            stays: self.before.is_some_and(|before| before.stays && before.place == place),
        })
    }

    /// The best quality that there is. Whoever has it can be asked.
    pub fn best_quality(&mut self) -> f32 {
        let mut out: Vec<usize> = Vec::new();
        loop {
            // Of equals the first.
            let (mut best, mut most) = (None, f32::MIN);
            for place in self.places() {
                for seat in self.seats(place) {
                    let logit = self.logit(seat);
                    if logit > most && !out.contains(&seat) {
                        (best, most) = (Some(seat), logit);
                    }
                }
            }
            let Some(seat) = best else { return 0.0 };
            if self.at(seat).is_some() {
                return self.table.quality(self.expected, seat);
            }
            out.push(seat);
        }
    }

    /// Looks at all of them: the first few models at their best efforts in front, in order.
    pub fn at_all(&mut self) -> Vec<Kept> {
        let places: Vec<usize> = self.places().collect();
        let mut kept: Vec<Kept> = Vec::new();
        for place in places {
            let before = kept.len();
            kept.extend(self.seats(place).filter_map(|seat| self.at(seat)));
            if kept.len() == before {
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
        let mut likely = self.likely();
        for next in 0..likely.len() {
            if next.is_multiple_of(AT_A_TIME) {
                // Only the next few have to be in order.
                let rest = likely.get_mut(next..).unwrap_or_default();
                if rest.len() > AT_A_TIME {
                    rest.select_nth_unstable_by(AT_A_TIME - 1, Likely::order);
                }
                let few = rest.len().min(AT_A_TIME);
                rest.get_mut(..few).unwrap_or_default().sort_by(Likely::order);
            }
            let Some(one) = likely.get(next).copied() else { break };
            let last = looked.get(MODELS - 1);
            if last.is_some_and(|last| Likely::of(last).order(&one).is_lt()) {
                break;
            }
            if let Some(best) = self.best_of(one.place) {
                let place = looked.partition_point(|known| order(known, &best).is_lt());
                looked.insert(place, best);
                looked.truncate(MODELS);
            }
        }
        looked
    }

    /// Every model as it may turn out at best.
    fn likely(&self) -> Vec<Likely> {
        let explicit = self.needs.explicit;
        let mut all = Vec::with_capacity(self.fits.len());
        for place in self.places() {
            let mut best = Bound { above_floor: false, utility: f64::MIN };
            for seat in self.seats(place) {
                let bound = self.bound(seat);
                if best < bound {
                    best = bound;
                }
            }
            let keeps = explicit == Said::default()
                || self.models.get(place).is_some_and(|model| {
                    model.deployments.iter().any(|one| !one.facts.drops.has(explicit))
                });
            let stays = self.before.is_some_and(|before| before.stays && before.place == place);
            all.push(Likely { place, keeps, stays, bound: best });
        }
        all
    }

    /// A model at its best effort; `None`, with a reason, if it cannot be asked at any.
    fn best_of(&mut self, place: usize) -> Option<Kept> {
        let mut seats: Vec<(usize, Bound)> =
            self.seats(place).map(|seat| (seat, self.bound(seat))).collect();
        seats.sort_by(|(_, one), (_, other)| other.partial_cmp(one).unwrap_or(Ordering::Equal));
        let mut best: Option<Kept> = None;
        for (seat, bound) in seats {
            if best.as_ref().is_some_and(|known| bound < Likely::of(known).bound) {
                break;
            }
            if let Some(one) = self.at(seat)
                && best.as_ref().is_none_or(|known| order(&one, known).is_lt())
            {
                best = Some(one);
            }
            if !self.fit(place) {
                return None;
            }
        }
        if best.is_none() {
            self.reject(place, "dearer than allowed");
        }
        best
    }
}

/// What a seat is worth at most.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Bound {
    above_floor: bool,
    utility: f64,
}

/// A model as it may turn out at best.
#[derive(Debug, Clone, Copy)]
struct Likely {
    place: usize,
    keeps: bool,
    stays: bool,
    bound: Bound,
}

impl Likely {
    fn of(kept: &Kept) -> Self {
        let bound = Bound { above_floor: kept.above_floor, utility: kept.utility };
        Self { place: kept.place, keeps: kept.keeps, stays: kept.stays, bound }
    }

    /// As [`order`], as far as it is known. Equals are both looked at.
    fn order(&self, other: &Self) -> Ordering {
        other
            .bound
            .above_floor
            .cmp(&self.bound.above_floor)
            .then(other.keeps.cmp(&self.keeps))
            .then(other.stays.cmp(&self.stays))
            .then(other.bound.utility.total_cmp(&self.bound.utility))
    }
}
