//! Sums of usage by minute, hour and day: what reports read instead of every request.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::sql::query;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};

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
    /// What providers charge, in nano-USD.
    pub cost: i64,
    /// What it is sold for, in nano-USD.
    pub list: i64,
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
            (&mut self.list, other.list),
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
            list: row.try_get::<i64, _>("nanos")?.saturating_add(row.try_get("above_nanos")?),
            latency_ms: row.try_get("latency_ms")?,
            first_byte_ms: row.try_get("first_byte_ms")?,
        })
    }
}

/// Rows of one statement at most: with twenty arguments each, far fewer than either engine takes.
const ROWS: usize = 32;

/// The sums that are added up.
const SUMS: [&str; 14] = [
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
    "above_nanos",
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
        let places: Vec<String> = (1..=20).map(|place| format!("${}", row * 20 + place)).collect();
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
                .bind(sums.list.saturating_sub(sums.cost))
                .bind(sums.latency_ms)
                .bind(sums.first_byte_ms);
        }
        statement.execute(&mut *connection).await?;
    }
    Ok(())
}
