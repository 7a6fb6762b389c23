//! `/admin/accounts/{id}`: one account, and what an administrator does to it.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use serde_json::Value;

use super::super::call::Call;
use super::super::figures::{as_json, count, minute, nanos, usd, whole};
use super::super::form::Form;
use super::super::parts::{choice, field, notice, snippet, summary};
use super::super::serve::{show_admin, take_admin};
use super::super::sheet::{Answer, Sheet, go};
use super::super::visit::{Visit, Who};
use super::accounts::plan_names;
use crate::administration::AccountChange;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::ledger::report::GroupBy;
use crate::reports::usage::{self, Query, Waits};

/// An account, or what was typed of it and why it was refused.
async fn page(
    visit: &Visit,
    who: &Who,
    id: &str,
    refused: Option<(&Form, &Error)>,
) -> Result<Sheet, Error> {
    let error = refused.map(|(_, error)| error);
    // What was typed in the form that was sent to this path.
    let typed = |part: &str, name: &str| {
        let (form, _) = refused.filter(|_| visit.path.ends_with(part))?;
        Some(form.text(name))
    };
    let administration = visit.app.administration(who.caller.key.clone());
    let account = administration.account(id).await?;
    let members =
        administration.store.members(account.id.clone()).await.map_err(Error::internal)?;
    let keys = administration.keys_of(Some(account.id.as_str())).await?;
    let grants = administration.store.grants(account.id.clone()).await.map_err(Error::internal)?;
    let query = Query {
        group: Some(GroupBy::Tier),
        account: Some(account.id.as_str().to_owned()),
        waits: Waits::ForNothing,
        ..Query::default()
    };
    let report = as_json(&usage::usage(&visit.app, &who.caller, query).await?.told)?;
    let sums = report.get("usage").cloned().unwrap_or_default();
    let left = report.get("credits_remaining").and_then(Value::as_i64);
    let plans = plan_names(visit);
    let plans: Vec<(&str, &str)> =
        plans.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let done = match visit.query.text("done") {
        "opened" => Some("The account is open. Invite its owner, or make it a key."),
        "plan" => Some("The account is on another plan."),
        "suspended" => Some("The account is suspended. Its keys let nobody in."),
        "resumed" => Some("The account is let in again."),
        "factor" => Some("The second factor is off."),
        "granted" => Some("The credits were booked."),
        _ => None,
    };
    let now = visit.app.shared.clock.now();
    let good = keys.iter().filter(|key| key.revoked.is_none_or(|at| now < at)).count();
    let body = html! {
        div class="head" {
            div { h1 { (account.name) } p class="dim mono small" { (account.id) } }
            form method="post" action=(format!("/admin/accounts/{}/access", account.id)) {
                (visit.hidden())
                @if account.suspended.is_some() { button name="suspended" value="no" class="primary" { "Let it in again" } }
                @else { button name="suspended" value="yes" class="danger" { "Suspend" } }
            }
        }
        (notice(done))
        (summary(error))
        @if let Some(at) = account.suspended { p class="alert bad" { "Suspended since " (minute(at)) "." } }
        dl class="tiles" {
            div class="tile" { dt { "Plan" } dd { (account.plan) } }
            div class="tile" { dt { "Credits left" } dd { (left.map_or_else(|| "unlimited".to_owned(), count)) } dd class="note" { (count(whole(&report, "credits_used"))) " used this month" } }
            div class="tile" { dt { "Cost this month" } dd { (usd(nanos(&sums, "cost_nano_usd"))) } }
            div class="tile" { dt { "Requests" } dd { (count(whole(&sums, "requests"))) } dd class="note" { (count(whole(&sums, "failed_requests"))) " failed" } }
        }
        div class="two" {
            form method="post" action=(format!("/admin/accounts/{}/plan", account.id)) class="card" {
                (visit.hidden())
                h2 { "Plan" }
                (field("plan", "Plan", choice("plan", &plans, &account.plan), None))
                button { "Change" }
            }
            form method="post" action=(format!("/admin/accounts/{}/credits", account.id)) class="card" {
                (visit.hidden())
                h2 { "Give or take credits" }
                div class="row" {
                    (field("credits", "Credits", html! { input id="credits" name="credits" required inputmode="numeric" maxlength="16" value=(typed("/credits", "credits").unwrap_or_default()); }, Some("Below nothing takes some back.")))
                    (field("reason", "Reason", html! { input id="reason" name="reason" required maxlength="200" value=(typed("/credits", "reason").unwrap_or_default()); }, None))
                }
                button { "Book" }
            }
        }
        h2 { "Members" }
        @if members.is_empty() { p class="card empty" { "Nobody signs in to it." } } @else {
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Member" } th scope="col" { "Role" } th scope="col" { "Since" } th scope="col" { "Password" } } }
                    tbody {
                        @for one in &members {
                            tr {
                                th scope="row" { (one.email) }
                                td data-name="Role" { (one.role) }
                                td data-name="Since" { (minute(one.created)) }
                                td data-name="Password" {
                                    form method="post" action=(format!("/admin/accounts/{}/reset", account.id)) {
                                        (visit.hidden())
                                        input type="hidden" name="member" value=(one.id);
                                        button class="quiet" { "Make a link that sets one" }
                                    }
                                    @if one.has_factor {
                                        form method="post" action=(format!("/admin/accounts/{}/factor", account.id)) {
                                            (visit.hidden())
                                            input type="hidden" name="member" value=(one.id);
                                            button class="quiet danger" { "Take the second factor away" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        p class="dim" { "Keys that are good: " (good) " of " (keys.len()) "." }
        @if account.id != who.session.account {
            details class="card" open[typed("/erase", "name").is_some()] {
                summary { "Erase this account" }
                p { "Its members, keys and all that they keep are forgotten for good. Its books stay, under an id that stands for nobody." }
                form method="post" action=(format!("/admin/accounts/{}/erase", account.id)) {
                    (visit.hidden())
                    (field("name", &format!("Type its name, {}, to go on", account.name), html! { input id="name" name="name" required autocomplete="off" maxlength="200" value=(typed("/erase", "name").unwrap_or_default()); }, None))
                    button class="danger" { "Erase it" }
                }
            }
        }
        @if !grants.is_empty() {
            h2 { "Credits booked" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "When" } th scope="col" class="n" { "Credits" } th scope="col" { "Reason" } } }
                    tbody { @for one in grants.iter().rev().take(50) { tr { th scope="row" { (minute(one.created)) } td data-name="Credits" class="n" { (count(one.credits)) } td data-name="Reason" { (one.reason) } } } }
                }
            }
        }
    };
    let sheet = Sheet::new(account.name.clone(), body)
        .by_api(Call::get(format!("/v1/admin/accounts/{}", account.id)));
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /admin/accounts/{id}`
pub async fn show(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_admin(app, request, async |visit, who| Ok(page(visit, who, &id, None).await?.into())).await
}

/// `POST /admin/accounts/{id}/plan`
pub async fn plan(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, who, form| {
        let plan = Some(form.text("plan").to_owned());
        let change = AccountChange { plan, ..AccountChange::default() };
        visit.app.administration(who.caller.key.clone()).change_account(&id, &change).await?;
        Ok(go(format!("/admin/accounts/{id}?done=plan")))
    })
    .await
}

/// `POST /admin/accounts/{id}/access`
pub async fn access(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, who, form| {
        let suspended = form.has("suspended", "yes");
        if suspended && *id == who.session.account.as_str() {
            let text = "This is your own account. You would lock yourself out.";
            return Err(Error::new(Kind::Conflict, text));
        }
        let change = AccountChange { suspended: Some(suspended), ..AccountChange::default() };
        visit.app.administration(who.caller.key.clone()).change_account(&id, &change).await?;
        let done = if suspended { "suspended" } else { "resumed" };
        Ok(go(format!("/admin/accounts/{id}?done={done}")))
    })
    .await
}

/// `POST /admin/accounts/{id}/credits`: booked once, however often the form is sent
pub async fn credits(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let digits: String =
            form.text("credits").chars().filter(|c| !matches!(c, ',' | ' ')).collect();
        let administration = visit.app.administration(who.caller.key.clone());
        let granting = async {
            let credits: i64 = digits.parse().map_err(|_| {
                Error::new(Kind::Malformed, "This has to be a whole number.").at("credits")
            })?;
            administration.grant(&id, credits, form.text("reason"), form.given("once")).await
        };
        match granting.await {
            Ok(_) => Ok(go(format!("/admin/accounts/{id}?done=granted"))),
            Err(why) if why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(page(visit, who, &id, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /admin/accounts/{id}/erase`: for good, by its name
pub async fn erase(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let administration = visit.app.administration(who.caller.key.clone());
        let account = administration.account(&id).await?;
        if account.id == who.session.account {
            let text = "This is your own account. You would lock yourself out.";
            return Err(Error::new(Kind::Conflict, text));
        }
        if form.text("name") != account.name.trim() {
            let text = format!("The name that you typed is not '{}'.", account.name);
            let why = Error::new(Kind::Malformed, text).at("name");
            return Ok(page(visit, who, &id, Some((form, &why))).await?.into());
        }
        administration.erase_account(account.id.as_str()).await?;
        Ok::<Answer, Error>(go("/admin/accounts?done=erased"))
    })
    .await
}

/// `POST /admin/accounts/{id}/factor`: takes a member's lost second factor away
pub async fn reset_factor(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let administration = visit.app.administration(who.caller.key.clone());
        administration.reset_factor(&id, form.text("member")).await?;
        Ok(go(format!("/admin/accounts/{id}?done=factor")))
    })
    .await
}

/// `POST /admin/accounts/{id}/reset`: a link that sets a member's password
pub async fn reset(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let account = visit.app.administration(who.caller.key.clone()).account(&id).await?;
        let desk = &visit.app.shared.authentication;
        let secret = desk.reset_link(&account.id, form.text("member")).await?;
        let body = html! {
            h1 { "A link that sets a password" }
            p class="lede" { "Give it to them. It is shown only now, is good for one day, and once." }
            div class="card" { div class="secret" { (snippet("link", &format!("{}/reset/{secret}", visit.home))) } }
            p class="buttons" { a class="button primary" href=(format!("/admin/accounts/{id}")) { "Back to the account" } }
        };
        Ok::<Answer, Error>(Sheet::new("A link that sets a password", body).into())
    })
    .await
}
