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
