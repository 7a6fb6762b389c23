//! `/console/settings`: the person, their password, and what they are signed in with.

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;

use super::call::Call;
use super::figures::minute;
use super::form::Form;
use super::parts::{field, notice, summary};
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::admit::AddressChange;
use crate::base::{Blame, Error, Kind};
use crate::http::Worker;
use crate::store::{EndedSignIns, SignedIn};

/// A browser in a few words, as far as it says.
fn browser(agent: &str) -> &str {
    let known = [
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let found = known.iter().find(|(part, _)| agent.contains(part));
    found.map_or(if agent.is_empty() { "a program" } else { "another browser" }, |(_, name)| name)
}

/// The second factor; `codes` are the recovery codes that are left.
fn factor_section(visit: &Visit, session: &SignedIn, codes: i64) -> Markup {
    html! {
        section class="card" {
            h2 { "Second factor" }
            @if session.has_factor {
                p { span class="tag good" { "on" } " " (codes) " recovery codes are left." }
                form method="post" action="/console/settings/factor/off" {
                    (visit.hidden())
                    (field("factor-password", "Password", html! { input id="factor-password" name="password" type="password" autocomplete="current-password" required maxlength="1024"; }, None))
                    (field("factor-otp", "Code", html! { input id="factor-otp" name="otp" autocomplete="one-time-code" required maxlength="20"; }, Some("Of the app, or a recovery code.")))
                    button class="danger" { "Switch it off" }
                }
            } @else if visit.app.shared.authentication.vault.is_none() {
                p { "It cannot be kept here: the gateway has no vault key. Ask your administrator." }
            } @else {
                p { span class="tag" { "off" } " With it, signing in asks for a code of an app on your phone, too." }
                form method="post" action="/console/settings/factor" {
                    (visit.hidden())
                    button { "Set it up" }
                }
            }
        }
    }
}

/// Leaving for good: a person, and the account.
fn leaving_section(visit: &Visit, who: &Who) -> Markup {
    let runs = who.caller.person.must_run_the_account().is_ok();
    html! {
        h2 { "Leaving" }
        div class="two" {
            details class="card" {
                summary { "Delete me" }
                p { "You are forgotten for good, in every account that you are in: your keys end, and all that you keep here goes. What you used stays in the books, under a name that stands for nobody." }
                form method="post" action="/console/settings/leave" {
                    (visit.hidden())
                    button class="danger" { "Delete " (who.session.email) }
                }
            }
            @if runs {
                details class="card" {
                    summary { "Delete the account" }
                    p { "Its members, keys and all that they keep are forgotten for good. Its books stay, under an id that stands for nobody." }
                    form method="post" action="/console/settings/delete" {
                        (visit.hidden())
                        (field("account-name", &format!("Type its name, {}, to go on", who.session.account_name), html! { input id="account-name" name="name" required autocomplete="off" maxlength="200"; }, None))
                        button class="danger" { "Delete the account" }
                    }
                }
            }
        }
    }
}

/// The settings, or what was typed and why it was refused.
pub(super) async fn page(
    visit: &Visit,
    who: &Who,
    refused: Option<(&Form, &Error)>,
) -> Result<Sheet, Error> {
    let error = refused.map(|(_, error)| error);
    // A field of the form that was sent to this part of the settings.
    let typed = |part: &str, field: &str| {
        let (form, _) = refused.filter(|_| visit.path.ends_with(&format!("/settings/{part}")))?;
        Some(form.text(field))
    };
    let done = match visit.query.text("done") {
        "password" => Some("Your password was changed. All else that was signed in has ended."),
        "factor_wanted" => Some(
            "This gateway wants you to have a second factor. Set it up to go on: here, under \"Second \
             factor\".",
        ),
        "factor_off" => Some("The second factor is off."),
        "verified" => Some("Your address is confirmed."),
        "mailed" => Some("A link is on its way to your address. It is good for one day."),
        "ended" => Some("That has ended."),
        "renamed" => Some("The account has another name."),
        "named" => Some("Your name was changed."),
        "moving" => Some(
            "A link is on its way to the new address. It is yours once you have followed it, within a \
             day.",
        ),
        "moved" => Some("You sign in with the new address from now on."),
        _ => None,
    };
    let session = &who.session;
    let desk = &visit.app.shared.authentication;
    let sessions = desk.sessions_of(session).await?;
    let factor = desk.factor_of(&session.person).await?;
    let several = !who.accounts.is_empty();
    let runs = who.caller.person.must_run_the_account().is_ok();
    let body = html! {
        h1 { "Settings" }
        (notice(done))
        (summary(error))
        div class="two" {
            section class="card" {
                h2 { "You" }
                dl class="facts" {
                    dt { "E-mail" } dd {
                        (session.email) " "
                        @if session.verified { span class="tag good" { "confirmed" } }
                        @else { span class="tag" { "not confirmed" } }
                    }
                    dt { "Role" } dd { (session.role) }
                    dt { "Account" } dd { (session.account_name) }
                    dt { "Plan" } dd { (who.caller.plan.name) }
                    dt { "API keys" } dd { a href="/console/keys" { "Look after keys" } }
                    dt { "Team" } dd { a href="/console/team" { "Who is in the account" } }
                }
                @if !session.verified && desk.mail.is_some() {
                    form method="post" action="/console/settings/verify" {
                        (visit.hidden())
                        button { "Mail me a link that confirms it" }
                    }
                }
                form method="post" action="/console/settings/me" {
                    (visit.hidden())
                    (field("my-name", "Your name", html! { input id="my-name" name="name" autocomplete="name" maxlength="200" value=(typed("me", "name").unwrap_or(&session.name)); }, Some("As the others of the account see it. It may be empty.")))
                    button { "Save" }
                }
            }
            section class="card" {
                h2 { "E-mail" }
                form method="post" action="/console/settings/email" {
                    (visit.hidden())
                    (field("email", "New address", html! { input id="email" name="email" type="email" autocomplete="email" required maxlength="320" value=(typed("email", "email").unwrap_or_default()); }, Some(if desk.mail.is_some() { "We mail it a link; until you follow it, nothing changes." } else { "It holds at once: this gateway sends no mail, so nobody can confirm it." })))
                    button { "Change address" }
                }
            }
            section class="card" {
                h2 { "Password" }
                form method="post" action="/console/settings/password" {
                    (visit.hidden())
                    (field("old", "Password now", html! { input id="old" name="old" type="password" autocomplete="current-password" required maxlength="1024"; }, None))
                    @if session.has_factor {
                        (field("otp", "Code of your second factor", html! { input id="otp" name="otp" autocomplete="one-time-code" required maxlength="20"; }, None))
                    }
                    (field("new", "New password", html! { input id="new" name="new" type="password" autocomplete="new-password" required minlength="10" maxlength="1024" aria-describedby="length"; }, None))
                    p class="hint" id="length" { "10 characters or more. All else that you are signed in with ends." }
                    button { "Change password" }
                }
            }
            (factor_section(visit, session, factor.codes))
            @if runs {
                section class="card" {
                    h2 { "Organisation" }
                    form method="post" action="/console/settings/name" {
                        (visit.hidden())
                        (field("name", "Name", html! { input id="name" name="name" required maxlength="200" value=(typed("name", "name").unwrap_or(&session.account_name)); }, None))
                        button { "Rename" }
                    }
                }
            }
        }
        section {
            h2 { "Signed in" }
            div class="scroll" {
                table class="cards" {
                    thead { tr { th scope="col" { "With" } @if several { th scope="col" { "Account" } } th scope="col" { "Since" } th scope="col" { "Last seen" } th scope="col" { "Address" } th scope="col" { "" span class="dim" { "End it" } } } }
                    tbody {
                        @for one in &sessions {
                            tr {
                                th scope="row" { (browser(&one.browser.agent)) @if one.id == session.id { " " span class="tag good" { "this one" } } }
                                @if several { td data-name="Account" { (one.account_name) } }
                                td data-name="Since" { (minute(one.created)) }
                                td data-name="Last seen" { (minute(one.seen.max(one.created))) }
                                td data-name="Address" class="mono" { (one.browser.address) }
                                td data-name="" {
                                    @if one.id != session.id {
                                        form method="post" action=(format!("/console/settings/sessions/{}", one.id)) {
                                            (visit.hidden())
                                            button class="quiet danger" { "End" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if sessions.len() > 1 {
                form method="post" action="/console/settings/sessions" { (visit.hidden()) button class="danger" { "End all others" } }
            }
        }
        (leaving_section(visit, who))
    };
    let sheet = Sheet::new("Settings", body)
        .by_api(Call::get("/v1/me").of_person())
        .by_api(Call::get("/v1/me/sessions").of_person());
    Ok(match error {
        Some(error) => sheet.refused(error),
        None => sheet,
    })
}

/// `GET /console/settings`
pub async fn settings(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, async |visit, who| Ok(page(visit, who, None).await?.into())).await
}

/// `POST /console/settings/password`
pub async fn password(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let desk = &visit.app.shared.authentication;
        match desk
            .change_password_and_enter(
                &who.session,
                form.secret("old"),
                form.secret("new"),
                form.given("otp"),
            )
            .await
        {
            Ok(opened) => {
                visit.keep_session(Some(opened.cookie.expose_secret()));
                Ok(go("/console/settings?done=password"))
            }
            Err(why) if why.blame == Blame::Caller => {
                Ok::<Answer, Error>(page(visit, who, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /console/settings/verify`: mails a link that confirms the address
pub async fn verify(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        let email = &who.session.email;
        visit.app.shared.authentication.change_email(&who.session, email).await?;
        Ok(go("/console/settings?done=mailed"))
    })
    .await
}

/// `POST /console/settings/email`: another address
pub async fn move_to(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let desk = &visit.app.shared.authentication;
        match desk.change_email(&who.session, form.text("email")).await {
            Ok(AddressChange::Asked) => Ok(go("/console/settings?done=moving")),
            Ok(AddressChange::Done) => Ok(go("/console/settings?done=moved")),
            Err(why) if why.blame == Blame::Caller && why.kind != Kind::Forbidden => {
                Ok::<Answer, Error>(page(visit, who, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /console/settings/me`: another name
pub async fn name(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        match visit.app.shared.authentication.rename(&who.session, form.text("name")).await {
            Ok(()) => Ok(go("/console/settings?done=named")),
            Err(why) if why.kind == Kind::Malformed => {
                let why = why.at("my-name");
                Ok::<Answer, Error>(page(visit, who, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /console/settings/name`
pub async fn rename(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        who.caller.person.must_run_the_account()?;
        let desk = &visit.app.shared.authentication;
        match desk.rename_account(&who.session.account, form.text("name")).await {
            Ok(()) => Ok(go("/console/settings?done=renamed")),
            Err(why) if matches!(why.kind, Kind::Malformed | Kind::Conflict) => {
                Ok::<Answer, Error>(page(visit, who, Some((form, &why))).await?.into())
            }
            Err(why) => Err(why),
        }
    })
    .await
}

/// `POST /console/settings/sessions/{id}`: ends one
pub async fn end(app: Worker, request: HttpRequest, id: Path<String>, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        visit.app.shared.authentication.leave(&who.session, EndedSignIns::One(id.clone())).await?;
        Ok(go("/console/settings?done=ended"))
    })
    .await
}

/// `POST /console/settings/sessions`: ends all but this one
pub async fn end_others(app: Worker, request: HttpRequest, body: Bytes) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, _| {
        let id = who.session.id.clone();
        visit.app.shared.authentication.leave(&who.session, EndedSignIns::AllBut(id)).await?;
        Ok(go("/console/settings?done=ended"))
    })
    .await
}
