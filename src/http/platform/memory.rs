//! `/v1/memory/*`

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::act::{act, act_on};
use crate::base::told::OfUser;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::memory::{self, MemoryQuery, NewMemory, ShownMemory};

/// The query of lists of memories.
#[derive(Debug, Deserialize)]
pub struct MemoryListQuery {
    after: Option<String>,
    limit: Option<i64>,
}

/// What was kept: one memory, or those of a list.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MemoriesKept")]
pub(in crate::http) enum MemoriesKept {
    One(Box<ShownMemory>),
    Some(OfUser<ShownMemory>),
}

/// One memory, or a list of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemoryWish")]
pub(in crate::http) struct Store {
    #[serde(alias = "userId")]
    user_id: Option<String>,
    #[serde(alias = "content")]
    text: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    expires_at: Option<i64>,
    #[schemars(range(min = 1))]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    metadata: Map<String, Value>,
    entries: Option<Vec<NewMemory>>,
}

/// `POST /v1/memory/store`
pub async fn store(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |caller, mut said: Store| {
        let user = memory::whose(&app.shared.identities, &caller, said.user_id.as_deref()).await?;
        let user = user.to_owned();
        match (said.text.take(), said.entries.take()) {
            (Some(text), None) => {
                let Store { tags, expires_at, ttl_seconds, metadata, .. } = said;
                let new = NewMemory { text, tags, expires_at, ttl_seconds, metadata };
                let kept = app.memory().store(&caller, &user, vec![new]).await?;
                let one = kept.into_iter().next().ok_or_else(|| Error::internal("no memory"))?;
                Ok(MemoriesKept::One(Box::new(one.of(user))))
            }
            (None, Some(entries)) => {
                let kept = app.memory().store(&caller, &user, entries).await?;
                Ok(MemoriesKept::Some(OfUser::new(user, kept)))
            }
            _ => Err(Error::new(Kind::Malformed, "Either 'text' or 'entries' is required.")
                .at("text")
                .coded("missing_required_parameter")),
        }
    })
    .await
}

/// `POST /v1/memory/search`
pub async fn search(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |caller, asked: MemoryQuery| {
        let user = memory::whose(&app.shared.identities, &caller, asked.user_id.as_deref()).await?;
        if asked.query.trim().is_empty() {
            return Err(Error::new(Kind::Malformed, "Missing required parameter: 'query'.")
                .at("query")
                .coded("missing_required_parameter"));
        }
        app.memory().search(&caller, user, &asked).await
    })
    .await
}

/// `GET /v1/memory/graph/{user}/entities`
pub async fn graph(app: Worker, request: HttpRequest, user: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| {
        let user = memory::whose(&app.shared.identities, &caller, Some(&user)).await?;
        app.memory().graph(&caller, user).await
    })
    .await
}

/// `GET /v1/memory/{user}`, oldest first
pub async fn list(
    app: Worker,
    request: HttpRequest,
    user: Path<String>,
    page: Query<MemoryListQuery>,
) -> HttpResponse {
    act(&app, &request, async |caller| {
        let user = memory::whose(&app.shared.identities, &caller, Some(&user)).await?;
        app.memory().listed(&caller, user, page.after.as_deref(), page.limit).await
    })
    .await
}

/// `DELETE /v1/memory/{user}`
pub async fn forget(app: Worker, request: HttpRequest, user: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| {
        let user = memory::whose(&app.shared.identities, &caller, Some(&user)).await?;
        app.memory().forget(&caller, user, None).await
    })
    .await
}

/// `DELETE /v1/memory/{user}/{id}`
pub async fn forget_one(
    app: Worker,
    request: HttpRequest,
    at: Path<(String, String)>,
) -> HttpResponse {
    act(&app, &request, async |caller| {
        let user = memory::whose(&app.shared.identities, &caller, Some(&at.0)).await?;
        app.memory().forget(&caller, user, Some(&at.1)).await
    })
    .await
}
