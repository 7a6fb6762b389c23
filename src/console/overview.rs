//! `/console`: how the account stands, on one page.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::Value;

use super::call::Call;
use super::chart::{Bar, bars};
use super::figures::{self, as_json, count, lasting, list, money, short, text, usd, whole};
use super::requests::{key_names, rows};
use super::samples;
use super::serve::show_member;
use super::sheet::{Answer, Sheet};
use super::visit::{Visit, Who};
use crate::admit::Scope;
use crate::base::Error;
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::catalogue::lifecycle;
use crate::http::Worker;
use crate::ledger::report::GroupBy;
use crate::reports::requests::{self, Search};
use crate::reports::usage::{self, Query, Waits};

const DAY_MS: i64 = 86_400_000;

/// A meter, from nothing to all of it.
#[must_use]
pub fn meter(part: i64, all: i64) -> Markup {
    let share = if all > 0 { part.clamp(0, all) * 100 / all } else { 0 };
    html! {
        svg class=(if share >= 90 { "meter high" } else { "meter" }) viewBox="0 0 100 4"
            preserveAspectRatio="none" role="img" aria-label=(format!("{share} percent used")) {
            rect width=(share) height="4" {}
        }
    }
}

fn credits(report: &Value) -> Markup {
    let (used, left) = (whole(report, "credits_used"), report.get("credits_remaining"));
    html! {
        dt { "Credits this month" }
        dd {
            @match (left.and_then(Value::as_i64), report.get("credits_total").and_then(Value::as_i64)) {
                (Some(left), Some(total)) => {
                    (count(left))
                    p class="note" { "left of " (count(total)) ", " (count(used)) " used" }
                    (meter(used, total))
                }
                _ => { (count(used)) p class="note" { "used, of as many as it takes" } }
            }
        }
    }
}

fn waiting(visit: &Visit) -> Markup {
    html! {
        section class="card" data-first {
            h2 { "Three steps to a first answer" }
            ol class="steps" {
                li { "Take your key, or " a href="/console/keys/new" { "create one" } "." }
                li { "Run this, with your key in the place of " code { "$KEY" } ":" }
            }
            (samples::tabs("start", &visit.home, "$KEY", "auto"))
            p { "Or ask in the " a href="/console/playground" { "playground" } "." }
            p class="dim busy" role="status" { "Waiting for your first request." noscript { " Load the page again to see it." } }
        }
    }
}

/// The days of a chart, with what was spent on them.
fn by_day(report: &Value, from: Timestamp, days: i64) -> Vec<Bar> {
    let data = list(report, "data");
    (0..days)
        .map(|day| {
            let name = calendar::written_day(Timestamp(from.0 + day * DAY_MS));
            let found = data.iter().find(|row| text(row, "day") == name);
            Bar { parts: vec![found.map_or(0, |row| money(row).1.0)], name }
        })
        .collect()
}

/// A model that was asked in those days and ends soon: the one that ends first.
struct Ending {
    model: String,
    day: String,
    instead: Option<String>,
    requests: i64,
}

/// What these days are asked for, as far as it is in the store: the page waits for nothing.
fn query(from: Timestamp, end: Timestamp, group: GroupBy) -> Query {
    Query {
        start: Some(from),
        end: Some(end),
        group: Some(group),
        waits: Waits::ForNothing,
        ..Query::default()
    }
}

async fn ending(
    visit: &Visit,
    who: &Who,
    from: Timestamp,
    end: Timestamp,
) -> Result<Option<Ending>, Error> {
    let query = query(from, end, GroupBy::Model);
    let report = as_json(&usage::usage(&visit.app, &who.caller, query).await?.told)?;
    let (live, now) = (visit.app.live(), visit.app.shared.clock.now());
    let all = list(&report, "data").iter().filter_map(|row| {
        let model = live.catalogue.model(text(row, "model"))?;
        let ends = lifecycle::ends_soon(model, now)?;
        let ending = Ending {
            model: model.id.to_string(),
            day: calendar::written_day(ends),
            instead: model.replacement.as_deref().map(str::to_owned),
            requests: whole(row, "requests"),
        };
        Some((ends, ending))
    });
    Ok(all.min_by_key(|(ends, _)| *ends).map(|(_, ending)| ending))
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let app = &visit.app;
    let caller = &who.caller;
    caller.must_be_for(Scope::Usage)?;
    let now = app.shared.clock.now();
    let today = Timestamp(now.0 - now.0.rem_euclid(DAY_MS));
    let from = today.before(Duration::from_secs(29 * 86_400));
    let end = today.after(Duration::from_secs(86_400));
    let query = query(from, end, GroupBy::Day);
    let report = as_json(&usage::usage(app, caller, query).await?.told)?;
    let found =
        requests::list(app, caller, &Search { limit: Some(8), ..Search::default() }).await?;
    let names = key_names(visit, who).await?;
    let ending = ending(visit, who, from, end).await?;
    let sums = report.get("usage").cloned().unwrap_or_default();
    let asked = whole(&sums, "requests") + whole(&sums, "failed_requests");
    let saved = figures::dollars(&sums, "saved_usd").filter(|saved| saved.0 > 0);
    let left = report.get("credits_remaining").and_then(Value::as_i64);
    let (word, amount) = money(&sums);
    let body = html! {
        div class="head" {
            h1 { "Overview" }
            p class="dim" { "Plan " strong { (caller.plan.name) } " · last 30 days" }
        }
        @if left == Some(0) {
            p class="alert bad" role="status" { strong { "The credits of this month are used up. " } "Requests are refused until " (text(&report, "billing_period_end").get(..10).unwrap_or_default()) ". Ask your administrator for more." }
        }
        @else if let Some(Ending { model, day, instead, requests }) = &ending {
            p class="alert warn" role="status" {
                strong { (model) " ends on " (day) ". " }
                (count(*requests)) " requests of the last 30 days were answered by it."
                @if let Some(instead) = instead { " Ask " (instead) " in its place: it answers from then on." }
                @else { " Nothing answers in its place." }
            }
        } @else if !who.session.verified && visit.app.shared.authentication.mail.is_some() {
            p class="alert warn" role="status" { "Your address is not confirmed. " a href="/console/settings" { "Have a link mailed to it" } "." }
        }
        dl class="tiles" {
            div class="tile" { (credits(&report)) }
            div class="tile" {
                dt { (word) }
                dd { (usd(amount)) }
                @if let Some(saved) = saved {
                    dd class="note" { "saved " (usd(saved)) " against " (text(&sums, "saved_against")) }
                }
            }
            div class="tile" {
                dt { "Requests" }
                dd { (count(whole(&sums, "requests"))) }
                dd class="note" { (count(whole(&sums, "failed_requests"))) " failed" }
            }
            div class="tile" {
                dt { "Tokens" }
                dd { (short(whole(&sums, "total_tokens"))) }
                dd class="note" { (lasting(whole(&sums, "average_latency_ms"))) " on average" }
            }
        }
        // Not for who may ask nothing.
        @if asked == 0 && found.heads.is_empty() && who.caller.must_be_for(Scope::Chat).is_ok() {
            (waiting(visit))
        } @else {
            section class="card" {
                h2 { (word) " by day" }
                (bars(&format!("{word} by day, of the last 30 days"), &[], &by_day(&report, from, 30), |n| usd(crate::base::money::Nanos(n))))
                p class="small" { a href="/console/usage" { "All of it, with a table" } }
            }
            section {
                h2 { "Last requests" }
                (rows(&found.heads, &names))
                p class="small" { a href="/console/requests" { "All requests" } }
            }
        }
    };
    let sheet = Sheet::new("Overview", body).by_api(
        Call::get("/v1/usage")
            .with("start", Some(calendar::written_day(from)))
            .with("end", Some(calendar::written_day(end)))
            .with("group_by", Some("day")),
    );
    Ok(sheet.by_api(Call::get("/v1/requests").with("limit", Some("8"))).into())
}

/// `GET /console`
pub async fn overview(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}

/// `GET /console/first`: 204 until the account has a request
pub async fn first(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        let search = Search { limit: Some(1), ..Search::default() };
        let found = requests::list(&visit.app, &who.caller, &search).await?;
        let mut response =
            if found.heads.is_empty() { HttpResponse::NoContent() } else { HttpResponse::Ok() };
        Ok(Answer::Bare(response.finish()))
    })
    .await
}
