//! What is good for one use: whoever is first has it, on whichever node.

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;

impl Store {
    /// Uses something up. `false` when it was used before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn spend(&self, name: String, expires: Timestamp) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query("INSERT INTO spent (name, expires_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&name)
                .bind(expires.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Forgets what nobody can use any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_spent(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let done =
                query("DELETE FROM spent WHERE expires_ms < $1").bind(now.0).execute(&pool).await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
