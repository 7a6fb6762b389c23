//! `/signin` and `/signout`: in and out.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;

use super::form::Form;
use super::parts::{field, notice, summary};
use super::path::{encoded, own_path};
use super::serve::{show, take, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::Visit;
use crate::admit::PasswordSignIn;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;
use crate::store::EndedSignIns;

/// Where a person goes once they are in.
fn next(form: &Form) -> &str {
    own_path(form.text("next")).unwrap_or("/console")
}

fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let left = match visit.query.text("left") {
        "1" => Some("You are signed out."),
        "account" => Some("The account was deleted, and you are signed out."),
        "me" => Some("You were deleted, with all that you kept here."),
        _ => None,
    };
    let body = html! {
        div class="narrow" {
            h1 { "Sign in" }
            (notice(left))
            (summary(error))
            form method="post" action="/signin" class="card" {
                (visit.hidden())
                input type="hidden" name="next" value=(next(form));
                (field("email", "E-mail", html! {
                    input id="email" name="email" type="email" autocomplete="username" required maxlength="320" value=(form.text("email"));
                }, None))
                (field("password", "Password", html! {
                    input id="password" name="password" type="password" autocomplete="current-password" required maxlength="1024";
                }, None))
                button class="primary" { "Sign in" }
            }
            (issuers(visit, next(form)))
            p { a href="/forgot" { "Forgot your password?" } }
            @if visit.app.shared.authentication.register.is_some() {
                p { "New here? " a href="/signup" { "Create an account" } }
            }
        }
    };
    let sheet = Sheet::new("Sign in", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /signin`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        if visit.who.is_some() {
            return Ok(go(next(&visit.query)));
        }
        Ok(page(visit, &visit.query, None).into())
    })
    .await
}

/// `POST /signin`
pub async fn enter(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let entered =
            desk.enter(form.text("email"), form.secret("password"), visit.browser.clone()).await;
        match entered {
            Ok(entered) => Ok(let_in(visit, &entered, next(form))),
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// A button for each issuer.
fn issuers(visit: &Visit, next: &str) -> Markup {
    html! {
        @for (id, name) in visit.app.shared.authentication.issuers.all() {
            p { a class="button" href=(format!("/oidc/{id}/start?next={}", encoded(next))) { "Sign in with " (name) } }
        }
    }
}

/// Signs the browser in, or asks for the code of the second factor.
#[must_use]
pub fn let_in(visit: &Visit, entered: &PasswordSignIn, next: &str) -> Answer {
    match entered {
        PasswordSignIn::In(opened) => {
            visit.keep_session(Some(opened.cookie.expose_secret()));
            go(next)
        }
        PasswordSignIn::AskedForCode(ticket) => coding(visit, ticket, next, None).into(),
    }
}

fn coding(visit: &Visit, ticket: &str, next: &str, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { "Your second factor" }
            p class="lede" { "The six digits that your app shows, or one of your recovery codes." }
            (summary(error))
            form method="post" action="/signin/code" class="card" {
                (visit.hidden())
                input type="hidden" name="ticket" value=(ticket);
                input type="hidden" name="next" value=(next);
                (field("otp", "Code", html! {
                    input id="otp" name="otp" autocomplete="one-time-code" required autofocus maxlength="20";
                }, None))
                button class="primary" { "Sign in" }
            }
            p { a href="/signin" { "Begin again" } }
        }
    };
    let sheet = Sheet::new("Your second factor", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /signin/code`: whoever loads it again begins again
pub async fn again(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |_| Ok(go("/signin"))).await
}

/// `POST /signin/code`
pub async fn code(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let (ticket, otp) = (form.text("ticket"), form.text("otp"));
        match desk.enter_by_code(ticket, otp, visit.browser.clone()).await {
            Ok(opened) => Ok(let_in(visit, &PasswordSignIn::In(opened), next(form))),
            Err(why) if why.kind == Kind::NotFound => {
                let text = "That took too long. Give your password again.";
                let why = Error::new(Kind::Unauthenticated, text);
                Ok(page(visit, form, Some(&why)).into())
            }
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(coding(visit, ticket, next(form), Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /signout`
pub async fn leave(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        let id = who.session.id.clone();
        visit.app.shared.authentication.leave(&who.session, EndedSignIns::One(id)).await?;
        visit.keep_session(None);
        Ok(go("/signin?left=1"))
    })
    .await
}
