//! `/optima/v1/*`: models, what can be done, saved conversations.

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::act::{BODY_BYTES, plainly};
use crate::base::told::{Deleted, DeletedSome};
use crate::http::Worker;
use crate::http::arrival::{caller, said};
use crate::reports::status;
use crate::stored::chats::{self, ConversationFilter, Saved};

/// What is gone: one conversation, or all of them.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ConversationsGone")]
pub(in crate::http) enum Gone {
    One(Deleted),
    All(DeletedSome),
}

/// The query that names a conversation.
#[derive(Debug, Deserialize, Default)]
pub struct ConversationQuery {
    id: Option<String>,
}

/// `GET /optima/v1/models`
pub async fn models(app: Worker, request: HttpRequest) -> HttpResponse {
    let listing = async { Ok(status::models(&app, &*caller(&app, &request).await?)) };
    plainly(listing.await)
}

/// `GET /optima/v1/capabilities`
pub async fn capabilities(app: Worker, request: HttpRequest) -> HttpResponse {
    let telling = async { Ok(status::capabilities(&app, &*caller(&app, &request).await?)) };
    plainly(telling.await)
}

/// `GET /optima/v1/conversations`
pub async fn list(
    app: Worker,
    request: HttpRequest,
    wanted: Query<ConversationFilter>,
) -> HttpResponse {
    let listing = async {
        let caller = caller(&app, &request).await?;
        chats::list(app.kept(), &caller, wanted.into_inner()).await
    };
    plainly(listing.await)
}

/// `GET /optima/v1/conversations/{id}`
pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let getting = async { chats::get(app.kept(), &*caller(&app, &request).await?, &id).await };
    plainly(getting.await)
}

/// `PUT /optima/v1/conversations`: a new one, or the one that the body names
pub async fn put(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let saving = async {
        let caller = caller(&app, &request).await?;
        let saved: Saved = said(&app, &request, Some(&caller.account), payload, BODY_BYTES).await?;
        chats::put(app.kept(), &caller, None, saved).await
    };
    plainly(saving.await)
}

/// `PUT /optima/v1/conversations/{id}`
pub async fn put_one(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let saving = async {
        let caller = caller(&app, &request).await?;
        let saved: Saved = said(&app, &request, Some(&caller.account), payload, BODY_BYTES).await?;
        chats::put(app.kept(), &caller, Some(&id), saved).await
    };
    plainly(saving.await)
}

/// `DELETE /optima/v1/conversations`: all of the user's, or `?id=`
pub async fn delete(
    app: Worker,
    request: HttpRequest,
    which: Query<ConversationQuery>,
) -> HttpResponse {
    let deleting = async {
        let caller = caller(&app, &request).await?;
        Ok(match &which.id {
            Some(id) => Gone::One(chats::delete(app.kept(), &caller, id).await?),
            None => Gone::All(chats::delete_all(app.kept(), &caller).await?),
        })
    };
    plainly(deleting.await)
}

/// `DELETE /optima/v1/conversations/{id}`
pub async fn delete_one(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let deleting = async { chats::delete(app.kept(), &*caller(&app, &request).await?, &id).await };
    plainly(deleting.await)
}
