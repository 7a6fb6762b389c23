//! Which deployments to try, in which order, and why. Pure: facts in, a [`Decision`] out. Carrying
//! it out, failovers included, is `upstream`'s job.

mod choose;
mod explain;
mod features;
mod named;
mod predict;

use std::sync::Arc;

use crate::base::money::Nanos;
use crate::catalogue::{Deployment, DeploymentId, Model};

pub use choose::decide_auto;
pub use explain::{Explanation, Kept, Rejected};
pub use features::{Features, Needs};
pub use named::decide_named;
pub use predict::{Heuristic, Prediction, Predictor};

/// The dial of `auto`: how much quality a dollar must buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dial {
    Cheap,
    Balanced,
    Best,
}

impl Dial {
    /// The variant a model name asks for, if it asks for `auto` at all.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "auto" | "auto:balanced" => Some(Self::Balanced),
            "auto:cheap" => Some(Self::Cheap),
            "auto:best" => Some(Self::Best),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cheap => "auto:cheap",
            Self::Balanced => "auto:balanced",
            Self::Best => "auto:best",
        }
    }

    /// Quality that one dollar is worth.
    pub(super) fn quality_per_usd(self) -> f64 {
        match self {
            Self::Cheap => 400.0,
            Self::Balanced => 25.0,
            Self::Best => 0.25,
        }
    }
}

/// What the router is told of a deployment's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The breaker lets requests through.
    pub passing: bool,
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
}

/// Deployments to try in order. Never empty.
#[derive(Debug, Clone)]
pub struct Decision {
    pub steps: Vec<Step>,
    /// Only `auto` has something to explain at the price of an allocation.
    pub explanation: Option<Box<Explanation>>,
}

/// What a request is expected to cost at a deployment.
#[must_use]
fn expected_cost(deployment: &Deployment, input_tokens: u64, output_tokens: u64) -> Nanos {
    let price = &deployment.price;
    price.input.for_tokens(input_tokens).plus(price.output.for_tokens(output_tokens))
}
