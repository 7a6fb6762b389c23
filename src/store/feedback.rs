//! What accounts said of answers.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// What one answer says of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// The request, or a name of its own where none was given.
    pub request: String,
    pub model: String,
    /// By how much the answer was better than predicted, in millionths; worse below nothing.
    pub residual: i64,
}

/// All that an account said of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackSum {
    pub account: AccountId,
    pub model: String,
    pub count: i64,
    /// In millionths.
    pub residual: i64,
    /// When it last said something.
    pub said: Timestamp,
}

impl Store {
    /// Keeps what was said. Of one request and model the last word counts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_feedback(
        &self,
        account: AccountId,
        said: Vec<Feedback>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            for one in said {
                query(
                    "INSERT INTO feedback (account_id, request_id, model, residual, created_ms) \
                     VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (account_id, request_id, model) \
                     DO UPDATE SET residual = excluded.residual, created_ms = excluded.created_ms",
                )
                .bind(account.as_str())
                .bind(one.request)
                .bind(one.model)
                .bind(one.residual)
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// What an account said, or what all did, by model.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn feedback(
        &self,
        account: Option<AccountId>,
    ) -> Result<Vec<FeedbackSum>, StoreError> {
        self.run(move |pool| async move {
            let select = "SELECT account_id, model, COUNT(*) AS count, \
                          CAST(SUM(residual) AS BIGINT) AS residual, \
                          MAX(created_ms) AS said_ms FROM feedback";
            let group = "GROUP BY account_id, model";
            let rows = match account {
                Some(account) => {
                    let text = format!("{select} WHERE account_id = $1 {group}");
                    query(sqlx::AssertSqlSafe(text)).bind(account.as_str()).fetch_all(&pool).await?
                }
                None => {
                    query(sqlx::AssertSqlSafe(format!("{select} {group}"))).fetch_all(&pool).await?
                }
            };
            rows.iter()
                .map(|row| {
                    Ok(FeedbackSum {
                        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
                        model: row.try_get("model")?,
                        count: row.try_get("count")?,
                        residual: row.try_get("residual")?,
                        said: Timestamp(row.try_get("said_ms")?),
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
