//! The OpenAI surface.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::generate::{Endpoint, generate, whole};
use super::{Worker, arrival, origin, respond, visit};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::wire::embeddings::EmbeddingsForm;
use crate::wire::model_only;
use crate::wire::vocab::Dialect;
use crate::{gateway, reports};

/// An opinion is short.
const FEEDBACK_BYTES: usize = 64 << 10;

const SURFACE: Dialect = Dialect::OpenAiChat;

/// `POST /v1/chat/completions`
pub async fn chat(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    generate(app, request, payload, Endpoint::of(SURFACE)).await
}

/// `POST /v1/embeddings`
pub async fn embeddings(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    whole(&app, &request, payload, SURFACE, async |caller, arrival| {
        gateway::embed(&app, &caller, arrival, EmbeddingsForm::Openai, None).await
    })
    .await
}

/// `POST /v1/images/generations`
pub async fn images(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let home = origin::home(&app, &request);
    whole(&app, &request, payload, SURFACE, async |caller, arrival| {
        gateway::generate_images(&app, &caller, arrival, &home).await
    })
    .await
}

/// `GET /v1/images/files/{name}`: whoever knows the name may see it.
pub async fn picture(app: Worker, name: Path<String>) -> HttpResponse {
    match gateway::picture(&app, &name).await {
        Ok((mime, bytes)) => HttpResponse::Ok()
            .content_type(mime)
            .insert_header(("cache-control", "private, max-age=3600"))
            .body(bytes),
        Err(error) => respond::refused(&RequestId::fresh(), SURFACE, &error, 0),
    }
}

/// `POST /v1/responses/input_tokens`
pub async fn input_tokens(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = visit::id(&request);
    let counting = async {
        let (caller, body) = arrival::received(&app, &request, payload).await?;
        let dialect = Dialect::OpenAiResponses;
        let head = model_only(&body)?;
        gateway::count_tokens(&app, &caller, &id, dialect, head, body.clone(), &body).await
    };
    let outcome: Result<u64, Error> = counting.await;
    match outcome {
        Ok(tokens) => {
            let told = json!({"object": "response.input_tokens", "input_tokens": tokens});
            respond::told(&id, SURFACE, &told)
        }
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}

/// `POST /v1/route`
pub async fn route(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = visit::id(&request);
    let live = app.live();
    let explaining = async {
        let (caller, body) = arrival::received(&app, &request, payload).await?;
        gateway::explain(&app, &live, &caller, body, &arrival::asked(&request)?).await
    };
    let outcome: Result<_, Error> = explaining.await;
    match outcome {
        Ok(route) => HttpResponse::Ok().json(route),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}

/// `POST /v1/feedback`
pub async fn feedback(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = visit::id(&request);
    let noting = async {
        let caller = arrival::caller(&app, &request).await?;
        let body =
            arrival::body(&app, &request, Some(&caller.account), payload, FEEDBACK_BYTES).await?;
        let said = serde_json::from_slice(&body).map_err(|why| {
            Error::new(Kind::Malformed, format!("The body cannot be read: {why}."))
        })?;
        reports::feedback::note(&app, &caller, said).await
    };
    let outcome: Result<_, Error> = noting.await;
    match outcome {
        Ok(noted) => HttpResponse::Ok().json(noted),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}

/// Every path and method that is not in the table.
pub async fn nowhere(request: HttpRequest) -> HttpResponse {
    let path: String = request.path().chars().take(200).collect();
    let error =
        Error::new(Kind::NotFound, format!("Unknown request URL: {} {path}.", request.method()))
            .coded("unknown_url");
    respond::refused(&visit::id(&request), dialect_of(request.path()), &error, 0)
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
