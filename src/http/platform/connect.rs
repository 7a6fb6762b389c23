//! `/v1/connect/*`: apps, the accounts that users have there, tools, actions, and what happens.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{CloseCode, Message, MessageStream, Session};
use futures_util::StreamExt;
use serde::Deserialize;

use super::act::{act, act_on};
use crate::admit::users;
use crate::apps::{self, Action, NewConnection};
use crate::base::ids::{EventId, RequestId};
use crate::base::{Error, Kind};
use crate::http::arrival::caller;
use crate::http::{Worker, arrival, frames, origin, respond, visit};
use crate::wire::vocab::Dialect;

/// How often the store is asked for what other nodes noted.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often a watcher is asked whether it is there.
const PULSE: Duration = Duration::from_secs(20);
/// A watcher has nothing to say.
const WATCHER_BYTES: usize = 4 << 10;

/// What binds an authorization to the browser that it began in.
const OAUTH_STATE: &str = "optimux_errand";
/// The page has a form and nothing else, and is in no frame. Where the form leads to is not said, since
/// it is followed by a redirect to wherever the app is.
const PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// The query that names an app.
#[derive(Debug, Deserialize)]
pub struct AppQuery {
    app: Option<String>,
}

/// The query with which an authorization server sends a browser back.
#[derive(Debug, Deserialize)]
pub struct OAuthCallback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// `GET /v1/connect/apps`
pub async fn apps(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |caller| apps::apps(&app.shared.connections, &caller)).await
}

/// `GET /v1/connect/accounts`
pub async fn accounts(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |caller| apps::accounts(&app.shared.connections, &caller).await).await
}

/// `POST /v1/connect/accounts`
pub async fn connect(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let home = origin::home(&app, &request);
    act_on(&app, &request, payload, async |caller, new: NewConnection| {
        apps::connect(&app.shared.connections, &caller, new, &home).await
    })
    .await
}

/// `DELETE /v1/connect/accounts/{id}`
pub async fn disconnect(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| {
        apps::disconnect(&app.shared.connections, &caller, &id).await
    })
    .await
}

/// What the browser was given when it left, if this is the one.
fn brought(request: &HttpRequest) -> Option<&str> {
    let cookies = request.headers().get("cookie")?.to_str().ok()?;
    cookies.split(';').find_map(|one| one.trim().strip_prefix(OAUTH_STATE)?.strip_prefix('='))
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// `GET /v1/connect/oauth/start`: a person is told what they are about to allow, since anybody may
/// have sent them here.
pub async fn ask(app: Worker, back: Query<OAuthCallback>) -> HttpResponse {
    let departure =
        match apps::depart(&app.shared.connections, back.state.as_deref().unwrap_or_default()) {
            Ok(departure) => departure,
            Err(error) => {
                return respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0);
            }
        };
    let (name, user) = (escaped(&departure.app), escaped(&departure.user));
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Connect {name}</title>\
         <h1>Connect {name}</h1>\
         <p>You are about to let <strong>{user}</strong> use your account at {name}. Go on only if \
         that is you, and you began this yourself.</p>\
         <form method=\"post\"><button>Continue to {name}</button></form>"
    );
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", PAGE_POLICY))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"))
        .body(page)
}

/// `POST /v1/connect/oauth/start`: from that page, and from no other
pub async fn leave(app: Worker, request: HttpRequest, back: Query<OAuthCallback>) -> HttpResponse {
    let leaving = || {
        let home = origin::home(&app, &request);
        let origin = request.headers().get("origin").and_then(|value| value.to_str().ok());
        if origin.is_some_and(|origin| origin != home && origin != "null") {
            let text = "This has to be asked for by the page that explains it.";
            return Err(Error::new(Kind::Forbidden, text).coded("other_origin"));
        }
        let departure =
            apps::depart(&app.shared.connections, back.state.as_deref().unwrap_or_default())?;
        // Lax: it is sent along when the authorization server sends the browser back.
        let kept = format!(
            "{OAUTH_STATE}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{}",
            departure.nonce,
            departure.lasts.as_secs(),
            if home.starts_with("https:") { "; Secure" } else { "" }
        );
        Ok((departure.url, kept))
    };
    match leaving() {
        Ok((url, kept)) => HttpResponse::SeeOther()
            .insert_header(("set-cookie", kept))
            .insert_header(("location", url))
            .insert_header(("referrer-policy", "no-referrer"))
            .finish(),
        Err(error) => respond::refused(&visit::id(&request), Dialect::OpenAiChat, &error, 0),
    }
}

/// `GET /v1/connect/oauth/callback`: a browser, sent here by an app's authorization server
pub async fn callback(
    app: Worker,
    request: HttpRequest,
    back: Query<OAuthCallback>,
) -> HttpResponse {
    let finishing = async {
        let back = back.into_inner();
        if let Some(error) = back.error {
            let error: String = error.chars().filter(char::is_ascii_graphic).take(80).collect();
            return Err(Error::new(Kind::Forbidden, format!("The app was not allowed: {error}.")));
        }
        let missing = |name: &'static str| {
            Error::new(Kind::Malformed, format!("Missing required parameter: '{name}'.")).at(name)
        };
        let state = back.state.ok_or_else(|| missing("state"))?;
        let code = back.code.ok_or_else(|| missing("code"))?;
        apps::finish_grant(&app.shared.connections, &state, &code, brought(&request)).await
    };
    let finished = finishing.await;
    let gone = format!("{OAUTH_STATE}=; Path=/; Max-Age=0");
    if is_for_a_person(&request) {
        return ended(&request, finished.map(|_| gone));
    }
    match finished {
        Ok(told) => HttpResponse::Ok().insert_header(("set-cookie", gone)).json(told),
        Err(error) => respond::refused(&visit::id(&request), Dialect::OpenAiChat, &error, 0),
    }
}

fn is_for_a_person(request: &HttpRequest) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// The page on which a browser ends that was sent to allow an app; on success, with the cookie that goes.
fn ended(request: &HttpRequest, finished: Result<String, Error>) -> HttpResponse {
    let (status, title, text) = match &finished {
        Ok(_) => (StatusCode::OK, "Connected", "The app can be used from now on.".to_owned()),
        Err(error) => {
            let refused = respond::refused(&visit::id(request), Dialect::OpenAiChat, error, 0);
            (refused.status(), "Not connected", escaped(&error.public))
        }
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1>\
         <p>{text}</p><p><a href=\"/console/connect\">Back to the console</a></p></html>"
    );
    let mut response = HttpResponse::build(status);
    response
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", PAGE_POLICY))
        .insert_header(("cache-control", "no-store"))
        .insert_header(("referrer-policy", "no-referrer"));
    if let Ok(gone) = finished {
        response.insert_header(("set-cookie", gone));
    }
    response.body(page)
}

/// `GET /v1/connect/tools`, `?app=` for those of one
pub async fn tools(app: Worker, request: HttpRequest, which: Query<AppQuery>) -> HttpResponse {
    act(&app, &request, async |caller| {
        apps::tools(&app.shared.connections, &caller, which.app.as_deref()).await
    })
    .await
}

/// `POST /v1/connect/actions/run`
pub async fn run(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |caller, action: Action| {
        apps::run(&app.shared.connections, &caller, action).await
    })
    .await
}

/// `WS /v1/connect/events`, `?after=` an event's id for all since, else from now on
pub async fn events(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    query: Query<HashMap<String, String>>,
) -> HttpResponse {
    let opening = async {
        let caller = caller(&app, &request).await?;
        // Whoever may not watch hears it before there is a socket.
        apps::events(&app.shared.connections, &caller, EventId::fresh().as_str()).await?;
        arrival::must_ask_for_socket(&request)?;
        let after = query.get("after").or(query.get("cursor")).cloned();
        let after = after.unwrap_or_else(|| EventId::fresh().as_str().to_owned());
        let unread = |why: actix_web::Error| Error::new(Kind::Malformed, format!("{why}."));
        let share = app.shared.serving.inflow.share(Some(&caller.account));
        let payload =
            frames::bounded(&request, payload, WATCHER_BYTES, share).await.map_err(unread)?;
        let (response, session, messages) =
            actix_ws::handle_with_protocols(&request, payload, &["optimux"]).map_err(unread)?;
        let credential = arrival::credential(&request).unwrap_or_default().to_owned();
        let user = arrival::user(&request).map(str::to_owned);
        actix_web::rt::spawn(watch(app.clone(), (credential, user), after, session, messages));
        Ok(response)
    };
    let outcome: Result<HttpResponse, Error> = opening.await;
    outcome.unwrap_or_else(|error| {
        respond::refused(&visit::id(&request), Dialect::OpenAiChat, &error, 0)
    })
}

/// Tells a watcher what happens until it leaves.
async fn watch(
    app: Worker,
    (credential, user): (String, Option<String>),
    mut after: String,
    mut session: Session,
    mut messages: MessageStream,
) {
    let mut noted = app.shared.connections.noted.subscribe();
    let mut pulse = tokio::time::interval(PULSE);
    let mut reason = None;
    loop {
        // Whoever is signed out hears no more.
        let reading = async {
            let caller = app.shared.identities.identify(Some(&credential)).await?;
            let caller = users::acting(&app.shared.identities, caller, user.as_deref()).await?;
            apps::events(&app.shared.connections, &caller, &after).await
        };
        let events: Result<_, Error> = reading.await;
        let events = match events {
            Ok(events) => events,
            Err(why) => {
                tracing::debug!(%why, "a watcher is told no more");
                break;
            }
        };
        for event in &events {
            if let Some(id) = event["id"].as_str() {
                id.clone_into(&mut after);
            }
            if session.text(event.to_string()).await.is_err() {
                return;
            }
        }
        let gone = tokio::select! {
            message = messages.next() => match message {
                Some(Ok(Message::Ping(bytes))) => session.pong(&bytes).await.is_err(),
                Some(Err(why)) if frames::is_too_large(&why) => {
                    reason = Some(CloseCode::Size.into());
                    true
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => true,
                Some(Ok(_)) => false,
            },
            changed = noted.changed() => changed.is_err(),
            () = tokio::time::sleep(ASK_AGAIN) => false,
            _ = pulse.tick() => session.ping(b"").await.is_err(),
        };
        if gone {
            break;
        }
    }
    // It may be gone already.
    let _gone = session.close(reason).await;
}
