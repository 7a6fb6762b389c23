//! What every handler for administrators does: lets one in, reads, and answers.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::administration::Administration;
use crate::admit::Caller;
use crate::base::{Error, Kind};
use crate::http::{Worker, arrival, respond, visit};
use crate::wire::vocab::Dialect;

pub(super) async fn administrator(
    app: &Worker,
    request: &HttpRequest,
) -> Result<Arc<Caller>, Error> {
    let caller = arrival::identified(app, request).await?;
    if caller.admin {
        return Ok(caller);
    }
    Err(Error::new(Kind::Forbidden, "This needs an administrator's key.").coded("admin_required"))
}

/// Lets an administrator in, and has something done.
pub(super) async fn act<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Administration<'_>) -> Result<A, Error>,
) -> HttpResponse {
    let acting = async {
        let caller = administrator(app, request).await?;
        work(app.administration(caller.key.clone())).await
    };
    match acting.await {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// The same, with what the body says. Nobody else's body is read.
pub(super) async fn act_on<T: DeserializeOwned, A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
    work: impl AsyncFnOnce(Administration<'_>, T) -> Result<A, Error>,
) -> HttpResponse {
    act(app, request, async |administration| {
        let said =
            arrival::said(app, request, None, payload, app.shared.serving.body_limit_bytes).await?;
        work(administration, said).await
    })
    .await
}
