//! `/invite/…`: joining an account that one is invited to.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::Worker;
use super::figures;
use super::shell::{new_password, summary};
use super::visit::{Answer, Sheet, Visit, go, show, take};
use crate::base::{Blame, Error, Kind};
use crate::store::Token;

async fn page(visit: &Visit, invitation: &Token, error: Option<&Error>) -> Result<Sheet, Error> {
    let account = visit.app.shared.store.account(invitation.account.as_str()).await;
    let account = account.map_err(Error::internal)?;
    let name = account.map_or_else(String::new, |account| account.name);
    let payload: Value = serde_json::from_str(&invitation.payload).map_err(Error::internal)?;
    let body = html! {
        div class="narrow" {
            h1 { "Join " (name) }
            p class="lede" {
                (figures::text(&payload, "by")) " invites " strong { (invitation.subject) } " as "
                strong { (figures::text(&payload, "role")) } ". Good until "
                (figures::moment(invitation.expires)) "."
            }
            (summary(error))
            @if let Some(who) = &visit.who {
                p class="alert warn" {
                    "You are signed in as " (who.session.email) ". Sign out first to join as "
                    (invitation.subject) "."
                }
            } @else {
                form method="post" action=(visit.path) class="card" {
                    (visit.hidden())
                    (new_password("Choose a password"))
                    button class="primary" { "Join" }
                }
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
        Ok(page(visit, &invitation, None).await?.into())
    })
    .await
}

/// `POST /invite/{token}`
pub async fn accept(
    app: Worker,
    request: HttpRequest,
    token: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take(app, request, &body, async |visit, form| {
        let desk = &visit.app.shared.authentication;
        let invitation = desk.invited(&token).await?;
        if visit.who.is_some() {
            let text = "You are signed in as somebody else. Sign out first.";
            return Err(Error::new(Kind::Conflict, text));
        }
        match desk.accept_and_enter(&token, form.secret("password"), visit.browser.clone()).await {
            Ok(opened) => {
                visit.keep_session(Some(opened.cookie.expose_secret()));
                Ok(go("/console"))
            }
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, &invitation, Some(&why)).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
