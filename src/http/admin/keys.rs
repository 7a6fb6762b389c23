//! API keys of all accounts.

use std::time::Duration;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Worker;
use super::{act, act_on, list as listed};
use crate::admit::KeyTerms;
use crate::admit::keys::{Issued, terms_of};
use crate::base::Error;
use crate::base::clock::Timestamp;
use crate::store::Key;

#[derive(Deserialize)]
struct NewKey {
    account: String,
    name: Option<String>,
    #[serde(flatten)]
    terms: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    overlap_seconds: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Whose {
    account: Option<String>,
}

fn shown(key: &Key) -> Result<Value, Error> {
    let mut value = json!({
        "id": key.id.as_str(),
        "object": "api_key",
        "account": key.account.as_str(),
        "name": key.name,
        "hint": key.hint,
        "created": key.created.seconds(),
        "revoked": key.revoked.map(Timestamp::seconds),
    });
    let terms = serde_json::to_value(terms_of(key).map_err(Error::internal)?);
    if let (Some(value), Value::Object(terms)) =
        (value.as_object_mut(), terms.map_err(Error::internal)?)
    {
        value.extend(terms);
    }
    Ok(value)
}

/// The key itself is in this answer and nowhere else.
fn shown_once(issued: &Issued) -> Result<Value, Error> {
    let mut value = shown(&issued.key)?;
    if let Some(value) = value.as_object_mut() {
        value.insert("key".to_owned(), Value::from(issued.secret.expose_secret()));
    }
    Ok(value)
}

fn terms(said: serde_json::Map<String, Value>) -> Result<KeyTerms, Error> {
    serde_json::from_value(Value::Object(said)).map_err(|why| {
        Error::new(crate::base::Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}

/// `POST /v1/admin/keys`
pub async fn create(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |office, new: NewKey| {
        let name = new.name.as_deref().unwrap_or("default");
        let issued = office.issue_key(&new.account, name, &terms(new.terms)?).await?;
        shown_once(&issued)
    })
    .await
}

/// `GET /v1/admin/keys`, `?account=` for those of one
pub async fn list(app: Worker, request: HttpRequest, whose: Query<Whose>) -> HttpResponse {
    act(&app, &request, async |office| {
        let all = office.keys_of(whose.account.as_deref()).await?;
        Ok(listed(all.iter().map(shown).collect::<Result<_, _>>()?))
    })
    .await
}

/// `GET /v1/admin/keys/{id}`
pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |office| shown(&office.key(&id).await?)).await
}

/// `PATCH /v1/admin/keys/{id}`: its terms, as a whole
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |office, terms: KeyTerms| {
        shown(&office.change_key(&id, &terms).await?)
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
    act_on(&app, &request, payload, async |office, rotation: Rotation| {
        let overlap = Duration::from_secs(rotation.overlap_seconds.unwrap_or(3_600));
        shown_once(&office.rotate_key(&id, overlap).await?)
    })
    .await
}

/// `DELETE /v1/admin/keys/{id}`
pub async fn revoke(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |office| {
        office.revoke_key(&id).await?;
        Ok(json!({"id": *id, "object": "api_key", "deleted": true}))
    })
    .await
}
