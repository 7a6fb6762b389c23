//! What goes wrong on the wire: a body that cannot be read, and a provider's refusal.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::{Blame, Error, Kind};

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
    /// What the provider says, for the caller to read; empty if it says nothing.
    pub message: String,
    /// The provider's own code, passed on where the dialects agree on codes.
    pub code: Option<String>,
    pub field: Option<String>,
    /// How long the provider asks to be left alone.
    pub wait: Option<Duration>,
    /// The message is the provider's, and may repeat the caller's words: it is not for logs.
    pub theirs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The provider refuses this request, and so would another.
    Refused,
    /// This deployment cannot do what is asked, or has not got what the request names; another may.
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
            Some(404 | 410) => Self::ModelGone,
            // The method, the size and the type that are taken are the deployment's own.
            Some(405 | 406 | 409 | 413 | 415) => Self::Unfit,
            Some(408 | 504) => Self::Timeout,
            Some(425 | 429) => Self::RateLimited,
            // 498 is Groq's: the class of service has no capacity left.
            Some(498 | 503 | 529) => Self::Overloaded,
            // The servers' own: nobody here has cancelled it.
            Some(499) => Self::Broken,
            Some(400..500) => Self::Refused,
            _ => Self::Broken,
        }
    }
}

/// What a prompt that is too long is told by: OpenAI and who says as it does; then xAI, Moonshot,
/// Alibaba, llama.cpp, `SGLang`, Cohere, Z.AI, TGI, vLLM, Google, Bedrock, Anthropic and LM Studio. Proxies in
/// front of one maker say it in another's dialect.
const TOO_LONG: [&str; 20] = [
    "maximum context length",
    "context_length",
    "context window",
    "prompt is too long",
    "reduce the length",
    "maximum prompt length is",
    "exceeded model token limit",
    "range of input length should be",
    "available context size",
    "longer than the model's context length",
    "too many tokens:",
    "prompt exceeds max length",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the maximum allowed length",
    "longer than the maximum model length",
    "max_tokens must be at least 1, got -",
    "exceeds the maximum number of tokens allowed",
    "input is too long",
    "exceed context limit",
    "greater than the context length",
];

/// Whether a refusal says that the prompt is too long for the model.
#[must_use]
pub fn says_too_long(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    TOO_LONG.iter().any(|words| lower.contains(words))
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
        Self {
            kind,
            status: None,
            message: message.into(),
            code: None,
            field: None,
            wait: None,
            theirs: false,
        }
    }

    /// One that the provider tells of in its own words.
    #[must_use]
    pub fn told(kind: FaultKind, status: Option<u16>, message: impl Into<String>) -> Self {
        Self { status, theirs: true, ..Self::new(kind, message) }
    }

    /// What a log may hold of the message.
    #[must_use]
    pub fn loggable(&self) -> Option<&str> {
        // A model's giving up is told with its own words.
        let ours = !self.theirs && self.kind != FaultKind::GaveUp;
        Some(self.message.as_str()).filter(|message| ours && !message.is_empty())
    }

    /// The same after asking to be left alone for so long.
    #[must_use]
    pub fn after(self, wait: Option<Duration>) -> Self {
        Self { wait, ..self }
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

    /// What the provider says, or that it says nothing.
    fn words(&mut self) -> String {
        let words = std::mem::take(&mut self.message);
        match self.status {
            _ if !words.trim().is_empty() => words,
            Some(status) => format!("The model provider answered with status {status}."),
            None => "The model provider reported an error.".to_owned(),
        }
    }

    /// As the caller is told it. A fault of our own account at the provider is not the caller's.
    #[must_use]
    pub fn into_error(mut self) -> Error {
        let cause = self.loggable().map(str::to_owned);
        let (words, wait) = (self.words(), self.wait);
        let error = match self.kind {
            FaultKind::Refused | FaultKind::Unfit => {
                let kind = match self.status {
                    Some(403) => Kind::Forbidden,
                    Some(404) => Kind::NotFound,
                    Some(409) => Kind::Conflict,
                    Some(413) => Kind::TooLarge,
                    _ => Kind::Malformed,
                };
                let mut error = Error::new(kind, words);
                error.code = self.code.map(Cow::Owned);
                error
            }
            FaultKind::ContextLength => {
                Error::new(Kind::ContextLength, words).coded("context_length_exceeded")
            }
            FaultKind::ModelGone => {
                Error::new(Kind::UnknownModel, words).coded("model_not_found").at("model")
            }
            FaultKind::RateLimited => Error::new(
                Kind::Overloaded,
                "The model is receiving too many requests. Retry after a brief delay.",
            )
            .coded("upstream_rate_limited"),
            FaultKind::Credential | FaultKind::Quota => {
                Error::new(Kind::Overloaded, "The gateway cannot use this model now. Retry later or name another model; the operator's log has the cause.")
                    .coded("model_unavailable")
            }
            FaultKind::Overloaded => Error::new(
                Kind::Overloaded,
                "The model provider is overloaded. Retry after a brief delay.",
            )
            .coded("upstream_overloaded"),
            FaultKind::Timeout => {
                Error::new(Kind::Timeout, "The model provider did not answer in time.")
                    .coded("upstream_timeout")
            }
            FaultKind::GaveUp => Error::new(
                Kind::UpstreamDown,
                format!("The model came to no answer ({words}). Try again."),
            )
            .coded("no_answer"),
            FaultKind::Broken | FaultKind::Unreachable => Error::new(
                Kind::UpstreamDown,
                "The upstream model provider is temporarily unavailable.",
            )
            .coded("upstream_unavailable"),
        };
        let error = error.after(wait);
        let error = match cause.filter(|_| error.blame != Blame::Caller) {
            Some(cause) => error.because(cause),
            None => error,
        };
        // A field that is named beside a fault of the provider's says nothing to a caller.
        match self.field.filter(|_| error.blame == Blame::Caller) {
            Some(field) => error.at(field),
            None => error,
        }
    }

    /// Which of two faults is told, when all deployments have failed: one that the caller can mend,
    /// else one that may pass, else that the model is gone.
    #[must_use]
    pub fn more_telling(self, earlier: Option<Self>) -> Self {
        let rank = |fault: &Self| match fault.kind {
            FaultKind::Refused | FaultKind::ContextLength => 3,
            FaultKind::Unfit => 2,
            FaultKind::GaveUp
            | FaultKind::Credential
            | FaultKind::RateLimited
            | FaultKind::Quota
            | FaultKind::Overloaded
            | FaultKind::Timeout
            | FaultKind::Broken
            | FaultKind::Unreachable => 1,
            FaultKind::ModelGone => 0,
        };
        match earlier {
            Some(earlier) if rank(&earlier) > rank(&self) => earlier,
            // A wait that was told holds on: of two, the shorter.
            Some(Self { wait: Some(known), .. }) if rank(&self) == 1 => {
                let wait = Some(self.wait.map_or(known, |wait| wait.min(known)));
                self.after(wait)
            }
            _ => self,
        }
    }
}
