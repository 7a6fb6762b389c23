//! Rows as they are learned from.

use crate::router::neural::{COUNTS, NetShape};

/// A score to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub model: usize,
    pub score: f32,
    pub log_tokens: Option<f32>,
}

/// A row as the networks see it.
#[derive(Debug, Clone)]
pub struct Sample {
    pub buckets: Vec<usize>,
    /// Its signs, each once.
    pub signs: Vec<usize>,
    /// Bits of its word pairs, each once.
    pub pairs: Vec<usize>,
    pub counts: [f32; COUNTS],
    pub vector: [f32; NetShape::VECTOR],
    pub domain: usize,
    /// How much it weighs in telling domains apart.
    pub tell: f32,
    /// None for everyday prompts.
    pub cells: Vec<Target>,
}
