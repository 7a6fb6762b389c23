//! The keys that a customer looks after: their own, or all of an account's.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Keys;
use crate::admit::keys::{self, Issued, KeyError, terms_of};
use crate::admit::{Caller, KeyTerms, Role, Scope, must_be_proved, named};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::store::{Key, SignedIn};

/// The longest time that an old key stays good beside the one in its place.
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// A key, and when it was last used, to the minute.
#[derive(Debug)]
pub struct KnownKey {
    pub key: Key,
    pub terms: KeyTerms,
    pub last_used: Option<Timestamp>,
}

impl KnownKey {
    /// Whether requests are let in by it now.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        let until = [self.key.revoked, self.terms.expires()].into_iter().flatten().min();
        until.is_none_or(|until| now < until)
    }
}

/// Whom a new key is to speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Whoever makes it.
    ForCaller,
    /// The account as a whole, which only those who run it may say.
    ForAccount,
}

/// Not one that is held back itself, which could let itself go.
fn must_keep_keys(caller: &Caller) -> Result<(), Error> {
    caller.must_be_for(Scope::Keys)?;
    if caller.is_held_back() {
        let text = "A key with limits of its own cannot look after keys.";
        return Err(Error::new(Kind::Forbidden, text).coded("key_held_back"));
    }
    Ok(())
}

/// The keys that a caller sees: an owner all of the account's, a member their own.
async fn visible(desk: Keys<'_>, caller: &Caller) -> Result<Vec<Key>, Error> {
    let all = desk.store.keys(Some(caller.account.clone())).await;
    let mut all = all.map_err(Error::internal)?;
    if caller.person.role == Role::Member {
        all.retain(|key| key.member.as_deref() == Some(&caller.person.id));
    }
    Ok(all)
}

async fn own(desk: Keys<'_>, caller: &Caller, id: &str) -> Result<Key, Error> {
    must_keep_keys(caller)?;
    let all = visible(desk, caller).await?;
    all.into_iter().find(|key| key.id.as_str() == id).ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Error::new(Kind::NotFound, format!("There is no key '{id}'."))
    })
}

/// `GET /v1/keys`
///
/// # Errors
/// [`Kind::Forbidden`] for a caller who may not look after keys.
pub async fn list(desk: Keys<'_>, caller: &Caller) -> Result<Vec<KnownKey>, Error> {
    must_keep_keys(caller)?;
    let all = visible(desk, caller).await?;
    let used = desk.store.last_uses(caller.account.clone()).await;
    let used = used.map_err(Error::internal)?;
    let known = all.into_iter().map(|key| {
        let terms = terms_of(&key).map_err(Error::internal)?;
        let last_used = used.get(&key.id).copied();
        Ok(KnownKey { key, terms, last_used })
    });
    known.collect()
}

/// `GET /v1/keys/{id}`
///
/// # Errors
/// [`Kind::NotFound`] for one that is not the caller's; as [`list`].
pub async fn get(desk: Keys<'_>, caller: &Caller, id: &str) -> Result<KnownKey, Error> {
    let all = list(desk, caller).await?;
    all.into_iter().find(|one| one.key.id.as_str() == id).ok_or_else(|| {
        let id: String = id.chars().take(80).collect();
        Error::new(Kind::NotFound, format!("There is no key '{id}'."))
    })
}

fn read(terms: Map<String, Value>) -> Result<KeyTerms, Error> {
    serde_json::from_value(Value::Object(terms)).map_err(|why| {
        Error::new(Kind::Malformed, format!("The request body is not valid: {why}."))
    })
}

/// A key that looks after an account is made, changed and rotated by a person who runs it, and has just
/// proved who they are: whoever holds another key must come by none.
fn must_may_give(
    desk: Keys<'_>,
    caller: &Caller,
    signed_in: Option<&SignedIn>,
    terms: &KeyTerms,
) -> Result<(), Error> {
    if !terms.may(Scope::Account) {
        return Ok(());
    }
    caller.person.must_run_the_account()?;
    let Some(signed_in) = signed_in else {
        let text = "Only a person who is signed in gives a key the scope 'account'.";
        return Err(Error::new(Kind::Forbidden, text).at("scopes").coded("person_required"));
    };
    must_be_proved(signed_in, desk.clock.now())
}

/// `POST /v1/keys`; `signed_in` = the person who asks, if it is no key.
///
/// # Errors
/// [`Kind::Malformed`] for a name or terms that are none; as [`list`].
pub async fn create(
    desk: Keys<'_>,
    caller: &Caller,
    name: &str,
    terms: Map<String, Value>,
    speaks: Speaks,
    signed_in: Option<&SignedIn>,
) -> Result<Issued, Error> {
    must_keep_keys(caller)?;
    if caller.account.as_str() == "acct_admin" {
        let text = "The configured key has no account; use /v1/admin/keys.";
        return Err(Error::new(Kind::Malformed, text));
    }
    named(name)?;
    let terms = read(terms)?;
    must_may_give(desk, caller, signed_in, &terms)?;
    desk.current.load().must_have_guardrails(terms.guardrails.as_ref())?;
    let account = caller.account.as_str();
    // A member's key speaks for the member; a key of the account makes keys of the account.
    let member = (caller.person.id != account).then_some(caller.person.id.as_str());
    let member = match speaks {
        Speaks::ForCaller => member,
        Speaks::ForAccount => {
            caller.person.must_run_the_account()?;
            None
        }
    };
    let now = desk.clock.now();
    let issued = keys::issue(desk.store, account, member, name, &terms, now).await;
    desk.identities.forget(&caller.account);
    issued.map_err(Error::internal)
}

/// `PATCH /v1/keys/{id}`: what is not named stays, and `null` takes a term away.
///
/// # Errors
/// As [`create`] and [`get`].
pub async fn change(
    desk: Keys<'_>,
    caller: &Caller,
    id: &str,
    mut changes: Map<String, Value>,
    signed_in: Option<&SignedIn>,
) -> Result<KnownKey, Error> {
    let key = own(desk, caller, id).await?;
    let name = match changes.shift_remove("name") {
        None => key.name.clone(),
        Some(Value::String(name)) => name,
        Some(_) => return Err(Error::new(Kind::Malformed, "'name' has to be text.").at("name")),
    };
    named(&name)?;
    let before = terms_of(&key).map_err(Error::internal)?;
    let Value::Object(mut terms) = serde_json::to_value(&before).map_err(Error::internal)? else {
        return Err(Error::internal("terms that are no object"));
    };
    terms.extend(changes);
    terms.retain(|_, value| !value.is_null());
    let terms = read(terms)?;
    must_may_give(desk, caller, signed_in, &before)?;
    must_may_give(desk, caller, signed_in, &terms)?;
    desk.current.load().must_have_guardrails(terms.guardrails.as_ref())?;
    let changed = keys::rename(desk.store, id, &name, &terms).await;
    desk.identities.forget(&caller.account);
    changed.map_err(Error::internal)?;
    get(desk, caller, id).await
}

/// `DELETE /v1/keys/{id}`
///
/// # Errors
/// As [`get`].
pub async fn revoke(desk: Keys<'_>, caller: &Caller, id: &str) -> Result<Key, Error> {
    let key = own(desk, caller, id).await?;
    let now = desk.clock.now();
    if key.revoked.is_none_or(|at| now < at) {
        let revoked = keys::revoke(desk.store, key.id.as_str(), now).await;
        revoked.map_err(Error::internal)?;
        desk.identities.forget(&caller.account);
    }
    Ok(key)
}

/// `POST /v1/keys/{id}/rotate`: a new key in its place, beside which it stays good for `overlap`.
///
/// # Errors
/// [`Kind::Conflict`] for one in whose place another came already; as [`get`].
pub async fn rotate(
    desk: Keys<'_>,
    caller: &Caller,
    id: &str,
    overlap: Duration,
    signed_in: Option<&SignedIn>,
) -> Result<Issued, Error> {
    let key = own(desk, caller, id).await?;
    must_may_give(desk, caller, signed_in, &terms_of(&key).map_err(Error::internal)?)?;
    if overlap > LONGEST_OVERLAP {
        let text = "'overlap_seconds' has to be a number of seconds, at most 30 days.";
        return Err(Error::new(Kind::Malformed, text).at("overlap_seconds"));
    }
    if key.revoked.is_some() {
        let text = "This key was rotated or revoked already. Rotate the one in its place.";
        return Err(Error::new(Kind::Conflict, text).coded("already_rotated"));
    }
    let now = desk.clock.now();
    let issued = keys::rotate(desk.store, key.id.as_str(), overlap, now).await;
    desk.identities.forget(&caller.account);
    issued.map_err(|why| match why {
        // Somebody else was faster.
        KeyError::NoKey(_) => {
            Error::new(Kind::Conflict, "This key was revoked already.").coded("already_rotated")
        }
        other => Error::internal(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{AccountId, KeyId};
    use serde_json::json;

    #[test]
    fn a_key_is_good_until_it_is_revoked_or_expires_whichever_is_first() {
        let known = |revoked: Option<i64>, expires: Option<i64>| {
            let terms = json!({"expires_at": expires});
            let key = Key {
                id: KeyId::stored("key_1"),
                account: AccountId::stored("acct_1"),
                name: String::new(),
                hint: String::new(),
                created: Timestamp(0),
                revoked: revoked.map(|seconds| Timestamp(seconds * 1_000)),
                terms: None,
                member: None,
                family: KeyId::stored("key_1"),
            };
            KnownKey { key, terms: serde_json::from_value(terms).unwrap(), last_used: None }
        };
        let at = |seconds: i64| Timestamp(seconds * 1_000);
        for (key, until) in [
            (known(Some(10), None), 10),
            (known(None, Some(20)), 20),
            // The overlap of a rotation does not outlast the key itself.
            (known(Some(30), Some(20)), 20),
            (known(Some(5), Some(20)), 5),
        ] {
            assert!(key.is_good(at(until - 1)) && !key.is_good(at(until)), "{until}");
        }
        assert!(known(None, None).is_good(Timestamp(i64::MAX)));
    }

    #[test]
    fn terms_that_are_none_are_refused() {
        let read = |terms: Value| read(terms.as_object().cloned().unwrap());
        assert!(read(json!({"name_of_nothing": 1})).is_err());
        assert!(read(json!({})).is_ok());
    }
}
