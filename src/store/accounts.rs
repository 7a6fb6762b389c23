//! Accounts: who pays.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError, optional_ms};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub plan: String,
    pub created: Timestamp,
    pub suspended: Option<Timestamp>,
    /// What it has in place of its plan's limits, as JSON.
    pub limits: Option<String>,
}

fn account(row: &AnyRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: AccountId::stored(&row.try_get::<String, _>("id")?),
        name: row.try_get("name")?,
        plan: row.try_get("plan")?,
        created: Timestamp(row.try_get("created_ms")?),
        suspended: optional_ms(row, "suspended_ms")?.map(Timestamp),
        limits: row.try_get("limits")?,
    })
}

impl Store {
    /// # Errors
    /// [`StoreError::Taken`] when there is an account of that name.
    pub async fn create_account(&self, account: Account) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let done = query(
                "INSERT INTO accounts (id, name, plan, created_ms, limits) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(account.id.as_str())
            .bind(&account.name)
            .bind(&account.plan)
            .bind(account.created.0)
            .bind(&account.limits)
            .execute(&pool)
            .await;
            match done {
                Err(sqlx::Error::Database(why)) if why.is_unique_violation() => {
                    Err(StoreError::Taken(account.name.clone()))
                }
                other => other.map(|_| ()).map_err(StoreError::from),
            }
        })
        .await
    }

    /// An account by its id or its name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let name = name.to_owned();
        self.run(|pool| async move {
            let row = query(
                "SELECT id, name, plan, created_ms, suspended_ms, limits FROM accounts \
                 WHERE id = $1 OR name = $1",
            )
            .bind(name)
            .fetch_optional(&pool)
            .await?;
            row.as_ref().map(account).transpose()
        })
        .await
    }

    /// Accounts after an id, in order, so many at most; those whose name, one of whose members' addresses
    /// or one of whose keys' hints has `words` in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_accounts(
        &self,
        words: String,
        after: String,
        limit: i64,
    ) -> Result<Vec<Account>, StoreError> {
        self.run(move |pool| async move {
            let columns = "id, name, plan, created_ms, suspended_ms, limits";
            let found = if words.is_empty() {
                let text =
                    format!("SELECT {columns} FROM accounts WHERE id > $1 ORDER BY id LIMIT $2");
                query(sqlx::AssertSqlSafe(text)).bind(&after).bind(limit)
            } else {
                // What a pattern would take for a sign of its own is looked for as it is.
                let pattern = words.to_lowercase().replace('!', "!!");
                let pattern = pattern.replace('%', "!%").replace('_', "!_");
                let text = format!(
                    // Each table is gone through once, not once for every account.
                    "SELECT {columns} FROM accounts WHERE id > $1 AND (id = $3 \
                     OR LOWER(name) LIKE $4 ESCAPE '!' \
                     OR id IN (SELECT account_id FROM members WHERE email LIKE $4 ESCAPE '!') \
                     OR id IN (SELECT account_id FROM api_keys \
                     WHERE LOWER(hint) LIKE $4 ESCAPE '!')) ORDER BY id LIMIT $2"
                );
                query(sqlx::AssertSqlSafe(text))
                    .bind(&after)
                    .bind(limit)
                    .bind(&words)
                    .bind(format!("%{pattern}%"))
            };
            let rows = found.fetch_all(&pool).await?;
            rows.iter().map(account).collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, name, plan, created_ms, suspended_ms, limits FROM accounts ORDER BY id",
            )
            .fetch_all(&pool)
            .await?
            .iter()
            .map(account)
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
