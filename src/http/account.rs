//! `/v1/account`: the account that somebody is in, its members, and who is invited to it.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::me::{BODY_BYTES, answer, answer_person};
use super::{Worker, arrival, origin};
use crate::base::Error;
use crate::reports::standing;
use crate::store::Token;
use crate::stored::{person, team};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    role: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewInvitation {
    email: String,
    #[serde(default = "member")]
    role: String,
}

fn member() -> String {
    "member".to_owned()
}

fn list(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data, "next": null})
}

/// An invitation with its link, which is in this answer and in the mail, and nowhere else.
fn with_link(
    app: &Worker,
    request: &HttpRequest,
    (invitation, secret): (Token, Option<String>),
) -> Result<Value, Error> {
    let mut value = team::shown_invitation(&invitation)?;
    let home = origin::home(app, request);
    value["link"] = Value::from(secret.map(|secret| format!("{home}/invite/{secret}")));
    value["mailed"] = Value::from(app.shared.authentication.mail.is_some());
    Ok(value)
}

/// `GET /v1/account`
pub async fn account(app: Worker, request: HttpRequest) -> HttpResponse {
    answer(&app, &request, async |caller| standing::account(&app, &caller).await).await
}

/// `PATCH /v1/account`
pub async fn rename(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |caller, _| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        person::rename_account(&app, &caller, &said.name).await?;
        standing::account(&app, &caller).await
    })
    .await
}

/// `DELETE /v1/account`: for good, by its name
pub async fn delete(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        team::delete_account(&app, &caller, &signed_in, &said.name).await?;
        Ok(json!({"id": caller.account.as_str(), "object": "account", "deleted": true}))
    })
    .await
}

/// `GET /v1/account/members`
pub async fn members(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |caller, _| {
        let all = team::members(&app, &caller).await?;
        Ok(list(all.iter().map(team::shown).collect()))
    })
    .await
}

/// `PATCH /v1/account/members/{id}`: another role
pub async fn change_member(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        let said: Role = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        team::change_role(&app, &caller, &signed_in, &id, &said.role).await?;
        Ok(json!({"id": *id, "object": "member", "role": said.role}))
    })
    .await
}

/// `DELETE /v1/account/members/{id}`
pub async fn remove_member(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        team::remove(&app, &caller, &signed_in, &id).await?;
        Ok(json!({"id": *id, "object": "member", "deleted": true}))
    })
    .await
}

/// `GET /v1/account/invitations`
pub async fn invitations(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_person(&app, &request, async |caller, _| {
        let all = team::invitations(&app, &caller).await?;
        let all: Vec<Value> = all.iter().map(team::shown_invitation).collect::<Result<_, _>>()?;
        Ok(list(all))
    })
    .await
}

/// `POST /v1/account/invitations`: once under an `Idempotency-Key`
pub async fn invite(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        let said: NewInvitation = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let (whom, name) =
            ((said.email.as_str(), said.role.as_str()), arrival::idempotency(&request));
        let made = team::invite_once(&app, &caller, &signed_in, whom, name).await?;
        with_link(&app, &request, made)
    })
    .await
}

/// `POST /v1/account/invitations/{id}/resend`: another link; the one before ends
pub async fn invite_again(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        let (invitation, secret) = team::invite_again(&app, &caller, &signed_in, &id).await?;
        with_link(&app, &request, (invitation, Some(secret)))
    })
    .await
}

/// `DELETE /v1/account/invitations/{id}`
pub async fn withdraw(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_person(&app, &request, async |caller, _| {
        team::withdraw(&app, &caller, &id).await?;
        Ok(json!({"id": *id, "object": "invitation", "deleted": true}))
    })
    .await
}
