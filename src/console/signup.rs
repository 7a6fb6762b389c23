//! `/signup`: an account, its owner and a first key; where mail is sent, by a code.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::form::Form;
use super::parts::{field, new_password, summary};
use super::serve::{show, take};
use super::sheet::{Answer, Sheet, go};
use super::visit::Visit;
use super::welcome;
use crate::admit::Applicant;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;

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
                (new_password("Password"))
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

/// `POST /signup`: the key, or the page that asks for the code
pub async fn create(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let applicant = Applicant {
            email: form.text("email"),
            password: form.secret("password"),
            organisation: form.given("organisation"),
            browser: visit.browser.clone(),
        };
        let joined = if desk.proves_addresses() {
            desk.apply(applicant).await.map(|()| coding(visit, form.text("email"), None).into())
        } else {
            let joining = desk.join(applicant).await;
            joining.map(|(opened, key)| welcome::page(visit, &opened, &key))
        };
        match joined {
            Err(why) if why.blame == Blame::Caller && why.kind != Kind::Forbidden => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
            }
            joined => joined,
        }
    })
    .await
}

fn coding(visit: &Visit, email: &str, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { "Look at your mail" }
            p class="lede" { "We sent six digits to " strong { (email) } ". They are good for 15 minutes." }
            (summary(error))
            form method="post" action="/signup/code" class="card" {
                (visit.hidden())
                input type="hidden" name="email" value=(email);
                (field("code", "Code", html! {
                    input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required maxlength="12";
                }, None))
                button class="primary" { "Confirm" }
            }
            form method="post" action="/signup/code/again" {
                (visit.hidden())
                input type="hidden" name="email" value=(email);
                p { "Not there? " button class="quiet" { "Send again" } " " a href="/signup" { "Change e-mail" } }
            }
        }
    };
    let sheet = Sheet::new("Look at your mail", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /signup/code`: whoever loads it again begins again
pub async fn again(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |_| Ok(go("/signup"))).await
}

/// `POST /signup/code`
pub async fn confirm(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let (email, code) = (form.text("email"), form.text("code"));
        match desk.confirm_and_enter(email, code, visit.browser.clone()).await {
            Ok((opened, key)) => Ok(welcome::page(visit, &opened, &key)),
            Err(why) if why.blame == Blame::Caller && why.kind != Kind::Forbidden => {
                Ok::<Answer, Error>(coding(visit, email, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /signup/code/again`
pub async fn send_again(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let email = form.text("email");
        let desk = &visit.app.shared.authentication;
        let sent = desk.apply_again(email, &visit.browser.address).await;
        match sent {
            Err(why) if why.blame == Blame::Us => Err(why),
            sent => Ok::<Answer, Error>(coding(visit, email, sent.err().as_ref()).into()),
        }
    })
    .await
}
