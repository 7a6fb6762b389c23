//! `/console/models`: what can be asked, what it costs, and how it is.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::Value;

use super::call::Call;
use super::figures::{as_json, count, credits, dollars, list, short, text, usd, whole};
use super::parts::{choice, field};
use super::path::encoded;
use super::samples;
use super::serve::show_member;
use super::sheet::{Answer, Sheet};
use super::visit::{Visit, Who};
use crate::base::{Error, Kind, calendar};
use crate::catalogue::Tier;
use crate::catalogue::lifecycle;
use crate::http::Worker;
use crate::reports::status;

/// So many are on a page.
const PAGE: usize = 60;
const MODES: [(&str, &str); 5] = [
    ("", "any"),
    ("chat", "chat"),
    ("embedding", "embeddings"),
    ("image", "images"),
    ("realtime", "realtime"),
];

fn health(state: &str) -> Markup {
    let class = match state {
        "up" => "tag good",
        "down" => "tag bad",
        _ => "tag warn",
    };
    html! { span class=(class) { (state) } }
}

fn price(model: &Value, name: &str) -> String {
    let prices = model.get("usd_per_million_tokens").unwrap_or(&Value::Null);
    dollars(prices, name).map_or_else(|| "–".to_owned(), usd)
}

/// Nobody said what it costs: what is shown is a guess.
fn is_unpriced(model: &Value) -> bool {
    model["unpriced"] == Value::Bool(true)
}

/// When it ends, if that is known and near.
fn ends(visit: &Visit, id: &str) -> Option<(String, Option<String>)> {
    let live = visit.app.live();
    let model = live.catalogue.model(id)?;
    let ends = lifecycle::ends_soon(model, visit.app.shared.clock.now())?;
    let replacement = model.replacement.as_deref().map(str::to_owned);
    Some((calendar::written_day(ends), replacement))
}

fn finds(visit: &Visit, model: &Value) -> bool {
    let form = &visit.query;
    let is = |field: &str, name: &str| {
        form.given(field).is_none_or(|wanted| wanted == text(model, name))
    };
    let words = form.given("search").map(str::to_lowercase);
    let found = words.is_none_or(|words| {
        let names = [text(model, "id"), text(model, "owned_by")];
        let aliases = list(model, "aliases").iter().filter_map(Value::as_str);
        names.into_iter().chain(aliases).any(|name| name.to_lowercase().contains(&words))
    });
    is("tier", "tier") && is("mode", "mode") && found
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let told = as_json(&status::models(&visit.app, &who.caller))?;
    let mut all: Vec<&Value> = list(&told, "data").iter().filter(|one| finds(visit, one)).collect();
    let cost = |model: &Value| {
        let prices = model.get("usd_per_million_tokens").unwrap_or(&Value::Null);
        dollars(prices, "output").map_or(i64::MAX, |price| price.0)
    };
    match visit.query.text("sort") {
        "price" => all.sort_by_key(|one| cost(one)),
        "context" => all.sort_by_key(|one| -whole(one, "context_window")),
        _ => all.sort_by_key(|one| text(one, "id").to_owned()),
    }
    let start = visit.query.whole("from")?.and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let shown = all.get(start.min(all.len())..(start + PAGE).min(all.len())).unwrap_or_default();
    let form = &visit.query;
    let tiers = Tier::ALL.iter().map(|tier| (tier.as_str(), tier.as_str()));
    let tiers: Vec<(&str, &str)> = std::iter::once(("", "any")).chain(tiers).collect();
    let further: Vec<String> = ["search", "tier", "mode", "sort"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", encoded(form.given(name)?))))
        .chain([format!("from={}", start + PAGE)])
        .collect();
    let body = html! {
        div class="head" { h1 { "Models" } p class="dim" { (all.len()) " found, of those that your plan has" } }
        form method="get" action="/console/models" class="card filters" {
            (field("search", "Name or maker", html! { input id="search" name="search" value=(form.text("search")) maxlength="100"; }, None))
            (field("tier", "Tier", choice("tier", &tiers, form.text("tier")), None))
            (field("mode", "For", choice("mode", &MODES, form.text("mode")), None))
            (field("sort", "Sorted by", choice("sort", &[("", "name"), ("price", "price"), ("context", "context")], form.text("sort")), None))
            div class="field" { button class="primary" { "Show" } }
        }
        @if shown.is_empty() {
            p class="card empty" { "No model is like that. " a href="/console/models" { "All models" } }
        } @else {
            div class="scroll" {
                table class="cards" {
                    caption { "Prices in USD for a million tokens, as your account pays them, and credits for a request" }
                    thead {
                        tr {
                            th scope="col" { "Model" } th scope="col" { "Maker" } th scope="col" { "Tier" }
                            th scope="col" class="n" { "Context" } th scope="col" class="n" { "In" }
                            th scope="col" class="n" { "Out" } th scope="col" class="n" { "Cached" } th scope="col" class="n" { "Credits" } th scope="col" { "Health" }
                        }
                    }
                    tbody {
                        @for model in shown {
                            @let id = text(model, "id");
                            tr {
                                th scope="row" {
                                    a href=(format!("/console/models/{}", encoded(id))) { (id) }
                                    @if let Some((day, _)) = ends(visit, id) { " " span class="tag warn" { "ends " (day) } }
                                    @if is_unpriced(model) { " " span class="tag warn" { "no price" } }
                                }
                                td data-name="Maker" { (text(model, "owned_by")) }
                                td data-name="Tier" { (text(model, "tier")) }
                                td data-name="Context" class="n" { (short(whole(model, "context_window"))) }
                                td data-name="In" class="n" { (price(model, "input")) }
                                td data-name="Out" class="n" { (price(model, "output")) }
                                td data-name="Cached" class="n" { (price(model, "cache_read")) }
                                td data-name="Credits" class="n" { (count(whole(model, "credits_per_request"))) }
                                td data-name="Health" { (health(text(model, "health"))) }
                            }
                        }
                    }
                }
            }
        }
        @if start + PAGE < all.len() {
            p class="buttons" { a class="button" href=(format!("/console/models?{}", further.join("&"))) { "More" } }
        }
    };
    Ok(Sheet::new("Models", body).by_api(Call::get("/optima/v1/models")).into())
}

/// `GET /console/models`
pub async fn models(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}

fn named(model: &Value, name: &str) -> String {
    let all: Vec<&str> = list(model, name).iter().filter_map(Value::as_str).collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ").replace('_', " ") }
}

/// `GET /console/models/{id}`
pub async fn model(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        let told = as_json(&status::models(&visit.app, &who.caller))?;
        let live = visit.app.live();
        let real = live.catalogue.model(&id).map_or_else(|| id.to_string(), |model| model.id.to_string());
        let found = list(&told, "data").iter().find(|one| text(one, "id") == real);
        let model = found.ok_or_else(|| {
            Error::new(Kind::NotFound, "There is no such model, or it is not on your plan.")
        })?;
        let body = html! {
            div class="head" {
                div { h1 { (real) } p class="dim" { "by " (text(model, "owned_by")) ", " (text(model, "tier")) " tier " (health(text(model, "health"))) } }
                @if text(model, "mode") == "chat" {
                    a class="button primary" href=(format!("/console/playground?model={}", encoded(&real))) { "Try it" }
                }
            }
            @if let Some((day, replacement)) = ends(visit, &real) {
                p class="alert warn" { "It ends on " (day) @if let Some(other) = replacement { "; then " (other) " answers in its place" } "." }
            }
            @if is_unpriced(model) {
                p class="alert warn" { "Nobody has said what it costs: what is shown is what the dearest of its tier do, and what is booked. " @if who.caller.admin { "Give it a price in the configuration (" code { "[[models]]" } ") or in the catalogue." } @else { "Ask your administrator for its price." } }
            }
            dl class="tiles" {
                div class="tile" { dt { "In, a million tokens" } dd { (price(model, "input")) } }
                div class="tile" { dt { "Out, a million tokens" } dd { (price(model, "output")) } }
                div class="tile" { dt { "Cached, a million" } dd { (price(model, "cache_read")) } }
                div class="tile" { dt { "Context" } dd { (short(whole(model, "context_window"))) } dd class="note" { "writes at most " (short(whole(model, "max_output_tokens"))) } }
            }
            section class="card" {
                dl class="facts" {
                    dt { "A request takes" } dd { (credits(whole(model, "credits_per_request"))) }
                    dt { "Also called" } dd { (named(model, "aliases")) }
                    dt { "Takes" } dd { (named(model, "input_modalities")) }
                    dt { "Gives" } dd { (named(model, "output_modalities")) }
                    dt { "Can" } dd { (named(model, "capabilities")) }
                    dt { "Answered by" }
                    dd {
                        @for deployment in list(model, "deployments") {
                            (text(deployment, "provider")) " " (health(text(deployment, "health"))) " "
                        }
                    }
                }
                p { a href=(format!("/console/requests?model={}", encoded(&real))) { "Your requests to it" } }
            }
            (samples::tabs("sample", &visit.home, "$KEY", &real))
        };
        Ok(Sheet::new(real.clone(), body).by_api(Call::get(format!("/v1/models/{real}"))).into())
    })
    .await
}
