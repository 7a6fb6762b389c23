//! A decision as data, and as one line.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;

use super::Dial;

/// A model that was considered and ranked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub model: Box<str>,
    pub provider: Box<str>,
    pub tier: &'static str,
    /// Predicted probability of a good answer.
    pub quality: f32,
    /// Expected cost in nano-USD.
    pub expected_cost_nano_usd: i64,
    pub expected_output_tokens: u64,
    /// Quality minus the price of money: what the ranking goes by.
    pub utility: f64,
}

/// A model that was not, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub model: Box<str>,
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub mode: &'static str,
    pub router: &'static str,
    pub difficulty: f32,
    pub input_tokens: u64,
    /// Best first.
    pub kept: Vec<Kept>,
    pub rejected: Vec<Rejected>,
}

impl Explanation {
    #[must_use]
    pub(super) fn new(dial: Dial, difficulty: f32, input_tokens: u64) -> Self {
        Self {
            mode: dial.as_str(),
            router: "heuristic-1",
            difficulty,
            input_tokens,
            kept: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// For a header: one line of visible ASCII.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(96);
        if let Some(first) = self.kept.first() {
            // Writing to a String cannot fail.
            let _infallible = write!(
                line,
                "{} -> {} @ {}; quality {:.2}; cost ${:.6}; {} considered, {} rejected",
                self.mode,
                first.model,
                first.provider,
                first.quality,
                crate::base::money::Nanos(first.expected_cost_nano_usd).as_usd(),
                self.kept.len() + self.rejected.len(),
                self.rejected.len(),
            );
        }
        line
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}
