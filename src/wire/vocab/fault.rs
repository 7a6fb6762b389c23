//! What goes wrong on the wire: a body that cannot be read, and a provider's refusal.

use std::borrow::Cow;

use crate::base::{Error, Kind};

/// A body that is not what its dialect says it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    pub message: Cow<'static, str>,
    /// Path of the field at fault.
    pub field: Option<String>,
    pub code: Option<&'static str>,
}

impl Malformed {
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), field: None, code: None }
    }

    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new(format!("Missing required parameter: '{field}'."))
            .at(field)
            .coded("missing_required_parameter")
    }

    #[must_use]
    pub fn wrong_type(field: &str, wanted: &str, got: &str) -> Self {
        Self::new(format!("Invalid type for '{field}': expected {wanted}, but got {got} instead."))
            .at(field)
            .coded("invalid_type")
    }

    #[must_use]
    pub fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        Self::new(format!("Invalid value for '{field}': {why}.")).at(field).coded("invalid_value")
    }

    #[must_use]
    pub fn not_json(why: &serde_json::Error) -> Self {
        Self::new(format!("We could not parse the JSON body of your request: {why}."))
            .coded("invalid_json")
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        let mut error = Error::new(Kind::Malformed, malformed.message);
        error.field = malformed.field.map(Cow::Owned);
        error.code = malformed.code.map(Cow::Borrowed);
        error
    }
}

/// A provider's failure, read from its status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub status: Option<u16>,
    /// What the provider says, for the caller to read.
    pub message: String,
    /// The provider's own code, passed on where the dialects agree on codes.
    pub code: Option<String>,
    pub field: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The provider refuses this request, and so would another.
    Refused,
    /// This deployment cannot do what is asked; another may.
    Unfit,
    /// Too long for this model; a longer one may take it.
    ContextLength,
    /// Our credential at this provider does not work.
    Credential,
    /// The provider has no such model.
    ModelGone,
    RateLimited,
    /// Our account there is empty: waiting does not help, going elsewhere does.
    Quota,
    Overloaded,
    Timeout,
    /// The model came to no answer that can be used (a call that cannot be read, say). Another try
    /// may; it says nothing of the deployment.
    GaveUp,
    /// Its own failure.
    Broken,
    /// No connection.
    Unreachable,
}

impl FaultKind {
    /// What a status means where the body says no more.
    #[must_use]
    pub fn of_status(status: Option<u16>) -> Self {
        match status {
            Some(401 | 403) => Self::Credential,
            Some(402) => Self::Quota,
            Some(404) => Self::ModelGone,
            Some(408 | 504) => Self::Timeout,
            Some(425 | 429) => Self::RateLimited,
            Some(503 | 529) => Self::Overloaded,
            Some(400..500) => Self::Refused,
            _ => Self::Broken,
        }
    }
}

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails everywhere.
    Never,
    /// Not here, but perhaps at another deployment.
    Elsewhere,
    /// Here again after a pause, or elsewhere.
    Same,
}

impl Fault {
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), code: None, field: None }
    }

    #[must_use]
    pub fn retry(&self) -> Retry {
        match self.kind {
            FaultKind::Refused => Retry::Never,
            FaultKind::ContextLength
            | FaultKind::Unfit
            | FaultKind::Credential
            | FaultKind::ModelGone
            | FaultKind::Quota => Retry::Elsewhere,
            FaultKind::RateLimited
            | FaultKind::Overloaded
            | FaultKind::Timeout
            | FaultKind::GaveUp
            | FaultKind::Broken
            | FaultKind::Unreachable => Retry::Same,
        }
    }

    /// Speaks for the deployment's health, not for the request.
    #[must_use]
    pub fn counts_against_health(&self) -> bool {
        let of_the_request =
            [FaultKind::Refused, FaultKind::Unfit, FaultKind::ContextLength, FaultKind::GaveUp];
        !of_the_request.contains(&self.kind)
    }

    /// As the caller is told it. A fault of our own account at the provider is not the caller's.
    #[must_use]
    pub fn into_error(self) -> Error {
        let error = match self.kind {
            FaultKind::Refused | FaultKind::Unfit => Error::new(Kind::Malformed, self.message),
            FaultKind::ContextLength => {
                Error::new(Kind::ContextLength, self.message).coded("context_length_exceeded")
            }
            FaultKind::RateLimited => Error::new(
                Kind::Overloaded,
                "The model is receiving too many requests. Retry after a brief delay.",
            )
            .coded("upstream_rate_limited"),
            FaultKind::Credential | FaultKind::Quota | FaultKind::ModelGone => {
                return Error::new(Kind::Overloaded, "The model is temporarily unavailable.")
                    .coded("model_unavailable")
                    .because(self.message);
            }
            FaultKind::Overloaded => Error::new(
                Kind::Overloaded,
                "The model provider is overloaded. Retry after a brief delay.",
            )
            .coded("upstream_overloaded"),
            FaultKind::Timeout => {
                return Error::new(Kind::Timeout, "The model provider did not answer in time.")
                    .coded("upstream_timeout")
                    .because(self.message);
            }
            FaultKind::GaveUp => Error::new(
                Kind::UpstreamDown,
                format!("The model came to no answer ({}). Try again.", self.message),
            )
            .coded("no_answer"),
            FaultKind::Broken | FaultKind::Unreachable => {
                return Error::new(
                    Kind::UpstreamDown,
                    "The upstream model provider is temporarily unavailable.",
                )
                .coded("upstream_unavailable")
                .because(self.message);
            }
        };
        let error = match self.code {
            Some(code) if matches!(self.kind, FaultKind::Refused | FaultKind::Unfit) => {
                error.coded(code)
            }
            _ => error,
        };
        match self.field {
            Some(field) => error.at(field),
            None => error,
        }
    }
}
