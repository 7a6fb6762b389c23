//! One request from its arrival to the last byte of its answer, or until its caller leaves: what is
//! then known of it is told of (`telemetry::trail`).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::HttpMessage as _;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;

use super::Worker;
use super::streams::UnderWay;
use crate::base::ids::RequestId;
use crate::telemetry::trail::{RequestOrigin, ResponseSummary};
use crate::telemetry::trails::Trails;
use crate::wire::vocab::Dialect;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// An answer that was given before goes by the id that it had.
const REPLAYED: &str = "idempotent-replayed";
/// As nginx calls a request whose caller was gone before there was an answer.
const CALLER_LEFT: u16 = 499;

/// The id that a request was given when it came.
#[must_use]
pub fn id(request: &HttpRequest) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::fresh)
}

/// Ends when it is dropped.
pub(super) struct Visit {
    trails: Trails,
    id: RequestId,
    left: ResponseSummary,
}

impl Visit {
    /// `None` for probes, which come all the time and are nobody's requests.
    pub fn begin(request: &ServiceRequest) -> Option<Self> {
        let surface = surface(request.path())?;
        let trails = request.app_data::<Worker>()?.upstream.trails.clone();
        let id = RequestId::fresh();
        let traceparent = request.headers().get("traceparent");
        let traceparent = traceparent.and_then(|value| value.to_str().ok());
        trails.begin(&id, RequestOrigin { method: method(request.method()), surface }, traceparent);
        request.extensions_mut().insert(id.clone());
        let left = ResponseSummary {
            status: CALLER_LEFT,
            first_byte: None,
            whole: false,
            bytes: 0,
            dropped: None,
        };
        Some(Self { trails, id, left })
    }

    /// There is an answer, whose body is still to leave.
    pub fn answered<B>(&mut self, response: &mut HttpResponse<B>) {
        self.left.status = response.status().as_u16();
        let headers = response.headers_mut();
        let dropped = headers.get("x-optimux-dropped").and_then(|value| value.to_str().ok());
        self.left.dropped = dropped.map(str::to_owned);
        let known = headers.contains_key(REPLAYED)
            || headers
                .get(REQUEST_ID)
                .is_some_and(|id| id.as_bytes() == self.id.as_str().as_bytes());
        // Whatever an answer says goes by the id under which it is told of.
        if !known && let Ok(id) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
    }

    fn hands_on(&mut self, bytes: usize) {
        self.left.first_byte.get_or_insert_with(Instant::now);
        self.left.bytes = self.left.bytes.saturating_add(bytes as u64);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let dropped = self.left.dropped.take();
        self.trails.end(&self.id, ResponseSummary { dropped, ..self.left.clone() });
    }
}

/// The body of an answer, with the request that it belongs to.
pub(super) struct TrackedBody {
    body: BoxBody,
    /// How long it is, where that is known.
    length: Option<u64>,
    visit: Option<Visit>,
    /// Its place among the requests of its connection.
    under_way: Option<UnderWay>,
}

impl TrackedBody {
    pub fn new(body: BoxBody, mut visit: Option<Visit>, under_way: Option<UnderWay>) -> Self {
        let length = match body.size() {
            BodySize::None => Some(0),
            BodySize::Sized(length) => Some(length),
            BodySize::Stream => None,
        };
        // What is not there is handed on by the head.
        if let Some(visit) = visit.as_mut().filter(|_| length == Some(0)) {
            visit.hands_on(0);
            visit.left.whole = true;
        }
        Self { body, length, visit, under_way }
    }
}

impl MessageBody for TrackedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Self { body, length, visit, .. } = &mut *self;
        let piece = Pin::new(body).poll_next(cx);
        if let (Poll::Ready(piece), Some(visit)) = (&piece, visit) {
            match piece {
                Some(Ok(bytes)) => {
                    visit.hands_on(bytes.len());
                    // A body of known size is not polled behind its last byte.
                    visit.left.whole = *length == Some(visit.left.bytes);
                }
                Some(Err(_)) => {}
                None => {
                    visit.hands_on(0);
                    visit.left.whole = true;
                }
            }
        }
        piece
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, length, mut visit, under_way } = self;
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Some(visit) = &mut visit {
                    visit.hands_on(bytes.len());
                    visit.left.whole = true;
                }
                Ok(bytes)
            }
            Err(body) => Err(Self { body, length, visit, under_way }),
        }
    }
}

fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
    known.into_iter().find(|one| *one == method.as_str()).unwrap_or("OTHER")
}

/// The part of the surface that a path is of. One of a fixed list: a path may hold names that are
/// secrets, and a caller can make up as many as it likes. `None` for probes.
fn surface(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/api").unwrap_or(path);
    if matches!(path, "/healthz" | "/readyz" | "/metrics") {
        return None;
    }
    let (root, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let (first, _) = rest.split_once('/').unwrap_or((rest, ""));
    Some(match (root, first) {
        ("v1", "chat") => Dialect::OpenAiChat.as_str(),
        ("v1", "responses") => Dialect::OpenAiResponses.as_str(),
        ("v1", "messages") => Dialect::Anthropic.as_str(),
        ("v1" | "v1beta", "models") if rest.contains("mbedContent") => "embeddings",
        ("v1" | "v1beta", "models") if rest.contains(':') => Dialect::Gemini.as_str(),
        ("v1" | "v1beta", "models") => "models",
        ("optima", _) => "optima",
        ("auth", _) => "signin",
        ("v1", word) => SURFACES.into_iter().find(|one| *one == word).unwrap_or("other"),
        _ => "other",
    })
}

/// Those that are called as their paths are.
const SURFACES: [&str; 20] = [
    "account",
    "limits",
    "me",
    "conversations",
    "embeddings",
    "realtime",
    "images",
    "route",
    "feedback",
    "keys",
    "usage",
    "requests",
    "organization",
    "admin",
    "agents",
    "memory",
    "memories",
    "connect",
    "features",
    "users",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_of_by_its_surface() {
        for (path, wanted) in [
            ("/v1/chat/completions", Some("openai-chat")),
            ("/api/v1/messages/count_tokens", Some("anthropic")),
            ("/v1/responses/resp_1", Some("openai-responses")),
            ("/v1beta/models/g:generateContent", Some("gemini")),
            ("/v1beta/models/g:batchEmbedContents", Some("embeddings")),
            ("/v1/models/gpt-4o", Some("models")),
            ("/v1/images/files/secret", Some("images")),
            ("/api/auth/login", Some("signin")),
            ("/optima/v1/models", Some("optima")),
            ("/sk-optimux-a-key-in-the-wrong-place", Some("other")),
            ("/v1/me/password", Some("me")),
            ("/v1/limits", Some("limits")),
            ("/v1/made-up", Some("other")),
            ("/", Some("other")),
            ("", Some("other")),
            ("/readyz", None),
        ] {
            assert_eq!(surface(path), wanted, "{path}");
        }
    }
}
