//! The keys that sign access tokens: made when there is none or the newest has grown old, shared
//! through the store, known by every node.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use secrecy::{ExposeSecret, SecretString};

use super::token::{AccessTokenError, Claims, Jwk, Signer, verify};
use crate::base::Error;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::AuditId;
use crate::base::seal::{Vault, is_sealed};
use crate::store::{SigningKey, Store};

/// How long a key signs.
const SIGNS_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How long what it signed is believed afterwards: longer than any token lives.
const BELIEVED_FOR: Duration = Duration::from_secs(86_400);
/// How long an access token is good.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How often the store is asked for a key that nobody has heard of.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Known {
    /// Newest first.
    signers: Arc<Vec<Signer>>,
    asked: Option<Timestamp>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signers {
    store: Store,
    vault: Option<Vault>,
    clock: Clock,
    known: Arc<RwLock<Known>>,
}

/// The keys that access tokens are checked with.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

impl Signers {
    #[must_use]
    pub fn new(store: Store, vault: Option<Vault>, clock: Clock) -> Self {
        Self { store, vault, clock, known: Arc::default() }
    }

    fn known(&self) -> Arc<Vec<Signer>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).signers)
    }

    fn opened(&self, key: SigningKey) -> Option<Signer> {
        let document = if is_sealed(&key.document) {
            match self.vault.as_ref()?.open(&key.document, &key.id) {
                Ok(document) => document,
                Err(why) => {
                    tracing::error!(key = key.id, %why, "a signing key cannot be opened");
                    return None;
                }
            }
        } else {
            SecretString::from(key.document)
        };
        let document = BASE64_STANDARD.decode(document.expose_secret()).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).ok()?;
        Some(Signer { id: key.id, created: key.created, pair })
    }

    async fn reload(&self) -> Result<Arc<Vec<Signer>>, Error> {
        let now = self.clock.now();
        let keys = self.store.signing_keys().await.map_err(Error::internal)?;
        let signers = Arc::new(keys.into_iter().filter_map(|key| self.opened(key)).collect());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { signers: Arc::clone(&signers), asked: Some(now) };
        Ok(signers)
    }

    /// Whether the newest of them may still sign.
    fn signs(&self, signers: &[Signer]) -> bool {
        signers.first().is_some_and(|one| self.clock.now() < one.created.after(SIGNS_FOR))
    }

    async fn signing(&self) -> Result<Arc<Vec<Signer>>, Error> {
        let known = self.known();
        if self.signs(&known) {
            return Ok(known);
        }
        let known = self.reload().await?;
        if self.signs(&known) {
            return Ok(known);
        }
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| Error::internal("the operating system gave no randomness"))?;
        let id = format!("sig_{}", AuditId::fresh().as_str().trim_start_matches("audit_"));
        let document = BASE64_STANDARD.encode(document.as_ref());
        let document = match &self.vault {
            Some(vault) => vault.seal(&document, &id).map_err(Error::internal)?,
            None => document,
        };
        let now = self.clock.now();
        let life = SIGNS_FOR + BELIEVED_FOR;
        let oldest = Timestamp(now.0 - i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let key = SigningKey { id, created: now, document };
        self.store.add_signing_key(key, oldest).await.map_err(Error::internal)?;
        self.reload().await
    }

    /// A token for a sign-in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mint(&self, claims: Claims) -> Result<String, Error> {
        let signers = self.signing().await?;
        let signer = signers.first().ok_or_else(|| Error::internal("no key signs"))?;
        let now = self.clock.now();
        let jti = crate::base::secret::new_token().map_err(Error::internal)?;
        let exp = now.after(TOKEN_LIFE).seconds();
        Ok(signer.mint(&Claims { iat: now.seconds(), exp, jti, ..claims }))
    }

    /// What a token says; a key of another node is looked for in the store.
    ///
    /// # Errors
    /// Unauthenticated for a token that is not good, or when the store fails.
    pub async fn verify(&self, token: &str) -> Result<Claims, Error> {
        let now = self.clock.now();
        let mut verified = verify(token, self.known().iter(), now);
        if verified == Err(AccessTokenError::UnknownKey) {
            let asked = self.known.read().unwrap_or_else(PoisonError::into_inner).asked;
            if asked.is_none_or(|asked| asked.after(ASK_AGAIN) <= now) {
                verified = verify(token, self.reload().await?.iter(), now);
            }
        }
        verified.map_err(|why| match why {
            AccessTokenError::Expired => Error::new(
                crate::base::Kind::Unauthenticated,
                "The access token has expired. Get another at /api/auth/refresh.",
            )
            .coded("token_expired"),
            AccessTokenError::Invalid | AccessTokenError::UnknownKey => Error::invalid_key(),
        })
    }

    /// What others check our tokens with.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn jwks(&self) -> Result<KeySet, Error> {
        let signers = self.signing().await?;
        Ok(KeySet { keys: signers.iter().map(Signer::jwk).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// A node whose clock stands so many days after the others' beginning.
    fn node(store: &Store, vault: &Vault, days: u64) -> Signers {
        let wall = Timestamp(1_700_000_000_000).after(Duration::from_secs(days * 86_400));
        let clock = Clock::Anchored { wall, since: Instant::now() };
        Signers::new(store.clone(), Some(vault.clone()), clock)
    }

    async fn names(signers: &Signers) -> Vec<String> {
        let jwks = serde_json::to_value(signers.jwks().await.unwrap()).unwrap();
        let keys = jwks["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn keys_change_and_what_the_last_one_signed_is_believed_a_while() {
        let file = std::env::temp_dir().join(format!("optimux-signers-{}.db", std::process::id()));
        // A process that was killed may have had this number.
        for end in ["", "-wal", "-shm", ".lock"] {
            let _gone = std::fs::remove_file(format!("{}{end}", file.display()));
        }
        let url = format!("sqlite://{}", file.display());
        let store = Store::open(&url, tokio::runtime::Handle::current()).await.unwrap();
        let vault = Vault::new(&SecretString::from("0123456789abcdef0123456789abcdef")).unwrap();
        let first = node(&store, &vault, 0);
        let token = first.mint(Claims::new("m", "a", "owner", "s")).await.unwrap();
        assert_eq!(node(&store, &vault, 0).verify(&token).await.unwrap().sub, "m", "another node");
        let old = names(&first).await;
        assert_eq!((old.len(), names(&node(&store, &vault, 29)).await), (1, old.clone()));
        let both = names(&node(&store, &vault, 31)).await;
        assert_eq!((both.len(), &both[1]), (2, &old[0]), "the new one signs, the old is believed");
        let later = names(&node(&store, &vault, 62)).await;
        assert!(!later.contains(&old[0]), "and forgotten");
        assert!(node(&store, &vault, 62).verify(&token).await.is_err());
        // Nobody who reads the store can sign.
        let keys = store.signing_keys().await.unwrap();
        assert!(keys.iter().all(|key| is_sealed(&key.document)));
        drop(store);
        for end in ["", "-wal", "-shm", ".lock"] {
            let _gone = std::fs::remove_file(format!("{}{end}", file.display()));
        }
    }
}
