//! `/console/keys`: the keys, and putting another in the place of one.

use std::collections::HashMap;

use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::call::Call;
use super::figures::{minute, moment, usd};
use super::parts::{choice, field, notice, snippet, summary};
use super::samples;
use super::serve::{show_member, take_member};
use super::sheet::{Answer, Sheet, go};
use super::visit::{Visit, Who};
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::http::Worker;
use crate::stored::keys::{self, KnownKey};

/// So many keys are on a page.
const PAGE: usize = 50;

/// Whether it lets anybody in, in words and a colour.
fn state(one: &KnownKey, now: Timestamp) -> Markup {
    let expires = one.terms.expires();
    html! {
        @if one.is_good(now) {
            @match (one.key.revoked, expires) {
                (Some(until), _) => span class="tag warn" { "rotated, good until " (minute(until)) },
                (None, Some(until)) => span class="tag good" { "good until " (minute(until)) },
                (None, None) => span class="tag good" { "good" },
            }
        } @else if one.key.revoked.is_some_and(|at| at <= now) {
            span class="tag bad" { "revoked" }
        } @else {
            span class="tag bad" { "expired" }
        }
    }
}

/// What it may do less than its account, in words.
fn limits(one: &KnownKey) -> Markup {
    let terms = &one.terms;
    html! {
        @if *terms == crate::admit::KeyTerms::default() { span class="dim" { "none" } }
        @if let Some(budget) = terms.monthly_budget_usd { span class="tag" { (usd(budget.0)) " a month" } " " }
        @if let Some(credits) = terms.monthly_credits { span class="tag" { (credits) " credits a month" } " " }
        @if let Some(scopes) = &terms.scopes { span class="tag" { (scopes.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ")) } " " }
        @if let Some(models) = &terms.models { span class="tag" { (models.len()) " model names" } " " }
        @if !terms.demands().is_empty() { span class="tag" { "own data policy" } " " }
        @if terms.requests_per_minute.is_some() || terms.requests_per_day.is_some() || terms.tokens_per_minute.is_some() { span class="tag" { "own rates" } }
    }
}

fn row(one: &KnownKey, people: &HashMap<String, String>, now: Timestamp) -> Markup {
    let id = one.key.id.as_str();
    let rotatable = one.is_good(now) && one.key.revoked.is_none();
    html! {
        tr {
            th scope="row" { a href=(format!("/console/keys/{id}")) { (one.key.name) } }
            td data-name="Hint" class="mono hint-of" { "…" (one.key.hint.rsplit('…').next().unwrap_or_default()) }
            td data-name="Speaks for" {
                @match &one.key.member {
                    Some(member) => (people.get(member).map_or(member.as_str(), String::as_str)),
                    None => "the account",
                }
            }
            td data-name="Limits" { span { (limits(one)) } }
            td data-name="Last used" { (one.last_used.map_or_else(|| "never".to_owned(), minute)) }
            td data-name="State" { (state(one, now)) }
            td data-name="" {
                @if rotatable { a href=(format!("/console/keys/{id}/rotate")) { "Rotate" } " " }
                @if one.is_good(now) { a class="bad" href=(format!("/console/keys/{id}/revoke")) { "Revoke" } }
            }
        }
    }
}

async fn page(visit: &Visit, who: &Who) -> Result<Answer, Error> {
    let form = &visit.query;
    let done = match form.text("done") {
        "changed" => Some("The key was changed. It holds within a second, everywhere."),
        "revoked" => Some("The key was revoked. Nobody is let in by it any more."),
        _ => None,
    };
    let now = visit.app.shared.clock.now();
    let mut all = keys::list(visit.app.keys(), &who.caller).await?;
    // Newest first, and what is good before what is not.
    all.reverse();
    let gone = form.has("show", "all");
    let hidden = all.iter().filter(|one| !one.is_good(now)).count();
    all.retain(|one| gone || one.is_good(now));
    let after =
        form.given("after").and_then(|id| all.iter().position(|one| one.key.id.as_str() == id));
    let start = after.map_or(0, |at| at + 1);
    let shown = all.get(start..(start + PAGE).min(all.len())).unwrap_or_default();
    let people = visit.app.shared.store.members(who.session.account.clone()).await;
    let people: HashMap<String, String> =
        people.map_err(Error::internal)?.into_iter().map(|one| (one.id, one.email)).collect();
    let body = html! {
        div class="head" {
            h1 { "API keys" }
            a class="button primary" href="/console/keys/new" { "Create key" }
        }
        (notice(done))
        @if shown.is_empty() {
            div class="card empty" {
                p { "No key yet. A key lets your programs in; you see it once, when it is made." }
                a class="button primary" href="/console/keys/new" { "Create your first key" }
            }
        } @else {
            div class="scroll" {
                table class="cards" {
                    thead {
                        tr {
                            th scope="col" { "Name" } th scope="col" { "Hint" } th scope="col" { "Speaks for" }
                            th scope="col" { "Limits" } th scope="col" { "Last used" } th scope="col" { "State" }
                            th scope="col" { "Actions" }
                        }
                    }
                    tbody { @for one in shown { (row(one, &people, now)) } }
                }
            }
        }
        p class="buttons" {
            @if let Some(last) = shown.last().filter(|_| start + PAGE < all.len()) {
                a class="button" href=(format!("/console/keys?after={}", last.key.id)) { "More" }
            }
            @if hidden > 0 && !gone { a href="/console/keys?show=all" { "Show " (hidden) " revoked and expired" } }
            @if gone { a href="/console/keys" { "Hide revoked and expired" } }
        }
    };
    Ok(Sheet::new("API keys", body).by_api(Call::get("/v1/keys")).into())
}

/// `GET /console/keys`
pub async fn list(app: Worker, request: HttpRequest) -> HttpResponse {
    show_member(app, request, page).await
}

/// `GET /console/keys/{id}/rotate`
pub async fn ask_rotate(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        let one = keys::get(visit.app.keys(), &who.caller, &id).await?;
        let last = one.last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", minute(at)));
        let overlaps = [("0", "at once"), ("3600", "in 1 hour"), ("86400", "in 24 hours"), ("604800", "in 7 days")];
        let body = html! {
            h1 { "Rotate " (one.key.name) }
            p class="lede" { "You get a new key with the same terms. Both are held to the same limits together while the old one is still good. The old one was " (last) "." }
            form method="post" action=(visit.path) class="card narrow" {
                (visit.hidden())
                (field("overlap", "The old key ends", choice("overlap", &overlaps, "3600"), None))
                p class="buttons" { button class="primary" { "Rotate" } a class="button" href="/console/keys" { "Leave it" } }
            }
        };
        Ok(Sheet::new("Rotate a key", body).into())
    })
    .await
}

/// `POST /console/keys/{id}/rotate`
pub async fn rotate(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let seconds = form.whole("overlap")?.unwrap_or(0);
        let overlap = std::time::Duration::from_secs(seconds);
        let issued = keys::rotate(visit.app.keys(), &who.caller, &id, overlap, Some(&who.session)).await?;
        let old = keys::get(visit.app.keys(), &who.caller, &id).await?;
        let key = issued.secret.expose_secret();
        let now = visit.app.shared.clock.now();
        let body = html! {
            h1 { "The new key of " (old.key.name) }
            p class="lede" { "It is shown only now." }
            div class="card" { div class="secret" { (snippet("secret", key)) } }
            div class="scroll" {
                table class="cards" {
                    caption { "The old one and the new one" }
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Hint" } th scope="col" { "Last used" } th scope="col" { "State" } } }
                    tbody {
                        tr { th scope="row" { "old" } td data-name="Hint" class="mono" { (old.key.hint) } td data-name="Last used" { (old.last_used.map_or_else(|| "never".to_owned(), minute)) } td data-name="State" { (state(&old, now)) } }
                        tr { th scope="row" { "new" } td data-name="Hint" class="mono" { (issued.key.hint) } td data-name="Last used" { "never" } td data-name="State" { span class="tag good" { "good" } } }
                    }
                }
            }
            @if let Some(until) = old.key.revoked.filter(|until| *until > now) {
                p { "Give it to your programs before " time datetime=(calendar::written(until)) { (moment(until)) } ". The list of keys says when the old one was last used." }
            }
            p class="buttons" { a class="button primary" href="/console/keys" { "I have saved it: go on" } }
            (samples::tabs("rotated", &visit.home, key, "auto"))
        };
        let call = Call::of("POST", format!("/v1/keys/{}/rotate", *id)).with("overlap_seconds", Some(seconds.to_string()));
        Ok(Sheet::new("The new key", body).by_api(call).into())
    })
    .await
}

/// What is asked before a key is revoked; `refused`: what was typed, and why it will not do.
fn revoking(visit: &Visit, one: &KnownKey, refused: Option<(&str, &Error)>) -> Answer {
    let last = one
        .last_used
        .map_or_else(|| "never used".to_owned(), |at| format!("last used {}", minute(at)));
    let (typed, error) = refused.unzip();
    let body = html! {
        h1 { "Revoke " (one.key.name) }
        p class="lede" { "It ends at once and for good. It was " (last) "." }
        (summary(error))
        form method="post" action=(visit.path) class="card narrow" {
            (visit.hidden())
            (field("name", &format!("Type the name of the key, {}, to go on", one.key.name), html! {
                input id="name" name="name" required autocomplete="off" maxlength="200" value=(typed.unwrap_or_default());
            }, None))
            p class="buttons" { button class="danger" { "Revoke" } a class="button" href="/console/keys" { "Leave it" } }
        }
    };
    let call = Call::of("DELETE", format!("/v1/keys/{}", one.key.id));
    let sheet = Sheet::new("Revoke a key", body).by_api(call);
    match error {
        Some(error) => sheet.refused(error).into(),
        None => sheet.into(),
    }
}

/// `GET /console/keys/{id}/revoke`
pub async fn ask_revoke(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    show_member(app, request, async |visit, who| {
        let one = keys::get(visit.app.keys(), &who.caller, &id).await?;
        Ok(revoking(visit, &one, None))
    })
    .await
}

/// `POST /console/keys/{id}/revoke`
pub async fn revoke(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    body: Bytes,
) -> HttpResponse {
    take_member(app, request, &body, async |visit, who, form| {
        let one = keys::get(visit.app.keys(), &who.caller, &id).await?;
        if form.text("name") != one.key.name.trim() {
            let text = format!("The name that you typed is not '{}'.", one.key.name);
            let error = Error::new(Kind::Malformed, text).at("name");
            return Ok(revoking(visit, &one, Some((form.text("name"), &error))));
        }
        keys::revoke(visit.app.keys(), &who.caller, &id).await?;
        Ok(go("/console/keys?done=revoked"))
    })
    .await
}

/// A key that was just made, shown once.
#[must_use]
pub fn made(visit: &Visit, name: &str, secret: &str, sent: &serde_json::Value) -> Answer {
    let body = html! {
        h1 { "Your new key, " (name) }
        p class="lede" { "It is shown only now: keep it where your programs find it." }
        div class="card" {
            div class="secret" { (snippet("secret", secret)) }
            (samples::tabs("made", &visit.home, secret, "auto"))
            p class="buttons" { a class="button primary" href="/console/keys" { "I have saved it: go on" } }
        }
    };
    let said = if sent.is_null() { json!({}) } else { sent.clone() };
    Sheet::new("Your new key", body).by_api(Call::of("POST", "/v1/keys").saying(said)).into()
}
