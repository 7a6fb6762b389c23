//! What is remembered of callers: bounded, for a while, and forgotten account by account, so that what
//! one account changes makes nobody else be looked up again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::caller::Caller;
use super::features::Features;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;

/// Bounds the memory that a guesser of keys can take.
const CREDENTIALS: u64 = 100_000;
const LIFE: Duration = Duration::from_secs(300);
/// Of one account. One that has more (a sign-in makes a token each quarter of an hour) is forgotten
/// as a whole now and then.
const OF_ACCOUNT: usize = 10_000;
/// So many changes are known apart; what was begun before them counts as changed.
const CHANGES: usize = 1_024;

/// A place in the order of changes. What is looked up from here on has seen all changes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeMark(u64);

/// What there is of an account.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Entry {
    Credential(KeyHash),
    /// How the switches stand for a user.
    User(String),
}

#[derive(Debug, Default)]
struct Changes {
    /// How many there have been.
    count: u64,
    /// Whose the last ones were, oldest first; `None` = everybody's.
    last: VecDeque<Option<AccountId>>,
}

impl Changes {
    fn note(&mut self, whose: Option<AccountId>) {
        self.count += 1;
        self.last.push_back(whose);
        if self.last.len() > CHANGES {
            self.last.pop_front();
        }
    }

    /// Whether anything of the account has changed since.
    fn any_since(&self, seen: ChangeMark, account: Option<&AccountId>) -> bool {
        let since = usize::try_from(self.count - seen.0).unwrap_or(usize::MAX);
        since > self.last.len()
            || self.last.iter().rev().take(since).any(|whose| match (whose, account) {
                (Some(whose), Some(account)) => whose == account,
                // Of a credential that is nobody's, nothing but everybody's change tells.
                (Some(_), None) => false,
                (None, _) => true,
            })
    }
}

/// What the cache knows of a credential.
#[derive(Debug, Clone)]
pub(super) enum CachedCredential {
    Caller(Arc<Caller>),
    /// There is no such credential.
    Nobody,
    /// Nothing: it has to be looked up.
    NotYet,
}

/// A look-up of a credential that is under way: others who need it wait for it.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub turn: tokio::sync::Mutex<()>,
    /// It came to nothing: whoever waited need not try again one after the other.
    pub failed: AtomicBool,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// `None` = there is no such credential.
    credentials: Cache<KeyHash, Option<Arc<Caller>>>,
    users: Cache<(AccountId, String), Features>,
    accounts: Cache<AccountId, Arc<Mutex<HashSet<Entry>>>>,
    flights: Cache<KeyHash, Arc<Flight>>,
    changes: Arc<Mutex<Changes>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Remembered {
    fn default() -> Self {
        fn cache<K, V>(life: Duration) -> Cache<K, V>
        where
            K: std::hash::Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            Cache::builder().max_capacity(CREDENTIALS).time_to_live(life).build()
        }
        Self {
            credentials: cache(LIFE),
            users: cache(LIFE),
            // Written anew with each entry, so that it lives as long as the last of them.
            accounts: cache(LIFE),
            flights: cache(Duration::from_secs(30)),
            changes: Arc::default(),
        }
    }
}

impl Remembered {
    /// To be asked before a look-up begins.
    pub fn seen(&self) -> ChangeMark {
        ChangeMark(locked(&self.changes).count)
    }

    pub fn credential(&self, hash: &KeyHash) -> CachedCredential {
        match self.credentials.get(hash) {
            Some(Some(caller)) => CachedCredential::Caller(caller),
            Some(None) => CachedCredential::Nobody,
            None => CachedCredential::NotYet,
        }
    }

    /// Unless it has changed since the look-up began: an answer must not outlive a change.
    pub fn keep_credential(&self, hash: KeyHash, found: Option<Arc<Caller>>, seen: ChangeMark) {
        let account = found.as_ref().map(|caller| caller.account.clone());
        let changes = locked(&self.changes);
        if changes.any_since(seen, account.as_ref()) {
            return;
        }
        if let Some(account) = account {
            self.list(account, Entry::Credential(hash));
        }
        self.credentials.insert(hash, found);
    }

    pub fn user(&self, account: &AccountId, user: &str) -> Option<Features> {
        self.users.get(&(account.clone(), user.to_owned()))
    }

    pub fn keep_user(&self, account: &AccountId, user: &str, features: Features, seen: ChangeMark) {
        let changes = locked(&self.changes);
        if changes.any_since(seen, Some(account)) {
            return;
        }
        self.list(account.clone(), Entry::User(user.to_owned()));
        self.users.insert((account.clone(), user.to_owned()), features);
    }

    fn list(&self, account: AccountId, entry: Entry) {
        let listed = self.accounts.get_with(account.clone(), Arc::default);
        {
            let mut entries = locked(&listed);
            if entries.len() >= OF_ACCOUNT {
                self.drop_all(&account, &mut entries);
            }
            entries.insert(entry);
        }
        self.accounts.insert(account, listed);
    }

    fn drop_all(&self, account: &AccountId, entries: &mut HashSet<Entry>) {
        for entry in entries.drain() {
            match entry {
                Entry::Credential(hash) => self.credentials.invalidate(&hash),
                Entry::User(user) => self.users.invalidate(&(account.clone(), user)),
            }
        }
    }

    /// Something of the account has changed, maybe through this node.
    pub fn forget(&self, account: &AccountId) {
        let mut changes = locked(&self.changes);
        changes.note(Some(account.clone()));
        if let Some(listed) = self.accounts.remove(account) {
            self.drop_all(account, &mut locked(&listed));
        }
    }

    /// Something has changed for everybody: a plan, or more than can be told apart.
    pub fn forget_all(&self) {
        locked(&self.changes).note(None);
        self.credentials.invalidate_all();
        self.users.invalidate_all();
        self.accounts.invalidate_all();
    }

    /// The look-up of a credential that others may be waiting for.
    pub fn flight(&self, hash: KeyHash) -> Arc<Flight> {
        self.flights.get_with(hash, Arc::default)
    }

    /// It is over. Those who come now begin another.
    pub fn landed(&self, hash: &KeyHash, flight: &Flight, failed: bool) {
        if failed {
            flight.failed.store(true, Ordering::Release);
        }
        self.flights.invalidate(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_its_accounts_alone() {
        let (ann, bob) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        let remembered = Remembered::default();
        let keep = |account: &AccountId, seen| {
            remembered.keep_user(account, "u", Features::default(), seen);
            remembered.user(account, "u").is_some()
        };
        assert!(keep(&ann, remembered.seen()) && keep(&bob, remembered.seen()));
        let before = remembered.seen();
        remembered.forget(&ann);
        assert!(remembered.user(&ann, "u").is_none(), "it is forgotten");
        assert!(remembered.user(&bob, "u").is_some(), "and nobody else is");
        assert!(!keep(&ann, before), "what was read before the change does not outlive it");
        assert!(keep(&bob, before) && keep(&ann, remembered.seen()));
        for _ in 0..=CHANGES {
            remembered.forget(&ann);
        }
        assert!(remembered.user(&bob, "u").is_some());
        assert!(!keep(&ann, before));
        remembered.forget_all();
        assert!(remembered.user(&bob, "u").is_none());
    }

    #[test]
    fn what_cannot_be_told_apart_any_more_counts_as_changed() {
        let (ann, bob) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        let remembered = Remembered::default();
        let before = remembered.seen();
        for _ in 0..=CHANGES {
            remembered.forget(&ann);
        }
        remembered.keep_user(&bob, "u", Features::default(), before);
        assert!(remembered.user(&bob, "u").is_none());
    }
}
