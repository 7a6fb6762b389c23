//! What changed of accounts, keys, members, plans and switches, and whose: what every node looks at
//! to know what to forget.

use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError};
use super::sql::query;
use crate::base::ids::AccountId;

/// So many changes are kept; a node that missed more forgets everything.
const KEPT: i64 = 10_000;

/// What changed since a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Where things stand now.
    pub revision: i64,
    pub of: Changed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Of these accounts, or of none.
    Accounts(Vec<AccountId>),
    /// Maybe of every one.
    All,
}

/// Has every node forget what it knows of an account, or of all, once the transaction is committed.
pub(super) async fn changed(
    connection: &mut AnyConnection,
    account: Option<&AccountId>,
) -> Result<(), sqlx::Error> {
    // The row is locked from here on: revisions come to be seen in their order.
    let row = query(
        "UPDATE revisions SET revision = revision + 1 WHERE topic = 'identity' RETURNING revision",
    )
    .fetch_one(&mut *connection)
    .await?;
    let revision: i64 = row.try_get("revision")?;
    query("INSERT INTO identity_changes (revision, account_id) VALUES ($1, $2)")
        .bind(revision)
        .bind(account.map_or("", AccountId::as_str))
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM identity_changes WHERE revision <= $1")
        .bind(revision - KEPT)
        .execute(connection)
        .await
        .map(|_| ())
}

impl Store {
    /// What changed since a revision, on whichever node. `None` = nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn changes_since(&self, known: i64) -> Result<Option<Changes>, StoreError> {
        self.run(move |pool| async move {
            let revision: i64 = query("SELECT revision FROM revisions WHERE topic = 'identity'")
                .fetch_one(&pool)
                .await?
                .try_get("revision")?;
            if revision == known {
                return Ok(None);
            }
            let rows = query(
                "SELECT account_id FROM identity_changes WHERE revision > $1 AND revision <= $2",
            )
            .bind(known)
            .bind(revision)
            .fetch_all(&pool)
            .await?;
            let names = rows.iter().map(|row| row.try_get::<String, _>("account_id"));
            let names = names.collect::<Result<Vec<_>, _>>()?;
            // Where some are missing nobody knows whose they were.
            let known_all = i64::try_from(names.len()) == Ok(revision - known);
            let of = if known_all && !names.iter().any(String::is_empty) {
                Changed::Accounts(names.iter().map(|name| AccountId::stored(name)).collect())
            } else {
                Changed::All
            };
            Ok::<_, sqlx::Error>(Some(Changes { revision, of }))
        })
        .await
    }
}
