//! The second factor in the settings: on by a code of an app, off by password and code.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use maud::html;
use secrecy::ExposeSecret as _;

use super::parts::{field, snippet, summary};
use super::qr::qr;
use super::serve::take_member;
use super::settings;
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;

async fn drafted(visit: &Visit, who: &Who, error: Option<&Error>) -> Result<Sheet, Error> {
    let draft = visit.app.shared.authentication.draft_factor(&who.session).await?;
    let body = html! {
        h1 { "Set up a second factor" }
        (summary(error))
        div class="card" {
            p { "1. Add this secret to an app that shows codes: scan the code, type it, or open the link on the device that has the app." }
            (qr(&draft.uri, "QR code of the link that adds the secret to an app"))
            div class="secret" { (snippet("secret", draft.secret.expose_secret())) }
            details { summary { "As a link" } (snippet("uri", &draft.uri)) }
            form method="post" action="/console/settings/factor/confirm" {
                (visit.hidden())
                (field("code", "2. The six digits that it shows now", html! {
                    input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required maxlength="12";
                }, None))
                button class="primary" { "Switch it on" }
            }
        }
        p { a href="/console/settings" { "Back to the settings" } }
    };
    let sheet = Sheet::new("Set up a second factor", body);
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `POST /console/settings/factor`: a secret for an app
pub async fn begin(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, _, _| {
        let who = visit.must_be_proved()?;
        Ok(drafted(visit, who, None).await?.into())
    })
    .await
}

/// `POST /console/settings/factor/confirm`: on, and the recovery codes, once
pub async fn confirm(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, _, form| {
        let who = visit.must_be_proved()?;
        let desk = &visit.app.shared.authentication;
        let codes = match desk.confirm_factor(&who.session.person, form.text("code")).await {
            Ok(codes) => codes,
            Err(why) if matches!(why.kind, Kind::Malformed | Kind::RateLimited) => {
                return Ok::<Answer, Error>(drafted(visit, who, Some(&why)).await?.into());
            }
            Err(why) => return Err(why),
        };
        let body = html! {
            h1 { "The second factor is on" }
            p class="lede" { "Keep these recovery codes where you find them without your phone. Each signs you in once, in place of the app's code; they are shown only now." }
            div class="card" { div class="secret" { (snippet("codes", &codes.join("\n"))) } }
            p class="buttons" { a class="button primary" href="/console/settings" { "I have saved them" } }
        };
        Ok(Sheet::new("The second factor is on", body).into())
    })
    .await
}

/// `POST /console/settings/factor/off`
pub async fn off(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let desk = &visit.app.shared.authentication;
        let (password, otp) = (form.secret("password"), form.text("otp"));
        match desk.drop_factor(&who.session, password, otp, &visit.browser.address).await {
            Ok(()) => Ok(go("/console/settings?done=factor_off")),
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(settings::page(visit, who, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}
