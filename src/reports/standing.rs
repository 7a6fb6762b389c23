//! How an account stands: its plan and credits, and everything that a caller is held to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::usage::{self, Query};
use crate::admit::Caller;
use crate::base::calendar::{self, Period};
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::money::{Credits, Nanos};
use crate::base::told::List;
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::ledger::Funds;
use crate::quota::{
    Correction, LimitLine, Limits, Now, PeriodUsage, QuotaDecision, QuotaRequest, RequestAmount,
    Standing, Terms,
};
use crate::store::Account;

/// The books are read once what this node has just delivered is in them.
const FLUSH: Duration = Duration::from_secs(2);
/// A question that takes nothing is forgotten after this.
const LAPSE: Duration = Duration::from_secs(60);

/// One bound.
#[derive(Debug, Clone, PartialEq)]
struct Bound {
    name: &'static str,
    scope: &'static str,
    unit: &'static str,
    limit: f64,
    /// `None` = it is counted, and not told.
    left: Option<f64>,
    resets: Option<Timestamp>,
}

/// Amounts are told in JSON's numbers, which are exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "told to people; limits are far below 2^53")]
fn number(amount: i64) -> f64 {
    amount as f64
}

fn count(amount: u64) -> f64 {
    number(i64::try_from(amount).unwrap_or(i64::MAX))
}

fn usd(nanos: Nanos) -> f64 {
    number(nanos.0) / 1e9
}

/// What the counters say that refuse.
fn rates(standing: &Standing) -> impl Iterator<Item = Bound> {
    let told = |name, unit, line: Option<LimitLine>| {
        line.map(|line| Bound {
            name,
            scope: "account",
            unit,
            limit: count(line.limit),
            left: Some(count(line.remaining)),
            resets: Some(line.reset),
        })
    };
    [
        told("requests_per_minute", "requests", standing.requests),
        told("requests_per_day", "requests", standing.requests_day),
        told("tokens_per_minute", "tokens", standing.tokens),
        told("images_per_minute", "images", standing.images),
    ]
    .into_iter()
    .flatten()
}

/// A key's own, as far as the books know of them.
fn of_key(limits: &Limits, used: PeriodUsage, end: Timestamp) -> impl Iterator<Item = Bound> {
    let rate = |name, unit, limit: Option<u64>| {
        limit.map(|limit| Bound {
            name,
            scope: "key",
            unit,
            limit: count(limit),
            left: None,
            resets: None,
        })
    };
    let money = |name, unit, limit: Option<f64>, used: f64| {
        limit.map(|limit| Bound {
            name,
            scope: "key",
            unit,
            limit,
            left: Some((limit - used).max(0.0)),
            resets: Some(end),
        })
    };
    [
        rate("requests_per_minute", "requests", limits.requests_per_minute),
        rate("requests_per_day", "requests", limits.requests_per_day),
        rate("tokens_per_minute", "tokens", limits.tokens_per_minute),
        rate("images_per_minute", "images", limits.images_per_minute),
        money(
            "monthly_credits",
            "credits",
            limits.credits.map(|most| number(most.0)),
            number(used.credits.0),
        ),
        money("monthly_budget_usd", "usd", limits.spend.map(usd), usd(used.spend)),
    ]
    .into_iter()
    .flatten()
}

/// The place of the bound that is hit first, if things go on as they are: the least share is left of it.
fn binding(all: &[Bound]) -> Option<usize> {
    let share = |bound: &Bound| bound.left.map(|left| left / bound.limit.max(1e-9));
    let shares = all.iter().enumerate().filter_map(|(at, bound)| Some((at, share(bound)?)));
    shares.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(at, _)| at)
}

/// A bound, and how much of it is left.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Limit")]
pub struct ShownBound {
    object: &'static str,
    name: &'static str,
    /// `account` or `key`.
    scope: &'static str,
    unit: &'static str,
    limit: f64,
    /// None, where it is counted and not told.
    used: Option<f64>,
    left: Option<f64>,
    resets_at: Option<String>,
    /// It is the one that is hit first, if things go on as they are.
    binds: bool,
}

fn told(all: &[Bound]) -> List<ShownBound> {
    let binds = binding(all);
    let rows = all.iter().enumerate().map(|(at, bound)| ShownBound {
        object: "limit",
        name: bound.name,
        scope: bound.scope,
        unit: bound.unit,
        limit: bound.limit,
        used: bound.left.map(|left| bound.limit - left),
        left: bound.left,
        resets_at: bound.resets.map(calendar::written),
        binds: binds == Some(at),
    });
    List::of(rows.collect())
}

/// An account, its plan and its credits.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct AccountStanding {
    object: &'static str,
    id: String,
    name: String,
    plan: String,
    created_at: String,
    credits_used: Credits,
    /// None, where there is no bound.
    credits_remaining: Option<Credits>,
    credits_total: Option<Credits>,
    billing_period_start: String,
    billing_period_end: String,
}

async fn account_of(app: &App, caller: &Caller) -> Result<Account, Error> {
    let found = app.shared.store.account(caller.account.as_str()).await;
    let missing = || {
        Error::new(
            Kind::NotFound,
            "The administrator's key belongs to no account. Use a key of an account.",
        )
        .coded("no_account")
    };
    found.map_err(Error::internal)?.ok_or_else(missing)
}

/// `GET /v1/account`: what it is called, its plan, and its credits
///
/// # Errors
/// [`Kind::Forbidden`] for who may not see what was used; [`Kind::NotFound`] for the administrator's
/// key, which is of no account.
pub async fn account(app: &App, caller: &Caller) -> Result<AccountStanding, Error> {
    let account = account_of(app, caller).await?;
    let query = Query { bare: true, ..Query::default() };
    let used = usage::usage(app, caller, query).await?.told;
    Ok(AccountStanding {
        object: "account",
        id: account.id.as_str().to_owned(),
        name: account.name,
        plan: caller.plan.name.clone(),
        created_at: calendar::written(account.created),
        credits_used: used.credits_used,
        credits_remaining: used.credits_remaining,
        credits_total: used.credits_total,
        billing_period_start: used.billing_period_start,
        billing_period_end: used.billing_period_end,
    })
}

/// `GET /v1/limits`: rates from the counters that refuse, credits and budgets from the books
///
/// # Errors
/// When the store fails, or the administrator's key asks, which is of no account.
pub async fn limits(app: &App, caller: &Caller) -> Result<List<ShownBound>, Error> {
    account_of(app, caller).await?;
    let store = &app.shared.store;
    app.counter.journal.flush(FLUSH).await;
    let now = Now::at(app.shared.clock.now());
    let balances = store.balances(caller.account.clone()).await.map_err(Error::internal)?;
    let funds = Funds::of(&balances, now.period, caller.plan.credits);
    let mut all: Vec<Bound> = rates(&standing(app, caller, now).await).collect();
    let end: Timestamp = Period::end(now.period);
    if let (Some(total), Some(left)) = (funds.total(), funds.remaining()) {
        all.push(Bound {
            name: "credits_per_month",
            scope: "account",
            unit: "credits",
            limit: number(total.0),
            left: Some(number(left.0)),
            resets: Some(end),
        });
    }
    if let Some(limits) = &caller.terms.key_limits {
        let family = caller.terms.family.clone();
        let used = store.used_by_key(family, now.period.start()).await;
        let (credits, spend) = used.map_err(Error::internal)?;
        all.extend(of_key(limits, PeriodUsage { credits, spend }, end));
    }
    Ok(told(&all))
}

/// Asks the counters for nothing, which they answer with where things stand.
async fn standing(app: &App, caller: &Caller, now: Now) -> Standing {
    // Of rates alone: credits would need the books.
    let limits = Limits { credits: None, spend: None, ..caller.terms.limits.clone() };
    let terms = Terms { limits, key_limits: None, ..(*caller.terms).clone() };
    let id = RequestId::fresh();
    let ask = QuotaRequest {
        terms: &terms,
        amount: RequestAmount::default(),
        now,
        hold: id.as_str(),
        lapses: now.at.after(LAPSE),
        books: None,
    };
    match app.counter.quota.take(&ask).await {
        QuotaDecision::Yes(standing) => {
            let nothing = Correction {
                period: now.period,
                held: RequestAmount::default(),
                charged: PeriodUsage::default(),
                used_tokens: 0,
            };
            app.counter.quota.settle(&terms, id.as_str(), nothing);
            standing
        }
        QuotaDecision::No(_, standing) => standing,
        QuotaDecision::Blank => Standing::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_one_with_the_least_share_left_binds() {
        let standing = Standing {
            requests: Some(LimitLine { limit: 10, remaining: 5, reset: Timestamp(0) }),
            ..Standing::default()
        };
        let limits = Limits {
            requests_per_minute: Some(3),
            credits: Some(Credits(100)),
            spend: Some(Nanos(2_000_000_000)),
            ..Limits::default()
        };
        let used = PeriodUsage { credits: Credits(10), spend: Nanos(1_500_000_000) };
        let all: Vec<Bound> = rates(&standing).chain(of_key(&limits, used, Timestamp(0))).collect();
        let told = serde_json::to_value(told(&all)).unwrap();
        let rows = told["data"].as_array().unwrap();
        let of = |name: &str, scope: &str| {
            rows.iter().find(|row| row["name"] == name && row["scope"] == scope).unwrap().clone()
        };
        assert_eq!(of("requests_per_minute", "account")["used"], 5.0);
        assert!(of("requests_per_minute", "key")["left"].is_null(), "counted, and not told");
        assert_eq!(of("monthly_budget_usd", "key")["left"], 0.5);
        let binding: Vec<&Value> = rows.iter().filter(|row| row["binds"] == true).collect();
        assert_eq!((binding.len(), &binding[0]["name"]), (1, &json!("monthly_budget_usd")));
    }
}
