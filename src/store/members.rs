//! Members: people in an account, and those who are listed there and cannot sign in. The books know them
//! by a key's id alone.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::people::{self, PersonRow};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};

/// Somebody in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    pub account: AccountId,
    /// That of the person, where there is one.
    pub email: String,
    pub role: String,
    pub created: Timestamp,
    /// What the books call them.
    pub key: KeyId,
    /// Who they are; `None` = somebody who cannot sign in.
    pub person: Option<String>,
    /// The person's name; empty = they gave none.
    pub name: String,
    /// They sign in with a code, too.
    pub has_factor: bool,
}

/// A person in one of their accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: Member,
    pub account_name: String,
    pub suspended: bool,
}

/// Whether a member was taken out of an account or changed. One owner has to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveResult {
    Done,
    /// There is no such member.
    Nobody,
    /// Nothing was done: nobody would be left who runs the account.
    LastOwner,
}

const COLUMNS: &str = "m.id, m.account_id, m.email, m.role, m.created_ms, m.key_id, \
                                  m.person_id, p.name AS person_name, p.totp";
const FROM: &str = "FROM members m LEFT JOIN people p ON p.id = m.person_id";

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
        person: row.try_get("person_id")?,
        name: row.try_get::<Option<String>, _>("person_name")?.unwrap_or_default(),
        has_factor: row.try_get::<Option<String>, _>("totp")?.is_some(),
        id,
    })
}

/// Whether somebody who signs in runs the account. To be asked after [`changed`], which lets no other
/// change of members in between.
pub(super) async fn is_run(
    connection: &mut AnyConnection,
    account: &AccountId,
) -> Result<bool, sqlx::Error> {
    let row = query(
        "SELECT id FROM members WHERE account_id = $1 AND role IN ('owner', 'admin') \
         AND person_id IS NOT NULL LIMIT 1",
    )
    .bind(account.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

impl Store {
    /// Adds a member; and the person who they are, if that is somebody new.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the account has a member of that address, or somebody signs in
    /// with it.
    pub async fn add_member(
        &self,
        member: Member,
        person: Option<PersonRow>,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            if let Some(person) = &person {
                people::add(&mut transaction, person).await?;
            }
            let done = query(
                "INSERT INTO members (id, account_id, email, role, created_ms, key_id, person_id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&member.id)
            .bind(member.account.as_str())
            .bind(&member.email)
            .bind(&member.role)
            .bind(member.created.0)
            .bind(member.key.as_str())
            .bind(&member.person)
            .execute(&mut *transaction)
            .await;
            people::taken(done.map(|_| ()), &member.email)?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn members(&self, account: AccountId) -> Result<Vec<Member>, StoreError> {
        self.run(|pool| async move {
            let text = format!("SELECT {COLUMNS} {FROM} WHERE m.account_id = $1 ORDER BY m.id");
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

    /// When each member of an account was last seen, of those that ever were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_seen(
        &self,
        account: AccountId,
    ) -> Result<HashMap<String, Timestamp>, StoreError> {
        self.run(|pool| async move {
            query("SELECT id, seen_ms FROM members WHERE account_id = $1 AND seen_ms > 0")
                .bind(account.as_str())
                .fetch_all(&pool)
                .await?
                .iter()
                .map(|row| Ok((row.try_get("id")?, Timestamp(row.try_get("seen_ms")?))))
                .collect::<Result<_, sqlx::Error>>()
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

    /// Gives a member another role, unless nobody would be left who runs the account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_role(
        &self,
        account: AccountId,
        id: String,
        role: String,
    ) -> Result<LeaveResult, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            changed(&mut transaction, Some(&account)).await?;
            let done = query("UPDATE members SET role = $1 WHERE account_id = $2 AND id = $3")
                .bind(role)
                .bind(account.as_str())
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Ok(LeaveResult::Nobody);
            }
            if !is_run(&mut transaction, &account).await? {
                return Ok(LeaveResult::LastOwner);
            }
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(LeaveResult::Done)
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
            let text = format!("SELECT {COLUMNS} {FROM} WHERE m.account_id = $1 AND m.id = $2");
            let row = query(sqlx::AssertSqlSafe(text))
                .bind(account.as_str())
                .bind(id)
                .fetch_optional(&pool)
                .await?;
            row.as_ref().map(member).transpose()
        })
        .await
    }

    /// The accounts that a person is in: those that are suspended last, else the one that they signed in
    /// to last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memberships(&self, person: String) -> Result<Vec<Membership>, StoreError> {
        self.run(move |pool| async move {
            let text = format!(
                "SELECT {COLUMNS}, a.name AS account_name, a.suspended_ms FROM members m \
                 LEFT JOIN people p ON p.id = m.person_id JOIN accounts a ON a.id = m.account_id \
                 WHERE m.person_id = $1 ORDER BY CASE WHEN a.suspended_ms IS NULL THEN 0 ELSE 1 END, \
                 COALESCE((SELECT MAX(s.created_ms) FROM signins s WHERE s.member_id = m.id), 0) DESC, \
                 m.created_ms, m.id LIMIT 1000"
            );
            query(sqlx::AssertSqlSafe(text))
                .bind(person)
                .fetch_all(&pool)
                .await?
                .iter()
                .map(|row| {
                    Ok(Membership {
                        member: member(row)?,
                        account_name: row.try_get("account_name")?,
                        suspended: optional_ms(row, "suspended_ms")?.is_some(),
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Makes a person of a member who could not sign in.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when somebody signs in with the address.
    pub async fn let_sign_in(&self, member: Member, person: PersonRow) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            people::add(&mut transaction, &person).await?;
            query("UPDATE members SET person_id = $1 WHERE account_id = $2 AND id = $3")
                .bind(&person.id)
                .bind(member.account.as_str())
                .bind(&member.id)
                .execute(&mut *transaction)
                .await?;
            changed(&mut transaction, Some(&member.account)).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        })
        .await
    }
}
