//! Accounts and keys, for operators.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Worker, arrival, respond};
use crate::admit::keys::{self, KeyError};
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::store::{Account, Key, StoreError};
use crate::wire::vocab::Dialect;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
    plan: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    account: String,
    name: Option<String>,
}

fn error_of(why: KeyError) -> Error {
    match why {
        KeyError::NoAccount(name) => {
            Error::new(Kind::NotFound, format!("There is no account '{name}'.")).at("account")
        }
        KeyError::NoKey(id) => Error::new(Kind::NotFound, format!("There is no key '{id}'.")),
        KeyError::Store(StoreError::Taken(name)) => {
            Error::new(Kind::Conflict, format!("There is already an account named '{name}'."))
                .at("name")
        }
        other => Error::internal(other),
    }
}

async fn administrator(app: &Worker, request: &HttpRequest) -> Result<(), Error> {
    let caller = app.shared.identities.identify(arrival::credential(request)).await?;
    if caller.admin {
        Ok(())
    } else {
        Err(Error::new(Kind::Forbidden, "This needs an administrator's key.")
            .coded("admin_required"))
    }
}

async fn read<T: serde::de::DeserializeOwned>(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Error> {
    administrator(app, request).await?;
    let body = arrival::body(request, payload, app.shared.body_limit_bytes).await?;
    serde_json::from_slice(&body).map_err(|why| {
        Error::new(Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}

fn reply(outcome: Result<Value, Error>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0),
    }
}

fn account_value(account: &Account) -> Value {
    json!({
        "id": account.id.as_str(),
        "object": "account",
        "name": account.name,
        "plan": account.plan,
        "created": account.created.seconds(),
        "suspended": account.suspended.is_some(),
    })
}

fn key_value(key: &Key) -> Value {
    json!({
        "id": key.id.as_str(),
        "object": "api_key",
        "account": key.account.as_str(),
        "name": key.name,
        "hint": key.hint,
        "created": key.created.seconds(),
        "revoked": key.revoked.map(Timestamp::seconds),
    })
}

/// `POST /v1/admin/accounts`
pub async fn create_account(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let making = async {
        let new: NewAccount = read(&app, &request, payload).await?;
        if new.name.trim().is_empty() || new.name.len() > 200 {
            return Err(Error::new(Kind::Malformed, "A name has 1 to 200 characters.").at("name"));
        }
        let plan = new.plan.as_deref().unwrap_or("free");
        let plan = app.shared.plans.get(plan).ok_or_else(|| {
            let plan: String = plan.chars().take(40).collect();
            Error::new(Kind::Malformed, format!("There is no plan '{plan}'.")).at("plan")
        })?;
        keys::create_account(&app.shared.store, &new.name, &plan.name, app.shared.clock.now())
            .await
            .map_err(error_of)
    };
    reply(making.await.map(|account| account_value(&account)))
}

/// `GET /v1/admin/accounts`
pub async fn list_accounts(app: Worker, request: HttpRequest) -> HttpResponse {
    let listing = async {
        administrator(&app, &request).await?;
        app.shared.store.accounts().await.map_err(Error::internal)
    };
    reply(listing.await.map(
        |all| json!({"object": "list", "data": all.iter().map(account_value).collect::<Vec<_>>()}),
    ))
}

/// `POST /v1/admin/keys`. The key is in this answer and nowhere else.
pub async fn create_key(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let making = async {
        let new: NewKey = read(&app, &request, payload).await?;
        let name = new.name.as_deref().unwrap_or("default");
        let issued = keys::issue(&app.shared.store, &new.account, name, app.shared.clock.now())
            .await
            .map_err(error_of)?;
        app.shared.identities.forget();
        Ok(issued)
    };
    reply(making.await.map(|issued| {
        let mut value = key_value(&issued.key);
        if let Some(value) = value.as_object_mut() {
            value.insert("key".to_owned(), Value::from(issued.secret.expose_secret()));
        }
        value
    }))
}

/// `GET /v1/admin/keys`
pub async fn list_keys(app: Worker, request: HttpRequest) -> HttpResponse {
    let listing = async {
        administrator(&app, &request).await?;
        app.shared.store.keys(None).await.map_err(Error::internal)
    };
    reply(listing.await.map(
        |all| json!({"object": "list", "data": all.iter().map(key_value).collect::<Vec<_>>()}),
    ))
}

/// `DELETE /v1/admin/keys/{id}`
pub async fn revoke_key(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let revoking = async {
        administrator(&app, &request).await?;
        keys::revoke(&app.shared.store, &id, app.shared.clock.now()).await.map_err(error_of)?;
        app.shared.identities.forget();
        Ok(json!({"id": *id, "object": "api_key", "deleted": true}))
    };
    reply(revoking.await)
}
