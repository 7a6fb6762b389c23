//! `/console/requests`: what was asked, newest first.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::call::Call;
use super::figures::{count, lasting, minute, moment, usd};
use super::form::Form;
use super::parts::{choice, field};
use super::path::encoded;
use super::serve::show_member;
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::Scope;
use crate::base::calendar;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::ledger::head::Head;
use crate::reports::requests::{self, Search};
use crate::stored::keys;

const OUTCOMES: [(&str, &str); 5] = [
    ("", "any"),
    ("complete", "complete"),
    ("failed", "failed"),
    ("left", "caller left"),
    ("withdrawn", "withdrawn"),
];

/// How a request ended, in words and a colour.
#[must_use]
pub fn outcome(status: &str) -> Markup {
    let (class, word) = match status {
        "complete" => ("tag good", "complete"),
        "failed" => ("tag bad", "failed"),
        "left" => ("tag warn", "caller left"),
        "withdrawn" => ("tag warn", "withdrawn"),
        other => ("tag", other),
    };
    html! { span class=(class) { (word) } }
}

/// Requests as a table. `keys` are names of keys, by their ids.
#[must_use]
pub fn rows(heads: &[Head], keys: &HashMap<String, String>) -> Markup {
    let costs = heads.iter().all(|head| head.cost_nano_usd.is_some());
    let money = if costs { "Cost" } else { "Price" };
    html! {
        div class="scroll" {
            table class="cards" {
                thead {
                    tr {
                        th scope="col" { "Time" } th scope="col" { "Model" } th scope="col" { "Key" }
                        th scope="col" class="n" { "Tokens" } th scope="col" class="n" { (money) }
                        th scope="col" class="n" { "Took" } th scope="col" { "Outcome" }
                    }
                }
                tbody {
                    @for head in heads {
                        tr {
                            th scope="row" {
                                a href=(format!("/console/requests/{}", encoded(&head.id))) {
                                    time datetime=(calendar::written(head.at_ms)) { (minute(head.at_ms)) }
                                }
                            }
                            td data-name="Model" {
                                span {
                                    (head.model_requested)
                                    @if !head.model.is_empty() && head.model != head.model_requested { " → " strong { (head.model) } }
                                }
                            }
                            td data-name="Key" { (keys.get(&head.api_key_id).map_or("signed in", String::as_str)) }
                            td data-name="Tokens" class="n" { (count(i64::try_from(head.total_tokens).unwrap_or(0))) }
                            td data-name=(money) class="n" { (usd(head.cost_nano_usd.unwrap_or(head.list_nano_usd))) }
                            td data-name="Took" class="n" { (lasting(i64::try_from(head.latency_ms).unwrap_or(0))) }
                            td data-name="Outcome" { (outcome(&head.status)) }
                        }
                    }
                }
            }
        }
    }
}

/// Names of the keys that a caller sees, by their ids. Whoever may not look after keys sees none.
///
/// # Errors
/// When the store fails.
pub async fn key_names(visit: &Visit, who: &Who) -> Result<HashMap<String, String>, Error> {
    if who.caller.must_be_for(Scope::Keys).is_err() {
        return Ok(HashMap::new());
    }
    let all = keys::list(visit.app.keys(), &who.caller).await?;
    Ok(all.into_iter().map(|one| (one.key.id.as_str().to_owned(), one.key.name)).collect())
}

fn time(form: &Form, name: &'static str) -> Result<Option<crate::base::clock::Timestamp>, Error> {
    let wrong = || Error::new(Kind::Malformed, "That is no date.").at(name);
    form.given(name).map(|text| calendar::read(text).ok_or_else(wrong)).transpose()
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let form = &visit.query;
    if let Some(id) = form.given("id") {
        return Ok(go(format!("/console/requests/{}", encoded(id))));
    }
    let owned = |name: &str| form.given(name).map(str::to_owned);
    let search = Search {
        start: time(form, "start")?,
        end: time(form, "end")?,
        key: owned("key"),
        model: owned("model"),
        provider: owned("provider"),
        status: owned("status"),
        after: owned("after"),
        limit: None,
    };
    let found = requests::list(&visit.app, &who.caller, &search).await?;
    let names = key_names(visit, who).await?;
    let filters = ["start", "end", "key", "model", "provider", "status"];
    let mut further: Vec<String> = filters
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", encoded(form.given(name)?))))
        .collect();
    further.extend(found.next.as_ref().map(|next| format!("after={next}")));
    let mut keys: Vec<(&str, &str)> =
        names.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    keys.sort_by_key(|(_, name)| *name);
    keys.insert(0, ("", "any"));
    let body = html! {
        div class="head" {
            h1 { "Requests" }
            form method="get" action="/console/requests" class="buttons" role="search" {
                label for="id" class="dim" { "Id" }
                input id="id" name="id" placeholder="req_…" maxlength="80" size="16";
                button { "Go" }
            }
        }
        form method="get" action="/console/requests" class="card filters" {
            (field("start", "From", html! { input id="start" name="start" type="date" value=(form.text("start")); }, None))
            (field("end", "To", html! { input id="end" name="end" type="date" value=(form.text("end")); }, None))
            (field("key", "Key", choice("key", &keys, form.text("key")), None))
            (field("model", "Model", html! { input id="model" name="model" value=(form.text("model")) maxlength="120"; }, None))
            (field("status", "Outcome", choice("status", &OUTCOMES, form.text("status")), None))
            div class="field" { button class="primary" { "Show" } }
        }
        @if found.heads.is_empty() {
            p class="card empty" {
                @if found.looked_back_to.0 > 0 { "Nothing found back to " (moment(found.looked_back_to)) "." }
                @else { "No request yet. What you and your programs ask shows up here, a second after it ended." }
            }
        } @else {
            (rows(&found.heads, &names))
        }
        @if found.next.is_some() {
            p class="buttons" {
                a class="button" href=(format!("/console/requests?{}", further.join("&"))) { "Look further" }
                span class="dim small" { "Looked back to " (moment(found.looked_back_to)) }
            }
        }
        p class="dim small" { "As of " (moment(visit.app.shared.clock.now())) "." }
    };
    let call = filters
        .into_iter()
        .fold(Call::get("/v1/requests"), |call, name| call.with(name, form.given(name)));
    Ok(Sheet::new("Requests", body).by_api(call).into())
}

/// `GET /console/requests`
pub async fn requests(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}
