//! What `auto` has learned, and taking it back.

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Worker;
use super::act::act;
use crate::reports;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Whose {
    account: Option<String>,
    model: Option<String>,
}

/// What was forgotten of corrections.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Forgotten {
    object: &'static str,
    deleted: bool,
    rows: u64,
    account: Option<String>,
    model: Option<String>,
}

/// `GET /v1/admin/corrections`
pub async fn list(app: Worker, request: HttpRequest, whose: Query<Whose>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let account = match &whose.account {
            Some(account) => Some(administration.id_of(account).await?),
            None => None,
        };
        reports::corrections::corrections(&app, account.as_ref(), whose.model.as_deref()).await
    })
    .await
}

/// `DELETE /v1/admin/corrections`: of one account or of all, of one model or of all
pub async fn forget(app: Worker, request: HttpRequest, whose: Query<Whose>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let (account, model) = (whose.account.as_deref(), whose.model.as_deref());
        // First what waits, which would be written down behind it.
        if let Some(findings) = &app.shared.routing.learned.findings {
            findings.forget();
        }
        let forgotten = administration.forget_findings(account, model).await?;
        app.shared.routing.learned.corrections.forget_all();
        Ok(Forgotten {
            object: "corrections",
            deleted: true,
            rows: forgotten,
            account: account.map(str::to_owned),
            model: model.map(str::to_owned),
        })
    })
    .await
}
