//! OpenAI's Responses and conversations: answers that are kept, and lists of items.

use std::sync::Arc;

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value};

use super::once::{Incoming, once};
use super::{Worker, arrival, respond, visit};
use crate::admit::Caller;
use crate::base::Error;
use crate::exchange::Arrival;
use crate::gateway;
use crate::platform::items::PageRequest;
use crate::responses;
use crate::stored::conversations;
use crate::wire::vocab::{Dialect, Malformed};

const SURFACE: Dialect = Dialect::OpenAiResponses;

/// `POST /v1/responses`
pub async fn create(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    once(&app, &request, payload, (SURFACE, false), async |incoming| {
        let Incoming { id, caller, body, asked } = incoming;
        let arrival = Arrival { asked, ..Arrival::of(id, SURFACE, body) };
        let answer = async |arrival| gateway::answer(&app, &caller, arrival).await;
        responses::respond(&app.shared.responses, &caller, arrival, answer).await
    })
    .await
}

/// A call about what is kept: who asks, then what of it.
async fn about(
    app: &Worker,
    request: &HttpRequest,
    act: impl AsyncFnOnce(Arc<Caller>) -> Result<Value, Error>,
) -> HttpResponse {
    let id = visit::id(request);
    let outcome = async {
        let caller = arrival::caller(app, request).await?;
        act(caller).await
    };
    match outcome.await {
        Ok(value) => respond::told(&id, SURFACE, &value),
        Err(error) => respond::refused(&id, SURFACE, &error, 0),
    }
}

/// A member of the query; ids and numbers need no decoding.
fn query<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.query_string().split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn page(request: &HttpRequest) -> PageRequest {
    PageRequest {
        limit: query(request, "limit").and_then(|limit| limit.parse().ok()),
        after: query(request, "after").map(str::to_owned),
        ascending: query(request, "order") == Some("asc"),
    }
}

/// The same, with what the body says. Nobody else's body is read.
async fn about_body(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    act: impl AsyncFnOnce(Arc<Caller>, Map<String, Value>) -> Result<Value, Error>,
) -> HttpResponse {
    about(app, request, async |caller| {
        let limit_bytes = app.shared.serving.body_limit_bytes;
        let body = arrival::body(app, request, Some(&caller.account), payload, limit_bytes).await?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let said = serde_json::from_slice(body).map_err(|why| Malformed::not_json(&why))?;
        act(caller, said).await
    })
    .await
}

/// `GET /v1/responses/{id}`
pub async fn retrieve(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    if query(&request, "stream") != Some("true") {
        return about(&app, &request, async |caller| {
            responses::retrieve(&app.shared.responses, &caller, &id).await
        })
        .await;
    }
    let name = visit::id(&request);
    let watching = async {
        let caller = arrival::caller(&app, &request).await?;
        let after = query(&request, "starting_after").and_then(|after| after.parse().ok());
        responses::watch(&app.shared.responses, &caller, &id, after).await
    };
    match watching.await {
        Ok(events) => respond::events(&name, SURFACE, events),
        Err(error) => respond::refused(&name, SURFACE, &error, 0),
    }
}

/// `DELETE /v1/responses/{id}`
pub async fn forget(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    about(&app, &request, async |caller| {
        responses::forget(&app.shared.responses, &caller, &id).await
    })
    .await
}

/// `POST /v1/responses/{id}/cancel`
pub async fn cancel(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    about(&app, &request, async |caller| {
        responses::cancel(&app.shared.responses, &caller, &id).await
    })
    .await
}

/// `GET /v1/responses/{id}/input_items`
pub async fn input_items(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let page = page(&request);
    about(&app, &request, async |caller| {
        responses::input_items(&app.shared.responses, &caller, &id, &page).await
    })
    .await
}

/// `POST /v1/conversations`
pub async fn create_conversation(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    about_body(&app, &request, payload, async |caller, said| {
        conversations::create(app.kept(), &caller, &said).await
    })
    .await
}

/// `GET /v1/conversations/{id}`
pub async fn conversation(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    about(&app, &request, async |caller| conversations::retrieve(app.kept(), &caller, &id).await)
        .await
}

/// `POST /v1/conversations/{id}`
pub async fn describe_conversation(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    about_body(&app, &request, payload, async |caller, said| {
        conversations::describe(app.kept(), &caller, &id, &said).await
    })
    .await
}

/// `DELETE /v1/conversations/{id}`
pub async fn forget_conversation(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    about(&app, &request, async |caller| conversations::forget(app.kept(), &caller, &id).await)
        .await
}

/// `GET /v1/conversations/{id}/items`
pub async fn list_items(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let page = page(&request);
    about(&app, &request, async |caller| {
        conversations::list_items(app.kept(), &caller, &id, &page).await
    })
    .await
}

/// `POST /v1/conversations/{id}/items`
pub async fn add_items(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    about_body(&app, &request, payload, async |caller, said| {
        conversations::add_items(app.kept(), &caller, &id, &said).await
    })
    .await
}

/// `GET /v1/conversations/{id}/items/{item}`
pub async fn item(app: Worker, request: HttpRequest, at: Path<(String, String)>) -> HttpResponse {
    about(&app, &request, async |caller| {
        conversations::item(app.kept(), &caller, &at.0, &at.1).await
    })
    .await
}

/// `DELETE /v1/conversations/{id}/items/{item}`
pub async fn forget_item(
    app: Worker,
    request: HttpRequest,
    at: Path<(String, String)>,
) -> HttpResponse {
    about(&app, &request, async |caller| {
        conversations::forget_item(app.kept(), &caller, &at.0, &at.1).await
    })
    .await
}
