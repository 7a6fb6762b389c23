//! What `auto` weighed for a request, as its line keeps it: what the prompt was taken for, and the best of
//! the candidates. Small numbers, so that lines stay short.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::money::Nanos;

/// More candidates are not kept.
pub const MOST_CANDIDATES: usize = 8;

/// What a prompt was taken for. All but what is said otherwise in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptEstimate {
    /// Log-odds that a model of level 0 answers well, and how far that may be off.
    pub ease: i16,
    pub unsure: i16,
    /// Which class of models it takes, from 1 to 5, and whether thought helps, from 0 to 2.
    pub need: i16,
    pub thinking: i16,
    /// The share of word pairs that were new, how far what was learned of such prompts is believed, and
    /// how much it is like everyday prompts.
    pub novelty: i16,
    pub belief: i16,
    pub everyday: i16,
}

/// A model at an effort that was weighed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub model: String,
    pub provider: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Cow<'static, str>>,
    /// The predicted chance of a good answer, in thousandths.
    pub quality: u16,
    /// What it was expected to cost, and to write.
    pub cost: Nanos,
    pub tokens: u32,
    /// The model's level and how far that may be off, in hundredths.
    pub level: i16,
    pub sd: i16,
    /// By how much what the account has found out moved it, in hundredths.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub moved: i16,
    pub verdict: Cow<'static, str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_nothing(number: &i16) -> bool {
    *number == 0
}

/// What was weighed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    pub taken: PromptEstimate,
    /// How many models there were to choose from.
    pub considered: u32,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// A number in hundredths.
#[must_use]
pub fn hundredths(number: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let hundredths = (number * 100.0).round().clamp(-32_000.0, 32_000.0) as i16;
    hundredths
}

/// And back.
#[must_use]
pub fn of_hundredths(number: i16) -> f64 {
    f64::from(number) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_in_hundredths() {
        assert_eq!(hundredths(-1.234), -123);
        assert_eq!(hundredths(f32::INFINITY), 32_000);
        assert_eq!(hundredths(f32::NAN), 0);
        assert!((of_hundredths(-123) + 1.23).abs() < 1e-9);
    }
}
