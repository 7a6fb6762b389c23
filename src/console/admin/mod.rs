//! `/admin`: the gateway, for those who run it.

pub mod account;
pub mod accounts;
pub mod outbox;
pub mod plans;
pub mod refunds;
pub mod watch;

use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use serde_json::Value;

use super::call::Call;
use super::figures::{as_json, count, list, text, whole};
use super::serve::show_admin;
use super::sheet::Sheet;
use crate::http::Worker;
use crate::reports::status;
use watch::state;

/// The most models without a price that are named.
const MOST_UNPRICED: usize = 8;

/// How long, in the largest unit that says something.
fn uptime(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `GET /admin`
pub async fn overview(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| {
        let told = as_json(&status::admin_status(&visit.app).await)?;
        let nothing = Value::Null;
        let asked = told.get("requests").unwrap_or(&nothing);
        let needs = told.get("dependencies").unwrap_or(&nothing);
        let classes = asked.get("by_status").unwrap_or(&nothing);
        let shared = &visit.app.shared;
        let mut wanting = Vec::new();
        if shared.serving.public_url.is_none() {
            wanting.push("server.public_url is not set: links in invitations are made of what browsers say.");
        }
        if shared.authentication.mail.is_none() {
            wanting.push("No mail server is configured: people cannot set a forgotten password by themselves, and invitations go by hand.");
        }
        if shared.connections.vault.is_none() {
            wanting.push("There is no vault key: apps cannot be connected, and signing keys lie open in the store.");
        }
        if shared.books.redis.is_none() && list(&told, "nodes").len() > 1 {
            wanting.push("Several nodes and no Redis: each counts limits for itself.");
        }
        let live = visit.app.live();
        let unpriced: Vec<String> = live
            .catalogue
            .unpriced()
            .iter()
            .take(MOST_UNPRICED)
            .map(|(model, provider)| format!("{model} at {provider}"))
            .collect();
        let others = live.catalogue.unpriced().len() - unpriced.len();
        let body = html! {
            div class="head" { h1 { "Gateway" } p class="dim" { "version " (text(&told, "version")) ", up for " (uptime(whole(&told, "uptime_seconds"))) } }
            @if !wanting.is_empty() {
                div class="alert warn" { ul class="plain" { @for one in &wanting { li { (one) } } } }
            }
            @if !unpriced.is_empty() {
                p class="alert warn" { "Nobody has said what these cost: " (unpriced.join(", ")) @if others > 0 { " and " (others) " more" } ". Give them a price in the configuration or the catalogue." }
            }
            dl class="tiles" {
                div class="tile" { dt { "Requests, of this node" } dd { (count(whole(asked, "total"))) } dd class="note" { (count(whole(asked, "in_flight"))) " under way" } }
                div class="tile" { dt { "Failed" } dd { (count(whole(classes, "5xx"))) } dd class="note" { (count(whole(classes, "4xx"))) " refused" } }
                div class="tile" { dt { "Models" } dd { (count(whole(&told, "models"))) } dd class="note" { "catalogue revision " (whole(&told, "catalogue_revision")) } }
                div class="tile" { dt { "Nodes" } dd { (list(&told, "nodes").len()) } }
            }
            section class="card" {
                h2 { "What it needs" }
                dl class="facts" {
                    dt { "Store" } dd { (state(text(needs, "store"))) }
                    dt { "Redis" } dd { (state(text(needs, "redis"))) }
                    dt { "Providers" } dd { (state(text(needs, "providers"))) }
                    dt { "Journal" } dd { (count(needs.get("journal").map_or(0, |journal| whole(journal, "backlog")))) " lines on their way to the store" }
                    dt { "Sign-up" } dd { @match &shared.authentication.register { Some(plan) => { "open, on the plan " (plan) } None => "closed" } }
                }
            }
        };
        Ok(Sheet::new("Gateway", body).by_api(Call::get("/v1/admin/status")).into())
    })
    .await
}
