//! What `auto` makes of what accounts said of answers, and of what answers have shown.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Learned;
use super::outcomes::Findings;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::live::Live;
use crate::router::{Outcomes, correction, in_force, own};
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

/// What an account has found out of a model, and from what.
#[derive(Debug, Clone)]
pub struct Found {
    pub account: AccountId,
    pub model: String,
    /// How often it said something of it, and what that is worth in log-odds.
    pub said: u64,
    pub by_feedback: f32,
    /// What answers have shown, and what that is worth.
    pub outcomes: Option<Outcomes>,
    pub by_outcomes: f32,
    /// What both come to.
    pub own: f32,
    /// When something was added to it.
    pub updated: Timestamp,
}

/// What an account has found out, or what all have; without what answers have shown, if that is not to
/// count.
///
/// # Errors
/// When the store fails.
pub async fn found(
    store: &Store,
    account: Option<&AccountId>,
    with_outcomes: bool,
    now: Timestamp,
) -> Result<Vec<Found>, StoreError> {
    let mut all: BTreeMap<(AccountId, String), Found> = BTreeMap::new();
    for sum in store.feedback(account.cloned()).await? {
        #[expect(clippy::cast_precision_loss, reason = "millionths")]
        let residual = sum.residual as f64 / 1e6;
        let said = u64::try_from(sum.count).unwrap_or(0);
        let by_feedback = correction(residual, said);
        let key = (sum.account.clone(), sum.model.clone());
        let found = Found {
            account: sum.account,
            model: sum.model,
            said,
            by_feedback,
            outcomes: None,
            by_outcomes: 0.0,
            own: own(by_feedback, None, now),
            updated: sum.said,
        };
        all.insert(key, found);
    }
    let kept = if with_outcomes { store.outcomes(account.cloned()).await? } else { Vec::new() };
    for kept in kept {
        let Ok(outcomes) = serde_json::from_str::<Outcomes>(&kept.record) else { continue };
        let key = (kept.account.clone(), kept.model.clone());
        let found = all.entry(key).or_insert_with(|| Found {
            account: kept.account,
            model: kept.model,
            said: 0,
            by_feedback: 0.0,
            outcomes: None,
            by_outcomes: 0.0,
            own: 0.0,
            updated: kept.updated,
        });
        found.updated = found.updated.max(kept.updated);
        found.by_outcomes = outcomes.shift(now);
        found.own = own(found.by_feedback, Some(&outcomes), now);
        found.outcomes = Some(outcomes);
    }
    Ok(all.into_values().collect())
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
