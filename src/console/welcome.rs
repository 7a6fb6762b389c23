//! `/welcome`: the first key, shown once, and what to do with it.

use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;

use super::parts::snippet;
use super::serve::show_member;
use super::sheet::{Answer, Sheet};
use super::visit::Visit;
use super::{form, samples};
use crate::admit::OpenedSession;
use crate::admit::keys::Issued;
use crate::http::Worker;

/// The page that answers the form which made the key. The browser is signed in by this very answer.
#[must_use]
pub fn page(visit: &Visit, opened: &OpenedSession, issued: &Issued) -> Answer {
    let cookie = opened.cookie.expose_secret();
    visit.keep_session(Some(cookie));
    let token = form::token(cookie, opened.member.account.as_str());
    let key = issued.secret.expose_secret();
    let body = html! {
        h1 { "Your key" }
        p class="lede" { "It is shown only now: keep it where your programs find it. You can make more, and replace this one, under API keys." }
        div class="card" {
            (secret(key))
            (samples::tabs("first", &visit.home, key, "auto"))
            p class="buttons" {
                button type="button" class="primary" data-run data-token=(token) hidden { "Run it here" }
                a class="button" href="/console" { "I have saved it: go on" }
            }
            p class="answer" data-ran hidden role="status" {}
        }
    };
    Sheet::new("Your key", body).into()
}

/// A secret, with a button to copy it.
#[must_use]
pub fn secret(text: &str) -> Markup {
    html! { div class="secret" { (snippet("secret", text)) } }
}

/// `GET /welcome`
pub async fn again(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |_, _| {
        let body = html! {
            h1 { "This key was shown" }
            p class="lede" { "It is kept nowhere, so it cannot be shown again. Rotate it to get another in its place." }
            p class="buttons" {
                a class="button primary" href="/console/keys" { "To your keys" }
                a class="button" href="/console" { "To the overview" }
            }
        };
        Ok(Sheet::new("This key was shown", body).into())
    })
    .await
}
