//! Who is signed in, and with what: families of refresh tokens, and the keys that sign.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::keys::Owner;
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::secret::KeyHash;

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    pub id: String,
    pub account: AccountId,
    pub member: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// When its person last proved who they are.
    pub proved: Timestamp,
}

/// Where a browser is, and what it says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    pub address: String,
    pub agent: String,
}

/// Which sign-ins are to end, by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedSignIns {
    One(String),
    AllBut(String),
    All,
}

/// What a refresh token came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    Fresh(SignIn),
    /// It was used before: whoever holds it or its successor has stolen it, so the sign-in, of this
    /// account, is over.
    Stolen(AccountId),
    Unknown,
}

/// What signs access tokens: a PKCS #8 document, maybe sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub id: String,
    pub created: Timestamp,
    pub document: String,
}

/// Ends a sign-in. Whose it was; `None` = it had ended.
async fn end(
    connection: &mut AnyConnection,
    signin: &str,
) -> Result<Option<AccountId>, sqlx::Error> {
    query("DELETE FROM refresh_tokens WHERE signin_id = $1")
        .bind(signin)
        .execute(&mut *connection)
        .await?;
    let done = query("DELETE FROM signins WHERE id = $1 RETURNING account_id")
        .bind(signin)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(done) = done else { return Ok(None) };
    let account = AccountId::stored(&done.try_get::<String, _>("account_id")?);
    changed(connection, Some(&account)).await?;
    Ok(Some(account))
}

/// Ends what a person is signed in with, in whichever account. Of which it was, each as often as it was
/// of it.
pub(super) async fn end_of_person(
    connection: &mut AnyConnection,
    person: &str,
    which: &EndedSignIns,
) -> Result<Vec<AccountId>, sqlx::Error> {
    let (condition, id) = match which {
        EndedSignIns::One(id) => ("id = $2", id.as_str()),
        EndedSignIns::AllBut(id) => ("id <> $2", id.as_str()),
        // No sign-in is called so.
        EndedSignIns::All => ("id <> $2", ""),
    };
    let chosen = format!(
        "SELECT id FROM signins WHERE member_id IN (SELECT id FROM members WHERE person_id = $1) \
         AND {condition}"
    );
    query(sqlx::AssertSqlSafe(format!("DELETE FROM refresh_tokens WHERE signin_id IN ({chosen})")))
        .bind(person)
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let text = format!("DELETE FROM signins WHERE id IN ({chosen}) RETURNING account_id");
    let rows = query(sqlx::AssertSqlSafe(text)).bind(person).bind(id).fetch_all(&mut *connection);
    let mut ended = Vec::new();
    for row in rows.await? {
        ended.push(AccountId::stored(&row.try_get::<String, _>("account_id")?));
    }
    ended.sort();
    for (at, account) in ended.iter().enumerate() {
        if at == 0 || ended.get(at - 1) != Some(account) {
            changed(connection, Some(account)).await?;
        }
    }
    Ok(ended)
}

async fn add_token(
    connection: &mut AnyConnection,
    signin: &str,
    token: KeyHash,
) -> Result<(), sqlx::Error> {
    query("INSERT INTO refresh_tokens (hash, signin_id, used) VALUES ($1, $2, 0)")
        .bind(token.to_hex())
        .bind(signin)
        .execute(connection)
        .await
        .map(|_| ())
}

const OWNER: &str = "m.id AS member_id, m.key_id, m.role, m.account_id, a.plan, a.limits, \
                     a.suspended_ms";

fn owner(row: &AnyRow) -> Result<Owner, sqlx::Error> {
    let member: String = row.try_get("member_id")?;
    let key: Option<String> = row.try_get("key_id")?;
    let key = KeyId::stored(key.as_deref().unwrap_or(&member));
    Ok(Owner {
        family: key.clone(),
        key,
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        plan: row.try_get("plan")?,
        revoked: None,
        suspended: optional_ms(row, "suspended_ms")?.map(Timestamp),
        limits: row.try_get("limits")?,
        terms: None,
        member: Some((member, row.try_get("role")?)),
    })
}

/// Notes of the member of a sign-in that they were here.
pub(super) async fn note_seen(
    connection: &mut AnyConnection,
    signin: &str,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    let text = "UPDATE members SET seen_ms = $2 WHERE seen_ms < $2 \
                AND id = (SELECT member_id FROM signins WHERE id = $1)";
    query(text).bind(signin.to_owned()).bind(at.0).execute(connection).await.map(|_| ())
}

impl Store {
    /// # Errors
    /// When the store fails.
    pub async fn sign_in(
        &self,
        signin: SignIn,
        token: KeyHash,
        browser: Browser,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "INSERT INTO signins (id, account_id, member_id, created_ms, expires_ms, proved_ms, \
                 address, agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&signin.id)
            .bind(signin.account.as_str())
            .bind(&signin.member)
            .bind(signin.created.0)
            .bind(signin.expires.0)
            .bind(signin.proved.0)
            .bind(&browser.address)
            .bind(&browser.agent)
            .execute(&mut *transaction)
            .await?;
            note_seen(&mut transaction, &signin.id, signin.created).await?;
            add_token(&mut transaction, &signin.id, token).await?;
            transaction.commit().await
        })
        .await
    }

    /// Puts a new refresh token in the place of an old one, once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh(
        &self,
        old: KeyHash,
        new: KeyHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let row = query(
                "SELECT s.id, s.account_id, s.member_id, s.created_ms, s.expires_ms, s.proved_ms \
                 FROM refresh_tokens t JOIN signins s ON s.id = t.signin_id WHERE t.hash = $1",
            )
            .bind(old.to_hex())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else { return Ok(Refreshed::Unknown) };
            let signin = SignIn {
                id: row.try_get("id")?,
                account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
                member: row.try_get("member_id")?,
                created: Timestamp(row.try_get("created_ms")?),
                expires: Timestamp(row.try_get("expires_ms")?),
                proved: Timestamp(row.try_get("proved_ms")?),
            };
            if signin.expires <= now {
                end(&mut transaction, &signin.id).await?;
                transaction.commit().await?;
                return Ok(Refreshed::Unknown);
            }
            // Of two that come at once, one finds it used.
            let taken = query("UPDATE refresh_tokens SET used = 1 WHERE hash = $1 AND used = 0")
                .bind(old.to_hex())
                .execute(&mut *transaction)
                .await?;
            if taken.rows_affected() == 0 {
                end(&mut transaction, &signin.id).await?;
                transaction.commit().await?;
                return Ok(Refreshed::Stolen(signin.account));
            }
            add_token(&mut transaction, &signin.id, new).await?;
            query("UPDATE signins SET expires_ms = $1, seen_ms = $3 WHERE id = $2")
                .bind(expires.0)
                .bind(&signin.id)
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            note_seen(&mut transaction, &signin.id, now).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(Refreshed::Fresh(SignIn { expires, ..signin }))
        })
        .await
    }

    /// Ends a sign-in. Whose it was; `None` = it had ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_out(&self, signin: String) -> Result<Option<AccountId>, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = end(&mut transaction, &signin).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done)
        })
        .await
    }

    /// The sign-in that a refresh token belongs to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signin_of(&self, token: KeyHash) -> Result<Option<String>, StoreError> {
        self.run(|pool| async move {
            query("SELECT signin_id FROM refresh_tokens WHERE hash = $1")
                .bind(token.to_hex())
                .fetch_optional(&pool)
                .await?
                .map(|row| row.try_get("signin_id"))
                .transpose()
        })
        .await
    }

    /// Whom a sign-in speaks for, while it lasts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn owner_of_signin(&self, signin: String) -> Result<Option<Owner>, StoreError> {
        self.run(|pool| async move {
            let text = format!(
                "SELECT {OWNER}, s.expires_ms FROM signins s JOIN members m ON m.id = s.member_id \
                 JOIN accounts a ON a.id = m.account_id WHERE s.id = $1"
            );
            let row = query(sqlx::AssertSqlSafe(text)).bind(signin).fetch_optional(&pool).await?;
            row.map(|row| {
                let expires = Timestamp(row.try_get("expires_ms")?);
                Ok::<_, sqlx::Error>(Owner { revoked: Some(expires), ..owner(&row)? })
            })
            .transpose()
        })
        .await
    }

    /// Whom a member's own browser speaks for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn owner_of_member(&self, member: String) -> Result<Option<Owner>, StoreError> {
        self.run(|pool| async move {
            let text = format!(
                "SELECT {OWNER} FROM members m JOIN accounts a ON a.id = m.account_id \
                 WHERE m.id = $1"
            );
            let row = query(sqlx::AssertSqlSafe(text)).bind(member).fetch_optional(&pool).await?;
            row.as_ref().map(owner).transpose()
        })
        .await
    }

    /// The keys that sign, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        self.run(|pool| async move {
            query("SELECT id, created_ms, document FROM signing_keys ORDER BY created_ms DESC")
                .fetch_all(&pool)
                .await?
                .iter()
                .map(|row| {
                    Ok(SigningKey {
                        id: row.try_get("id")?,
                        created: Timestamp(row.try_get("created_ms")?),
                        document: row.try_get("document")?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Adds a key, and drops those from before `oldest`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_signing_key(
        &self,
        key: SigningKey,
        oldest: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query("DELETE FROM signing_keys WHERE created_ms < $1")
                .bind(oldest.0)
                .execute(&mut *transaction)
                .await?;
            query("INSERT INTO signing_keys (id, created_ms, document) VALUES ($1, $2, $3)")
                .bind(&key.id)
                .bind(key.created.0)
                .bind(&key.document)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        })
        .await
    }

    /// Forgets sign-ins that are past their time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep_signins(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            query(
                "DELETE FROM refresh_tokens WHERE signin_id IN \
                 (SELECT id FROM signins WHERE expires_ms < $1)",
            )
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
            let done = query("DELETE FROM signins WHERE expires_ms < $1")
                .bind(now.0)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })
        .await
    }
}
