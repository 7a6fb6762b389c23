//! Who is signed in: with a cookie, which is known by its hash, or with tokens.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::db::{Store, StoreError, begin, optional_ms};
use super::signins::{Browser, EndedSignIns, SignIn, end_of_person, note_seen};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::secret::KeyHash;

/// A sign-in, of a browser or a program: for whom it is, and in which of their accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The sign-in's id.
    pub id: String,
    pub account: AccountId,
    pub account_name: String,
    pub member: String,
    pub person: String,
    pub email: String,
    /// Empty = they gave none.
    pub name: String,
    pub role: String,
    /// In how many accounts the person is.
    pub accounts: i64,
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

const SESSION: &str = "SELECT s.id, s.account_id, a.name AS account_name, s.member_id, m.role, \
                       p.id AS person_id, p.email, p.name AS person_name, p.verified_ms, p.totp, \
                       CAST((SELECT COUNT(*) FROM members x WHERE x.person_id = p.id) AS BIGINT) AS accounts, \
                       s.created_ms, s.expires_ms, s.seen_ms, s.proved_ms, s.address, s.agent \
                       FROM signins s JOIN members m ON m.id = s.member_id \
                       JOIN people p ON p.id = m.person_id JOIN accounts a ON a.id = s.account_id";

fn session(row: &AnyRow) -> Result<SignedIn, sqlx::Error> {
    Ok(SignedIn {
        id: row.try_get("id")?,
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        account_name: row.try_get("account_name")?,
        member: row.try_get("member_id")?,
        person: row.try_get("person_id")?,
        email: row.try_get("email")?,
        name: row.try_get("person_name")?,
        accounts: row.try_get("accounts")?,
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
            let mut transaction = begin(&pool).await?;
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
            .execute(&mut *transaction)
            .await?;
            note_seen(&mut transaction, &signin.id, signin.created).await?;
            transaction.commit().await
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
    ) -> Result<Option<SignedIn>, StoreError> {
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

    /// A sign-in by its id, while it lasts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signed_in(
        &self,
        id: String,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, StoreError> {
        self.run(move |pool| async move {
            let text = format!("{SESSION} WHERE s.id = $1 AND s.expires_ms > $2");
            let row =
                query(sqlx::AssertSqlSafe(text)).bind(id).bind(now.0).fetch_optional(&pool).await?;
            row.as_ref().map(session).transpose()
        })
        .await
    }

    /// Everything that a person is signed in with, in whichever account, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sessions(
        &self,
        person: String,
        now: Timestamp,
    ) -> Result<Vec<SignedIn>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "{SESSION} WHERE p.id = $1 AND s.expires_ms > $2 \
                 ORDER BY s.created_ms DESC, s.id DESC LIMIT 100"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(person)
                .bind(now.0)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(session)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Has a browser's sign-in be in another account, as another member of the same person. `false` when
    /// it has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn switch_session(
        &self,
        id: String,
        account: AccountId,
        member: String,
    ) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let switched = query(
                "UPDATE signins SET account_id = $2, member_id = $3 WHERE id = $1 \
                 AND cookie_hash IS NOT NULL RETURNING seen_ms",
            )
            .bind(&id)
            .bind(account.as_str())
            .bind(member)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some(row) = &switched {
                note_seen(&mut transaction, &id, Timestamp(row.try_get("seen_ms")?)).await?;
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(switched.is_some())
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
            let mut transaction = begin(&pool).await?;
            query("UPDATE signins SET seen_ms = $2, expires_ms = $3 WHERE id = $1")
                .bind(&id)
                .bind(seen.0)
                .bind(expires.0)
                .execute(&mut *transaction)
                .await?;
            note_seen(&mut transaction, &id, seen).await?;
            transaction.commit().await
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

    /// Ends what a person is signed in with. Of which accounts it was, each as often as it was of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_sessions(
        &self,
        person: String,
        which: EndedSignIns,
    ) -> Result<Vec<AccountId>, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let ended = end_of_person(&mut transaction, &person, &which).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(ended)
        })
        .await
    }
}
