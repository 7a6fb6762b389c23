//! How long a provider or a model is waited for, where that is not what holds for all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::seconds::Seconds;

/// A `timeouts` table of a provider or a model; what is not given is as `[upstream]` and
/// `[server]` have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From sending a request for a stream to its first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Seconds>,
    /// Between two pieces of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Seconds>,
    /// For an answer that comes whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Seconds>,
}

impl Timeouts {
    /// These, and of `wider` what they leave open.
    #[must_use]
    pub fn over(self, wider: Self) -> Self {
        Self {
            first_byte: self.first_byte.or(wider.first_byte),
            idle: self.idle.or(wider.idle),
            answer: self.answer.or(wider.answer),
        }
    }

    /// A limit, or what holds for all.
    #[must_use]
    pub fn or(limit: Option<Seconds>, usual: Duration) -> Duration {
        limit.map_or(usual, |limit| limit.0)
    }
}
