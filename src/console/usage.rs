//! `/console/usage`: what was used and what it cost, as a chart, a table and a file.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::Value;

use super::call::Call;
use super::chart::{Bar, bars};
use super::figures::{
    as_json, count, dollars, lasting, list, moment, money, nanos, short, text, usd, whole,
};
use super::parts::{choice, field};
use super::path::encoded;
use super::requests::key_names;
use super::serve::show_member;
use super::sheet::{Answer, Sheet};
use super::visit::{Visit, Who};
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::base::{Error, Kind, calendar};
use crate::catalogue::Mode;
use crate::http::{Worker, quoted};
use crate::ledger::report::GroupBy;
use crate::reports::usage::{self, Query, Waits};

const DAY_MS: i64 = 86_400_000;
/// The most bars of a chart.
const MOST_BARS: i64 = 366;
const GROUPS: [(&str, &str); 6] = [
    ("model", "model"),
    ("key", "key"),
    ("provider", "provider"),
    ("tier", "tier"),
    ("day", "day"),
    ("hour", "hour"),
];

/// What is asked for, as the address says it.
struct Report {
    start: Timestamp,
    /// Without it.
    end: Timestamp,
    group: GroupBy,
    baseline: Option<String>,
}

fn read(visit: &Visit) -> Result<Report, Error> {
    let form = &visit.query;
    let day = |name: &'static str| {
        let wrong = || Error::new(Kind::Malformed, "That is no date.").at(name);
        form.given(name).map(|text| calendar::read(text).ok_or_else(wrong)).transpose()
    };
    let now = visit.app.shared.clock.now();
    let today = Timestamp(now.0 - now.0.rem_euclid(DAY_MS));
    let last = day("end")?.unwrap_or(today);
    let start = day("start")?.unwrap_or(last.before(Duration::from_secs(29 * 86_400)));
    if last < start {
        return Err(Error::new(Kind::Malformed, "The end is before the start.").at("end"));
    }
    Ok(Report {
        start,
        end: last.after(Duration::from_secs(86_400)),
        group: form.given("group_by").and_then(GroupBy::named).unwrap_or(GroupBy::Model),
        baseline: form.given("baseline").map(str::to_owned),
    })
}

impl Report {
    fn query(&self, group: GroupBy, waits: Waits) -> Query {
        Query {
            start: Some(self.start),
            end: Some(self.end),
            group: Some(group),
            baseline: self.baseline.clone(),
            waits,
            ..Query::default()
        }
    }

    fn call(&self) -> Call {
        Call::get("/v1/usage")
            .with("start", Some(calendar::written_day(self.start)))
            .with("end", Some(calendar::written_day(self.end)))
            .with("group_by", Some(self.group.as_str()))
            .with("baseline", self.baseline.clone())
    }

    fn address(&self) -> String {
        let last = Timestamp(self.end.0 - DAY_MS);
        let baseline = self.baseline.as_ref().map(|name| format!("&baseline={}", encoded(name)));
        format!(
            "start={}&end={}&group_by={}{}",
            calendar::written_day(self.start),
            calendar::written_day(last),
            self.group.as_str(),
            baseline.unwrap_or_default()
        )
    }
}

fn by_day(report: &Value) -> String {
    format!("{} by day", money(&report["usage"]).0)
}

fn chart(report: &Value, asked: &Report) -> Markup {
    let data = list(report, "data");
    let days = ((asked.end.0 - asked.start.0) / DAY_MS).clamp(1, MOST_BARS);
    let all: Vec<Bar> = (0..days)
        .map(|day| {
            let name = calendar::written_day(Timestamp(asked.start.0 + day * DAY_MS));
            let found = data.iter().find(|row| text(row, "day") == name);
            Bar { parts: vec![found.map_or(0, |row| money(row).1.0)], name }
        })
        .collect();
    bars(&by_day(report), &[], &all, |n| usd(Nanos(n)))
}

fn table(report: &Value, asked: &Report, keys: &HashMap<String, String>) -> Markup {
    let by = asked.group.as_str();
    let sums = report.get("usage").cloned().unwrap_or_default();
    let cells = |row: &Value| {
        let (read, cached) = (whole(row, "input_tokens"), whole(row, "cached_tokens"));
        html! {
            td data-name="Requests" class="n" { (count(whole(row, "requests"))) }
            td data-name="Failed" class="n" { (count(whole(row, "failed_requests"))) }
            td data-name="Tokens" class="n" { (short(whole(row, "total_tokens"))) }
            td data-name="Cached" class="n" { @if read > 0 { (cached.saturating_mul(100) / read) " %" } @else { "–" } }
            td data-name="Credits" class="n" { (count(whole(row, "credits"))) }
            @let (word, amount) = money(row);
            td data-name=(word) class="n" { (usd(amount)) }
            td data-name="Saved" class="n" { (dollars(row, "saved_usd").map_or_else(|| "–".to_owned(), usd)) }
            td data-name="Mean" class="n" { (lasting(whole(row, "average_latency_ms"))) }
        }
    };
    let name = |row: &Value| {
        let name = text(row, by);
        match (by, name) {
            ("key", id) => keys.get(id).cloned().unwrap_or_else(|| format!("signed in ({id})")),
            (_, "") => "nobody answered".to_owned(),
            (_, name) => name.to_owned(),
        }
    };
    let mut rows: Vec<&Value> = list(report, "data").iter().collect();
    if !matches!(asked.group, GroupBy::Day | GroupBy::Hour) {
        rows.sort_by_key(|row| -money(row).1.0);
    }
    html! {
        div class="scroll" {
            table class="cards" {
                thead {
                    tr {
                        th scope="col" { (GROUPS.iter().find(|(id, _)| *id == by).map_or(by, |(_, name)| name)) }
                        @for name in ["Requests", "Failed", "Tokens", "Cached", "Credits", money(&sums).0, "Saved", "Mean"] {
                            th scope="col" class="n" { (name) }
                        }
                    }
                }
                tbody { @for row in rows.iter().take(500) { tr { th scope="row" { (name(row)) } (cells(row)) } } }
                tfoot { tr { th scope="row" { "Total" } (cells(&sums)) } }
            }
        }
    }
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let asked = read(visit)?;
    let app = &visit.app;
    if visit.query.has("format", "csv") {
        let report =
            usage::usage(app, &who.caller, asked.query(asked.group, Waits::ForAll)).await?;
        let lines = report.rows.iter().map(|row| {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            cells.join(",") + "\r\n"
        });
        let file =
            format!("attachment; filename=\"usage-{}.csv\"", calendar::written_day(asked.start));
        return Ok(Answer::Bare(
            HttpResponse::Ok()
                .content_type("text/csv; charset=utf-8")
                .insert_header(("content-disposition", file))
                .body(lines.collect::<String>()),
        ));
    }
    let query = |group| asked.query(group, Waits::ForNothing);
    let report = as_json(&usage::usage(app, &who.caller, query(asked.group)).await?.told)?;
    let days = match asked.group {
        GroupBy::Day => report.clone(),
        _ => as_json(&usage::usage(app, &who.caller, query(GroupBy::Day)).await?.told)?,
    };
    let names = key_names(visit, who).await?;
    let sums = report.get("usage").cloned().unwrap_or_default();
    let against = text(&sums, "saved_against");
    let (word, amount) = money(&sums);
    let price = Some(nanos(&sums, "list_nano_usd")).filter(|price| *price != amount);
    let live = app.live();
    let mut models: Vec<&str> = live
        .catalogue
        .models()
        .iter()
        .filter(|model| model.mode == Mode::Chat && !model.deployments.is_empty())
        .map(|model| &*model.id)
        .collect();
    models.sort_unstable();
    let baselines: Vec<(&str, &str)> = std::iter::once(("", "the usual one"))
        .chain(models.into_iter().map(|id| (id, id)))
        .collect();
    let last = calendar::written_day(Timestamp(asked.end.0 - DAY_MS));
    let body = html! {
        div class="head" {
            h1 { "Usage" }
            a class="button" href=(format!("/console/usage?{}&format=csv", asked.address())) { "CSV" }
        }
        form method="get" action="/console/usage" class="card filters" {
            (field("start", "From", html! { input id="start" name="start" type="date" value=(calendar::written_day(asked.start)); }, None))
            (field("end", "To", html! { input id="end" name="end" type="date" value=(last); }, None))
            (field("group_by", "Group by", choice("group_by", &GROUPS, asked.group.as_str()), None))
            (field("baseline", "Compare to", choice("baseline", &baselines, asked.baseline.as_deref().unwrap_or_default()), None))
            div class="field" { button class="primary" { "Show" } }
        }
        dl class="tiles" {
            div class="tile" { dt { (word) } dd { (usd(amount)) } @if let Some(price) = price { dd class="note" { "sold for " (usd(price)) } } }
            div class="tile" { dt { "Saved" } dd { (dollars(&sums, "saved_usd").map_or_else(|| "–".to_owned(), usd)) } @if !against.is_empty() { dd class="note" { "against " (against) @if let (Some(low), Some(high)) = (dollars(&sums, "saved_usd_low"), dollars(&sums, "saved_usd_high")) { ", likely " (usd(low)) " to " (usd(high)) } } } }
            div class="tile" { dt { "Requests" } dd { (count(whole(&sums, "requests"))) } dd class="note" { (count(whole(&sums, "failed_requests"))) " failed" } }
            div class="tile" { dt { "Credits" } dd { (count(whole(&sums, "credits"))) } }
        }
        section class="card" { h2 { (by_day(&report)) } (chart(&days, &asked)) }
        @if list(&report, "data").is_empty() {
            p class="card empty" { "Nothing was used in this range. " a href="/console/usage" { "The last 30 days" } }
        } @else {
            (table(&report, &asked, &names))
        }
        p class="dim small" { "As of " (moment(app.shared.clock.now())) "; the last second may not be in it yet." }
    };
    Ok(Sheet::new("Usage", body).by_api(asked.call()).into())
}

/// `GET /console/usage`, `?format=csv` for a file
pub async fn usage(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}
