//! What is remembered of users. Every statement names the account and the user.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError, begin, optional_ms};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// A memory as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    pub id: String,
    /// Counts up within a user; given by the store.
    pub place: i64,
    pub text: String,
    /// A JSON list.
    pub tags: String,
    /// A JSON object.
    pub metadata: String,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub embedded_by: String,
    /// Bytes in base64.
    pub embedding: String,
}

/// A relation that a memory states; a mention, if the relation is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationRow {
    pub memory: String,
    pub subject: String,
    pub subject_kind: String,
    pub relation: String,
    pub object: String,
    pub object_kind: String,
}

/// How far the memories of a user have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryState {
    pub last_place: i64,
    pub forgotten: i64,
}

const COLUMNS: &str =
    "id, place, body, tags, metadata, created_ms, expires_ms, embedded_by, embedding";

fn memory(row: &AnyRow) -> Result<Memory, sqlx::Error> {
    Ok(Memory {
        id: row.try_get("id")?,
        place: row.try_get("place")?,
        text: row.try_get("body")?,
        tags: row.try_get("tags")?,
        metadata: row.try_get("metadata")?,
        created: Timestamp(row.try_get("created_ms")?),
        expires: optional_ms(row, "expires_ms")?.map(Timestamp),
        embedded_by: row.try_get("embedded_by")?,
        embedding: row.try_get("embedding")?,
    })
}

impl Store {
    /// Keeps memories with what they state, all or none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remember(
        &self,
        account: AccountId,
        user: String,
        new: Vec<(Memory, Vec<RelationRow>)>,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let count = i64::try_from(new.len()).unwrap_or(i64::MAX);
            // The row is locked until the end: places are given to one at a time.
            let last: i64 = query(
                "INSERT INTO memory_users (account_id, user_id, last_place, forgotten) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (account_id, user_id) DO UPDATE \
                 SET last_place = memory_users.last_place + excluded.last_place \
                 RETURNING last_place",
            )
            .bind(account.as_str())
            .bind(&user)
            .bind(count)
            // Other than before, should all have been forgotten: an index from then is not this one's.
            .bind(new.first().map_or(0, |(memory, _)| memory.created.0))
            .fetch_one(&mut *transaction)
            .await?
            .try_get("last_place")?;
            for (place, (memory, relations)) in (last - count + 1..).zip(new) {
                query(
                    "INSERT INTO memories (account_id, user_id, id, place, body, tags, created_ms, \
                     expires_ms, embedded_by, embedding, metadata) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                )
                .bind(account.as_str())
                .bind(&user)
                .bind(&memory.id)
                .bind(place)
                .bind(&memory.text)
                .bind(&memory.tags)
                .bind(memory.created.0)
                .bind(memory.expires.map(|at| at.0))
                .bind(&memory.embedded_by)
                .bind(&memory.embedding)
                .bind(&memory.metadata)
                .execute(&mut *transaction)
                .await?;
                for (number, relation) in (0_i64..).zip(relations) {
                    query(
                        "INSERT INTO memory_relations (account_id, user_id, memory_id, number, \
                         subject, subject_kind, relation, object, object_kind) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    )
                    .bind(account.as_str())
                    .bind(&user)
                    .bind(&memory.id)
                    .bind(number)
                    .bind(relation.subject)
                    .bind(relation.subject_kind)
                    .bind(relation.relation)
                    .bind(relation.object)
                    .bind(relation.object_kind)
                    .execute(&mut *transaction)
                    .await?;
                }
            }
            transaction.commit().await
        })
        .await
    }

    /// `None` when nothing was ever remembered of the user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memory_state(
        &self,
        account: AccountId,
        user: String,
    ) -> Result<Option<MemoryState>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT last_place, forgotten FROM memory_users \
                 WHERE account_id = $1 AND user_id = $2",
            )
            .bind(account.as_str())
            .bind(&user)
            .fetch_optional(&pool)
            .await?
            .map(|row| {
                Ok::<_, sqlx::Error>(MemoryState {
                    last_place: row.try_get("last_place")?,
                    forgotten: row.try_get("forgotten")?,
                })
            })
            .transpose()
        })
        .await
    }

    /// The memories of a user after a place, in order, so many at most.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memories_after(
        &self,
        account: AccountId,
        user: String,
        place: i64,
        limit: i64,
    ) -> Result<Vec<Memory>, StoreError> {
        self.run(|pool| async move {
            let text = format!(
                "SELECT {COLUMNS} FROM memories WHERE account_id = $1 AND user_id = $2 \
                 AND place > $3 ORDER BY place LIMIT $4"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(&user)
                .bind(place)
                .bind(limit)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(memory)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Memories of a user by their ids, in no order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memories_of(
        &self,
        account: AccountId,
        user: String,
        ids: Vec<String>,
    ) -> Result<Vec<Memory>, StoreError> {
        self.run(|pool| async move {
            let text = format!(
                "SELECT {COLUMNS} FROM memories WHERE account_id = $1 AND user_id = $2 AND id = $3"
            );
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let row = query(sqlx::AssertSqlSafe(text.clone()))
                    .bind(account.as_str())
                    .bind(&user)
                    .bind(id)
                    .fetch_optional(&pool)
                    .await?;
                found.extend(row.as_ref().map(memory).transpose()?);
            }
            Ok::<_, sqlx::Error>(found)
        })
        .await
    }

    /// The relations that a user's memories state, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memory_relations(
        &self,
        account: AccountId,
        user: String,
        limit: i64,
    ) -> Result<Vec<RelationRow>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT memory_id, subject, subject_kind, relation, object, object_kind \
                 FROM memory_relations WHERE account_id = $1 AND user_id = $2 \
                 ORDER BY memory_id, number LIMIT $3",
            )
            .bind(account.as_str())
            .bind(&user)
            .bind(limit)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(RelationRow {
                    memory: row.try_get("memory_id")?,
                    subject: row.try_get("subject")?,
                    subject_kind: row.try_get("subject_kind")?,
                    relation: row.try_get("relation")?,
                    object: row.try_get("object")?,
                    object_kind: row.try_get("object_kind")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Forgets all memories of a user, or one: text, vector and what it stated. How many they were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_memories(
        &self,
        account: AccountId,
        user: String,
        id: Option<String>,
    ) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let one = id.as_deref().unwrap_or_default();
            let mut gone = 0;
            for (table, column) in [("memory_relations", "memory_id"), ("memories", "id")] {
                let text = format!(
                    "DELETE FROM {table} WHERE account_id = $1 AND user_id = $2 \
                     AND ({column} = $3 OR $3 = '')"
                );
                gone = query(sqlx::AssertSqlSafe(text))
                    .bind(account.as_str())
                    .bind(&user)
                    .bind(one)
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected();
            }
            let text = if id.is_none() {
                // Nothing is left to tell of the user.
                "DELETE FROM memory_users WHERE account_id = $1 AND user_id = $2"
            } else {
                "UPDATE memory_users SET forgotten = forgotten + 1 \
                 WHERE account_id = $1 AND user_id = $2"
            };
            query(text).bind(account.as_str()).bind(&user).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(gone)
        })
        .await
    }

    /// Deletes memories that are past their time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_memories(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "DELETE FROM memory_relations WHERE EXISTS (SELECT 1 FROM memories m \
                 WHERE m.account_id = memory_relations.account_id \
                 AND m.user_id = memory_relations.user_id \
                 AND m.id = memory_relations.memory_id AND m.expires_ms < $1)",
            )
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            let done = query("DELETE FROM memories WHERE expires_ms < $1")
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
