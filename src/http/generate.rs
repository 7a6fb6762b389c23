//! Every endpoint that asks a model: in its dialect, or for a whole answer of another kind.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::Worker;
use super::once::{Incoming, once};
use crate::admit::Caller;
use crate::exchange::{Answered, Arrival, Refused};
use crate::gateway;
use crate::responses::CreatedResponse;
use crate::wire::PathTarget;
use crate::wire::vocab::Dialect;

/// How a request came in.
pub struct Endpoint {
    pub dialect: Dialect,
    pub target: Option<PathTarget>,
    /// Headers of the request that a provider of the same dialect is to get.
    pub forward: &'static [&'static str],
    /// A stream is to be one JSON array instead of server-sent events (Gemini).
    pub as_array: bool,
}

impl Endpoint {
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect, target: None, forward: &[], as_array: false }
    }
}

pub async fn generate(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    endpoint: Endpoint,
) -> HttpResponse {
    let Endpoint { dialect, target, forward, as_array } = endpoint;
    once(&app, &request, payload, (dialect, as_array), async |incoming| {
        let Incoming { id, caller, body, asked } = incoming;
        let header = |name: &&'static str| {
            let value = request.headers().get(*name)?.to_str().ok()?;
            Some((*name, value.to_owned()))
        };
        let forward = forward.iter().filter_map(header).collect();
        let arrival = Arrival { id, dialect, body, target, forward, asked };
        gateway::answer(&app, &caller, arrival).await.map(Box::new).map(CreatedResponse::Now)
    })
    .await
}

/// An answer that is no stream: vectors, pictures.
pub async fn whole(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    dialect: Dialect,
    act: impl AsyncFnOnce(Arc<Caller>, Arrival) -> Result<Answered, Refused>,
) -> HttpResponse {
    once(app, request, payload, (dialect, false), async |incoming| {
        let Incoming { id, caller, body, asked } = incoming;
        let arrival = Arrival { asked, ..Arrival::of(id, dialect, body) };
        act(caller, arrival).await.map(Box::new).map(CreatedResponse::Now)
    })
    .await
}
