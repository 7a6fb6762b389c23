//! The OpenAI surface.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::generate::{Door, generate};
use super::{Worker, arrival, respond};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::gateway::{self, Refused};
use crate::wire::vocab::Dialect;

const SURFACE: Dialect = Dialect::OpenAiChat;

/// `POST /v1/chat/completions`
pub async fn chat(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    generate(app, request, payload, Door::of(SURFACE)).await
}

/// `POST /v1/embeddings`
pub async fn embeddings(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = RequestId::fresh();
    let embedding = async {
        let caller = app.shared.identities.identify(arrival::credential(&request)).await?;
        let body = arrival::body(&request, payload, app.shared.body_limit_bytes).await?;
        gateway::embed(&app, &caller, &id, body).await
    };
    let outcome: Result<_, Refused> = embedding.await;
    let response = match outcome {
        Ok(answered) => respond::answered(&id, answered, SURFACE, false),
        Err(refused) => respond::refused(&id, SURFACE, &refused.error, refused.attempts),
    };
    respond::count(&app, "embeddings", &response);
    response
}

/// `POST /v1/route`
pub async fn route(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = RequestId::fresh();
    let explaining = async {
        let caller = app.shared.identities.identify(arrival::credential(&request)).await?;
        let body = arrival::body(&request, payload, app.shared.body_limit_bytes).await?;
        gateway::explain(&app, &caller, body)
    };
    let outcome: Result<_, Error> = explaining.await;
    let response = match outcome {
        Ok(route) => HttpResponse::Ok().json(route),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    };
    respond::count(&app, "route", &response);
    response
}

/// Every path and method that is not in the table.
pub async fn nowhere(request: HttpRequest) -> HttpResponse {
    let path: String = request.path().chars().take(200).collect();
    let error =
        Error::new(Kind::NotFound, format!("Unknown request URL: {} {path}.", request.method()))
            .coded("unknown_url");
    respond::refused(&RequestId::fresh(), dialect_of(request.path()), &error, 0)
}

/// The dialect in which a stray path is answered.
fn dialect_of(path: &str) -> Dialect {
    if path.contains("/v1beta") {
        Dialect::Gemini
    } else if path.contains("/messages") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAiChat
    }
}
