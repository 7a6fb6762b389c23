//! `/console/memory`: what is remembered of a person.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use serde_json::Value;

use super::call::Call;
use super::figures::{as_json, list, minute, text, whole};
use super::parts::{field, notice, summary};
use super::path::encoded;
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::Feature;
use crate::base::clock::Timestamp;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;
use crate::memory::{self, MemoryQuery, NewMemory};

/// What is typed before all is forgotten: the user whom the account names, or one's own address.
fn typed<'a>(who: &'a Who, named: Option<&'a str>) -> &'a str {
    named.unwrap_or(&who.session.email)
}

/// Whose memories the page is about: one's own, or those of a user whom the account names.
async fn whose<'a>(visit: &Visit, who: &'a Who, said: Option<&'a str>) -> Result<&'a str, Error> {
    memory::whose(&visit.app.shared.identities, &who.caller, said).await
}

async fn page(visit: &Visit, who: &Who, error: Option<&Error>) -> Result<Sheet, Error> {
    let form = &visit.query;
    let done = match form.text("done") {
        "kept" => Some("It is remembered."),
        "forgotten" => Some("It is forgotten, for good."),
        _ => None,
    };
    let named = form.given("user");
    let user = whose(visit, who, named).await?;
    let app = &visit.app;
    let told = match form.given("search") {
        Some(query) => {
            let asked =
                MemoryQuery { query: query.to_owned(), limit: Some(50), ..MemoryQuery::default() };
            as_json(&app.memory().search(&who.caller, user, &asked).await?)?
        }
        None => as_json(&app.memory().listed(&who.caller, user, form.given("after"), None).await?)?,
    };
    let graph = match app.memory().graph(&who.caller, user).await {
        Err(why) if why.kind == Kind::NotFound => Value::Null,
        graph => as_json(&graph?)?,
    };
    let on = who.caller.features.has(Feature::Memory);
    let hidden_user =
        html! { @if let Some(named) = named { input type="hidden" name="user" value=(named); } };
    let body = html! {
        div class="head" {
            h1 { "Memory" }
            form method="get" action="/console/memory" class="buttons" role="search" {
                (hidden_user)
                label for="search" class="dim" { "Search" }
                input id="search" name="search" maxlength="200" size="18" value=(form.text("search"));
                button { "Find" }
            }
        }
        @if !on { p class="alert warn" { "Memory is off for you: nothing is learned from what you say, and nothing is added to what you ask. " a href="/console/features" { "Turn it on" } } }
        (notice(done))
        (summary(error))
        @if list(&told, "data").is_empty() {
            p class="card empty" { "Nothing is remembered. Facts that you state in conversations would stand here, and what your programs store." }
        } @else {
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Tags" } th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Forget" } } }
                    tbody {
                        @for one in list(&told, "data") {
                            tr {
                                th scope="row" { (text(one, "text")) }
                                td data-name="Tags" { (list(one, "tags").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")) }
                                td data-name="Since" { (minute(Timestamp(whole(one, "created_at").saturating_mul(1000)))) }
                                td data-name="Until" { @match one["expires_at"].as_i64() { Some(at) => (minute(Timestamp(at.saturating_mul(1000)))), None => "for good" } }
                                td data-name="Forget" {
                                    form method="post" action=(format!("/console/memory/{}/forget", encoded(text(one, "id")))) {
                                        (visit.hidden()) (hidden_user)
                                        button class="quiet danger" { "Forget" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(next) = told.get("next").and_then(Value::as_str) {
            p class="buttons" { a class="button" href=(format!("/console/memory?after={next}&user={}", encoded(user))) { "More" } }
        }
        @if !list(&graph, "relations").is_empty() {
            h2 { "People and things" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Whom" } } }
                    tbody { @for one in list(&graph, "relations").iter().take(100) { tr { th scope="row" { (text(one, "subject")) } td data-name="What" { (text(one, "relation").replace('_', " ")) } td data-name="Whom" { (text(one, "object")) } } } }
                }
            }
        }
        div class="two" {
            form method="post" action="/console/memory" class="card" {
                (visit.hidden()) (hidden_user)
                h2 { "Remember something" }
                (field("text", "What", html! { textarea id="text" name="text" required maxlength="4000" {} }, None))
                (field("tags", "Tags", html! { input id="tags" name="tags" maxlength="200"; }, Some("With commas between them.")))
                button class="primary" { "Remember" }
            }
            form method="post" action="/console/memory/forget" class="card" {
                (visit.hidden()) (hidden_user)
                h2 { "Forget everything" }
                (field("name", &format!("Type {} to go on", typed(who, named)), html! { input id="name" name="name" required autocomplete="off" maxlength="200"; }, None))
                button class="danger" { "Forget everything" }
            }
        }
    };
    let sheet =
        Sheet::new("Memory", body).by_api(Call::get(format!("/v1/memory/{}", encoded(user))));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

fn back(form: &super::form::Form, done: &str) -> Answer {
    let user = form.given("user").map(|user| format!("&user={}", encoded(user)));
    go(format!("/console/memory?done={done}{}", user.unwrap_or_default()))
}

/// `GET /console/memory`
pub async fn memories(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| Ok(page(visit, who, None).await?.into())).await
}

/// `POST /console/memory`
pub async fn remember(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let user = whose(visit, who, form.given("user")).await?;
        let tags = form.text("tags").split(',').map(str::trim).filter(|tag| !tag.is_empty());
        let new = NewMemory {
            text: form.text("text").to_owned(),
            tags: tags.map(str::to_owned).collect(),
            ..NewMemory::default()
        };
        match visit.app.memory().store(&who.caller, user, vec![new]).await {
            Ok(_) => Ok(back(form, "kept")),
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, who, Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /console/memory/{id}/forget`
pub async fn forget_one(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let user = whose(visit, who, form.given("user")).await?;
        visit.app.memory().forget(&who.caller, user, Some(&id)).await?;
        Ok(back(form, "forgotten"))
    })
    .await
}

/// `POST /console/memory/forget`
pub async fn forget(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let user = whose(visit, who, form.given("user")).await?;
        let name = typed(who, form.given("user"));
        if form.text("name") != name {
            let text = format!("What you typed is not '{name}'.");
            let error = Error::new(Kind::Malformed, text).at("name");
            return Ok(page(visit, who, Some(&error)).await?.into());
        }
        visit.app.memory().forget(&who.caller, user, None).await?;
        Ok(back(form, "forgotten"))
    })
    .await
}
