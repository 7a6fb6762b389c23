//! Whose words are being learned from: what a user asks next is to find what they said before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::ids::AccountId;

/// So long at most does a request wait for what is being learned: models may be slow.
const PATIENCE: Duration = Duration::from_secs(1);

type Name = (AccountId, String);

/// Users, and their newest words that are being learned from. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Learning(Arc<Mutex<HashMap<Name, watch::Receiver<()>>>>);

/// Something is being learned, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    all: Learning,
    name: Name,
    sender: watch::Sender<()>,
}

impl Learning {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Name, watch::Receiver<()>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn begin(&self, account: &AccountId, user: &str) -> UnderWay {
        let (sender, receiver) = watch::channel(());
        let name = (account.clone(), user.to_owned());
        self.with(|all| all.insert(name.clone(), receiver));
        UnderWay { all: self.clone(), name, sender }
    }

    /// Waits until nothing of a user is under way.
    pub async fn settled(&self, account: &AccountId, user: &str) {
        let name = (account.clone(), user.to_owned());
        let Some(mut under_way) = self.with(|all| all.get(&name).cloned()) else { return };
        // Nothing is ever sent: it ends when the sender goes.
        let _over = tokio::time::timeout(PATIENCE, under_way.changed()).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.with(|all| {
            if all
                .get(&self.name)
                .is_some_and(|newest| newest.same_channel(&self.sender.subscribe()))
            {
                all.remove(&self.name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_next_waits_but_not_for_long() {
        let (learning, account) = (Learning::default(), AccountId::fresh());
        learning.settled(&account, "ann").await;
        let under_way = learning.begin(&account, "ann");
        let began = tokio::time::Instant::now();
        learning.settled(&account, "bob").await;
        assert!(began.elapsed().is_zero(), "another user's");
        learning.settled(&account, "ann").await;
        let waited = began.elapsed();
        assert!((PATIENCE..PATIENCE * 2).contains(&waited), "{waited:?}");
        let (newer, waiting) = (learning.begin(&account, "ann"), learning.clone());
        drop(under_way);
        let asked = account.clone();
        let asking = tokio::spawn(async move { waiting.settled(&asked, "ann").await });
        tokio::task::yield_now().await;
        drop(newer);
        asking.await.unwrap();
        assert!(began.elapsed() < PATIENCE * 2);
        assert!(learning.with(|all| all.is_empty()));
    }
}
