//! `WS /v1/realtime`: a socket of the caller and one of the provider, and what passes between them,
//! each way at the pace of whoever reads.

use std::cell::Cell;
use std::collections::HashMap;
use std::task::Poll;
use std::time::Duration;

use actix_web::web::{Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, ProtocolError, Session};
use bytestring::ByteString;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Worker, arrival, frames, respond, visit};
use crate::base::{Error, Kind};
use crate::exchange::Refused;
use crate::gateway::{self, Meter};
use crate::upstream::{Address, Close, Inlet, MESSAGE_BYTES, Message, Outlet, Socket};
use crate::wire::realtime;
use crate::wire::session::{self, SessionShape};
use crate::wire::vocab::{Dialect, Fault, FaultKind, Malformed};

const SURFACE: Dialect = Dialect::OpenAiChat;
/// Headers of the caller's that mean something to the provider.
const FORWARDED: [&str; 2] = ["openai-beta", "openai-safety-identifier"];
/// How often the caller is asked whether it is there, and how long it may take to say so.
const PULSE: Duration = Duration::from_secs(20);
/// How long both sides of a session may take to hear that it is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// `GET /v1/realtime?model=…`
pub async fn realtime(
    app: Worker,
    request: HttpRequest,
    payload: Payload,
    query: Query<HashMap<String, String>>,
) -> HttpResponse {
    let id = visit::id(&request);
    let opening = async {
        let caller = arrival::caller(&app, &request).await?;
        arrival::must_ask_for_socket(&request)?;
        // What the session was lent for is said where the address says nothing.
        let settled = caller.session().cloned();
        let of_settled = || Some(settled.as_ref()?.get("model")?.as_str()?.to_owned());
        let model = query.get("model").cloned().or_else(of_settled);
        let address = Address { model, rest: rest(&request) };
        // The model of a transcription is one of the session's settings.
        let transcribes = query.get("intent").is_some_and(|intent| intent == "transcription");
        if address.model.is_none() && !transcribes {
            return Err(Malformed::missing("model").into());
        }
        let begun =
            gateway::open_session(&app, &caller, &id, &address, &forwarded(&request)).await?;
        Ok((begun, app.shared.serving.inflow.share(Some(&caller.account)), settled))
    };
    let outcome: Result<_, Refused> = opening.await;
    match outcome {
        Err(refused) => respond::refused_at(&id, SURFACE, &refused),
        Ok(((socket, meter), share, settled)) => {
            let payload = frames::bounded(&request, payload, MESSAGE_BYTES, share).await;
            match payload.and_then(|payload| {
                actix_ws::handle_with_protocols(&request, payload, &["realtime"])
            }) {
                Err(why) => {
                    let error = Error::new(Kind::Malformed, format!("{why}."));
                    respond::refused(&id, SURFACE, &error, socket.attempts)
                }
                Ok((mut response, session, messages)) => {
                    respond::describe(&mut response, &id, &socket.step, socket.attempts);
                    let messages = messages
                        .max_frame_size(MESSAGE_BYTES)
                        .aggregate_continuations()
                        .max_continuation_size(MESSAGE_BYTES);
                    // It lives as long as its two sockets, which time limits end.
                    let first = settled.as_ref().and_then(first_word);
                    let bridge = bridge(app.clone(), (socket, first), meter, session, messages);
                    actix_web::rt::spawn(bridge);
                    response
                }
            }
        }
    }
}

/// What the address says beside the model, and the caller's key, which goes nowhere.
fn rest(request: &HttpRequest) -> String {
    let own = ["model", "key", "api_key", "access_token"];
    let pairs = request.query_string().split('&').filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        !name.is_empty() && !own.contains(&name)
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn forwarded(request: &HttpRequest) -> Vec<(&'static str, String)> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    let mut all: Vec<_> =
        FORWARDED.into_iter().filter_map(|name| Some((name, header(name)?.to_owned()))).collect();
    // A browser's socket can set no header, and says this among its protocols.
    let beta = header("sec-websocket-protocol")
        .is_some_and(|all| all.split(',').any(|one| one.trim() == "openai-beta.realtime-v1"));
    if beta && !all.iter().any(|(name, _)| *name == "openai-beta") {
        all.push(("openai-beta", "realtime=v1".to_owned()));
    }
    all
}

/// The settings that a session was lent for, as its first event; nothing where they name no more than the
/// model.
fn first_word(settled: &Value) -> Option<String> {
    let mut session = settled.as_object()?.clone();
    session.shift_remove("model");
    if session.keys().all(|name| name == "type") {
        return None;
    }
    Some(json!({"type": "session.update", "session": session}).to_string())
}

/// Passes messages both ways until either side closes, breaks, or time is up; then closes both.
async fn bridge(
    app: Worker,
    (socket, first): (Socket, Option<String>),
    mut meter: Meter,
    session: Session,
    messages: AggregatedMessageStream,
) {
    let Socket { mut outlet, inlet, .. } = socket;
    let heard = Heard {
        caller: Cell::new(Instant::now()),
        anything: Cell::new(Instant::now()),
        theirs: Cell::new(None),
        flat: Cell::new(false),
        settling: Cell::new(false),
    };
    // Boxed, so that it can be dropped before the meter is needed.
    let mut down = Box::pin(downwards(&app, &mut meter, inlet, session.clone(), &heard));
    let ended = tokio::select! {
        close = upwards(first, messages, &mut outlet, session.clone(), &heard) => close,
        close = &mut down => close,
        close = time(&app, session.clone(), &heard) => Ok(close),
        () = app.shared.node.streams_end.over() => Ok(Close::new(1001, "the gateway is stopping")),
    };
    // An answer that is being paid for is paid for, whoever ends the session meanwhile.
    let settled = std::future::poll_fn(|cx| {
        let over = !heard.settling.get() || down.as_mut().poll(cx).is_ready();
        if over || !heard.settling.get() { Poll::Ready(()) } else { Poll::Pending }
    });
    let in_time = tokio::time::timeout(app.shared.serving.limits.deadline, settled).await.is_ok();
    drop(down);
    if !in_time {
        tracing::error!("an answer of a session could not be settled in time");
    }
    let ended = ended.unwrap_or_else(|(close, fault)| {
        gateway::session_broke_off(&app, &mut meter, &fault);
        close
    });
    tracing::debug!(code = ended.code, reason = %ended.reason, "a session has ended");
    // Before either side is told, as one that reads nothing may not be told for long.
    if let Err(why) = gateway::end_session(&app, meter).await {
        tracing::error!(%why, "what a session used could not be written down");
    }
    let reason = CloseReason { code: ended.code.into(), description: Some(ended.reason.clone()) };
    // Either may be gone already, which is what it was to be told.
    let closing =
        async { (outlet.send(Message::Close(ended)).await, session.close(Some(reason)).await) };
    let _gone = tokio::time::timeout(FAREWELL, closing).await;
}

/// When something was last heard, and in which shape.
struct Heard {
    /// From the caller, answers to pings included.
    caller: Cell<Instant>,
    /// From either side, pings not included.
    anything: Cell<Instant>,
    /// The shape of the provider's session, once it has shown it.
    theirs: Cell<Option<SessionShape>>,
    /// The caller's settings are flat.
    flat: Cell<bool>,
    /// An answer is complete, and is being settled.
    settling: Cell<bool>,
}

/// How a session ended: an error where the provider's side broke off, with how its caller is told.
type Ended = Result<Close, (Close, Fault)>;

async fn upwards(
    first: Option<String>,
    mut messages: AggregatedMessageStream,
    outlet: &mut Outlet,
    mut session: Session,
    heard: &Heard,
) -> Ended {
    if let Some(first) = first
        && let Err(fault) = outlet.send(Message::Text(first.into())).await
    {
        return Err(broken(session, fault).await);
    }
    loop {
        let message = match messages.next().await {
            None => return Ok(Close::new(1001, "the caller left")),
            Some(Err(why)) if frames::is_too_large(&why) => {
                return Ok(Close::new(1009, "the message is too large"));
            }
            Some(Err(ProtocolError::Io(_))) => return Ok(Close::new(1001, "the caller left")),
            Some(Err(why)) => return Ok(Close::new(1002, why.to_string())),
            Some(Ok(message)) => message,
        };
        heard.caller.set(Instant::now());
        let passed = match message {
            AggregatedMessage::Text(text) => {
                let text = text.into_bytes();
                match session::asked(&text, heard.theirs.get()) {
                    Some((text, flat)) => {
                        heard.flat.set(heard.flat.get() || flat);
                        Message::Text(text.into())
                    }
                    None => Message::Text(text),
                }
            }
            AggregatedMessage::Binary(bytes) => Message::Binary(bytes),
            AggregatedMessage::Ping(bytes) => {
                if session.pong(&bytes).await.is_err() {
                    return Ok(Close::new(1001, "the caller left"));
                }
                continue;
            }
            AggregatedMessage::Pong(_) => continue,
            AggregatedMessage::Close(reason) => {
                return Ok(match reason {
                    Some(reason) => {
                        Close::new(reason.code.into(), reason.description.unwrap_or_default())
                    }
                    None => Close::new(1000, ""),
                });
            }
        };
        heard.anything.set(Instant::now());
        if let Err(fault) = outlet.send(passed).await {
            return Err(broken(session, fault).await);
        }
    }
}

async fn downwards(
    app: &Worker,
    meter: &mut Meter,
    mut inlet: Inlet,
    mut session: Session,
    heard: &Heard,
) -> Ended {
    loop {
        let message = match inlet.receive().await {
            Ok(Some(message)) => message,
            Ok(None) => {
                return Err(broken(session, Fault::new(FaultKind::Broken, "it hung up")).await);
            }
            Err(fault) => return Err(broken(session, fault).await),
        };
        heard.anything.set(Instant::now());
        let sent = match message {
            Message::Text(text) => {
                heard.settling.set(true);
                let paid = gateway::meter_event(app, meter, &text).await;
                heard.settling.set(false);
                if heard.theirs.get().is_none() {
                    heard.theirs.set(session::shown(&text));
                }
                let nested = heard.theirs.get() != Some(SessionShape::Flat);
                let told = Some(&text).filter(|_| heard.flat.get() && nested);
                let text = match told.and_then(|text| session::answered_flat(text)) {
                    Some(told) => told.into(),
                    None => text,
                };
                let sent = match ByteString::try_from(text) {
                    Ok(text) => session.text(text).await,
                    Err(_) => {
                        return Err(broken(
                            session,
                            Fault::new(FaultKind::Broken, "it sent what is not text"),
                        )
                        .await);
                    }
                };
                if let Err(refused) = paid {
                    return Ok(unpaid(session, &refused.error).await);
                }
                sent
            }
            Message::Binary(bytes) => session.binary(bytes).await,
            // Its server failed, restarts or is too busy: that is no end that anybody wished for.
            Message::Close(close) if (1011..=1014).contains(&close.code) => {
                let fault = Fault::new(FaultKind::Broken, close.reason.clone());
                return Err((close, fault));
            }
            Message::Close(close) => return Ok(close),
        };
        if sent.is_err() {
            return Ok(Close::new(1001, "the caller left"));
        }
    }
}

/// The caller cannot pay for another answer, and is told so as of any error of a session.
async fn unpaid(mut session: Session, error: &Error) -> Close {
    let code = error.code.as_deref().unwrap_or("insufficient_credits");
    let event = realtime::error("insufficient_credits", code, &error.public);
    // If the caller is gone, there is nobody to tell.
    let _gone = session.text(event).await;
    Close::new(1008, error.public.clone())
}

/// The provider's side failed: the caller is told in an event, as any error of a session is.
async fn broken(mut session: Session, fault: Fault) -> (Close, Fault) {
    tracing::warn!(why = fault.loggable(), "a provider's socket broke");
    let text = "The connection to the model broke off.";
    let event = realtime::error("server_error", "upstream_disconnected", text);
    // If the caller is gone as well, there is nobody to tell.
    let _gone = session.text(event).await;
    (Close::new(1011, "the connection to the model broke off"), fault)
}

/// Asks the caller now and then whether it is there, and ends what is idle or has lasted too long.
async fn time(app: &Worker, mut session: Session, heard: &Heard) -> Close {
    let limits = app.shared.serving.sessions;
    let until = Instant::now() + limits.duration;
    let mut tick = tokio::time::interval(PULSE.min(limits.idle).min(limits.duration));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tick.tick().await;
        let now = Instant::now();
        let over = if now >= until {
            Some(("session_expired", "Your session has hit its maximum duration."))
        } else if now - heard.anything.get() >= limits.idle {
            Some(("session_idle", "Your session was idle for too long."))
        } else {
            None
        };
        if let Some((code, text)) = over {
            let event = realtime::error("invalid_request_error", code, text);
            // If the caller is gone, there is nobody to tell.
            let _gone = session.text(event).await;
            return Close::new(1001, code);
        }
        if now - heard.caller.get() >= PULSE * 3 || session.ping(b"").await.is_err() {
            return Close::new(1001, "the caller left");
        }
    }
}
