//! `/setup`: the first administrator, by the code that the gateway printed when it started.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;

use super::form::Form;
use super::parts::{field, new_password, summary};
use super::serve::{show, take};
use super::sheet::{Answer, Sheet};
use super::visit::Visit;
use super::welcome;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;

fn page(visit: &Visit, form: &Form, error: Option<&Error>) -> Sheet {
    let body = html! {
        div class="narrow" {
            h1 { "Set up this gateway" }
            p class="lede" { "You become its administrator, and get a first key." }
            (summary(error))
            form method="post" action="/setup" class="card" {
                (visit.hidden())
                input type="hidden" name="code" value=(form.text("code"));
                (field("email", "E-mail", html! {
                    input id="email" name="email" type="email" autocomplete="email" required maxlength="320" value=(form.text("email"));
                }, None))
                (new_password("Password"))
                button class="primary" { "Make me the administrator" }
            }
        }
    };
    let sheet = Sheet::new("Set up this gateway", body);
    match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    }
}

/// `GET /setup?code=`
pub async fn ask(app: Worker, request: HttpRequest) -> HttpResponse {
    show(app, request, async |visit| {
        visit.app.shared.authentication.setup_is_open(visit.query.text("code")).await?;
        Ok(page(visit, &visit.query, None).into())
    })
    .await
}

/// `POST /setup`
pub async fn make(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let (code, email) = (form.text("code"), form.text("email"));
        let (password, browser) = (form.secret("password"), visit.browser.clone());
        match visit.app.shared.authentication.setup(code, email, password, browser).await {
            Ok((opened, key)) => Ok(welcome::page(visit, &opened, &key)),
            Err(why) if why.blame == Blame::Caller && why.kind != Kind::NotFound => {
                Ok::<Answer, Error>(page(visit, form, Some(&why)).into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
