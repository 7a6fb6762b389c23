//! Browser keys: short-lived, each lent by an API key, by their hashes.

use sqlx::Row;

use super::db::{Store, StoreError, optional_ms};
use super::keys::Owner;
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::KeyHash;

/// One that is to be.
#[derive(Debug, Clone)]
pub struct NewBrowserKey {
    pub id: String,
    pub lender: KeyId,
    /// JSON
    pub terms: String,
    /// JSON
    pub session: Option<String>,
    pub created: Timestamp,
    pub expires: Timestamp,
}

/// A browser key as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentKey {
    pub id: KeyId,
    /// JSON
    pub terms: String,
    /// JSON
    pub session: Option<String>,
    pub expires: Timestamp,
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn lend_key(&self, new: NewBrowserKey, hash: KeyHash) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query(
                "INSERT INTO browser_keys \
                 (id, hash, key_id, terms, session, created_ms, expires_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&new.id)
            .bind(hash.to_hex())
            .bind(new.lender.as_str())
            .bind(&new.terms)
            .bind(&new.session)
            .bind(new.created.0)
            .bind(new.expires.0)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// Whose key lent a browser key, and what for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn owner_of_lent(
        &self,
        hash: KeyHash,
    ) -> Result<Option<(Owner, LentKey)>, StoreError> {
        self.run(move |pool| async move {
            let row = query(
                "SELECT b.id AS lent_id, b.terms AS lent_terms, b.session, b.expires_ms, \
                 k.id AS key_id, k.family, k.account_id, k.revoked_ms, k.terms, a.plan, \
                 a.limits, a.suspended_ms, m.id AS member_id, m.role \
                 FROM browser_keys b JOIN api_keys k ON k.id = b.key_id \
                 JOIN accounts a ON a.id = k.account_id \
                 LEFT JOIN members m ON m.id = k.member_id WHERE b.hash = $1",
            )
            .bind(hash.to_hex())
            .fetch_optional(&pool)
            .await?;
            row.map(|row| {
                let key: String = row.try_get("key_id")?;
                let family: Option<String> = row.try_get("family")?;
                let owner = Owner {
                    family: KeyId::stored(family.as_deref().unwrap_or(&key)),
                    key: KeyId::stored(&key),
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
                };
                let lent = LentKey {
                    id: KeyId::stored(&row.try_get::<String, _>("lent_id")?),
                    terms: row.try_get("lent_terms")?,
                    session: row.try_get("session")?,
                    expires: Timestamp(row.try_get("expires_ms")?),
                };
                Ok::<_, sqlx::Error>((owner, lent))
            })
            .transpose()
        })
        .await
    }

    /// Forgets those that have expired.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_lent(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let done = query("DELETE FROM browser_keys WHERE expires_ms < $1")
                .bind(now.0)
                .execute(&pool)
                .await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
