//! The requests of an account, newest first, as lists show them: a page of the journal in a row.

use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError};
use super::pack::{packed, unpacked};
use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// What a page of the journal holds of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    pub account: AccountId,
    /// When the last of them ended.
    pub at: Timestamp,
    pub lines: i64,
    /// A line for each request, in the order of their ends.
    pub body: String,
}

/// Writes down what a page holds of each account. The page goes by its segment and its first line there.
pub(super) async fn write_heads(
    connection: &mut AnyConnection,
    (segment, first_line): (&str, i64),
    heads: &[Heads],
) -> Result<(), sqlx::Error> {
    for one in heads {
        query(
            "INSERT INTO request_heads (account_id, at_ms, segment, first_line, lines, body) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(one.account.as_str())
        .bind(one.at.0)
        .bind(segment)
        .bind(first_line)
        .bind(one.lines)
        .bind(packed(&one.body))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Some of an account's heads, newest first: those that ended from `since` on, up to `until`,
    /// past the first `skip` of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn heads(
        &self,
        account: AccountId,
        since: Timestamp,
        until: Timestamp,
        skip: i64,
        limit: i64,
    ) -> Result<Vec<Heads>, StoreError> {
        self.run(move |pool| async move {
            query(
                "SELECT at_ms, lines, body FROM request_heads \
                 WHERE account_id = $1 AND at_ms >= $2 AND at_ms <= $3 \
                 ORDER BY at_ms DESC, segment DESC, first_line DESC LIMIT $4 OFFSET $5",
            )
            .bind(account.as_str())
            .bind(since.0)
            .bind(until.0)
            .bind(limit)
            .bind(skip)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(Heads {
                    account: account.clone(),
                    at: Timestamp(row.try_get("at_ms")?),
                    lines: row.try_get("lines")?,
                    body: unpacked(row.try_get("body")?)?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
