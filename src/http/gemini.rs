//! The Gemini surface: the model and the verb stand in the path.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Value, json};

use super::generate::{Endpoint, generate, whole};
use super::{Worker, arrival, respond, visit};
use crate::base::{Error, Kind};
use crate::gateway;
use crate::wire::PathTarget;
use crate::wire::embeddings::EmbeddingsForm;
use crate::wire::vocab::{Dialect, RequestHead};

const SURFACE: Dialect = Dialect::Gemini;

/// `POST /v1beta/models/{model}:{verb}`
pub async fn act(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    target: Path<String>,
) -> HttpResponse {
    let (model, verb) = target.rsplit_once(':').unwrap_or((&target, ""));
    let model = model.strip_prefix("models/").unwrap_or(model).to_owned();
    let sse = request.query_string().split('&').any(|pair| pair == "alt=sse");
    match verb {
        "generateContent" | "streamGenerateContent" => {
            let stream = verb == "streamGenerateContent";
            let endpoint = Endpoint {
                target: Some(PathTarget { model, stream }),
                as_array: stream && !sse,
                ..Endpoint::of(SURFACE)
            };
            generate(app, request, payload, endpoint).await
        }
        "countTokens" => count_tokens(app, request, payload, model).await,
        "embedContent" | "batchEmbedContents" => {
            let form = if verb == "embedContent" {
                EmbeddingsForm::GeminiOne
            } else {
                EmbeddingsForm::Gemini
            };
            whole(&app, &request, payload, SURFACE, async |caller, arrival| {
                gateway::embed(&app, &caller, arrival, form, Some(model)).await
            })
            .await
        }
        _ => {
            let verb: String = verb.chars().take(60).collect();
            let error = Error::new(Kind::NotFound, format!("There is no method '{verb}'."));
            respond::refused(&visit::id(&request), SURFACE, &error, 0)
        }
    }
}

async fn count_tokens(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    model: String,
) -> HttpResponse {
    let id = visit::id(&request);
    let counting = async {
        let (caller, body) = arrival::received(&app, &request, payload).await?;
        // The contents themselves, or a whole request around them.
        let inner = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|body| body.get("generateContentRequest").map(ToString::to_string));
        let words = inner.map_or(body.clone(), Bytes::from);
        let head = RequestHead { model, prompt_bytes: body.len(), ..RequestHead::default() };
        gateway::count_tokens(&app, &caller, &id, SURFACE, head, body, &words).await
    };
    let outcome: Result<u64, Error> = counting.await;
    match outcome {
        Ok(tokens) => HttpResponse::Ok().json(json!({ "totalTokens": tokens })),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}
