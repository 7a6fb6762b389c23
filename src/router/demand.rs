//! What a prompt demands.

use super::neural::{RatingScale, View};

/// How hard a prompt is, by what its text asks for.
#[derive(Debug)]
pub struct PromptDemand {
    view: View,
    /// What a model of usual verbosity is expected to say, in tokens.
    length: f32,
}

impl PromptDemand {
    /// As it was read before.
    pub(super) fn of(view: View, length: f32) -> Self {
        Self { view, length }
    }

    /// What the networks make of the prompt.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// What a model of usual verbosity is expected to say, in tokens.
    pub(super) fn length(&self) -> f32 {
        self.length
    }

    /// Log-odds that a model of level 0 answers well: the higher, the easier.
    #[must_use]
    pub fn ease(&self) -> f32 {
        self.view.ease
    }

    /// How far the ease may be off: a standard deviation, in log-odds.
    #[must_use]
    pub fn unsure(&self) -> f32 {
        self.view.unsure
    }

    /// What thinking before the answer adds: from 0, nothing, over 1, it helps, to 2, it takes it.
    #[must_use]
    pub fn thinking(&self) -> f32 {
        self.view.thinking
    }

    /// Which class of models it takes: 1, any of 3 to 8 billion parameters; 2, a good small one; 3,
    /// a middle one; 4, a frontier model of 2026; 5, such a model with long thinking.
    #[must_use]
    pub fn need(&self) -> f32 {
        RatingScale::default().need(self.view.ease)
    }

    /// From 0, which any model answers, to 1, which few do.
    #[must_use]
    pub fn difficulty(&self) -> f32 {
        1.0 - sigmoid(self.view.ease)
    }

    /// How much what was learned of prompts like it is believed, from 0 to 1.
    #[must_use]
    pub fn belief(&self) -> f32 {
        self.view.belief
    }

    /// The likeliest of the subjects and tasks of training, by its place.
    #[must_use]
    pub fn domain(&self) -> Option<u8> {
        self.view.domains.first().filter(|(_, share)| *share > 0.0).map(|(place, _)| *place)
    }

    /// How much it is like everyday prompts, against questions of benchmarks: from 0 to 1.
    #[must_use]
    pub fn everyday(&self) -> f32 {
        self.view.everyday
    }

    /// From 0, like what the router was trained on, to 1, like nothing it has seen.
    #[must_use]
    pub fn novelty(&self) -> f32 {
        self.view.novelty
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
