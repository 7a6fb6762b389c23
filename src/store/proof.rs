//! What a proof of the books reads: all of it as of one moment.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, snapshot};
use super::ledger::{Balance, PageRow, balance};
use super::pack::unpacked;
use super::sql::query;
use super::sums::MinuteSums;
use super::usage::sums;
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// Pages read at a time.
const AT_ONCE: i64 = 200;

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

/// Everything but the pages.
#[derive(Debug, Default)]
pub struct BookSums {
    pub entries: Vec<EntrySum>,
    /// Postings whose entries do not add up to nothing.
    pub unbalanced: Vec<String>,
    pub balances: Vec<(AccountId, Balance)>,
    /// Credits of refunded requests.
    pub refunded: BTreeMap<AccountId, i64>,
    /// All that was ever used.
    pub usage: BTreeMap<AccountId, MinuteSums>,
}

impl Store {
    /// Shows `seen` every page in the order of their places, then gives it back with the sums.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_books<T: Send + 'static>(
        &self,
        mut seen: T,
        page: fn(&mut T, PageRow),
    ) -> Result<(T, BookSums), StoreError> {
        self.run(move |pool| async move {
            let mut reading = snapshot(&pool).await?;
            let mut last = (String::new(), -1);
            loop {
                let pages = pages_after(&mut reading, &last).await?;
                let Some(end) = pages.last() else { break };
                last = (end.segment.clone(), end.first_line);
                for one in pages {
                    page(&mut seen, one);
                }
            }
            let sums = BookSums {
                entries: entries(&mut reading).await?,
                unbalanced: unbalanced(&mut reading).await?,
                balances: balances(&mut reading).await?,
                refunded: refunded(&mut reading).await?,
                usage: usage(&mut reading).await?,
            };
            reading.rollback().await?;
            Ok::<_, sqlx::Error>((seen, sums))
        })
        .await
    }
}

async fn pages_after(
    connection: &mut AnyConnection,
    (segment, line): &(String, i64),
) -> Result<Vec<PageRow>, sqlx::Error> {
    query(
        "SELECT segment, first_line, lines, least_id, greatest_id, settled_ms, body \
         FROM ledger_pages WHERE segment > $1 OR (segment = $1 AND first_line > $2) \
         ORDER BY segment, first_line LIMIT $3",
    )
    .bind(segment)
    .bind(*line)
    .bind(AT_ONCE)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        let kept: String = row.try_get("body")?;
        Ok(PageRow {
            segment: row.try_get("segment")?,
            first_line: row.try_get("first_line")?,
            lines: row.try_get("lines")?,
            least_id: row.try_get("least_id")?,
            greatest_id: row.try_get("greatest_id")?,
            settled: Timestamp(row.try_get("settled_ms")?),
            // What cannot be unpacked is no line either: the proof finds that.
            body: unpacked(kept.clone()).unwrap_or(kept),
        })
    })
    .collect()
}

async fn unbalanced(connection: &mut AnyConnection) -> Result<Vec<String>, sqlx::Error> {
    query(
        "SELECT posting FROM ledger_entries GROUP BY posting \
         HAVING SUM(credits) <> 0 OR SUM(nanos) <> 0 ORDER BY posting LIMIT 100",
    )
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| row.try_get("posting"))
    .collect()
}

async fn entries(connection: &mut AnyConnection) -> Result<Vec<EntrySum>, sqlx::Error> {
    query(
        "SELECT account_id, period, book, cause, COUNT(*) AS entries, \
         CAST(SUM(credits) AS BIGINT) AS credits, CAST(SUM(nanos) AS BIGINT) AS nanos \
         FROM ledger_entries GROUP BY account_id, period, book, cause",
    )
    .fetch_all(connection)
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
    .collect()
}

async fn balances(
    connection: &mut AnyConnection,
) -> Result<Vec<(AccountId, Balance)>, sqlx::Error> {
    query("SELECT account_id, period, allowance, granted, used, nanos FROM balances")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| {
            let account = row.try_get::<String, _>("account_id")?;
            Ok((AccountId::stored(&account), balance(row)?))
        })
        .collect()
}

async fn refunded(connection: &mut AnyConnection) -> Result<BTreeMap<AccountId, i64>, sqlx::Error> {
    query(
        "SELECT account_id, CAST(SUM(credits) AS BIGINT) AS credits FROM grants \
         WHERE request_id IS NOT NULL GROUP BY account_id",
    )
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        let account = row.try_get::<String, _>("account_id")?;
        Ok((AccountId::stored(&account), row.try_get("credits")?))
    })
    .collect()
}

async fn usage(
    connection: &mut AnyConnection,
) -> Result<BTreeMap<AccountId, MinuteSums>, sqlx::Error> {
    query(concat!("SELECT account_id, ", sums!(), " FROM usage_minutes GROUP BY account_id"))
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| {
            let account = row.try_get::<String, _>("account_id")?;
            Ok((AccountId::stored(&account), MinuteSums::read(row)?))
        })
        .collect()
}
