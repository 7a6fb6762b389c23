//! What the file of a trained router says of itself.

use serde::{Deserialize, Serialize};

use super::everyday::Everyday;
use super::net::NetShape;
use super::signs::Signs;
use super::text::COUNTS;
use super::trace::{BUCKETS, PAIRS, SIGNS, VECTORS};

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// What decisions are labelled with.
    pub id: String,
    pub seed: u64,
    shape: Vec<usize>,
    pub sources: Vec<String>,
    /// Subjects and tasks of the sources, each by itself.
    pub domains: Vec<String>,
    pub models: Vec<ModelMeta>,
    /// The level of a model that nobody has data for: of its log prices and its size.
    pub level_by: Vec<f32>,
    /// The same where a tier is all that is known, from the cheapest tier to the dearest.
    pub level_by_tier: Vec<f32>,
    /// What the prompts of training were like.
    pub usual: Usual,
}

/// What is held of a prompt that is like none of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// The mean ease.
    pub ease: f32,
    /// The mean log length of answers.
    pub length: f32,
    /// How far the sums of words reach in each network, but for one prompt in a hundred. Repeating
    /// a word would carry them anywhere.
    pub reach: [f32; NetShape::NETS],
}

impl Default for Usual {
    fn default() -> Self {
        Self { ease: 0.0, length: 0.0, reach: [f32::MAX; NetShape::NETS] }
    }
}

/// A model that there is data for, or a family of such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMeta {
    pub name: String,
    pub rows: u64,
}

impl Meta {
    /// The domain that everyday prompts are of.
    pub const EVERYDAY: &str = "everyday";

    #[must_use]
    pub fn new(id: String, seed: u64, sources: Vec<String>, models: Vec<ModelMeta>) -> Self {
        Self {
            id,
            seed,
            shape: shape(),
            sources,
            domains: Vec::new(),
            models,
            level_by: Vec::new(),
            level_by_tier: Vec::new(),
            usual: Usual::default(),
        }
    }

    /// The file is of the shape that this build reads.
    pub(super) fn fits(&self) -> bool {
        self.shape == shape()
    }

    /// The place of the domain that everyday prompts are of, if any were trained on.
    #[must_use]
    pub fn everyday_domain(&self) -> Option<usize> {
        // It is the last.
        let last = self.domains.last().is_some_and(|name| name == Self::EVERYDAY);
        last.then(|| self.domains.len() - 1)
    }
}

fn shape() -> Vec<usize> {
    let networks = [
        NetShape::NETS,
        NetShape::EMBED,
        NetShape::VECTOR,
        NetShape::HIDDEN,
        NetShape::RANK,
        NetShape::DOMAINS,
    ];
    let everyday = [Everyday::FEW, Everyday::VECTOR, Everyday::TOGETHER, Everyday::TARGETS];
    let tables = [BUCKETS, PAIRS, COUNTS, VECTORS, SIGNS, Signs::RANK];
    tables.into_iter().chain(networks).chain(everyday).collect()
}
