//! Credentials that users lend to apps, sealed, and what actions and agents did.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// A user's account at an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub account: AccountId,
    /// A member, a user that the account names, or the account itself: for all of it.
    pub user: String,
    pub id: String,
    pub app: String,
    pub name: String,
    pub created: Timestamp,
    /// A JSON list of the tools that may be run with it; `null` = all.
    pub tools: String,
    /// Sealed JSON.
    pub credentials: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectEvent {
    pub account: AccountId,
    /// Sorts by time.
    pub id: String,
    pub user: String,
    pub at: Timestamp,
    pub kind: String,
    /// JSON
    pub body: String,
}

const COLUMNS: &str = "account_id, user_id, id, app, name, created_ms, tools, credentials";

fn connection(row: &AnyRow) -> Result<Connection, sqlx::Error> {
    Ok(Connection {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        user: row.try_get("user_id")?,
        id: row.try_get("id")?,
        app: row.try_get("app")?,
        name: row.try_get("name")?,
        created: Timestamp(row.try_get("created_ms")?),
        tools: row.try_get("tools")?,
        credentials: row.try_get("credentials")?,
    })
}

impl Store {
    /// Keeps a connection, or gives one that is there other credentials.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_connection(&self, one: Connection) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query(
                "INSERT INTO connections (account_id, user_id, id, app, name, created_ms, tools, \
                 credentials) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (account_id, id) DO UPDATE SET credentials = excluded.credentials",
            )
            .bind(one.account.as_str())
            .bind(&one.user)
            .bind(&one.id)
            .bind(&one.app)
            .bind(&one.name)
            .bind(one.created.0)
            .bind(&one.tools)
            .bind(&one.credentials)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// The connections of an account, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn connections(&self, account: AccountId) -> Result<Vec<Connection>, StoreError> {
        self.run(|pool| async move {
            let text =
                format!("SELECT {COLUMNS} FROM connections WHERE account_id = $1 ORDER BY id");
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .fetch_all(&pool)
                .await?
                .iter()
                .map(connection)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn drop_connection(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            query("DELETE FROM connections WHERE account_id = $1 AND id = $2")
                .bind(account.as_str())
                .bind(id)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn note_event(&self, event: ConnectEvent) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query(
                "INSERT INTO connect_events (account_id, id, user_id, at_ms, kind, body) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(event.account.as_str())
            .bind(&event.id)
            .bind(&event.user)
            .bind(event.at.0)
            .bind(&event.kind)
            .bind(&event.body)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Events after an id, oldest first: of one user, or of the account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events_after(
        &self,
        account: AccountId,
        user: Option<String>,
        after: String,
        limit: i64,
    ) -> Result<Vec<ConnectEvent>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, user_id, at_ms, kind, body FROM connect_events \
                 WHERE account_id = $1 AND id > $2 AND (user_id = $3 OR $3 = '') \
                 ORDER BY id LIMIT $4",
            )
            .bind(account.as_str())
            .bind(after)
            .bind(user.unwrap_or_default())
            .bind(limit)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(ConnectEvent {
                    account: account.clone(),
                    id: row.try_get("id")?,
                    user: row.try_get("user_id")?,
                    at: Timestamp(row.try_get("at_ms")?),
                    kind: row.try_get("kind")?,
                    body: row.try_get("body")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Deletes events from before a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            query("DELETE FROM connect_events WHERE at_ms < $1")
                .bind(before.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected())
        })
        .await
    }
}
