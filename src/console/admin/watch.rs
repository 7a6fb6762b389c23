//! `/admin/providers`, `/admin/nodes`, `/admin/audit`: how it runs, and who did what.

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::Value;

use super::super::call::Call;
use super::super::figures::{as_json, count, lasting, list, minute, text, whole};
use super::super::serve::show_admin;
use super::super::sheet::Sheet;
use crate::base::Error;
use crate::base::clock::Timestamp;
use crate::http::Worker;
use crate::reports::status;

/// So many entries of the log are on a page.
const PAGE: i64 = 50;

#[expect(clippy::cast_possible_truncation, reason = "shown as whole milliseconds")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1e3) as i64
}

/// A state in a word and a colour.
#[must_use]
pub fn state(word: &str) -> Markup {
    let class = match word {
        "up" | "ok" | "healthy" => "tag good",
        "down" => "tag bad",
        "not configured" => "tag",
        _ => "tag warn",
    };
    html! { span class=(class) { (word) } }
}

/// `GET /admin/providers`
pub async fn providers(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| {
        let told = as_json(&status::admin_status(&visit.app).await)?;
        let share = |one: &Value| one.get("error_rate").and_then(Value::as_f64).unwrap_or(0.0);
        let wait = |one: &Value| one.get("latency_seconds").and_then(Value::as_f64);
        let body = html! {
            div class="head" { h1 { "Providers" } p class="dim" { "as this node sees them" } }
            @if list(&told, "providers").is_empty() {
                p class="card empty" { "No provider is configured. Set a provider's key, such as OPENAI_API_KEY, and start anew." }
            } @else {
                div class="scroll" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Provider" } th scope="col" { "Health" } th scope="col" class="n" { "Models" } th scope="col" class="n" { "First byte" } th scope="col" class="n" { "Failing" } } }
                        tbody {
                            @for one in list(&told, "providers") {
                                tr {
                                    th scope="row" { (text(one, "name")) @if text(one, "name") != text(one, "id") { " " code class="dim" { (text(one, "id")) } } }
                                    td data-name="Health" { (state(text(one, "health"))) }
                                    td data-name="Models" class="n" { (count(whole(one, "deployments"))) }
                                    td data-name="First byte" class="n" {
                                        @match wait(one) {
                                            Some(seconds) => (lasting(milliseconds(seconds))),
                                            None => "not asked lately",
                                        }
                                    }
                                    td data-name="Failing" class="n" { (format!("{:.0} %", share(one) * 100.0)) }
                                }
                            }
                        }
                    }
                }
            }
        };
        Ok(Sheet::new("Providers", body).by_api(Call::get("/v1/admin/status")).into())
    })
    .await
}

/// `GET /admin/nodes`
pub async fn nodes(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| {
        let told = as_json(&status::admin_status(&visit.app).await)?;
        let at = |one: &Value, name: &str| minute(Timestamp(whole(one, name).saturating_mul(1000)));
        let body = html! {
            h1 { "Nodes" }
            p class="lede" { "Processes that share this store, as far as they were heard of in the last half minute." }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Address" } th scope="col" { "Version" } th scope="col" { "Since" } th scope="col" { "Last seen" } } }
                    tbody {
                        @for one in list(&told, "nodes") {
                            tr {
                                th scope="row" class="mono" { (text(one, "address")) }
                                td data-name="Version" { (text(one, "version")) }
                                td data-name="Since" { (at(one, "started_at")) }
                                td data-name="Last seen" { (at(one, "seen_at")) }
                            }
                        }
                    }
                }
            }
        };
        Ok(Sheet::new("Nodes", body).by_api(Call::get("/v1/admin/status")).into())
    })
    .await
}

/// `GET /admin/audit`
pub async fn audit(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| {
        let before = visit.query.given("before").map(str::to_owned);
        let all = visit.app.shared.store.audits(before.clone(), PAGE).await;
        let all = all.map_err(Error::internal)?;
        let full = i64::try_from(all.len()).unwrap_or(0) == PAGE;
        let body = html! {
            h1 { "Audit" }
            @if all.is_empty() {
                p class="card empty" { "Nothing was done yet. What administrators and owners change stands here." }
            } @else {
                div class="scroll" {
                    table class="cards" {
                        thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Of what" } th scope="col" { "By" } th scope="col" { "How" } } }
                        tbody {
                            @for one in &all {
                                tr {
                                    th scope="row" { (minute(one.at)) }
                                    td data-name="What" { (one.action) }
                                    td data-name="Of what" class="mono small" { (one.target) }
                                    td data-name="By" class="mono small" { (one.actor) }
                                    td data-name="How" class="mono small" { code { (one.detail) } }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(last) = all.last().filter(|_| full) {
                p class="buttons" { a class="button" href=(format!("/admin/audit?before={}", last.id)) { "Further back" } }
            }
        };
        let call = Call::get("/v1/admin/audit").with("before", before).with("limit", Some(PAGE.to_string()));
        Ok(Sheet::new("Audit", body).by_api(call).into())
    })
    .await
}
