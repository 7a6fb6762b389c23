//! What answers of models have shown, by account: records that the router makes sense of.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// More is not read at once: the accounts that wrote last.
const MOST: i64 = 200_000;

/// A record, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutcomes {
    pub account: AccountId,
    pub model: String,
    /// JSON.
    pub record: String,
    pub updated: Timestamp,
}

fn kept(row: &AnyRow) -> Result<KeptOutcomes, sqlx::Error> {
    Ok(KeptOutcomes {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        model: row.try_get("model")?,
        record: row.try_get("record")?,
        updated: Timestamp(row.try_get("updated_ms")?),
    })
}

impl Store {
    /// Changes the records of accounts and models, one after the other: `change` gets the number and the
    /// record as it is, and says what it becomes.
    ///
    /// # Errors
    /// When the store fails: nothing is changed then.
    pub async fn change_outcomes(
        &self,
        of: Vec<(AccountId, String)>,
        now: Timestamp,
        change: impl Fn(usize, &str) -> Option<String> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            for (number, (account, model)) in of.iter().enumerate() {
                // The row is locked from here on: no other node reads what is about to be replaced. Of an
                // account that is gone nothing is kept; the configuration's administrator has none.
                let row = query(
                    "INSERT INTO outcomes (account_id, model, record, updated_ms) \
                     SELECT $1, $2, '', $3 WHERE $1 = 'acct_admin' \
                     OR EXISTS (SELECT 1 FROM accounts WHERE id = $1) \
                     ON CONFLICT (account_id, model) \
                     DO UPDATE SET updated_ms = excluded.updated_ms RETURNING record",
                )
                .bind(account.as_str())
                .bind(model.as_str())
                .bind(now.0)
                .fetch_optional(&mut *transaction)
                .await?;
                let Some(row) = row else { continue };
                let before: String = row.try_get("record")?;
                let Some(record) = change(number, &before) else { continue };
                query("UPDATE outcomes SET record = $3 WHERE account_id = $1 AND model = $2")
                    .bind(account.as_str())
                    .bind(model.as_str())
                    .bind(record)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// The records of an account, or of all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn outcomes(
        &self,
        account: Option<AccountId>,
    ) -> Result<Vec<KeptOutcomes>, StoreError> {
        self.run(move |pool| async move {
            let rows = match account {
                Some(account) => {
                    query(
                        "SELECT account_id, model, record, updated_ms FROM outcomes \
                     WHERE account_id = $1 ORDER BY model",
                    )
                    .bind(account.as_str())
                    .fetch_all(&pool)
                    .await?
                }
                None => {
                    query(
                        "SELECT account_id, model, record, updated_ms FROM outcomes \
                         ORDER BY updated_ms DESC, account_id, model LIMIT $1",
                    )
                    .bind(MOST)
                    .fetch_all(&pool)
                    .await?
                }
            };
            rows.iter().map(kept).collect()
        })
        .await
    }

    /// Forgets what was found out of models, by feedback and by outcomes: of one account or of all, of
    /// one model or of all. How many rows were deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_findings(
        &self,
        account: Option<AccountId>,
        model: Option<String>,
    ) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            // An empty name is somebody's, who is not there: it does not stand for all.
            let of_all = [account.is_none(), model.is_none()].map(i64::from);
            let account = account.as_ref().map_or("", AccountId::as_str).to_owned();
            let model = model.unwrap_or_default();
            let mut deleted = 0;
            for table in ["outcomes", "feedback"] {
                let text = format!(
                    "DELETE FROM {table} WHERE ($1 = 1 OR account_id = $2) \
                     AND ($3 = 1 OR model = $4)"
                );
                let done = query(sqlx::AssertSqlSafe(text))
                    .bind(of_all[0])
                    .bind(account.as_str())
                    .bind(of_all[1])
                    .bind(model.as_str())
                    .execute(&mut *transaction)
                    .await?;
                deleted += done.rows_affected();
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(deleted)
        })
        .await
    }

    /// Deletes records that nothing was added to since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_outcomes(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let done = query("DELETE FROM outcomes WHERE updated_ms < $1")
                .bind(before.0)
                .execute(&pool)
                .await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
