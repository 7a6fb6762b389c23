//! `/admin/refunds`: giving the credits of a request back, once.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::super::call::Call;
use super::super::figures::{as_json, credits, nanos, text, usd, whole};
use super::super::form::Form;
use super::super::parts::{field, notice, summary};
use super::super::path::encoded;
use super::super::serve::{show_admin, take_admin};
use super::super::sheet::{Answer, Sheet, go};
use super::super::visit::{Visit, Who};
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;
use crate::reports::request as told_request;

/// What a request came to, before its credits are given back.
fn charged(told: &Value) -> Markup {
    html! {
        section class="card" {
            h2 class="mono anywhere" { (text(told, "id")) }
            dl class="facts" {
                dt { "Account" } dd { a href=(format!("/admin/accounts/{}", text(told, "account"))) { (text(told, "account")) } }
                dt { "Answered by" } dd { (text(told, "model")) " at " (text(told, "provider")) }
                dt { "Came to" } dd { (text(told, "status")) }
                dt { "Charged" } dd { (credits(whole(told, "credits"))) ", " (usd(nanos(told, "cost_nano_usd"))) " of cost" }
            }
        }
    }
}

async fn page(
    visit: &Visit,
    who: &Who,
    form: &Form,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
    let id = form.text("request");
    let mut told = Value::Null;
    let mut missing = None;
    if !id.is_empty() {
        match told_request::request(&visit.app, &who.caller, id).await {
            Ok(found) => told = as_json(&found)?,
            Err(why) if why.kind == Kind::NotFound => missing = Some(why),
            Err(why) => return Err(why),
        }
    }
    let given = visit.query.given("given").map(|told| {
        let told = told.parse().map_or_else(|_| "credits".to_owned(), credits);
        format!("Given back: {told}, to be used again at once.")
    });
    let body = html! {
        h1 { "Refunds" }
        p class="lede" { "Gives the credits of a request back to its account, once. It stands in the audit." }
        (notice(given.as_deref()))
        (summary(error.or(missing.as_ref())))
        form method="get" action="/admin/refunds" class="card narrow" role="search" {
            (field("request", "Request", html! { input id="request" name="request" class="mono" required maxlength="80" value=(id) placeholder="req_…"; }, Some("Its id: callers find it in x-request-id, and on the request's page.")))
            button { "Look it up" }
        }
        @if told.is_object() {
            (charged(&told))
            @if whole(&told, "credits") > 0 {
                form method="post" action="/admin/refunds" class="card narrow" {
                    (visit.hidden())
                    input type="hidden" name="request" value=(text(&told, "id"));
                    (field("reason", "Reason", html! { input id="reason" name="reason" required maxlength="200" value=(form.text("reason")); }, Some("The account reads it among its credits.")))
                    button class="primary" { "Give " (credits(whole(&told, "credits"))) " back" }
                }
            } @else {
                p class="card empty" { "Nothing was charged for it, so there is nothing to give back." }
            }
        }
    };
    let call = Call::of("POST", "/v1/admin/refunds");
    let asked = if id.is_empty() { "req_..." } else { id };
    let call = call.saying(json!({"request": asked, "reason": "it answered nothing of use"}));
    let sheet = Sheet::new("Refunds", body).by_api(call);
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /admin/refunds?request=`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, who| {
        Ok(page(visit, who, &visit.query, None).await?.into())
    })
    .await
}

/// `POST /admin/refunds`
pub async fn refund(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let administration = visit.app.administration(who.caller.key.clone());
        match administration.refund(form.text("request"), form.text("reason")).await {
            Ok((grant, charged)) => {
                let id = encoded(charged.id.as_str());
                Ok(go(format!("/admin/refunds?request={id}&given={}", grant.credits.0)))
            }
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, who, form, Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
