//! Switches of accounts and of their users, where they differ from the plan's.

use sqlx::Row;

use super::changes::changed;
use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// A switch as it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureRow {
    /// Empty: of the account as a whole.
    pub user: String,
    pub feature: String,
    pub enabled: bool,
    /// JSON
    pub settings: String,
}

impl Store {
    /// The switches of an account and of one of its users.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn features(
        &self,
        account: AccountId,
        user: String,
    ) -> Result<Vec<FeatureRow>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT user_id, feature, enabled, settings FROM features \
                 WHERE account_id = $1 AND (user_id = '' OR user_id = $2)",
            )
            .bind(account.as_str())
            .bind(user)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(FeatureRow {
                    user: row.try_get("user_id")?,
                    feature: row.try_get("feature")?,
                    enabled: row.try_get::<i64, _>("enabled")? != 0,
                    settings: row.try_get("settings")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn set_feature(
        &self,
        account: AccountId,
        row: FeatureRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO features (account_id, user_id, feature, enabled, settings, changed_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (account_id, user_id, feature) DO UPDATE \
                 SET enabled = excluded.enabled, settings = excluded.settings, \
                 changed_ms = excluded.changed_ms",
            )
            .bind(account.as_str())
            .bind(&row.user)
            .bind(&row.feature)
            .bind(i64::from(row.enabled))
            .bind(&row.settings)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await
        })
        .await
    }
}
