//! Error bodies of OpenAI's two dialects: its own, and the shapes that other servers use in its
//! place.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::base::{Error, Kind};
use crate::wire::vocab::{Fault, FaultKind};

pub(in crate::wire) fn decode(status: u16, body: &[u8]) -> Fault {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let mut fault = of_value(&value, Some(status));
    if fault.message.is_empty() {
        let text = String::from_utf8_lossy(body.get(..300).unwrap_or(body)).into_owned();
        fault.message = if value.is_null() && text.starts_with('<') || text.is_empty() {
            format!("The provider answered with status {status}.")
        } else {
            text
        };
    }
    fault
}

/// Reads an error object wherever its words stand: `error.message` (OpenAI), `error` as a string
/// (xAI), `message` (Cohere, Azure), `detail` (`FastAPI` servers), all of it in a list (Google).
pub(in crate::wire) fn of_value(value: &Value, status: Option<u16>) -> Fault {
    let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
    let error = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let detail = |value: &Value| match value.get("detail") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(items)) => items
            .first()
            .and_then(|item| item.get("msg"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    };
    let message = text("message")
        .map(str::to_owned)
        .or_else(|| value.get("error").and_then(Value::as_str).map(str::to_owned))
        .or_else(|| detail(value))
        .unwrap_or_default();
    let code = match error.get("code") {
        Some(Value::String(code)) => Some(code.clone()),
        _ => None,
    };
    let numeric = error
        .get("code")
        .or_else(|| error.get("status_code"))
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code));
    let status = status.filter(|status| *status >= 400).or(numeric);
    let kind = kind_of(status, code.as_deref().or(text("type")).unwrap_or_default(), &message);
    // `FastAPI` says where: `["body", "stream_options"]`.
    let place = || {
        let loc = value.pointer("/detail/0/loc")?.as_array()?;
        let words: Vec<&str> = loc.iter().filter_map(Value::as_str).collect();
        (!words.is_empty()).then(|| words.join("."))
    };
    let field = text("param").map(str::to_owned).or_else(place);
    Fault { kind, status, message, code, field }
}

fn kind_of(status: Option<u16>, code: &str, message: &str) -> FaultKind {
    let says = |words: &[&str]| {
        let lower = message.to_ascii_lowercase();
        words.iter().any(|word| lower.contains(word))
    };
    match code {
        "context_length_exceeded" => return FaultKind::ContextLength,
        "insufficient_quota" => return FaultKind::Quota,
        "model_not_found" | "model_decommissioned" => return FaultKind::ModelGone,
        "rate_limit_exceeded" => return FaultKind::RateLimited,
        _ => {}
    }
    match status {
        Some(400 | 413 | 422)
            if says(&[
                "maximum context length",
                "context_length",
                "context window",
                "prompt is too long",
                "reduce the length",
            ]) =>
        {
            FaultKind::ContextLength
        }
        Some(400) if says(&["api key not valid", "api key expired"]) => FaultKind::Credential,
        Some(_) => FaultKind::of_status(status),
        None if code == "overloaded_error" || code == "server_is_overloaded" => {
            FaultKind::Overloaded
        }
        None => FaultKind::Broken,
    }
}

/// Seed 004's table of types; 402 as in seed 003, with a number for its code.
pub(in crate::wire) fn encode(error: &Error) -> (u16, Bytes) {
    let (status, kind) = match error.kind {
        Kind::Malformed | Kind::Unsupported | Kind::ContextLength => (400, "invalid_request_error"),
        Kind::Unauthenticated => (401, "authentication_error"),
        Kind::OutOfCredits => (402, "insufficient_credits"),
        Kind::Forbidden => (403, "permission_error"),
        Kind::UnknownModel | Kind::NotFound => (404, "not_found_error"),
        Kind::MethodNotAllowed => (405, "invalid_request_error"),
        Kind::Conflict => (409, "invalid_request_error"),
        Kind::Stale => (412, "invalid_request_error"),
        Kind::TooLarge => (413, "invalid_request_error"),
        Kind::UnsupportedMedia => (415, "invalid_request_error"),
        Kind::UpgradeRequired => (426, "invalid_request_error"),
        Kind::RateLimited => (429, "rate_limit_error"),
        Kind::Internal => (500, "internal_server_error"),
        Kind::UpstreamDown | Kind::Overloaded | Kind::Timeout => (503, "service_unavailable_error"),
    };
    let body = match error.kind {
        // Three members, as seed 003 prints them.
        Kind::OutOfCredits => {
            json!({"error": {"message": error.public, "type": kind, "code": 402}})
        }
        _ => json!({"error": {
            "message": error.public,
            "type": kind,
            "param": error.field.as_deref(),
            "code": error.code.as_deref(),
        }}),
    };
    (status, Bytes::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_shape_of_error() {
        for (status, body, kind, message) in [
            (
                400,
                r#"{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":null}}"#,
                FaultKind::Refused,
                "bad",
            ),
            (403, r#"{"code":"x","error":"no access"}"#, FaultKind::Credential, "no access"),
            (
                400,
                r#"{"id":"1","message":"too long: exceeds the maximum context length"}"#,
                FaultKind::ContextLength,
                "too long: exceeds the maximum context length",
            ),
            (422, r#"{"detail":[{"msg":"field required"}]}"#, FaultKind::Refused, "field required"),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#,
                FaultKind::Credential,
                "API key not valid.",
            ),
            (
                200,
                r#"{"error":{"message":"Provider returned error","code":502}}"#,
                FaultKind::Broken,
                "Provider returned error",
            ),
            (
                429,
                r#"{"error":{"message":"x","code":"insufficient_quota"}}"#,
                FaultKind::Quota,
                "x",
            ),
            (500, "<html>", FaultKind::Broken, "The provider answered with status 500."),
        ] {
            let fault = decode(status, body.as_bytes());
            assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{body}");
        }
    }
}
