//! `/`, `/status`, `/docs`, and what is nowhere: for anybody.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::parts::snippet;
use super::samples;
use super::serve::show;
use super::sheet::Sheet;
use super::visit::Visit;
use crate::base::calendar;
use crate::base::{Error, Kind};
use crate::catalogue::lifecycle;
use crate::http::Worker;
use crate::reports::status;

fn word(visit: &Visit) -> (&'static str, &'static str) {
    let (ready, whole) = status::is_whole(&visit.app);
    match (ready, whole) {
        (true, true) => ("tag good", "up"),
        (true, false) => ("tag warn", "degraded"),
        (false, _) => ("tag bad", "stopping"),
    }
}

/// `GET /`
pub async fn landing(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        let open = visit.app.shared.authentication.register.is_some();
        let (class, state) = word(visit);
        let models = visit.app.live().catalogue.models().len();
        let body = html! {
            section class="hero" {
                p { a href="/status" class=(class) { "Status: " (state) } }
                h1 { "One endpoint in front of every model" }
                p class="lede" { "Keep your SDK and change the address. Say " code { "model: \"auto\"" } ", and each request goes to the cheapest model that will do, and to the next one when a provider fails." }
                p class="buttons" {
                    @if visit.who.is_some() {
                        a class="button primary" href="/console" { "To your console" }
                    } @else {
                        @if open { a class="button primary" href="/signup" { "Sign up" } }
                        a class="button" href="/signin" { "Sign in" }
                    }
                    a class="button" href="/docs" { "Docs" }
                }
                @if !open && visit.who.is_none() { p class="dim" { "Sign-up is closed. Ask your administrator for an invitation." } }
            }
            section class="card" {
                h2 { "The address" }
                (snippet("base", &format!("{}/v1", visit.home)))
                (samples::tabs("landing", &visit.home, "$KEY", "auto"))
            }
            dl class="tiles" {
                div class="tile" { dt { "Models" } dd { (models) } dd class="note" { "of every maker, under one name each" } }
                div class="tile" { dt { "SDKs" } dd { "OpenAI, Anthropic, Gemini" } dd class="note" { "as they are" } }
                div class="tile" { dt { "When a provider fails" } dd { "The next one answers" } dd class="note" { "before you notice" } }
                div class="tile" { dt { "What it cost" } dd { "To the request" } dd class="note" { "and why that model was chosen" } }
            }
        };
        Ok(Sheet::new("One endpoint in front of every model", body).into())
    })
    .await
}

fn makers(visit: &Visit) -> Markup {
    let live = visit.app.live();
    let mut makers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for model in live.catalogue.models() {
        let up = status::is_up(&visit.app, model);
        let sums = makers.entry(&model.owned_by).or_default();
        sums.0 += usize::from(up);
        sums.1 += 1;
    }
    html! {
        div class="scroll" {
            table class="cards" {
                caption { "Models that can be asked now" }
                thead { tr { th scope="col" { "Maker" } th scope="col" { "State" } th scope="col" class="n" { "Models" } } }
                tbody {
                    @for (maker, (up, all)) in &makers {
                        tr {
                            th scope="row" { (maker) }
                            td data-name="State" {
                                @if up == all { span class="tag good" { "up" } }
                                @else if *up == 0 { span class="tag bad" { "down" } }
                                @else { span class="tag warn" { "degraded" } }
                            }
                            td data-name="Models" class="n" { (up) " of " (all) }
                        }
                    }
                }
            }
        }
    }
}

/// `GET /status`
pub async fn state(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        let (class, state) = word(visit);
        let now = visit.app.shared.clock.now();
        let live = visit.app.live();
        let ending: Vec<(String, String, Option<String>)> = live
            .catalogue
            .models()
            .iter()
            .filter_map(|model| {
                let ends = lifecycle::ends_soon(model, now)?;
                let instead = model.replacement.as_deref().map(str::to_owned);
                Some((model.id.to_string(), calendar::written_day(ends), instead))
            })
            .collect();
        let body = html! {
            div class="head" { h1 { "Status" } p { span class=(class) { (state) } } }
            (makers(visit))
            @if !ending.is_empty() {
                h2 { "Ending within 30 days" }
                ul {
                    @for (id, day, instead) in &ending {
                        li { strong { (id) } " on " (day) @if let Some(other) = instead { ", then " (other) " answers in its place" } }
                    }
                }
            }
        };
        Ok(Sheet::new("Status", body).into())
    })
    .await
}

/// What is nowhere: a page for browsers, and for programs what they understand.
pub async fn nowhere(app: Worker, request: HttpRequest) -> HttpResponse {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let browser = accepts.is_some_and(|kinds| kinds.contains("text/html"));
    let program = ["/v1", "/api", "/optima", "/v1beta"];
    let called = program.iter().any(|start| request.path().starts_with(start));
    if request.method() != Method::GET || !browser || called {
        return crate::http::nowhere(request).await;
    }
    show(app, request, async |_| {
        Err(Error::new(Kind::NotFound, "There is no page at this address."))
    })
    .await
}

/// Where an older or another name of a page leads.
pub async fn leads_on(request: HttpRequest) -> HttpResponse {
    let to = match request.path() {
        "/login" => "/signin",
        "/register" => "/signup",
        "/settings/api-keys" | "/keys" => "/console/keys",
        "/playground" => "/console/playground",
        _ => "/console",
    };
    HttpResponse::MovedPermanently()
        .insert_header(("location", to))
        .insert_header(("cache-control", "public, max-age=3600"))
        .finish()
}
