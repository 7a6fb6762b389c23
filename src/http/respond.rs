//! From an answer or an error to HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, UPGRADE,
};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;

use super::array::ArrayBody;
use super::visit;
use crate::base::ids::RequestId;
use crate::base::{Blame, Error, Kind};
use crate::exchange::{Answered, Refused, ResponseBody};
use crate::idempotency::Again;
use crate::quota::{LimitLine, Standing};
use crate::router::Step;
use crate::wire::codec;
use crate::wire::frame::Pieces;
use crate::wire::vocab::Dialect;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MODEL: HeaderName = HeaderName::from_static("x-optimux-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-optimux-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-optimux-attempts");
const DECISION: HeaderName = HeaderName::from_static("x-optimux-decision");
/// The wait in milliseconds, which OpenAI's SDKs read before `Retry-After`.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const DROPPED: HeaderName = HeaderName::from_static("x-optimux-dropped");
/// The limit, what is left of it, and when it is whole again.
const PLAIN: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
/// Tells nginx in front of us not to gather a stream.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A stream as the server reads it.
pub(super) struct Streamed(pub(super) Pieces);

impl MessageBody for Streamed {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.get_mut().0.as_mut().poll_next(cx).map(|piece| piece.map(Ok))
    }
}

/// Anthropic's SDK reads the id from a header of its own.
fn name_request(headers: &mut HeaderMap, id: &RequestId, dialect: Dialect) {
    headers.insert(REQUEST_ID, value(id.as_str()));
    if dialect == Dialect::Anthropic {
        headers.insert(HeaderName::from_static("request-id"), value(id.as_str()));
    }
}

/// A header value from text that may hold anything: what cannot be sent is left out.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

/// Where the caller stands with its limits. The plain ones are of whichever of a minute's and a
/// day's requests has fewer left.
fn limits(headers: &mut HeaderMap, standing: &Standing) {
    let minute = standing.requests;
    let tighter = match (minute, standing.requests_day) {
        (Some(minute), Some(day)) if day.remaining < minute.remaining => Some(day),
        (minute, day) => minute.or(day),
    };
    let mut insert = |line: LimitLine, [limit, remaining, reset]: [HeaderName; 3]| {
        headers.insert(limit, HeaderValue::from(line.limit));
        headers.insert(remaining, HeaderValue::from(line.remaining));
        // A part of a second is not over yet.
        let at = line.reset.0.saturating_add(999).div_euclid(1000);
        headers.insert(reset, HeaderValue::from(at));
    };
    for (line, names) in
        [(tighter, PLAIN), (minute.or(tighter), REQUESTS), (standing.tokens, TOKENS)]
    {
        if let Some(line) = line {
            insert(line, names);
        }
    }
}

/// Says who answers, and after how many attempts.
pub fn describe(response: &mut HttpResponse, id: &RequestId, step: &Step, attempts: u8) {
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, value(id.as_str()));
    headers.insert(MODEL, value(&step.model.id));
    headers.insert(PROVIDER, value(&step.deployment.provider.id));
    headers.insert(ATTEMPTS, HeaderValue::from(u16::from(attempts)));
}

pub fn answered(
    id: &RequestId,
    answered: Answered,
    dialect: Dialect,
    as_array: bool,
) -> HttpResponse {
    let Answered { step, attempts, losses, body, decision, standing, notes, .. } = answered;
    let mut response = HttpResponse::new(StatusCode::OK);
    describe(&mut response, id, &step, attempts);
    let headers = response.headers_mut();
    name_request(headers, id, dialect);
    if let Some(line) = decision {
        headers.insert(DECISION, value(&line));
    }
    if let Some(standing) = standing {
        limits(headers, &standing);
    }
    if !losses.is_empty() {
        headers.insert(DROPPED, value(&losses.to_string()));
    }
    for (name, said) in notes {
        headers.insert(HeaderName::from_static(name), value(&said));
    }
    match body {
        ResponseBody::Whole(body) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response.set_body(body).map_into_boxed_body()
        }
        ResponseBody::Stream(pieces) if as_array => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ACCEL, HeaderValue::from_static("no"));
            response.set_body(ArrayBody::new(Streamed(pieces))).map_into_boxed_body()
        }
        ResponseBody::Stream(pieces) => streamed(response, pieces),
    }
}

/// An answer that was given before, with the headers that it had.
pub fn again(again: Again, dialect: Dialect, as_array: bool) -> HttpResponse {
    let Again { head, body } = again;
    let mut response = HttpResponse::new(StatusCode::OK);
    let headers = response.headers_mut();
    name_request(headers, &RequestId::stored(&head.id), dialect);
    headers.insert(MODEL, value(&head.model));
    headers.insert(PROVIDER, value(&head.provider));
    headers.insert(ATTEMPTS, HeaderValue::from(u16::from(head.attempts)));
    headers.insert(HeaderName::from_static("idempotent-replayed"), value("true"));
    for (name, said) in [(DECISION, head.decision), (DROPPED, head.dropped)] {
        if let Some(said) = said {
            headers.insert(name, value(&said));
        }
    }
    if !head.streamed {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response.set_body(body).map_into_boxed_body();
    }
    let pieces: Pieces = Box::pin(futures_util::stream::iter([body]));
    if as_array {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return response.set_body(ArrayBody::new(Streamed(pieces))).map_into_boxed_body();
    }
    streamed(response, pieces)
}

/// Server-sent events as the body of `response`.
fn streamed(mut response: HttpResponse, pieces: Pieces) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL, HeaderValue::from_static("no"));
    response.set_body(Streamed(pieces)).map_into_boxed_body()
}

/// Events that no attempt of this request brought about.
pub fn events(id: &RequestId, dialect: Dialect, pieces: Pieces) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::OK);
    name_request(response.headers_mut(), id, dialect);
    streamed(response, pieces)
}

/// A value that no attempt of this request brought about.
pub fn told<A: Serialize>(id: &RequestId, dialect: Dialect, told: &A) -> HttpResponse {
    let body = match serde_json::to_vec(told) {
        Ok(body) => body,
        Err(why) => return refused(id, dialect, &Error::internal(why), 0),
    };
    let mut response = HttpResponse::new(StatusCode::OK);
    let headers = response.headers_mut();
    name_request(headers, id, dialect);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.set_body(body).map_into_boxed_body()
}

/// An error in the dialect of whoever asked. The cause goes to the log, once, here.
pub fn refused(id: &RequestId, dialect: Dialect, error: &Error, attempts: u8) -> HttpResponse {
    failed(id, dialect, error, attempts, None)
}

/// An error in the plain form, for those who speak no dialect: `{"error": "…"}`.
pub fn plainly(error: &Error) -> HttpResponse {
    let mut response = refused(&RequestId::fresh(), Dialect::OpenAiChat, error, 0);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = serde_json::json!({"error": error.public, "code": error.code});
    response.set_body(body.to_string()).map_into_boxed_body()
}

/// A path or a query that cannot be read, as the server tells it.
pub fn unreadable(request: &HttpRequest, why: &dyn std::fmt::Display) -> actix_web::Error {
    let error = Error::new(Kind::Malformed, format!("The address cannot be read: {why}."));
    let response = refused(&visit::id(request), Dialect::OpenAiChat, &error, 0);
    actix_web::error::InternalError::from_response("unreadable", response).into()
}

/// The same, with where the caller stands with its limits.
pub fn refused_at(id: &RequestId, dialect: Dialect, refused: &Refused) -> HttpResponse {
    failed(id, dialect, &refused.error, refused.attempts, refused.standing.as_deref())
}

fn failed(
    id: &RequestId,
    dialect: Dialect,
    error: &Error,
    attempts: u8,
    standing: Option<&Standing>,
) -> HttpResponse {
    match error.blame {
        Blame::Us => tracing::error!(request = %id, %error, "request failed"),
        // The cause is in a provider's words, which may quote the prompt: each attempt has been
        // told of, and the words are for those who ask for details.
        Blame::Upstream => {
            let code = error.code.as_deref().unwrap_or_default();
            tracing::warn!(request = %id, code, attempts, "no provider answered");
            tracing::debug!(request = %id, %error, "no provider answered");
        }
        Blame::Caller => tracing::debug!(request = %id, %error, "request refused"),
    }
    let (status, body) = codec(dialect).encode_error(error);
    let mut response = HttpResponse::new(
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    );
    let headers = response.headers_mut();
    name_request(headers, id, dialect);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ATTEMPTS, HeaderValue::from(u16::from(attempts)));
    if let Some(standing) = standing {
        limits(headers, standing);
    }
    if let Some(wait) = error.retry_after {
        // Rounded up: a client that comes back early only asks twice.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis.max(1)));
    }
    if error.kind == Kind::UpgradeRequired {
        // RFC 9110, 15.5.22; the server adds `Connection: upgrade`.
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    response.set_body(body).map_into_boxed_body()
}
