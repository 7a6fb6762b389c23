//! Accounts and their members.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::super::Worker;
use super::act::{act, act_on};
use crate::administration::AccountChange;
use crate::admit::PlanEntry;
use crate::base::Error;
use crate::base::told::{Deleted, List};
use crate::store::{Account, Member};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewAccount {
    name: String,
    plan: Option<String>,
    #[serde(default)]
    limits: PlanEntry,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewMember {
    email: String,
    #[schemars(extend("enum" = ["owner", "member", "billing", "admin"]))]
    #[serde(default = "member")]
    role: String,
    /// Without one they cannot sign in, unless somebody signs in with the address already.
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
}

fn member() -> String {
    "member".to_owned()
}

/// An account as administrators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminAccount")]
pub(in crate::http) struct ShownAccount {
    id: String,
    object: &'static str,
    name: String,
    plan: String,
    /// What it has in the place of its plan's.
    limits: Option<PlanEntry>,
    /// In seconds since the epoch.
    created: i64,
    suspended: bool,
}

fn shown(account: &Account) -> ShownAccount {
    ShownAccount {
        id: account.id.as_str().to_owned(),
        object: "account",
        name: account.name.clone(),
        plan: account.plan.clone(),
        limits: account.limits.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        created: account.created.seconds(),
        suspended: account.suspended.is_some(),
    }
}

/// A member as administrators see them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminMember")]
pub(in crate::http) struct ShownMember {
    id: String,
    object: &'static str,
    email: String,
    role: String,
    signs_in: bool,
    /// In seconds since the epoch.
    created: i64,
}

fn shown_member(member: &Member) -> ShownMember {
    ShownMember {
        id: member.id.clone(),
        object: "member",
        email: member.email.clone(),
        role: member.role.clone(),
        signs_in: member.person.is_some(),
        created: member.created.seconds(),
    }
}

/// `POST /v1/admin/accounts`
pub async fn create(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewAccount| {
        let plan = new.plan.as_deref().unwrap_or("free");
        administration
            .open_account(&new.name, plan, &new.limits)
            .await
            .map(|account| shown(&account))
    })
    .await
}

/// `GET /v1/admin/accounts`
pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        let all = administration.store.accounts().await.map_err(Error::internal)?;
        Ok(List::of(all.iter().map(shown).collect()))
    })
    .await
}

/// `GET /v1/admin/accounts/{id}`
pub async fn get(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        administration.account(&id).await.map(|account| shown(&account))
    })
    .await
}

/// `PATCH /v1/admin/accounts/{id}`
pub async fn change(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, change: AccountChange| {
        administration.change_account(&id, &change).await.map(|account| shown(&account))
    })
    .await
}

/// `DELETE /v1/admin/accounts/{id}`: for good, with all that its users keep
pub async fn erase(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let erased = administration.erase_account(&id).await?;
        Ok(Deleted::new("account", erased.as_str()))
    })
    .await
}

async fn access(app: &Worker, request: &HttpRequest, id: &str, suspended: bool) -> HttpResponse {
    let change = AccountChange { suspended: Some(suspended), ..AccountChange::default() };
    act(app, request, async |administration| {
        administration.change_account(id, &change).await.map(|account| shown(&account))
    })
    .await
}

/// `POST /v1/admin/accounts/{id}/suspend`
pub async fn suspend(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    access(&app, &request, &id, true).await
}

/// `POST /v1/admin/accounts/{id}/resume`
pub async fn resume(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    access(&app, &request, &id, false).await
}

/// `GET /v1/admin/accounts/{id}/members`
pub async fn members(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let account = administration.account(&id).await?;
        let all = administration.store.members(account.id).await.map_err(Error::internal)?;
        Ok(List::of(all.iter().map(shown_member).collect()))
    })
    .await
}

/// `POST /v1/admin/accounts/{id}/members`
pub async fn add_member(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewMember| {
        let password = match new.password {
            Some(password) => Some(app.shared.authentication.passwords.hash(password).await?),
            None => None,
        };
        let added = administration.add_member(&id, &new.email, &new.role, password).await;
        added.map(|member| shown_member(&member))
    })
    .await
}

/// `DELETE /v1/admin/accounts/{id}/members/{member}`
pub async fn remove_member(
    app: Worker,
    request: HttpRequest,
    at: Path<(String, String)>,
) -> HttpResponse {
    act(&app, &request, async |administration| {
        administration.remove_member(&at.0, &at.1).await?;
        Ok(Deleted::new("member", at.1.as_str()))
    })
    .await
}

/// `DELETE /v1/admin/accounts/{id}/members/{member}/totp`: for whoever has lost their second factor
pub async fn reset_factor(
    app: Worker,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> HttpResponse {
    act(&app, &request, async |administration| {
        let (id, member) = path.into_inner();
        administration.reset_factor(&id, &member).await?;
        Ok(Deleted::new("member", member))
    })
    .await
}
