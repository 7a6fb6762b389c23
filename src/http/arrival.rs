//! From an HTTP request to what the gateway takes: the credential, and a body that is bounded in
//! size and time.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_KEY, UPGRADE,
};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_core::Stream as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::{Instant, Sleep};

use super::{Worker, media, visit};
use crate::admit::Caller;
use crate::admit::users;
use crate::base::ids::AccountId;
use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::catalogue::Timeouts;
use crate::exchange::CacheWish;
use crate::exchange::RequestOptions;
use crate::router::{Dial, Wishes};

/// A body that is not whole after this is given up.
const BODY_PATIENCE: Duration = Duration::from_secs(120);
/// Within each such window at least [`WINDOW_BYTES`] have to come: the pace of a poor mobile
/// connection. Whoever holds a body back must not hold our memory.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOW_BYTES: usize = 32 << 10;

/// More of a session's name is not looked at.
const SESSION_CHARACTERS: usize = 200;

/// The name under which a request may come again.
#[must_use]
pub fn idempotency(request: &HttpRequest) -> Option<&str> {
    request.headers().get("idempotency-key").and_then(|value| value.to_str().ok())
}

/// The key, from any of the places where one may stand.
#[must_use]
pub fn credential(request: &HttpRequest) -> Option<&str> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(value) = bearer {
        let (scheme, key) = value.split_once(' ').unwrap_or(("", value));
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(key.trim());
        }
    }
    let named = ["x-api-key", "x-goog-api-key", "api-key"].into_iter().find_map(header);
    if let Some(key) = named {
        return Some(key.trim());
    }
    // In the address only where Gemini's clients put it: addresses end up in logs.
    let gemini = request.path().contains("/v1beta/") || request.path().contains("/v1/models/");
    if gemini {
        return request.query_string().split('&').find_map(|pair| pair.strip_prefix("key="));
    }
    // A browser's socket can set no header but this one.
    header("sec-websocket-protocol").and_then(|protocols| {
        protocols.split(',').find_map(|one| one.trim().strip_prefix("openai-insecure-api-key."))
    })
}

/// Who asks, in whose name: the credential's, or the user's whom `x-optimux-user` names.
///
/// # Errors
/// For a credential that is not good, or a user for whom its holder may not act.
pub async fn caller(app: &Worker, request: &HttpRequest) -> Result<Arc<Caller>, Error> {
    let caller = identified(app, request).await?;
    users::acting(&app.shared.identities, caller, user(request)).await
}

/// The same, in the credential's own name.
///
/// # Errors
/// For a credential that is not good.
pub async fn identified(app: &Worker, request: &HttpRequest) -> Result<Arc<Caller>, Error> {
    let caller = app.shared.identities.identify(credential(request)).await?;
    app.upstream.trails.asked_by(&visit::id(request), &caller.account, &caller.key);
    Ok(caller)
}

/// Who asks, and what they say. Nobody is listened to before it is known who speaks.
///
/// # Errors
/// As [`caller`] and [`body`].
pub async fn received(
    app: &Worker,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(Arc<Caller>, Bytes), Error> {
    let caller = caller(app, request).await?;
    let limit_bytes = app.shared.serving.body_limit_bytes;
    let body = body(app, request, Some(&caller.account), payload, limit_bytes).await?;
    app.upstream.trails.heard(&visit::id(request));
    Ok((caller, body))
}

/// The user whom a request names.
#[must_use]
pub fn user(request: &HttpRequest) -> Option<&str> {
    request.headers().get("x-optimux-user").and_then(|value| value.to_str().ok())
}

/// Before anything is done for a socket: a proxy on the way may have dropped what asks for it.
///
/// # Errors
/// [`Kind::UpgradeRequired`] for a request that asks for no upgrade.
pub fn must_ask_for_socket(request: &HttpRequest) -> Result<(), Error> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let asks = header(UPGRADE).is_some_and(|what| what.eq_ignore_ascii_case("websocket"));
    if asks && request.head().upgrade() && header(SEC_WEBSOCKET_KEY).is_some() {
        return Ok(());
    }
    let text = "This is a WebSocket endpoint, and the request does not ask for an upgrade. A proxy \
                on the way has to pass on 'Upgrade' and 'Connection', over HTTP/1.1. In nginx: \
                proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header \
                Connection upgrade;";
    Err(Error::new(Kind::UpgradeRequired, text).coded("upgrade_required"))
}

/// How headers begin that are for the gateway.
const OURS: &str = "x-optimux-";

/// What the headers ask for, beside the body.
///
/// # Errors
/// [`Kind::Malformed`] for a dial or a price that is none: whoever sets a limit wants it kept.
pub fn asked(request: &HttpRequest) -> Result<RequestOptions, Error> {
    let headers = request.headers();
    let cache = headers
        .get(CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .map_or_else(CacheWish::default, cache_wish);
    // Most requests ask for nothing: one look at all names is cheaper than one for each.
    if !headers.keys().any(|name| name.as_str().starts_with(OURS)) {
        return Ok(RequestOptions { cache, ..RequestOptions::default() });
    }
    let header = |name: &str| headers.get(name);
    let number = |name: &'static str, what: &str| {
        let Some(value) = header(name) else { return Ok(None) };
        let number = value.to_str().ok().and_then(|value| value.trim().parse::<f64>().ok());
        let refused = || Error::new(Kind::Malformed, format!("{name} has to be {what}.")).at(name);
        number.map(Some).ok_or_else(refused)
    };
    let dial = |quality| {
        let refused = "x-optimux-quality has to be a number from 0 to 1.";
        Dial::new(quality)
            .ok_or_else(|| Error::new(Kind::Malformed, refused).at("x-optimux-quality"))
    };
    let price = |usd| {
        let refused = "x-optimux-max-cost-usd has to be an amount of US dollars.";
        Nanos::from_usd(usd)
            .ok_or_else(|| Error::new(Kind::Malformed, refused).at("x-optimux-max-cost-usd"))
    };
    Ok(RequestOptions {
        wishes: wishes(request)?,
        thorough: false,
        cascade: header("x-optimux-cascade").map(cascade).transpose()?,
        rescue_gives: header("x-optimux-rescue").map(rescue).transpose()?.unwrap_or_default(),
        strict: header("x-optimux-strict").is_some_and(|value| value == "true" || value == "1"),
        dial: number("x-optimux-quality", "a number from 0 to 1")?.map(dial).transpose()?,
        max_cost: number("x-optimux-max-cost-usd", "an amount of US dollars")?
            .map(price)
            .transpose()?,
        session: header("x-optimux-session")
            .and_then(|value| value.to_str().ok())
            .filter(|name| !name.is_empty())
            .map(|name| name.chars().take(SESSION_CHARACTERS).collect()),
        cache,
    })
}

/// Whether a model may go on from what another has said.
fn rescue(value: &HeaderValue) -> Result<bool, Error> {
    match value.as_bytes() {
        b"continue" => Ok(true),
        b"replay" => Ok(false),
        _ => {
            let refused = "x-optimux-rescue has to be continue or replay.";
            Err(Error::new(Kind::Malformed, refused).at("x-optimux-rescue"))
        }
    }
}

/// Wishes for the routing, for those who cannot put them into the body.
fn wishes(request: &HttpRequest) -> Result<Option<Box<Wishes>>, Error> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let names = |name: &str| -> Vec<String> {
        let listed = header(name).unwrap_or_default().split(',').map(str::trim);
        listed.filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let mut wishes = Wishes {
        models: names("x-optimux-models"),
        allow: names("x-optimux-allow"),
        deny: names("x-optimux-deny"),
        within: request
            .headers()
            .get("x-optimux-timeouts")
            .map(within)
            .transpose()?
            .unwrap_or_default(),
        ..Wishes::default()
    };
    if let Some(provider) = header("x-optimux-provider-wishes") {
        let said: Value = serde_json::from_str(provider).map_err(|why| {
            let text = format!("x-optimux-provider-wishes has to be a JSON object: {why}.");
            Error::new(Kind::Malformed, text).at("x-optimux-provider-wishes")
        })?;
        wishes.read(Map::from_iter([("provider".to_owned(), said)]))?;
    }
    Ok((wishes != Wishes::NONE).then(|| Box::new(wishes)))
}

/// Limits of a request's own: `first_token=5s, idle=20s, deadline=60s, tries=1`.
fn within(value: &HeaderValue) -> Result<Timeouts, Error> {
    let refused = |why: String| {
        let text = format!(
            "x-optimux-timeouts has to be like 'first_byte=10s, first_token=5s, idle=20s, \
             answer=60s, deadline=60s, tries=1': {why}."
        );
        Error::new(Kind::Malformed, text).at("x-optimux-timeouts")
    };
    let text = value.to_str().map_err(|why| refused(why.to_string()))?;
    let mut all = Map::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (name, limit) =
            one.split_once('=').ok_or_else(|| refused(format!("'{one}' has no value")))?;
        let limit = limit.trim();
        let limit = serde_json::from_str(limit).unwrap_or_else(|_| Value::from(limit));
        all.insert(name.trim().to_owned(), limit);
    }
    serde_json::from_value(Value::Object(all)).map_err(|why| refused(why.to_string()))
}

fn cascade(value: &HeaderValue) -> Result<bool, Error> {
    match value.as_bytes() {
        b"true" | b"1" => Ok(true),
        b"false" | b"0" => Ok(false),
        _ => {
            let refused = "x-optimux-cascade has to be true or false.";
            Err(Error::new(Kind::Malformed, refused).at("x-optimux-cascade"))
        }
    }
}

/// What `Cache-Control` of a request says of caches (RFC 9111, 5.2.1).
fn cache_wish(said: &str) -> CacheWish {
    let mut wish = CacheWish::default();
    for directive in said.split(',').map(|one| one.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            None if directive == "no-cache" => wish.look = false,
            None if directive == "no-store" => {
                wish = CacheWish { look: false, keep: false, ..wish }
            }
            Some(("max-age", seconds)) => wish.max_age = seconds.parse().ok().or(wish.max_age),
            _ => {}
        }
    }
    wish
}

/// The whole body, which is JSON, as it was before it was compressed, counted against what its account
/// may send at once.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `limit_bytes`, compressed or not, [`Kind::UnsupportedMedia`] for another
/// type or an unknown coding, [`Kind::Malformed`] when it breaks off, dawdles or cannot be decoded, and
/// those of [`crate::admit::Share::cover`].
pub async fn body(
    app: &Worker,
    request: &HttpRequest,
    account: Option<&AccountId>,
    mut payload: Payload,
    limit_bytes: usize,
) -> Result<Bytes, Error> {
    let codings = media::codings_of_json(request)?;
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Error::body_too_large(limit_bytes));
    }
    let mut share = app.shared.serving.inflow.share(account);
    // Taken as announced: what does not fit is refused before a byte of it is read.
    share.cover(announced.unwrap_or(0))?;
    let mut pace = Pace::default();
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(chunk) = pace.next(&mut payload).await? {
        let come = all.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len();
        if come > limit_bytes {
            return Err(Error::body_too_large(limit_bytes));
        }
        share.cover(come)?;
        // Small bodies come in one piece, which then need not be copied.
        match (&first, all.is_empty()) {
            (None, true) => first = Some(chunk),
            _ => {
                if let Some(first) = first.take() {
                    all.reserve(announced.unwrap_or(0));
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&chunk);
            }
        }
    }
    let sent = first.unwrap_or_else(|| all.freeze());
    if codings.is_empty() || sent.is_empty() {
        return Ok(sent);
    }
    // A few kilobytes may hold as much as the limit, which no other request should wait for.
    let decoding = move || {
        let (mut share, before) = (share, sent.len());
        let mut cover = |bytes| share.cover(before.saturating_add(bytes));
        media::decoded(sent, &codings, limit_bytes, &mut cover)
    };
    actix_web::web::block(decoding).await.map_err(Error::internal)?
}

/// How fast a body has to come.
#[derive(Default)]
struct Pace {
    /// Bytes since `until` was set.
    come: usize,
    until: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl Pace {
    /// The next piece.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when the body breaks off, when less than [`WINDOW_BYTES`] came within
    /// [`WINDOW`], or when the whole took longer than [`BODY_PATIENCE`].
    async fn next(&mut self, payload: &mut Payload) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(chunk) = Pin::new(&mut *payload).poll_next(cx) {
                return Poll::Ready(chunk.transpose().map_err(|why| {
                    Error::new(
                        Kind::Malformed,
                        "The request body broke off or is not framed as HTTP asks. Send it again.",
                    )
                    .because(why.to_string())
                }));
            }
            // Most bodies are there at once, and need no timer.
            let now = Instant::now();
            let (timer, end) = self.until.get_or_insert_with(|| {
                (Box::pin(tokio::time::sleep_until(now + WINDOW)), now + BODY_PATIENCE)
            });
            while timer.as_mut().poll(cx).is_ready() {
                if self.come < WINDOW_BYTES || timer.deadline() >= *end {
                    let text = "The request body did not arrive in time.";
                    return Poll::Ready(Err(Error::new(Kind::Malformed, text)));
                }
                self.come = 0;
                let next = (timer.deadline() + WINDOW).min(*end);
                timer.as_mut().reset(next);
            }
            Poll::Pending
        })
        .await
        .inspect(|chunk| self.come += chunk.as_ref().map_or(0, Bytes::len))
    }
}

/// What the body says; an empty one says nothing.
///
/// # Errors
/// [`Kind::Malformed`] for one that says something else; as [`body`].
pub async fn said<T: DeserializeOwned>(
    app: &Worker,
    request: &HttpRequest,
    account: Option<&AccountId>,
    payload: Payload,
    limit_bytes: usize,
) -> Result<T, Error> {
    let body = body(app, request, account, payload, limit_bytes).await?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(body).map_err(|why| {
        Error::new(Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::dev;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use futures_core::Stream;
    use futures_util::StreamExt as _;

    use super::*;

    /// A body of which `bytes` come every `every`.
    async fn trickle(bytes: usize, every: Duration) -> Payload {
        let pieces = futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((Ok(Bytes::from(vec![b' '; bytes])), ()))
        });
        let pieces: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(pieces);
        let request = TestRequest::default().to_http_request();
        Payload::from_request(&request, &mut dev::Payload::from(pieces)).await.unwrap()
    }

    /// How many bytes come through, and after how long it ends.
    async fn read(mut payload: Payload) -> (usize, Duration) {
        let (mut pace, began, mut come) = (Pace::default(), Instant::now(), 0);
        while let Ok(Some(chunk)) = pace.next(&mut payload).await {
            come += chunk.len();
        }
        (come, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_comes_at_a_pace_or_not_at_all() {
        // Nothing at all, and next to nothing.
        let (come, after) = read(trickle(1, Duration::from_secs(60)).await).await;
        assert_eq!((come, after.as_secs()), (0, WINDOW.as_secs()));
        let (come, after) = read(trickle(1_000, Duration::from_secs(1)).await).await;
        assert!(come < WINDOW_BYTES && after.as_secs() == WINDOW.as_secs(), "{come} {after:?}");
        // A poor connection, until patience ends.
        let (come, after) = read(trickle(WINDOW_BYTES, Duration::from_secs(5)).await).await;
        assert!(come >= 20 * WINDOW_BYTES, "{come}");
        assert_eq!(after.as_secs(), BODY_PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_come_needs_no_time() {
        let pieces = futures_util::stream::iter([Ok(Bytes::from_static(b"{}"))]).boxed_local();
        let pieces: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = pieces;
        let request = TestRequest::default().to_http_request();
        let payload = Payload::from_request(&request, &mut dev::Payload::from(pieces)).await;
        let (come, after) = read(payload.unwrap()).await;
        assert_eq!((come, after), (2, Duration::ZERO));
    }
}
