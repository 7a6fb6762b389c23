//! What is around every page: the navigation, the headers, and the pages of what went wrong.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE,
};
use maud::{DOCTYPE, Markup, html};

use super::sheet::{Answer, Sheet};
use super::visit::{Visit, Who};
use super::{assets, call};
use crate::admit::Scope;
use crate::base::ids::RequestId;
use crate::base::{Blame, Error, Kind};

/// Only what this gateway itself serves is loaded, run, sent to or framed; nothing is written into a
/// page as markup by a script.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// All that a page could ask a browser for is off, but for writing to the clipboard: copy buttons do.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), \
    clipboard-read=(), display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), \
    geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), \
    microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-create=(), \
    publickey-credentials-get=(), screen-wake-lock=(), serial=(), sync-xhr=(), usb=(), \
    window-management=(), xr-spatial-tracking=()";

/// What every page is sent with, and every file.
fn secure(response: &mut HttpResponse, visit: &Visit) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", CONTENT_POLICY),
        // Not `no-referrer`, which would have browsers say `Origin: null` of our own forms.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", PERMISSIONS),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if visit.is_encrypted() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), year);
    }
    let took = visit.began.elapsed().as_secs_f64() * 1e3;
    if let Ok(value) = HeaderValue::from_str(&format!("app;dur={took:.1}")) {
        headers.insert(HeaderName::from_static("server-timing"), value);
    }
    for cookie in visit.cookies() {
        headers.append(SET_COOKIE, cookie);
    }
}

/// From what a visit came to, to HTTP.
pub fn respond(visit: &Visit, outcome: Result<Answer, Error>) -> HttpResponse {
    let mut response = match outcome {
        Ok(Answer::Sheet(sheet)) => page(visit, &sheet),
        Ok(Answer::Go(path)) => {
            let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
            if let Ok(path) = HeaderValue::from_str(&path) {
                response.headers_mut().insert(LOCATION, path);
            }
            response
        }
        Ok(Answer::Bare(response)) => response,
        Err(error) => {
            let mut response = page(visit, &failed(visit, &error));
            if let Some(wait) = error.retry_after {
                let seconds = wait.as_secs().max(1);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    };
    secure(&mut response, visit);
    response
}

fn page(visit: &Visit, sheet: &Sheet) -> HttpResponse {
    let mut response = HttpResponse::new(sheet.status);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response.set_body(framed(visit, sheet).into_string()).map_into_boxed_body()
}

/// A page of what went wrong: what happened, what was not done, what to do, and the request's id.
fn failed(visit: &Visit, error: &Error) -> Sheet {
    let id = RequestId::fresh();
    match error.blame {
        Blame::Us => tracing::error!(request = %id, %error, "a page cannot be shown"),
        _ => tracing::debug!(request = %id, %error, "a page was refused"),
    }
    let (title, next) = match error.kind {
        Kind::NotFound | Kind::UnknownModel => ("Not found", "Look for it in the navigation."),
        Kind::Unauthenticated => (
            "You are not signed in",
            "Nothing was done. Sign in in another tab, come back to this one, go back to the form and \
             send it again: your browser keeps what you typed.",
        ),
        Kind::Forbidden => ("That is not allowed", "Nothing was done."),
        Kind::Conflict => ("That is not possible", "Nothing was done this time."),
        Kind::RateLimited => ("Too many attempts", "Nothing was done. Wait, then try again."),
        Kind::Malformed | Kind::Unsupported | Kind::TooLarge => {
            ("That cannot be read", "Nothing was done. Go back, change it, and send it again.")
        }
        _ => (
            "Something of ours failed",
            "It is not known whether anything was done. Load the page again to see.",
        ),
    };
    let waiting = error.retry_after.filter(|_| error.kind == Kind::RateLimited);
    let body = html! {
        h1 { (title) }
        p class="lede" { (error.public) }
        p { (next) }
        @if let Some(wait) = waiting {
            p { "It opens again in " (wait.as_secs().div_ceil(60)) " minutes." }
        }
        p class="buttons" {
            @if error.kind == Kind::Unauthenticated {
                a class="button primary" href="/signin" target="_blank" rel="noopener" { "Sign in in another tab" }
            } @else if visit.who.is_some() {
                a class="button primary" href="/console" { "To the overview" }
            } @else {
                a class="button primary" href="/" { "To the front page" }
            }
        }
        p class="dim small" { "Request " code { (id) } }
    };
    Sheet::new(title, body).refused(error)
}

struct Place {
    path: &'static str,
    name: &'static str,
    /// Whoever may not do this is not led there.
    scope: Option<Scope>,
}

const fn place(path: &'static str, name: &'static str) -> Place {
    Place { path, name, scope: None }
}

const fn place_for(scope: Scope, path: &'static str, name: &'static str) -> Place {
    Place { path, name, scope: Some(scope) }
}

const MINE: [Place; 7] = [
    place("/console", "Overview"),
    place_for(Scope::Keys, "/console/keys", "API keys"),
    place("/console/usage", "Usage"),
    place("/console/requests", "Requests"),
    place_for(Scope::Chat, "/console/playground", "Playground"),
    place("/console/models", "Models"),
    place_for(Scope::Platform, "/console/features", "Features"),
];
const KEPT: [Place; 3] = [
    place_for(Scope::Platform, "/console/memory", "Memory"),
    place_for(Scope::Platform, "/console/agents", "Agents"),
    place_for(Scope::Platform, "/console/connect", "Connect"),
];
const ABOUT: [Place; 3] = [
    place("/console/team", "Team"),
    place("/console/settings", "Settings"),
    place("/docs", "Docs"),
];
const GATEWAY: [Place; 8] = [
    place("/admin", "Gateway"),
    place("/admin/accounts", "Accounts"),
    place("/admin/plans", "Plans"),
    place("/admin/refunds", "Refunds"),
    place("/admin/providers", "Providers"),
    place("/admin/nodes", "Nodes"),
    place("/admin/audit", "Audit"),
    place("/admin/outbox", "Outbox"),
];

fn is_here(visit: &Visit, path: &str) -> bool {
    let below = visit.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    visit.path == path || (below && path != "/console" && path != "/admin")
}

fn places(visit: &Visit, who: &Who, heading: Option<&str>, all: &[Place]) -> Markup {
    let may =
        |place: &&Place| place.scope.is_none_or(|scope| who.caller.must_be_for(scope).is_ok());
    let all: Vec<&Place> = all.iter().filter(may).collect();
    html! {
        @if let Some(heading) = heading.filter(|_| !all.is_empty()) { p class="group" { (heading) } }
        @if !all.is_empty() { ul {
            @for place in all {
                li {
                    a href=(place.path) aria-current=[is_here(visit, place.path).then_some("page")] {
                        (place.name)
                    }
                }
            }
        } }
    }
}

fn navigation(visit: &Visit, who: &Who) -> Markup {
    html! {
        (places(visit, who, None, &MINE))
        (places(visit, who, Some("Kept for you"), &KEPT))
        (places(visit, who, Some("Account"), &ABOUT))
        @if who.caller.admin { (places(visit, who, Some("Administration"), &GATEWAY)) }
    }
}

fn brand(home: &str) -> Markup {
    html! {
        a class="brand" href=(home) {
            svg viewBox="0 0 24 24" aria-hidden="true" {
                path d="M3 12h5m8 0h5M8 12l4-6 4 6-4 6z" {}
                circle cx="3" cy="12" r="1.6" {}
                circle cx="21" cy="12" r="1.6" {}
            }
            span { "Optimux" }
        }
    }
}

fn framed(visit: &Visit, sheet: &Sheet) -> Markup {
    let signed_in = visit.who.is_some();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (sheet.title) " · Optimux" }
                link rel="icon" href=(assets::path("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::path("console.css"));
                script src=(assets::path("console.js")) defer {}
                @if let Some(script) = sheet.script { script src=(assets::path(script)) defer {} }
            }
            body class=(if signed_in { "inside" } else { "outside" }) {
                a class="skip" href="#main" { "Skip to the content" }
                @match &visit.who {
                    Some(who) => (top_inside(visit, who)),
                    None => (top_outside(visit)),
                }
                main id="main" tabindex="-1" {
                    (sheet.body)
                    (call::shown(&visit.home, &sheet.calls))
                }
                footer {
                    p {
                        @if !visit.is_encrypted() { span class="warn" { "This connection is not encrypted. " } }
                        "Times are UTC. "
                        a href="/docs" { "Docs" } " · " a href="/status" { "Status" }
                    }
                }
            }
        }
    }
}

fn top_inside(visit: &Visit, who: &Who) -> Markup {
    html! {
        header class="side" {
            (brand("/console"))
            nav class="wide" aria-label="Main" { (navigation(visit, who)) }
            details class="narrow" {
                summary { "Menu" }
                nav aria-label="Menu" { (navigation(visit, who)) }
            }
            div class="me" {
                p class="account" title=(who.session.account_name) { (who.session.account_name) }
                p class="dim small" title=(who.session.email) { (who.session.email) " · " (who.session.role) }
                (others(visit, who))
                form method="post" action="/signout" {
                    (visit.hidden())
                    button class="quiet" { "Sign out" }
                }
            }
        }
    }
}

/// The other accounts, for who has any.
fn others(visit: &Visit, who: &Who) -> Markup {
    let others: Vec<_> =
        who.accounts.iter().filter(|one| one.member.account != who.session.account).collect();
    html! {
        @if !others.is_empty() {
            details class="switch" {
                summary { "Another account" }
                form method="post" action="/console/account" {
                    (visit.hidden())
                    @for one in others {
                        button class="quiet" name="account" value=(one.member.account) disabled[one.suspended] {
                            (one.account_name) @if one.suspended { " (suspended)" }
                        }
                    }
                }
            }
        }
    }
}

fn top_outside(visit: &Visit) -> Markup {
    html! {
        header class="top" {
            (brand("/"))
            nav aria-label="Main" {
                ul {
                    @for (path, name) in [("/docs", "Docs"), ("/status", "Status"), ("/signin", "Sign in")] {
                        li { a href=(path) aria-current=[is_here(visit, path).then_some("page")] { (name) } }
                    }
                    @if visit.app.shared.authentication.register.is_some() {
                        li { a class="button primary" href="/signup" { "Sign up" } }
                    }
                }
            }
        }
    }
}
