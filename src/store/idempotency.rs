//! Answers that are given again when a request comes again under its `Idempotency-Key`: the table `replays`.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// What there is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyState {
    /// Nothing: whoever asked is the first, and keeps the place until it lapses. `lost` is the request
    /// that had it before and was heard of no more: its node is gone.
    First { lost: Option<String> },
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
    pub async fn claim_idempotency(
        &self,
        account: AccountId,
        key: String,
        request_hash: String,
        (request, user): (String, String),
        now: Timestamp,
        lapses: Timestamp,
    ) -> Result<IdempotencyState, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let lost = query(
                "SELECT request_id FROM replays WHERE account_id = $1 AND idempotency_key = $2 \
                 AND expires_ms <= $3 AND head IS NULL",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(now.0)
            .fetch_optional(&mut *transaction)
            .await?;
            let lost = lost.map(|row| row.try_get::<String, _>("request_id")).transpose()?;
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
                "INSERT INTO replays \
                 (account_id, idempotency_key, request_hash, expires_ms, request_id, user_id) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&request_hash)
            .bind(lapses.0)
            .bind(&request)
            .bind(&user)
            .execute(&mut *transaction)
            .await?;
            if taken.rows_affected() > 0 {
                transaction.commit().await?;
                return Ok(IdempotencyState::First { lost: lost.filter(|id| !id.is_empty()) });
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
                return Ok(IdempotencyState::Other);
            }
            let (head, body): (Option<String>, Option<String>) =
                (row.try_get("head")?, row.try_get("body")?);
            Ok::<_, sqlx::Error>(match (head, body) {
                (Some(head), Some(body)) => IdempotencyState::Kept { head, body },
                _ => IdempotencyState::UnderWay,
            })
        })
        .await
    }

    /// Says that the first is still under way.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_idempotency(
        &self,
        account: AccountId,
        key: String,
        request: String,
        lapses: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE replays SET expires_ms = $4 WHERE account_id = $1 \
                 AND idempotency_key = $2 AND request_id = $3 AND head IS NULL",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&request)
            .bind(lapses.0)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Keeps the answer in the place that was taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_idempotent(
        &self,
        account: AccountId,
        key: String,
        request: String,
        head: String,
        body: String,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE replays SET head = $3, body = $4, expires_ms = $5 \
                 WHERE account_id = $1 AND idempotency_key = $2 AND request_id = $6",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&head)
            .bind(&body)
            .bind(expires.0)
            .bind(&request)
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
    pub async fn release_idempotency(
        &self,
        account: AccountId,
        key: String,
        request: String,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "DELETE FROM replays WHERE account_id = $1 AND idempotency_key = $2 \
                 AND request_id = $3 AND head IS NULL",
            )
            .bind(account.as_str())
            .bind(&key)
            .bind(&request)
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
    pub async fn sweep_idempotency(&self, now: Timestamp) -> Result<u64, StoreError> {
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
