//! Answers that are given again when a request comes again under its `Idempotency-Key`.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// What there is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// Nothing: whoever asked is the first, and keeps the place until it lapses.
    First,
    /// The first is under way.
    UnderWay,
    /// The key was used for another request.
    Other,
    /// What the first was answered: its head as JSON, its body in base64.
    Kept { head: String, body: String },
}

impl Store {
    /// Takes the place of `key`, or says what is there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_replay(
        &self,
        account: AccountId,
        key: String,
        request_hash: String,
        now: Timestamp,
        lapses: Timestamp,
    ) -> Result<Replay, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            // What has lapsed is not there.
            query(
                "DELETE FROM replays WHERE account_id = $1 AND idempotency_key = $2 \
                 AND expires_ms <= $3",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            let taken = query(
                "INSERT INTO replays (account_id, idempotency_key, request_hash, expires_ms) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&request_hash)
            .bind(lapses.0)
            .execute(&mut *transaction)
            .await?;
            if taken.rows_affected() > 0 {
                transaction.commit().await?;
                return Ok(Replay::First);
            }
            let row = query(
                "SELECT request_hash, head, body FROM replays \
                 WHERE account_id = $1 AND idempotency_key = $2",
            )
            .bind(account.as_str())
            .bind(&key)
            .fetch_one(&mut *transaction)
            .await?;
            transaction.commit().await?;
            if row.try_get::<String, _>("request_hash")? != request_hash {
                return Ok(Replay::Other);
            }
            let (head, body): (Option<String>, Option<String>) =
                (row.try_get("head")?, row.try_get("body")?);
            Ok::<_, sqlx::Error>(match (head, body) {
                (Some(head), Some(body)) => Replay::Kept { head, body },
                _ => Replay::UnderWay,
            })
        })
        .await
    }

    /// Keeps the answer in the place that was taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_replay(
        &self,
        account: AccountId,
        key: String,
        head: String,
        body: String,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE replays SET head = $3, body = $4, expires_ms = $5 \
                 WHERE account_id = $1 AND idempotency_key = $2",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&head)
            .bind(&body)
            .bind(expires.0)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Gives a place back that nothing came of.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave_replay(&self, account: AccountId, key: String) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "DELETE FROM replays WHERE account_id = $1 AND idempotency_key = $2 \
                 AND head IS NULL",
            )
            .bind(account.as_str())
            .bind(&key)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Deletes what has lapsed; how many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_replays(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let done = query("DELETE FROM replays WHERE expires_ms <= $1")
                .bind(now.0)
                .execute(&pool)
                .await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
