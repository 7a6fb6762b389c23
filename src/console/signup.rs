//! `/signup`: an account, its owner and a first key, in one step.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::form::Form;
use super::shell::{field, summary};
use super::visit::{Answer, Sheet, Visit, go, show, take};
use super::{Worker, welcome};
use crate::base::{Blame, Error, Kind};

fn closed() -> Error {
    let text = "Sign-up is closed here. Ask your administrator for an invitation.";
    Error::new(Kind::Forbidden, text).coded("registration_closed")
}

fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { "Create your account" }
            p class="lede" { "One key for every model. It takes a minute." }
            (summary(error))
            form method="post" action="/signup" class="card" {
                (visit.hidden())
                (field("email", "E-mail", html! {
                    input id="email" name="email" type="email" autocomplete="email" required maxlength="320" value=(form.text("email"));
                }, None))
                (field("password", "Password", html! {
                    input id="password" name="password" type="password" autocomplete="new-password" required minlength="10" maxlength="1024" aria-describedby="length";
                }, None))
                p class="hint" id="length" { "10 characters or more." }
                (field("organisation", "Organisation (optional)", html! {
                    input id="organisation" name="organisation" autocomplete="organization" maxlength="200" value=(form.text("organisation"));
                }, None))
                button class="primary" { "Create account" }
            }
            p { "You have one? " a href="/signin" { "Sign in" } }
        }
    };
    let sheet = Sheet::new("Create your account", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /signup`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        if visit.who.is_some() {
            return Ok(go("/console"));
        }
        if visit.app.shared.authentication.register.is_none() {
            return Err(closed());
        }
        Ok(page(visit, &visit.query, None).into())
    })
    .await
}

/// `POST /signup`
pub async fn create(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let organisation = form.given("organisation");
        let browser = visit.browser.clone();
        let joined =
            desk.join(form.text("email"), form.secret("password"), organisation, browser).await;
        match joined {
            Ok((opened, key)) => Ok(welcome::page(visit, &opened, &key)),
            Err(why) if why.blame == Blame::Caller && why.kind != Kind::Forbidden => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
