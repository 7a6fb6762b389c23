//! What `auto` makes of what accounts said of answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::live::Live;
use crate::base::ids::AccountId;
use crate::router::correction;
use crate::store::Store;
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
}

/// What the account has found out. Where the store cannot say, nothing: `auto` then chooses as for
/// anybody.
pub async fn corrections(app: &App, live: &Live, account: &AccountId) -> Corrections {
    let shared = &app.shared;
    let key = (account.clone(), live.generation());
    if let Some(known) = shared.corrections.0.get(&key) {
        return known;
    }
    let read = read(&shared.store, live, account).await.unwrap_or_else(|why| {
        tracing::warn!(%why, "what an account said of answers cannot be read");
        Corrections::default()
    });
    shared.corrections.0.insert(key, Arc::clone(&read));
    read
}

async fn read(
    store: &Store,
    live: &Live,
    account: &AccountId,
) -> Result<Corrections, crate::store::StoreError> {
    let sums = store.feedback(account.clone()).await?;
    let models = live.catalogue.models();
    let place = |name: &str| models.iter().position(|model| &*model.id == name);
    let corrected = sums.iter().filter_map(|sum| {
        #[expect(clippy::cast_precision_loss, reason = "millionths")]
        let residual = sum.residual as f64 / 1e6;
        Some((place(&sum.model)?, correction(residual, u64::try_from(sum.count).unwrap_or(0))))
    });
    Ok(Arc::new(corrected.collect()))
}
