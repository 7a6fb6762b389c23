//! A model as the customer names it, and where it can be had.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::capability::Capabilities;
use super::{DataPolicy, Facts, Prices, Provider, Quirk, Rates, Timeouts};
use crate::base::clock::Timestamp;
use crate::wire::images;
use crate::wire::vocab::Protocol;

/// How dear a model is, which plans and credits go by.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Free,
    Budget,
    Mid,
    Premium,
    Ultra,
}

impl Tier {
    pub const ALL: [Self; 5] = [Self::Free, Self::Budget, Self::Mid, Self::Premium, Self::Ultra];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Budget => "budget",
            Self::Mid => "mid",
            Self::Premium => "premium",
            Self::Ultra => "ultra",
        }
    }
}

/// What a model is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Chat,
    Embedding,
    Image,
    Realtime,
}

/// Which of a model's deployments is asked first, of those that are up and have room under their limits.
/// The others follow in the operator's order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The operator's first.
    #[default]
    Order,
    /// Drawn by their weights.
    Weights,
    /// The cheapest now.
    Price,
    /// Of two that are drawn, the one whose answers came sooner of late.
    Latency,
    /// The one that has the fewest requests of this node in flight; of equals one is drawn.
    LeastBusy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
    Pdf,
    Embedding,
}

/// Counts from 0 over the whole catalogue: where breakers and health keep their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeploymentId(pub usize);

/// A model at a provider.
#[derive(Debug)]
pub struct Deployment {
    pub id: DeploymentId,
    pub provider: Arc<Provider>,
    /// The provider's own name for the model.
    pub name: String,
    /// What it can be asked in, in order of preference. Never empty.
    pub protocols: Vec<Protocol>,
    pub prices: Prices,
    pub facts: Arc<Facts>,
    /// From this moment on the provider serves it no longer.
    pub ends: Option<Timestamp>,
    /// The most that an answer may be long here, in tokens.
    pub max_output_tokens: u64,
    /// Edits that this provider needs for this model.
    pub quirks: Vec<Quirk>,
    /// What is done here with what it is sent, as far as that is known.
    pub data: DataPolicy,
    /// Its part of the requests, where they are drawn; never below 0.
    pub weight: f64,
}

impl Deployment {
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

#[derive(Debug)]
pub struct Model {
    pub id: Box<str>,
    /// What it is counted under: its id, or for all that no file lists `provider/*`.
    pub label: Box<str>,
    pub aliases: Vec<Box<str>>,
    pub owned_by: String,
    pub tier: Tier,
    pub mode: Mode,
    pub context_tokens: u64,
    pub max_output_tokens: u64,
    pub input: Vec<Modality>,
    pub output: Vec<Modality>,
    pub capabilities: Capabilities,
    pub fallback: Vec<Box<str>>,
    pub balance: Balance,
    /// The model that answers once no deployment is left.
    pub replacement: Option<Box<str>>,
    /// Its maker may change or withdraw it without notice.
    pub preview: bool,
    /// How long it is waited for, over what its provider says.
    pub timeouts: Timeouts,
    /// What it takes, if it draws.
    pub images: images::ImagesRules,
    /// When the last of its deployments ends; `None` while one has no end.
    pub ends: Option<Timestamp>,
    /// Rates that no deployment's standard price goes below.
    pub least: Rates,
    /// In order of preference. Empty only for a model whose providers have all ended it, which is
    /// kept for its replacement.
    pub deployments: Vec<Arc<Deployment>>,
}

impl Model {
    /// The deployment at whose price it is sold, whichever answers: its first, or the one that answers of a
    /// model that no file lists.
    #[must_use]
    pub fn sold_at<'a>(&'a self, answering: &'a Deployment) -> &'a Deployment {
        self.deployments.first().map_or(answering, AsRef::as_ref)
    }

    /// Whether it answers requests of this kind. One that draws and talks is asked in conversation, too
    /// (Gemini's models of pictures).
    #[must_use]
    pub fn serves(&self, mode: Mode) -> bool {
        let talks = [Modality::Text, Modality::Image].iter().all(|one| self.output.contains(one));
        self.mode == mode || (mode == Mode::Chat && self.mode == Mode::Image && talks)
    }

    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.deployments.is_empty() && self.ends.is_none_or(|ends| now < ends)
    }
}
