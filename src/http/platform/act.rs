//! What every handler of what customers keep does: lets a caller in, reads, and answers.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admit::Caller;
use crate::base::Error;
use crate::http::arrival::{caller, said};
use crate::http::{Worker, respond, visit};
use crate::wire::vocab::Dialect;

/// What is said here is short, memories and conversations included.
pub(super) const BODY_BYTES: usize = 8 << 20;

/// Lets a caller in, and has something done.
pub(super) async fn act<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>) -> Result<A, Error>,
) -> HttpResponse {
    let acting = async { work(caller(app, request).await?).await };
    let outcome: Result<A, Error> = acting.await;
    match outcome {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// The same, with what the body says.
pub(super) async fn act_on<T: DeserializeOwned, A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    work: impl AsyncFnOnce(Arc<Caller>, T) -> Result<A, Error>,
) -> HttpResponse {
    act(app, request, async |caller| {
        let said = said(app, request, Some(&caller.account), payload, BODY_BYTES).await?;
        work(caller, said).await
    })
    .await
}

/// What came of it, with an error in the plain form.
pub(super) fn plainly<A: Serialize>(outcome: Result<A, Error>) -> HttpResponse {
    match outcome {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => respond::plainly(&error),
    }
}
