//! `/v1/me`, `/v1/account` and `/v1/limits`: who asks, for whom, and what is left to them.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Worker, arrival, origin, respond, visit};
use crate::admit::Caller;
use crate::base::Error;
use crate::reports::standing;
use crate::stored::person;
use crate::wire::vocab::Dialect;

/// Nobody's password or name is longer.
const BODY_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    password: SecretString,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullProof {
    password: SecretString,
    otp: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

async fn answer(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>) -> Result<Value, Error>,
) -> HttpResponse {
    let asking = async { work(arrival::identified(app, request).await?).await };
    match asking.await {
        Ok(value) => HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value),
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// `GET /v1/me`
pub async fn me(app: Worker, request: HttpRequest) -> HttpResponse {
    answer(&app, &request, async |caller| person::me(&app, &caller).await).await
}

/// `GET /v1/account`
pub async fn account(app: Worker, request: HttpRequest) -> HttpResponse {
    answer(&app, &request, async |caller| standing::account(&app, &caller).await).await
}

/// `PATCH /v1/account`
pub async fn rename(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, &request, async |caller| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        person::rename(&app, &caller, &said.name).await?;
        standing::account(&app, &caller).await
    })
    .await
}

/// `GET /v1/limits`
pub async fn limits(app: Worker, request: HttpRequest) -> HttpResponse {
    answer(&app, &request, async |caller| standing::limits(&app, &caller).await).await
}

/// `POST /v1/me/totp`: a secret, to be confirmed
pub async fn draft_factor(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    answer(&app, &request, async |caller| {
        let said: Proof = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let draft = person::draft_factor(&app, &caller, said.password, &address).await?;
        Ok(json!({"secret": draft.secret.expose_secret(), "otpauth_url": draft.uri}))
    })
    .await
}

/// `POST /v1/me/totp/confirm`: on, with the recovery codes, once
pub async fn confirm_factor(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer(&app, &request, async |caller| {
        let said: Code = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let member = person::member(&app, &caller).await?;
        let codes = app.shared.authentication.confirm_factor(&member.id, &said.code).await?;
        Ok(json!({"totp": true, "recovery_codes": codes}))
    })
    .await
}

/// `DELETE /v1/me/totp`: off, by password and code
pub async fn drop_factor(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    answer(&app, &request, async |caller| {
        let said: FullProof = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let member = person::member(&app, &caller).await?;
        let desk = &app.shared.authentication;
        desk.drop_factor(&member.email, &member.id, said.password, &said.otp, &address).await?;
        Ok(json!({"totp": false}))
    })
    .await
}
