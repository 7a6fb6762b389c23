//! `/admin/outbox`: mail that waits, was sent, or could not be.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::super::call::Call;
use super::super::figures::{count, minute};
use super::super::form::Form;
use super::super::parts::{choice, field, notice, summary};
use super::super::serve::{show_admin, take_admin};
use super::super::sheet::{Answer, Sheet, go};
use super::super::visit::Visit;
use crate::base::{Blame, Error};
use crate::http::Worker;

/// So many are on a page.
const PAGE: i64 = 50;

const STATES: [(&str, &str); 4] =
    [("", "any state"), ("waiting", "waiting"), ("sent", "sent"), ("dead", "given up")];

async fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Result<Sheet, Error> {
    let before = visit.query.given("before").map(str::to_owned);
    let state = visit.query.given("state").map(str::to_owned);
    let mail = &visit.app.shared.authentication.mail;
    let all = visit.app.shared.store.mail(state.clone(), before.clone(), PAGE).await;
    let all = all.map_err(Error::internal)?;
    let full = i64::try_from(all.len()).unwrap_or(0) == PAGE;
    let chosen = state.as_deref().unwrap_or_default();
    let done = match visit.query.text("done") {
        "retried" => Some("It is tried again now."),
        "tested" => Some("The mail server took the test. Look whether it arrived."),
        _ => None,
    };
    let body = html! {
        div class="head" {
            h1 { "Outbox" }
            form method="get" action="/admin/outbox" class="buttons" {
                label for="state" class="dim" { "Show" }
                (choice("state", &STATES, chosen))
                button { "Show" }
            }
        }
        (notice(done))
        (summary(error))
        @if mail.is_none() {
            p class="alert warn" { "No mail server is configured: links are shown to whoever makes them. Set " code { "[mail]" } " and the variable of its address." }
        }
        @if all.is_empty() {
            p class="card empty" { "No mail. Invitations, new passwords and codes on their way stand here." }
        } @else {
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "To" } th scope="col" { "About" } th scope="col" { "Written" } th scope="col" { "State" } th scope="col" class="n" { "Tries" } th scope="col" { "What the server said" } @if mail.is_some() { th scope="col" { "Again" } } } }
                    tbody {
                        @for one in &all {
                            tr {
                                th scope="row" { (one.target) }
                                td data-name="About" { (one.kind) }
                                td data-name="Written" { (minute(one.created)) }
                                td data-name="State" {
                                    @match one.state.as_str() {
                                        "sent" => span class="tag good" { "sent" },
                                        "dead" => span class="tag bad" { "given up" },
                                        _ => { span class="tag warn" { "waiting" } " since " (minute(one.due)) },
                                    }
                                }
                                td data-name="Tries" class="n" { (count(one.tries)) }
                                td data-name="What the server said" class="small" { (one.last_error) }
                                @if mail.is_some() {
                                    td data-name="Again" {
                                        @if one.state != "sent" {
                                            form method="post" action=(format!("/admin/outbox/{}/retry", one.id)) {
                                                (visit.hidden())
                                                button class="quiet" { "Try again" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(last) = all.last().filter(|_| full) {
            p class="buttons" { a class="button" href=(format!("/admin/outbox?state={chosen}&before={}", last.id)) { "Further back" } }
        }
        @if mail.is_some() {
            section class="card narrow" {
                h2 { "Test mail" }
                form method="post" action="/admin/outbox" {
                    (visit.hidden())
                    (field("to", "To", html! { input id="to" name="to" type="email" required maxlength="320" value=(form.text("to")); }, None))
                    button { "Send a test" }
                }
            }
        }
    };
    let call = Call::get("/v1/admin/outbox").with("state", state).with("before", before);
    let sheet = Sheet::new("Outbox", body).by_api(call);
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /admin/outbox`
pub async fn outbox(app: Worker, request: HttpRequest) -> HttpResponse {
    show_admin(app, request, async |visit, _| Ok(page(visit, &visit.query, None).await?.into()))
        .await
}

/// `POST /admin/outbox`: a test, sent while its sender waits
pub async fn test(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_admin(app, request, &body, async |visit, who, form| {
        let administration = visit.app.administration(who.caller.key.clone());
        match administration.test_mail(form.text("to")).await {
            Ok(()) => Ok(go("/admin/outbox?done=tested")),
            Err(why) if why.blame != Blame::Us => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /admin/outbox/{id}/retry`
pub async fn retry(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_admin(app, request, &body, async |visit, who, _| {
        visit.app.administration(who.caller.key.clone()).retry_mail(&id).await?;
        Ok(go("/admin/outbox?done=retried"))
    })
    .await
}
