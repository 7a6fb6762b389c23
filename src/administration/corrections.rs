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
