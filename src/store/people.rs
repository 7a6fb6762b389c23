//! People: who signs in, with what, and in which accounts they are. One is here for as long as they are
//! in an account.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::changes::changed;
use super::db::{Store, StoreError, begin, optional_ms};
use super::signins::{EndedSignIns, end_of_person};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// Somebody who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    pub id: String,
    pub email: String,
    /// Empty = they gave none.
    pub name: String,
    /// An Argon2 hash, in its own notation.
    pub password: String,
    /// When they proved that the address is theirs.
    pub verified: Option<Timestamp>,
    /// They sign in with a code, too.
    pub has_factor: bool,
    pub created: Timestamp,
}

const COLUMNS: &str = "id, email, name, password, verified_ms, totp, created_ms";

fn person(row: &AnyRow) -> Result<PersonRow, sqlx::Error> {
    Ok(PersonRow {
        id: row.try_get("id")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        password: row.try_get("password")?,
        verified: optional_ms(row, "verified_ms")?.map(Timestamp),
        has_factor: row.try_get::<Option<String>, _>("totp")?.is_some(),
        created: Timestamp(row.try_get("created_ms")?),
    })
}

pub(super) async fn add(
    connection: &mut AnyConnection,
    person: &PersonRow,
) -> Result<(), StoreError> {
    let done = query(
        "INSERT INTO people (id, email, name, password, verified_ms, totp_step, created_ms) \
         VALUES ($1, $2, $3, $4, $5, 0, $6)",
    )
    .bind(&person.id)
    .bind(&person.email)
    .bind(&person.name)
    .bind(&person.password)
    .bind(person.verified.map(|at| at.0))
    .bind(person.created.0)
    .execute(connection)
    .await;
    taken(done.map(|_| ()), &person.email)
}

/// An address that somebody else has, or what else went wrong.
pub(super) fn taken(done: Result<(), sqlx::Error>, email: &str) -> Result<(), StoreError> {
    match done {
        Err(sqlx::Error::Database(why)) if why.is_unique_violation() => {
            Err(StoreError::Taken(email.to_owned()))
        }
        other => other.map_err(StoreError::from),
    }
}

async fn one(
    store: &Store,
    condition: &'static str,
    by: String,
) -> Result<Option<PersonRow>, StoreError> {
    store
        .run(move |pool| async move {
            let text = format!("SELECT {COLUMNS} FROM people WHERE {condition} = $1");
            let row = query(sqlx::AssertSqlSafe(text)).bind(by).fetch_optional(&pool).await?;
            row.as_ref().map(person).transpose()
        })
        .await
}

/// The accounts that a person is in.
async fn accounts_of(
    connection: &mut AnyConnection,
    person: &str,
) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = query("SELECT account_id FROM members WHERE person_id = $1 ORDER BY account_id")
        .bind(person)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(AccountId::stored(&row.try_get::<String, _>("account_id")?))).collect()
}

impl Store {
    /// Whoever signs in with an address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn person_of_email(&self, email: String) -> Result<Option<PersonRow>, StoreError> {
        one(self, "email", email).await
    }

    /// # Errors
    /// When the store fails.
    pub async fn person(&self, id: String) -> Result<Option<PersonRow>, StoreError> {
        one(self, "id", id).await
    }

    /// Gives a person another password, and ends all that was signed in with the old one, in whichever
    /// account: of which it was.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_password(
        &self,
        person: String,
        password: String,
    ) -> Result<Vec<AccountId>, StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            query("UPDATE people SET password = $1 WHERE id = $2")
                .bind(password)
                .bind(&person)
                .execute(&mut *transaction)
                .await?;
            let ended = end_of_person(&mut transaction, &person, &EndedSignIns::All).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(ended)
        })
        .await
    }

    /// Notes that a person's address is theirs. `false` when they have another one by now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn verify_person(
        &self,
        person: String,
        email: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.run(move |pool| async move {
            query("UPDATE people SET verified_ms = $3 WHERE id = $1 AND email = $2")
                .bind(person)
                .bind(email)
                .bind(now.0)
                .execute(&pool)
                .await
                .map(|done| done.rows_affected() > 0)
        })
        .await
    }

    /// Gives a person another address, in all of their accounts. `verified` is when they proved that it
    /// is theirs.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when somebody else has it, or is listed under it in one of the accounts.
    pub async fn change_email(
        &self,
        person: String,
        email: String,
        verified: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            let mut transaction = begin(&pool).await?;
            let done = query("UPDATE people SET email = $2, verified_ms = $3 WHERE id = $1")
                .bind(&person)
                .bind(&email)
                .bind(verified.map(|at| at.0))
                .execute(&mut *transaction)
                .await;
            taken(done.map(|_| ()), &email)?;
            let done = query("UPDATE members SET email = $2 WHERE person_id = $1")
                .bind(&person)
                .bind(&email)
                .execute(&mut *transaction)
                .await;
            taken(done.map(|_| ()), &email)?;
            for account in accounts_of(&mut transaction, &person).await? {
                changed(&mut transaction, Some(&account)).await?;
            }
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        })
        .await
    }

    /// Gives a person another name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename_person(&self, person: String, name: String) -> Result<(), StoreError> {
        self.run(move |pool| async move {
            query("UPDATE people SET name = $2 WHERE id = $1")
                .bind(person)
                .bind(name)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }
}
