//! For the machines that watch us.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde_json::json;
use tokio::time::Instant;

use crate::gateway::Shared;
use crate::telemetry::metrics::COST_SERIES;
use crate::telemetry::process::Process;

/// What all workers share is all that is asked here.
type Node = web::Data<Shared>;

/// The process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// This node is to be sent requests. It answers at once, and says nothing of what all nodes share: a
/// store that is away is away for each of them, and callers that are known are served meanwhile. Its
/// own disk is another matter.
pub async fn ready(shared: Node) -> HttpResponse {
    if shared.node.draining.load(Ordering::Relaxed) {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    if !shared.books.journal.is_able() {
        let status = "what is delivered cannot be written down: is a disk full?";
        return HttpResponse::ServiceUnavailable().json(json!({"status": status}));
    }
    let store = if shared.node.store_is_up.load(Ordering::Relaxed) { "up" } else { "down" };
    HttpResponse::Ok().json(json!({"status": "ready", "store": store}))
}

/// For those who run it, on a listener of their own.
pub async fn metrics(shared: Node) -> HttpResponse {
    told(&shared, true)
}

/// On the listener that callers use: without what providers charge, where callers are not to know it.
pub async fn metrics_beside_callers(shared: Node) -> HttpResponse {
    told(&shared, shared.plans.selling().show_cost)
}

fn told(shared: &Shared, costs: bool) -> HttpResponse {
    let metrics = &shared.metrics;
    let counted_together =
        shared.books.redis.as_ref().is_none_or(crate::quota::SharedCounters::is_up);
    metrics.quota_shared.set(i64::from(counted_together));
    metrics.journal_backlog.set(i64::try_from(shared.books.journal.backlog()).unwrap_or(i64::MAX));
    let waiting = shared.books.redis.as_ref().map_or(0, crate::quota::SharedCounters::waiting);
    let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
    metrics.queue_length.with_label_values(&["redis"]).set(waiting);
    metrics.journal_lag.set(shared.books.journal.lag().as_secs_f64());
    metrics.see_process(Process::read(), shared.node.started);
    breakers(shared);
    match metrics.render() {
        Ok(text) => {
            let text = if costs { text } else { without_costs(text) };
            HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text)
        }
        Err(why) => {
            tracing::error!(%why, "metrics cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn without_costs(text: Vec<u8>) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let cost = |line: &&[u8]| memchr::memmem::find(line, COST_SERIES.as_bytes()).is_none();
    lines.filter(cost).flatten().copied().collect()
}

/// Whether each deployment that has been asked would be asked now.
fn breakers(shared: &Shared) {
    let (live, now) = (shared.routing.current.load(), Instant::now());
    let mut places = HashMap::new();
    for model in live.catalogue.models() {
        for place in &model.deployments {
            places.insert((&*place.provider.id, &*model.label), place.id);
        }
    }
    // One that is in the catalogue no longer has no state.
    shared.metrics.passing.reset();
    for (provider, model) in shared.metrics.asked_deployments() {
        if let Some(id) = places.get(&(&*provider, &*model)) {
            let passing = i64::from(shared.routing.health.is_passing(*id, now));
            shared.metrics.passing.with_label_values(&[&provider, &model]).set(passing);
        }
    }
}
