//! From a credential to a caller. Remembered for a while, and forgotten within a second of any
//! change to a key or an account, on whichever node it was made. Longer than most files: keys, tokens and
//! what is lent to browsers come to one value by one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::caller::{BrowserKeyTerms, Caller};
use super::demands::Demanded;
use super::features::Features;
use super::person::{Person, Role};
use super::plan::{PlanError, Plans};
use super::remembered::{CachedCredential, ChangeMark, Remembered};
use super::signers::Signers;
use super::terms::{KeyTerms, Scope};
use super::token::looks_like_one;
use crate::base::calendar::Period;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::{BROWSER_PREFIX, KEY_PREFIX, KeyHash};
use crate::base::{Blame, Error, Kind};
use crate::catalogue::Demands;
use crate::ledger::Funds;
use crate::quota::{Limits, Terms};
use crate::store::{Changed, LentKey, Owner, Store};

/// What a credential is.
#[derive(Clone, Copy)]
enum Sort<'a> {
    Key,
    /// A browser key, lent by another.
    Lent,
    Token(&'a str),
    /// A member whose browser is signed in.
    Member(&'a str),
}

/// Every node looks for changes this often: what changes holds everywhere within a second, the time that
/// looking takes counted.
pub const REVISION_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct Identities {
    pub(super) store: Store,
    plans: Plans,
    clock: Clock,
    signers: Signers,
    admin: Option<KeyHash>,
    remembered: Remembered,
    /// The changes that are taken into account.
    revision: Arc<AtomicI64>,
}

impl Identities {
    #[must_use]
    pub fn new(
        store: Store,
        plans: Plans,
        signers: Signers,
        clock: Clock,
        admin: Option<&SecretString>,
    ) -> Self {
        Self {
            store,
            plans,
            signers,
            clock,
            admin: admin.map(|key| KeyHash::of(key.expose_secret())),
            remembered: Remembered::default(),
            revision: Arc::new(AtomicI64::new(-1)),
        }
    }

    /// # Errors
    /// [`Kind::Unauthenticated`] for a missing, unknown or revoked key, [`Kind::Forbidden`] for a
    /// suspended account, [`Kind::Internal`] when the store fails.
    pub async fn identify(&self, credential: Option<&str>) -> Result<Arc<Caller>, Error> {
        let key = credential.filter(|key| !key.is_empty()).ok_or_else(Error::missing_key)?;
        let hash = KeyHash::of(key);
        let administers = self.admin.is_some_and(|admin| admin == hash);
        // What cannot be one of ours need not trouble the store.
        let token = looks_like_one(key);
        let lent = key.starts_with(BROWSER_PREFIX);
        if !administers && !token && !lent && !key.starts_with(KEY_PREFIX) {
            return Err(Error::invalid_key());
        }
        let now = self.clock.now();
        let period = Period::of(now);
        let found = match self.known(&hash, period) {
            CachedCredential::Caller(caller) => Some(caller),
            CachedCredential::Nobody => None,
            CachedCredential::NotYet if administers => Some(self.administrator(hash).await?),
            CachedCredential::NotYet => {
                let sort = match (token, lent) {
                    (true, _) => Sort::Token(key),
                    (_, true) => Sort::Lent,
                    _ => Sort::Key,
                };
                self.look_up_once(hash, sort, period).await?
            }
        };
        match found.filter(|caller| caller.is_good(now)) {
            Some(caller) => Ok(caller),
            // A token that was good and is remembered has expired: its holder is to be told so.
            None if token => {
                Err(self.signers.verify(key).await.err().unwrap_or_else(Error::invalid_key))
            }
            None => Err(Error::invalid_key()),
        }
    }

    /// Whoever a browser is signed in for: the member that its session says, which was just read. A
    /// cookie is no credential anywhere else.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub async fn in_session(&self, member: &str) -> Result<Arc<Caller>, Error> {
        // Nothing that comes in the place of a credential is looked up as it is written here.
        let place = KeyHash::of(&format!("the browser of {member}"));
        let period = Period::of(self.clock.now());
        let found = match self.known(&place, period) {
            CachedCredential::Caller(caller) => Some(caller),
            CachedCredential::Nobody => None,
            CachedCredential::NotYet => {
                self.look_up_once(place, Sort::Member(member), period).await?
            }
        };
        found.ok_or_else(Error::invalid_key)
    }

    /// What is remembered of a credential. A new period has other credits.
    fn known(&self, hash: &KeyHash, period: Period) -> CachedCredential {
        match self.remembered.credential(hash) {
            CachedCredential::Caller(caller) if caller.period != period => CachedCredential::NotYet,
            known => known,
        }
    }

    /// Looks a credential up, for all who ask for it meanwhile.
    async fn look_up_once(
        &self,
        hash: KeyHash,
        sort: Sort<'_>,
        period: Period,
    ) -> Result<Option<Arc<Caller>>, Error> {
        let flight = self.remembered.flight(hash);
        let _turn = flight.turn.lock().await;
        match self.known(&hash, period) {
            CachedCredential::Caller(caller) => return Ok(Some(caller)),
            CachedCredential::Nobody => return Ok(None),
            CachedCredential::NotYet => {}
        }
        if flight.failed.load(Ordering::Acquire) {
            return Err(Error::unavailable());
        }
        let found = match sort {
            Sort::Token(token) => self.look_up_token(hash, token).await,
            Sort::Key => {
                let seen = self.remembered.seen();
                match self.store.owner(hash).await {
                    Ok(owner) => self.look_up(hash, owner, None, seen).await,
                    Err(why) => Err(Error::internal(why)),
                }
            }
            Sort::Lent => {
                let seen = self.remembered.seen();
                match self.store.owner_of_lent(hash).await {
                    Ok(Some((owner, lent))) => {
                        self.look_up(hash, Some(owner), Some(lent), seen).await
                    }
                    Ok(None) => self.look_up(hash, None, None, seen).await,
                    Err(why) => Err(Error::internal(why)),
                }
            }
            Sort::Member(member) => {
                let seen = self.remembered.seen();
                match self.store.owner_of_member(member.to_owned()).await {
                    Ok(owner) => self.look_up(hash, owner, None, seen).await,
                    Err(why) => Err(Error::internal(why)),
                }
            }
        };
        let failed = found.as_ref().is_err_and(|why| why.blame == Blame::Us);
        self.remembered.landed(&hash, &flight, failed);
        found
    }

    /// Whoever has the configured key. There is no account behind it, but it has switches.
    async fn administrator(&self, hash: KeyHash) -> Result<Arc<Caller>, Error> {
        let seen = self.remembered.seen();
        let plan = self
            .plans
            .get("enterprise")
            .ok_or_else(|| Error::internal("the enterprise plan is missing"))?;
        let (account, key) = (AccountId::stored("acct_admin"), KeyId::stored("key_admin"));
        let id = account.as_str().to_owned();
        let rows = self.store.features(account.clone(), id.clone()).await;
        let terms = Terms {
            account: account.clone(),
            key: key.clone(),
            family: key.clone(),
            limits: Limits { credits: plan.credits, ..plan.limits.clone() },
            key_limits: None,
        };
        // Whoever is to mend the store must get in while it is away.
        let known = rows.as_deref().unwrap_or_default();
        let demanded = Demanded::of(plan.entry.demands(), Demands::default());
        let caller = Arc::new(Caller {
            demanded: demanded.map(Arc::new),
            person: Arc::new(Person { id, role: Role::Admin }),
            features: Features::of(plan.entry.features.as_ref(), known),
            guardrails: plan.entry.guardrails.clone().unwrap_or_default(),
            account,
            key,
            plan,
            admin: true,
            terms: Arc::new(terms),
            rights: KeyTerms::default(),
            lent: None,
            until: None,
            period: Period::of(self.clock.now()),
        });
        if rows.is_ok() {
            self.remembered.keep_credential(hash, Some(Arc::clone(&caller)), seen);
        }
        Ok(caller)
    }

    /// A token is as good as the sign-in it came of, and no longer than it says.
    async fn look_up_token(
        &self,
        hash: KeyHash,
        token: &str,
    ) -> Result<Option<Arc<Caller>>, Error> {
        let claims = self.signers.verify(token).await?;
        let seen = self.remembered.seen();
        let owner = self.store.owner_of_signin(claims.sid).await.map_err(Error::internal)?;
        let expires = Timestamp(claims.exp.saturating_mul(1000));
        let owner = owner.map(|owner| Owner {
            revoked: Some(owner.revoked.map_or(expires, |revoked| revoked.min(expires))),
            ..owner
        });
        self.look_up(hash, owner, None, seen).await
    }

    async fn look_up(
        &self,
        hash: KeyHash,
        owner: Option<Owner>,
        lent: Option<LentKey>,
        seen: ChangeMark,
    ) -> Result<Option<Arc<Caller>>, Error> {
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
                Some(Arc::new(self.caller(owner, lent, Period::of(now)).await?))
            }
            _ => None,
        };
        self.remembered.keep_credential(hash, found.clone(), seen);
        Ok(found)
    }

    /// What the store knows of a key's owner, as requests need it.
    async fn caller(
        &self,
        owner: Owner,
        lent: Option<LentKey>,
        period: Period,
    ) -> Result<Caller, Error> {
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
        let borrowed = lent.as_ref().map(BrowserKeyTerms::of).transpose()?;
        let own = borrowed.as_ref().and_then(|lent| lent.rights.limits());
        let mut terms = Terms {
            account: owner.account.clone(),
            key: owner.key.clone(),
            family: owner.family,
            limits: Limits { credits, ..plan.limits.clone() },
            key_limits: rights.limits(),
        };
        // What is lent shares the limits of its key, or has some of its own where that has none.
        if terms.key_limits.is_none()
            && let (Some(own), Some(lent)) = (own, &lent)
        {
            terms.key_limits = Some(own);
            terms.family = lent.id.clone();
        }
        let person = match owner.member {
            None => Person { id: owner.account.as_str().to_owned(), role: Role::Owner },
            Some((id, role)) => Person {
                id,
                role: Role::parse(&role).ok_or_else(|| Error::internal("a role that is none"))?,
            },
        };
        let rights = match person.role {
            Role::Billing => KeyTerms { scopes: Some(vec![Scope::Usage]), ..rights },
            Role::Owner | Role::Member | Role::Admin => rights,
        };
        let rows = self.store.features(owner.account.clone(), person.id.clone()).await;
        let rows = rows.map_err(Error::internal)?;
        let features = Features::of(plan.entry.features.as_ref(), &rows);
        let ends = lent.as_ref().map(|lent| lent.expires);
        let until = [owner.revoked, rights.expires(), ends].into_iter().flatten().min();
        let by_lent = borrowed.as_ref().and_then(|lent| lent.rights.guardrails.as_ref());
        let by_plan = plan.entry.guardrails.as_ref();
        let guardrails = [by_plan, rights.guardrails.as_ref(), by_lent].into_iter().flatten();
        let demanded = Demanded::of(plan.entry.demands(), rights.demands());
        Ok(Caller {
            demanded: demanded.map(Arc::new),
            guardrails: guardrails.flatten().cloned().collect(),
            account: owner.account,
            key: owner.key,
            plan,
            // Nobody administers from a page that others look at.
            admin: person.role == Role::Admin && borrowed.is_none(),
            person: Arc::new(person),
            features,
            terms: Arc::new(terms),
            rights,
            lent: borrowed.map(Arc::new),
            until,
            period,
        })
    }

    /// How the switches stand for a user that the caller acts for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn features_of(&self, caller: &Caller, user: &str) -> Result<Features, Error> {
        if user == caller.person.id {
            return Ok(caller.features);
        }
        if let Some(known) = self.remembered.user(&caller.account, user) {
            return Ok(known);
        }
        let seen = self.remembered.seen();
        let rows = self.store.features(caller.account.clone(), user.to_owned()).await;
        let rows = rows.map_err(Error::internal)?;
        let features = Features::of(caller.plan.entry.features.as_ref(), &rows);
        self.remembered.keep_user(&caller.account, user, features, seen);
        Ok(features)
    }

    /// Takes up what has changed of keys, accounts and plans, on whichever node.
    ///
    /// # Errors
    /// When the store fails; what is remembered stays good until its time is up.
    pub async fn keep_up(&self) -> Result<(), PlanError> {
        let known = self.revision.load(Ordering::Acquire);
        let Some(changes) = self.store.changes_since(known).await? else { return Ok(()) };
        match changes.of {
            Changed::Accounts(accounts) => accounts.iter().for_each(|one| self.forget(one)),
            Changed::All => {
                // Plans first: whoever is asked for anew is held to them.
                self.plans.reload(&self.store).await?;
                self.forget_all();
            }
        }
        self.revision.store(changes.revision, Ordering::Release);
        Ok(())
    }

    /// Forgets an account: something of it has changed, maybe through this node.
    pub fn forget(&self, account: &AccountId) {
        self.remembered.forget(account);
    }

    /// Forgets everybody.
    pub fn forget_all(&self) {
        self.remembered.forget_all();
    }
}
