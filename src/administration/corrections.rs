//! Taking back what `auto` has learned of models.

use serde_json::json;

use super::Administration;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};

impl Administration<'_> {
    /// The id of an account by its id or name. One that is in no list, as the administrator's of the
    /// configuration, goes by its id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn id_of(&self, account: &str) -> Result<AccountId, Error> {
        match self.account(account).await {
            Ok(account) => Ok(account.id),
            Err(why) if why.kind == Kind::NotFound => Ok(AccountId::stored(account)),
            Err(why) => Err(why),
        }
    }

    /// Forgets what was found out of models, by feedback and by what answers have shown: of one account
    /// or of all, of one model or of all. How many corrections that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_findings(
        &self,
        account: Option<&str>,
        model: Option<&str>,
    ) -> Result<u64, Error> {
        let id = match account {
            Some(account) => Some(self.id_of(account).await?),
            None => None,
        };
        let target = id.as_ref().map_or("all", AccountId::as_str).to_owned();
        let forgotten = self.store.forget_findings(id, model.map(str::to_owned)).await;
        let forgotten = forgotten.map_err(Error::internal)?;
        let detail = json!({"model": model, "rows": forgotten});
        self.log("corrections.reset", &target, detail).await?;
        Ok(forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::administration::fixture::AdministrationFixture;
    use crate::admit::fixture::NOON;
    use crate::store::Feedback;

    /// An office where three accounts have found out something of two models each.
    async fn office() -> (AdministrationFixture, Vec<AccountId>) {
        let office = AdministrationFixture::new().await;
        let store = &office.accounts.store;
        let mut accounts = Vec::new();
        for name in ["acme", "bolt", "core"] {
            let account = office.accounts.open(name).await;
            for model in ["m", "n"] {
                let said =
                    Feedback { request: "r".to_owned(), model: model.to_owned(), residual: 1 };
                store.put_feedback(account.clone(), vec![said], NOON).await.unwrap();
                let of = vec![(account.clone(), model.to_owned())];
                let kept = |_, _: &str| Some("{}".to_owned());
                store.change_outcomes(of, NOON, kept).await.unwrap();
            }
            accounts.push(account);
        }
        (office, accounts)
    }

    /// How much is known yet, of an account or of all.
    async fn left(office: &AdministrationFixture, account: Option<&AccountId>) -> usize {
        let store = &office.accounts.store;
        let said = store.feedback(account.cloned()).await.unwrap().len();
        said + store.outcomes(account.cloned()).await.unwrap().len()
    }

    #[tokio::test]
    async fn what_one_account_found_out_is_forgotten_and_of_the_others_nothing() {
        let (office, accounts) = office().await;
        let forgotten = office.work().forget_findings(Some("acme"), Some("m")).await.unwrap();
        assert_eq!(forgotten, 2, "what it said, and what answers have shown");
        assert_eq!(left(&office, Some(&accounts[0])).await, 2, "the other model");
        let id = accounts[0].as_str();
        assert_eq!(office.work().forget_findings(Some(id), None).await.unwrap(), 2);
        assert_eq!(left(&office, None).await, 8);
        let target = ("corrections.reset".to_owned(), id.to_owned());
        assert_eq!(office.logged().await, [target.clone(), target], "by its id, however named");
    }

    #[tokio::test]
    async fn of_all_accounts_a_model_is_forgotten_or_everything() {
        let (office, _) = office().await;
        assert_eq!(office.work().forget_findings(None, Some("n")).await.unwrap(), 6);
        assert_eq!(left(&office, None).await, 6);
        assert_eq!(office.work().forget_findings(None, None).await.unwrap(), 6);
        assert_eq!(office.work().forget_findings(None, None).await.unwrap(), 0);
        let all = office.logged().await;
        assert!(all.len() == 3 && all.iter().all(|(_, target)| target == "all"), "{all:?}");
    }

    #[tokio::test]
    async fn a_name_that_is_no_accounts_forgets_nothing_of_anybody() {
        let (office, accounts) = office().await;
        assert_eq!(office.work().id_of("bolt").await.unwrap(), accounts[1]);
        assert_eq!(office.work().id_of("acct_admin").await.unwrap().as_str(), "acct_admin");
        for none in ["acct_admin", "nobody", ""] {
            assert_eq!(office.work().forget_findings(Some(none), None).await.unwrap(), 0, "{none}");
        }
        for account in [None, Some("acme")] {
            assert_eq!(office.work().forget_findings(account, Some("")).await.unwrap(), 0);
        }
        assert_eq!(left(&office, None).await, 12);
    }
}
