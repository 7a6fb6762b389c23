//! Browsers that are signed in: a cookie each, known by its hash.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::signins::SignIn;
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;

/// Where a browser is, and what it says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    pub address: String,
    pub agent: String,
}

/// A browser that is signed in, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserSession {
    /// The sign-in's id.
    pub id: String,
    pub account: AccountId,
    pub account_name: String,
    pub member: String,
    pub email: String,
    pub role: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub seen: Timestamp,
    /// When the person last proved who they are.
    pub proved: Timestamp,
    /// The address is theirs.
    pub verified: bool,
    pub has_factor: bool,
    pub browser: Browser,
}

const SESSION: &str = "SELECT s.id, s.account_id, a.name AS account_name, s.member_id, m.email, \
                       m.role, m.verified_ms, m.totp, s.created_ms, s.expires_ms, s.seen_ms, s.proved_ms, s.address, \
                       s.agent FROM signins s JOIN members m ON m.id = s.member_id \
                       JOIN accounts a ON a.id = s.account_id";

fn session(row: &AnyRow) -> Result<BrowserSession, sqlx::Error> {
    Ok(BrowserSession {
        id: row.try_get("id")?,
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        account_name: row.try_get("account_name")?,
        member: row.try_get("member_id")?,
        email: row.try_get("email")?,
        role: row.try_get("role")?,
        created: Timestamp(row.try_get("created_ms")?),
        expires: Timestamp(row.try_get("expires_ms")?),
        seen: Timestamp(row.try_get("seen_ms")?),
        proved: Timestamp(row.try_get("proved_ms")?),
        has_factor: row.try_get::<Option<String>, _>("totp")?.is_some(),
        verified: optional_ms(row, "verified_ms")?.is_some(),
        browser: Browser { address: row.try_get("address")?, agent: row.try_get("agent")? },
    })
}

impl Store {
    /// Signs a browser in, whose person has just proved who they are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_session(
        &self,
        signin: SignIn,
        cookie: KeyHash,
        browser: Browser,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            query(
                "INSERT INTO signins (id, account_id, member_id, created_ms, expires_ms, \
                 cookie_hash, seen_ms, proved_ms, address, agent) \
                 VALUES ($1, $2, $3, $4, $5, $6, $4, $4, $7, $8)",
            )
            .bind(&signin.id)
            .bind(signin.account.as_str())
            .bind(&signin.member)
            .bind(signin.created.0)
            .bind(signin.expires.0)
            .bind(cookie.to_hex())
            .bind(&browser.address)
            .bind(&browser.agent)
            .execute(&pool)
            .await
            .map(|_| ())
        })
        .await
    }

    /// The session of a cookie, while it lasts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn session(
        &self,
        cookie: KeyHash,
        now: Timestamp,
    ) -> Result<Option<BrowserSession>, StoreError> {
        self.run(move |pool| async move {
            let text = format!("{SESSION} WHERE s.cookie_hash = $1 AND s.expires_ms > $2");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(cookie.to_hex())
                .bind(now.0)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(session).transpose()
        })
        .await
    }

    /// Everything that a member is signed in with, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(
        &self,
        account: AccountId,
        member: String,
        now: Timestamp,
    ) -> Result<Vec<BrowserSession>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "{SESSION} WHERE s.account_id = $1 AND s.member_id = $2 AND s.expires_ms > $3 \
                 ORDER BY s.created_ms DESC LIMIT 100"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(member)
                .bind(now.0)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(session)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Notes that a session was used, and until when it is good now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn touch_session(
        &self,
        id: String,
        seen: Timestamp,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("UPDATE signins SET seen_ms = $2, expires_ms = $3 WHERE id = $1")
                .bind(id)
                .bind(seen.0)
                .bind(expires.0)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// Notes that a session's person has proved who they are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prove_session(&self, id: String, at: Timestamp) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("UPDATE signins SET proved_ms = $2 WHERE id = $1")
                .bind(id)
                .bind(at.0)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }

    /// Ends what a member is signed in with: one of them, or all but one. How many ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_sessions(
        &self,
        account: AccountId,
        member: String,
        which: Ending,
    ) -> Result<u64, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let (condition, id) = match &which {
                Ending::One(id) => ("id = $3", id),
                Ending::AllBut(id) => ("id <> $3", id),
            };
            let chosen = format!(
                "SELECT id FROM signins WHERE account_id = $1 AND member_id = $2 AND {condition}"
            );
            let mut ended = 0;
            for text in [
                format!("DELETE FROM refresh_tokens WHERE signin_id IN ({chosen})"),
                format!("DELETE FROM signins WHERE id IN ({chosen})"),
            ] {
                let done = query(sqlx::AssertSqlSafe(text))
                    .bind(account.as_str())
                    .bind(&member)
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
                ended = done.rows_affected();
            }
            if ended > 0 {
                changed(&mut transaction, Some(&account)).await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(ended)
        })
        .await
    }
}

/// Which sign-ins are to end, by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    One(String),
    AllBut(String),
}
