//! From an HTTP request to what the gateway takes: the credential, and a body that is bounded in
//! size and time.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, UPGRADE};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::{Worker, media};
use crate::admit::Caller;
use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::gateway::cache::CacheWish;
use crate::gateway::{Asked, users};
use crate::router::Dial;

/// A body that trickles in is given up after this.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

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
    if request.path().contains("/v1beta/") {
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
    let caller = app.shared.identities.identify(credential(request)).await?;
    users::acting(app, caller, user(request)).await
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

/// What the headers ask for, beside the body.
///
/// # Errors
/// [`Kind::Malformed`] for a dial or a price that is none: whoever sets a limit wants it kept.
pub fn asked(request: &HttpRequest) -> Result<Asked, Error> {
    let header = |name: &str| request.headers().get(name);
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
    Ok(Asked {
        thorough: false,
        strict: header("x-optimux-strict").is_some_and(|value| value == "true" || value == "1"),
        dial: number("x-optimux-quality", "a number from 0 to 1")?.map(dial).transpose()?,
        max_cost: number("x-optimux-max-cost-usd", "an amount of US dollars")?
            .map(price)
            .transpose()?,
        session: header("x-optimux-session")
            .and_then(|value| value.to_str().ok())
            .filter(|name| !name.is_empty())
            .map(|name| name.chars().take(SESSION_CHARACTERS).collect()),
        cache: header("cache-control")
            .and_then(|value| value.to_str().ok())
            .map_or_else(CacheWish::default, cache_wish),
    })
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

/// The whole body, which is JSON, as it was before it was compressed.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `limit_bytes`, compressed or not, [`Kind::UnsupportedMedia`] for another
/// type or an unknown coding, [`Kind::Malformed`] when it breaks off, dawdles or cannot be decoded.
pub async fn body(
    request: &HttpRequest,
    payload: Payload,
    limit_bytes: usize,
) -> Result<Bytes, Error> {
    let codings = media::codings_of_json(request)?;
    let sent = gathered(request, payload, limit_bytes).await?;
    if codings.is_empty() || sent.is_empty() {
        return Ok(sent);
    }
    // A few kilobytes may hold as much as the limit, which no other request should wait for.
    actix_web::web::block(move || media::decoded(sent, &codings, limit_bytes))
        .await
        .map_err(Error::internal)?
}

/// The body as it was sent.
async fn gathered(
    request: &HttpRequest,
    mut payload: Payload,
    limit_bytes: usize,
) -> Result<Bytes, Error> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Error::body_too_large(limit_bytes));
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(chunk) = std::future::poll_fn(|cx| {
            futures_core::Stream::poll_next(std::pin::Pin::new(&mut payload), cx)
        })
        .await
        {
            let chunk = chunk.map_err(|why| {
                Error::new(Kind::Malformed, "The request body could not be read.")
                    .because(why.to_string())
            })?;
            if all.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > limit_bytes {
                return Err(Error::body_too_large(limit_bytes));
            }
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
        Ok(first.unwrap_or_else(|| all.freeze()))
    };
    tokio::time::timeout(BODY_PATIENCE, reading).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::Malformed, "The request body did not arrive in time."))
    })
}

/// What the body says; an empty one says nothing.
///
/// # Errors
/// [`Kind::Malformed`] for one that says something else; as [`body`].
pub async fn said<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
    limit_bytes: usize,
) -> Result<T, Error> {
    let body = body(request, payload, limit_bytes).await?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(body).map_err(|why| {
        Error::new(Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}
