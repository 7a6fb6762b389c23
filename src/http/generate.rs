//! The one path behind every door that generates.

use std::sync::Arc;

use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{Worker, arrival, respond, visit};
use crate::admit::Caller;
use crate::base::ids::RequestId;
use crate::exchange::{Answered, Arrival, Refused};
use crate::gateway;
use crate::idempotency::{self, Again, Claim};
use crate::wire::PathTarget;
use crate::wire::vocab::Dialect;

/// How a request came in.
pub struct Door {
    pub dialect: Dialect,
    pub target: Option<PathTarget>,
    /// Headers of the request that a provider of the same dialect is to get.
    pub forward: &'static [&'static str],
    /// A stream is to be one JSON array instead of server-sent events (Gemini).
    pub as_array: bool,
}

/// An answer, or one that was given before.
pub(super) enum Given {
    Now(Box<Answered>),
    Again(Box<Again>),
}

impl Door {
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self { dialect, target: None, forward: &[], as_array: false }
    }
}

pub async fn generate(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    door: Door,
) -> HttpResponse {
    let id = visit::id(&request);
    let (dialect, as_array) = (door.dialect, door.as_array);
    let answering = async {
        let (caller, body) = arrival::heard(&app, &request, payload).await?;
        let said: [&[u8]; 2] = [request.path().as_bytes(), &body];
        let claim = idempotency::claim(&app, &caller, arrival::idempotency(&request), &said, &id);
        let turn = match claim.await? {
            Claim::Again(again) => return Ok(Given::Again(again)),
            turn => turn,
        };
        let header = |name: &&'static str| {
            let value = request.headers().get(*name)?.to_str().ok()?;
            Some((*name, value.to_owned()))
        };
        let arrival = Arrival {
            id: id.clone(),
            dialect,
            body,
            target: door.target,
            forward: door.forward.iter().filter_map(header).collect(),
            asked: arrival::asked(&request)?,
        };
        let answered = gateway::answer(&app, &caller, arrival).await;
        turn.keep(&id, answered).await.map(|answered| Given::Now(Box::new(answered)))
    };
    let outcome: Result<_, Refused> = answering.await;
    match outcome {
        Ok(Given::Now(answered)) => respond::answered(&id, *answered, dialect, as_array),
        Ok(Given::Again(again)) => respond::again(*again, dialect, as_array),
        Err(refused) => respond::refused_at(&id, dialect, &refused),
    }
}

/// The one path behind every door that answers whole.
pub async fn whole(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    dialect: Dialect,
    act: impl AsyncFnOnce(Arc<Caller>, RequestId, Bytes) -> Result<Answered, Refused>,
) -> HttpResponse {
    let id = visit::id(request);
    let acting = async {
        let (caller, body) = arrival::heard(app, request, payload).await?;
        let said: [&[u8]; 2] = [request.path().as_bytes(), &body];
        let claim = idempotency::claim(app, &caller, arrival::idempotency(request), &said, &id);
        let turn = match claim.await? {
            Claim::Again(again) => return Ok(Given::Again(again)),
            turn => turn,
        };
        let answered = act(caller, id.clone(), body).await;
        turn.keep(&id, answered).await.map(|answered| Given::Now(Box::new(answered)))
    };
    let outcome: Result<_, Refused> = acting.await;
    match outcome {
        Ok(Given::Now(answered)) => respond::answered(&id, *answered, dialect, false),
        Ok(Given::Again(again)) => respond::again(*again, dialect, false),
        Err(refused) => respond::refused_at(&id, dialect, &refused),
    }
}
