//! Carrying what waits in the outbox. A node takes a mail by a lease; should it end before it is
//! done, another takes the mail again: at least once, under one id.

use std::time::Duration;

use super::mail::{Mail, Undelivered};
use crate::base::clock::Clock;
use crate::store::{Store, StoreError};

/// How long a node has for a mail that it took.
const LEASE: Duration = Duration::from_secs(60);
/// How often a node looks for mail of others, and for what is due again.
const LOOKS_EVERY: Duration = Duration::from_secs(5);
/// How long after each try that failed the next one is; after the last, none.
const WAITS: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// How long to wait after so many tries; `None` = it is given up.
fn wait_after(tries: i64) -> Option<Duration> {
    WAITS.get(usize::try_from(tries.max(1) - 1).ok()?).copied()
}

impl Mail {
    /// Sends what is due, for as long as the process is there; `waiting` is told how many are left.
    pub async fn carry(self, store: Store, clock: Clock, waiting: impl Fn(i64)) {
        loop {
            match self.carry_one(&store, clock).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(why) => tracing::warn!(%why, "the outbox cannot be read"),
            }
            match store.waiting_mail().await {
                Ok(count) => waiting(count),
                Err(why) => tracing::warn!(%why, "the outbox cannot be counted"),
            }
            // Whichever comes first.
            let _either = tokio::time::timeout(LOOKS_EVERY, self.until_posted()).await;
        }
    }

    /// Whether there was one.
    async fn carry_one(&self, store: &Store, clock: Clock) -> Result<bool, StoreError> {
        let now = clock.now();
        let Some(taken) = store.take_mail(now, now.after(LEASE)).await? else { return Ok(false) };
        let sent = match self.opened(&taken.id, &taken.body) {
            Ok(letter) => self.send(&taken.id, &letter, &taken.target).await,
            Err(why) => Err(why),
        };
        match sent {
            Ok(()) => store.mail_was_sent(taken.id).await?,
            Err(Undelivered { why, for_good }) => {
                let wait = wait_after(taken.tries).filter(|_| !for_good);
                let again = wait.map(|wait| clock.now().after(wait));
                match again {
                    Some(_) => tracing::warn!(mail = %taken.id, why, "a mail was not sent yet"),
                    None => tracing::error!(mail = %taken.id, why, "a mail was given up"),
                }
                let why = why.chars().take(500).collect();
                store.mail_failed(taken.id, why, again).await?;
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart_and_end() {
        let waits: Vec<Duration> = (1..).map_while(wait_after).collect();
        assert!(waits.is_sorted() && waits.len() == WAITS.len());
        assert_eq!(wait_after(7), None);
        assert_eq!(wait_after(1), Some(Duration::from_secs(60)));
    }
}
