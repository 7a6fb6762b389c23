//! Which deployments to try, in which order, and why. Pure: facts in, a [`Decision`] out. Carrying
//! it out, failovers included, is `upstream`'s job.

mod able;
mod asked;
mod choose;
mod corrections;
mod demand;
mod dial;
mod expect;
mod explain;
mod features;
mod kept;
pub mod levels;
mod named;
mod needs;
pub mod neural;
mod offer;
mod outcomes;
mod predict;
mod promise;
mod rank;
pub mod replay;
mod step;
mod subjects;
mod wishes;
mod words;

use std::sync::Arc;

use crate::catalogue::{Model, Timeouts};

pub use asked::{form, question};
pub use choose::{CandidatePool, decide_auto};
pub use corrections::{Corrections, correction, in_force, own};
pub use demand::PromptDemand;
pub use dial::{Dial, DialWish};
pub use explain::{Account, Explanation, Ranked, Rejected, without_cost};
pub use features::RequestFeatures;
pub use kept::RankedSeat;
pub use named::decide_named;
pub use needs::Needs;
pub use offer::PriorAnswerer;
pub use outcomes::{Outcomes, Sign, for_all};
pub use predict::Predictor;
pub use promise::{AtDial, Promise, PromiseGroup, Promises};
pub use replay::Replay;
pub use step::{Allows, Health, HealthOf, Step};
pub use subjects::Subjects;
pub use wishes::{LeftOut, MeasuredSpeed, Preferences, Wishes};
pub use words::in_words;

/// Deployments to try in order. Never empty.
#[derive(Debug, Clone)]
pub struct Decision {
    pub steps: Vec<Step>,
    /// Only `auto` has something to explain at the price of an allocation.
    pub explanation: Option<Box<Explanation>>,
    /// The model that was asked for and has ended: another answers in its place.
    pub replaced: Option<Box<str>>,
    /// Whom the caller's wishes have left out.
    pub left_out: Vec<LeftOut>,
    /// Limits of the caller's own, within which those of the steps hold.
    pub within: Timeouts,
    /// The caller lets a model go on from what another has said, should a stream break off.
    pub rescue_gives: bool,
}

impl Decision {
    /// Steps that a name leads to.
    #[must_use]
    fn of(steps: Vec<Step>) -> Self {
        Self {
            steps,
            explanation: None,
            replaced: None,
            left_out: Vec::new(),
            within: Timeouts::default(),
            rescue_gives: false,
        }
    }

    /// The model is the router's choice, not the caller's.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.explanation.is_some()
    }

    /// How `auto` chose, in one line, where `step` is the one that answers.
    #[must_use]
    pub fn line(&self, step: &Step) -> Option<String> {
        let explanation = self.explanation.as_deref()?;
        let first = self.steps.first()?;
        // The steps of a model stand together, in the order of what was kept.
        let mut models: Vec<&Arc<Model>> = self.steps.iter().map(|step| &step.model).collect();
        models.dedup_by(|one, before| Arc::ptr_eq(one, before));
        let rank = models.iter().position(|model| Arc::ptr_eq(model, &step.model))?;
        Some(explanation.line(rank, step, first))
    }
}
