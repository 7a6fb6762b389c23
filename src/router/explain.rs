//! A decision as data, and as one line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::kept::{RankedSeat, order};
use super::{Dial, Predictor, Promise, RequestFeatures, Step, in_words};
use crate::catalogue::Catalogue;
use crate::ledger::{PromptEstimate, Scored, Verdict, Weighed, hundredths};
use crate::wire::vocab::Effort;

/// What was weighed. Names are looked up only when somebody asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub dial: Dial,
    pub difficulty: f32,
    pub novelty: f32,
    /// Log-odds that a model of level 0 answers well, and how far that may be off.
    pub ease: f32,
    pub unsure: f32,
    /// Which class of models it takes, from 1 to 5, and whether thought helps, from 0 to 2.
    pub need: f32,
    pub thinking: f32,
    /// How much what was learned of such prompts is believed, and how much it is like everyday ones.
    pub belief: f32,
    pub everyday: f32,
    /// The likeliest of the subjects and tasks of training, by its place.
    pub domain: Option<u8>,
    /// What was read of it, where that is kept.
    pub features: Option<Box<RequestFeatures>>,
    /// What the account has found out of models, by their places.
    pub moved: Option<Arc<HashMap<usize, f32>>>,
    pub input_tokens: u64,
    /// How many models there were to choose from.
    pub considered: usize,
    /// How many candidates were weighed beside those that were kept.
    pub beyond: usize,
    /// The first was drawn among the best few, to find something out.
    pub explored: bool,
    /// The first few are of different models, in order.
    pub kept: Vec<RankedSeat>,
    /// Places in the catalogue.
    pub rejected: Vec<(usize, &'static str)>,
}

/// A candidate as the caller reads of it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Ranked<'a> {
    pub model: &'a str,
    pub provider: &'a str,
    pub tier: &'static str,
    /// The effort that it would be asked at, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'static str>,
    pub quality: f32,
    /// Log-odds of a good answer to a prompt of ease 0 at its highest effort, how far that may be
    /// off, and what it is known from.
    pub level: f32,
    pub level_sd: f32,
    pub rests_on: String,
    /// By how much what the account has found out moves it, in log-odds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_out: Option<f32>,
    /// Not told to customers who are not to know what providers charge, as what is reckoned of it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_cost_nano_usd: Option<i64>,
    pub expected_output_tokens: u64,
    /// Until the answer, or the first token of a stream, by those of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_wait_seconds: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utility: Option<f64>,
    pub verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Rejected<'a> {
    pub model: &'a str,
    pub reason: &'static str,
}

/// The whole of it in words.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Explanation")]
pub struct Account<'a> {
    pub mode: &'static str,
    pub dial: f64,
    pub router: &'a str,
    pub difficulty: f32,
    /// The share of word pairs that training had not seen.
    pub novelty: f32,
    /// Log-odds that a model of level 0 answers well, and how far that may be off.
    pub ease: f32,
    pub unsure: f32,
    /// The class of models that it takes, from 1 to 5.
    pub need: f32,
    /// What thinking first adds: from 0, nothing, to 2, it takes it.
    pub thinking: f32,
    /// How much what was learned of prompts like it is believed, and how much it is like everyday ones:
    /// from 0 to 1.
    pub belief: f32,
    pub everyday: f32,
    /// All of that in words, with what it rests on.
    pub in_words: String,
    /// What the dial keeps of the best candidate's good answers; nothing where nobody measured that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<Promise>,
    pub input_tokens: u64,
    /// The least share of the best model's quality that was insisted on.
    pub floor: f64,
    /// Best first.
    pub kept: Vec<Ranked<'a>>,
    pub rejected: Vec<Rejected<'a>>,
}

impl Account<'_> {
    /// The same without what providers charge.
    #[must_use]
    pub fn without_costs(mut self) -> Self {
        for one in &mut self.kept {
            (one.expected_cost_nano_usd, one.utility) = (None, None);
        }
        self
    }
}

/// A line of [`Explanation::line`] without what providers charge.
#[must_use]
pub fn without_cost(line: &str) -> String {
    line.split("; ").filter(|part| !part.starts_with("cost $")).collect::<Vec<_>>().join("; ")
}

/// Why each candidate was chosen or not, best first.
struct Verdicts {
    first: Option<Verdict>,
    seen: Vec<usize>,
}

impl Verdicts {
    fn new(explored: bool, candidates: usize) -> Self {
        let first = if explored { Verdict::Drawn } else { Verdict::Chosen };
        Self { first: Some(first), seen: Vec::with_capacity(candidates) }
    }

    fn of(&mut self, one: &RankedSeat) -> Verdict {
        let verdict = self.first.take().unwrap_or(Verdict::Dearer);
        let again = self.seen.contains(&one.place);
        self.seen.push(one.place);
        match one {
            one if !one.above_floor => Verdict::BelowFloor,
            one if !one.keeps => Verdict::Loses,
            _ if again => Verdict::AnotherEffort,
            _ => verdict,
        }
    }
}

impl Explanation {
    fn found_out(&self, place: usize) -> Option<f32> {
        self.moved.as_ref()?.get(&place).copied()
    }

    /// What the dial promises; nothing of everyday prompts, whose answers nobody has scored.
    fn promise(&self, predictor: &Predictor) -> Option<Promise> {
        if self.everyday >= 0.5 {
            return None;
        }
        let group = predictor.source_of(self.domain?)?;
        let belief = self.belief / (1.0 - self.everyday).max(0.01);
        predictor.promises().of(self.dial, group, belief)
    }

    fn taken(&self) -> PromptEstimate {
        PromptEstimate {
            ease: hundredths(self.ease),
            unsure: hundredths(self.unsure),
            need: hundredths(self.need),
            thinking: hundredths(self.thinking),
            novelty: hundredths(self.novelty),
            belief: hundredths(self.belief),
            everyday: hundredths(self.everyday),
        }
    }

    /// What was weighed, as the request's record keeps it: the best of them, in the order in which they
    /// are tried.
    #[must_use]
    pub fn weighed(&self, catalogue: &Catalogue, predictor: &Predictor) -> Weighed {
        let (models, table) = (catalogue.models(), predictor.table());
        let mut verdicts = Verdicts::new(self.explored, self.kept.len());
        let candidates = self.kept.iter().filter_map(|one| {
            let model = models.get(one.place)?;
            let level = table.level(one.place)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
            let quality = (one.quality.clamp(0.0, 1.0) * 1_000.0).round() as u16;
            Some(Scored {
                model: &model.id,
                provider: &model.deployments.get(one.deployment)?.provider.id,
                effort: one.at,
                quality,
                cost: one.cost,
                tokens: u32::try_from(one.output_tokens).unwrap_or(u32::MAX),
                level: hundredths(level.level),
                sd: hundredths(level.sd),
                moved: hundredths(self.found_out(one.place).unwrap_or(0.0)),
                verdict: verdicts.of(one),
            })
        });
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let weighed = count(self.kept.len().saturating_add(self.beyond));
        Weighed::pack(&self.taken(), count(self.considered), weighed, candidates)
    }

    /// For a header: one line of visible ASCII. `step` answers, whose model is the one kept at
    /// `rank`; `first` is the step that was to answer.
    #[must_use]
    pub fn line(&self, rank: usize, step: &Step, first: &Step) -> String {
        let mut line = String::with_capacity(128);
        if let Some(kept) = self.kept.get(rank) {
            // Writing to a String cannot fail.
            let _infallible = write!(
                line,
                "{} -> {} @ {}; quality {:.2}; cost ${:.6}; {} considered, {} rejected",
                self.dial.name(),
                step.model.id,
                step.deployment.provider.id,
                kept.quality,
                kept.cost.as_usd(),
                self.considered,
                self.rejected.len(),
            );
            if let Some(effort) = step.effort {
                let _infallible = write!(line, "; effort {}", effort.as_str());
            }
            if step.deployment.id != first.deployment.id {
                let _infallible = write!(
                    line,
                    "; in place of {} @ {}",
                    first.model.id, first.deployment.provider.id
                );
            }
        }
        line
    }

    /// Every candidate by name, best first.
    #[must_use]
    pub fn told<'a>(&self, catalogue: &'a Catalogue, predictor: &'a Predictor) -> Account<'a> {
        let models = catalogue.models();
        let mut kept = self.kept.clone();
        // A draw stands before what the ranking says.
        let drawn = usize::from(self.explored);
        if let Some(ranked) = kept.get_mut(drawn..) {
            ranked.sort_by(order);
        }
        let table = predictor.table();
        let mut verdicts = Verdicts::new(self.explored, kept.len());
        let ranked = kept.iter().filter_map(|one| {
            let model = models.get(one.place)?;
            let deployment = model.deployments.get(one.deployment)?;
            let verdict = verdicts.of(one).as_str();
            let level = table.level(one.place)?;
            Some(Ranked {
                model: &model.id,
                provider: &deployment.provider.id,
                tier: model.tier.as_str(),
                effort: one.at.map(Effort::as_str),
                quality: one.quality,
                level: level.level,
                level_sd: level.sd,
                rests_on: level.rests_on.to_string(),
                found_out: self.found_out(one.place),
                expected_cost_nano_usd: Some(one.cost.0),
                expected_output_tokens: one.output_tokens,
                expected_wait_seconds: (one.wait_seconds > 0.0).then_some(one.wait_seconds),
                utility: Some(one.utility),
                verdict,
            })
        });
        let rejected = self.rejected.iter().filter_map(|(place, reason)| {
            Some(Rejected { model: &models.get(*place)?.id, reason })
        });
        Account {
            mode: self.dial.name(),
            dial: self.dial.quality(),
            router: predictor.id(),
            difficulty: self.difficulty,
            novelty: self.novelty,
            ease: self.ease,
            unsure: self.unsure,
            need: self.need,
            thinking: self.thinking,
            belief: self.belief,
            everyday: self.everyday,
            in_words: in_words(&self.taken()),
            promise: self.promise(predictor),
            input_tokens: self.input_tokens,
            floor: self.dial.floor(),
            kept: ranked.collect(),
            rejected: rejected.collect(),
        }
    }
}
