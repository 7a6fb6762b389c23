//! An administrator for tests, over accounts in a store of their own.

use std::sync::Arc;

use super::Administration;
use crate::admit::fixture::Accounts;
use crate::base::ids::KeyId;
use crate::live::{Current, Live, Trial};
use crate::notice::Mail;
use crate::quota::{LocalQuota, Quota};

/// What of a setting has the trial refuse it.
pub const REFUSED: &str = "refuse-me";

/// What an administrator works with.
pub struct AdministrationFixture {
    pub accounts: Accounts,
    pub current: Current,
    pub mail: Option<Mail>,
    pub trial: Trial,
    pub quota: Quota,
}

impl AdministrationFixture {
    pub async fn new() -> Self {
        let trial: Trial = Arc::new(|revised| {
            let settings = revised.settings.as_deref().unwrap_or_default();
            if settings.contains(REFUSED) {
                return Err(vec![format!("{REFUSED}: there is no such thing")]);
            }
            Ok(Live::bare())
        });
        Self {
            accounts: Accounts::new().await,
            current: Current::new(Live::bare()),
            mail: None,
            trial,
            quota: Quota::Local(LocalQuota::default()),
        }
    }

    /// The administrator at work.
    pub fn work(&self) -> Administration<'_> {
        Administration {
            store: &self.accounts.store,
            current: &self.current,
            trial: &self.trial,
            recent: None,
            plans: &self.accounts.plans,
            identities: &self.accounts.identities,
            quota: &self.quota,
            mail: self.mail.as_ref(),
            clock: self.accounts.clock,
            actor: KeyId::stored("key_admin"),
        }
    }

    /// What was logged, oldest first: what was done, and to what.
    pub async fn logged(&self) -> Vec<(String, String)> {
        let mut all = self.accounts.store.audits(None, 100).await.unwrap();
        all.reverse();
        all.into_iter().map(|one| (one.action, one.target)).collect()
    }
}
