//! What `auto` makes of what accounts said of answers, and of what answers have shown.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::found::found;
use super::outcomes::Findings;
use super::recorder::Recorder;
use crate::base::clock::Clock;
use crate::base::ids::AccountId;
use crate::live::Live;
use crate::router::in_force;
use crate::store::{Store, StoreError};
use moka::sync::Cache;

/// How old an account's corrections may be: what another node was told counts after this.
const FRESH: Duration = Duration::from_secs(10);
/// Accounts whose corrections are kept at hand.
const ACCOUNTS: u64 = 10_000;

/// What an account has found out, by a model's place in the catalogue.
pub type Corrections = Arc<HashMap<usize, f32>>;

/// Corrections of the accounts that were here lately. Cheap to clone.
#[derive(Clone)]
pub struct KnownCorrections(Cache<(AccountId, usize), Corrections>);

impl fmt::Debug for KnownCorrections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownCorrections").finish_non_exhaustive()
    }
}

impl Default for KnownCorrections {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(ACCOUNTS).time_to_live(FRESH).build())
    }
}

impl KnownCorrections {
    /// What is at hand of an account is read anew when it is asked for next.
    pub fn forget(&self, account: &AccountId, live: &Live) {
        self.0.invalidate(&(account.clone(), live.generation()));
    }

    /// The same of all accounts.
    pub fn forget_all(&self) {
        self.0.invalidate_all();
    }
}

/// What was learned, and where it is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Learned {
    pub store: Store,
    pub clock: Clock,
    /// What accounts said of answers.
    pub corrections: KnownCorrections,
    /// What answers have shown by themselves; `None` where that is not to count.
    pub findings: Option<Findings>,
    /// Where it is kept what was read of requests; `None` where it is not.
    pub recorder: Option<Recorder>,
}

impl Learned {
    /// What an account has found out. Where the store cannot say, nothing: `auto` then chooses as for
    /// anybody.
    pub async fn corrections_of(&self, live: &Live, account: &AccountId) -> Corrections {
        let key = (account.clone(), live.generation());
        if let Some(known) = self.corrections.0.get(&key) {
            return known;
        }
        let read = self.read(live, account).await.unwrap_or_else(|why| {
            tracing::warn!(%why, "what an account said of answers cannot be read");
            Corrections::default()
        });
        self.corrections.0.insert(key, Arc::clone(&read));
        read
    }

    async fn read(&self, live: &Live, account: &AccountId) -> Result<Corrections, StoreError> {
        let learns = self.findings.is_some();
        let found = found(&self.store, Some(account), learns, self.clock.now()).await?;
        let for_all = self.findings.as_ref().map(Findings::for_all);
        let models = live.catalogue.models();
        let mut corrections = HashMap::new();
        let mut correct = |model: &str, by: f32| {
            if by != 0.0
                && let Some(place) = models.iter().position(|one| &*one.id == model)
            {
                corrections
                    .entry(place)
                    .and_modify(|known| *known = in_force(*known, by))
                    .or_insert(by);
            }
        };
        for one in &found {
            correct(&one.model, one.own);
        }
        for (model, moved) in for_all.iter().flat_map(|all| all.iter()) {
            correct(model, moved.by);
        }
        Ok(Arc::new(corrections))
    }
}
