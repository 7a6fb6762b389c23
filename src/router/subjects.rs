//! What a prompt is about, by its words: how far each model's leanings count for it. A ridge
//! regression of what people said that prompts take on the sum of the words, kept in
//! `router-models/subjects.json`, embedded.

use serde::{Deserialize, Serialize};

use super::Needs;
use super::levels::Leaning;
use super::neural::{View, dot};
use crate::catalogue::Capability;

/// What this build carries.
static BUILTIN: &str = include_str!("../../router-models/subjects.json");

/// From this many tokens on a prompt is a long one.
const LONG_TOKENS: u64 = 32_000;
/// Of tool calls, what tool figures say counts more than leanings otherwise do: general ones do not
/// tell how well functions are called.
const TOOLS: f32 = 1.7;
/// A regression on few prompts is drawn towards what is usual; this draws it back.
const SHARPER: f32 = 1.6;
/// A subject that is less likely is left out.
const UNLIKELY: f32 = 0.08;

/// How much each subject weighs in a prompt, in the order of [`Leaning::ALL`].
pub type SubjectWeights = [f32; Leaning::ALL.len()];

/// The regression.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Subjects {
    /// The weights whose sums of words it reads.
    pub router: String,
    /// For each of [`Leaning::ALL`] a constant, and then what each number of the sum adds. Empty
    /// where nothing was learned.
    pub rows: Vec<Vec<f32>>,
}

impl Subjects {
    /// Those that this build carries; none for other weights than they were fitted to.
    #[must_use]
    pub fn builtin(router: &str) -> Self {
        let built: Self = serde_json::from_str(BUILTIN).unwrap_or_default();
        if built.router == router { built } else { Self::default() }
    }

    /// As a file: JSON, a subject a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |row: &Vec<f32>| serde_json::to_string(row).unwrap_or_default();
        let rows: Vec<String> = self.rows.iter().map(line).collect();
        let router = serde_json::Value::from(self.router.as_str());
        format!("{{\n\"router\": {router},\n\"rows\": [\n{}\n]\n}}\n", rows.join(",\n"))
    }

    /// By the words alone.
    #[must_use]
    pub fn by_words(&self, embedding: &[f32]) -> SubjectWeights {
        let mut weights = [0.0; Leaning::ALL.len()];
        for (weight, row) in weights.iter_mut().zip(&self.rows) {
            if let Some((constant, by)) = row.split_first() {
                *weight = constant + dot(embedding, by);
            }
        }
        weights
    }

    /// What a request is about, and in which ways it is asked.
    #[must_use]
    pub fn of(&self, view: &View, needs: &Needs) -> SubjectWeights {
        let mut weights = self
            .by_words(&view.embedding)
            .map(|one| if one < UNLIKELY { 0.0 } else { (one * SHARPER).min(1.0) });
        let is = |capability| f32::from(u8::from(needs.capabilities.has(capability)));
        for (weight, leaning) in weights.iter_mut().zip(Leaning::ALL) {
            match leaning {
                Leaning::Tools => *weight = TOOLS * is(Capability::Tools),
                Leaning::Vision => *weight = is(Capability::Vision),
                Leaning::Long => *weight = f32::from(u8::from(needs.input_tokens >= LONG_TOKENS)),
                Leaning::Following => *weight = weight.max(is(Capability::JsonSchema)),
                Leaning::Maths
                | Leaning::Code
                | Leaning::Knowledge
                | Leaning::Languages
                | Leaning::Taste => {}
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let built: Subjects = serde_json::from_str(BUILTIN).unwrap();
        assert_eq!(built.to_text(), BUILTIN);
        assert!(built.rows.is_empty() || built.rows.len() == Leaning::ALL.len());
    }
}
