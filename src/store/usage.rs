//! Sums of usage, as reports ask for them.

use sqlx::{AssertSqlSafe, Row};

use super::db::{Store, StoreError};
use super::sql::query;
use super::sums::{MinuteSums, STRETCHES};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;

/// The columns that [`MinuteSums::read`] reads, added up. PostgreSQL adds to another type.
macro_rules! sums {
    () => {
        "CAST(SUM(requests) AS BIGINT) AS requests, \
         CAST(SUM(failures) AS BIGINT) AS failures, \
         CAST(SUM(estimated) AS BIGINT) AS estimated, \
         CAST(SUM(input_tokens) AS BIGINT) AS input_tokens, \
         CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens, \
         CAST(SUM(cache_write_tokens) AS BIGINT) AS cache_write_tokens, \
         CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, \
         CAST(SUM(thought_tokens) AS BIGINT) AS thought_tokens, \
         CAST(SUM(images) AS BIGINT) AS images, \
         CAST(SUM(credits) AS BIGINT) AS credits, \
         CAST(SUM(nanos) AS BIGINT) AS nanos, \
         CAST(SUM(latency_ms) AS BIGINT) AS latency_ms, \
         CAST(SUM(first_byte_ms) AS BIGINT) AS first_byte_ms"
    };
}
pub(super) use sums;

/// Rows in stretches of time, of those that a condition chooses, from the longest sums that add up to
/// what is asked for.
fn stretches(whose: &str, span: &Span, width_ms: i64) -> String {
    let whole = |width: i64| [span.start.0, span.end.0, width_ms].iter().all(|at| at % width == 0);
    let [minutes, longer @ ..] = STRETCHES;
    let longest = longer.into_iter().rev().find(|(_, _, width)| whole(*width));
    let (table, start, _) = longest.unwrap_or(minutes);
    format!(
        "SELECT account_id, key_id, model, provider, tier, {start} - {start} % $1 AS start_ms, {} \
         FROM {table} WHERE {whose}{start} >= $2 AND {start} < $3 \
         GROUP BY account_id, key_id, model, provider, tier, start_ms \
         ORDER BY start_ms, account_id, key_id, model, provider, tier",
        sums!()
    )
}

/// Whose usage, and of when: from `start` up to `end`, without it. `None` = every account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub account: Option<AccountId>,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// A row of usage: which account and key, by which model of which provider, in which stretch of
/// time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    pub account: String,
    pub key: String,
    pub model: String,
    pub provider: String,
    pub tier: String,
    /// When the stretch begins.
    pub start: Timestamp,
    pub sums: MinuteSums,
}

impl Store {
    /// Usage in stretches of `width_ms` milliseconds, each beginning at a whole number of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(&self, span: Span, width_ms: i64) -> Result<Vec<UsageRow>, StoreError> {
        self.run(move |pool| async move {
            let whose = if span.account.is_some() { "account_id = $4 AND " } else { "" };
            let text = stretches(whose, &span, width_ms.max(1));
            let rows = match &span.account {
                // By the key of the table: not past everybody else's rows.
                Some(account) => query(AssertSqlSafe(text))
                    .bind(width_ms.max(1))
                    .bind(span.start.0)
                    .bind(span.end.0)
                    .bind(account.as_str()),
                None => query(AssertSqlSafe(text))
                    .bind(width_ms.max(1))
                    .bind(span.start.0)
                    .bind(span.end.0),
            };
            rows.fetch_all(&pool)
                .await?
                .iter()
                .map(|row| {
                    Ok(UsageRow {
                        account: row.try_get("account_id")?,
                        key: row.try_get("key_id")?,
                        model: row.try_get("model")?,
                        provider: row.try_get("provider")?,
                        tier: row.try_get("tier")?,
                        start: Timestamp(row.try_get("start_ms")?),
                        sums: MinuteSums::read(row)?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}
