//! Browser keys: what a server lends to a page or an app in somebody else's hands. One is good for
//! an hour at most, for less than the key that lends it, and for nothing once that key is gone.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Keys;
use crate::admit::{Bound, Caller, KeyTerms, Scope, Usd, terms};
use crate::base::clock::Timestamp;
use crate::base::ids::KeyId;
use crate::base::secret::{BROWSER_PREFIX, KeyHash, new_token};
use crate::base::{Error, Kind};
use crate::store::NewBrowserKey;

/// How long one is good, if nothing else is said, and at most and least, in seconds.
const USUAL_SECONDS: u64 = 600;
const MOST_SECONDS: u64 = 3_600;
const LEAST_SECONDS: u64 = 10;
/// The largest settings of a session that are kept.
const SESSION_BYTES: usize = 64 << 10;

/// What one is asked to be.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "NewBrowserKey")]
pub struct Wanted {
    #[schemars(range(min = 10, max = 3_600))]
    pub expires_in_seconds: Option<u64>,
    /// Of `chat`, `embeddings`, `images` and `realtime`; chat, if not given.
    #[schemars(length(min = 1))]
    pub scopes: Option<Vec<Scope>>,
    pub models: Option<Vec<String>>,
    pub budget_usd: Option<Usd>,
    pub requests_per_minute: Option<Bound>,
    pub tokens_per_minute: Option<Bound>,
    pub guardrails: Option<Vec<String>>,
}

/// One as it is shown, once.
#[derive(Debug)]
pub struct Made {
    pub id: KeyId,
    pub secret: SecretString,
    pub terms: KeyTerms,
    pub expires: Timestamp,
}

fn malformed(text: impl Into<std::borrow::Cow<'static, str>>, field: &'static str) -> Error {
    Error::new(Kind::Malformed, text).at(field)
}

/// `POST /v1/keys/browser`
///
/// # Errors
/// [`Kind::Forbidden`] for a caller that has no key of an account, or for more than its key may;
/// [`Kind::Malformed`] for what makes no sense.
pub async fn make(desk: Keys<'_>, caller: &Caller, wanted: Wanted) -> Result<Made, Error> {
    let seconds = wanted.expires_in_seconds.unwrap_or(USUAL_SECONDS);
    if !(LEAST_SECONDS..=MOST_SECONDS).contains(&seconds) {
        let text = format!(
            "'expires_in_seconds' has to be from {LEAST_SECONDS} to {MOST_SECONDS}: make another \
             when one has expired."
        );
        return Err(malformed(text, "expires_in_seconds"));
    }
    let scopes = wanted.scopes.unwrap_or_else(|| vec![Scope::Chat]);
    let lendable = [Scope::Chat, Scope::Embeddings, Scope::Images, Scope::Realtime];
    if scopes.is_empty() || scopes.iter().any(|scope| !lendable.contains(scope)) {
        let text = "'scopes' holds some of 'chat', 'embeddings', 'images' and 'realtime'.";
        return Err(malformed(text, "scopes"));
    }
    let terms = KeyTerms {
        scopes: Some(scopes),
        models: wanted.models,
        monthly_budget_usd: wanted.budget_usd,
        requests_per_minute: wanted.requests_per_minute,
        tokens_per_minute: wanted.tokens_per_minute,
        guardrails: wanted.guardrails,
        ..KeyTerms::default()
    };
    lend(desk, caller, terms, Duration::from_secs(seconds), None).await
}

/// `POST /v1/realtime/client_secrets`: for one session with these settings, as OpenAI has it. The
/// model that they name is the only one that it is good for.
///
/// # Errors
/// As [`make`].
pub async fn make_for_session(
    desk: Keys<'_>,
    caller: &Caller,
    session: &Map<String, Value>,
    seconds: Option<u64>,
) -> Result<Made, Error> {
    let model = session.get("model").and_then(Value::as_str);
    // OpenAI's are good for up to two hours; ours for one, and the answer says until when.
    let seconds = seconds.unwrap_or(USUAL_SECONDS).clamp(LEAST_SECONDS, MOST_SECONDS);
    let kept = Value::Object(session.clone()).to_string();
    if kept.len() > SESSION_BYTES {
        return Err(malformed(
            format!("'session' is longer than {SESSION_BYTES} bytes."),
            "session",
        ));
    }
    let terms = KeyTerms {
        scopes: Some(vec![Scope::Realtime]),
        models: model.map(|model| vec![model.to_owned()]),
        ..KeyTerms::default()
    };
    lend(desk, caller, terms, Duration::from_secs(seconds), Some(kept)).await
}

async fn lend(
    desk: Keys<'_>,
    caller: &Caller,
    mut terms: KeyTerms,
    lasts: Duration,
    session: Option<String>,
) -> Result<Made, Error> {
    for scope in terms.scopes.iter().flatten() {
        caller.must_be_for(*scope)?;
    }
    desk.current.load().must_have_guardrails(terms.guardrails.as_ref())?;
    // Limits of its own would be a second helping of those that the key has.
    if terms.limits().is_some() && caller.terms.key_limits.is_some() {
        let text = "The key that lends has limits of its own, which what it lends shares: leave out \
                    'budget_usd', 'requests_per_minute' and 'tokens_per_minute', or lend by a key \
                    without limits.";
        return Err(Error::new(Kind::Malformed, text).coded("limits_are_shared"));
    }
    let store = desk.store;
    let lender = store.key(caller.key.clone()).await.map_err(Error::internal)?;
    if lender.is_none() || caller.is_lent() {
        let text = "Only an API key of an account can lend a browser key.";
        return Err(Error::new(Kind::Forbidden, text).coded("cannot_lend"));
    }
    let now = desk.clock.now();
    let expires = caller.until().map_or(now.after(lasts), |until| until.min(now.after(lasts)));
    terms.expires_at = Some(expires.seconds());
    let secret = new_token().map_err(Error::internal)?;
    let secret = SecretString::from(format!("{BROWSER_PREFIX}{secret}"));
    let id = KeyId::fresh();
    let new = NewBrowserKey {
        id: id.as_str().to_owned(),
        lender: caller.key.clone(),
        terms: terms::written(&terms).map_err(Error::internal)?,
        session,
        created: now,
        expires,
    };
    let hash = KeyHash::of(secret.expose_secret());
    store.lend_key(new, hash).await.map_err(Error::internal)?;
    Ok(Made { id, secret, terms, expires })
}
