//! What a model gains, and how much it thinks, at the efforts that it can be asked at.

use crate::catalogue::Facts;
use crate::wire::vocab::{Effort, Efforts, Off, ThinkingStyle};

/// How deep a model thinks at an effort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Depth {
    /// The share that is lost of what thinking as hard as it can brings. Public figures at several
    /// efforts are few (one model of the catalogue): an assumption between its two ends, no
    /// thinking and the most, which are measured.
    pub loses: f32,
    /// Tokens of thought, in times of those at the effort `high`.
    pub tokens: f32,
}

/// How deep a model thinks at an effort, where `top` is the highest that it takes.
#[must_use]
pub fn depth(effort: Effort) -> Depth {
    let (loses, tokens) = match effort {
        Effort::None => (1.0, 0.0),
        Effort::Minimal => (0.8, 0.05),
        Effort::Low => (0.5, 0.25),
        Effort::Medium => (0.24, 0.55),
        Effort::High => (0.08, 1.0),
        Effort::XHigh => (0.03, 1.6),
        Effort::Max => (0.0, 2.2),
    };
    Depth { loses, tokens }
}

/// The efforts that a model can be asked at, in its own form or in one that comes to the same; empty
/// for those that do not think, or cannot be told how hard.
#[must_use]
pub fn efforts(facts: &Facts) -> Efforts {
    let thinking = &facts.thinking;
    let off = thinking.off != Off::Impossible;
    let steps: &[Effort] = match thinking.manner {
        ThinkingStyle::Unknown | ThinkingStyle::None => &[],
        ThinkingStyle::Toggle if thinking.efforts.is_empty() => &[Effort::High],
        ThinkingStyle::Budget | ThinkingStyle::Adaptive | ThinkingStyle::Effort
            if thinking.efforts.is_empty() =>
        {
            &[Effort::Low, Effort::Medium, Effort::High]
        }
        _ => &[],
    };
    let own = thinking.efforts.iter().filter(|effort| *effort != Effort::None);
    own.chain(steps.iter().copied()).chain(off.then_some(Effort::None)).collect()
}

/// What a model does that is told nothing: an effort, or `None` where it does not think at all and
/// cannot be told to.
#[must_use]
pub fn default_effort(facts: &Facts) -> Option<Effort> {
    let thinking = &facts.thinking;
    match thinking.manner {
        ThinkingStyle::None => None,
        ThinkingStyle::Unknown => None,
        _ if !facts.thinks(None) => Some(Effort::None),
        _ => Some(thinking.default_effort.unwrap_or({
            if thinking.manner == ThinkingStyle::Toggle { Effort::High } else { Effort::Medium }
        })),
    }
}
