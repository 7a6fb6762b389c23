//! Sign-ups that wait for the code which was mailed. Nothing else exists of such people.

use sqlx::Row;

use super::db::{Store, StoreError, begin};
use super::outbox::{NewMail, post};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::secret::KeyHash;

/// Somebody who asked for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub email: String,
    /// An Argon2 hash, in its own notation.
    pub password: String,
    /// Empty = named after the address.
    pub organisation: String,
    pub expires: Timestamp,
}

/// What checking the code of a sign-up came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeCheck {
    /// It is the code; it cannot be used again.
    Right(Pending),
    Wrong,
    /// There is nothing to try: it has expired, was used, or was guessed at too often.
    Gone,
}

impl Store {
    /// Writes a sign-up down, in the place of an earlier one of the same address, with the mail that
    /// tells its code.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_pending(
        &self,
        pending: Pending,
        code: KeyHash,
        mail: NewMail,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO pending_signups (email, password, organisation, code, tries, \
                 expires_ms) VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (email) DO UPDATE SET \
                 password = excluded.password, organisation = excluded.organisation, \
                 code = excluded.code, tries = 0, expires_ms = excluded.expires_ms",
            )
            .bind(&pending.email)
            .bind(&pending.password)
            .bind(&pending.organisation)
            .bind(code.to_hex())
            .bind(pending.expires.0)
            .execute(&mut *transaction)
            .await?;
            post(&mut transaction, &mail).await?;
            transaction.commit().await
        })
        .await
    }

    /// Gives a sign-up another code, with the mail that tells it. `false` when there is no such
    /// sign-up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_pending(
        &self,
        email: String,
        code: KeyHash,
        mail: NewMail,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query(
                "UPDATE pending_signups SET code = $2, tries = 0 WHERE email = $1 \
                 AND expires_ms > $3",
            )
            .bind(email)
            .bind(code.to_hex())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            let known = done.rows_affected() > 0;
            if known {
                post(&mut transaction, &mail).await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(known)
        })
        .await
    }

    /// Tries a code, of which so many may be wrong.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn try_code(
        &self,
        email: String,
        code: KeyHash,
        most: i64,
        now: Timestamp,
    ) -> Result<CodeCheck, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            // Counted before it is compared: of many that come at once none is left out.
            let row = query(
                "UPDATE pending_signups SET tries = tries + 1 WHERE email = $1 \
                 AND expires_ms > $2 AND tries < $3 \
                 RETURNING password, organisation, code, expires_ms",
            )
            .bind(&email)
            .bind(now.0)
            .bind(most)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else { return Ok(CodeCheck::Gone) };
            let tried = if row.try_get::<String, _>("code")? == code.to_hex() {
                query("DELETE FROM pending_signups WHERE email = $1")
                    .bind(&email)
                    .execute(&mut *transaction)
                    .await?;
                CodeCheck::Right(Pending {
                    email,
                    password: row.try_get("password")?,
                    organisation: row.try_get("organisation")?,
                    expires: Timestamp(row.try_get("expires_ms")?),
                })
            } else {
                CodeCheck::Wrong
            };
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(tried)
        })
        .await
    }

    /// Forgets sign-ups whose code has expired.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_pending(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            query("DELETE FROM pending_signups WHERE expires_ms < $1")
                .bind(now.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected())
        })
        .await
    }
}
