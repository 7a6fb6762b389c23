//! What each model is worth on the scale of a router's weights, and what that rests on: fitted to
//! public figures by `optimux router levels --fit`, kept in `router-models/levels.json`, embedded.

mod effort;
mod guess;
mod kin;
mod level;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use effort::{Depth, default_effort, depth, efforts};
pub use guess::{Clues, Guess, round};
pub use kin::Name;
pub use level::{Leaning, Level, RestsOn};

/// What this build carries.
static BUILTIN: &str = include_str!("../../../router-models/levels.json");

/// A level that is not known at all is off by so much: a standard deviation, in log-odds.
pub const UNKNOWN_SD: f32 = 1.0;

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
