//! The people of an account. A person with a password can sign in; the books know them by a key's
//! id alone.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};

/// A person of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub account: AccountId,
    pub email: String,
    pub role: String,
    pub created: Timestamp,
    /// What the books call them.
    pub key: KeyId,
    /// An Argon2 hash, in its own notation; `None` = cannot sign in.
    pub password: Option<String>,
    /// When they proved that the address is theirs.
    pub verified: Option<Timestamp>,
    /// They sign in with a code, too.
    pub has_factor: bool,
}

const COLUMNS: &str =
    "id, account_id, email, role, created_ms, key_id, password, totp, verified_ms";

fn member(row: &AnyRow) -> Result<Member, sqlx::Error> {
    let id: String = row.try_get("id")?;
    let key: Option<String> = row.try_get("key_id")?;
    Ok(Member {
        account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
        email: row.try_get("email")?,
        role: row.try_get("role")?,
        created: Timestamp(row.try_get("created_ms")?),
        // Those from before members could sign in have none, and will never be charged.
        key: KeyId::stored(key.as_deref().unwrap_or(&id)),
        password: row.try_get("password")?,
        verified: optional_ms(row, "verified_ms")?.map(Timestamp),
        has_factor: row.try_get::<Option<String>, _>("totp")?.is_some(),
        id,
    })
}

impl Store {
    /// # Errors
    /// [`StoreError::Taken`] when the account has a member of that address, or somebody signs in
    /// with it.
    pub async fn add_member(&self, member: Member) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let done = query(
                "INSERT INTO members (id, account_id, email, role, created_ms, key_id, password) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&member.id)
            .bind(member.account.as_str())
            .bind(&member.email)
            .bind(&member.role)
            .bind(member.created.0)
            .bind(member.key.as_str())
            .bind(&member.password)
            .execute(&pool)
            .await;
            match done {
                Err(sqlx::Error::Database(why)) if why.is_unique_violation() => {
                    Err(StoreError::Taken(member.email.clone()))
                }
                other => other.map(|_| ()).map_err(StoreError::from),
            }
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn members(&self, account: AccountId) -> Result<Vec<Member>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} FROM members WHERE account_id = $1 ORDER BY id");
            query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .fetch_all(&pool)
                .await?
                .iter()
                .map(member)
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Whoever signs in with an address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_of_email(&self, email: String) -> Result<Option<Member>, StoreError> {
        self.run(|pool| async move {
            let text =
                format!("SELECT {COLUMNS} FROM members WHERE email = $1 AND password IS NOT NULL");
            let row = query(sqlx::AssertSqlSafe(text)).bind(email).fetch_optional(&pool).await?;
            row.as_ref().map(member).transpose()
        })
        .await
    }

    /// Whether anybody has a role, in whichever account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_member_of_role(&self, role: &str) -> Result<bool, StoreError> {
        let role = role.to_owned();
        self.run(|pool| async move {
            let row = query("SELECT id FROM members WHERE role = $1 LIMIT 1")
                .bind(role)
                .fetch_optional(&pool)
                .await?;
            Ok::<_, sqlx::Error>(row.is_some())
        })
        .await
    }

    /// Gives a member another role. `false` when the account has no such member.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_role(
        &self,
        account: AccountId,
        id: String,
        role: String,
    ) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query("UPDATE members SET role = $1 WHERE account_id = $2 AND id = $3")
                .bind(role)
                .bind(account.as_str())
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            changed(&mut transaction, Some(&account)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected() > 0)
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn member(
        &self,
        account: AccountId,
        id: String,
    ) -> Result<Option<Member>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} FROM members WHERE account_id = $1 AND id = $2");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(member).transpose()
        })
        .await
    }

    /// Gives a member another password, and ends all that was signed in with the old one.
    ///
    /// # Errors
    /// When the store fails; [`StoreError::Taken`] when somebody else signs in with the address.
    pub async fn set_password(&self, member: Member, password: String) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query("UPDATE members SET password = $1 WHERE account_id = $2 AND id = $3")
                .bind(password)
                .bind(member.account.as_str())
                .bind(&member.id)
                .execute(&mut *transaction)
                .await;
            match done {
                Err(sqlx::Error::Database(why)) if why.is_unique_violation() => {
                    return Err(StoreError::Taken(member.email.clone()));
                }
                other => other?,
            };
            query(
                "DELETE FROM refresh_tokens WHERE signin_id IN \
                 (SELECT id FROM signins WHERE member_id = $1)",
            )
            .bind(&member.id)
            .execute(&mut *transaction)
            .await?;
            query("DELETE FROM signins WHERE member_id = $1")
                .bind(&member.id)
                .execute(&mut *transaction)
                .await?;
            changed(&mut transaction, Some(&member.account)).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}
