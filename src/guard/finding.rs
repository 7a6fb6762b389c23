//! A rule that was met: where, and what came of it.

use std::fmt;
use std::sync::Arc;

use super::RuleAction;

/// Where a text is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Input,
    Output,
}

impl Stage {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that was met, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Arc<str>,
    pub verdict: RuleOutcome,
}

/// What was done with a text in which a rule found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleOutcome {
    Block,
    Mask,
    Flag,
    /// A webhook or a moderation model did not say, and the text went on.
    Unanswered,
}

impl RuleOutcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Mask => "mask",
            Self::Flag => "flag",
            Self::Unanswered => "unanswered",
        }
    }
}

impl From<RuleAction> for RuleOutcome {
    fn from(action: RuleAction) -> Self {
        match action {
            RuleAction::Block => Self::Block,
            RuleAction::Mask => Self::Mask,
            RuleAction::Flag => Self::Flag,
        }
    }
}
