//! A client of HTTP with its connections, its proxies and its TLS: what providers are asked through.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use ::http::{Method, Request, Uri};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming as Received;
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_http::decompression::{Decompression, DecompressionBody};
use tower_service::Service;

use super::AttemptLimits;
use super::dial::{Connector, Trust};
use crate::base::proxy::Proxies;
use crate::catalogue::OwnTls;
use crate::wire::vocab::{Fault, FaultKind};

/// An HTTP client with its connections, and the proxies that they go through.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) client: Client<Connector, Full<Bytes>>,
    proxies: Option<Arc<Matcher>>,
}

/// What an HTTP client of providers is made with.
#[derive(Debug, Clone)]
pub(super) struct WireSettings {
    pub limits: AttemptLimits,
    pub proxies: Proxies,
    pub trust: Trust,
    /// Connections to one host that wait for their next request, at most.
    pub idle: usize,
}

impl WireSettings {
    /// With the TLS that all providers have but those that have their own.
    pub fn wire(&self) -> Wire {
        Wire::new(&self.limits, &self.proxies, &self.trust, self.idle)
    }

    /// # Errors
    /// When what the provider has cannot be used.
    pub fn own_wire(&self, own: &OwnTls) -> Result<Wire, Fault> {
        let trust = self.trust.with(own);
        let trust = trust.map_err(|why| Fault::new(FaultKind::Unreachable, why.to_string()))?;
        Ok(Wire::new(&self.limits, &self.proxies, &trust, self.idle))
    }
}

/// The body of a provider's answer, frame by frame, decompressed.
pub type WireBody = DecompressionBody<Received>;

impl Wire {
    fn new(limits: &AttemptLimits, proxies: &Proxies, trust: &Trust, idle: usize) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(idle)
            .build(Connector::new(proxies.clone(), trust, limits.connect));
        Self { client, proxies: proxies.matcher().map(Arc::new) }
    }

    /// Asks, and waits for the answer's head. Nothing is followed: a provider that redirects a POST is
    /// misconfigured, and its key must not go along. Whoever compresses unasked is understood.
    pub async fn ask(
        &self,
        method: Method,
        address: Uri,
        mut headers: HeaderMap,
        body: Bytes,
        patience: Duration,
    ) -> Result<::http::Response<WireBody>, ExchangeError> {
        if let Some(known) = self.for_proxy(&address) {
            headers.insert(PROXY_AUTHORIZATION, known);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = address;
        *request.headers_mut() = headers;
        let asking = Decompression::new(&self.client).call(request);
        match tokio::time::timeout(patience, asking).await {
            Err(_) => Err(ExchangeError::Failed(Fault::new(
                FaultKind::Timeout,
                format!("no answer within {} ms", patience.as_millis()),
            ))),
            Ok(answer) => answer.map_err(|why| unanswered(&why)),
        }
    }

    /// What an HTTP proxy wants to know of whoever asks it for an address without TLS.
    fn for_proxy(&self, address: &Uri) -> Option<HeaderValue> {
        let matcher = self.proxies.as_ref().filter(|_| address.scheme_str() == Some("http"))?;
        matcher.intercept(address)?.basic_auth().cloned()
    }
}

/// Why a provider sent no head of an answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// The server says that it has not looked at the request, as when it closes a connection that was
    /// used for long (RFC 9113, 8.7): that may be sent again, and says nothing of how the server is.
    NotTaken(Fault),
    Failed(Fault),
}

impl From<ExchangeError> for Fault {
    fn from(why: ExchangeError) -> Self {
        match why {
            ExchangeError::NotTaken(fault) | ExchangeError::Failed(fault) => fault,
        }
    }
}

fn unanswered(why: &hyper_util::client::legacy::Error) -> ExchangeError {
    let kind = if why.is_connect() { FaultKind::Unreachable } else { FaultKind::Broken };
    let fault = Fault::new(kind, causes(why));
    let mut cause = std::error::Error::source(why);
    while let Some(one) = cause {
        if one.downcast_ref::<h2::Error>().is_some_and(was_not_taken) {
            return ExchangeError::NotTaken(fault);
        }
        cause = one.source();
    }
    ExchangeError::Failed(fault)
}

fn was_not_taken(why: &h2::Error) -> bool {
    let closed = why.is_go_away() && why.reason() == Some(h2::Reason::NO_ERROR);
    let refused = why.is_reset() && why.reason() == Some(h2::Reason::REFUSED_STREAM);
    why.is_remote() && (closed || refused)
}

/// An error with the chain of its causes: none of them names an address, which may hold a key.
fn causes(why: &dyn std::error::Error) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(one) = cause {
        let said = one.to_string();
        // Some say what caused them by themselves.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = one.source();
    }
    text
}
