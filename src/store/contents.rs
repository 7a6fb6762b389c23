//! What was asked and answered, where an account wishes it kept.

use sqlx::Row;

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// A request and its answer, as they passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub account: AccountId,
    pub request_id: String,
    pub user: String,
    pub at: Timestamp,
    pub request: String,
    pub answer: String,
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn keep_content(&self, content: Content) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query(
                "INSERT INTO contents (account_id, request_id, user_id, at_ms, request, answer) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(content.account.as_str())
            .bind(&content.request_id)
            .bind(&content.user)
            .bind(content.at.0)
            .bind(&content.request)
            .bind(&content.answer)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn content(
        &self,
        account: AccountId,
        request_id: String,
    ) -> Result<Option<Content>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT user_id, at_ms, request, answer FROM contents \
                 WHERE account_id = $1 AND request_id = $2",
            )
            .bind(account.as_str())
            .bind(&request_id)
            .fetch_optional(&pool)
            .await?
            .map(|row| {
                Ok::<_, sqlx::Error>(Content {
                    account: account.clone(),
                    request_id: request_id.clone(),
                    user: row.try_get("user_id")?,
                    at: Timestamp(row.try_get("at_ms")?),
                    request: row.try_get("request")?,
                    answer: row.try_get("answer")?,
                })
            })
            .transpose()
        })
        .await
    }

    /// Deletes what is older than a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_contents(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            query("DELETE FROM contents WHERE at_ms < $1")
                .bind(before.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected())
        })
        .await
    }
}
