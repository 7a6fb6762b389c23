//! Second factors: the secret of a person's codes, the last one used, and what stands in for them.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::secret::KeyHash;

/// A person's second factor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Factor {
    /// The secret, sealed; `None` = there is no second factor.
    pub secret: Option<String>,
    /// One that is yet to be confirmed, sealed.
    pub draft: Option<String>,
    /// The step of the last code that was used.
    pub step: i64,
    /// Recovery codes that are left.
    pub codes: i64,
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn factor(&self, person: String) -> Result<Factor, StoreError> {
        self.run(move |pool| async move {
            let row = query(
                "SELECT totp, totp_draft, totp_step, CAST((SELECT COUNT(*) FROM recovery_codes r \
                 WHERE r.person_id = p.id AND r.used_ms IS NULL) AS BIGINT) AS codes \
                 FROM people p WHERE p.id = $1",
            )
            .bind(person)
            .fetch_optional(&pool)
            .await?;
            let Some(row) = row else { return Ok(Factor::default()) };
            Ok::<_, sqlx::Error>(Factor {
                secret: row.try_get("totp")?,
                draft: row.try_get("totp_draft")?,
                step: row.try_get("totp_step")?,
                codes: row.try_get("codes")?,
            })
        })
        .await
    }

    /// Keeps a secret until it is confirmed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn draft_factor(&self, person: String, sealed: String) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("UPDATE people SET totp_draft = $2 WHERE id = $1")
                .bind(person)
                .bind(sealed)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// Makes a draft the second factor, by the code of a step. `false` when it was not the draft any
    /// more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn confirm_factor(
        &self,
        person: String,
        sealed: String,
        step: i64,
        codes: Vec<KeyHash>,
    ) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "UPDATE people SET totp = totp_draft, totp_draft = NULL, totp_step = $3 \
                 WHERE id = $1 AND totp_draft = $2",
            )
            .bind(&person)
            .bind(&sealed)
            .bind(step)
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            query("DELETE FROM recovery_codes WHERE person_id = $1")
                .bind(&person)
                .execute(&mut *transaction)
                .await?;
            for code in codes {
                query("INSERT INTO recovery_codes (person_id, hash) VALUES ($1, $2)")
                    .bind(&person)
                    .bind(code.to_hex())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(true)
        })
        .await
    }

    /// Notes that the code of a step was used. `false` when it, or a later one, was used before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_step(&self, person: String, step: i64) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query("UPDATE people SET totp_step = $2 WHERE id = $1 AND totp_step < $2")
                .bind(person)
                .bind(step)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Uses a recovery code up. `false` when it is none, or was used before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_recovery_code(
        &self,
        person: String,
        code: KeyHash,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query(
                "UPDATE recovery_codes SET used_ms = $3 WHERE person_id = $1 AND hash = $2 \
                 AND used_ms IS NULL",
            )
            .bind(person)
            .bind(code.to_hex())
            .bind(now.0)
            .execute(&pool)
            .await
            .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Takes a person's second factor away. `false` when there is no such person.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_factor(&self, person: String) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query("UPDATE people SET totp = NULL, totp_draft = NULL WHERE id = $1")
                .bind(&person)
                .execute(&mut *transaction)
                .await?;
            query("DELETE FROM recovery_codes WHERE person_id = $1")
                .bind(&person)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }
}
