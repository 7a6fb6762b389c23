//! The one error that crosses rooms. It says who is to blame, what the caller may read, and
//! keeps the cause for the log. It knows no HTTP: each dialect maps `Kind` to its own body.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Who has to change something for the next try to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Caller,
    Us,
    Upstream,
}

/// What went wrong, as far as a caller can act on it. Every dialect maps each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request cannot be read or breaks a rule of its dialect.
    Malformed,
    /// The request is well formed and asks for what cannot be done.
    Unsupported,
    /// The conversation is longer than the model can read.
    ContextLength,
    Unauthenticated,
    OutOfCredits,
    Forbidden,
    UnknownModel,
    NotFound,
    MethodNotAllowed,
    Conflict,
    /// It was changed since the caller read it.
    Stale,
    TooLarge,
    /// The body is of another type, or encoded in another way, than can be read.
    UnsupportedMedia,
    /// Only another protocol over the same connection can do what is asked.
    UpgradeRequired,
    RateLimited,
    Internal,
    UpstreamDown,
    Overloaded,
    Timeout,
}

/// An error on its way to the caller. `public` is all that the caller reads.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub blame: Blame,
    pub public: Cow<'static, str>,
    /// The request's field at fault, in the caller's dialect (`messages[0].role`).
    pub field: Option<Cow<'static, str>>,
    /// A stable word for programs, where the kind alone is too coarse (`missing_required_parameter`).
    pub code: Option<Cow<'static, str>>,
    pub retry_after: Option<Duration>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller is to wait where somebody else fails and nobody said for how long.
const BRIEFLY: Duration = Duration::from_secs(1);

impl Error {
    #[must_use]
    pub fn new(kind: Kind, public: impl Into<Cow<'static, str>>) -> Self {
        let blame = match kind {
            Kind::Internal => Blame::Us,
            Kind::UpstreamDown | Kind::Overloaded | Kind::Timeout => Blame::Upstream,
            _ => Blame::Caller,
        };
        Self {
            kind,
            blame,
            public: public.into(),
            field: None,
            code: None,
            // An answer of 503 always says when to come again.
            retry_after: (blame == Blame::Upstream).then_some(BRIEFLY),
            cause: None,
        }
    }

    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    #[must_use]
    pub fn coded(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.or(self.retry_after);
        self
    }

    /// Why it happened, for the log alone.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.cause.as_deref()
    }

    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Something of ours broke. The caller learns only that, or, where [`Unavailable`] is among the
    /// causes, that it is worth another try; the cause goes to the log.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        if passes(&*cause) {
            return Self::unavailable().because(cause);
        }
        Self::new(Kind::Internal, "An unexpected error occurred on the server.").because(cause)
    }

    /// A part of ours (the database, a disk) does not work at the moment.
    #[must_use]
    pub fn unavailable() -> Self {
        let text = "The service is temporarily unavailable. Try again shortly.";
        let error = Self::new(Kind::Overloaded, text).coded("service_unavailable");
        Self { blame: Blame::Us, ..error.after(Some(Duration::from_secs(1))) }
    }

    #[must_use]
    pub fn missing_key() -> Self {
        Self::new(
            Kind::Unauthenticated,
            "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_API_KEY' or in \
             the 'X-API-Key' header.",
        )
        .coded("missing_api_key")
    }

    #[must_use]
    pub fn invalid_key() -> Self {
        Self::new(Kind::Unauthenticated, "Invalid API key provided.").coded("invalid_api_key")
    }

    #[must_use]
    pub fn unknown_model(name: &str) -> Self {
        let shown: String = name.chars().take(100).collect();
        Self::new(
            Kind::UnknownModel,
            format!("The model '{shown}' does not exist or you do not have access to it."),
        )
        .at("model")
        .coded("model_not_found")
    }

    #[must_use]
    pub fn body_too_large(limit_bytes: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!("The request body is larger than the limit of {limit_bytes} bytes."),
        )
        .coded("request_too_large")
    }
}

/// Marks what passes by itself: a room that reports something of the kind has this among the sources
/// of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not available at the moment")]
pub struct Unavailable;

/// Whether [`Unavailable`] is the cause, or a cause of it.
fn passes(cause: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(cause), |one| one.source())
        .any(<dyn std::error::Error>::is::<Unavailable>)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Unavailable);

    #[test]
    fn what_passes_is_worth_another_try_however_deep_it_is() {
        for passing in [Error::internal(Unavailable), Error::internal(Outer(Unavailable))] {
            assert_eq!((passing.kind, passing.blame), (Kind::Overloaded, Blame::Us));
            assert!(passing.retry_after.is_some());
        }
        assert_eq!(Error::internal("broken").kind, Kind::Internal);
    }
}
