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
pub struct BrowserKeyRequest {
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

/// A new browser key, as it is shown once.
#[derive(Debug)]
pub struct IssuedBrowserKey {
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
pub async fn make(
    desk: Keys<'_>,
    caller: &Caller,
    wanted: BrowserKeyRequest,
) -> Result<IssuedBrowserKey, Error> {
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
) -> Result<IssuedBrowserKey, Error> {
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
) -> Result<IssuedBrowserKey, Error> {
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
    Ok(IssuedBrowserKey { id, secret, terms, expires })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Role;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::admit::keys::revoke;
    use crate::live::{Current, Live};
    use serde_json::json;
    use std::sync::Arc;

    struct Desk {
        all: Accounts,
        current: Current,
    }

    impl Desk {
        async fn new() -> Self {
            Self { all: Accounts::new().await, current: Current::new(Live::bare()) }
        }

        fn keys(&self) -> Keys<'_> {
            let Accounts { store, identities, clock, .. } = &self.all;
            Keys { store, identities, current: &self.current, clock: *clock }
        }

        async fn make(&self, caller: &Caller, wanted: Value) -> Result<IssuedBrowserKey, Error> {
            make(self.keys(), caller, serde_json::from_value(wanted).unwrap()).await
        }

        async fn caller(&self, made: &IssuedBrowserKey) -> Result<Arc<Caller>, Error> {
            self.all.identities.identify(Some(made.secret.expose_secret())).await
        }
    }

    #[tokio::test]
    async fn what_is_lent_is_good_for_what_was_said_and_gone_with_its_key() {
        let desk = Desk::new().await;
        let account = desk.all.open("acme").await;
        let lender = desk.all.owner(&account).await;
        let made = desk.make(&lender, json!({"models": ["m"], "scopes": ["chat"]})).await.unwrap();
        assert!(made.secret.expose_secret().starts_with(BROWSER_PREFIX));
        let now = made.expires.seconds() - NOON.seconds();
        assert!((600..602).contains(&now), "ten minutes, if nothing is said: {now}");
        let page = desk.caller(&made).await.unwrap();
        assert!(page.is_lent() && page.account == account);
        assert!(page.must_be_for(Scope::Chat).is_ok());
        assert!(page.must_be_for(Scope::Platform).is_err());
        revoke(&desk.all.store, lender.key.as_str(), NOON).await.unwrap();
        desk.all.identities.forget(&account);
        assert_eq!(desk.caller(&made).await.unwrap_err().kind, Kind::Unauthenticated);
    }

    #[tokio::test]
    async fn it_lasts_an_hour_at_most_and_never_longer_than_the_key_that_lends_it() {
        let desk = Desk::new().await;
        let account = desk.all.open("acme").await;
        let lender = desk.all.owner(&account).await;
        for seconds in [0, 9, 3_601, u64::MAX] {
            let refused = desk.make(&lender, json!({"expires_in_seconds": seconds})).await;
            let refused = refused.map(|_| ()).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("expires_in_seconds"), "{seconds}");
        }
        for seconds in [10, 3_600] {
            desk.make(&lender, json!({"expires_in_seconds": seconds})).await.unwrap();
        }
        let ends = NOON.seconds() + 60;
        let terms = KeyTerms { expires_at: Some(ends), ..KeyTerms::default() };
        let short = desk.all.by_key(&account, None, &terms).await;
        let made = desk.make(&short, json!({"expires_in_seconds": 3_600})).await.unwrap();
        assert_eq!(made.expires.seconds(), ends);
        assert_eq!(made.terms.expires_at, Some(ends));
    }

    #[tokio::test]
    async fn nothing_is_lent_that_the_key_has_not_or_a_page_must_not_have() {
        let desk = Desk::new().await;
        let account = desk.all.open("acme").await;
        let lender = desk.all.owner(&account).await;
        for scopes in [json!([]), json!(["platform"]), json!(["chat", "keys"]), json!(["account"])]
        {
            let refused = desk.make(&lender, json!({"scopes": scopes})).await.map(|_| ());
            assert_eq!(refused.unwrap_err().field.as_deref(), Some("scopes"), "{scopes}");
        }
        let refused = desk.make(&lender, json!({"guardrails": ["none-such"]})).await.map(|_| ());
        assert_eq!(refused.unwrap_err().field.as_deref(), Some("guardrails"));
        let terms = KeyTerms { scopes: Some(vec![Scope::Chat]), ..KeyTerms::default() };
        let chat = desk.all.by_key(&account, None, &terms).await;
        let refused = desk.make(&chat, json!({"scopes": ["chat", "images"]})).await.map(|_| ());
        assert_eq!(refused.unwrap_err().code.as_deref(), Some("missing_scope"));
        desk.make(&chat, json!({})).await.unwrap();
    }

    #[tokio::test]
    async fn limits_of_its_own_are_no_second_helping_of_its_keys() {
        let desk = Desk::new().await;
        let account = desk.all.open("acme").await;
        let terms = serde_json::from_value(json!({"requests_per_minute": 5})).unwrap();
        let limited = desk.all.by_key(&account, None, &terms).await;
        for wanted in [
            json!({"budget_usd": "1.00"}),
            json!({"requests_per_minute": 1}),
            json!({"tokens_per_minute": 1}),
        ] {
            let refused = desk.make(&limited, wanted.clone()).await.map(|_| ()).unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("limits_are_shared"), "{wanted}");
            desk.make(&*desk.all.owner(&account).await, wanted).await.unwrap();
        }
        desk.make(&limited, json!({})).await.unwrap();
    }

    #[tokio::test]
    async fn who_has_no_key_of_an_account_lends_nothing() {
        let desk = Desk::new().await;
        let account = desk.all.open("acme").await;
        let ann = desk.all.member(&account, "ann@acme.test", Role::Owner).await;
        let lender = desk.all.owner(&account).await;
        let page = desk.make(&lender, json!({})).await.unwrap();
        let page = desk.caller(&page).await.unwrap();
        for who in [&page, &desk.all.caller(&ann).await] {
            let refused = desk.make(who, json!({})).await.map(|_| ()).unwrap_err();
            assert_eq!(refused.code.as_deref(), Some("cannot_lend"));
        }
    }

    #[tokio::test]
    async fn what_is_lent_for_a_session_is_for_its_model_and_for_realtime_alone() {
        let desk = Desk::new().await;
        let lender = desk.all.owner(&desk.all.open("acme").await).await;
        let make = async |session: &Value, seconds: Option<u64>| {
            let session = session.as_object().unwrap();
            make_for_session(desk.keys(), &lender, session, seconds).await
        };
        let session = json!({"type": "realtime", "model": "m", "voice": "v"});
        let made = make(&session, Some(7_200)).await.unwrap();
        let lasts = made.expires.seconds() - NOON.seconds();
        assert!((3_600..3_602).contains(&lasts), "OpenAI's two hours are ours of one: {lasts}");
        assert_eq!(made.terms.models.as_deref(), Some(["m".to_owned()].as_slice()));
        let page = desk.caller(&made).await.unwrap();
        assert_eq!(page.session(), Some(&session));
        assert!(page.must_be_for(Scope::Realtime).is_ok());
        assert!(page.must_be_for(Scope::Chat).is_err());
        assert!(make(&json!({}), Some(0)).await.unwrap().terms.models.is_none());
        let large = json!({"instructions": "x".repeat(SESSION_BYTES)});
        let refused = make(&large, None).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("session"));
    }
}
