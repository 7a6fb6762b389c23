//! API keys, by their hashes.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::KeyHash;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub account: AccountId,
    pub name: String,
    pub hint: String,
    pub created: Timestamp,
    pub revoked: Option<Timestamp>,
    /// What it may do, as JSON.
    pub terms: Option<String>,
    /// Whom it speaks for; `None` = the account as a whole.
    pub member: Option<String>,
    /// The oldest key of its chain of rotations; itself, if it was never rotated.
    pub family: KeyId,
}

/// Whom a key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub key: KeyId,
    /// Whose limits the key shares: see [`Key::family`].
    pub family: KeyId,
    pub account: AccountId,
    pub plan: String,
    pub revoked: Option<Timestamp>,
    pub suspended: Option<Timestamp>,
    /// The account's own limits, as JSON.
    pub limits: Option<String>,
    /// The key's terms, as JSON.
    pub terms: Option<String>,
    /// The member it speaks for, and their role.
    pub member: Option<(String, String)>,
}

fn key(row: &AnyRow) -> Result<Key, sqlx::Error> {
    Ok(Key {
        family: family(row, "id")?,
        id: KeyId::stored(&row.try_get::<String, _>("id")?),
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        name: row.try_get("name")?,
        hint: row.try_get("hint")?,
        created: Timestamp(row.try_get("created_ms")?),
        revoked: optional_ms(row, "revoked_ms")?.map(Timestamp),
        terms: row.try_get("terms")?,
        member: row.try_get("member_id")?,
    })
}

/// Its family, or what it is itself.
fn family(row: &AnyRow, own: &str) -> Result<KeyId, sqlx::Error> {
    let family: Option<String> = row.try_get("family")?;
    Ok(KeyId::stored(&family.map_or_else(|| row.try_get(own), Ok)?))
}

const COLUMNS: &str =
    "id, account_id, name, hint, created_ms, revoked_ms, terms, member_id, family";

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn create_key(&self, key: Key, hash: KeyHash) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO api_keys \
                 (id, account_id, name, hash, hint, created_ms, terms, member_id, family) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(key.id.as_str())
            .bind(key.account.as_str())
            .bind(&key.name)
            .bind(hash.to_hex())
            .bind(&key.hint)
            .bind(key.created.0)
            .bind(&key.terms)
            .bind(&key.member)
            .bind((key.family != key.id).then(|| key.family.as_str()))
            .execute(&mut *transaction)
            .await?;
            changed(&mut transaction, Some(&key.account)).await?;
            transaction.commit().await
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn owner(&self, hash: KeyHash) -> Result<Option<Owner>, StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT k.id AS key_id, k.family, k.account_id, k.revoked_ms, k.terms, a.plan, \
                 a.limits, a.suspended_ms, m.id AS member_id, m.role \
                 FROM api_keys k JOIN accounts a ON a.id = k.account_id \
                 LEFT JOIN members m ON m.id = k.member_id WHERE k.hash = $1",
            )
            .bind(hash.to_hex())
            .fetch_optional(&pool)
            .await?;
            row.map(|row| {
                Ok::<_, sqlx::Error>(Owner {
                    family: family(&row, "key_id")?,
                    key: KeyId::stored(&row.try_get::<String, _>("key_id")?),
                    account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
                    plan: row.try_get("plan")?,
                    revoked: optional_ms(&row, "revoked_ms")?.map(Timestamp),
                    suspended: optional_ms(&row, "suspended_ms")?.map(Timestamp),
                    limits: row.try_get("limits")?,
                    terms: row.try_get("terms")?,
                    member: match row.try_get::<Option<String>, _>("member_id")? {
                        Some(member) => Some((member, row.try_get("role")?)),
                        None => None,
                    },
                })
            })
            .transpose()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn keys(&self, account: Option<AccountId>) -> Result<Vec<Key>, StoreError> {
        self.run(|pool| async move {
            let all = match account {
                Some(account) => {
                    let text =
                        format!("SELECT {COLUMNS} FROM api_keys WHERE account_id = $1 ORDER BY id");
                    query(AssertSqlSafe(text)).bind(account.as_str()).fetch_all(&pool).await?
                }
                None => {
                    let text = format!("SELECT {COLUMNS} FROM api_keys ORDER BY id");
                    query(AssertSqlSafe(text)).fetch_all(&pool).await?
                }
            };
            all.iter().map(key).collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn key(&self, id: KeyId) -> Result<Option<Key>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1");
            let row = query(AssertSqlSafe(text)).bind(id.as_str()).fetch_optional(&pool).await?;
            row.as_ref().map(key).transpose()
        })
        .await
    }

    /// Refuses the key from `at` on. `false` when there is no such key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke_key(&self, id: KeyId, at: Timestamp) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done =
                query("UPDATE api_keys SET revoked_ms = $1 WHERE id = $2 RETURNING account_id")
                    .bind(at.0)
                    .bind(id.as_str())
                    .fetch_optional(&mut *transaction)
                    .await?;
            let Some(done) = done else { return Ok(false) };
            let account = AccountId::stored(&done.try_get::<String, _>("account_id")?);
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }

    /// Gives a key another name and other terms (JSON). `false` when there is no such key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename_key(
        &self,
        id: KeyId,
        name: String,
        terms: Option<String>,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "UPDATE api_keys SET terms = $1, name = $2 WHERE id = $3 RETURNING account_id",
            )
            .bind(terms)
            .bind(name)
            .bind(id.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(done) = done else { return Ok(false) };
            let account = AccountId::stored(&done.try_get::<String, _>("account_id")?);
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }

    /// When each key of an account was last used, to the minute.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_uses(
        &self,
        account: AccountId,
    ) -> Result<HashMap<KeyId, Timestamp>, StoreError> {
        self.run(|pool| async move {
            let rows = query(
                "SELECT k.id, (SELECT MAX(u.minute_ms) FROM usage_minutes u WHERE u.key_id = k.id) \
                 AS used_ms FROM api_keys k WHERE k.account_id = $1",
            )
            .bind(account.as_str())
            .fetch_all(&pool)
            .await?;
            let used = rows.iter().filter_map(|row| {
                let read = || {
                    let id: String = row.try_get("id")?;
                    let used: Option<i64> = row.try_get("used_ms")?;
                    Ok::<_, sqlx::Error>(used.map(|used| (KeyId::stored(&id), Timestamp(used))))
                };
                read().transpose()
            });
            used.collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Gives a key other terms (JSON). `false` when there is no such key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_key(&self, id: KeyId, terms: Option<String>) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query("UPDATE api_keys SET terms = $1 WHERE id = $2 RETURNING account_id")
                .bind(terms)
                .bind(id.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
            let Some(done) = done else { return Ok(false) };
            let account = AccountId::stored(&done.try_get::<String, _>("account_id")?);
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }
}
