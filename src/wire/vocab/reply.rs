//! An answer.

use super::{Dialect, Extra, Fault, FaultKind, Turn, Usage};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Seconds since the epoch.
    pub created: Option<i64>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    pub extra: Extra,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub index: u64,
    pub turn: Turn,
    pub finish: Option<Finish>,
    pub extra: Extra,
}

/// Why an answer ended, and the word the provider used for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    pub why: Stop,
    pub word: Option<(Dialect, String)>,
    /// The stop sequence that was hit, where the dialect tells.
    pub sequence: Option<String>,
}

impl Finish {
    #[must_use]
    pub fn of(why: Stop) -> Self {
        Self { why, word: None, sequence: None }
    }

    /// What is at fault where the model has given up; `told` is what the provider says of it.
    #[must_use]
    pub fn fault(&self, told: &str) -> Option<Fault> {
        if self.why != Stop::Failed {
            return None;
        }
        let word = self.word.as_ref().map_or("", |(_, word)| word.as_str());
        let reason = [word, told].map(str::trim);
        let reason: Vec<&str> = reason.into_iter().filter(|text| !text.is_empty()).collect();
        Some(Fault::new(FaultKind::GaveUp, reason.join(": ")))
    }

    /// The provider's own word, when `dialect` is the one it was said in.
    #[must_use]
    pub fn word_in(&self, dialect: Dialect) -> Option<&str> {
        self.word.as_ref().filter(|(by, _)| *by == dialect).map(|(_, word)| word.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    End,
    Sequence,
    Length,
    ToolCalls,
    Filter,
    /// Send the turn back to carry on (Anthropic's `pause_turn`).
    Pause,
    /// The model or its provider gave up: no answer came of it.
    Failed,
}

impl Reply {
    /// What is at fault where this is no answer: the model gave up, or nothing at all was said.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let told = |choice: &Choice| {
            let told = choice.extra.get(Dialect::Gemini, "finishMessage");
            choice.finish.as_ref()?.fault(told.and_then(|told| told.as_str()).unwrap_or_default())
        };
        if let Some(fault) = self.choices.iter().find_map(told) {
            return Some(fault);
        }
        let nothing = |choice: &Choice| choice.finish.is_none() && choice.turn.parts.is_empty();
        let empty = self.choices.iter().all(nothing);
        empty.then(|| Fault::new(FaultKind::GaveUp, "the answer is empty"))
    }
}
