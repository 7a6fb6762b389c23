//! What administrators do: accounts, keys, credits, and what is said of providers, models, routes, prices and
//! plans. Every change is logged with who made it. Longer than most files: each is a short act of one
//! administrator at work.

pub mod change;
pub mod revisions;

mod corrections;
#[cfg(test)]
pub(crate) mod fixture;
mod mail;
mod plans;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use plans::restored_as_kept;

use crate::admit::keys::{self, Issued, KeyError};
use crate::admit::{Identities, KeyTerms, PlanEntry, Plans, Role, named, new_member, new_person};
use crate::base::calendar::Period;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, AuditId, GrantId, KeyId};
use crate::base::money::Credits;
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};
use crate::ledger::{Funds, Settlement, minute_key, report};
use crate::live::{Current, Trial};
use crate::notice::Mail;
use crate::quota::{Correction, Limits, PeriodUsage, Quota, RequestAmount, Terms};
use crate::router::RequestFeatures;
use crate::store::{Account, Audit, Grant, Key, LeaveResult, LeaveRule, Member, Store, StoreError};

/// A change of an account; what is not given stays.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub plan: Option<String>,
    pub limits: Option<PlanEntry>,
    pub suspended: Option<bool>,
}

/// The newest requests of `auto` that are kept, at most so many.
pub type Recent = Arc<dyn Fn(usize) -> Vec<RequestFeatures> + Send + Sync>;

/// One administrator at work.
pub struct Administration<'a> {
    pub store: &'a Store,
    /// The catalogue in force, and what another revision would make of it.
    pub current: &'a Current,
    pub trial: &'a Trial,
    /// What is kept of recent requests, where anything is.
    pub recent: Option<Recent>,
    pub plans: &'a Plans,
    pub identities: &'a Identities,
    /// Where what is given back may be used again at once.
    pub quota: &'a Quota,
    /// What sends mail, if anything does.
    pub mail: Option<&'a Mail>,
    pub clock: Clock,
    pub actor: KeyId,
}

/// The most credits that are given at once.
const MOST_CREDITS: u64 = 1_000_000_000_000;

/// The id of a grant that is to be made once under a name.
fn grant_of(account: &AccountId, once: &str) -> GrantId {
    let hash = fingerprint(&[account.as_str().as_bytes(), once.as_bytes()]);
    GrantId::stored(&format!("grant_{}", hash.get(..32).unwrap_or(&hash)))
}

fn missing(what: &str, id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("There is no {what} '{id}'."))
}

fn of_store(why: StoreError) -> Error {
    match why {
        StoreError::Taken(name) => {
            Error::new(Kind::Conflict, format!("'{name}' is taken.")).at("name")
        }
        other => Error::internal(other),
    }
}

fn of_key(why: KeyError) -> Error {
    match why {
        KeyError::NoAccount(name) => missing("account", &name).at("account"),
        KeyError::NoKey(id) => missing("key", &id),
        KeyError::Store(why) => of_store(why),
        other => Error::internal(other),
    }
}

/// JSON for the store; nothing for what says nothing.
fn written(entry: &PlanEntry) -> Result<Option<String>, Error> {
    if *entry == PlanEntry::default() {
        return Ok(None);
    }
    serde_json::to_string(entry).map(Some).map_err(Error::internal)
}

impl Administration<'_> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn log(&self, action: &str, target: &str, detail: Value) -> Result<(), Error> {
        let audit = Audit {
            id: AuditId::fresh(),
            at: self.now(),
            actor: self.actor.as_str().to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
        };
        self.store.log_audit(audit).await.map_err(Error::internal)
    }

    fn guardrails(&self, names: Option<&Vec<String>>) -> Result<(), Error> {
        self.current.load().must_have_guardrails(names)
    }

    fn plan(&self, name: &str) -> Result<String, Error> {
        let plan = self.plans.get(name).map(|plan| plan.name.clone());
        plan.ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            Error::new(Kind::Malformed, format!("There is no plan '{name}'.")).at("plan")
        })
    }

    /// An account by its id or its name.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn account(&self, id: &str) -> Result<Account, Error> {
        let found = self.store.account(id).await.map_err(Error::internal)?;
        found.ok_or_else(|| missing("account", id))
    }

    /// # Errors
    /// For a name that is taken, or a plan that is not there.
    pub async fn open_account(
        &self,
        name: &str,
        plan: &str,
        limits: &PlanEntry,
    ) -> Result<Account, Error> {
        named(name)?;
        let plan = self.plan(plan)?;
        self.guardrails(limits.guardrails.as_ref())?;
        let limits = written(limits)?;
        let account = keys::create_account(self.store, name, &plan, limits, self.now())
            .await
            .map_err(of_key)?;
        self.log("account.create", account.id.as_str(), json!({"name": name, "plan": plan}))
            .await?;
        Ok(account)
    }

    /// # Errors
    /// As [`Self::open_account`]; [`Kind::NotFound`].
    pub async fn change_account(&self, id: &str, change: &AccountChange) -> Result<Account, Error> {
        let mut account = self.account(id).await?;
        if let Some(name) = &change.name {
            named(name)?;
            account.name.clone_from(name);
        }
        if let Some(plan) = &change.plan {
            account.plan = self.plan(plan)?;
        }
        if let Some(limits) = &change.limits {
            self.guardrails(limits.guardrails.as_ref())?;
            account.limits = written(limits)?;
        }
        match change.suspended {
            Some(true) => account.suspended = account.suspended.or(Some(self.now())),
            Some(false) => account.suspended = None,
            None => {}
        }
        self.store.change_account(account.clone()).await.map_err(of_store)?;
        let credits = self
            .plans
            .held_to(&account.plan, account.limits.as_deref())
            .and_then(|plan| plan.credits);
        let (at, period) = (self.now(), Period::of(self.now()));
        self.store
            .change_allowance(account.id.clone(), period, credits, at)
            .await
            .map_err(Error::internal)?;
        self.identities.forget(&account.id);
        let detail = json!({
            "name": change.name,
            "plan": change.plan,
            "limits": change.limits,
            "suspended": change.suspended,
        });
        self.log("account.change", account.id.as_str(), detail).await?;
        Ok(account)
    }

    /// Forgets an account for good. Its books stay, under an id that stands for nobody.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn erase_account(&self, id: &str) -> Result<AccountId, Error> {
        let account = self.account(id).await?;
        if !self.store.erase_account(account.id.clone()).await.map_err(Error::internal)? {
            return Err(missing("account", id));
        }
        self.identities.forget(&account.id);
        // That it was done is to be found, but not whose it was.
        let stands_for = fingerprint(&[account.id.as_str().as_bytes()]);
        self.log("account.erase", &stands_for, json!({})).await?;
        Ok(account.id)
    }

    /// Adds a member: whoever signs in with the address, if somebody does; else somebody new, who signs
    /// in if they are given a password.
    ///
    /// # Errors
    /// For a role that there is not, an address that is there, or a password for somebody who has one.
    pub async fn add_member(
        &self,
        id: &str,
        email: &str,
        role: &str,
        password: Option<String>,
    ) -> Result<Member, Error> {
        let account = self.account(id).await?;
        let role = Role::parse(role).ok_or_else(|| {
            let text = "A role is 'owner', 'member', 'billing' or 'admin'.";
            Error::new(Kind::Malformed, text).at("role")
        })?;
        let member = new_member(account.id.clone(), email, role, self.now())?;
        let known = self.store.person_of_email(member.email.clone()).await;
        let known = known.map_err(Error::internal)?;
        let (member, person) = match (known, password) {
            (Some(_), Some(_)) => return Err(of_store(StoreError::Taken(member.email))),
            (Some(known), None) => (Member { person: Some(known.id), ..member }, None),
            (None, Some(password)) => {
                let (member, person) = new_person(member, password);
                (member, Some(person))
            }
            (None, None) => (member, None),
        };
        self.store.add_member(member.clone(), person).await.map_err(of_store)?;
        let detail = json!({"member": member.id, "role": role.as_str()});
        self.log("member.add", account.id.as_str(), detail).await?;
        Ok(member)
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn remove_member(&self, id: &str, member: &str) -> Result<(), Error> {
        let account = self.account(id).await?;
        let found = self.store.member(account.id, member.to_owned()).await;
        let found = found.map_err(Error::internal)?.ok_or_else(|| missing("member", member))?;
        match self.part_with_member(&found, LeaveRule::ToItself).await? {
            LeaveResult::Nobody => Err(missing("member", member)),
            LeaveResult::Done | LeaveResult::LastOwner => Ok(()),
        }
    }

    /// Forgets a member in their account, and says what became of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn part_with_member(
        &self,
        member: &Member,
        left: LeaveRule,
    ) -> Result<LeaveResult, Error> {
        let account = &member.account;
        let parting = self.store.erase_member(account.clone(), member.id.clone(), left).await;
        let parting = parting.map_err(Error::internal)?;
        if parting == LeaveResult::Done {
            self.identities.forget(account);
            self.log("member.remove", account.as_str(), json!({"member": "erased"})).await?;
        }
        Ok(parting)
    }

    /// Takes the second factor of a member away who has lost it.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn reset_factor(&self, id: &str, member: &str) -> Result<(), Error> {
        let account = self.account(id).await?;
        let found = self.store.member(account.id.clone(), member.to_owned()).await;
        let found = found.map_err(Error::internal)?.ok_or_else(|| missing("member", member))?;
        if let Some(person) = found.person {
            self.store.drop_factor(person).await.map_err(Error::internal)?;
        }
        self.log("member.factor_reset", account.id.as_str(), json!({"member": member})).await
    }

    /// # Errors
    /// [`Kind::NotFound`] for the account.
    pub async fn issue_key(
        &self,
        account: &str,
        name: &str,
        terms: &KeyTerms,
    ) -> Result<Issued, Error> {
        named(name)?;
        self.guardrails(terms.guardrails.as_ref())?;
        let issued = keys::issue(self.store, account, None, name, terms, self.now())
            .await
            .map_err(of_key)?;
        self.identities.forget(&issued.key.account);
        let detail = json!({"account": issued.key.account.as_str(), "name": name, "terms": terms});
        self.log("key.create", issued.key.id.as_str(), detail).await?;
        Ok(issued)
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn key(&self, id: &str) -> Result<Key, Error> {
        let found = self.store.key(KeyId::stored(id)).await.map_err(Error::internal)?;
        found.ok_or_else(|| missing("key", id))
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn change_key(&self, id: &str, terms: &KeyTerms) -> Result<Key, Error> {
        self.guardrails(terms.guardrails.as_ref())?;
        keys::change(self.store, id, terms).await.map_err(of_key)?;
        let key = self.key(id).await?;
        self.identities.forget(&key.account);
        self.log("key.change", id, json!({"terms": terms})).await?;
        Ok(key)
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn rotate_key(&self, id: &str, overlap: Duration) -> Result<Issued, Error> {
        let issued = keys::rotate(self.store, id, overlap, self.now()).await.map_err(of_key)?;
        self.identities.forget(&issued.key.account);
        let detail = json!({"new": issued.key.id.as_str(), "overlap_seconds": overlap.as_secs()});
        self.log("key.rotate", id, detail).await?;
        Ok(issued)
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub async fn revoke_key(&self, id: &str) -> Result<(), Error> {
        let key = self.key(id).await?;
        keys::revoke(self.store, id, self.now()).await.map_err(of_key)?;
        self.identities.forget(&key.account);
        self.log("key.revoke", id, json!({})).await
    }

    /// Gives an account credits beyond its plan's, which stay until they are used; or takes some of
    /// those back that were given. Under the same `once`, if any, it is done once.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Malformed`] for an amount that is none, for more than there is to
    /// take back, or where `once` named another grant.
    pub async fn grant(
        &self,
        id: &str,
        credits: i64,
        reason: &str,
        once: Option<&str>,
    ) -> Result<Grant, Error> {
        if credits == 0 || credits.unsigned_abs() > MOST_CREDITS {
            let text = "'credits' must be a whole number from 1 to 1,000,000,000,000, or the same \
                        below nothing to take credits back.";
            return Err(Error::new(Kind::Malformed, text).at("credits"));
        }
        let account = self.account(id).await?;
        let period = Period::of(self.now());
        let grant = Grant {
            id: once.map_or_else(GrantId::fresh, |once| grant_of(&account.id, once)),
            account: account.id,
            period,
            credits: Credits(credits),
            reason: reason.chars().take(1_000).collect(),
            created: self.now(),
            refunds: None,
        };
        if once.is_some()
            && let Some(known) = self.granted(&grant).await?
        {
            return Ok(known);
        }
        if credits < 0 {
            self.can_be_taken(&grant, &account.plan, account.limits.as_deref()).await?;
        }
        let given = self
            .store
            .grant(grant.clone(), self.plans.allowances())
            .await
            .map_err(Error::internal)?;
        if !given {
            // The same request came twice at once, and the other was faster.
            return self.granted(&grant).await?.ok_or_else(|| Error::internal("a grant is gone"));
        }
        self.identities.forget(&grant.account);
        let detail = json!({"grant": grant.id.as_str(), "credits": credits, "reason": reason});
        self.log("credits.grant", grant.account.as_str(), detail).await?;
        Ok(grant)
    }

    /// The grant that was made under the same name before.
    async fn granted(&self, asked: &Grant) -> Result<Option<Grant>, Error> {
        let all = self.store.grants(asked.account.clone()).await.map_err(Error::internal)?;
        let Some(known) = all.into_iter().find(|one| one.id == asked.id.as_str()) else {
            return Ok(None);
        };
        if known.credits != asked.credits.0 || known.reason != asked.reason {
            let text = "This Idempotency-Key was used for another request.";
            return Err(Error::new(Kind::Malformed, text).coded("idempotency_key_reused"));
        }
        Ok(Some(Grant { created: known.created, ..asked.clone() }))
    }

    /// No more can be taken back than is left of what was given.
    async fn can_be_taken(
        &self,
        grant: &Grant,
        plan: &str,
        own: Option<&str>,
    ) -> Result<(), Error> {
        let balances = self.store.balances(grant.account.clone()).await.map_err(Error::internal)?;
        let allowance = self.plans.held_to(plan, own).and_then(|plan| plan.credits);
        let left = Funds::of(&balances, grant.period, allowance).left_of_grants();
        if grant.credits.0.unsigned_abs() > left.0.unsigned_abs() {
            let text = format!("Only {} of the credits that were given are left.", left.0);
            return Err(Error::new(Kind::Malformed, text).at("credits"));
        }
        Ok(())
    }

    /// Gives a request's credits back, once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a request that was not charged, [`Kind::Conflict`] for one that was
    /// refunded before.
    pub async fn refund(&self, request: &str, reason: &str) -> Result<(Grant, Settlement), Error> {
        let found = report::find(self.store, request).await.map_err(Error::internal)?;
        let charged = found
            .filter(|one| one.credits.0 > 0)
            .ok_or_else(|| missing("charged request", request))?;
        let key = minute_key(charged.account.clone(), charged.key.clone(), &charged);
        let grant = Grant {
            id: GrantId::fresh(),
            account: charged.account.clone(),
            // It is taken back where it was charged.
            period: charged.period(),
            credits: charged.credits,
            reason: reason.chars().take(1_000).collect(),
            created: self.now(),
            refunds: Some((request.to_owned(), key)),
        };
        let given = self.store.grant(grant.clone(), self.plans.allowances()).await;
        if !given.map_err(Error::internal)? {
            return Err(Error::new(Kind::Conflict, "This request has been refunded."));
        }
        self.make_room(&charged).await?;
        self.identities.forget(&grant.account);
        let detail = json!({"grant": grant.id.as_str(), "request": request, "reason": reason});
        self.log("credits.refund", grant.account.as_str(), detail).await?;
        Ok((grant, charged))
    }

    /// What was charged no longer counts against the account's limits, nor the key's.
    async fn make_room(&self, charged: &Settlement) -> Result<(), Error> {
        let (key_limits, family) = match self.key(charged.key.as_str()).await {
            Ok(key) => (keys::terms_of(&key).map_err(of_key)?.limits(), key.family),
            // The administrator's is not in the store.
            Err(_) => (None, charged.key.clone()),
        };
        let credits = Some(charged.credits);
        let terms = Terms {
            account: charged.account.clone(),
            key: charged.key.clone(),
            family,
            limits: Limits { credits, ..Limits::default() },
            key_limits,
        };
        let correction = Correction {
            period: charged.period(),
            held: RequestAmount::default(),
            charged: PeriodUsage { credits: Credits(-charged.credits.0), ..PeriodUsage::default() },
            used_tokens: 0,
        };
        self.quota.settle(&terms, "", correction);
        Ok(())
    }

    /// The accounts' ids and names are not secret to whoever is here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys_of(&self, account: Option<&str>) -> Result<Vec<Key>, Error> {
        let account: Option<AccountId> = match account {
            Some(name) => Some(self.account(name).await?.id),
            None => None,
        };
        self.store.keys(account).await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_made_once_under_a_name_and_for_an_account() {
        let of = |account: &str, once: &str| grant_of(&AccountId::stored(account), once);
        assert_eq!(of("acct_1", "june"), of("acct_1", "june"));
        assert_ne!(of("acct_1", "june"), of("acct_1", "july"));
        assert_ne!(of("acct_1", "june"), of("acct_2", "june"));
        // What is joined is not mistaken for something else.
        assert_ne!(of("acct_1", "2june"), of("acct_12", "june"));
    }

    #[test]
    fn terms_of_a_plan_that_say_nothing_are_not_kept() {
        assert_eq!(written(&PlanEntry::default()).unwrap(), None);
    }

    #[test]
    fn names_of_what_is_not_there_are_told_short() {
        let error = missing("key", &"x".repeat(1_000));
        assert!(error.public.len() < 120, "{}", error.public);
        assert_eq!(error.kind, Kind::NotFound);
        let taken = of_store(StoreError::Taken("acme".to_owned()));
        assert_eq!((taken.kind, taken.field.as_deref()), (Kind::Conflict, Some("name")));
    }
}
