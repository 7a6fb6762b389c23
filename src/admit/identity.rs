//! From a credential to a caller. Remembered for a while, and forgotten within a second of any
//! change to a key or an account, on whichever node it was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};

use super::plan::{Plan, Plans};
use super::terms::{KeyTerms, Scope};
use crate::base::calendar::Period;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::{KEY_PREFIX, KeyHash};
use crate::base::{Error, Kind};
use crate::catalogue::Model;
use crate::cluster::{Limits, Terms};
use crate::ledger::Funds;
use crate::store::{Owner, Store, StoreError};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    pub account: AccountId,
    pub key: KeyId,
    /// The account's plan, with what the account has of its own.
    pub plan: Arc<Plan>,
    pub admin: bool,
    /// What the account and the key are held to.
    pub terms: Arc<Terms>,
    rights: KeyTerms,
    /// When the key stops being good: it expires, or was rotated.
    until: Option<Timestamp>,
    /// The period whose credits the terms speak of.
    period: Period,
}

impl Caller {
    /// The model is in the plan, and the key is for it.
    #[must_use]
    pub fn may_use(&self, model: &Model) -> bool {
        self.plan.allows(model.tier) && self.rights.may_use(&model.id)
    }

    /// # Errors
    /// [`Kind::Forbidden`] when the key is not for this part of the surface.
    pub fn must_be_for(&self, scope: Scope) -> Result<(), Error> {
        if self.rights.may(scope) {
            return Ok(());
        }
        let text = format!("This API key is not for {}.", scope.as_str());
        Err(Error::new(Kind::Forbidden, text).coded("missing_scope"))
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Every node looks for changes this often.
pub const REVISION_INTERVAL: Duration = Duration::from_secs(1);
/// Bounds the memory that a guesser of keys can take.
const REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
pub struct Identities {
    store: Store,
    plans: Plans,
    clock: Clock,
    admin: Option<KeyHash>,
    /// `None` = there is no such key.
    known: Cache<KeyHash, Option<Arc<Caller>>>,
    revision: Arc<AtomicI64>,
    /// How often everything was forgotten.
    changes: Arc<AtomicI64>,
}

impl Identities {
    #[must_use]
    pub fn new(store: Store, plans: Plans, clock: Clock, admin: Option<&SecretString>) -> Self {
        Self {
            store,
            plans,
            clock,
            admin: admin.map(|key| KeyHash::of(key.expose_secret())),
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
            revision: Arc::new(AtomicI64::new(-1)),
            changes: Arc::default(),
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
        let now = self.clock.now();
        let period = Period::of(now);
        let found = match self.known.get(&hash) {
            // A new period has other credits.
            Some(found) if found.as_ref().is_none_or(|caller| caller.period == period) => found,
            _ => self.look_up(hash).await?,
        };
        found.filter(|caller| caller.is_good(now)).ok_or_else(Error::invalid_key)
    }

    fn administrator(&self) -> Result<Arc<Caller>, Error> {
        let plan = self
            .plans
            .get("enterprise")
            .ok_or_else(|| Error::internal("the enterprise plan is missing"))?;
        let (account, key) = (AccountId::stored("acct_admin"), KeyId::stored("key_admin"));
        let terms = Terms {
            account: account.clone(),
            key: key.clone(),
            limits: Limits { credits: plan.credits, ..plan.limits.clone() },
            key_limits: None,
        };
        Ok(Arc::new(Caller {
            account,
            key,
            plan,
            admin: true,
            terms: Arc::new(terms),
            rights: KeyTerms::default(),
            until: None,
            period: Period::of(self.clock.now()),
        }))
    }

    async fn look_up(&self, hash: KeyHash) -> Result<Option<Arc<Caller>>, Error> {
        let changes = self.changes.load(Ordering::Acquire);
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
                Some(Arc::new(self.caller(owner, Period::of(now)).await?))
            }
            _ => None,
        };
        // An answer that was read before a change must not outlive it.
        if self.changes.load(Ordering::Acquire) == changes {
            self.known.insert(hash, found.clone());
        }
        Ok(found)
    }

    /// What the store knows of a key's owner, as requests need it.
    async fn caller(&self, owner: Owner, period: Period) -> Result<Caller, Error> {
        let plan = self
            .plans
            .held_to(&owner.plan, owner.limits.as_deref())
            .ok_or_else(|| Error::internal("no plan for the account"))?;
        let rights: KeyTerms = owner
            .terms
            .as_deref()
            .map_or_else(|| Ok(KeyTerms::default()), serde_json::from_str)
            .map_err(Error::internal)?;
        let mut balances =
            self.store.balances(owner.account.clone()).await.map_err(Error::internal)?;
        let open = balances.iter_mut().find(|balance| balance.period == period);
        if let Some(open) = open.filter(|open| open.allowance != plan.credits) {
            // The plan gives something else than when the period was opened.
            self.store
                .change_allowance(owner.account.clone(), period, plan.credits, self.clock.now())
                .await
                .map_err(Error::internal)?;
            open.allowance = plan.credits;
        }
        let credits = Funds::of(&balances, period, plan.credits).total();
        let terms = Terms {
            account: owner.account.clone(),
            key: owner.key.clone(),
            limits: Limits { credits, ..plan.limits.clone() },
            key_limits: rights.limits(),
        };
        let until = [owner.revoked, rights.expires()].into_iter().flatten().min();
        Ok(Caller {
            account: owner.account,
            key: owner.key,
            plan,
            admin: false,
            terms: Arc::new(terms),
            rights,
            until,
            period,
        })
    }

    /// Whether any key, account or plan has changed since the last look.
    ///
    /// # Errors
    /// When the store fails; what is remembered stays good until its time is up.
    pub async fn has_changed(&self) -> Result<bool, StoreError> {
        let revision = self.store.identity_revision().await?;
        Ok(self.revision.swap(revision, Ordering::AcqRel) != revision)
    }

    /// Forgets everything: something has changed, maybe through this node.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.known.invalidate_all();
    }
}
