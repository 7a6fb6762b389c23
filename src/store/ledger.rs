//! The books: pages of the journal and what they post to the accounts.

use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::db::{Store, StoreError, begin};
use super::heads::{Heads, write_heads};
use super::pack::{packed, unpacked};
use super::sql::query;
use super::sums::{MinuteKey, MinuteSums, add_minutes};
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
            write_heads(&mut transaction, (&page.segment, page.first_line), &heads).await?;
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
                 CAST(COALESCE(SUM(nanos + above_nanos), 0) AS BIGINT) AS nanos FROM usage_minutes \
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
