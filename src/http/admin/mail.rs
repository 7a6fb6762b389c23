//! The outbox: what is to be sent, what was, and what could not be.

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Worker;
use super::act::{act, act_on};
use crate::base::told::List;
use crate::base::{Error, calendar};
use crate::store::Mailed;

/// The query of the outbox's list.
#[derive(Deserialize)]
pub(in crate::http) struct MailQuery {
    state: Option<String>,
    before: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TestMail")]
pub(in crate::http) struct Test {
    to: String,
}

/// A mail of the outbox.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Mail")]
pub(in crate::http) struct ShownMail {
    id: String,
    object: &'static str,
    kind: String,
    account: Option<String>,
    to: String,
    /// `waiting`, `sent` or `dead`.
    state: String,
    tries: i64,
    created: String,
    due: String,
    last_error: Option<String>,
}

/// A mail that is tried again.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct RetriedMail {
    id: String,
    object: &'static str,
    state: &'static str,
}

/// A test that the mail server took.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct TestedMail {
    to: String,
    sent: bool,
}

fn shown(mail: &Mailed) -> ShownMail {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ShownMail {
        id: mail.id.as_str().to_owned(),
        object: "mail",
        kind: mail.kind.clone(),
        account: said(&mail.account),
        to: mail.target.clone(),
        state: mail.state.clone(),
        tries: mail.tries,
        created: calendar::written(mail.created),
        due: calendar::written(mail.due),
        last_error: said(&mail.last_error),
    }
}

/// `GET /v1/admin/outbox`, newest first; `?state=waiting`, `sent` or `dead`
pub async fn outbox(app: Worker, request: HttpRequest, page: Query<MailQuery>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let limit = page.limit.unwrap_or(100).clamp(1, 1_000);
        let all = administration.store.mail(page.state.clone(), page.before.clone(), limit).await;
        Ok(List::of(all.map_err(Error::internal)?.iter().map(shown).collect()))
    })
    .await
}

/// `POST /v1/admin/outbox/{id}/retry`
pub async fn retry(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        administration.retry_mail(&id).await?;
        Ok(RetriedMail { id: id.into_inner(), object: "mail", state: "waiting" })
    })
    .await
}

/// `POST /v1/admin/mail/test`: sent while the caller waits, so that they see what the server says
pub async fn test(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, said: Test| {
        administration.test_mail(&said.to).await?;
        Ok(TestedMail { to: said.to, sent: true })
    })
    .await
}
