//! The books: pages of the journal and what they post to the accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, begin};
use super::heads::{Heads, write_heads};
use super::pack::{packed, unpacked};
use super::sql::query;
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::money::{Credits, Nanos};

/// A page of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    pub segment: String,
    pub first_line: i64,
    pub lines: i64,
    pub least_id: String,
    pub greatest_id: String,
    pub settled: Timestamp,
    pub body: String,
}

/// A page, what each account is charged, and what reports are made of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Posted {
    pub row: Arc<PageRow>,
    pub charges: Arc<[Posting]>,
    pub minutes: Arc<[(MinuteKey, MinuteSums)]>,
    pub heads: Arc<[Heads]>,
}

/// What a page charges an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub account: AccountId,
    pub period: Period,
    pub credits: Credits,
    pub cost: Nanos,
}

/// What sums of usage are kept by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MinuteKey {
    pub account: AccountId,
    pub minute: Timestamp,
    pub key: KeyId,
    pub model: String,
    pub provider: String,
    pub tier: String,
}

/// Sums of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinuteSums {
    pub requests: i64,
    pub failures: i64,
    pub estimated: i64,
    pub input: i64,
    pub cache_read: i64,
    pub cache_write: i64,
    pub output: i64,
    pub thought: i64,
    pub images: i64,
    pub credits: i64,
    pub cost: i64,
    pub latency_ms: i64,
    pub first_byte_ms: i64,
}

impl MinuteSums {
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.requests, other.requests),
            (&mut self.failures, other.failures),
            (&mut self.estimated, other.estimated),
            (&mut self.input, other.input),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.output, other.output),
            (&mut self.thought, other.thought),
            (&mut self.images, other.images),
            (&mut self.credits, other.credits),
            (&mut self.cost, other.cost),
            (&mut self.latency_ms, other.latency_ms),
            (&mut self.first_byte_ms, other.first_byte_ms),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }

    pub(super) fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            requests: row.try_get("requests")?,
            failures: row.try_get("failures")?,
            estimated: row.try_get("estimated")?,
            input: row.try_get("input_tokens")?,
            cache_read: row.try_get("cache_read_tokens")?,
            cache_write: row.try_get("cache_write_tokens")?,
            output: row.try_get("output_tokens")?,
            thought: row.try_get("thought_tokens")?,
            images: row.try_get("images")?,
            credits: row.try_get("credits")?,
            cost: row.try_get("nanos")?,
            latency_ms: row.try_get("latency_ms")?,
            first_byte_ms: row.try_get("first_byte_ms")?,
        })
    }
}

/// A period's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub period: Period,
    /// `None` = as much as it takes.
    pub allowance: Option<Credits>,
    pub granted: Credits,
    pub used: Credits,
    pub cost: Nanos,
}

/// What a plan, with an account's own limits (JSON), gives for a period. `None` = as much as it takes.
pub type AllowanceOf = Arc<dyn Fn(&str, Option<&str>) -> Option<Credits> + Send + Sync>;

/// Two entries that add up to nothing.
pub(super) struct Entries<'a> {
    pub posting: &'a str,
    pub account: &'a AccountId,
    pub period: Period,
    pub cause: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    pub at: Timestamp,
    pub credits: i64,
    pub nanos: i64,
}

impl Entries<'_> {
    pub async fn write(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        for (book, sign) in [(self.from, -1), (self.to, 1)] {
            query(
                "INSERT INTO ledger_entries \
                 (posting, account_id, period, book, cause, at_ms, credits, nanos) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(self.posting)
            .bind(self.account.as_str())
            .bind(self.period.0)
            .bind(book)
            .bind(self.cause)
            .bind(self.at.0)
            .bind(self.credits * sign)
            .bind(self.nanos * sign)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Opens an account's period, if it is not open yet: the plan gives its allowance.
pub(super) async fn open_period(
    connection: &mut AnyConnection,
    account: &AccountId,
    period: Period,
    at: Timestamp,
    allowance_of: &AllowanceOf,
) -> Result<(), sqlx::Error> {
    let row = query("SELECT plan, limits FROM accounts WHERE id = $1")
        .bind(account.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    // The administrator has no account, and pays nothing.
    let allowance = match row {
        Some(row) => {
            let limits: Option<String> = row.try_get("limits")?;
            allowance_of(&row.try_get::<String, _>("plan")?, limits.as_deref())
        }
        None => None,
    };
    let opened = query(
        "INSERT INTO balances (account_id, period, allowance, granted, used, nanos) \
         VALUES ($1, $2, $3, 0, 0, 0) ON CONFLICT DO NOTHING",
    )
    .bind(account.as_str())
    .bind(period.0)
    .bind(allowance.map(|credits| credits.0))
    .execute(&mut *connection)
    .await?;
    if opened.rows_affected() == 0 {
        return Ok(());
    }
    let posting = format!("allowance:{account}:{}", period.0);
    let credits = allowance.map_or(0, |credits| credits.0);
    let entries = Entries {
        posting: &posting,
        account,
        period,
        cause: "allowance",
        from: "issued",
        to: "customer",
        at,
        credits,
        nanos: 0,
    };
    entries.write(connection).await
}

/// Rows of one statement at most: with nineteen arguments each, far fewer than either engine takes.
const ROWS: usize = 32;

/// The sums that are added up.
const SUMS: [&str; 13] = [
    "requests",
    "failures",
    "estimated",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "thought_tokens",
    "images",
    "credits",
    "nanos",
    "latency_ms",
    "first_byte_ms",
];

/// The tables that sums are kept in, the column that says when their stretch began, and how long it is
/// in milliseconds.
pub(super) const STRETCHES: [(&str, &str, i64); 3] = [
    ("usage_minutes", "minute_ms", 60_000),
    ("usage_hours", "hour_ms", 3_600_000),
    ("usage_days", "day_ms", 86_400_000),
];

/// The statement that adds so many rows to the sums of their stretches.
fn adding(table: &str, start: &str, rows: usize) -> String {
    let mut sql = format!(
        "INSERT INTO {table} (account_id, {start}, key_id, model, provider, tier, {}) VALUES ",
        SUMS.join(", ")
    );
    for row in 0..rows {
        let places: Vec<String> = (1..=19).map(|place| format!("${}", row * 19 + place)).collect();
        let comma = if row == 0 { "" } else { ", " };
        for piece in [comma, "(", &places.join(", "), ")"] {
            sql.push_str(piece);
        }
    }
    let sums = SUMS.map(|sum| format!("{sum} = {table}.{sum} + excluded.{sum}"));
    let sums = sums.join(", ");
    sql + &format!(
        " ON CONFLICT (account_id, {start}, key_id, model, provider, tier) DO UPDATE SET {sums}"
    )
}

/// The same sums in longer stretches, in the order of their keys.
fn gathered(minutes: &[(MinuteKey, MinuteSums)], width_ms: i64) -> BTreeMap<MinuteKey, MinuteSums> {
    let mut all: BTreeMap<MinuteKey, MinuteSums> = BTreeMap::new();
    for (key, sums) in minutes {
        let minute = Timestamp(key.minute.0 - key.minute.0.rem_euclid(width_ms));
        all.entry(MinuteKey { minute, ..key.clone() }).or_default().add(sums);
    }
    all
}

/// Adds to the sums of minutes, and of the hours and days that they are in. No key may be there twice.
pub(super) async fn add_minutes(
    connection: &mut AnyConnection,
    minutes: &[(MinuteKey, MinuteSums)],
) -> Result<(), sqlx::Error> {
    let [(table, start, _), longer @ ..] = STRETCHES;
    add_to(connection, table, start, minutes).await?;
    for (table, start, width_ms) in longer {
        let rows: Vec<_> = gathered(minutes, width_ms).into_iter().collect();
        add_to(connection, table, start, &rows).await?;
    }
    Ok(())
}

/// Adds to the sums of a table, many rows in a round trip.
async fn add_to(
    connection: &mut AnyConnection,
    table: &str,
    start: &str,
    rows: &[(MinuteKey, MinuteSums)],
) -> Result<(), sqlx::Error> {
    let mut left = rows;
    while let Some(log) = left.len().min(ROWS).checked_ilog2() {
        // By powers of two, so that there are six statements to prepare and not thirty-two.
        let (now, later) = left.split_at(1 << log);
        left = later;
        let mut statement = query(sqlx::AssertSqlSafe(adding(table, start, now.len())));
        for (key, sums) in now {
            statement = statement
                .bind(key.account.as_str())
                .bind(key.minute.0)
                .bind(key.key.as_str())
                .bind(&key.model)
                .bind(&key.provider)
                .bind(&key.tier)
                .bind(sums.requests)
                .bind(sums.failures)
                .bind(sums.estimated)
                .bind(sums.input)
                .bind(sums.cache_read)
                .bind(sums.cache_write)
                .bind(sums.output)
                .bind(sums.thought)
                .bind(sums.images)
                .bind(sums.credits)
                .bind(sums.cost)
                .bind(sums.latency_ms)
                .bind(sums.first_byte_ms);
        }
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Adds to a period's sums. `false` where the period is not open.
pub(super) async fn add_to_balance(
    connection: &mut AnyConnection,
    account: &AccountId,
    period: Period,
    used: Credits,
    granted: Credits,
    cost: Nanos,
) -> Result<bool, sqlx::Error> {
    let done = query(
        "UPDATE balances SET used = used + $3, granted = granted + $4, nanos = nanos + $5 \
         WHERE account_id = $1 AND period = $2",
    )
    .bind(account.as_str())
    .bind(period.0)
    .bind(used.0)
    .bind(granted.0)
    .bind(cost.0)
    .execute(&mut *connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

impl Store {
    /// Posts a page with everything that follows from it, or nothing. `false` when it is there
    /// already.
    ///
    /// # Errors
    /// When the store fails; whether the page was posted is then unknown, and it may be posted again.
    pub async fn post_page(
        &self,
        posted: &Posted,
        allowance_of: &AllowanceOf,
    ) -> Result<bool, StoreError> {
        // A page may be posted again, and is not copied for that.
        let (posted, allowance_of) = (posted.clone(), Arc::clone(allowance_of));
        self.run(|pool| async move {
            let Posted { row: page, charges, minutes, heads } = posted;
            let mut transaction = begin(&pool).await?;
            let written = query(
                "INSERT INTO ledger_pages \
                 (segment, first_line, lines, least_id, greatest_id, settled_ms, body) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(&page.segment)
            .bind(page.first_line)
            .bind(page.lines)
            .bind(&page.least_id)
            .bind(&page.greatest_id)
            .bind(page.settled.0)
            .bind(packed(&page.body))
            .execute(&mut *transaction)
            .await?;
            if written.rows_affected() == 0 {
                return Ok(false);
            }
            let name = format!("page:{}:{}", page.segment, page.first_line);
            for posting in &*charges {
                let Posting { account, period, credits, cost } = posting;
                let nothing = Credits(0);
                if !add_to_balance(&mut transaction, account, *period, *credits, nothing, *cost)
                    .await?
                {
                    let at = page.settled;
                    open_period(&mut transaction, account, *period, at, &allowance_of).await?;
                    add_to_balance(&mut transaction, account, *period, *credits, nothing, *cost)
                        .await?;
                }
                let entries = Entries {
                    posting: &name,
                    account,
                    period: *period,
                    cause: "page",
                    from: "customer",
                    to: "usage",
                    at: page.settled,
                    credits: credits.0,
                    nanos: cost.0,
                };
                entries.write(&mut transaction).await?;
            }
            write_heads(&mut transaction, &page, &heads).await?;
            add_minutes(&mut transaction, &minutes).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(true)
        })
        .await
    }

    /// How many lines of a segment have been posted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn posted_lines(&self, segment: String) -> Result<u64, StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT CAST(MAX(first_line + lines) AS BIGINT) AS posted FROM ledger_pages \
                 WHERE segment = $1",
            )
            .bind(segment)
            .fetch_one(&pool)
            .await?;
            let posted: Option<i64> = row.try_get("posted")?;
            Ok::<_, sqlx::Error>(u64::try_from(posted.unwrap_or(0)).unwrap_or(0))
        })
        .await
    }

    /// An account's periods, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn balances(&self, account: AccountId) -> Result<Vec<Balance>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT period, allowance, granted, used, nanos FROM balances \
                 WHERE account_id = $1 ORDER BY period",
            )
            .bind(account.as_str())
            .fetch_all(&pool)
            .await?
            .iter()
            .map(balance)
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// What a key and those that came in its place have used since a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn used_by_key(
        &self,
        family: KeyId,
        since: Timestamp,
    ) -> Result<(Credits, Nanos), StoreError> {
        self.run(|pool| async move {
            let row = query(
                "SELECT CAST(COALESCE(SUM(credits), 0) AS BIGINT) AS credits, \
                 CAST(COALESCE(SUM(nanos), 0) AS BIGINT) AS nanos FROM usage_minutes \
                 WHERE (key_id = $1 OR key_id IN (SELECT id FROM api_keys WHERE family = $1)) \
                 AND minute_ms >= $2",
            )
            .bind(family.as_str())
            .bind(since.0)
            .fetch_one(&pool)
            .await?;
            Ok::<_, sqlx::Error>((Credits(row.try_get("credits")?), Nanos(row.try_get("nanos")?)))
        })
        .await
    }

    /// The page that a request's line may be on: all that were written from `since` on and whose
    /// ids span it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pages_with(
        &self,
        request: String,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT body FROM ledger_pages WHERE settled_ms >= $1 AND settled_ms <= $2 \
                 AND least_id <= $3 AND greatest_id >= $3 ORDER BY settled_ms LIMIT 1000",
            )
            .bind(since.0)
            .bind(until.0)
            .bind(request)
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| unpacked(row.try_get("body")?))
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }
}

pub(super) fn balance(row: &AnyRow) -> Result<Balance, sqlx::Error> {
    Ok(Balance {
        period: Period(row.try_get("period")?),
        allowance: row.try_get::<Option<i64>, _>("allowance")?.map(Credits),
        granted: Credits(row.try_get("granted")?),
        used: Credits(row.try_get("used")?),
        cost: Nanos(row.try_get("nanos")?),
    })
}
