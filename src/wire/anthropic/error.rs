//! Error bodies: `{"type":"error","error":{"type","message"}}`.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::base::{Error, Kind};
use crate::wire::vocab::{Fault, FaultKind, says_too_long};

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    of_value(&value, Some(status))
}

pub(super) fn of_value(value: &Value, status: Option<u16>) -> Fault {
    let error = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = text("message").unwrap_or_default().to_owned();
    let too_long = says_too_long(&message);
    let kind = match (text("type").unwrap_or_default(), status) {
        ("invalid_request_error", _) if too_long => FaultKind::ContextLength,
        ("authentication_error" | "permission_error", _) => FaultKind::Credential,
        ("billing_error", _) => FaultKind::Quota,
        ("not_found_error", _) => FaultKind::ModelGone,
        ("rate_limit_error", _) => FaultKind::RateLimited,
        ("overloaded_error", _) => FaultKind::Overloaded,
        ("timeout_error", _) => FaultKind::Timeout,
        ("api_error", _) => FaultKind::Broken,
        ("request_too_large" | "conflict_error", _) => FaultKind::Unfit,
        ("invalid_request_error", _) => FaultKind::Refused,
        _ => FaultKind::of_status(status),
    };
    Fault::told(kind, status, message)
}

pub(super) fn encode(error: &Error) -> (u16, Bytes) {
    let (status, kind) = match error.kind {
        Kind::Malformed | Kind::Unsupported | Kind::ContextLength => (400, "invalid_request_error"),
        Kind::Unauthenticated => (401, "authentication_error"),
        Kind::OutOfCredits => (402, "billing_error"),
        Kind::Forbidden => (403, "permission_error"),
        Kind::UnknownModel | Kind::NotFound => (404, "not_found_error"),
        Kind::MethodNotAllowed => (405, "invalid_request_error"),
        Kind::Conflict => (409, "invalid_request_error"),
        Kind::Stale => (412, "invalid_request_error"),
        Kind::TooLarge => (413, "request_too_large"),
        Kind::UnsupportedMedia => (415, "invalid_request_error"),
        Kind::UpgradeRequired => (426, "invalid_request_error"),
        Kind::RateLimited => (429, "rate_limit_error"),
        Kind::Internal => (500, "api_error"),
        Kind::UpstreamDown => (503, "api_error"),
        Kind::Overloaded => (529, "overloaded_error"),
        Kind::Timeout => (503, "timeout_error"),
    };
    let body = json!({"type": "error", "error": {"type": kind, "message": error.public}});
    (status, Bytes::from(body.to_string()))
}
