//! What each model is worth on the scale of a router's weights, and what that rests on: fitted to
//! public figures by `optimux router levels --fit`, kept in `router-models/levels.json`, embedded.

mod effort;
mod guess;
mod kin;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::vocab::Effort;

pub use effort::{Depth, default_effort, depth, efforts};
pub use guess::{Clues, Guess, round};
pub use kin::Name;

/// What this build carries.
static BUILTIN: &str = include_str!("../../../router-models/levels.json");

/// A level that is not known at all is off by so much: a standard deviation, in log-odds.
pub const UNKNOWN_SD: f32 = 1.0;

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

/// The line that figures were laid on: how their common factor becomes a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The weights whose scale it is.
    pub router: String,
    /// The level of a factor of 0, and what a step of the factor adds.
    pub intercept: f32,
    pub slope: f32,
    /// Above this factor no model has measured scores: a step adds less there.
    pub bend: f32,
    /// How many models have figures and measured scores, and the rank correlation of the two.
    pub anchors: usize,
    pub rank_correlation: f32,
}

/// What is known of all models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    pub scale: Scale,
    pub guess: Guess,
    pub models: BTreeMap<String, Level>,
}

impl Levels {
    /// Those that this build carries.
    ///
    /// # Errors
    /// Never, unless the build itself is broken: a test reads them.
    pub fn builtin() -> Result<Self, serde_json::Error> {
        Self::read(BUILTIN)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the text is not what [`Self::to_text`] writes.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// As a file: JSON, a model a line, so that a difference can be read.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{{\n\"scale\": {},\n\"guess\": {},\n\"models\": {{\n",
            line(&self.scale),
            line(&self.guess)
        );
        let model = |(name, level): (&String, &Level)| format!("{}: {}", line(name), line(level));
        let models: Vec<String> = self.models.iter().map(model).collect();
        text.push_str(&models.join(",\n"));
        text.push_str("\n}\n}\n");
        text
    }

    /// A model's level: its own, or what its family and its price speak for.
    #[must_use]
    pub fn of(&self, clues: &Clues<'_>) -> Level {
        match self.models.get(clues.name) {
            Some(own) => own.clone(),
            None => self.guess.level(clues, &self.models),
        }
    }
}

impl Default for Levels {
    /// Nothing is known of anybody.
    fn default() -> Self {
        let scale = Scale {
            router: String::new(),
            intercept: 0.0,
            slope: 1.0,
            bend: 0.0,
            anchors: 0,
            rank_correlation: 0.0,
        };
        let guess = Guess { coefficients: Vec::new(), sd: UNKNOWN_SD, thought: 0.0 };
        Self { scale, guess, models: BTreeMap::new() }
    }
}

/// Plain data, which can always be written.
fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let levels = Levels::builtin().unwrap();
        let text = levels.to_text();
        assert_eq!(Levels::read(&text).unwrap(), levels);
        assert_eq!(text, BUILTIN);
    }
}
