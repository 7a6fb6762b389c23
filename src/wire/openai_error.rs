//! Error bodies of OpenAI's two dialects: its own, and the shapes that other servers use in its
//! place.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::base::{Error, Kind};
use crate::wire::vocab::{Fault, FaultKind, says_too_long};
use crate::wire::wait;

pub(in crate::wire) fn decode(status: u16, body: &[u8]) -> Fault {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let mut fault = of_value(&value, Some(status));
    // A page of a server in between says nothing to a caller.
    if fault.message.is_empty() && value.is_null() && !body.trim_ascii_start().starts_with(b"<") {
        fault.message = String::from_utf8_lossy(body.get(..300).unwrap_or(body)).into_owned();
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
        // Mistral's 422: the list is in the place of the words.
        .or_else(|| detail(value.get("message")?))
        .unwrap_or_default();
    let code = match error.get("code") {
        Some(Value::String(code)) => Some(code.clone()),
        _ => None,
    };
    // A number in the place of the code (OpenRouter), as text (LiteLLM), or beside it (Groq).
    let numeric = ["code", "status_code", "status"].iter().find_map(|name| {
        let number = match error.get(*name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        number.filter(|number| (400..600).contains(number))
    });
    let status = status.filter(|status| *status >= 400).or(numeric);
    let words = [code.as_deref().unwrap_or_default(), text("type").unwrap_or_default()];
    let mut kind = kind_of(status, words, &message);
    // OpenRouter's 403 with these is about what was said. Source: its documentation of errors.
    let moderated = |metadata: &Value| {
        metadata.get("flagged_input").is_some() || metadata.get("reasons").is_some()
    };
    if kind == FaultKind::Credential && error.get("metadata").is_some_and(moderated) {
        kind = FaultKind::Unfit;
    }
    // `FastAPI` says where: `["body", "stream_options"]`.
    let place = || {
        let loc = ["/detail/0/loc", "/message/detail/0/loc"].iter();
        let loc = loc.filter_map(|at| value.pointer(at)).find_map(Value::as_array)?;
        let words: Vec<&str> = loc.iter().filter_map(Value::as_str).collect();
        (!words.is_empty()).then(|| words.join("."))
    };
    let field = text("param").map(str::to_owned).or_else(place);
    if kind == FaultKind::Unfit && status == Some(429) {
        let code = Some("request_too_large".to_owned());
        return Fault { code, ..Fault::told(kind, Some(413), message) };
    }
    Fault { code, field, wait: wait::in_error(error), ..Fault::told(kind, status, message) }
}

/// What the words mean that stand as code and as type, whatever the status.
fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" | "exceed_context_size_error" => FaultKind::ContextLength,
        "insufficient_quota"
        | "insufficient_balance"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "budget_exceeded" => FaultKind::Quota,
        "model_not_found" | "model_decommissioned" | "DeploymentNotFound" => FaultKind::ModelGone,
        "rate_limit_exceeded" => FaultKind::RateLimited,
        _ => return None,
    })
}

/// What they mean where there is no status: in the middle of a stream, or under 200. The words of
/// images are those of a `ResponseError`. Source: OpenAI's API reference.
fn kind_without_status(word: &str) -> Option<FaultKind> {
    Some(match word {
        "overloaded_error" | "server_is_overloaded" | "slow_down" => FaultKind::Overloaded,
        "rate_limit_error" | "tokens" | "requests" => FaultKind::RateLimited,
        "authentication_error" | "invalid_api_key" | "permission_error" => FaultKind::Credential,
        "timeout" | "timeout_error" | "vector_store_timeout" => FaultKind::Timeout,
        "not_found_error" => FaultKind::ModelGone,
        "tool_use_failed" | "content_filter" | "failed_to_download_image" => FaultKind::Refused,
        "data_residency_mismatch" => FaultKind::Unfit,
        // `bio_policy`, `cyber_policy`, `misalignment_policy_violation`: what was said, not who answers.
        word if word.ends_with("_policy") || word.ends_with("_policy_violation") => {
            FaultKind::Refused
        }
        word if word.starts_with("invalid_") || word.contains("image") => FaultKind::Refused,
        _ => return None,
    })
}

/// One request beyond what the account may send in a minute (OpenAI's 429, Groq's 413): waiting does not
/// help, another deployment may.
const TOO_LARGE: &str = "request too large for";

fn kind_of(status: Option<u16>, words: [&str; 2], message: &str) -> FaultKind {
    if message.to_ascii_lowercase().contains(TOO_LARGE) {
        return FaultKind::Unfit;
    }
    if let Some(kind) = words.into_iter().find_map(kind_of_word) {
        return kind;
    }
    let lower = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match status {
        Some(400 | 413 | 422) | None if says_too_long(message) => FaultKind::ContextLength,
        Some(400) if says(&["api key not valid", "api key expired"]) => FaultKind::Credential,
        Some(_) => FaultKind::of_status(status),
        None => words.into_iter().find_map(kind_without_status).unwrap_or(FaultKind::Broken),
    }
}

/// OpenAI's table of types; 402 with a number for its code.
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
        // Three members.
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
    fn a_prompt_that_is_too_long_is_known_in_every_maker_s_words() {
        for message in [
            "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
            "Invalid request: Your request exceeded model token limit: 262144",
            "Range of input length should be [1, 98304]",
            "the request exceeds the available context size. try increasing it",
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            "too many tokens: total number of tokens in the prompt cannot exceed 4081",
            "Prompt exceeds max length",
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
            "Input length (9000 tokens) exceeds the maximum allowed length (8191 tokens).",
            "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
            "max_tokens must be at least 1, got -808.",
            "Input is too long for requested model.",
            "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
        ] {
            let body = json!({"error": {"message": message, "type": "invalid_request_error"}});
            for status in [400, 422] {
                let fault = decode(status, body.to_string().as_bytes());
                assert_eq!(fault.kind, FaultKind::ContextLength, "{message}");
            }
        }
        let body = r#"{"error":{"code":400,"message":"no","type":"exceed_context_size_error"}}"#;
        assert_eq!(decode(400, body.as_bytes()).kind, FaultKind::ContextLength);
        let slow = r#"{"error":{"message":"Too many tokens per minute"}}"#;
        assert_eq!(decode(429, slow.as_bytes()).kind, FaultKind::RateLimited);
    }

    #[test]
    fn a_request_beyond_an_account_s_minute_is_not_one_to_repeat() {
        for (status, message) in [
            (
                429,
                "Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 30000, Requested 50000.",
            ),
            (
                413,
                "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000",
            ),
        ] {
            let body = json!({"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}});
            let fault = decode(status, body.to_string().as_bytes());
            assert_eq!((fault.kind, fault.wait), (FaultKind::Unfit, None), "{message}");
            assert_eq!(fault.into_error().kind, Kind::TooLarge, "{message}");
        }
    }

    #[test]
    fn a_list_in_the_place_of_the_words_is_read() {
        let body = json!({"object": "error", "type": "invalid_request_error", "message": {"detail": [
            {"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"}]}});
        let fault = decode(422, body.to_string().as_bytes());
        assert_eq!(fault.message, "Extra inputs are not permitted");
        assert_eq!(fault.field.as_deref(), Some("body.store"));
    }

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
            (500, "<html>", FaultKind::Broken, ""),
            (
                200,
                r#"{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","status_code":400}}"#,
                FaultKind::Refused,
                "Failed to call a function.",
            ),
            (
                200,
                r#"{"error":{"code":"invalid_image","message":"not an image"}}"#,
                FaultKind::Refused,
                "not an image",
            ),
            (
                200,
                r#"{"error":{"code":"bio_policy","message":"This was blocked."}}"#,
                FaultKind::Refused,
                "This was blocked.",
            ),
            (
                200,
                r#"{"error":{"code":"misalignment_policy_violation","message":"no"}}"#,
                FaultKind::Refused,
                "no",
            ),
            (
                200,
                r#"{"error":{"code":"data_residency_mismatch","message":"elsewhere"}}"#,
                FaultKind::Unfit,
                "elsewhere",
            ),
            (200, r#"{"error":{"code":"server_error","message":"x"}}"#, FaultKind::Broken, "x"),
            (
                403,
                r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["hate"]}}}"#,
                FaultKind::Unfit,
                "flagged",
            ),
            (
                400,
                r#"{"error":{"message":"Budget!","type":"budget_exceeded","code":"400"}}"#,
                FaultKind::Quota,
                "Budget!",
            ),
        ] {
            let fault = decode(status, body.as_bytes());
            assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{body}");
        }
    }
}
