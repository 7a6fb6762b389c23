//! `/v1/agents`: kept, changed, run.

use std::rc::Rc;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::act::{BODY_BYTES, act};
use crate::agents::{self, Named, NewRun, RunView};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::exchange::Refused;
use crate::gateway;
use crate::http::arrival::{caller, said};
use crate::http::{Worker, respond, visit};
use crate::platform::agents::Agent;
use crate::stored;
use crate::wire::frame::Pieces;
use crate::wire::frame::sse;
use crate::wire::vocab::Dialect;

const SURFACE: Dialect = Dialect::OpenAiChat;

/// The query of lists of agents.
#[derive(Debug, Deserialize)]
pub struct AgentQuery {
    limit: Option<i64>,
    after: Option<String>,
}

fn shown(outcome: Result<Named, Error>) -> HttpResponse {
    match outcome {
        Ok(named) => HttpResponse::Ok().insert_header(("etag", named.etag())).json(named.shown()),
        Err(error) => respond::refused(&RequestId::fresh(), SURFACE, &error, 0),
    }
}

/// `GET /v1/agents`
pub async fn list(app: Worker, request: HttpRequest, page: Query<AgentQuery>) -> HttpResponse {
    act(&app, &request, async |caller| {
        let page = page.into_inner();
        stored::agents::list(app.kept(), &caller, page.after, page.limit).await
    })
    .await
}

/// `POST /v1/agents`
pub async fn create(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let creating = async {
        let caller = caller(&app, &request).await?;
        let agent: Agent = said(&app, &request, Some(&caller.account), payload, BODY_BYTES).await?;
        stored::agents::create(app.kept(), &caller, agent).await
    };
    shown(creating.await)
}

/// `GET /v1/agents/{id}`
pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let getting = async {
        let caller = caller(&app, &request).await?;
        stored::agents::get(app.kept(), &caller, &id).await
    };
    shown(getting.await)
}

/// `PUT /v1/agents/{id}`, with `If-Match` for the version that it was made from
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let changing = async {
        let caller = caller(&app, &request).await?;
        let agent: Agent = said(&app, &request, Some(&caller.account), payload, BODY_BYTES).await?;
        let seen = request.headers().get("if-match").and_then(|value| value.to_str().ok());
        stored::agents::change(app.kept(), &caller, &id, agent, seen).await
    };
    shown(changing.await)
}

/// `DELETE /v1/agents/{id}`
pub async fn delete(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| stored::agents::delete(app.kept(), &caller, &id).await).await
}

fn event(kind: &str, mut data: Value) -> Bytes {
    if let Some(data) = data.as_object_mut() {
        data.insert("type".to_owned(), Value::from(kind));
    }
    let mut out = Vec::new();
    sse::write(&mut out, kind, data.to_string().as_bytes());
    Bytes::from(out)
}

/// `POST /v1/agents/{id}/runs`
pub async fn run(
    app: Worker,
    request: HttpRequest,
    agent: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let id = visit::id(&request);
    let beginning = async {
        let caller = caller(&app, &request).await?;
        let new: NewRun = said(&app, &request, Some(&caller.account), payload, BODY_BYTES).await?;
        let (stream, store, identities) = (new.stream, &app.shared.store, &app.shared.identities);
        let begun = agents::begin(store, identities, &caller, &agent, new, id.clone()).await?;
        Ok((begun, stream))
    };
    let outcome: Result<_, Error> = beginning.await;
    match outcome {
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
        Ok((begun, false)) => match Box::pin(gateway::execute(&app, begun, &mut |_, _| {})).await {
            Ok(told) => respond::told(&id, SURFACE, &told),
            Err(refused) => respond::refused_at(&id, SURFACE, &refused),
        },
        Ok((begun, true)) => {
            // A run says little: what waits to be read is a few events.
            let (tell, told) = mpsc::unbounded_channel();
            let worker = app.clone();
            let running = async move {
                let say = Rc::new(tell);
                let events = Rc::clone(&say);
                let mut tell = move |kind: &'static str, data: Value| {
                    // A caller who has left is told nothing.
                    let _gone = events.send(event(kind, data));
                };
                let executed = gateway::execute(&worker, begun, &mut tell);
                // Whoever leaves ends the run: nobody waits for what it would come to.
                let outcome: Result<RunView, Refused> = tokio::select! {
                    outcome = executed => outcome,
                    () = say.closed() => return,
                };
                let last = match outcome {
                    Ok(told) => event("run.completed", json!({"run": told})),
                    Err(refused) => event(
                        "run.failed",
                        json!({"error": {"message": refused.error.public, "code": refused.error.code}}),
                    ),
                };
                let _gone = say.send(last);
            };
            actix_web::rt::spawn(running);
            let pieces = stream::unfold(told, |mut told| async move {
                told.recv().await.map(|event| (event, told))
            });
            let pieces: Pieces = Box::pin(pieces);
            respond::events(&id, SURFACE, pieces)
        }
    }
}
