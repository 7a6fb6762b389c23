//! What a proof of the books reads.

use std::collections::BTreeMap;

use sqlx::Row;

use super::db::{Store, StoreError};
use super::ledger::{Balance, MinuteSums, PageRow, balance};
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// Entries of an account's period in one book, added up by their cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySum {
    pub account: AccountId,
    pub period: Period,
    pub book: String,
    pub cause: String,
    pub count: i64,
    pub credits: i64,
    pub nanos: i64,
}

impl Store {
    /// Pages in the order of their places, from after one of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ledger_pages(
        &self,
        after: Option<(String, i64)>,
        limit: i64,
    ) -> Result<Vec<PageRow>, StoreError> {
        self.run(move |pool| async move {
            let (segment, line) = after.unwrap_or_else(|| (String::new(), -1));
            sqlx::query(
                "SELECT segment, first_line, lines, least_id, greatest_id, settled_ms, body \
                 FROM ledger_pages WHERE segment > $1 OR (segment = $1 AND first_line > $2) \
                 ORDER BY segment, first_line LIMIT $3",
            )
            .bind(segment)
            .bind(line)
            .bind(limit)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(PageRow {
                    segment: row.try_get("segment")?,
                    first_line: row.try_get("first_line")?,
                    lines: row.try_get("lines")?,
                    least_id: row.try_get("least_id")?,
                    greatest_id: row.try_get("greatest_id")?,
                    settled: Timestamp(row.try_get("settled_ms")?),
                    body: row.try_get("body")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Postings whose entries do not add up to nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unbalanced_postings(&self) -> Result<Vec<String>, StoreError> {
        self.run(|pool| async move {
            sqlx::query(
                "SELECT posting FROM ledger_entries GROUP BY posting \
                 HAVING SUM(credits) <> 0 OR SUM(nanos) <> 0 ORDER BY posting LIMIT 100",
            )
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| row.try_get("posting"))
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn entry_sums(&self) -> Result<Vec<EntrySum>, StoreError> {
        self.run(|pool| async move {
            sqlx::query(
                "SELECT account_id, period, book, cause, COUNT(*) AS entries, \
                 CAST(SUM(credits) AS BIGINT) AS credits, CAST(SUM(nanos) AS BIGINT) AS nanos \
                 FROM ledger_entries GROUP BY account_id, period, book, cause",
            )
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(EntrySum {
                    account: AccountId::stored(&row.try_get::<String, _>("account_id")?),
                    period: Period(row.try_get("period")?),
                    book: row.try_get("book")?,
                    cause: row.try_get("cause")?,
                    count: row.try_get("entries")?,
                    credits: row.try_get("credits")?,
                    nanos: row.try_get("nanos")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// # Errors
    /// When the store fails.
    pub async fn all_balances(&self) -> Result<Vec<(AccountId, Balance)>, StoreError> {
        self.run(|pool| async move {
            sqlx::query("SELECT account_id, period, allowance, granted, used, nanos FROM balances")
                .fetch_all(&pool)
                .await?
                .iter()
                .map(|row| {
                    let account = row.try_get::<String, _>("account_id")?;
                    Ok((AccountId::stored(&account), balance(row)?))
                })
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// Credits of refunded requests.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refunded(&self) -> Result<BTreeMap<AccountId, i64>, StoreError> {
        self.run(|pool| async move {
            sqlx::query(
                "SELECT account_id, CAST(SUM(credits) AS BIGINT) AS credits FROM grants \
                 WHERE request_id IS NOT NULL GROUP BY account_id",
            )
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                let account = row.try_get::<String, _>("account_id")?;
                Ok((AccountId::stored(&account), row.try_get("credits")?))
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// All that was ever used, by account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage_by_account(&self) -> Result<BTreeMap<AccountId, MinuteSums>, StoreError> {
        let span = super::Span { account: None, start: Timestamp(0), end: Timestamp(i64::MAX) };
        let mut all: BTreeMap<AccountId, MinuteSums> = BTreeMap::new();
        for row in self.usage(span, i64::MAX).await? {
            all.entry(AccountId::stored(&row.account)).or_default().add(&row.sums);
        }
        Ok(all)
    }
}
