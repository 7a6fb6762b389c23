//! How long a provider or a model is waited for and how often it is asked, where that is not what
//! holds for all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::seconds::Seconds;

/// A `timeouts` table of a provider or a model, or what a request says in `x-optimux-timeouts`; what
/// is not given is as `[upstream]` and `[server]` have it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From sending a request for a stream to its first byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Seconds>,
    /// From sending a request for a stream to the first of the answer itself, where another deployment
    /// could be asked instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Seconds>,
    /// Between two pieces of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Seconds>,
    /// For an answer that comes whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Seconds>,
    /// For a request as a whole, up to the first byte that the caller sees, where it is asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Seconds>,
    /// How often one deployment is asked, where the fault may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u8>,
}

impl Timeouts {
    /// Nothing is given.
    pub const NONE: Self = Self {
        first_byte: None,
        first_token: None,
        idle: None,
        answer: None,
        deadline: None,
        tries: None,
    };

    /// These, and of `wider` what they leave open.
    #[must_use]
    pub fn over(self, wider: Self) -> Self {
        Self {
            first_byte: self.first_byte.or(wider.first_byte),
            first_token: self.first_token.or(wider.first_token),
            idle: self.idle.or(wider.idle),
            answer: self.answer.or(wider.answer),
            deadline: self.deadline.or(wider.deadline),
            tries: self.tries.or(wider.tries),
        }
    }

    /// A limit, or what holds for all.
    #[must_use]
    pub fn or(limit: Option<Seconds>, usual: Duration) -> Duration {
        limit.map_or(usual, |limit| limit.0)
    }
}
