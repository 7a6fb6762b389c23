//! `/v1/keys`: the keys that a customer has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Worker, arrival, respond};
use crate::admit::keys::{Issued, terms_of};
use crate::admit::{Caller, KeyTerms};
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::told::{Deleted, List};
use crate::base::{Error, Kind};
use crate::store::{Key, SignedIn};
use crate::stored::keys::{self, KnownKey, Speaks};
use crate::wire::vocab::Dialect;

/// Nobody's terms of a key are longer.
const BODY_BYTES: usize = 16 << 10;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NewKey {
    #[schemars(length(min = 1, max = 200))]
    #[serde(default = "usual")]
    name: String,
    #[serde(flatten)]
    #[schemars(with = "KeyTerms")]
    terms: Map<String, Value>,
}

/// What is to be otherwise of a key: `null` takes a term away.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::http) struct KeyChange(#[schemars(with = "NewKey")] Map<String, Value>);

fn usual() -> String {
    "default".to_owned()
}

/// A key as lists show it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(in crate::http) struct ShownKey {
    id: String,
    object: &'static str,
    account: String,
    name: String,
    /// The end of it.
    hint: String,
    /// The member whom it speaks for; none, where it speaks for the account.
    user: Option<String>,
    /// In seconds since the epoch.
    created: i64,
    revoked: Option<i64>,
    #[serde(flatten)]
    terms: KeyTerms,
}

/// A key as its owner sees it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OwnKey")]
pub(in crate::http) struct ShownOwnKey {
    #[serde(flatten)]
    key: ShownKey,
    last_used_at: Option<String>,
}

/// The key itself is in this answer and nowhere else.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct IssuedKey {
    #[serde(flatten)]
    shown: ShownKey,
    key: String,
}

/// A key as lists show it.
pub(super) fn shown_key(key: &Key) -> Result<ShownKey, Error> {
    Ok(ShownKey {
        id: key.id.as_str().to_owned(),
        object: "api_key",
        account: key.account.as_str().to_owned(),
        name: key.name.clone(),
        hint: key.hint.clone(),
        user: key.member.clone(),
        created: key.created.seconds(),
        revoked: key.revoked.map(Timestamp::seconds),
        terms: terms_of(key).map_err(Error::internal)?,
    })
}

/// The key itself is in this answer and nowhere else.
pub(super) fn shown_once(issued: &Issued) -> Result<IssuedKey, Error> {
    let key = issued.secret.expose_secret().to_owned();
    Ok(IssuedKey { shown: shown_key(&issued.key)?, key })
}

fn told<A: Serialize>(outcome: Result<A, Error>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0),
    }
}

/// A key as its owner sees it.
fn known(one: &KnownKey) -> Result<ShownOwnKey, Error> {
    let last_used_at = one.last_used.map(calendar::written);
    Ok(ShownOwnKey { key: shown_key(&one.key)?, last_used_at })
}

async fn holder(app: &Worker, request: &HttpRequest) -> Result<Arc<Caller>, Error> {
    app.shared.identities.identify(arrival::credential(request)).await
}

/// `GET /v1/keys`
pub async fn list_keys(app: Worker, request: HttpRequest) -> HttpResponse {
    let listing = async {
        let caller = holder(&app, &request).await?;
        let keys = keys::list(app.keys(), &caller).await?;
        Ok(List::of(keys.iter().map(known).collect::<Result<_, _>>()?))
    };
    told(listing.await)
}

/// The person who asks, if it is no key.
async fn signed_in(app: &Worker, request: &HttpRequest) -> Result<Option<SignedIn>, Error> {
    match arrival::credential(request) {
        Some(token) => app.shared.authentication.signed_in_by(token).await,
        None => Ok(None),
    }
}

/// `GET /v1/keys/{id}`
pub async fn get_key(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let looking = async {
        let caller = holder(&app, &request).await?;
        known(&keys::get(app.keys(), &caller, &id).await?)
    };
    told(looking.await)
}

/// `POST /v1/keys`
pub async fn create_key(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let creating = async {
        let caller = holder(&app, &request).await?;
        let new: NewKey = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let speaks = Speaks::ForCaller;
        let signed_in = signed_in(&app, &request).await?;
        let (name, terms) = (&new.name, new.terms);
        shown_once(
            &keys::create(app.keys(), &caller, name, terms, speaks, signed_in.as_ref()).await?,
        )
    };
    told(creating.await)
}

/// `PATCH /v1/keys/{id}`
pub async fn change_key(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let changing = async {
        let caller = holder(&app, &request).await?;
        let changes: KeyChange = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let signed_in = signed_in(&app, &request).await?;
        known(&keys::change(app.keys(), &caller, &id, changes.0, signed_in.as_ref()).await?)
    };
    told(changing.await)
}

/// `DELETE /v1/keys/{id}`
pub async fn revoke_key(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let revoking = async {
        let caller = holder(&app, &request).await?;
        let key = keys::revoke(app.keys(), &caller, &id).await?;
        Ok(Deleted::new("api_key", key.id.as_str()))
    };
    told(revoking.await)
}

/// `POST /v1/keys/{id}/rotate`, `?overlap_seconds=` for how long the old one stays good
pub async fn rotate_key(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    query: Query<HashMap<String, String>>,
) -> HttpResponse {
    let rotating = async {
        let caller = holder(&app, &request).await?;
        let overlap = query.get("overlap_seconds").map_or("0", String::as_str);
        let overlap = overlap.parse().ok().map(Duration::from_secs).ok_or_else(|| {
            let text = "'overlap_seconds' has to be a number of seconds, at most 30 days.";
            Error::new(Kind::Malformed, text).at("overlap_seconds")
        })?;
        let signed_in = signed_in(&app, &request).await?;
        shown_once(&keys::rotate(app.keys(), &caller, &id, overlap, signed_in.as_ref()).await?)
    };
    told(rotating.await)
}
