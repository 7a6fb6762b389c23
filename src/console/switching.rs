//! From one of a person's accounts to another, in the head of every page. The cookie stays; forms of pages
//! that are open in another tab are of the account that they were made for, and are not taken any more.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::Worker;
use super::visit::{Visit, Who, go, take_member};

/// The other accounts, for who has any.
#[must_use]
pub fn form(visit: &Visit, who: &Who) -> Markup {
    let others: Vec<_> =
        who.accounts.iter().filter(|one| one.member.account != who.session.account).collect();
    html! {
        @if !others.is_empty() {
            details class="switch" {
                summary { "Another account" }
                form method="post" action="/console/account" {
                    (visit.hidden())
                    @for one in others {
                        button class="quiet" name="account" value=(one.member.account) disabled[one.suspended] {
                            (one.account_name) @if one.suspended { " (suspended)" }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /console/account`
pub async fn switch(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        visit.app.shared.authentication.switch(&who.session, form.text("account")).await?;
        Ok(go("/console"))
    })
    .await
}
