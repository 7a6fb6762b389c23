//! Links and codes that are good for one use, and forms that are taken once.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError, begin, optional_ms};
use super::outbox::{NewMail, post};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Making the first administrator.
    Setup,
    /// Setting a new password.
    Reset,
    /// Joining an account.
    Invitation,
    /// Saying that an address is theirs.
    Verify,
    /// Having another address.
    Email,
    /// Saying the code of a second factor, after the password.
    Factor,
    /// Coming back from an issuer.
    Oidc,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Reset => "reset",
            Self::Invitation => "invitation",
            Self::Verify => "verify",
            Self::Email => "email",
            Self::Factor => "factor",
            Self::Oidc => "oidc",
        }
    }
}

/// A token, without what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The hash, in hex: its name in lists.
    pub id: String,
    pub account: AccountId,
    /// Whom it is for: a person's id, that of a member who is none, or an address.
    pub subject: String,
    /// JSON
    pub payload: String,
    pub expires: Timestamp,
}

const COLUMNS: &str = "hash, account_id, subject, payload, expires_ms";

fn token(row: &AnyRow) -> Result<Token, sqlx::Error> {
    Ok(Token {
        id: row.try_get("hash")?,
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        subject: row.try_get("subject")?,
        payload: row.try_get("payload")?,
        expires: Timestamp(row.try_get("expires_ms")?),
    })
}

/// Whether a form was sent before. The token in it is taken once, so a second click does nothing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormState {
    /// For the first time: it is to be carried out.
    First,
    /// Before, and it is still being carried out.
    UnderWay,
    /// Before: where it led.
    Before(String),
}

impl Store {
    /// Writes a token down, with the mail that tells of it, if any does.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_token(
        &self,
        purpose: Purpose,
        token: Token,
        mail: Option<NewMail>,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO tokens (hash, kind, account_id, subject, payload, expires_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&token.id)
            .bind(purpose.as_str())
            .bind(token.account.as_str())
            .bind(&token.subject)
            .bind(&token.payload)
            .bind(token.expires.0)
            .execute(&mut *transaction)
            .await?;
            if let Some(mail) = &mail {
                post(&mut transaction, mail).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// Takes back every token of somebody that is for one purpose.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_tokens_of(
        &self,
        purpose: Purpose,
        subject: String,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("DELETE FROM tokens WHERE kind = $1 AND subject = $2")
                .bind(purpose.as_str())
                .bind(subject)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// A token that is still good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token(
        &self,
        purpose: Purpose,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Token>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "SELECT {COLUMNS} FROM tokens WHERE hash = $1 AND kind = $2 AND used_ms IS NULL \
                 AND expires_ms > $3"
            );
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(hash.to_hex())
                .bind(purpose.as_str())
                .bind(now.0)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(token).transpose()
        })
        .await
    }

    /// An invitation as long as it is kept, and whether it was used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invitation(&self, hash: KeyHash) -> Result<Option<(Token, bool)>, StoreError> {
        self.run(move |pool| async move {
            let text =
                format!("SELECT {COLUMNS}, used_ms FROM tokens WHERE hash = $1 AND kind = $2");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(hash.to_hex())
                .bind(Purpose::Invitation.as_str())
                .fetch_optional(&pool)
                .await?;
            let Some(row) = row else { return Ok(None) };
            Ok::<_, sqlx::Error>(Some((token(&row)?, optional_ms(&row, "used_ms")?.is_some())))
        })
        .await
    }

    /// The tokens of an account that are still good, newest last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens(
        &self,
        purpose: Purpose,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<Token>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "SELECT {COLUMNS} FROM tokens WHERE account_id = $1 AND kind = $2 \
                 AND used_ms IS NULL AND expires_ms > $3 ORDER BY expires_ms LIMIT 200"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(purpose.as_str())
                .bind(now.0)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(token)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Uses a token up. `None` when it is not good, or somebody was faster.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn use_token(
        &self,
        purpose: Purpose,
        hash: KeyHash,
        now: Timestamp,
    ) -> Result<Option<Token>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "UPDATE tokens SET used_ms = $3 WHERE hash = $1 AND kind = $2 \
                 AND used_ms IS NULL AND expires_ms > $3 RETURNING {COLUMNS}"
            );
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(hash.to_hex())
                .bind(purpose.as_str())
                .bind(now.0)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(token).transpose()
        })
        .await
    }

    /// Makes a token good again that was used for what then failed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn restore_token(&self, hash: KeyHash) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("UPDATE tokens SET used_ms = NULL WHERE hash = $1")
                .bind(hash.to_hex())
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// Takes a token of an account back, by its name in lists.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_token(&self, account: AccountId, id: String) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query("DELETE FROM tokens WHERE account_id = $1 AND hash = $2")
                .bind(account.as_str())
                .bind(id)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Takes a form, if it is the first time that it is sent.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_form(
        &self,
        id: String,
        account: String,
        expires: Timestamp,
    ) -> Result<FormState, StoreError> {
        self.run(move |pool| async move {
            let taken = query(
                "INSERT INTO form_once (id, account_id, expires_ms) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(&id)
            .bind(&account)
            .bind(expires.0)
            .execute(&pool)
            .await?;
            if taken.rows_affected() > 0 {
                return Ok(FormState::First);
            }
            let row = query("SELECT result FROM form_once WHERE id = $1 AND account_id = $2")
                .bind(&id)
                .bind(&account)
                .fetch_optional(&pool)
                .await?;
            let result = row.map(|row| row.try_get::<Option<String>, _>("result")).transpose()?;
            Ok::<_, sqlx::Error>(result.flatten().map_or(FormState::UnderWay, FormState::Before))
        })
        .await
    }

    /// Says where a form led; `None` = nothing was done, and it may be sent again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_form(&self, id: String, result: Option<String>) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let settling = match &result {
                Some(result) => {
                    query("UPDATE form_once SET result = $2 WHERE id = $1").bind(&id).bind(result)
                }
                None => query("DELETE FROM form_once WHERE id = $1").bind(&id),
            };
            settling.execute(&pool).await.map(|_| ())
        })
        .await
    }

    /// Forgets what nobody can use or send any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_tokens(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let mut swept = 0;
            for table in ["form_once", "tokens"] {
                let text = format!("DELETE FROM {table} WHERE expires_ms < $1");
                let done = query(sqlx::AssertSqlSafe(text)).bind(now.0).execute(&pool).await?;
                swept += done.rows_affected();
            }
            Ok::<_, sqlx::Error>(swept)
        })
        .await
    }
}
