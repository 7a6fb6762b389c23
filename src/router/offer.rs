//! What a model's deployments would cost and make a caller wait, and which of them is asked first.
//! To look at the state of one takes a lock, and a catalogue has a thousand: only those are looked at
//! that may be chosen.

use std::ops::Range;
use std::sync::Arc;

use super::expect::{Expectations, Seat, SeatBounds, Table};
use super::kept::{RankedSeat, order};
use super::rank::{Best, Rank};
use super::step::expected_cost;
use super::{HealthOf, Needs};
use crate::base::clock::Timestamp;
use crate::base::money::{Margin, Nanos};
use crate::catalogue::{Deployment, Model, Tier};
use crate::ledger::MOST_CANDIDATES;
use crate::wire::vocab::{Effort, RiskyMembers};

/// How many models a plan may run through.
pub(super) const MODELS: usize = 4;
/// What a second of waiting is worth in USD: at the middle of the dial as much as one good answer in
/// a hundred and sixty. As money, so that the dial weighs it against quality as it does money.
const USD_PER_SECOND: f64 = 0.000_1;
/// Waiting so long bothers nobody.
const GRACE_SECONDS: f32 = 0.5;

/// Which model answered this conversation before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorAnswerer {
    /// The model's place in the catalogue.
    pub place: usize,
    /// Tokens of the prompt that its provider has likely kept.
    pub prefix_tokens: u64,
    /// The caller wishes to stay with it while it will do.
    pub stays: bool,
}

/// What is asked of a deployment.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfferQuery {
    pub now: Timestamp,
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
}

impl OfferQuery {
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
fn best_offer(model: &Model, health: HealthOf<'_>, ask: OfferQuery) -> Option<Offer> {
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

/// What a model is sold for: at its first deployment, whichever answers.
pub(super) fn sold(model: &Model, ask: OfferQuery, margin: Margin) -> Option<Nanos> {
    model.deployments.first().map(|first| margin.on(ask.cost(first)))
}

/// Candidates whose state was looked at.
pub(super) struct Looked {
    /// The first few are of different models, in order; so are the others.
    pub kept: Vec<RankedSeat>,
    /// How many more were only estimated.
    pub beyond: usize,
}

/// Looks at the state of candidates: models at efforts, by their seats in the table.
pub(super) struct Looking<'a> {
    pub models: &'a [Arc<Model>],
    pub table: &'a Table,
    pub expected: &'a Expectations,
    /// By place: the model can do what is asked.
    pub fits: Vec<bool>,
    pub health: HealthOf<'a>,
    pub now: Timestamp,
    pub needs: &'a Needs,
    pub max_cost: Option<Nanos>,
    /// What `max_cost` bounds, as [`super::DialWish::sold`] has it.
    pub sold: Option<Margin>,
    /// Where the conversation was, and where its beginning is kept.
    pub before: Option<PriorAnswerer>,
    pub cached: Option<PriorAnswerer>,
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
    fn seats(&self, place: usize) -> Range<usize> {
        self.table.of(place, self.needs.effort)
    }

    /// The models that may be chosen.
    fn places(&self) -> impl Iterator<Item = usize> {
        self.fits.iter().enumerate().filter(|(_, fits)| **fits).map(|(place, _)| place)
    }

    /// Leaves out models that cost more at every effort.
    pub fn drop_dearer_than(&mut self, most: Nanos) {
        let dear = |place: &usize| {
            self.seats(*place).all(|seat| match self.sold {
                None => self.estimate(seat) > most.as_usd(),
                Some(margin) => self
                    .models
                    .get(*place)
                    .and_then(|model| sold(model, self.ask(seat, 0), margin))
                    .is_some_and(|price| price > most),
            })
        };
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

    /// What a seat would be asked.
    fn ask(&self, seat: usize, cached_tokens: u64) -> OfferQuery {
        let tokens = self.table.tokens(self.expected, seat);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        OfferQuery {
            now: self.now,
            input_tokens: self.needs.input_tokens,
            cached_tokens,
            output_tokens: tokens as u64,
        }
    }

    /// Puts a seat at the deployment that would be asked; `None`, with a reason, if none can.
    fn at(&mut self, seat: usize) -> Option<RankedSeat> {
        let Seat { place, said, at } = *self.table.seats().get(seat)?;
        // An effort that the caller gave goes on unchanged.
        let said = said.filter(|_| self.needs.effort.is_none());
        let model = self.models.get(place)?;
        let cached = self.cached.filter(|cached| cached.place == place);
        let cached_tokens = cached.map_or(0, |cached| cached.prefix_tokens);
        let ask = self.ask(seat, cached_tokens);
        let Some(offer) = best_offer(model, self.health, ask) else {
            self.reject(place, "down");
            return None;
        };
        let pays = self.pays.get(model.tier as usize).copied().unwrap_or(Nanos(0));
        let burdens = offer.cost.max(pays);
        let price = self.sold.and_then(|margin| sold(model, ask, margin));
        let bounded = price.unwrap_or(offer.cost).max(pays);
        if self.max_cost.is_some_and(|most| bounded > most) {
            return None;
        }
        let explicit = self.needs.explicit;
        let there = model.deployments.get(offer.deployment);
        let quality = self.expected.quality(seat);
        let value = self.expected.value(seat);
        Some(RankedSeat {
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
            stays: self.stays(place),
        })
    }

    /// The best quality that there is. Whoever has it can be asked.
    pub fn best_quality(&mut self) -> f32 {
        // Mostly it is the best of all.
        let logits = &self.expected.logits;
        if self.needs.effort.is_none()
            && let Some(seat) = self.expected.best()
            && self.table.seats().get(seat).is_some_and(|seat| self.fit(seat.place))
            && self.at(seat).is_some()
        {
            return self.expected.quality(seat);
        }
        let mut likely: Vec<f32> = self.each(|place| most(logits, self.seats(place)));
        // Of equals the first.
        while let Some((place, logit)) = best(&likely, f32::MIN) {
            let seats = self.seats(place);
            let seat = seats.clone().find(|seat| self.logit(*seat) >= logit);
            if let Some(seat) = seat
                && self.at(seat).is_some()
            {
                return self.expected.quality(seat);
            }
            // The next best of the model, unless it is down at all of them.
            let others = seats.map(|seat| self.logit(seat)).filter(|other| *other < logit);
            let next = others.fold(f32::MIN, f32::max);
            if let Some(one) = likely.get_mut(place) {
                *one = if self.fit(place) { next } else { f32::MIN };
            }
        }
        0.0
    }

    /// Something of each model that may be chosen, by its place; [`f32::MIN`] for the others.
    fn each(&self, of: impl Fn(usize) -> f32) -> Vec<f32> {
        let fits = self.fits.iter().enumerate();
        fits.map(|(place, fits)| if *fits { of(place) } else { f32::MIN }).collect()
    }

    /// Looks at all of them: the first few models at their best efforts in front, in order.
    pub fn at_all(&mut self) -> Looked {
        let places: Vec<usize> = self.places().collect();
        let mut kept: Vec<RankedSeat> = Vec::new();
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
        Looked { kept, beyond: 0 }
    }

    /// Looks at as many as it takes to be sure of the first few models, and gives those, in order; and after
    /// them, for the record, the likeliest of the others. Those that have not been looked at are estimated
    /// at the least that they can cost, without a wait, so none of them can turn out better.
    pub fn at_the_best(&mut self) -> Looked {
        let mut looked: Vec<RankedSeat> = Vec::with_capacity(MOST_CANDIDATES + MODELS);
        #[expect(clippy::cast_possible_truncation, reason = "at most a hundred")]
        let mut worth = self.expected.worth(self.dollar as f32, self.floor);
        let mut seen = vec![false; self.models.len()];
        let ranks = std::mem::take(&mut worth.ranks);
        let ranks = self.ranks(ranks);
        let all = ranks.iter().filter(|rank| **rank != Rank::OUT).count();
        let mut likely: Vec<usize> = Vec::with_capacity(MOST_CANDIDATES);
        let mut sure = false;
        for (rank, seat) in Best::of(ranks) {
            sure |= looked.get(MODELS - 1).is_some_and(|last| Rank::of(last) > rank);
            let full = likely.len() == MOST_CANDIDATES;
            if sure && full {
                break;
            }
            if !full {
                likely.push(seat);
            }
            let place = self.table.seats().get(seat).map_or(usize::MAX, |seat| seat.place);
            if sure || seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            if let Some(best) = self.best_of(place, &worth) {
                let place = looked.partition_point(|known| order(known, &best).is_lt());
                looked.insert(place, best);
                looked.truncate(MODELS);
            }
        }
        let first = looked.len();
        let unlikely = looked.iter().filter(|one| !likely.contains(&one.seat)).count();
        let beyond = all.saturating_sub(likely.len() + unlikely);
        for seat in likely {
            let is_first = looked.iter().take(first).any(|one| one.seat == seat);
            let fits = self.table.seats().get(seat).is_some_and(|seat| self.fit(seat.place));
            if !is_first
                && fits
                && let Some(one) = self.at(seat)
            {
                looked.push(one);
            }
        }
        if let Some(others) = looked.get_mut(first..) {
            others.sort_unstable_by(order);
        }
        Looked { kept: looked, beyond }
    }

    /// Seats as they may turn out at best; those out that may not be chosen.
    fn ranks(&self, mut ranks: Vec<Rank>) -> Vec<Rank> {
        let explicit = self.needs.explicit;
        let usual = explicit == RiskyMembers::default()
            && self.needs.effort.is_none()
            && !self.before.is_some_and(|before| before.stays);
        ranks.truncate(self.table.seats().len());
        for (place, (fits, model)) in self.fits.iter().zip(self.models).enumerate() {
            if usual && *fits {
                continue;
            }
            let allowed = if *fits { self.seats(place) } else { 0..0 };
            let keeps = explicit == RiskyMembers::default()
                || model.deployments.iter().any(|one| !one.facts.drops.has(explicit));
            let stays = self.stays(place);
            for seat in self.table.of(place, None) {
                let Some(rank) = ranks.get_mut(seat) else { continue };
                if !allowed.contains(&seat) {
                    *rank = Rank::OUT;
                    continue;
                }
                if !keeps {
                    *rank = rank.losing();
                }
                if stays {
                    *rank = rank.staying();
                }
            }
        }
        ranks
    }

    fn stays(&self, place: usize) -> bool {
        self.before.is_some_and(|before| before.stays && before.place == place)
    }

    /// A model at its best effort; `None`, with a reason, if it cannot be asked at any.
    fn best_of(&mut self, place: usize, worth: &SeatBounds) -> Option<RankedSeat> {
        let seats = self.seats(place);
        let mut ranks = [Rank::OUT; Effort::ALL.len() + 1];
        for (rank, seat) in ranks.iter_mut().zip(seats.clone()) {
            let most = worth.all.get(seat).copied().unwrap_or(f32::MIN);
            *rank = Rank::new(self.logit(seat) >= self.floor, most);
        }
        let mut found: Option<RankedSeat> = None;
        while let Some((at, rank)) = best(&ranks, Rank::OUT) {
            if found.as_ref().is_some_and(|known| rank < Rank::of_worth(known)) {
                break;
            }
            if let Some(seen) = ranks.get_mut(at) {
                *seen = Rank::OUT;
            }
            if let Some(one) = self.at(seats.start + at)
                && found.as_ref().is_none_or(|known| order(&one, known).is_lt())
            {
                found = Some(one);
            }
            if !self.fit(place) {
                return None;
            }
        }
        if found.is_none() {
            self.reject(place, "dearer than allowed");
        }
        found
    }
}

/// The most of something at a model's seats; [`f32::MIN`] if it has none.
fn most(by_seat: &[f32], seats: Range<usize>) -> f32 {
    let seats = by_seat.get(seats).unwrap_or_default();
    seats.iter().fold(f32::MIN, |most, one| if *one > most { *one } else { most })
}

/// The highest and its place; of equals the first. `None` once nothing is above `out`.
fn best<T: Copy + PartialOrd>(all: &[T], out: T) -> Option<(usize, T)> {
    let (mut at, mut highest) = (None, out);
    for (place, one) in all.iter().enumerate() {
        if *one > highest {
            (at, highest) = (Some(place), *one);
        }
    }
    at.map(|at| (at, highest))
}

impl Rank {
    /// Where a candidate stands that was looked at.
    fn of(kept: &RankedSeat) -> Self {
        let rank = Self::of_worth(kept);
        let rank = if kept.keeps { rank } else { rank.losing() };
        if kept.stays { rank.staying() } else { rank }
    }

    /// The same beside others of its model.
    fn of_worth(kept: &RankedSeat) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "bounds are more than rounding above")]
        let utility = kept.utility as f32;
        Self::new(kept.above_floor, utility)
    }
}
