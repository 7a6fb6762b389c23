//! From a credential to a caller. Remembered for a while, and forgotten within a second of any
//! change to a key or an account, on whichever node it was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};

use super::plan::{Plan, Plans};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::{KEY_PREFIX, KeyHash};
use crate::base::{Error, Kind};
use crate::store::{Store, StoreError};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    pub account: AccountId,
    pub key: KeyId,
    pub plan: Arc<Plan>,
    pub admin: bool,
    /// When the key stops being good, while a rotation overlaps.
    until: Option<Timestamp>,
}

/// Every node looks for changes this often.
pub const REVISION_INTERVAL: Duration = Duration::from_secs(1);
/// Bounds the memory that a guesser of keys can take.
const REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
pub struct Identities {
    store: Store,
    plans: Arc<Plans>,
    clock: Clock,
    admin: Option<KeyHash>,
    /// `None` = there is no such key.
    known: Cache<KeyHash, Option<Arc<Caller>>>,
    revision: Arc<AtomicI64>,
}

impl Identities {
    #[must_use]
    pub fn new(
        store: Store,
        plans: Arc<Plans>,
        clock: Clock,
        admin: Option<&SecretString>,
    ) -> Self {
        Self {
            store,
            plans,
            clock,
            admin: admin.map(|key| KeyHash::of(key.expose_secret())),
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
            revision: Arc::new(AtomicI64::new(-1)),
        }
    }

    /// # Errors
    /// [`Kind::Unauthenticated`] for a missing, unknown or revoked key, [`Kind::Forbidden`] for a
    /// suspended account, [`Kind::Internal`] when the store fails.
    pub async fn identify(&self, credential: Option<&str>) -> Result<Arc<Caller>, Error> {
        let key = credential.filter(|key| !key.is_empty()).ok_or_else(Error::missing_key)?;
        let hash = KeyHash::of(key);
        if let Some(admin) = &self.admin
            && *admin == hash
        {
            return self.administrator();
        }
        // What cannot be one of ours need not trouble the store.
        if !key.starts_with(KEY_PREFIX) {
            return Err(Error::invalid_key());
        }
        let found = match self.known.get(&hash) {
            Some(found) => found,
            None => self.look_up(hash).await?,
        };
        match found {
            Some(caller) if caller.until.is_none_or(|until| self.clock.now() < until) => Ok(caller),
            _ => Err(Error::invalid_key()),
        }
    }

    fn administrator(&self) -> Result<Arc<Caller>, Error> {
        let plan = self
            .plans
            .get("enterprise")
            .cloned()
            .ok_or_else(|| Error::internal("the enterprise plan is missing"))?;
        Ok(Arc::new(Caller {
            account: AccountId::stored("acct_admin"),
            key: KeyId::stored("key_admin"),
            plan,
            admin: true,
            until: None,
        }))
    }

    async fn look_up(&self, hash: KeyHash) -> Result<Option<Arc<Caller>>, Error> {
        let revision = self.revision.load(Ordering::Acquire);
        let owner = self.store.owner(hash).await.map_err(Error::internal)?;
        let now = self.clock.now();
        let found = match owner {
            Some(owner) if owner.suspended.is_some() => {
                return Err(Error::new(
                    Kind::Forbidden,
                    "API access is disabled for your account.",
                )
                .coded("account_suspended"));
            }
            Some(owner) if owner.revoked.is_none_or(|at| now < at) => {
                let plan = self
                    .plans
                    .get(&owner.plan)
                    .or_else(|| self.plans.get("free"))
                    .cloned()
                    .ok_or_else(|| Error::internal("no plan for the account"))?;
                Some(Arc::new(Caller {
                    account: owner.account,
                    key: owner.key,
                    plan,
                    admin: false,
                    until: owner.revoked,
                }))
            }
            _ => None,
        };
        // An answer that was read before a change must not outlive it.
        if self.revision.load(Ordering::Acquire) == revision {
            self.known.insert(hash, found.clone());
        }
        Ok(found)
    }

    /// Forgets everything if any key or account has changed since the last look.
    ///
    /// # Errors
    /// When the store fails; what is remembered stays good until its time is up.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        match self.store.identity_revision().await {
            Ok(revision) => {
                if self.revision.swap(revision, Ordering::AcqRel) != revision {
                    self.known.invalidate_all();
                }
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Forgets everything now: a change was made through this node.
    pub fn forget(&self) {
        self.revision.store(-1, Ordering::Release);
        self.known.invalidate_all();
    }
}
