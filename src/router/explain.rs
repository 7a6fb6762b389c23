//! A decision as data, and as one line.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Dial, Step};
use crate::base::money::Nanos;
use crate::catalogue::Catalogue;

/// A model that was considered and ranked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// Its place in the catalogue.
    pub place: usize,
    /// Its deployment that would be asked first, in the model's order.
    pub deployment: usize,
    /// Predicted probability of a good answer.
    pub quality: f32,
    pub cost: Nanos,
    /// How long its deployment has made callers wait of late, or what is usual.
    pub wait_seconds: f32,
    pub output_tokens: u64,
    /// Tokens of the prompt that its provider has likely kept.
    pub cached_tokens: u64,
    /// Quality minus the price of money and of waiting: what the ranking goes by.
    pub utility: f64,
    /// Of the quality that the dial insists on.
    pub above_floor: bool,
    /// It takes everything that was asked for explicitly.
    pub keeps: bool,
    /// The conversation was here before, and wishes to stay.
    pub stays: bool,
}

/// What was weighed. Names are looked up only when somebody asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub dial: Dial,
    pub difficulty: f32,
    pub novelty: f32,
    pub input_tokens: u64,
    /// The first was drawn among the best few, to find something out.
    pub explored: bool,
    /// The first few in order, the others as they stand in the catalogue.
    pub kept: Vec<Kept>,
    /// Places in the catalogue.
    pub rejected: Vec<(usize, &'static str)>,
}

/// A candidate as the caller reads of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked<'a> {
    pub model: &'a str,
    pub provider: &'a str,
    pub tier: &'static str,
    pub quality: f32,
    pub expected_cost_nano_usd: i64,
    pub expected_output_tokens: u64,
    /// Until the answer, or the first token of a stream, by those of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_wait_seconds: Option<f32>,
    pub utility: f64,
    pub verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected<'a> {
    pub model: &'a str,
    pub reason: &'static str,
}

/// The whole of it in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account<'a> {
    pub mode: &'static str,
    pub dial: f64,
    pub router: &'a str,
    pub difficulty: f32,
    /// The share of word pairs that training had not seen.
    pub novelty: f32,
    pub input_tokens: u64,
    /// The least share of the best model's quality that was insisted on.
    pub floor: f64,
    /// Best first.
    pub kept: Vec<Ranked<'a>>,
    pub rejected: Vec<Rejected<'a>>,
}

impl Explanation {
    /// For a header: one line of visible ASCII. `step` answers, whose model is the one kept at
    /// `rank`; `first` is the step that was to answer.
    #[must_use]
    pub fn line(&self, rank: usize, step: &Step, first: &Step) -> String {
        let mut line = String::with_capacity(112);
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
                self.kept.len() + self.rejected.len(),
                self.rejected.len(),
            );
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
    pub fn told<'a>(&self, catalogue: &'a Catalogue, router: &'a str) -> Account<'a> {
        let models = catalogue.models();
        let mut kept = self.kept.clone();
        // A draw stands before what the ranking says.
        let drawn = usize::from(self.explored);
        if let Some(ranked) = kept.get_mut(drawn..) {
            ranked.sort_by(super::choose::order);
        }
        let first = if self.explored { "drawn to find out" } else { "chosen" };
        let mut verdicts =
            std::iter::once(first).chain(std::iter::repeat("dearer for its quality"));
        let ranked = kept.iter().filter_map(|one| {
            let model = models.get(one.place)?;
            let deployment = model.deployments.get(one.deployment)?;
            let verdict = verdicts.next().unwrap_or_default();
            Some(Ranked {
                model: &model.id,
                provider: &deployment.provider.id,
                tier: model.tier.as_str(),
                quality: one.quality,
                expected_cost_nano_usd: one.cost.0,
                expected_output_tokens: one.output_tokens,
                expected_wait_seconds: (one.wait_seconds > 0.0).then_some(one.wait_seconds),
                utility: one.utility,
                verdict: match one {
                    one if !one.above_floor => "below the floor of quality",
                    one if !one.keeps => "cannot keep every setting that was asked for",
                    _ => verdict,
                },
            })
        });
        let rejected = self.rejected.iter().filter_map(|(place, reason)| {
            Some(Rejected { model: &models.get(*place)?.id, reason })
        });
        Account {
            mode: self.dial.name(),
            dial: self.dial.quality(),
            router,
            difficulty: self.difficulty,
            novelty: self.novelty,
            input_tokens: self.input_tokens,
            floor: self.dial.floor(),
            kept: ranked.collect(),
            rejected: rejected.collect(),
        }
    }
}
