//! Where answers are kept, and those that are worked on in the background: what they have said so far, for whoever follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::base::clock::Clock;
use crate::base::ids::AccountId;
use crate::store::Store;
use crate::wire::frame::Pieces;

/// Where answers are kept, and those under way on this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Responses {
    pub store: Store,
    pub clock: Clock,
    /// Answers in the background.
    pub runs: Runs,
    /// How long an answer can be built on.
    pub kept_for: Duration,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    events: usize,
    over: Option<Instant>,
}

/// A run that is over can be followed for so long yet; then there is only its answer.
const REMEMBERED: Duration = Duration::from_secs(300);

/// One answer under way.
#[derive(Debug)]
pub struct Run {
    events: Mutex<Vec<Bytes>>,
    progress: watch::Sender<Progress>,
    cancel: Notify,
}

impl Run {
    pub(super) fn tell(&self, event: Bytes) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        let count = events.len();
        drop(events);
        self.progress.send_modify(|progress| progress.events = count);
    }

    fn end(&self) {
        self.progress.send_modify(|progress| progress.over = Some(Instant::now()));
    }

    pub(super) async fn cancelled(&self) {
        self.cancel.notified().await;
    }

    fn event(&self, number: usize) -> Option<Bytes> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).get(number).cloned()
    }

    /// The events from `first` on, those to come included.
    #[must_use]
    pub fn follow(self: &Arc<Self>, first: usize) -> Pieces {
        let start = (Arc::clone(self), self.progress.subscribe(), first);
        Box::pin(stream::unfold(start, |(run, mut progress, next)| async move {
            loop {
                if let Some(event) = run.event(next) {
                    return Some((event, (run, progress, next + 1)));
                }
                if progress.borrow_and_update().over.is_some() && run.event(next).is_none() {
                    return None;
                }
                progress.changed().await.ok()?;
            }
        }))
    }
}

/// The answers under way on this node.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<Mutex<ByName>>);

type ByName = HashMap<(AccountId, String), Arc<Run>>;

impl Runs {
    fn with<T>(&self, act: impl FnOnce(&mut ByName) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn begin(&self, account: &AccountId, id: &str) -> Arc<Run> {
        let run = Arc::new(Run {
            events: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
            cancel: Notify::new(),
        });
        self.with(|runs| {
            runs.retain(|_, run| {
                run.progress.borrow().over.is_none_or(|over| over.elapsed() < REMEMBERED)
            });
            runs.insert((account.clone(), id.to_owned()), Arc::clone(&run))
        });
        run
    }

    pub(super) fn end(&self, account: &AccountId, id: &str) {
        if let Some(run) = self.get(account, id) {
            run.end();
        }
    }

    pub(super) fn get(&self, account: &AccountId, id: &str) -> Option<Arc<Run>> {
        self.with(|runs| runs.get(&(account.clone(), id.to_owned())).cloned())
    }

    pub(super) fn cancel(&self, account: &AccountId, id: &str) {
        if let Some(run) = self.get(account, id) {
            run.cancel.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt as _, StreamExt as _};

    #[tokio::test]
    async fn a_run_is_followed_from_anywhere_to_its_end() {
        let runs = Runs::default();
        let account = AccountId::stored("acct_1");
        let run = runs.begin(&account, "resp_1");
        run.tell(Bytes::from_static(b"0"));
        let mut followed = run.follow(0);
        let mut late = run.follow(1);
        assert_eq!(followed.next().await.unwrap(), "0");
        assert!(followed.next().now_or_never().is_none(), "it waits for what is to come");
        run.tell(Bytes::from_static(b"1"));
        assert_eq!(followed.next().await.unwrap(), "1");
        assert_eq!(late.next().await.unwrap(), "1");
        runs.end(&account, "resp_1");
        assert!(followed.next().await.is_none() && late.next().await.is_none());
        // Once it is over, it can be followed for a while yet.
        let again = runs.get(&account, "resp_1").unwrap();
        assert_eq!(again.follow(0).count().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_over_is_forgotten_after_a_while() {
        let runs = Runs::default();
        let account = AccountId::stored("acct_1");
        for name in ["done", "going"] {
            runs.begin(&account, name);
        }
        runs.end(&account, "done");
        tokio::time::advance(REMEMBERED).await;
        runs.begin(&account, "new");
        assert!(runs.get(&account, "done").is_none());
        assert!(runs.get(&account, "going").is_some());
    }

    #[tokio::test]
    async fn a_run_is_its_accounts_alone() {
        let runs = Runs::default();
        let (own, other) = (AccountId::stored("acct_1"), AccountId::stored("acct_2"));
        let run = runs.begin(&own, "resp_1");
        assert!(runs.get(&other, "resp_1").is_none());
        runs.cancel(&other, "resp_1");
        assert!(run.cancelled().now_or_never().is_none());
        runs.cancel(&own, "resp_1");
        run.cancelled().await;
    }
}
