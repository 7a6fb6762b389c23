//! `/v1/connect/*`: apps, the accounts that users have there, tools, actions, and what happens.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{CloseCode, Message, MessageStream, Session};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{act, act_on, caller};
use crate::base::ids::{EventId, RequestId};
use crate::base::{Error, Kind};
use crate::gateway::connect::{self, Action, NewConnection};
use crate::gateway::users;
use crate::http::{Worker, arrival, frames, respond};
use crate::wire::vocab::Dialect;

/// How often the store is asked for what other nodes noted.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often a watcher is asked whether it is there.
const PULSE: Duration = Duration::from_secs(20);
/// A watcher has nothing to say.
const WATCHER_BYTES: usize = 4 << 10;

#[derive(Debug, Deserialize)]
pub struct Which {
    app: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Back {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// `GET /v1/connect/apps`
pub async fn apps(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |caller| connect::apps(&app, &caller)).await
}

/// `GET /v1/connect/accounts`
pub async fn accounts(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |caller| connect::accounts(&app, &caller).await).await
}

/// `POST /v1/connect/accounts`
pub async fn connect(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    let home = respond::home(&app, &request);
    act_on(&app, &request, payload, async |caller, new: NewConnection| {
        connect::connect(&app, &caller, new, &home).await
    })
    .await
}

/// `DELETE /v1/connect/accounts/{id}`
pub async fn disconnect(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |caller| connect::disconnect(&app, &caller, &id).await).await
}

/// `GET /v1/connect/oauth/callback`: a browser, sent here by an app's authorization server
pub async fn callback(app: Worker, back: Query<Back>) -> HttpResponse {
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
        connect::finish_grant(&app, &state, &code).await
    };
    match finishing.await {
        Ok(told) => HttpResponse::Ok().json(told),
        Err(error) => respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0),
    }
}

/// `GET /v1/connect/tools`, `?app=` for those of one
pub async fn tools(app: Worker, request: HttpRequest, which: Query<Which>) -> HttpResponse {
    act(&app, &request, async |caller| connect::tools(&app, &caller, which.app.as_deref()).await)
        .await
}

/// `POST /v1/connect/actions/run`
pub async fn run(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |caller, action: Action| {
        connect::run(&app, &caller, action).await
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
        connect::events(&app, &caller, EventId::fresh().as_str()).await?;
        arrival::must_ask_for_socket(&request)?;
        let after = query.get("after").or(query.get("cursor")).cloned();
        let after = after.unwrap_or_else(|| EventId::fresh().as_str().to_owned());
        let unread = |why: actix_web::Error| Error::new(Kind::Malformed, format!("{why}."));
        let share = app.shared.inflow.share(Some(&caller.account));
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
        respond::refused(&RequestId::fresh(), Dialect::OpenAiChat, &error, 0)
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
    let mut noted = app.shared.noted.subscribe();
    let mut pulse = tokio::time::interval(PULSE);
    let mut reason = None;
    loop {
        // Whoever is signed out hears no more.
        let reading = async {
            let caller = app.shared.identities.identify(Some(&credential)).await?;
            let caller = users::acting(&app, caller, user.as_deref()).await?;
            connect::events(&app, &caller, &after).await
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
