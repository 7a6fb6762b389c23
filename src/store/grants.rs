//! Credits that do not come from use: given, given back, and what a plan gives.

use sqlx::Row;

use super::changes::changed;
use super::db::{Store, StoreError, begin};
use super::ledger::{AllowanceOf, Entries, add_to_balance, balance, open_period};
use super::sql::query;
use super::sums::{MinuteKey, MinuteSums, add_minutes};
use crate::base::calendar::Period;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, GrantId};
use crate::base::money::{Credits, Nanos};

/// Credits given, or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub id: GrantId,
    pub account: AccountId,
    pub period: Period,
    pub credits: Credits,
    pub reason: String,
    pub created: Timestamp,
    /// The request whose charge is given back, and where its usage stands.
    pub refunds: Option<(String, MinuteKey)>,
}

/// A grant as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    pub id: String,
    pub credits: i64,
    pub request: Option<String>,
    pub reason: String,
    pub created: Timestamp,
}

impl Store {
    /// Gives credits, or gives a request's back. `false` for a request that was refunded before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn grant(&self, grant: Grant, allowance_of: AllowanceOf) -> Result<bool, StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            let request = grant.refunds.as_ref().map(|(request, _)| request.clone());
            let written = query(
                "INSERT INTO grants (id, account_id, period, credits, request_id, reason, created_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(grant.id.as_str())
            .bind(grant.account.as_str())
            .bind(grant.period.0)
            .bind(grant.credits.0)
            .bind(request)
            .bind(&grant.reason)
            .bind(grant.created.0)
            .execute(&mut *transaction)
            .await?;
            if written.rows_affected() == 0 {
                return Ok(false);
            }
            let Grant { account, period, credits, created, .. } = &grant;
            open_period(&mut transaction, account, *period, *created, &allowance_of).await?;
            let (cause, from, used, granted) = match &grant.refunds {
                Some(_) => ("refund", "usage", Credits(-credits.0), Credits(0)),
                None => ("grant", "issued", Credits(0), *credits),
            };
            add_to_balance(&mut transaction, account, *period, used, granted, Nanos(0)).await?;
            let entries = Entries {
                posting: grant.id.as_str(),
                account,
                period: *period,
                cause,
                from,
                to: "customer",
                at: *created,
                credits: credits.0,
                nanos: 0,
            };
            entries.write(&mut transaction).await?;
            if let Some((_, key)) = &grant.refunds {
                let sums = MinuteSums { credits: -credits.0, ..MinuteSums::default() };
                add_minutes(&mut transaction, &[(key.clone(), sums)]).await?;
            }
            changed(&mut transaction, Some(account)).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(true)
        })
        .await
    }

    /// What an account was given, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn grants(&self, account: AccountId) -> Result<Vec<GrantRow>, StoreError> {
        self.run(|pool| async move {
            query(
                "SELECT id, credits, request_id, reason, created_ms FROM grants \
                 WHERE account_id = $1 ORDER BY created_ms DESC, id DESC LIMIT 1000",
            )
            .bind(account.as_str())
            .fetch_all(&pool)
            .await?
            .iter()
            .map(|row| {
                Ok(GrantRow {
                    id: row.try_get("id")?,
                    credits: row.try_get("credits")?,
                    request: row.try_get("request_id")?,
                    reason: row.try_get("reason")?,
                    created: Timestamp(row.try_get("created_ms")?),
                })
            })
            .collect::<Result<_, sqlx::Error>>()
        })
        .await
    }

    /// An account's plan gives something else from now on, in the period that is open too.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_allowance(
        &self,
        account: AccountId,
        period: Period,
        allowance: Option<Credits>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(|pool| async move {
            let mut transaction = begin(&pool).await?;
            // Takes the row first, so that two changes at once come one after the other.
            query("UPDATE balances SET used = used WHERE account_id = $1 AND period = $2")
                .bind(account.as_str())
                .bind(period.0)
                .execute(&mut *transaction)
                .await?;
            let row = query(
                "SELECT period, allowance, granted, used, nanos FROM balances \
                 WHERE account_id = $1 AND period = $2",
            )
            .bind(account.as_str())
            .bind(period.0)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(before) = row.as_ref().map(balance).transpose()? else { return Ok(()) };
            if before.allowance == allowance {
                return Ok(());
            }
            query("UPDATE balances SET allowance = $3 WHERE account_id = $1 AND period = $2")
                .bind(account.as_str())
                .bind(period.0)
                .bind(allowance.map(|credits| credits.0))
                .execute(&mut *transaction)
                .await?;
            let credits = |allowance: Option<Credits>| allowance.map_or(0, |credits| credits.0);
            let posting = format!("allowance:{account}:{}:{}", period.0, GrantId::fresh());
            let entries = Entries {
                posting: &posting,
                account: &account,
                period,
                cause: "allowance",
                from: "issued",
                to: "customer",
                at,
                credits: credits(allowance) - credits(before.allowance),
                nanos: 0,
            };
            entries.write(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        })
        .await
    }
}
