//! `/admin/accounts`: finding one.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::super::call::Call;
use super::super::figures::minute;
use super::super::form::Form;
use super::super::parts::{choice, field, notice, summary};
use super::super::path::encoded;
use super::super::serve::{show_admin, take_admin};
use super::super::sheet::{Answer, Sheet, go};
use super::super::visit::Visit;
use crate::admit::PlanEntry;
use crate::base::{Blame, Error};
use crate::http::Worker;

/// So many are on a page.
const PAGE: i64 = 50;

/// The names of plans, to choose from.
#[must_use]
pub fn plan_names(visit: &Visit) -> Vec<String> {
    visit.app.shared.plans.all().iter().map(|plan| plan.name.clone()).collect()
}

async fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Result<Sheet, Error> {
    let search = form.given("search").unwrap_or_default();
    let after = form.given("after").unwrap_or_default();
    let store = &visit.app.shared.store;
    let found = store.find_accounts(search.to_owned(), after.to_owned(), PAGE).await;
    let found = found.map_err(Error::internal)?;
    let full = i64::try_from(found.len()).unwrap_or(0) == PAGE;
    let plans = plan_names(visit);
    let plans: Vec<(&str, &str)> =
        plans.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let done = form.has("done", "erased").then_some("The account was erased.");
    let body = html! {
        div class="head" {
            h1 { "Accounts" }
            form method="get" action="/admin/accounts" class="buttons" role="search" {
                label for="search" class="dim" { "Search" }
                input id="search" name="search" maxlength="100" size="22" value=(search) placeholder="name, e-mail, key hint";
                button { "Find" }
            }
        }
        (notice(done))
        (summary(error))
        @if found.is_empty() {
            p class="card empty" { @if search.is_empty() { "No account yet." } @else { "No account is like that." } }
        } @else {
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Account" } th scope="col" { "Plan" } th scope="col" { "Since" } th scope="col" { "State" } } }
                    tbody {
                        @for one in &found {
                            tr {
                                th scope="row" { a href=(format!("/admin/accounts/{}", one.id)) { (one.name) } }
                                td data-name="Plan" { (one.plan) }
                                td data-name="Since" { (minute(one.created)) }
                                td data-name="State" {
                                    @match one.suspended {
                                        Some(at) => span class="tag bad" { "suspended " (minute(at)) },
                                        None => span class="tag good" { "good" },
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(last) = found.last().filter(|_| full) {
            p class="buttons" { a class="button" href=(format!("/admin/accounts?search={}&after={}", encoded(search), last.id)) { "More" } }
        }
        section class="card narrow" {
            h2 { "Open an account" }
            form method="post" action="/admin/accounts" {
                (visit.hidden())
                (field("name", "Name", html! { input id="name" name="name" required maxlength="200" value=(form.text("name")); }, None))
                (field("plan", "Plan", choice("plan", &plans, form.given("plan").unwrap_or("free")), None))
                button class="primary" { "Open" }
            }
        }
    };
    let sheet = Sheet::new("Accounts", body).by_api(Call::get("/v1/admin/accounts"));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /admin/accounts`
pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| Ok(page(visit, &visit.query, None).await?.into()))
        .await
}

/// `POST /admin/accounts`
pub async fn open(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_admin(app, request, &body, async |visit, who, form| {
        let administration = visit.app.administration(who.caller.key.clone());
        let (name, plan) = (form.text("name"), form.text("plan"));
        match administration.open_account(name, plan, &PlanEntry::default()).await {
            Ok(account) => Ok(go(format!("/admin/accounts/{}?done=opened", account.id))),
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
