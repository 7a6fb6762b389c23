//! Issuers of OpenID Connect: where they send people, what they give for a code, and with what they
//! sign. What an issuer says of itself is remembered for an hour.

mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::base::clock::{Clock, Timestamp};
use crate::base::egress::Egress;
pub use token::{Expected, IdTokenError, Identity};
use token::{Jwk, verify};

/// How long what an issuer says of itself is believed, and how soon its keys are asked for again when a
/// token names another.
const REMEMBERED: Duration = Duration::from_secs(3_600);
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long an issuer may take for an answer, and how long that may be.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const LONGEST: usize = 256 << 10;

/// An issuer, as it is configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IssuerEntry {
    /// Its address, under which `/.well-known/openid-configuration` is.
    pub issuer: String,
    pub client_id: String,
    /// The environment variable that holds the secret, if there is one.
    pub client_secret_env: Option<String>,
    /// Beside `openid`, `email` and `profile`.
    pub scopes: Vec<String>,
    /// What its button is called, if not by its name in the configuration.
    pub name: Option<String>,
    /// Whoever has an address of these domains becomes a member of `account`, with `role`.
    pub domains: Vec<String>,
    pub account: Option<String>,
    pub role: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the issuer cannot be asked: {0}")]
    Down(String),
    #[error("the issuer says of itself what cannot be: {0}")]
    Wrong(&'static str),
    #[error("the issuer gave nothing for the code: {0}")]
    Refused(String),
    #[error(transparent)]
    Token(#[from] IdTokenError),
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Debug, Clone, Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Told {
    id_token: String,
}

#[derive(Default)]
struct Known {
    metadata: Option<(Timestamp, Arc<Metadata>)>,
    keys: Option<(Timestamp, Arc<Vec<Jwk>>)>,
}

/// One issuer.
pub struct Issuer {
    pub entry: IssuerEntry,
    secret: Option<SecretString>,
    client: Client,
    clock: Clock,
    known: Mutex<Known>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.entry.issuer)
    }
}

/// All that are configured, by their names. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Issuers(Arc<BTreeMap<String, Issuer>>);

/// Over https, or to this machine.
fn is_safe(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        url.scheme() == "https" || (url.scheme() == "http" && here)
    })
}

impl IssuerEntry {
    /// What keeps it from being used, at which of its members.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if !is_safe(&self.issuer) {
            let why = format!("'{}' is no address such as https://login.example.com", self.issuer);
            faults.push(("issuer", why));
        }
        if self.client_id.is_empty() {
            faults.push(("client_id", "is not set".to_owned()));
        }
        if !self.domains.is_empty() && self.account.is_none() {
            let why = "is not set: whose members are those of 'domains' to be?".to_owned();
            faults.push(("account", why));
        }
        if self.role.as_deref().is_some_and(|role| !["member", "billing", "owner"].contains(&role))
        {
            faults.push(("role", "is 'member', 'billing' or 'owner'".to_owned()));
        }
        faults
    }
}

impl Issuers {
    /// `secret` finds a variable of the environment.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        entries: &BTreeMap<String, IssuerEntry>,
        egress: &Egress,
        clock: Clock,
        secret: impl Fn(&str) -> Option<SecretString>,
    ) -> Result<Self, IssuerError> {
        let down = |why: reqwest::Error| IssuerError::Down(why.without_url().to_string());
        let mut all = BTreeMap::new();
        for (id, entry) in entries {
            let builder = egress
                .client()
                .map_err(down)?
                .timeout(ANSWERS_WITHIN)
                // Its connections belong to whichever worker asked.
                .pool_max_idle_per_host(0);
            let issuer = Issuer {
                entry: entry.clone(),
                secret: entry.client_secret_env.as_deref().and_then(&secret),
                client: builder.build().map_err(down)?,
                clock,
                known: Mutex::default(),
            };
            all.insert(id.clone(), issuer);
        }
        Ok(Self(Arc::new(all)))
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Issuer> {
        self.0.get(id)
    }

    /// Their ids, and what they are called.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(id, issuer)| (&**id, issuer.entry.name.as_deref().unwrap_or(id)))
    }
}

impl Issuer {
    fn remembered<T: Clone>(
        &self,
        part: impl Fn(&Known) -> &Option<(Timestamp, T)>,
        lasts: Duration,
    ) -> Option<T> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = part(&known).as_ref()?;
        (self.clock.now() < at.after(lasts)).then(|| value.clone())
    }

    async fn said<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, IssuerError> {
        let down = |why: reqwest::Error| IssuerError::Down(why.without_url().to_string());
        let mut response =
            request.header("accept", "application/json").send().await.map_err(down)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(down)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(IssuerError::Wrong("its answer is too long"));
            }
        }
        if !status.is_success() {
            // What it says may hold what we said: the status has to do.
            return Err(IssuerError::Refused(format!("it said {status}")));
        }
        serde_json::from_slice(&body).map_err(|_| IssuerError::Wrong("its answer cannot be read"))
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, IssuerError> {
        if let Some(known) = self.remembered(|known| &known.metadata, REMEMBERED) {
            return Ok(known);
        }
        let at = self.entry.issuer.trim_end_matches('/');
        let url = format!("{at}/.well-known/openid-configuration");
        let said: Metadata = self.said(self.client.get(url)).await?;
        if said.issuer != self.entry.issuer {
            return Err(IssuerError::Wrong("it is called otherwise"));
        }
        let places = [&said.authorization_endpoint, &said.token_endpoint, &said.jwks_uri];
        if !places.iter().all(|url| is_safe(url)) {
            return Err(IssuerError::Wrong("one of its addresses is not https"));
        }
        let said = Arc::new(said);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.metadata = Some((self.clock.now(), Arc::clone(&said)));
        Ok(said)
    }

    async fn keys(&self, lasts: Duration) -> Result<Arc<Vec<Jwk>>, IssuerError> {
        if let Some(known) = self.remembered(|known| &known.keys, lasts) {
            return Ok(known);
        }
        let metadata = self.metadata().await?;
        let said: KeySet = self.said(self.client.get(&metadata.jwks_uri)).await?;
        // Keys of kinds that we do not know are passed over.
        let keys = said.keys.into_iter().take(100);
        let keys: Vec<Jwk> = keys.filter_map(|key| serde_json::from_value(key).ok()).collect();
        let keys = Arc::new(keys);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.keys = Some((self.clock.now(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Where to send somebody who signs in (with PKCE, RFC 7636).
    ///
    /// # Errors
    /// [`IssuerError`] when the issuer does not say where that is.
    pub async fn authorize(
        &self,
        redirect: &str,
        state: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<String, IssuerError> {
        let metadata = self.metadata().await?;
        let mut url = Url::parse(&metadata.authorization_endpoint)
            .map_err(|_| IssuerError::Wrong("its address is none"))?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let mut scopes = vec!["openid", "email", "profile"];
        scopes.extend(self.entry.scopes.iter().map(String::as_str));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.entry.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Who came back with a code.
    ///
    /// # Errors
    /// [`IssuerError`] for a code that is not good, or a token that is not believed.
    pub async fn identify(
        &self,
        code: &str,
        redirect: &str,
        nonce: &str,
        verifier: &str,
    ) -> Result<Identity, IssuerError> {
        let metadata = self.metadata().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", &self.entry.client_id),
            ("code_verifier", verifier),
        ];
        if let Some(secret) = &self.secret {
            form.push(("client_secret", secret.expose_secret()));
        }
        let mut body = Url::parse("form:").map_err(|why| IssuerError::Down(why.to_string()))?;
        body.query_pairs_mut().extend_pairs(&form);
        let asking = self
            .client
            .post(&metadata.token_endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.query().unwrap_or_default().to_owned());
        let told: Told = self.said(asking).await?;
        let expected = Expected {
            issuer: &self.entry.issuer,
            client: &self.entry.client_id,
            nonce,
            now: self.clock.now(),
        };
        match verify(&told.id_token, &self.keys(REMEMBERED).await?, expected) {
            Err(IdTokenError::UnknownKey) => {
                Ok(verify(&told.id_token, &self.keys(ASK_AGAIN).await?, expected)?)
            }
            verified => Ok(verified?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine_is_an_issuer() {
        for safe in ["https://a.example", "http://127.0.0.1:9/x", "http://localhost:9"] {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_one in ["http://a.example", "ftp://127.0.0.1", "", "http://127.evil.example"] {
            assert!(!is_safe(unsafe_one), "{unsafe_one}");
        }
        let entry = IssuerEntry { domains: vec!["x.y".to_owned()], ..IssuerEntry::default() };
        let at: Vec<&str> = entry.faults().iter().map(|(at, _)| *at).collect();
        assert_eq!(at, ["issuer", "client_id", "account"]);
    }
}
