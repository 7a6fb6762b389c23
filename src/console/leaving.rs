//! Leaving for good, under the settings: the account with all that is in it, or a person in all accounts.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};

use super::shell::field;
use super::visit::{Answer, Visit, Who, go, take_member};
use super::{Worker, settings};
use crate::base::{Blame, Error};
use crate::stored::team;

/// Its part of the settings.
#[must_use]
pub fn section(visit: &Visit, who: &Who) -> Markup {
    let runs = who.caller.person.must_run_the_account().is_ok();
    html! {
        h2 { "Leaving" }
        div class="two" {
            details class="card" {
                summary { "Delete me" }
                p { "You are forgotten for good, in every account that you are in: your keys end, and all that you keep here goes. What you used stays in the books, under a name that stands for nobody." }
                form method="post" action="/console/settings/leave" {
                    (visit.hidden())
                    button class="danger" { "Delete " (who.session.email) }
                }
            }
            @if runs {
                details class="card" {
                    summary { "Delete the account" }
                    p { "Its members, keys and all that they keep are forgotten for good. Its books stay, under an id that stands for nobody." }
                    form method="post" action="/console/settings/delete" {
                        (visit.hidden())
                        (field("account-name", &format!("Type its name, {}, to go on", who.session.account_name), html! { input id="account-name" name="name" required autocomplete="off" maxlength="200"; }, None))
                        button class="danger" { "Delete the account" }
                    }
                }
            }
        }
    }
}

/// What was refused is told on the settings; what needs a proof asks for it.
async fn refused(visit: &Visit, who: &Who, why: Error) -> Result<Answer, Error> {
    if why.blame != Blame::Caller || why.code.as_deref() == Some("proof_required") {
        return Err(why);
    }
    let why = if why.field.as_deref() == Some("name") { why.at("account-name") } else { why };
    Ok(settings::page(visit, who, Some(&why)).await?.into())
}

/// `POST /console/settings/leave`
pub async fn leave(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        match visit.app.shared.authentication.leave_for_good(&who.session).await {
            Ok(()) => {
                visit.keep_session(None);
                Ok(go("/signin?left=me"))
            }
            Err(why) => refused(visit, who, why).await,
        }
    })
    .await
}

/// `POST /console/settings/delete`: the account, by its name
pub async fn delete(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        match team::delete_account(&visit.app, &who.caller, &who.session, form.text("name")).await {
            Ok(()) => {
                visit.keep_session(None);
                Ok(go("/signin?left=account"))
            }
            Err(why) => refused(visit, who, why).await,
        }
    })
    .await
}
