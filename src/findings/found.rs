//! What accounts have found out of models: what they said of answers, and what answers have shown.

use std::collections::BTreeMap;

use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::router::{Outcomes, correction, own};
use crate::store::{Store, StoreError};

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
