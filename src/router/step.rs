//! One place to try, and what is known of it.

use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::catalogue::{Deployment, DeploymentId, Model, TokenKind};
use crate::wire::vocab::Effort;

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

/// What a request is expected to cost at a deployment now.
#[must_use]
pub(super) fn expected_cost(
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
