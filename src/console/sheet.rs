//! What a request of a browser comes to: a page, or where it goes on.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::Markup;

use super::call::Call;
use crate::base::{Error, Kind};

/// A page.
pub struct Sheet {
    pub title: String,
    pub body: Markup,
    /// The same by the API.
    pub calls: Vec<Call>,
    pub status: StatusCode,
    pub script: Option<&'static str>,
}

impl Sheet {
    #[must_use]
    pub fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, calls: Vec::new(), status: StatusCode::OK, script: None }
    }

    #[must_use]
    pub fn by_api(mut self, call: Call) -> Self {
        self.calls.push(call);
        self
    }

    #[must_use]
    pub fn with_script(self, name: &'static str) -> Self {
        Self { script: Some(name), ..self }
    }

    /// A form that was not taken, shown again.
    #[must_use]
    pub fn refused(self, error: &Error) -> Self {
        Self { status: status(error), ..self }
    }
}

/// What a request comes to.
pub enum Answer {
    Sheet(Box<Sheet>),
    /// Another page of ours.
    Go(String),
    /// What is no page.
    Bare(HttpResponse),
}

impl From<Sheet> for Answer {
    fn from(sheet: Sheet) -> Self {
        Self::Sheet(Box::new(sheet))
    }
}

/// Another page of ours.
#[must_use]
pub fn go(path: impl Into<String>) -> Answer {
    Answer::Go(path.into())
}

/// The status of a page that says what went wrong.
#[must_use]
pub fn status(error: &Error) -> StatusCode {
    match error.kind {
        Kind::Malformed | Kind::Unsupported | Kind::ContextLength | Kind::UpgradeRequired => {
            StatusCode::BAD_REQUEST
        }
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::OutOfCredits => StatusCode::OK,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::UnknownModel | Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::UpstreamDown => StatusCode::BAD_GATEWAY,
        Kind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}
