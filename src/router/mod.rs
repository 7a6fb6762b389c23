//! Which deployments to try, in which order, and why. Pure: facts in, a [`Decision`] out. Carrying
//! it out, failovers included, is `upstream`'s job.

mod able;
mod asked;
mod choose;
mod corrections;
mod dial;
mod expect;
mod explain;
mod features;
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
mod subjects;
mod wishes;
mod words;

use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::catalogue::{Deployment, DeploymentId, Model, Timeouts, TokenKind};
use crate::wire::vocab::Effort;

pub use asked::{form, question};
pub use choose::{Before, Choice, Corrections, decide_auto};
pub use corrections::{correction, in_force, own};
pub use dial::{Dial, Wish};
pub use explain::{Account, Explanation, Kept, Ranked, Rejected};
pub use features::Features;
pub use named::decide_named;
pub use needs::Needs;
pub use outcomes::{Outcomes, Sign, for_all};
pub use predict::{Demand, Predictor};
pub use promise::{AtDial, Group, Promise, Promises};
pub use replay::Replay;
pub use subjects::Subjects;
pub use wishes::{LeftOut, Measured, Preferences, Wishes};
pub use words::in_words;

/// What the router is told of a deployment's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    /// The breaker lets requests through.
    pub passing: bool,
    /// Little is left of its rate limit: others come first.
    pub strained: bool,
    /// Requests that it is answering now, for this node.
    pub in_flight: u32,
    /// How long an answer, or the first token of a stream, has taken of late; what is usual, where
    /// nobody knows.
    pub wait_seconds: f32,
}

impl Default for Health {
    /// Up, and nothing known.
    fn default() -> Self {
        Self { passing: true, strained: false, in_flight: 0, wait_seconds: 0.0 }
    }
}

/// Looks up the state of a deployment.
pub type HealthOf<'a> = &'a dyn Fn(DeploymentId) -> Health;

/// What the caller's plan and key let the router use.
pub type Allows<'a> = &'a dyn Fn(&Model) -> bool;

/// One place to try.
#[derive(Debug, Clone)]
pub struct Step {
    pub model: Arc<Model>,
    pub deployment: Arc<Deployment>,
    /// The effort that was chosen for it and is to be asked for; `None` where the caller has said
    /// one, or the model does what is wanted without.
    pub effort: Option<Effort>,
}

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

/// What a request is expected to cost at a deployment now.
#[must_use]
fn expected_cost(
    deployment: &Deployment,
    now: Timestamp,
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
) -> Nanos {
    let Some(rates) = deployment.prices.rates(now, input_tokens) else { return Nanos(0) };
    let cached = cached_tokens.min(input_tokens);
    Nanos::sum_for_tokens([
        (rates.of(TokenKind::Input), input_tokens - cached),
        (rates.of(TokenKind::CacheRead), cached),
        (rates.of(TokenKind::Output), output_tokens),
    ])
}
