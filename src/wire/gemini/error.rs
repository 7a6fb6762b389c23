//! Error bodies: `{"error":{"code","message","status"}}`, at times inside an array.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::base::{Error, Kind};
use crate::wire::vocab::{Fault, FaultKind, says_too_long};
use crate::wire::wait;

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    of_value(&value, Some(status))
}

pub(super) fn of_value(value: &Value, status: Option<u16>) -> Fault {
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let error = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = status.filter(|status| *status >= 400).or(code);
    let message = text("message").unwrap_or_default().to_owned();
    let reasons: Vec<&str> = error
        .get("details")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|detail| detail.get("reason").and_then(Value::as_str))
        .collect();
    let daily = error.to_string().contains("PerDay");
    let kind = match text("status").unwrap_or_default() {
        "INVALID_ARGUMENT"
            if reasons.contains(&"API_KEY_INVALID") || message.contains("API key") =>
        {
            FaultKind::Credential
        }
        "INVALID_ARGUMENT"
            if says_too_long(&message)
                || (message.contains("exceeds the maximum") && message.contains("token")) =>
        {
            FaultKind::ContextLength
        }
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" => FaultKind::Refused,
        "FAILED_PRECONDITION" | "UNAUTHENTICATED" | "PERMISSION_DENIED" => FaultKind::Credential,
        "NOT_FOUND" => FaultKind::ModelGone,
        "RESOURCE_EXHAUSTED" if daily => FaultKind::Quota,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimited,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        _ => FaultKind::of_status(status),
    };
    Fault::told(kind, status, message).after(wait::in_error(error))
}

pub(super) fn encode(error: &Error) -> (u16, Bytes) {
    let (status, word) = match error.kind {
        Kind::Malformed | Kind::Unsupported | Kind::ContextLength => (400, "INVALID_ARGUMENT"),
        Kind::Unauthenticated => (401, "UNAUTHENTICATED"),
        Kind::OutOfCredits => (402, "FAILED_PRECONDITION"),
        Kind::Forbidden => (403, "PERMISSION_DENIED"),
        Kind::UnknownModel | Kind::NotFound => (404, "NOT_FOUND"),
        Kind::MethodNotAllowed => (405, "INVALID_ARGUMENT"),
        Kind::Conflict => (409, "ABORTED"),
        Kind::Stale => (412, "FAILED_PRECONDITION"),
        Kind::TooLarge => (413, "INVALID_ARGUMENT"),
        Kind::UnsupportedMedia => (415, "INVALID_ARGUMENT"),
        Kind::UpgradeRequired => (426, "INVALID_ARGUMENT"),
        Kind::RateLimited => (429, "RESOURCE_EXHAUSTED"),
        Kind::Internal => (500, "INTERNAL"),
        Kind::UpstreamDown | Kind::Overloaded | Kind::Timeout => (503, "UNAVAILABLE"),
    };
    let body = json!({"error": {"code": status, "message": error.public, "status": word}});
    (status, Bytes::from(body.to_string()))
}
