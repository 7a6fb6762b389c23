//! What holds of every answer, whatever route it is of: that it may be asked for without its body, who
//! may read it from a page of another origin, what becomes of its connection, and that it is told of at its end.

use std::sync::atomic::Ordering;

use actix_cors::Cors;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::UPGRADE;
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::middleware::Next;

use super::streams::{Streams, TooMany};
use super::visit::{self, TrackedBody, Visit};
use super::{Worker, respond};
use crate::base::{Error, Kind};
use crate::wire::vocab::Dialect;

/// How long a browser may remember what a preflight said, in seconds. Chromium's own limit is 7,200.
const PREFLIGHT_SECONDS: usize = 7_200;

/// Lets pages of `origins` call every path and read every header of the answer; `*` stands for all
/// origins. Credentials are headers that the page itself sets: cookies are never taken.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_any_header()
        .block_on_origin_mismatch(false)
        .max_age(PREFLIGHT_SECONDS);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Whoever asks for the head of an answer is given that of GET (RFC 9110, 9.3.2): mail scanners, monitors
/// and load balancers do. The server leaves the body out. A socket has no head, and who is sent back from
/// another server comes back once.
pub fn head_as_get(request: &mut ServiceRequest) {
    if *request.method() != Method::HEAD {
        return;
    }
    let is_once = request.headers().contains_key(UPGRADE) || request.path().ends_with("/callback");
    if !is_once {
        request.head_mut().method = Method::GET;
    }
}

/// Ends connections that must not be used again: after a stream to a client of HTTP/1.0, which knows
/// no chunks and reads to the end of the connection (RFC 9112, 6.3), and while the process stops.
///
/// # Errors
/// Whatever the route's own are.
pub async fn connection(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let knows_chunks = request.version() >= Version::HTTP_11;
    let stopping = request
        .app_data::<Worker>()
        .is_some_and(|app| app.shared.node.draining.load(Ordering::Relaxed));
    let mut visit = Visit::begin(&request);
    head_as_get(&mut request);
    let (mut response, under_way) = match Streams::begin(&request) {
        Ok(under_way) => (next.call(request).await?.map_into_boxed_body(), under_way),
        Err(TooMany) => {
            let text = "Too many requests are under way on this connection. Wait for one to end, or \
                        open another connection.";
            let error = Error::new(Kind::RateLimited, text).coded("too_many_streams");
            let refused =
                respond::refused(&visit::id(request.request()), Dialect::OpenAiChat, &error, 0);
            (request.into_response(refused), None)
        }
    };
    let endless = !knows_chunks && response.response().body().size() == BodySize::Stream;
    // A socket is no longer a connection of HTTP.
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let head = response.response_mut().head_mut();
    if endless {
        head.no_chunking(true);
    }
    if (endless || stopping) && !upgraded {
        head.set_connection_type(ConnectionType::Close);
    }
    if let Some(visit) = &mut visit {
        visit.answered(response.response_mut());
    }
    Ok(response.map_body(|_, body| TrackedBody::new(body, visit, under_way)))
}
