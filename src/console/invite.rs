//! `/invite/…`: joining an account that one is invited to, as who one is here or as somebody new.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;

use super::figures;
use super::parts::{field, new_password, summary};
use super::path::encoded;
use super::serve::{show, take};
use super::sheet::{Answer, Sheet, go};
use super::visit::Visit;
use crate::admit::{InvitationDetails, Stranger};
use crate::base::{Blame, Error};
use crate::http::Worker;
use crate::store::Token;

/// For whoever is signed in: to join, or why not.
fn joining(visit: &Visit, invitation: &Token, email: &str) -> Markup {
    html! {
        @if email == invitation.subject {
            form method="post" action=(visit.path) class="card" {
                (visit.hidden())
                p { "You are signed in as " (email) ". You stay in your other accounts." }
                button class="primary" { "Join" }
            }
        } @else {
            p class="alert warn" {
                "You are signed in as " (email) ". Sign out first to join as " (invitation.subject) "."
            }
        }
    }
}

/// For whoever is not. The same whether somebody has the address.
fn arriving(visit: &Visit, name: &str, error: Option<&Error>) -> Markup {
    let wants_code = error.and_then(|error| error.code.as_deref());
    let wants_code = wants_code.is_some_and(|code| code.starts_with("otp_"));
    html! {
        form method="post" action=(visit.path) class="card" {
            (visit.hidden())
            (field("name", "Your name (optional)", html! { input id="name" name="name" autocomplete="name" maxlength="200" value=(name); }, None))
            (new_password("Choose a password"))
            @if wants_code {
                (field("otp", "Code of your second factor", html! { input id="otp" name="otp" autocomplete="one-time-code" maxlength="20"; }, None))
            }
            button class="primary" { "Join" }
        }
        p { "You sign in here already? " a href=(format!("/signin?next={}", encoded(&visit.path))) { "Sign in, and join as who you are" } "." }
    }
}

async fn page(
    visit: &Visit,
    invitation: &Token,
    typed: Option<&str>,
    error: Option<&Error>,
) -> Result<Sheet, Error> {
    let account = visit.app.shared.store.account(invitation.account.as_str()).await;
    let account = account.map_err(Error::internal)?;
    let name = account.map_or_else(String::new, |account| account.name);
    let InvitationDetails { role, by } = InvitationDetails::of(invitation)?;
    let body = html! {
        div class="narrow" {
            h1 { "Join " (name) }
            p class="lede" {
                (by) " invites " strong { (invitation.subject) } " as " strong { (role) }
                ". Good until " (figures::moment(invitation.expires)) "."
            }
            (summary(error))
            @match &visit.who {
                Some(who) => (joining(visit, invitation, &who.session.email)),
                None => (arriving(visit, typed.unwrap_or_default(), error)),
            }
            form method="post" action=(format!("{}/decline", visit.path)) {
                (visit.hidden())
                button class="quiet" { "Decline" }
            }
        }
    };
    let sheet = Sheet::new(format!("Join {name}"), body);
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /invite/{token}`
pub async fn ask(app: Worker, request: HttpRequest, token: Path<String>) -> HttpResponse {
    show(app, request, async |visit| {
        let invitation = visit.app.shared.authentication.invited(&token).await?;
        Ok(page(visit, &invitation, None, None).await?.into())
    })
    .await
}

/// Joins, and leaves the browser in the account that it joined.
async fn join(visit: &Visit, token: &str, stranger: Stranger<'_>) -> Result<(), Error> {
    let desk = &visit.app.shared.authentication;
    if let Some(who) = &visit.who {
        let member = desk.accept(token, &who.session).await?;
        return desk.switch(&who.session, member.account.as_str()).await.map(|_| ());
    }
    let opened = desk.accept_and_enter(token, stranger).await?;
    visit.keep_session(Some(opened.cookie.expose_secret()));
    Ok(())
}

/// `POST /invite/{token}`
pub async fn accept(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let invitation = visit.app.shared.authentication.invited(&token).await?;
        let stranger = Stranger {
            name: form.given("name"),
            password: form.secret("password"),
            otp: form.given("otp"),
            browser: visit.browser.clone(),
        };
        match join(visit, &token, stranger).await {
            Ok(()) => Ok(go("/console")),
            Err(why) if why.blame == Blame::Caller => Ok::<Answer, Error>(
                page(visit, &invitation, form.given("name"), Some(&why)).await?.into(),
            ),
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /invite/{token}/decline`
pub async fn decline(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take(app, request, &body, async |visit, _| {
        visit.app.shared.authentication.decline(&token).await?;
        let body = html! {
            div class="narrow" {
                h1 { "Declined" }
                p class="lede" { "The invitation is not good any more. Nothing else has changed." }
                p class="buttons" { a class="button primary" href="/" { "To the front page" } }
            }
        };
        Ok(Sheet::new("Declined", body).into())
    })
    .await
}
