//! For the machines that watch us.

use std::sync::atomic::Ordering;

use actix_web::HttpResponse;
use serde_json::json;

use super::Worker;

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// This node is to be sent requests. It answers at once, and says nothing of what all nodes share: a
/// store that is away is away for each of them, and callers that are known are served meanwhile. Its
/// own disk is another matter.
pub async fn ready(app: Worker) -> HttpResponse {
    if app.shared.draining.load(Ordering::Relaxed) {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    if !app.shared.journal.is_able() {
        let status = "what is delivered cannot be written down: is a disk full?";
        return HttpResponse::ServiceUnavailable().json(json!({"status": status}));
    }
    let store = if app.shared.store_is_up.load(Ordering::Relaxed) { "up" } else { "down" };
    HttpResponse::Ok().json(json!({"status": "ready", "store": store}))
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
