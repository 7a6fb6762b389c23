//! Sockets to providers. The only file that names `tokio_tungstenite`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::dial::connected;
use super::failover::kind_label;
use super::health::Permit;
use super::keys::NextKey;
use super::scrub::{scrubbed, shortened, without_secrets};
use super::{Upstream, sign};
use crate::base::ids::RequestId;
use crate::base::percent::segment;
use crate::base::{Error, Kind};
use crate::catalogue::Provider;
use crate::router::{Decision, Step};
use crate::wire::vocab::{Dialect, Fault, FaultKind, Usage};
use crate::wire::{blame, codec, wait};

/// A message of some seconds of sound fits.
pub const MESSAGE_BYTES: usize = 16 << 20;

type Wire = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What goes over a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8.
    Text(Bytes),
    Binary(Bytes),
    Close(Close),
}

/// Why a socket was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// RFC 6455, 7.4; never one that must not be sent.
    pub code: u16,
    pub reason: String,
}

impl Close {
    #[must_use]
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        // 1005, 1006 and 1015 say what happened and are never sent.
        let code =
            if matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) { code } else { 1011 };
        let mut reason: String = reason.into();
        // A close frame holds 125 bytes, two of them the code.
        while reason.len() > 123 {
            reason.pop();
        }
        Self { code, reason }
    }
}

/// What the address of a session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The model, if it is named there.
    pub model: Option<String>,
    /// Everything else, as it came (`intent=transcription`).
    pub rest: String,
}

impl Address {
    /// The query for a provider that calls the model `name`.
    fn query(&self, name: &str) -> String {
        let model = self.model.as_ref().map(|_| format!("model={}", segment(name)));
        let rest = Some(self.rest.clone()).filter(|rest| !rest.is_empty());
        model.into_iter().chain(rest).collect::<Vec<_>>().join("&")
    }
}

/// To the provider.
pub struct Outlet(SplitSink<Wire, tungstenite::Message>);

/// From the provider.
pub struct Inlet {
    wire: SplitStream<Wire>,
    provider: Arc<Provider>,
}

/// An open socket to a provider.
pub struct Socket {
    pub step: Step,
    pub attempts: u8,
    /// How it ends is to be reported with it, where that is not said yet.
    pub permit: Option<Permit>,
    pub outlet: Outlet,
    pub inlet: Inlet,
}

impl Outlet {
    /// # Errors
    /// When the provider is gone.
    pub async fn send(&mut self, message: Message) -> Result<(), Fault> {
        let message = match message {
            Message::Text(text) => {
                let text = Utf8Bytes::try_from(text)
                    .map_err(|why| Fault::new(FaultKind::Refused, why.to_string()))?;
                tungstenite::Message::Text(text)
            }
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
            Message::Close(close) => tungstenite::Message::Close(Some(CloseFrame {
                code: CloseCode::from(close.code),
                reason: close.reason.into(),
            })),
        };
        self.0.send(message).await.map_err(|why| fault_of(&why))
    }
}

impl Inlet {
    /// The next message; `Ok(None)` once the provider has hung up without a word.
    ///
    /// # Errors
    /// When the connection breaks or a message is too large.
    pub async fn receive(&mut self) -> Result<Option<Message>, Fault> {
        loop {
            let message = match self.wire.next().await {
                None => return Ok(None),
                Some(Err(why)) => return Err(fault_of(&why)),
                Some(Ok(message)) => message,
            };
            return Ok(Some(match message {
                tungstenite::Message::Text(text) => {
                    Message::Text(without_secrets(text.into(), &self.provider))
                }
                tungstenite::Message::Binary(bytes) => Message::Binary(bytes),
                tungstenite::Message::Close(frame) => Message::Close(match frame {
                    Some(frame) => Close::new(u16::from(frame.code), frame.reason.as_str()),
                    None => Close::new(1000, ""),
                }),
                // Answered where they arrive.
                tungstenite::Message::Ping(_)
                | tungstenite::Message::Pong(_)
                | tungstenite::Message::Frame(_) => continue,
            }));
        }
    }
}

fn fault_of(why: &WsError) -> Fault {
    match why {
        WsError::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let fault = codec(Dialect::OpenAiChat).decode_error(response.status().as_u16(), body);
            let wait = wait::in_headers(response.headers(), SystemTime::now()).or(fault.wait);
            fault.after(wait)
        }
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => {
            Fault::new(FaultKind::Refused, "the message is too large")
        }
        WsError::Io(why) => Fault::new(FaultKind::Unreachable, why.to_string()),
        other => Fault::new(FaultKind::Broken, other.to_string()),
    }
}

/// Opens a socket at the first of the decision's steps that lets us in.
///
/// # Errors
/// The last fault, and after how many attempts.
pub async fn dial(
    upstream: &Upstream,
    decision: &Decision,
    address: &Address,
    forward: &[(&'static str, String)],
    request: &RequestId,
) -> Result<Socket, (Error, u8)> {
    let mut attempts = 0;
    let mut last = None;
    let mut steps = decision.steps.iter();
    // The step that is to be tried with another key.
    let mut again = None;
    while let Some(step) = again.take().or_else(|| steps.next()) {
        let id = step.deployment.id;
        let Some(permit) = upstream.health.permit(id, tokio::time::Instant::now()) else {
            continue;
        };
        attempts += 1;
        let keys = upstream.health.keys();
        let key = keys.pick(&step.deployment, tokio::time::Instant::now());
        let began = tokio::time::Instant::now();
        let beginning = upstream.trails.attempt(request);
        let over = |fault| {
            let (provider, name) = (&step.deployment.provider.id, &step.deployment.name);
            let names = (&*step.model.id, name.as_str());
            upstream.trails.attempted(request, beginning, provider, names, fault);
        };
        let limits = upstream.limits.at(step, &decision.within, false);
        let patience = limits.connect + limits.first_byte;
        match open((step, key), address, forward, upstream, patience).await {
            Ok(wire) => {
                over(None);
                keys.answered(&step.deployment.provider, key, tokio::time::Instant::now());
                upstream.health.begun(id, true, began.elapsed());
                let permit = upstream.health.opened(permit);
                let (outlet, inlet) = wire.split();
                return Ok(Socket {
                    step: step.clone(),
                    attempts,
                    permit,
                    outlet: Outlet(outlet),
                    inlet: Inlet { wire: inlet, provider: Arc::clone(&step.deployment.provider) },
                });
            }
            Err(fault) => {
                let asked = blame::FaultContext { model: &step.deployment.name, sent: b"" };
                let fault = scrubbed(blame::told_apart(fault, asked), &step.deployment.provider);
                tracing::warn!(
                    %request,
                    provider = %step.deployment.provider.id,
                    model = %step.model.id,
                    status = fault.status,
                    kind = ?fault.kind,
                    why = fault.loggable(),
                    "a socket could not be opened"
                );
                tracing::debug!(%request, said = ?shortened(&fault.message), "it said");
                over(Some(kind_label(fault.kind)));
                let now = tokio::time::Instant::now();
                match keys.failed(&step.deployment, key, &fault, now) {
                    Some(NextKey::Another) if attempts < upstream.limits.attempts => {
                        again = Some(step);
                    }
                    Some(NextKey::None { back }) => {
                        upstream.health.failed(permit, &fault, back.or(fault.wait));
                    }
                    _ => upstream.health.failed(permit, &fault, fault.wait),
                }
                last = Some(fault.more_telling(last));
            }
        }
    }
    let error = match last {
        Some(fault) => fault.into_error(),
        None => Error::new(Kind::Overloaded, "Every deployment of the model has failed lately and is resting. Retry after a brief delay, or ask another model.")
            .coded("model_unavailable"),
    };
    Err((error, attempts))
}

async fn open(
    (step, key): (&Step, usize),
    address: &Address,
    forward: &[(&'static str, String)],
    upstream: &Upstream,
    patience: Duration,
) -> Result<Wire, Fault> {
    let provider = &step.deployment.provider;
    // `http…` becomes `ws…`, and `https…` `wss…`.
    let base = provider.base_url.replacen("http", "ws", 1);
    let query = address.query(&step.deployment.name);
    let refused = |why: String| Fault::new(FaultKind::Unreachable, why);
    let mut request = format!("{base}/realtime?{query}")
        .into_client_request()
        .map_err(|why| refused(format!("not a URL: {why}")))?;
    let headers = request.headers_mut();
    headers.extend(sign::headers(provider));
    if let Some((name, value)) = sign::credential(provider, key) {
        headers.insert(name, value);
    }
    for (name, value) in forward {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let home = provider.base_url.parse().map_err(|why| refused(format!("not a URL: {why}")))?;
    let opening = async {
        let stream = connected(&home, &upstream.proxies)
            .await
            .map_err(|why| Fault::new(FaultKind::Unreachable, why.to_string()))?;
        let trust = match &provider.tls {
            None => Ok(upstream.trust.clone()),
            Some(own) => upstream.trust.with(own),
        };
        let trust = trust.map_err(|why| refused(why.to_string()))?;
        let trusted = Connector::Rustls(trust.for_sockets());
        let opened =
            client_async_tls_with_config(request, stream, Some(config), Some(trusted)).await;
        opened.map(|(wire, _)| wire).map_err(|why| fault_of(&why))
    };
    match tokio::time::timeout(patience, opening).await {
        Err(_) => Err(Fault::new(FaultKind::Timeout, "the socket did not open in time")),
        Ok(opened) => opened,
    }
}

/// Counts what a response of a session used.
pub fn meter(upstream: &Upstream, step: &Step, usage: &Usage) {
    super::passing::count_tokens(upstream, step, Some(usage));
}
