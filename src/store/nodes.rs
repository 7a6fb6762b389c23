//! The processes that share a store, as far as they were heard of lately.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: String,
    /// Where it listens.
    pub address: String,
    pub version: String,
    pub started: Timestamp,
    pub seen: Timestamp,
}

impl Store {
    /// Says that a process is there; forgets those that were not heard of since `oldest`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hear_of(&self, node: Node, oldest: Timestamp) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query("DELETE FROM nodes WHERE seen_ms < $1")
                .bind(oldest.0)
                .execute(&mut *transaction)
                .await?;
            query(
                "INSERT INTO nodes (id, address, version, started_ms, seen_ms) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms",
            )
            .bind(&node.id)
            .bind(&node.address)
            .bind(&node.version)
            .bind(node.started.0)
            .bind(node.seen.0)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        })
        .await
    }

    /// The processes that were heard of since a moment, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn nodes(&self, since: Timestamp) -> Result<Vec<Node>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, address, version, started_ms, seen_ms FROM nodes \
                 WHERE seen_ms >= $1 ORDER BY started_ms, id",
            )
            .bind(since.0)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(Node {
                    id: row.try_get("id")?,
                    address: row.try_get("address")?,
                    version: row.try_get("version")?,
                    started: Timestamp(row.try_get("started_ms")?),
                    seen: Timestamp(row.try_get("seen_ms")?),
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
