//! How good an answer each model is likely to give, and how long. The heuristic stands behind the
//! interface that a trained model will use.

use super::Features;
use crate::catalogue::{Capability, Model, Tier};

/// What is expected of a model on a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Probability of a good answer.
    pub quality: f32,
    pub output_tokens: u64,
}

pub trait Predictor: Send + Sync {
    /// Deterministic: the same prompt and model give the same prediction.
    fn predict(&self, features: &Features, model: &Model) -> Prediction;
}

/// No training: a prompt has a difficulty, a tier has an ability, and a harder prompt tells the
/// tiers further apart. The abilities are the tiers' rough order on public leaderboards, not
/// measurements of any one model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heuristic;

impl Predictor for Heuristic {
    fn predict(&self, features: &Features, model: &Model) -> Prediction {
        let difficulty = features.difficulty();
        let mut ability = match model.tier {
            Tier::Free => 0.62,
            Tier::Budget => 0.70,
            Tier::Mid => 0.78,
            Tier::Premium => 0.90,
            Tier::Ultra => 0.96,
        };
        let reasons = model.capabilities.has(Capability::Reasoning);
        if reasons {
            ability += 0.03;
        }
        // A logistic curve around the point where ability meets difficulty: every model greets well,
        // few prove theorems.
        let quality = 1.0 / (1.0 + (-8.0 * (ability - 0.75 * difficulty - 0.10)).exp());
        let spoken = 120.0 + 700.0 * difficulty;
        let thought = if reasons { 400.0 * difficulty } else { 0.0 };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and positive"
        )]
        let output_tokens = (spoken + thought) as u64;
        Prediction { quality, output_tokens }
    }
}
