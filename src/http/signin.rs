//! `/api/auth/*`, and the keys that a signed-in customer has.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Worker, arrival, respond};
use crate::admit::keys::{Issued, terms_of};
use crate::admit::{Caller, KeyTerms, Registered, Role, Scope, Session, keys, named};
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::store::Key;
use crate::wire::vocab::Dialect;

/// Nobody's e-mail address and password are longer.
const BODY_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
struct Credentials {
    #[serde(alias = "username")]
    email: String,
    password: SecretString,
}

#[derive(Deserialize, Default)]
struct Token {
    #[serde(alias = "refreshToken")]
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct NewKey {
    #[serde(default = "usual")]
    name: String,
    #[serde(flatten)]
    terms: Map<String, Value>,
}

fn usual() -> String {
    "default".to_owned()
}

/// Whence the caller comes, for those who guess.
fn address(app: &Worker, request: &HttpRequest) -> String {
    let forwarded = request.headers().get("x-forwarded-for").filter(|_| app.shared.behind_proxy);
    // The last is what our own proxy saw; those before it are what its caller said.
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    if let Some(address) = last.map(str::trim).filter(|address| !address.is_empty()) {
        return address.chars().take(64).collect();
    }
    request.peer_addr().map_or_else(|| "nowhere".to_owned(), |peer| peer.ip().to_string())
}

fn shown(session: &Session) -> Value {
    let member = &session.member;
    json!({
        "access_token": session.access,
        "token_type": "Bearer",
        "expires_in": session.expires_in.as_secs(),
        "refresh_token": session.refresh,
        "user": {
            "id": member.id,
            "email": member.email,
            "role": member.role,
            "account": member.account.as_str(),
        },
    })
}

fn session(outcome: Result<Session, Error>) -> HttpResponse {
    match outcome {
        Ok(session) => {
            HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(shown(&session))
        }
        Err(error) => respond::plainly(&error),
    }
}

/// `POST /api/auth/login`
pub async fn login(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = address(&app, &request);
    let signing_in = async {
        let said: Credentials = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        app.shared.desk.sign_in(&said.email, said.password, &address).await
    };
    session(signing_in.await)
}

/// `POST /api/auth/register`
pub async fn register(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = address(&app, &request);
    let registering = async {
        let said: Credentials = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        app.shared.desk.register(&said.email, said.password, &address).await
    };
    let registered = registering.await.and_then(|Registered { session, key }| {
        let mut value = shown(&session);
        value["api_key"] = shown_once(&key)?;
        Ok(value)
    });
    match registered {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::plainly(&error),
    }
}

/// `POST /api/auth/refresh`
pub async fn refresh(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let refreshing = async {
        let said: Token = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let token = said.refresh_token.ok_or_else(|| {
            Error::new(Kind::Malformed, "Missing required field: 'refresh_token'.")
        })?;
        app.shared.desk.refresh(&token).await
    };
    session(refreshing.await)
}

/// `POST /api/auth/logout`
pub async fn logout(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let signing_out = async {
        let said: Token = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let access = arrival::credential(&request);
        app.shared.desk.sign_out(access, said.refresh_token.as_deref()).await
    };
    let outcome: Result<(), Error> = signing_out.await;
    match outcome {
        Ok(()) => HttpResponse::Ok().json(json!({"signed_out": true})),
        Err(error) => respond::plainly(&error),
    }
}

/// `GET /.well-known/jwks.json`
pub async fn jwks(app: Worker) -> HttpResponse {
    match app.shared.desk.signers.jwks().await {
        Ok(keys) => {
            HttpResponse::Ok().insert_header(("cache-control", "public, max-age=300")).json(keys)
        }
        Err(error) => respond::plainly(&error),
    }
}

/// A caller who may look after keys: not one that is held back itself, which could let itself go.
async fn keeper(app: &Worker, request: &HttpRequest) -> Result<std::sync::Arc<Caller>, Error> {
    let caller = arrival::identified(app, request).await?;
    caller.must_be_for(Scope::Keys)?;
    if caller.is_held_back() {
        let text = "A key with limits of its own cannot look after keys.";
        return Err(Error::new(Kind::Forbidden, text).coded("key_held_back"));
    }
    Ok(caller)
}

/// A key as lists show it.
pub(super) fn shown_key(key: &Key) -> Result<Value, Error> {
    let mut value = json!({
        "id": key.id.as_str(),
        "object": "api_key",
        "account": key.account.as_str(),
        "name": key.name,
        "hint": key.hint,
        "user": key.member,
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
pub(super) fn shown_once(issued: &Issued) -> Result<Value, Error> {
    let mut value = shown_key(&issued.key)?;
    value["key"] = Value::from(issued.secret.expose_secret());
    Ok(value)
}

fn told(outcome: Result<Value, Error>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0),
    }
}

/// The keys that a caller sees: an owner all of the account's, a member their own.
async fn visible(app: &Worker, caller: &Caller) -> Result<Vec<Key>, Error> {
    let all = app.shared.store.keys(Some(caller.account.clone())).await;
    let mut all = all.map_err(Error::internal)?;
    if caller.person.role == Role::Member {
        all.retain(|key| key.member.as_deref() == Some(&caller.person.id));
    }
    Ok(all)
}

async fn own(app: &Worker, caller: &Caller, id: &str) -> Result<Key, Error> {
    let all = visible(app, caller).await?;
    all.into_iter().find(|key| key.id.as_str() == id).ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Error::new(Kind::NotFound, format!("There is no key '{id}'."))
    })
}

/// `GET /v1/keys`
pub async fn list_keys(app: Worker, request: HttpRequest) -> HttpResponse {
    let listing = async {
        let caller = keeper(&app, &request).await?;
        let keys = visible(&app, &caller).await?;
        let keys: Vec<Value> = keys.iter().map(shown_key).collect::<Result<_, _>>()?;
        Ok(json!({"object": "list", "data": keys}))
    };
    told(listing.await)
}

/// `POST /v1/keys`
pub async fn create_key(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let creating = async {
        let caller = keeper(&app, &request).await?;
        if caller.account.as_str() == "acct_admin" {
            let text = "The configured key has no account; use /v1/admin/keys.";
            return Err(Error::new(Kind::Malformed, text));
        }
        let new: NewKey = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        named(&new.name)?;
        let terms: KeyTerms = serde_json::from_value(Value::Object(new.terms)).map_err(|why| {
            Error::new(Kind::Malformed, format!("The request body is not valid: {why}."))
        })?;
        let account = caller.account.as_str();
        // A member's key speaks for the member; a key of the account makes keys of the account.
        let member = (caller.person.id != account).then_some(caller.person.id.as_str());
        let now = app.shared.clock.now();
        let issued = keys::issue(&app.shared.store, account, member, &new.name, &terms, now).await;
        app.shared.identities.forget(&caller.account);
        shown_once(&issued.map_err(Error::internal)?)
    };
    told(creating.await)
}

/// `DELETE /v1/keys/{id}`
pub async fn revoke_key(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let revoking = async {
        let caller = keeper(&app, &request).await?;
        let key = own(&app, &caller, &id).await?;
        let now = app.shared.clock.now();
        let revoked = keys::revoke(&app.shared.store, key.id.as_str(), now).await;
        revoked.map_err(Error::internal)?;
        app.shared.identities.forget(&caller.account);
        Ok(json!({"id": key.id.as_str(), "object": "api_key", "deleted": true}))
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
        let caller = keeper(&app, &request).await?;
        let key = own(&app, &caller, &id).await?;
        let overlap = query.get("overlap_seconds").map_or("0", String::as_str);
        let overlap = overlap.parse().ok().filter(|seconds| *seconds <= 30 * 86_400);
        let overlap = overlap.map(Duration::from_secs).ok_or_else(|| {
            let text = "'overlap_seconds' has to be a number of seconds, at most 30 days.";
            Error::new(Kind::Malformed, text).at("overlap_seconds")
        })?;
        let now = app.shared.clock.now();
        let issued = keys::rotate(&app.shared.store, key.id.as_str(), overlap, now).await;
        app.shared.identities.forget(&caller.account);
        shown_once(&issued.map_err(Error::internal)?)
    };
    told(rotating.await)
}
