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
         CAST(SUM(above_nanos) AS BIGINT) AS above_nanos, \
         CAST(SUM(latency_ms) AS BIGINT) AS latency_ms, \
         CAST(SUM(first_byte_ms) AS BIGINT) AS first_byte_ms"
    };
}
pub(super) use sums;

/// What rows of usage are told apart by. What they are not told apart by is added up by the store, and
/// comes as empty text, or as the beginning of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageDimension {
    Account,
    Key,
    Model,
    Provider,
    Tier,
    /// Stretches of so many milliseconds, each of which begins at a whole number of them.
    Stretch(i64),
}

impl UsageDimension {
    /// Its column.
    fn name(self) -> &'static str {
        match self {
            Self::Account => "account_id",
            Self::Key => "key_id",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Tier => "tier",
            Self::Stretch(_) => "start_ms",
        }
    }
}

/// The statement for rows told apart by `parts`, of those that a condition chooses, from the longest sums
/// that add up to what is asked for.
fn statement(whose: &str, span: &UsageSpan, parts: &[UsageDimension]) -> String {
    let width_ms = parts.iter().find_map(|part| match part {
        UsageDimension::Stretch(width_ms) => Some((*width_ms).max(1)),
        _ => None,
    });
    let bounds = [Some(span.start.0), Some(span.end.0), width_ms];
    let whole = |width: i64| bounds.iter().flatten().all(|at| at % width == 0);
    let [minutes, longer @ ..] = STRETCHES;
    let longest = longer.into_iter().rev().find(|(_, _, width)| whole(*width));
    let (table, start, _) = longest.unwrap_or(minutes);
    let columns = [
        UsageDimension::Account,
        UsageDimension::Key,
        UsageDimension::Model,
        UsageDimension::Provider,
        UsageDimension::Tier,
    ]
    .map(|part| {
        let name = part.name();
        if parts.contains(&part) { name.to_owned() } else { format!("'' AS {name}") }
    });
    let stretch = match width_ms {
        Some(width_ms) => format!("{start} - {start} % {width_ms} AS start_ms"),
        None => "CAST(0 AS BIGINT) AS start_ms".to_owned(),
    };
    let apart = parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {}, {stretch}, {} FROM {table} WHERE {whose}{start} >= $1 AND {start} < $2 \
         GROUP BY {apart} ORDER BY {apart}",
        columns.join(", "),
        sums!()
    )
}

/// Whose usage, and of when: from `start` up to `end`, without it. `None` = every account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSpan {
    pub account: Option<AccountId>,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// A row of usage: which account and key, by which model of which provider, in which stretch of
/// time, as far as [`UsageDimension`]s were asked for.
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
    /// Usage, told apart by `parts`, of which there is at least one, and in their order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(
        &self,
        span: UsageSpan,
        parts: &[UsageDimension],
    ) -> Result<Vec<UsageRow>, StoreError> {
        let whose = if span.account.is_some() { "account_id = $3 AND " } else { "" };
        let text = statement(whose, &span, parts);
        self.run(move |pool| async move {
            let rows = query(AssertSqlSafe(text)).bind(span.start.0).bind(span.end.0);
            let rows = match &span.account {
                // By the key of the table: not past everybody else's rows.
                Some(account) => rows.bind(account.as_str()),
                None => rows,
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
