//! `/admin/plans`: what accounts may be on.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::super::call::Call;
use super::super::figures::{count, grouped};
use super::super::form::Form;
use super::super::parts::{choice, field, notice, summary};
use super::super::serve::{show_admin, take_admin};
use super::super::sheet::{Answer, Sheet, go};
use super::super::visit::Visit;
use super::accounts::plan_names;
use crate::administration::change::ChangeOptions;
use crate::admit::{Plan, PlanEntry};
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;

const LIMITS: [(&str, &str); 4] = [
    ("credits_per_month", "Credits a month"),
    ("requests_per_minute", "Requests a minute"),
    ("requests_per_day", "Requests a day"),
    ("tokens_per_minute", "Tokens a minute"),
];

fn bound(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), grouped)
}

fn row(plan: &Plan) -> Markup {
    let tiers: Vec<&str> = plan.tiers.iter().map(|tier| tier.as_str()).collect();
    html! {
        tr {
            th scope="row" { (plan.name) }
            td data-name="Credits a month" class="n" { (plan.credits.map_or_else(|| "unlimited".to_owned(), |credits| count(credits.0))) }
            td data-name="Requests a minute" class="n" { (bound(plan.limits.requests_per_minute)) }
            td data-name="Requests a day" class="n" { (bound(plan.limits.requests_per_day)) }
            td data-name="Tokens a minute" class="n" { (bound(plan.limits.tokens_per_minute)) }
            td data-name="Tiers" { (tiers.join(", ")) }
        }
    }
}

fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let names = plan_names(visit);
    let names: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let done = visit.query.has("done", "changed");
    let done = done.then_some("The plan was changed. It holds within a second, everywhere.");
    let body = html! {
        h1 { "Plans" }
        (notice(done))
        (summary(error))
        div class="scroll" {
            table class="cards" {
                thead { tr { th scope="col" { "Plan" } th scope="col" class="n" { "Credits a month" } th scope="col" class="n" { "Requests a minute" } th scope="col" class="n" { "Requests a day" } th scope="col" class="n" { "Tokens a minute" } th scope="col" { "Tiers" } } }
                tbody { @for plan in visit.app.shared.plans.all() { (row(&plan)) } }
            }
        }
        form method="post" action="/admin/plans" class="card" {
            (visit.hidden())
            h2 { "Change a plan" }
            (field("plan", "Plan", choice("plan", &names, form.text("plan")), None))
            div class="row" {
                @for (id, label) in LIMITS {
                    (field(id, label, html! { input id=(id) name=(id) maxlength="20" value=(form.text(id)); }, None))
                }
            }
            p class="hint" { "A number, or the word unlimited. What is left empty stays as it is." }
            p class="buttons" { button class="primary" { "Change" } }
        }
    };
    let sheet = Sheet::new("Plans", body)
        .by_api(Call::get("/v1/admin/plans"))
        .by_api(Call::of("PUT", "/v1/admin/plans/pro").saying(json!({"requests_per_minute": 120})));
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /admin/plans`
pub async fn plans(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| Ok(page(visit, &visit.query, None).into())).await
}

/// What the form says of a plan.
fn said(form: &Form) -> Result<PlanEntry, Error> {
    let mut entry = Map::new();
    for (id, _) in LIMITS {
        match form.given(id) {
            None => {}
            Some("unlimited") => {
                entry.insert(id.to_owned(), json!("unlimited"));
            }
            Some(_) => {
                entry.insert(id.to_owned(), json!(form.whole(id)?));
            }
        }
    }
    serde_json::from_value(Value::Object(entry))
        .map_err(|why| Error::new(Kind::Malformed, format!("That is no plan: {why}.")))
}

/// `POST /admin/plans`
pub async fn change(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_admin(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let name = form.text("plan");
        let changing = async {
            if visit.app.shared.plans.get(name).is_none() {
                return Err(Error::new(Kind::Malformed, "There is no such plan.").at("plan"));
            }
            let manner =
                ChangeOptions { reason: "by the console".to_owned(), ..ChangeOptions::default() };
            let administration = visit.app.administration(who.caller.key.clone());
            administration.put_plan(name, &said(form)?, &manner).await
        };
        match changing.await {
            Ok(_) => Ok(go("/admin/plans?done=changed")),
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
