//! An answer.

use super::{Dialect, Extra, Turn, Usage};

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
    /// The provider's fault, said in a whole answer.
    Failed,
}
