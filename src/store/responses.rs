//! Answers of `/v1/responses` that are kept. Every statement names the account: there is no way to
//! another's.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// How far a chain is followed back.
pub const LONGEST_CHAIN: i64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResponse {
    pub account: AccountId,
    /// Whose it is.
    pub user: String,
    pub id: String,
    pub previous: Option<String>,
    pub status: String,
    pub background: bool,
    pub created: Timestamp,
    /// Until then whoever works on it is taken to be alive.
    pub lease: Timestamp,
    pub expires: Timestamp,
    /// The items of this turn alone: a JSON array.
    pub input: String,
    /// The answer as the caller saw it: a JSON object.
    pub body: String,
}

/// One turn of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainTurn {
    pub status: String,
    pub input: String,
    pub body: String,
}

/// Who reads kept answers: one user of an account, or its runner, who sees all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseViewer(pub(super) String);

impl ResponseViewer {
    #[must_use]
    pub fn one(user: &str) -> Self {
        Self(user.to_owned())
    }

    #[must_use]
    pub fn all() -> Self {
        Self(String::new())
    }
}

fn kept(row: &AnyRow) -> Result<KeptResponse, sqlx::Error> {
    Ok(KeptResponse {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        user: row.try_get("user_id")?,
        id: row.try_get("id")?,
        previous: row.try_get("previous_id")?,
        status: row.try_get("status")?,
        background: row.try_get::<i64, _>("background")? != 0,
        created: Timestamp(row.try_get("created_ms")?),
        lease: Timestamp(row.try_get("lease_ms")?),
        expires: Timestamp(row.try_get("expires_ms")?),
        input: row.try_get("input")?,
        body: row.try_get("body")?,
    })
}

async fn index_items(
    connection: &mut AnyConnection,
    account: &AccountId,
    response: &str,
    items: &[String],
) -> Result<(), sqlx::Error> {
    for item in items {
        query(
            "INSERT INTO response_items (account_id, id, response_id) VALUES ($1, $2, $3) \
             ON CONFLICT (account_id, id) DO UPDATE SET response_id = excluded.response_id",
        )
        .bind(account.as_str())
        .bind(item)
        .bind(response)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Keeps an answer and the ids of its items. `false` when the account has one of that id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_response(
        &self,
        new: KeptResponse,
        items: Vec<String>,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "INSERT INTO responses (account_id, id, previous_id, status, background, \
                 created_ms, lease_ms, expires_ms, input, body, user_id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
            )
            .bind(new.account.as_str())
            .bind(&new.id)
            .bind(&new.previous)
            .bind(&new.status)
            .bind(i64::from(new.background))
            .bind(new.created.0)
            .bind(new.lease.0)
            .bind(new.expires.0)
            .bind(&new.input)
            .bind(&new.body)
            .bind(&new.user)
            .execute(&mut *transaction)
            .await?;
            let fresh = done.rows_affected() > 0;
            if fresh {
                index_items(&mut transaction, &new.account, &new.id, &items).await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(fresh)
        })
        .await
    }

    /// Writes down how an answer under way ended. `false` when it had ended already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn finish_response(
        &self,
        account: AccountId,
        id: String,
        status: String,
        body: String,
        items: Vec<String>,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "UPDATE responses SET status = $1, body = $2 WHERE account_id = $3 AND id = $4 \
                 AND status IN ('queued', 'in_progress')",
            )
            .bind(&status)
            .bind(&body)
            .bind(account.as_str())
            .bind(&id)
            .execute(&mut *transaction)
            .await?;
            let first = done.rows_affected() > 0;
            if first {
                index_items(&mut transaction, &account, &id, &items).await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(first)
        })
        .await
    }

    /// Tells that work on an answer goes on. `false` when it has been ended meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_response(
        &self,
        account: AccountId,
        id: String,
        lease: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let done = query(
                "UPDATE responses SET lease_ms = $1 WHERE account_id = $2 AND id = $3 \
                 AND status IN ('queued', 'in_progress')",
            )
            .bind(lease.0)
            .bind(account.as_str())
            .bind(&id)
            .execute(&pool)
            .await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn response(
        &self,
        account: AccountId,
        seer: ResponseViewer,
        id: String,
        now: Timestamp,
    ) -> Result<Option<KeptResponse>, StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT account_id, user_id, id, previous_id, status, background, created_ms, \
                 lease_ms, expires_ms, input, body FROM responses \
                 WHERE account_id = $1 AND id = $2 AND expires_ms > $3 \
                 AND ($4 = '' OR user_id = $4)",
            )
            .bind(account.as_str())
            .bind(id)
            .bind(now.0)
            .bind(seer.0)
            .fetch_optional(&pool)
            .await?;
            row.as_ref().map(kept).transpose()
        })
        .await
    }

    /// An answer and all before it, oldest first, in one query however long the chain. Empty when
    /// there is no such answer; it ends early where an older one was deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn response_chain(
        &self,
        account: AccountId,
        seer: ResponseViewer,
        id: String,
        now: Timestamp,
    ) -> Result<Vec<ChainTurn>, StoreError> {
        self.run(|pool| async move {
            query(
                "WITH RECURSIVE chain (id, previous_id, status, input, body, depth) AS ( \
                   SELECT id, previous_id, status, input, body, CAST(0 AS BIGINT) FROM responses \
                   WHERE account_id = $1 AND id = $2 AND expires_ms > $3 \
                   AND ($5 = '' OR user_id = $5) \
                   UNION ALL \
                   SELECT r.id, r.previous_id, r.status, r.input, r.body, chain.depth + 1 \
                   FROM chain JOIN responses r ON r.account_id = $1 AND r.id = chain.previous_id \
                   WHERE chain.depth < $4 \
                 ) SELECT status, input, body FROM chain ORDER BY depth DESC",
            )
            .bind(account.as_str())
            .bind(id)
            .bind(now.0)
            .bind(LONGEST_CHAIN)
            .bind(seer.0)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(ChainTurn {
                    status: row.try_get("status")?,
                    input: row.try_get("input")?,
                    body: row.try_get("body")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// The answer that an item of that id stands in, while it is kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn response_of_item(
        &self,
        account: AccountId,
        seer: ResponseViewer,
        item: String,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT r.body FROM response_items i JOIN responses r \
                 ON r.account_id = i.account_id AND r.id = i.response_id \
                 WHERE i.account_id = $1 AND i.id = $2 \
                 AND ($3 = '' OR r.user_id = $3) AND r.expires_ms > $4",
            )
            .bind(account.as_str())
            .bind(item)
            .bind(seer.0)
            .bind(now.0)
            .fetch_optional(&pool)
            .await?;
            row.map(|row| row.try_get::<String, _>("body")).transpose()
        })
        .await
    }

    /// Deletes an answer for good. `false` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_response(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query("DELETE FROM response_items WHERE account_id = $1 AND response_id = $2")
                .bind(account.as_str())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            let done = query("DELETE FROM responses WHERE account_id = $1 AND id = $2")
                .bind(account.as_str())
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }

    /// Deletes what is past its time; how many answers that were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_responses(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "DELETE FROM response_items WHERE EXISTS (SELECT 1 FROM responses r \
                 WHERE r.account_id = response_items.account_id \
                 AND r.id = response_items.response_id AND r.expires_ms <= $1)",
            )
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            let done = query("DELETE FROM responses WHERE expires_ms <= $1")
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
