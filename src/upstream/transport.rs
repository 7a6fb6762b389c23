//! The wire to providers: one pooled client per worker thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use ::http::{Method, Uri};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;
use url::Url;

use super::client::{ExchangeError, Wire, WireBody, WireSettings};
use super::dial::Trust;
use super::{AttemptLimits, google, sign};
use crate::base::clock::Clock;
use crate::base::percent::segment;
use crate::base::proxy::Proxies;
use crate::catalogue::{ApiKey, Deployment, KeyMark, Provider};
use crate::wire::vocab::{Dialect, Fault, FaultKind, Protocol};
use crate::wire::{embeddings, images};

/// Which of a deployment's endpoints is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    Whole,
    Stream,
    Embed,
    Images,
    Count,
}

/// Where a deployment is asked, worked out once per worker.
#[derive(Debug)]
struct Endpoint {
    whole: Uri,
    stream: Uri,
    embed: Uri,
    draw: Uri,
    count: Uri,
    /// With the first of the provider's keys.
    headers: HeaderMap,
    /// The header with each of the keys, where there are several.
    credentials: Vec<Option<(HeaderName, HeaderValue)>>,
    /// The provider's own wire, where its TLS is not that of all others.
    wire: Option<Wire>,
}

/// An endpoint, and the deployment that it is of. Deployments that no file lists share an id.
#[derive(Debug)]
struct Known {
    name: String,
    endpoint: Rc<Endpoint>,
}

/// By provider: which TLS of its own it has, and the wire with that.
type OwnWires = Rc<RefCell<HashMap<Arc<str>, (u64, Wire)>>>;

/// A worker's client. Not `Send`: connections stay on the thread that opened them.
#[derive(Debug, Clone)]
pub struct Transport {
    wire: Wire,
    ways: WireSettings,
    own_wires: OwnWires,
    endpoints: Rc<RefCell<HashMap<(usize, Protocol), Known>>>,
    /// By key: the token that it was changed for, and until when that is good.
    tokens: Rc<RefCell<HashMap<KeyMark, (HeaderValue, Instant)>>>,
}

/// An answer of a provider of which the head has come.
pub struct IncomingAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: WireBody,
}

impl IncomingAnswer {
    fn of(answer: ::http::Response<WireBody>) -> Self {
        let (head, body) = answer.into_parts();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }
}

impl fmt::Debug for IncomingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The longest answer of a service that gives tokens.
const TOKEN_BYTES: usize = 1 << 20;

/// Connections to one host that wait for their next request, at most.
const IDLE_CONNECTIONS: usize = 256;

impl Transport {
    #[must_use]
    pub fn new(limits: &AttemptLimits, proxies: &Proxies, trust: &Trust) -> Self {
        let (proxies, trust) = (proxies.clone(), trust.clone());
        let ways = WireSettings { limits: *limits, proxies, trust, idle: IDLE_CONNECTIONS };
        Self {
            wire: ways.wire(),
            ways,
            own_wires: Rc::default(),
            endpoints: Rc::default(),
            tokens: Rc::default(),
        }
    }

    /// The wire of a provider with TLS of its own; one that it had before is given up.
    fn own_wire(&self, provider: &Provider) -> Result<Option<Wire>, Fault> {
        let Some(own) = &provider.tls else { return Ok(None) };
        let mut wires = self.own_wires.borrow_mut();
        if let Some((mark, wire)) = wires.get(&provider.id)
            && *mark == own.mark()
        {
            return Ok(Some(wire.clone()));
        }
        let wire = self.ways.own_wire(own)?;
        wires.insert(Arc::clone(&provider.id), (own.mark(), wire.clone()));
        Ok(Some(wire))
    }

    fn endpoint(
        &self,
        deployment: &Arc<Deployment>,
        protocol: Protocol,
    ) -> Result<Rc<Endpoint>, Fault> {
        let place = (deployment.id.0, protocol);
        if let Some(known) = self.endpoints.borrow().get(&place)
            && known.name == deployment.name
        {
            return Ok(Rc::clone(&known.endpoint));
        }
        let provider = &deployment.provider;
        let parse = address;
        let base = provider.surface(protocol).map_or(&provider.base_url, |one| &one.base_url);
        let url = |path: String| parse(&format!("{base}{path}"));
        let (whole, stream) = match protocol {
            // The model stands in the address (Vertex), and the verb after it.
            Protocol::Dialect(Dialect::Anthropic) if base.contains("{model}") => {
                let base = base.replace("{model}", &segment(&deployment.name));
                (parse(&format!("{base}:rawPredict"))?, parse(&format!("{base}:streamRawPredict"))?)
            }
            Protocol::Bedrock => {
                let model = segment(&deployment.name);
                (
                    url(format!("/model/{model}/converse"))?,
                    url(format!("/model/{model}/converse-stream"))?,
                )
            }
            Protocol::Dialect(Dialect::OpenAiChat) => {
                (url("/chat/completions".to_owned())?, url("/chat/completions".to_owned())?)
            }
            Protocol::Dialect(Dialect::OpenAiResponses) => {
                (url("/responses".to_owned())?, url("/responses".to_owned())?)
            }
            Protocol::Dialect(Dialect::Anthropic) => {
                (url("/messages".to_owned())?, url("/messages".to_owned())?)
            }
            Protocol::Dialect(Dialect::Gemini) => {
                let name = &deployment.name;
                let model =
                    if name.contains('/') { name.clone() } else { format!("models/{name}") };
                (
                    url(format!("/{model}:generateContent"))?,
                    url(format!("/{model}:streamGenerateContent?alt=sse"))?,
                )
            }
        };
        // Everything but generating is asked where the provider is at home.
        let base = &provider.base_url;
        let url = |path: String| parse(&format!("{base}{path}"));
        let name = &deployment.name;
        let embed = match provider.embeddings {
            Some(embeddings::EmbeddingsForm::Gemini) => {
                url(format!("/models/{name}:batchEmbedContents"))?
            }
            Some(embeddings::EmbeddingsForm::Vertex) => url(format!("/models/{name}:predict"))?,
            // Its chat is at another address than the rest.
            Some(embeddings::EmbeddingsForm::Cohere) => {
                match provider.base_url.strip_suffix("/compatibility/v1") {
                    Some(root) => parse(&format!("{root}/v2/embed"))?,
                    None => url("/embed".to_owned())?,
                }
            }
            _ => url("/embeddings".to_owned())?,
        };
        let draw = match provider.images {
            Some(images::ImagesForm::Gemini) => whole.clone(),
            _ => url("/images/generations".to_owned())?,
        };
        let count = match protocol {
            Protocol::Dialect(Dialect::Gemini) => url(format!("/models/{name}:countTokens"))?,
            Protocol::Dialect(Dialect::Anthropic) => {
                let base = provider.surface(protocol).map_or(base, |one| &one.base_url);
                let base = base.split("/{model}").next().unwrap_or(base);
                parse(&format!("{base}/messages/count_tokens"))?
            }
            _ => url("/responses/input_tokens".to_owned())?,
        };
        let mut headers = sign::headers(provider);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Without a word, a server may choose any coding (RFC 9110, 12.5.3), and decoding takes time.
        // Whoever compresses all the same is understood: gzip, deflate, br, zstd.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(named) = named_in(base)
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, named);
        }
        let several = Some(provider.keys.len()).filter(|keys| *keys > 1).unwrap_or_default();
        let credentials = (0..several).map(|at| sign::credential(provider, at)).collect();
        let wire = self.own_wire(provider)?;
        let endpoint =
            Rc::new(Endpoint { whole, stream, embed, draw, count, headers, credentials, wire });
        let known = Known { name: name.clone(), endpoint: Rc::clone(&endpoint) };
        self.endpoints.borrow_mut().insert(place, known);
        Ok(endpoint)
    }

    /// Asks a provider's moderation endpoint with one of its keys, and waits for the answer's head.
    ///
    /// # Errors
    /// When it cannot be reached within `patience`.
    pub async fn moderate(
        &self,
        (provider, key): (&Provider, usize),
        question: Bytes,
        patience: Duration,
    ) -> Result<IncomingAnswer, Fault> {
        let to = address(&format!("{}/moderations", provider.base_url))?;
        let mut headers = sign::headers(provider);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((name, value)) = sign::credential(provider, key) {
            headers.insert(name, value);
        }
        let own = self.own_wire(provider)?;
        let wire = own.as_ref().unwrap_or(&self.wire);
        let answer = wire.ask(Method::POST, to, headers, question, patience).await?;
        Ok(IncomingAnswer::of(answer))
    }

    /// What a service account's key is changed for, until shortly before it expires.
    async fn token(&self, key: &ApiKey, patience: Duration) -> Result<HeaderValue, Fault> {
        let refused = |why: String| Fault::new(FaultKind::Credential, why);
        if let Some((token, until)) = self.tokens.borrow().get(&key.mark)
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let account =
            google::ServiceAccount::read(&key.secret).map_err(|why| refused(why.to_string()))?;
        let asking = google::assertion(&account, Clock::System.now())
            .map_err(|why| refused(why.to_string()))?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form)]);
        let told = async {
            let from = address(&account.token_uri)?;
            let answer =
                self.wire.ask(Method::POST, from, headers, Bytes::from(asking), patience).await?;
            let whole = Limited::new(answer.into_body(), TOKEN_BYTES).collect().await;
            whole.map_err(|why| Fault::new(FaultKind::Broken, why.to_string()))
        };
        let told = tokio::time::timeout(patience, told)
            .await
            .map_err(|_| Fault::new(FaultKind::Timeout, "no token within the time"))??
            .to_bytes();
        let (token, lifetime) = google::token_of(&told).map_err(|why| refused(why.to_string()))?;
        let until = Instant::now() + lifetime.saturating_sub(Duration::from_secs(60));
        self.tokens.borrow_mut().insert(key.mark, (token.clone(), until));
        Ok(token)
    }

    /// Sends a request with one of the provider's keys and with headers `beside` its own, and waits for
    /// the answer's head.
    pub async fn send<'a>(
        &self,
        (deployment, key): (&Arc<Deployment>, usize),
        protocol: Protocol,
        to: EndpointKind,
        body: Bytes,
        beside: impl Iterator<Item = (&'static str, &'a str)> + Clone,
        patience: Duration,
    ) -> Result<IncomingAnswer, Fault> {
        let endpoint = self.endpoint(deployment, protocol)?;
        let url = match to {
            EndpointKind::Whole => &endpoint.whole,
            EndpointKind::Stream => &endpoint.stream,
            EndpointKind::Embed => &endpoint.embed,
            EndpointKind::Images => &endpoint.draw,
            EndpointKind::Count => &endpoint.count,
        };
        let provider = &deployment.provider;
        let until = Instant::now() + patience;
        let (mut left, mut again) = (patience, true);
        loop {
            let mut headers = endpoint.headers.clone();
            if let Some(Some((name, value))) = endpoint.credentials.get(key) {
                headers.insert(name.clone(), value.clone());
            }
            for (name, value) in beside.clone() {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(name, value);
                }
            }
            if let Some(credential) = provider.aws.as_ref().filter(|_| provider.keys.is_empty()) {
                sign::with_aws(credential, &provider.region, &url.to_string(), &body, &mut headers)
                    .map_err(|why| Fault::new(FaultKind::Credential, why.to_string()))?;
            }
            if let Some(key) = sign::needs_token(provider, key) {
                headers.insert(AUTHORIZATION, self.token(key, left).await?);
            }
            let wire = endpoint.wire.as_ref().unwrap_or(&self.wire);
            match wire.ask(Method::POST, url.clone(), headers, body.clone(), left).await {
                // Once more, by another connection: nobody has looked at it.
                Err(ExchangeError::NotTaken(_)) if again => again = false,
                answer => {
                    return Ok(IncomingAnswer::of(answer?));
                }
            }
            left = until.saturating_duration_since(Instant::now());
        }
    }
}

/// Asks providers whether they are there, from whichever thread.
#[derive(Debug, Clone)]
pub struct Prober {
    wire: Wire,
    ways: WireSettings,
}

impl Prober {
    #[must_use]
    pub fn new(limits: &AttemptLimits, proxies: &Proxies, trust: &Trust) -> Self {
        // Whoever answers from an old connection may take no new one.
        let (proxies, trust) = (proxies.clone(), trust.clone());
        let ways = WireSettings { limits: *limits, proxies, trust, idle: 0 };
        Self { wire: ways.wire(), ways }
    }

    /// The status of a provider's list of models, which costs nothing, and which it shows to whoever has a
    /// good key: that at the place `key`. Google's accounts and AWS's signatures are not tried.
    ///
    /// # Errors
    /// When it cannot be reached within `patience`.
    pub async fn ask(
        &self,
        provider: &Provider,
        key: usize,
        patience: Duration,
    ) -> Result<u16, Fault> {
        let list = address(&format!("{}/models", provider.base_url))?;
        let mut headers = sign::headers(provider);
        if let Some((name, value)) = sign::credential(provider, key) {
            headers.insert(name, value);
        }
        let own = provider.tls.as_ref().map(|own| self.ways.own_wire(own)).transpose()?;
        let wire = own.as_ref().unwrap_or(&self.wire);
        let answer = wire.ask(Method::GET, list, headers, Bytes::new(), patience).await?;
        Ok(answer.status().as_u16())
    }
}

/// Whether a provider's key is not sent, but changed for a token first.
#[must_use]
pub fn exchanges(provider: &Provider) -> bool {
    sign::needs_token(provider, 0).is_some()
}

/// An address as a request has it, without the name and the word that may stand in it.
fn address(text: &str) -> Result<Uri, Fault> {
    let refused = |why: String| Fault::new(FaultKind::Unreachable, format!("not a URL: {why}"));
    let mut url = Url::parse(text).map_err(|why| refused(why.to_string()))?;
    // Where they cannot stand, there are none.
    let _none = url.set_username("").and_then(|()| url.set_password(None));
    url.as_str().parse().map_err(|why: ::http::uri::InvalidUri| refused(why.to_string()))
}

/// The name and the word that stand in an address, as a header says them.
fn named_in(address: &str) -> Option<HeaderValue> {
    let url = Url::parse(address).ok()?;
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (name, word) = (plain(url.username()), plain(url.password().unwrap_or_default()));
    if name.is_empty() && word.is_empty() {
        return None;
    }
    let said = BASE64_STANDARD.encode(format!("{name}:{word}"));
    let mut value = HeaderValue::try_from(format!("Basic {said}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::net::TcpListener;

    use super::super::dial::Connector;
    use super::*;
    use crate::base::egress::Authorities;
    use crate::catalogue::{DeploymentEntry, ModelEntry, ProviderEntry, Sources, load};

    /// The deployment of a model at an address.
    fn deployment(base: &str) -> Arc<Deployment> {
        let house = ProviderEntry { base_url: Some(base.to_owned()), ..ProviderEntry::default() };
        let at = DeploymentEntry { provider: "house".to_owned(), ..DeploymentEntry::default() };
        let model =
            ModelEntry { id: "m".to_owned(), deployments: Some(vec![at]), ..ModelEntry::default() };
        let sources = Sources {
            providers: [("house".to_owned(), house)].into(),
            models: vec![model],
            ..Sources::default()
        };
        Arc::clone(&load(sources).unwrap().model("m").unwrap().deployments[0])
    }

    /// A server of HTTP/2 that does not take so many requests, one for each connection, and answers
    /// all others; how many it saw.
    async fn refusing(listener: TcpListener, refuse: usize) -> usize {
        let mut seen = 0;
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(asked) = connection.accept().await {
                let Ok((_, mut respond)) = asked else { break };
                seen += 1;
                if seen <= refuse {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    respond.send_response(::http::Response::new(()), true).unwrap();
                    connection.graceful_shutdown();
                    while connection.accept().await.is_some() {}
                    return seen;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_a_server_has_not_looked_at_is_sent_once_more() {
        for (refuse, answered) in [(0, true), (1, true), (2, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = format!("http://{}/v1", listener.local_addr().unwrap());
            let server = tokio::spawn(refusing(listener, refuse));
            let mut transport = Transport::new(
                &AttemptLimits::default(),
                &Proxies::Never,
                &Trust::new(&Authorities::default()).unwrap(),
            );
            transport.wire.client =
                Client::builder(TokioExecutor::new()).http2_only(true).build(Connector::new(
                    Proxies::Never,
                    &Trust::new(&Authorities::default()).unwrap(),
                    AttemptLimits::default().connect,
                ));
            let deployment = deployment(&base);
            let chat = Protocol::Dialect(Dialect::OpenAiChat);
            let none = std::iter::empty();
            let sent = transport
                .send(
                    (&deployment, 0),
                    chat,
                    EndpointKind::Whole,
                    Bytes::from("{}"),
                    none,
                    Duration::from_secs(5),
                )
                .await;
            assert_eq!(sent.is_ok(), answered, "{refuse}: {sent:?}");
            if answered {
                assert_eq!(server.await.unwrap(), refuse + 1);
            }
        }
    }
}
