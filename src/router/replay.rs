//! Requests that were made, decided again: what another catalogue or another wish would have chosen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    CandidatePool, Dial, DialWish, Needs, Predictor, PromptDemand, RequestFeatures, decide_auto,
};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::catalogue::Catalogue;

/// What a request would have been answered by.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The model's id.
    pub model: String,
    /// The chance of a good answer, from 0 to 1.
    pub quality: f64,
    /// What its answer is expected to cost.
    pub cost: Nanos,
}

/// What `auto` would choose; `None` where no model could answer.
#[must_use]
pub fn chosen(
    wish: DialWish,
    needs: &Needs,
    demand: &PromptDemand,
    choice: &CandidatePool<'_>,
) -> Option<Chosen> {
    let decision = decide_auto(wish, needs, demand, choice).ok()?;
    let kept = *decision.explanation?.kept.first()?;
    let model = choice.catalogue.models().get(kept.place)?.id.to_string();
    Some(Chosen { model, quality: f64::from(kept.quality), cost: kept.cost })
}

/// What requests come to with one catalogue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ReplayOutcome")]
pub struct ReplayOutcome {
    /// No model could answer.
    pub unanswered: u64,
    /// What the answers are expected to cost, in all.
    pub cost_nano_usd: i64,
    /// The mean chance of a good answer, from 0 to 1, of those that are answered.
    pub quality: f64,
    /// How many requests each model answers.
    pub models: BTreeMap<String, u64>,
}

/// What would have been different for requests of `auto` that were made, with every provider up and nothing
/// that an account may not use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Replay {
    pub requests: u64,
    /// Kept by other weights, which say nothing here.
    pub unreadable: u64,
    /// Requests that another model would have answered, or none, or one at last.
    pub moved: u64,
    pub before: ReplayOutcome,
    pub after: ReplayOutcome,
}

/// A catalogue with the router's predictions for its models.
pub type RoutedCatalogue<'a> = (&'a Catalogue, &'a Predictor);

impl Replay {
    /// Decides each request with either catalogue.
    #[must_use]
    pub fn of(
        requests: &[RequestFeatures],
        before: RoutedCatalogue<'_>,
        after: RoutedCatalogue<'_>,
        now: Timestamp,
    ) -> Self {
        let mut replay = Self::default();
        for request in requests {
            let read = request.demand().filter(|_| {
                [before, after].iter().all(|(_, predictor)| predictor.id() == request.router)
            });
            let Some(demand) = read else {
                replay.unreadable += 1;
                continue;
            };
            replay.requests += 1;
            let dial = Dial::new(request.dial).unwrap_or(Dial::BALANCED);
            let wish = DialWish { dial, max_cost: request.max_cost, sold: None };
            let decided = |side: RoutedCatalogue<'_>| {
                let choice = CandidatePool::of_all(side.0, side.1, now);
                chosen(wish, &request.needs, &demand, &choice)
            };
            let (was, is) = (decided(before), decided(after));
            let name = |one: &Option<Chosen>| one.as_ref().map(|one| one.model.clone());
            if name(&was) != name(&is) {
                replay.moved += 1;
            }
            replay.before.count(was);
            replay.after.count(is);
        }
        replay.before.averaged(replay.requests);
        replay.after.averaged(replay.requests);
        replay
    }
}

impl ReplayOutcome {
    fn count(&mut self, chosen: Option<Chosen>) {
        let Some(chosen) = chosen else {
            self.unanswered += 1;
            return;
        };
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(chosen.cost.0);
        self.quality += chosen.quality;
        *self.models.entry(chosen.model).or_default() += 1;
    }

    fn averaged(&mut self, requests: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let answered = requests.saturating_sub(self.unanswered).max(1) as f64;
        self.quality /= answered;
    }
}
