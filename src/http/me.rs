//! `/v1/me` and `/v1/limits`: who asks, what they change of themselves, what they are signed in with, and
//! what is left to them.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::signin::Status;
use super::{Worker, arrival, origin, respond, signin, visit};
use crate::admit::{AddressChange, Caller};
use crate::base::told::{Deleted, DeletedSome, Page};
use crate::base::{Error, Kind, calendar};
use crate::reports::standing;
use crate::store::{EndedSignIns, SignedIn};
use crate::stored::person;
use crate::wire::vocab::Dialect;

/// Nobody's password or name is longer.
pub(super) const BODY_BYTES: usize = 16 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProofOfSelf")]
pub(in crate::http) struct Proof {
    #[schemars(with = "String")]
    password: SecretString,
    otp: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Proof")]
pub(in crate::http) struct Password {
    #[schemars(with = "String")]
    password: SecretString,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Passwords {
    #[schemars(with = "String")]
    old: SecretString,
    #[schemars(with = "String")]
    new: SecretString,
    otp: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FactorCode")]
pub(in crate::http) struct Code {
    code: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FullProof {
    #[schemars(with = "String")]
    password: SecretString,
    otp: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PersonName")]
pub(in crate::http) struct Name {
    #[schemars(length(max = 200))]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewAddress")]
pub(in crate::http) struct Address {
    email: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LinkToken")]
pub(in crate::http) struct Token {
    token: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AccountChoice")]
pub(in crate::http) struct Account {
    account: String,
}

/// Until when what cannot be undone may be done.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Proved {
    until: String,
}

/// A second factor that is to be confirmed.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct FactorDraft {
    secret: String,
    otpauth_url: String,
}

/// A second factor that is on; its recovery codes are shown once.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct FactorOn {
    totp: bool,
    recovery_codes: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct FactorOff {
    totp: bool,
}

/// Answers whoever asks, with a status.
async fn answer_with<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>) -> Result<(StatusCode, A), Error>,
) -> HttpResponse {
    let asking = async { work(arrival::identified(app, request).await?).await };
    match asking.await {
        Ok((status, told)) => {
            HttpResponse::build(status).insert_header(("cache-control", "no-store")).json(told)
        }
        Err(error) => respond::refused(&visit::id(request), Dialect::OpenAiChat, &error, 0),
    }
}

/// Answers whoever asks.
pub(super) async fn answer<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>) -> Result<A, Error>,
) -> HttpResponse {
    let work = async |caller| Ok((StatusCode::OK, work(caller).await?));
    answer_with(app, request, work).await
}

/// Answers a person who is signed in.
pub(super) async fn answer_person<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>, SignedIn) -> Result<A, Error>,
) -> HttpResponse {
    answer(app, request, async |caller| {
        let signed_in =
            person::signed_in(&app.shared.authentication, arrival::credential(request)).await?;
        work(caller, signed_in).await
    })
    .await
}

/// `GET /v1/me`
pub async fn me(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        person::me(&app.shared.authentication, &signed_in).await
    })
    .await
}

/// `PATCH /v1/me`: another name
pub async fn rename(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        app.shared.authentication.rename(&signed_in, &said.name).await?;
        person::me(&app.shared.authentication, &signed_in).await
    })
    .await
}

/// `DELETE /v1/me`: for good, in every account
pub async fn leave(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        app.shared.authentication.leave_for_good(&signed_in).await?;
        Ok(Deleted::new("person", signed_in.person))
    })
    .await
}

/// `POST /v1/me/email`: another address, once its link was followed; or a link for the one that they have
pub async fn move_to(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_with(&app, &request, async |_| {
        let signed_in =
            person::signed_in(&app.shared.authentication, arrival::credential(&request)).await?;
        let said: Address = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        Ok(match app.shared.authentication.change_email(&signed_in, &said.email).await? {
            AddressChange::Asked => (StatusCode::ACCEPTED, Status { status: "link_sent" }),
            AddressChange::Done => (StatusCode::OK, Status { status: "changed" }),
        })
    })
    .await
}

/// `POST /v1/me/email/confirm`: by the link that was mailed
pub async fn confirm_email(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let said: Token = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        let confirmed = desk.verify(&said.token, Some(&signed_in.person)).await;
        confirmed.map_err(|why| match why.kind {
            Kind::NotFound => {
                Error::new(Kind::Malformed, why.public).at("token").coded("token_invalid")
            }
            _ => why,
        })?;
        person::me(&app.shared.authentication, &signed_in).await
    })
    .await
}

/// `POST /v1/me/password`: all else that they are signed in with ends; a session
pub async fn password(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    answer_person(&app, &request, async |_, signed_in| {
        let said: Passwords = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let (desk, otp) = (&app.shared.authentication, said.otp.as_deref());
        let session =
            desk.change_password_and_sign_in(&signed_in, said.old, said.new, otp, &address).await?;
        Ok(signin::shown(&session))
    })
    .await
}

/// `POST /v1/me/prove`: until when what cannot be undone may be done
pub async fn prove(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    answer_person(&app, &request, async |_, signed_in| {
        let said: Proof = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let (desk, otp) = (&app.shared.authentication, said.otp.as_deref());
        let until = desk.prove(&signed_in, said.password, otp, &address).await?;
        Ok(Proved { until: calendar::written(until) })
    })
    .await
}

/// `POST /v1/me/account`: a session in another of one's accounts; the one here goes on
pub async fn switch(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let said: Account = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        Ok(signin::shown(&desk.sign_in_elsewhere(&signed_in, &said.account).await?))
    })
    .await
}

/// `GET /v1/me/sessions`
pub async fn sessions(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let all = app.shared.authentication.sessions_of(&signed_in).await?;
        Ok(Page::whole(all.iter().map(|one| person::shown(one, &signed_in)).collect()))
    })
    .await
}

/// `DELETE /v1/me/sessions`: all but the one that asks
pub async fn end_others(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let which = EndedSignIns::AllBut(signed_in.id.clone());
        let ended = app.shared.authentication.leave(&signed_in, which).await?;
        Ok(DeletedSome { object: "session", user_id: None, deleted: ended as u64 })
    })
    .await
}

/// `DELETE /v1/me/sessions/{id}`
pub async fn end(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let which = EndedSignIns::One(id.clone());
        if app.shared.authentication.leave(&signed_in, which).await? == 0 {
            let text = "There is no such session.";
            return Err(Error::new(Kind::NotFound, text).coded("session_not_found"));
        }
        Ok(Deleted::new("session", id.as_str()))
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
    answer_person(&app, &request, async |_, signed_in| {
        let said: Password = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let draft =
            person::draft_factor(&app.shared.authentication, &signed_in, said.password, &address)
                .await?;
        Ok(FactorDraft { secret: draft.secret.expose_secret().to_owned(), otpauth_url: draft.uri })
    })
    .await
}

/// `POST /v1/me/totp/confirm`: on, with the recovery codes, once
pub async fn confirm_factor(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |_, signed_in| {
        let said: Code = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        let codes = desk.confirm_factor(&signed_in.person, &said.code).await?;
        Ok(FactorOn { totp: true, recovery_codes: codes })
    })
    .await
}

/// `DELETE /v1/me/totp`: off, by password and code
pub async fn drop_factor(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let address = origin::address(&app, &request);
    answer_person(&app, &request, async |_, signed_in| {
        let said: FullProof = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let desk = &app.shared.authentication;
        desk.drop_factor(&signed_in, said.password, &said.otp, &address).await?;
        Ok(FactorOff { totp: false })
    })
    .await
}
