//! `/forgot`, `/reset/…` and `/verify/…`: back in without the password, and whose an address is. Looking
//! at a link does not use it up: what reads mail before its owner does follows links.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::form::Form;
use super::parts::{field, new_password, summary};
use super::serve::{show, take};
use super::sheet::{Answer, Sheet, go};
use super::signin::let_in;
use super::visit::Visit;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;

const FORGOT: &str = "Forgot your password?";

fn asking(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { (FORGOT) }
            @if visit.app.shared.authentication.mail.is_some() {
                p class="lede" { "Give your address, and we mail you a link that sets a new one." }
                (summary(error))
                form method="post" action="/forgot" class="card" {
                    (visit.hidden())
                    (field("email", "E-mail", html! {
                        input id="email" name="email" type="email" autocomplete="username" required maxlength="320" value=(form.text("email"));
                    }, None))
                    button class="primary" { "Mail me a link" }
                }
                p { a href="/signin" { "Back to sign-in" } }
            } @else {
                p class="lede" { "This gateway sends no mail. Your administrator can make you a link that sets a new password: it is good for one day, and once." }
                p class="buttons" { a class="button primary" href="/signin" { "Back to sign-in" } }
            }
        }
    };
    let sheet = Sheet::new(FORGOT, body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /forgot`
pub async fn forgot(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| Ok(asking(visit, &visit.query, None).into())).await
}

/// `POST /forgot`: the same page whoever has the address
pub async fn mail(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        match desk.forgot(form.text("email"), &visit.browser.address) {
            Ok(()) => {}
            Err(why) if why.blame == Blame::Caller => {
                return Ok::<Answer, Error>(asking(visit, form, Some(&why)).into());
            }
            Err(why) => return Err(why),
        }
        let body = html! {
            div class="narrow" {
                h1 { "Look at your mail" }
                p class="lede" { "If " strong { (form.text("email")) } " has an account here, a link is on its way. It is good for an hour, and once." }
                p { "Not there? Look among what was sorted out, or " a href="/forgot" { "ask again" } " in some minutes." }
                p class="buttons" { a class="button primary" href="/signin" { "Back to sign-in" } }
            }
        };
        Ok(Sheet::new("Look at your mail", body).into())
    })
    .await
}

/// `GET /verify/{token}`
pub async fn verifying(app: Worker, request: HttpRequest, token: Path<String>) -> HttpResponse {
    show(app, request, async |visit| {
        let email = visit.app.shared.authentication.verifying(&token).await?;
        let body = html! {
            div class="narrow" {
                h1 { "Confirm your address" }
                p class="lede" { "Is " strong { (email) } " yours?" }
                form method="post" action=(visit.path) class="card" {
                    (visit.hidden())
                    button class="primary" { "Yes, confirm it" }
                }
            }
        };
        Ok(Sheet::new("Confirm your address", body).into())
    })
    .await
}

/// `POST /verify/{token}`
pub async fn verify(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take(app, request, &body, async |visit, _| {
        visit.app.shared.authentication.verify(&token, None).await?;
        Ok(go("/console/settings?done=verified"))
    })
    .await
}

fn resetting(visit: &Visit, email: &str, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { "Set a new password" }
            p class="lede" { "For " strong { (email) } ". All that is signed in with the old one ends." }
            (summary(error))
            form method="post" action=(visit.path) class="card" {
                (visit.hidden())
                (new_password("New password"))
                button class="primary" { "Set it and sign in" }
            }
        }
    };
    let sheet = Sheet::new("Set a new password", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /reset/{token}`: shows a form. Looking at the link does not use it up.
pub async fn reset(app: Worker, request: HttpRequest, token: Path<String>) -> HttpResponse {
    show(app, request, async |visit| {
        let email = visit.app.shared.authentication.resetting(&token).await?;
        Ok(resetting(visit, &email, None).into())
    })
    .await
}

/// `POST /reset/{token}`
pub async fn set(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let email = desk.resetting(&token).await?;
        match desk.reset_and_enter(&token, form.secret("password"), visit.browser.clone()).await {
            Ok(entered) => Ok(let_in(visit, &entered, "/console")),
            Err(why) if why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(resetting(visit, &email, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
