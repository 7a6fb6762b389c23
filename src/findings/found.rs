//! What accounts have found out of models: what they said of answers, and what answers have shown.

use std::collections::BTreeMap;

use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::router::{Outcomes, correction, own};
use crate::store::{Store, StoreError};

/// An account's feedback on one model and what its answers have shown, in log-odds.
#[derive(Debug, Clone)]
pub struct ModelFindings {
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
) -> Result<Vec<ModelFindings>, StoreError> {
    let mut all: BTreeMap<(AccountId, String), ModelFindings> = BTreeMap::new();
    for sum in store.feedback(account.cloned()).await? {
        #[expect(clippy::cast_precision_loss, reason = "millionths")]
        let residual = sum.residual as f64 / 1e6;
        let said = u64::try_from(sum.count).unwrap_or(0);
        let by_feedback = correction(residual, said);
        let key = (sum.account.clone(), sum.model.clone());
        let found = ModelFindings {
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
        let found = all.entry(key).or_insert_with(|| ModelFindings {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::router::Sign;
    use crate::store::Feedback;

    async fn says(all: &Accounts, account: &AccountId, model: &str, residual: i64) {
        let said =
            Feedback { request: format!("req_{residual}"), model: model.to_owned(), residual };
        all.store.put_feedback(account.clone(), vec![said], NOON).await.unwrap();
    }

    /// Answers of a model show an account so many signs of one sort.
    async fn shows(all: &Accounts, account: &AccountId, model: &str, sign: Sign, times: u64) {
        let mut outcomes = Outcomes::default();
        outcomes.note(sign, times, NOON);
        keeps(all, account, model, serde_json::to_string(&outcomes).unwrap()).await;
    }

    async fn keeps(all: &Accounts, account: &AccountId, model: &str, record: String) {
        let of = vec![(account.clone(), model.to_owned())];
        all.store.change_outcomes(of, NOON, move |_, _| Some(record.clone())).await.unwrap();
    }

    async fn told(
        all: &Accounts,
        account: Option<&AccountId>,
        with_outcomes: bool,
    ) -> Vec<ModelFindings> {
        found(&all.store, account, with_outcomes, NOON).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_said_and_what_was_shown_of_a_model_is_one_finding() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        says(&all, &account, "m", 2_000_000).await;
        says(&all, &account, "m", 1_000_000).await;
        shows(&all, &account, "m", Sign::AnswerRefused, 9).await;
        let told = told(&all, Some(&account), true).await;
        let [one] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(one.said, 2);
        assert!((one.by_feedback - correction(3.0, 2)).abs() < 1e-6, "{one:?}");
        assert!(one.by_outcomes < 0.0 && one.outcomes.is_some(), "{one:?}");
        assert!((one.own - (one.by_feedback + one.by_outcomes)).abs() < 1e-6, "{one:?}");
        assert_eq!(one.updated, NOON);
    }

    #[tokio::test]
    async fn what_answers_have_shown_counts_where_it_is_to_and_is_left_out_where_not() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        says(&all, &account, "both", 1_000_000).await;
        for model in ["both", "shown"] {
            shows(&all, &account, model, Sign::AnswerRefused, 9).await;
        }
        let models =
            |told: &[ModelFindings]| told.iter().map(|one| one.model.clone()).collect::<Vec<_>>();
        let with = told(&all, Some(&account), true).await;
        assert_eq!(models(&with), ["both", "shown"]);
        let without = told(&all, Some(&account), false).await;
        assert_eq!(models(&without), ["both"]);
        assert!((without[0].own - without[0].by_feedback).abs() < 1e-6 && without[0].own > 0.0);
    }

    #[tokio::test]
    async fn what_one_account_found_out_is_not_told_another() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        says(&all, &account, "m", 1_000_000).await;
        shows(&all, &account, "n", Sign::AnswerRefused, 9).await;
        assert!(told(&all, Some(&other), true).await.is_empty());
        says(&all, &other, "m", -1_000_000).await;
        let of = |told: Vec<ModelFindings>| {
            let all = told.into_iter().map(|one| (one.account, one.model, one.own > 0.0));
            all.collect::<Vec<_>>()
        };
        assert_eq!(
            of(told(&all, Some(&other), true).await),
            [(other.clone(), "m".to_owned(), false)]
        );
        let everybody = of(told(&all, None, true).await);
        assert_eq!(everybody.len(), 3, "of all, each account by itself: {everybody:?}");
        assert!(everybody.contains(&(account, "m".to_owned(), true)));
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_left_out_and_the_rest_is_told() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        keeps(&all, &account, "broken", "{\"hour\":".to_owned()).await;
        shows(&all, &account, "sound", Sign::AnswerRefused, 9).await;
        let told = told(&all, Some(&account), true).await;
        assert_eq!(told.iter().map(|one| one.model.as_str()).collect::<Vec<_>>(), ["sound"]);
    }
}
