//! `/v1/account`: the account that somebody is in, its members, and who is invited to it.

use std::sync::Arc;

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::me::{BODY_BYTES, answer, answer_person};
use super::{Worker, arrival, origin};
use crate::admit::Caller;
use crate::base::Error;
use crate::base::told::{Deleted, Page};
use crate::reports::standing;
use crate::store::Token;
use crate::stored::keeper::Keeper;
use crate::stored::{person, team};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AccountName")]
pub(in crate::http) struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRole")]
pub(in crate::http) struct Role {
    #[schemars(extend("enum" = ["owner", "member", "billing"]))]
    role: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewInvitation {
    email: String,
    #[schemars(extend("enum" = ["owner", "member", "billing"]))]
    #[serde(default = "member")]
    role: String,
}

fn member() -> String {
    "member".to_owned()
}

/// An invitation with its link, which is in this answer and in the mail, and nowhere else.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct LinkedInvitation {
    #[serde(flatten)]
    invitation: team::ShownInvitation,
    /// None, where it was told before.
    link: Option<String>,
    mailed: bool,
}

fn with_link(
    app: &Worker,
    request: &HttpRequest,
    (invitation, secret): (Token, Option<String>),
) -> Result<LinkedInvitation, Error> {
    let home = origin::home(app, request);
    Ok(LinkedInvitation {
        invitation: team::shown_invitation(&invitation)?,
        link: secret.map(|secret| format!("{home}/invite/{secret}")),
        mailed: app.shared.authentication.mail.is_some(),
    })
}

/// The role that a member has now.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct MemberRole {
    id: String,
    object: &'static str,
    role: String,
}

/// Answers whoever looks after an account.
async fn answer_keeper<A: Serialize>(
    app: &Worker,
    request: &HttpRequest,
    work: impl AsyncFnOnce(Arc<Caller>, Keeper) -> Result<A, Error>,
) -> HttpResponse {
    answer(app, request, async |caller| {
        let keeper =
            Keeper::of(&app.shared.authentication, &caller, arrival::credential(request)).await?;
        work(caller, keeper).await
    })
    .await
}

/// `GET /v1/account`
pub async fn account(app: Worker, request: HttpRequest) -> HttpResponse {
    answer(&app, &request, async |caller| standing::account(&app, &caller).await).await
}

/// `PATCH /v1/account`
pub async fn rename(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |caller, _| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        person::rename_account(&app.shared.authentication, &caller, &said.name).await?;
        standing::account(&app, &caller).await
    })
    .await
}

/// `DELETE /v1/account`: for good, by its name
pub async fn delete(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        let said: Name = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        team::delete_account(
            &app.administration(caller.key.clone()),
            &caller,
            &signed_in,
            &said.name,
        )
        .await?;
        Ok(Deleted::new("account", caller.account.as_str()))
    })
    .await
}

/// `GET /v1/account/members`
pub async fn members(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_keeper(&app, &request, async |caller, _| {
        let all = team::members(&app.shared.authentication, &caller).await?;
        Ok(Page::whole(all.iter().map(team::shown).collect()))
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
    answer_keeper(&app, &request, async |caller, keeper| {
        let said: Role = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        team::change_role(&app.shared.authentication, &caller, &keeper, &id, &said.role).await?;
        Ok(MemberRole { id: id.into_inner(), object: "member", role: said.role })
    })
    .await
}

/// `DELETE /v1/account/members/{id}`
pub async fn remove_member(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_person(&app, &request, async |caller, signed_in| {
        team::remove(&app.administration(caller.key.clone()), &caller, &signed_in, &id).await?;
        Ok(Deleted::new("member", id.as_str()))
    })
    .await
}

/// `GET /v1/account/invitations`
pub async fn invitations(app: Worker, request: HttpRequest) -> HttpResponse {
    answer_keeper(&app, &request, async |caller, _| {
        let all = team::invitations(&app.shared.authentication, &caller).await?;
        Ok(Page::whole(all.iter().map(team::shown_invitation).collect::<Result<_, _>>()?))
    })
    .await
}

/// `POST /v1/account/invitations`: once under an `Idempotency-Key`
pub async fn invite(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    answer_keeper(&app, &request, async |caller, keeper| {
        let said: NewInvitation = arrival::said(&app, &request, None, payload, BODY_BYTES).await?;
        let (whom, name) =
            ((said.email.as_str(), said.role.as_str()), arrival::idempotency(&request));
        let made =
            team::invite_once(&app.shared.authentication, &caller, &keeper, whom, name).await?;
        with_link(&app, &request, made)
    })
    .await
}

/// `POST /v1/account/invitations/{id}/resend`: another link; the one before ends
pub async fn invite_again(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_keeper(&app, &request, async |caller, keeper| {
        let (invitation, secret) =
            team::invite_again(&app.shared.authentication, &caller, &keeper, &id).await?;
        with_link(&app, &request, (invitation, Some(secret)))
    })
    .await
}

/// `DELETE /v1/account/invitations/{id}`
pub async fn withdraw(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer_keeper(&app, &request, async |caller, _| {
        team::withdraw(&app.shared.authentication, &caller, &id).await?;
        Ok(Deleted::new("invitation", id.as_str()))
    })
    .await
}
