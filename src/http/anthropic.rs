//! The Anthropic surface.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::generate::{Endpoint, generate};
use super::{Worker, arrival, respond, visit};
use crate::base::Error;
use crate::gateway;
use crate::wire::model_only;
use crate::wire::vocab::Dialect;

const SURFACE: Dialect = Dialect::Anthropic;

/// `POST /v1/messages`
pub async fn messages(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let endpoint =
        Endpoint { forward: &["anthropic-beta", "anthropic-version"], ..Endpoint::of(SURFACE) };
    generate(app, request, payload, endpoint).await
}

/// `POST /v1/messages/count_tokens`
pub async fn count_tokens(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = visit::id(&request);
    let counting = async {
        let (caller, body) = arrival::received(&app, &request, payload).await?;
        let head = model_only(&body)?;
        gateway::count_tokens(&app, &caller, &id, SURFACE, head, body.clone(), &body).await
    };
    let outcome: Result<u64, Error> = counting.await;
    match outcome {
        Ok(tokens) => HttpResponse::Ok().json(json!({ "input_tokens": tokens })),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}
