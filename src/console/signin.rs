//! `/signin`, `/signout`, `/forgot` and `/reset/…`: in, out, and back in without the password.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use secrecy::ExposeSecret as _;

use super::Worker;
use super::form::Form;
use super::shell::{field, notice, summary};
use super::visit::{Answer, Sheet, Visit, go, own_path, show, take, take_member};
use crate::base::{Blame, Error, Kind};
use crate::store::Ending;

/// Where a person goes once they are in.
fn next(form: &Form) -> &str {
    own_path(form.text("next")).unwrap_or("/console")
}

fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let left = visit.query.has("left", "1").then_some("You are signed out.");
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
            Ok(opened) => {
                visit.keep_session(Some(opened.cookie.expose_secret()));
                Ok(go(next(form)))
            }
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
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
        visit.app.shared.authentication.leave(&who.session, Ending::One(id)).await?;
        visit.keep_session(None);
        Ok(go("/signin?left=1"))
    })
    .await
}

/// `GET /forgot`
pub async fn forgot(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |_| {
        let body = html! {
            div class="narrow" {
                h1 { "Forgot your password?" }
                p class="lede" { "This gateway sends no mail. Your administrator can make you a link that sets a new password: it is good for one day, and once." }
                p class="buttons" { a class="button primary" href="/signin" { "Back to sign-in" } }
            }
        };
        Ok(Sheet::new("Forgot your password?", body).into())
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
                (field("password", "New password", html! {
                    input id="password" name="password" type="password" autocomplete="new-password" required minlength="10" maxlength="1024" aria-describedby="length";
                }, None))
                p class="hint" id="length" { "10 characters or more." }
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
        let member = visit.app.shared.authentication.resetting(&token).await?;
        Ok(resetting(visit, &member.email, None).into())
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
        let email = desk.resetting(&token).await?.email;
        match desk.reset(&token, form.secret("password"), visit.browser.clone()).await {
            Ok(opened) => {
                visit.keep_session(Some(opened.cookie.expose_secret()));
                Ok(go("/console"))
            }
            Err(why) if why.kind == Kind::Malformed => {
                Ok::<Answer, Error>(resetting(visit, &email, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
