//! Issuing, rotating and revoking keys.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::terms::KeyTerms;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::{KeyHash, key_hint, new_key};
use crate::store::{Account, Key, Store, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the operating system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("there is no account '{0}'")]
    NoAccount(String),
    #[error("there is no key '{0}'")]
    NoKey(String),
    #[error("the key's terms cannot be read or written: {0}")]
    Terms(serde_json::Error),
}

/// A key as it is shown, once.
#[derive(Debug)]
pub struct Issued {
    pub key: Key,
    pub secret: SecretString,
}

/// Makes an account. The plan's name is checked by the caller, who knows the plans.
///
/// # Errors
/// When the name is taken or the store fails.
pub async fn create_account(
    store: &Store,
    name: &str,
    plan: &str,
    limits: Option<String>,
    now: Timestamp,
) -> Result<Account, KeyError> {
    let account = Account {
        id: AccountId::fresh(),
        name: name.to_owned(),
        plan: plan.to_owned(),
        created: now,
        suspended: None,
        limits,
    };
    store.create_account(account.clone()).await?;
    Ok(account)
}

/// Makes a key for an account, named by id or by name, or for one of its members.
///
/// # Errors
/// When there is no such account, or the store fails.
pub async fn issue(
    store: &Store,
    account: &str,
    member: Option<&str>,
    name: &str,
    terms: &KeyTerms,
    now: Timestamp,
) -> Result<Issued, KeyError> {
    make(store, account, member, name, terms, now, None).await
}

async fn make(
    store: &Store,
    account: &str,
    member: Option<&str>,
    name: &str,
    terms: &KeyTerms,
    now: Timestamp,
    family: Option<&KeyId>,
) -> Result<Issued, KeyError> {
    let account =
        store.account(account).await?.ok_or_else(|| KeyError::NoAccount(account.to_owned()))?;
    let secret = new_key()?;
    let id = KeyId::fresh();
    let key = Key {
        family: family.cloned().unwrap_or_else(|| id.clone()),
        id,
        account: account.id,
        name: name.to_owned(),
        hint: key_hint(&secret),
        created: now,
        revoked: None,
        terms: written(terms)?,
        member: member.map(str::to_owned),
    };
    store.create_key(key.clone(), KeyHash::of(secret.expose_secret())).await?;
    Ok(Issued { key, secret })
}

/// Terms as the store keeps them; nothing for none.
fn written(terms: &KeyTerms) -> Result<Option<String>, KeyError> {
    if *terms == KeyTerms::default() {
        return Ok(None);
    }
    serde_json::to_string(terms).map(Some).map_err(KeyError::Terms)
}

/// What a key may do, as the store has it.
///
/// # Errors
/// When what is there cannot be read.
pub fn terms_of(key: &Key) -> Result<KeyTerms, KeyError> {
    let terms = key.terms.as_deref().map_or_else(|| Ok(KeyTerms::default()), serde_json::from_str);
    terms.map_err(KeyError::Terms)
}

/// Gives a key other terms.
///
/// # Errors
/// When there is no such key, or the store fails.
pub async fn change(store: &Store, id: &str, terms: &KeyTerms) -> Result<(), KeyError> {
    if store.change_key(KeyId::stored(id), written(terms)?).await? {
        Ok(())
    } else {
        Err(KeyError::NoKey(id.to_owned()))
    }
}

/// Gives a key another name and other terms.
///
/// # Errors
/// When there is no such key, or the store fails.
pub async fn rename(store: &Store, id: &str, name: &str, terms: &KeyTerms) -> Result<(), KeyError> {
    if store.rename_key(KeyId::stored(id), name.to_owned(), written(terms)?).await? {
        Ok(())
    } else {
        Err(KeyError::NoKey(id.to_owned()))
    }
}

/// # Errors
/// When there is no such key, or the store fails.
pub async fn revoke(store: &Store, id: &str, at: Timestamp) -> Result<(), KeyError> {
    if store.revoke_key(KeyId::stored(id), at).await? {
        Ok(())
    } else {
        Err(KeyError::NoKey(id.to_owned()))
    }
}

/// A new key in the place of an old one, which stays good for `overlap` more. Both are held to the
/// same limits together: what the old one has used is used.
///
/// # Errors
/// When there is no such key, or the store fails.
pub async fn rotate(
    store: &Store,
    id: &str,
    overlap: Duration,
    now: Timestamp,
) -> Result<Issued, KeyError> {
    let old = store
        .key(KeyId::stored(id))
        .await?
        .filter(|key| key.revoked.is_none_or(|at| at > now))
        .ok_or_else(|| KeyError::NoKey(id.to_owned()))?;
    let terms = terms_of(&old)?;
    let (account, member) = (old.account.as_str(), old.member.as_deref());
    let issued = make(store, account, member, &old.name, &terms, now, Some(&old.family)).await?;
    revoke(store, id, now.after(overlap)).await?;
    Ok(issued)
}
