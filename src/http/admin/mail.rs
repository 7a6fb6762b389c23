//! The outbox: what is to be sent, what was, and what could not be.

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Worker;
use super::act::{act, act_on, list};
use crate::base::{Error, calendar};
use crate::store::Mailed;

#[derive(Deserialize)]
pub(super) struct Page {
    state: Option<String>,
    before: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    to: String,
}

fn shown(mail: &Mailed) -> Value {
    json!({
        "id": mail.id.as_str(),
        "object": "mail",
        "kind": mail.kind,
        "account": if mail.account.is_empty() { None } else { Some(&mail.account) },
        "to": mail.target,
        "state": mail.state,
        "tries": mail.tries,
        "created": calendar::written(mail.created),
        "due": calendar::written(mail.due),
        "last_error": if mail.last_error.is_empty() { None } else { Some(&mail.last_error) },
    })
}

/// `GET /v1/admin/outbox`, newest first; `?state=waiting`, `sent` or `dead`
pub async fn outbox(app: Worker, request: HttpRequest, page: Query<Page>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let limit = page.limit.unwrap_or(100).clamp(1, 1_000);
        let all = administration.store.mail(page.state.clone(), page.before.clone(), limit).await;
        Ok(list(all.map_err(Error::internal)?.iter().map(shown).collect()))
    })
    .await
}

/// `POST /v1/admin/outbox/{id}/retry`
pub async fn retry(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        administration.retry_mail(&id).await?;
        Ok(json!({"id": *id, "object": "mail", "state": "waiting"}))
    })
    .await
}

/// `POST /v1/admin/mail/test`: sent while the caller waits, so that they see what the server says
pub async fn test(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, said: Test| {
        administration.test_mail(&said.to).await?;
        Ok(json!({"to": said.to, "sent": true}))
    })
    .await
}
