//! The wire to providers: one pooled client per worker thread. The only file that names `reqwest`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, Url};
use tokio::time::Instant;

use super::{Limits, google, sign};
use crate::base::clock::Clock;
use crate::base::proxy::Proxies;
use crate::catalogue::{ApiKey, Deployment, KeyMark, Provider};
use crate::wire::vocab::{Dialect, Fault, FaultKind, Protocol};
use crate::wire::{embeddings, images};

/// Which of a deployment's endpoints is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Whole,
    Stream,
    Embed,
    Draw,
    Count,
}

/// Where a deployment is asked, worked out once per worker.
#[derive(Debug)]
struct Endpoint {
    whole: Url,
    stream: Url,
    embed: Url,
    draw: Url,
    count: Url,
    /// With the first of the provider's keys.
    headers: HeaderMap,
    /// The header with each of the keys, where there are several.
    credentials: Vec<Option<(HeaderName, HeaderValue)>>,
}

/// An endpoint, and the deployment that it is of. Deployments that no file lists share an id.
#[derive(Debug)]
struct Known {
    name: String,
    endpoint: Rc<Endpoint>,
}

/// A worker's client. Not `Send`: connections stay on the thread that opened them.
#[derive(Debug, Clone)]
pub struct Transport {
    client: Client,
    endpoints: Rc<RefCell<HashMap<(usize, Protocol), Known>>>,
    /// By key: the token that it was changed for, and until when that is good.
    tokens: Rc<RefCell<HashMap<KeyMark, (HeaderValue, Instant)>>>,
}

/// What comes after an answer's head, frame by frame.
pub type Body = reqwest::Body;

/// An answer whose head has come.
#[derive(Debug)]
pub struct Incoming {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
}

#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct ClientError(#[from] reqwest::Error);

impl Transport {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: &Limits, proxies: &Proxies) -> Result<Self, ClientError> {
        let client = through(Client::builder(), proxies)?
            .connect_timeout(limits.connect)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(256)
            // A provider that redirects a POST is misconfigured, and its key must not follow.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, endpoints: Rc::default(), tokens: Rc::default() })
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
        let parse = |text: &str| {
            Url::parse(text)
                .map_err(|why| Fault::new(FaultKind::Unreachable, format!("not a URL: {why}")))
        };
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
            Some(embeddings::Form::Gemini) => url(format!("/models/{name}:batchEmbedContents"))?,
            Some(embeddings::Form::Vertex) => url(format!("/models/{name}:predict"))?,
            // Its chat is at another address than the rest.
            Some(embeddings::Form::Cohere) => {
                match provider.base_url.strip_suffix("/compatibility/v1") {
                    Some(root) => parse(&format!("{root}/v2/embed"))?,
                    None => url("/embed".to_owned())?,
                }
            }
            _ => url("/embeddings".to_owned())?,
        };
        let draw = match provider.images {
            Some(images::Form::Gemini) => whole.clone(),
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
        let several = Some(provider.keys.len()).filter(|keys| *keys > 1).unwrap_or_default();
        let credentials = (0..several).map(|at| sign::credential(provider, at)).collect();
        let endpoint =
            Rc::new(Endpoint { whole, stream, embed, draw, count, headers, credentials });
        let known = Known { name: name.clone(), endpoint: Rc::clone(&endpoint) };
        self.endpoints.borrow_mut().insert(place, known);
        Ok(endpoint)
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
        let sending = self
            .client
            .post(&account.token_uri)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(asking)
            .send();
        let told = async {
            let response = sending.await.map_err(|why| fault_of(&why))?;
            response.bytes().await.map_err(|why| fault_of(&why))
        };
        let told = tokio::time::timeout(patience, told)
            .await
            .map_err(|_| Fault::new(FaultKind::Timeout, "no token within the time"))??;
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
        to: Call,
        body: Bytes,
        beside: impl Iterator<Item = (&'static str, &'a str)>,
        patience: Duration,
    ) -> Result<Incoming, Fault> {
        let endpoint = self.endpoint(deployment, protocol)?;
        let url = match to {
            Call::Whole => &endpoint.whole,
            Call::Stream => &endpoint.stream,
            Call::Embed => &endpoint.embed,
            Call::Draw => &endpoint.draw,
            Call::Count => &endpoint.count,
        }
        .clone();
        let mut headers = endpoint.headers.clone();
        if let Some(Some((name, value))) = endpoint.credentials.get(key) {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in beside {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let provider = &deployment.provider;
        if let Some(credential) = provider.aws.as_ref().filter(|_| provider.keys.is_empty()) {
            sign::with_aws(credential, &provider.region, url.as_str(), &body, &mut headers)
                .map_err(|why| Fault::new(FaultKind::Credential, why.to_string()))?;
        }
        if let Some(key) = sign::needs_token(provider, key) {
            headers.insert(AUTHORIZATION, self.token(key, patience).await?);
        }
        let sending = self.client.post(url).headers(headers).body(body).send();
        match tokio::time::timeout(patience, sending).await {
            Err(_) => Err(Fault::new(
                FaultKind::Timeout,
                format!("no answer within {} ms", patience.as_millis()),
            )),
            Ok(Err(why)) => Err(fault_of(&why)),
            Ok(Ok(response)) => {
                let (head, body) = ::http::Response::<Body>::from(response).into_parts();
                Ok(Incoming { status: head.status.as_u16(), headers: head.headers, body })
            }
        }
    }
}

/// Asks providers whether they are there, from whichever thread.
#[derive(Debug, Clone)]
pub struct Prober(Client);

impl Prober {
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: &Limits, proxies: &Proxies) -> Result<Self, ClientError> {
        let client = through(Client::builder(), proxies)?
            .connect_timeout(limits.connect)
            // Whoever answers from an old connection may take no new one.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(client))
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
        let url = Url::parse(&format!("{}/models", provider.base_url))
            .map_err(|why| Fault::new(FaultKind::Unreachable, format!("not a URL: {why}")))?;
        let mut headers = sign::headers(provider);
        if let Some((name, value)) = sign::credential(provider, key) {
            headers.insert(name, value);
        }
        let sending = self.0.get(url).headers(headers).send();
        match tokio::time::timeout(patience, sending).await {
            Err(_) => Err(Fault::new(FaultKind::Timeout, "no answer within the time")),
            Ok(Err(why)) => Err(fault_of(&why)),
            Ok(Ok(answer)) => Ok(answer.status().as_u16()),
        }
    }
}

/// Whether a provider's key is not sent, but changed for a token first.
#[must_use]
pub fn exchanges(provider: &Provider) -> bool {
    sign::needs_token(provider, 0).is_some()
}

/// A client's connections, through the proxies that are set.
fn through(builder: ClientBuilder, proxies: &Proxies) -> reqwest::Result<ClientBuilder> {
    Ok(match proxies {
        // The builder reads the environment by itself.
        Proxies::Environment => builder,
        Proxies::Never => builder.no_proxy(),
        Proxies::Only(proxy) => {
            builder.proxy(Proxy::all(proxy.as_str())?.no_proxy(NoProxy::from_env()))
        }
    })
}

/// A name as it stands in one segment of an address, or in one value of its query.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                // Writing to a String cannot fail.
                let _infallible = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// How long an address may take for a document.
const DOCUMENT_TIME: Duration = Duration::from_secs(60);

/// A document at an address, of so many bytes at most: for the command line.
///
/// # Errors
/// Why there is none, in words.
pub async fn document(url: &str, most: usize) -> Result<Bytes, String> {
    let client = Client::builder().timeout(DOCUMENT_TIME).build().map_err(|why| why.to_string())?;
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|why| why.to_string())?;
    let mut whole = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|why| why.to_string())? {
        if whole.len() + piece.len() > most {
            return Err(format!("{url}: more than {most} bytes"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn fault_of(why: &reqwest::Error) -> Fault {
    let kind = if why.is_connect() {
        FaultKind::Unreachable
    } else if why.is_timeout() {
        FaultKind::Timeout
    } else {
        FaultKind::Broken
    };
    // The URL may hold a key; the chain of causes does not.
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(why);
    while let Some(one) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&one.to_string());
        cause = one.source();
    }
    Fault::new(kind, if text.is_empty() { "the connection failed".to_owned() } else { text })
}
