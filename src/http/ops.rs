//! For the machines that watch us.

use actix_web::HttpResponse;
use serde_json::json;

use super::Worker;

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// It can do its work: what it delivers can be written down, and the store answers.
pub async fn ready(app: Worker) -> HttpResponse {
    if !app.shared.journal.is_able() {
        let status = "what is delivered cannot be written down: is a disk full?";
        return HttpResponse::ServiceUnavailable().json(json!({"status": status}));
    }
    match app.shared.store.ping().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(why) => {
            tracing::warn!(%why, "not ready");
            HttpResponse::ServiceUnavailable().json(json!({"status": "the store does not answer"}))
        }
    }
}

pub async fn metrics(app: Worker) -> HttpResponse {
    let shared = &app.shared;
    let counted_together = shared.redis.as_ref().is_none_or(crate::cluster::Shared::is_up);
    shared.metrics.quota_shared.set(i64::from(counted_together));
    shared.metrics.journal_backlog.set(i64::try_from(shared.journal.backlog()).unwrap_or(i64::MAX));
    match shared.metrics.render() {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text),
        Err(why) => {
            tracing::error!(%why, "metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
