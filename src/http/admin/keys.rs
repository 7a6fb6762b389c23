//! API keys of all accounts.

use std::time::Duration;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::Worker;
use super::act::{act, act_on};
use crate::admit::KeyTerms;
use crate::base::Error;
use crate::base::told::{Deleted, List};
use crate::http::keys::{shown_key, shown_once};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "NewAccountKey")]
pub(in crate::http) struct NewKey {
    account: String,
    name: Option<String>,
    #[serde(flatten)]
    #[schemars(with = "KeyTerms")]
    terms: serde_json::Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Rotation {
    overlap_seconds: Option<u64>,
}

#[derive(Deserialize)]
pub(in crate::http) struct Whose {
    account: Option<String>,
}

fn terms(said: serde_json::Map<String, Value>) -> Result<KeyTerms, Error> {
    serde_json::from_value(Value::Object(said)).map_err(|why| {
        Error::new(crate::base::Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}

/// `POST /v1/admin/keys`
pub async fn create(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewKey| {
        let name = new.name.as_deref().unwrap_or("default");
        let issued = administration.issue_key(&new.account, name, &terms(new.terms)?).await?;
        shown_once(&issued)
    })
    .await
}

/// `GET /v1/admin/keys`, `?account=` for those of one
pub async fn list(app: Worker, request: HttpRequest, whose: Query<Whose>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let all = administration.keys_of(whose.account.as_deref()).await?;
        Ok(List::of(all.iter().map(shown_key).collect::<Result<_, _>>()?))
    })
    .await
}

/// `GET /v1/admin/keys/{id}`
pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| shown_key(&administration.key(&id).await?)).await
}

/// `PATCH /v1/admin/keys/{id}`: its terms, as a whole
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, terms: KeyTerms| {
        shown_key(&administration.change_key(&id, &terms).await?)
    })
    .await
}

/// `POST /v1/admin/keys/{id}/rotate`
pub async fn rotate(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, rotation: Rotation| {
        let overlap = Duration::from_secs(rotation.overlap_seconds.unwrap_or(3_600));
        shown_once(&administration.rotate_key(&id, overlap).await?)
    })
    .await
}

/// `DELETE /v1/admin/keys/{id}`
pub async fn revoke(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        administration.revoke_key(&id).await?;
        Ok(Deleted::new("api_key", id.as_str()))
    })
    .await
}
