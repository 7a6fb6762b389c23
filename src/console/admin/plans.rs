//! `/admin/plans`: what accounts may be on.

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::super::Worker;
use super::super::call::Call;
use super::super::figures::{count, grouped};
use super::super::visit::{Sheet, show_admin};
use crate::admit::Plan;

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

/// `GET /admin/plans`
pub async fn plans(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| {
        let body = html! {
            h1 { "Plans" }
            p class="lede" { "A plan is changed with " code { "PUT /v1/admin/plans/NAME" } ", or in the configuration." }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "Plan" } th scope="col" class="n" { "Credits a month" } th scope="col" class="n" { "Requests a minute" } th scope="col" class="n" { "Requests a day" } th scope="col" class="n" { "Tokens a minute" } th scope="col" { "Tiers" } } }
                    tbody { @for plan in visit.app.shared.plans.all() { (row(&plan)) } }
                }
            }
        };
        Ok(Sheet::new("Plans", body).by_api(Call::get("/v1/admin/plans")).into())
    })
    .await
}
