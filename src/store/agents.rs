//! Agents of accounts. Every change makes a new version.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::ResponseViewer;
use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// An agent as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    pub account: AccountId,
    /// Who made it; the account's id = it is everybody's of the account.
    pub user: String,
    pub id: String,
    pub version: i64,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// JSON
    pub definition: String,
}

const COLUMNS: &str = "account_id, user_id, id, version, created_ms, updated_ms, definition";

fn agent(row: &AnyRow) -> Result<AgentRow, sqlx::Error> {
    Ok(AgentRow {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        user: row.try_get("user_id")?,
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        created: Timestamp(row.try_get("created_ms")?),
        updated: Timestamp(row.try_get("updated_ms")?),
        definition: row.try_get("definition")?,
    })
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn create_agent(&self, one: AgentRow) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query(
                "INSERT INTO agents \
                 (account_id, id, version, created_ms, updated_ms, definition, user_id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(one.account.as_str())
            .bind(&one.id)
            .bind(one.version)
            .bind(one.created.0)
            .bind(one.updated.0)
            .bind(&one.definition)
            .bind(&one.user)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn agent(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<Option<AgentRow>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} FROM agents WHERE account_id = $1 AND id = $2");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(agent).transpose()
        })
        .await
    }

    /// A page of those of an account's agents that `seer` sees, oldest first: theirs, and everybody's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn agents(
        &self,
        account: AccountId,
        seer: ResponseViewer,
        after: String,
        limit: i64,
    ) -> Result<Vec<AgentRow>, StoreError> {
        self.run(|pool| async move {
            let text = format!(
                "SELECT {COLUMNS} FROM agents WHERE account_id = $1 AND id > $2 \
                 AND ($4 = '' OR user_id = $4 OR user_id = $1) ORDER BY id LIMIT $3"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(after)
                .bind(limit)
                .bind(seer.0)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(agent)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Puts a definition in the place of the version that it was made from. `false` when that is
    /// not the newest any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_agent(&self, changed: AgentRow, from: i64) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            query(
                "UPDATE agents SET version = $1, updated_ms = $2, definition = $3 \
                 WHERE account_id = $4 AND id = $5 AND version = $6",
            )
            .bind(changed.version)
            .bind(changed.updated.0)
            .bind(&changed.definition)
            .bind(changed.account.as_str())
            .bind(&changed.id)
            .bind(from)
            .execute(&pool)
            .await
            .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn delete_agent(&self, account: AccountId, id: String) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            query("DELETE FROM agents WHERE account_id = $1 AND id = $2")
                .bind(account.as_str())
                .bind(id)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }
}
