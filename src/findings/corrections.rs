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
pub type AccountCorrections = Arc<HashMap<usize, f32>>;

/// Corrections of the accounts that were here lately. Cheap to clone.
#[derive(Clone)]
pub struct KnownCorrections(Cache<(AccountId, usize), AccountCorrections>);

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

/// Where corrections of `auto` are kept, and what they are learned from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CorrectionStore {
    pub store: Store,
    pub clock: Clock,
    /// What accounts said of answers.
    pub corrections: KnownCorrections,
    /// What answers have shown by themselves; `None` where that is not to count.
    pub findings: Option<Findings>,
    /// Where it is kept what was read of requests; `None` where it is not.
    pub recorder: Option<Recorder>,
}

impl CorrectionStore {
    /// What an account has found out. Where the store cannot say, nothing: `auto` then chooses as for
    /// anybody.
    pub async fn corrections_of(&self, live: &Live, account: &AccountId) -> AccountCorrections {
        let key = (account.clone(), live.generation());
        if let Some(known) = self.corrections.0.get(&key) {
            return known;
        }
        let read = self.read(live, account).await.unwrap_or_else(|why| {
            tracing::warn!(%why, "what an account said of answers cannot be read");
            AccountCorrections::default()
        });
        self.corrections.0.insert(key, Arc::clone(&read));
        read
    }

    async fn read(
        &self,
        live: &Live,
        account: &AccountId,
    ) -> Result<AccountCorrections, StoreError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::base::clock::Timestamp;
    use crate::router::{Outcomes, Sign};
    use crate::store::Feedback;
    use crate::telemetry::metrics::Metrics;

    /// What is in force with the models of this build that one maker has.
    fn live() -> Live {
        use crate::catalogue::{ApiKey, Sources, builtin, load};
        use crate::router::Predictor;
        let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
        sources.keys.insert("openai".to_owned(), vec![ApiKey::new("k".into(), 1.0)]);
        let catalogue = load(sources).unwrap();
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
        Live { catalogue, predictor, guardrails: None, revision: 0 }
    }

    fn learned(all: &Accounts, findings: Option<Findings>) -> CorrectionStore {
        CorrectionStore {
            store: all.store.clone(),
            clock: all.clock,
            corrections: KnownCorrections::default(),
            findings,
            recorder: None,
        }
    }

    async fn says(all: &Accounts, account: &AccountId, model: &str, residual: i64) {
        let request = format!("req_{residual}");
        let said = Feedback { request, model: model.to_owned(), residual };
        all.store.put_feedback(account.clone(), vec![said], NOON).await.unwrap();
    }

    /// How far what an account found out of the first model moves it.
    async fn moved(learned: &CorrectionStore, live: &Live, account: &AccountId) -> f32 {
        let all = learned.corrections_of(live, account).await;
        assert!(all.keys().all(|place| *place == 0), "{all:?}");
        all.get(&0).copied().unwrap_or_default()
    }

    #[tokio::test]
    async fn an_account_s_word_moves_its_own_models_and_nobody_elses() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let (live, learned) = (live(), learned(&all, None));
        let model = live.catalogue.models()[0].id.to_string();
        says(&all, &account, &model, 5_000_000).await;
        // One that is in the catalogue no more moves nothing, least of all another.
        says(&all, &account, "gone-since", 5_000_000).await;
        assert!(moved(&learned, &live, &account).await > 0.0);
        assert!(moved(&learned, &live, &other).await.abs() < f32::EPSILON);
    }

    #[tokio::test]
    async fn what_is_at_hand_is_read_anew_once_it_is_forgotten() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let (live, learned) = (live(), learned(&all, None));
        let model = live.catalogue.models()[0].id.to_string();
        for one in [&account, &other] {
            assert!(moved(&learned, &live, one).await.abs() < f32::EPSILON);
            says(&all, one, &model, 5_000_000).await;
            assert!(moved(&learned, &live, one).await.abs() < f32::EPSILON, "it is at hand");
        }
        learned.corrections.forget(&account, &live);
        assert!(moved(&learned, &live, &account).await > 0.0);
        assert!(moved(&learned, &live, &other).await.abs() < f32::EPSILON, "of the one alone");
        learned.corrections.forget_all();
        assert!(moved(&learned, &live, &other).await > 0.0);
    }

    #[tokio::test]
    async fn a_place_of_another_catalogue_is_not_taken_for_one_of_this() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let (mut before, learned) = (live(), learned(&all, None));
        let model = before.catalogue.models()[0].id.to_string();
        says(&all, &account, &model, 5_000_000).await;
        assert!(moved(&learned, &before, &account).await > 0.0);
        before.catalogue = crate::catalogue::load(crate::catalogue::Sources {
            first_id: before.catalogue.ids().end,
            ..crate::catalogue::Sources::default()
        })
        .unwrap();
        assert!(learned.corrections_of(&before, &account).await.is_empty());
    }

    #[tokio::test]
    async fn what_answers_have_shown_counts_only_where_that_is_wanted() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let live = live();
        let model = live.catalogue.models()[0].id.to_string();
        let mut outcomes = Outcomes::default();
        outcomes.note(Sign::AnswerRefused, 9, NOON);
        let record = serde_json::to_string(&outcomes).unwrap();
        let of = vec![(account.clone(), model)];
        all.store.change_outcomes(of, NOON, move |_, _| Some(record.clone())).await.unwrap();
        let without = learned(&all, None);
        assert!(moved(&without, &live, &account).await.abs() < f32::EPSILON);
        let findings = Findings::new(false, Metrics::new().unwrap());
        assert!(moved(&learned(&all, Some(findings)), &live, &account).await < 0.0);
    }

    #[tokio::test]
    async fn what_all_have_found_out_is_added_to_what_an_account_has() {
        let all = Accounts::new().await;
        let live = live();
        let model = live.catalogue.models()[0].id.to_string();
        let findings = Findings::new(true, Metrics::new().unwrap());
        let mut outcomes = Outcomes::default();
        outcomes.note(Sign::AnswerRefused, 99, NOON);
        let record = serde_json::to_string(&outcomes).unwrap();
        for name in ["a", "b", "c"] {
            let of = vec![(all.open(name).await, model.clone())];
            let record = record.clone();
            all.store.change_outcomes(of, NOON, move |_, _| Some(record.clone())).await.unwrap();
        }
        findings.gather(&all.store, Timestamp(NOON.0)).await.unwrap();
        let learned = learned(&all, Some(findings));
        let quiet = all.open("quiet").await;
        let by_all = moved(&learned, &live, &quiet).await;
        assert!(by_all < 0.0, "who has found nothing out goes by the others");
        let loud = all.open("loud").await;
        says(&all, &loud, &model, 5_000_000).await;
        let own = moved(&learned, &live, &loud).await;
        assert!(own > by_all && own < crate::router::correction(5.0, 1), "{own} {by_all}");
    }
}
