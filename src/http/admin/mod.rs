//! `/v1/admin/*`: for operators, with the administrator's key. Each handler reads, has the administration do
//! it, and shows what came of it.

pub(in crate::http) mod accounts;
mod act;
pub(in crate::http) mod corrections;
pub(in crate::http) mod keys;
pub(in crate::http) mod mail;
pub(in crate::http) mod money;
pub(in crate::http) mod revisions;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::Worker;
use crate::reports;
use act::{act, administrator};

/// The routes under a prefix.
pub fn routes(prefix: &str, config: &mut ServiceConfig) {
    let at = |path: &str| format!("{prefix}/admin{path}");
    config
        .route(&at("/accounts"), web::post().to(accounts::create))
        .route(&at("/accounts"), web::get().to(accounts::list))
        .route(&at("/accounts/{id}"), web::get().to(accounts::get))
        .route(&at("/accounts/{id}"), web::patch().to(accounts::change))
        .route(&at("/accounts/{id}"), web::delete().to(accounts::erase))
        .route(&at("/accounts/{id}/suspend"), web::post().to(accounts::suspend))
        .route(&at("/accounts/{id}/resume"), web::post().to(accounts::resume))
        .route(&at("/accounts/{id}/members"), web::get().to(accounts::members))
        .route(&at("/accounts/{id}/members"), web::post().to(accounts::add_member))
        .route(&at("/accounts/{id}/members/{member}"), web::delete().to(accounts::remove_member))
        .route(
            &at("/accounts/{id}/members/{member}/totp"),
            web::delete().to(accounts::reset_factor),
        )
        .route(&at("/accounts/{id}/credits"), web::get().to(money::grants))
        .route(&at("/accounts/{id}/credits"), web::post().to(money::grant))
        .route(&at("/refunds"), web::post().to(money::refund))
        .route(&at("/keys"), web::post().to(keys::create))
        .route(&at("/keys"), web::get().to(keys::list))
        .route(&at("/keys/{id}"), web::get().to(keys::get))
        .route(&at("/keys/{id}"), web::patch().to(keys::change))
        .route(&at("/keys/{id}"), web::delete().to(keys::revoke))
        .route(&at("/keys/{id}/rotate"), web::post().to(keys::rotate))
        .route(&at("/plans"), web::get().to(money::plans))
        .route(&at("/plans/{name}"), web::put().to(money::put_plan))
        .route(&at("/plans/{name}"), web::delete().to(money::drop_plan))
        .route(&at("/providers"), web::get().to(revisions::providers::list))
        .route(&at("/providers/{name}"), web::get().to(revisions::providers::get))
        .route(&at("/providers/{name}"), web::put().to(revisions::providers::put))
        .route(&at("/providers/{name}"), web::delete().to(revisions::providers::drop))
        .route(&at("/models"), web::get().to(revisions::models::list))
        .route(&at("/models/{name:.*}"), web::get().to(revisions::models::get))
        .route(&at("/models/{name:.*}"), web::put().to(revisions::models::put))
        .route(&at("/models/{name:.*}"), web::delete().to(revisions::models::drop))
        .route(&at("/routes"), web::get().to(revisions::routes::list))
        .route(&at("/routes/{name:.*}"), web::get().to(revisions::routes::get))
        .route(&at("/routes/{name:.*}"), web::put().to(revisions::routes::put))
        .route(&at("/routes/{name:.*}"), web::delete().to(revisions::routes::drop))
        .route(&at("/prices"), web::get().to(revisions::prices::list))
        .route(&at("/prices/{name:.*}"), web::get().to(revisions::prices::get))
        .route(&at("/prices/{name:.*}"), web::put().to(revisions::prices::put))
        .route(&at("/prices/{name:.*}"), web::delete().to(revisions::prices::drop))
        .route(&at("/revisions"), web::get().to(revisions::revisions))
        .route(&at("/revisions/{id}/restore"), web::post().to(revisions::restore))
        .route(&at("/corrections"), web::get().to(corrections::list))
        .route(&at("/corrections"), web::delete().to(corrections::forget))
        .route(&at("/audit"), web::get().to(money::audit))
        .route(&at("/outbox"), web::get().to(mail::outbox))
        .route(&at("/outbox/{id}/retry"), web::post().to(mail::retry))
        .route(&at("/mail/test"), web::post().to(mail::test))
        .route(&at("/ledger/verify"), web::get().to(money::verify))
        .route(&at("/status"), web::get().to(status))
        .route(&at("/health"), web::get().to(health));
}

/// `GET /v1/admin/status`
async fn status(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |_| Ok(reports::status::admin_status(&app).await)).await
}

/// `GET /v1/admin/health`: for probes too, which have no key, and learn no more than that it is up
async fn health(app: Worker, request: HttpRequest) -> HttpResponse {
    let (ready, mut told) = reports::status::admin_health(&app);
    if administrator(&app, &request).await.is_err() {
        told.dependencies = None;
    }
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(told)
}
