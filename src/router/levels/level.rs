//! What a model is worth, and what that rests on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::vocab::Effort;

/// A subject or a way to be asked in which a model may be better or worse than its level says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leaning {
    Maths,
    Code,
    Knowledge,
    Following,
    Tools,
    Long,
    Languages,
    Vision,
    Taste,
}

impl Leaning {
    pub const ALL: [Self; 9] = [
        Self::Maths,
        Self::Code,
        Self::Knowledge,
        Self::Following,
        Self::Tools,
        Self::Long,
        Self::Languages,
        Self::Vision,
        Self::Taste,
    ];
}

/// Where a level comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestsOn {
    /// Public figures of the model itself.
    Figures {
        count: usize,
        /// The day of the latest, as `2026-10-09`.
        latest: String,
        /// Those that weigh most, and their values.
        strongest: Vec<(String, f64)>,
    },
    /// Measured scores: what the weights were trained on.
    Measured { prompts: u64 },
    /// Models of its family, the nearest first.
    Family { nearest: String },
    /// Its price, its size, its context, whether it thinks.
    Price,
}

/// What a model is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Log-odds of a good answer to a prompt of ease 0, at the highest effort that it takes.
    pub level: f32,
    /// How far that may be off: a standard deviation.
    pub sd: f32,
    /// What it loses where it does not think, on prompts that take it; 0 for those that never do.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub thought: f32,
    /// What it thinks, in times of what such models think.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub thinks: f32,
    /// The level at each effort that it takes, against the highest, on prompts that take thought.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub efforts: BTreeMap<Effort, f32>,
    /// Where it is better or worse than its level, in log-odds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leanings: BTreeMap<Leaning, f32>,
    /// The model of the weights whose skills it has: itself, by another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills_of: Option<String>,
    /// How much better it is than its price and size say: its kin are likely to be as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<f32>,
    pub rests_on: RestsOn,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::float_cmp, reason = "as serde asks")]
fn is_one(number: &f32) -> bool {
    *number == 1.0
}

fn one() -> f32 {
    1.0
}

impl Level {
    /// What it is better by for a request that leans somewhere.
    #[must_use]
    pub fn leaning(&self, towards: Leaning) -> f32 {
        self.leanings.get(&towards).copied().unwrap_or(0.0)
    }
}
