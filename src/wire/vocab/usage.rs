//! Token counts, disjoint, so that they can be added up and priced.

use serde_json::Value;

use super::Dialect;

/// What a request took. Every token is counted in exactly one field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Usage {
    /// Fresh input: neither read from nor written to a cache.
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Visible output.
    pub output: u64,
    /// Reasoning.
    pub thought: u64,
    /// The provider's own object: written back whole to the dialect it came from.
    pub raw: Option<(Dialect, Value)>,
}

impl Usage {
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    #[must_use]
    pub fn completion(&self) -> u64 {
        self.output.saturating_add(self.thought)
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt().saturating_add(self.completion())
    }

    /// Counts in a stream are cumulative, but a later report may leave out what an earlier one
    /// said (Anthropic's input): the larger of each holds.
    #[must_use]
    pub fn updated(self, later: Self) -> Self {
        Self {
            input: self.input.max(later.input),
            cache_read: self.cache_read.max(later.cache_read),
            cache_write: self.cache_write.max(later.cache_write),
            output: self.output.max(later.output),
            thought: self.thought.max(later.thought),
            raw: later.raw.or(self.raw),
        }
    }

    #[must_use]
    pub fn raw_in(&self, dialect: Dialect) -> Option<&Value> {
        self.raw.as_ref().filter(|(from, _)| *from == dialect).map(|(_, raw)| raw)
    }
}
