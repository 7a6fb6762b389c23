//! One answer for each `Idempotency-Key`: how every request that is charged is let in, answered or answered
//! again, and told.

use std::sync::Arc;

use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::{Worker, arrival, respond, visit};
use crate::admit::Caller;
use crate::base::ids::RequestId;
use crate::exchange::{Answered, Refused, RequestOptions};
use crate::gateway;
use crate::idempotency::{self, Again, Claim};
use crate::responses::{self, CreatedResponse, Job};
use crate::wire::vocab::Dialect;

/// What a request comes to.
enum Reply {
    Fresh(Box<Answered>),
    /// The answer that was given under this key before.
    Replayed(Box<Again>),
    /// An answer as it stands at first, and the work that goes on in the background.
    Later(Value, Box<Job>),
}

/// A request that has been let in.
pub(super) struct Incoming {
    pub id: RequestId,
    pub caller: Arc<Caller>,
    pub body: Bytes,
    /// What its headers ask for.
    pub asked: RequestOptions,
}

/// Lets a request in, has it answered by `act`, unless its key was answered before, and tells the answer.
/// `as_array`: a stream is one JSON array instead of server-sent events (Gemini).
pub(super) async fn once(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    (dialect, as_array): (Dialect, bool),
    act: impl AsyncFnOnce(Incoming) -> Result<CreatedResponse, Refused>,
) -> HttpResponse {
    let id = visit::id(request);
    match reply(app, request, payload, id.clone(), act).await {
        Ok(Reply::Fresh(answered)) => respond::answered(&id, *answered, dialect, as_array),
        Ok(Reply::Replayed(again)) => respond::again(*again, dialect, as_array),
        Ok(Reply::Later(queued, job)) => {
            let response = if job.stream {
                respond::events(&id, dialect, job.run.follow(0))
            } else {
                respond::told(&id, dialect, &queued)
            };
            // It goes on when the caller has gone; that is what the background is.
            actix_web::rt::spawn(work(app.clone(), *job));
            response
        }
        Err(refused) => respond::refused_at(&id, dialect, &refused),
    }
}

async fn reply(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    id: RequestId,
    act: impl AsyncFnOnce(Incoming) -> Result<CreatedResponse, Refused>,
) -> Result<Reply, Refused> {
    let (caller, body) = arrival::received(app, request, payload).await?;
    let said: [&[u8]; 2] = [request.path().as_bytes(), &body];
    let claim = idempotency::claim(app, &caller, arrival::idempotency(request), &said, &id);
    let turn = match claim.await? {
        Claim::Again(again) => return Ok(Reply::Replayed(again)),
        turn => turn,
    };
    let asked = arrival::asked(request)?;
    match act(Incoming { id: id.clone(), caller, body, asked }).await? {
        CreatedResponse::Now(answered) => {
            turn.keep(&id, Ok(*answered)).await.map(Box::new).map(Reply::Fresh)
        }
        CreatedResponse::Later(queued, job) => {
            turn.keep_name(&id, &queued).await;
            Ok(Reply::Later(queued, job))
        }
    }
}

async fn work(app: Worker, job: Job) {
    let answer = async |caller: &Caller, arrival| gateway::answer(&app, caller, arrival).await;
    responses::work(&app.shared.responses, job, answer).await;
}
