//! What an account used: the billing period, reports, single requests. All of it from the books.
//! Longer than most files: the same sums are told in three forms, and those are read side by side.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::admit::{Caller, Role, Scope};
use crate::base::calendar::{self, MINUTE_MS, Period};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::money::{Credits, Nanos};
use crate::base::{Error, Kind};
use crate::catalogue::{Mode, Model, Rates, Tier, TokenKind};
use crate::gateway::App;
use crate::ledger::report::{self, GroupBy};
use crate::ledger::{Funds, Selling, Settlement};
use crate::live::Live;
use crate::store::{MinuteSums, UsageDimension, UsageRow, UsageSpan};

/// What this node has delivered is in a report, unless the store is away for longer.
pub(super) const FLUSH: Duration = Duration::from_secs(2);

/// What a report is asked for.
#[derive(Debug, Default)]
pub struct Query {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub group: Option<GroupBy>,
    /// The model that savings are told against.
    pub baseline: Option<String>,
    /// Whose: for administrators only.
    pub account: Option<String>,
    /// Nothing was asked for but how the billing period stands: that is told as it is documented, and
    /// nothing beside it.
    pub bare: bool,
    pub waits: Waits,
}

/// Whether a report waits for what was charged a moment ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Waits {
    /// All that this node has delivered is in it. On a busy node that takes as long as posting a page.
    #[default]
    ForAll,
    /// What is in the store by now, which may lack the last second: pages that people look at.
    ForNothing,
}

/// A report: its totals and its groups.
pub struct Report {
    pub told: UsageReport,
    /// The same groups as rows of text, the first of them their names.
    pub rows: Vec<Vec<String>>,
}

/// Whose usage a caller may see: its own, or any if it is an administrator's.
async fn whose(
    app: &App,
    caller: &Caller,
    asked: Option<&str>,
) -> Result<Option<AccountId>, Error> {
    caller.must_be_for(Scope::Usage)?;
    match asked {
        Some(name) if caller.admin => {
            let found = app.shared.store.account(name).await.map_err(Error::internal)?;
            let missing = || Error::new(Kind::NotFound, "There is no such account.").at("account");
            Ok(Some(found.ok_or_else(missing)?.id))
        }
        Some(name) if name != caller.account.as_str() => {
            Err(Error::new(Kind::Forbidden, "This needs an administrator's key.").at("account"))
        }
        _ => Ok(Some(caller.account.clone())),
    }
}

/// The keys whose use a caller sees; `None` = all of the account's. Who runs the account or pays for it
/// sees all of it, a member what is theirs.
pub(super) async fn visible_keys(
    app: &App,
    caller: &Caller,
) -> Result<Option<HashSet<String>>, Error> {
    match caller.person.role {
        Role::Owner | Role::Admin | Role::Billing => return Ok(None),
        Role::Member => {}
    }
    let keys = app.shared.store.keys(Some(caller.account.clone())).await;
    let own = keys.map_err(Error::internal)?.into_iter();
    let own = own.filter(|key| key.member.as_deref() == Some(caller.person.id.as_str()));
    let mut own: HashSet<String> = own.map(|key| key.id.as_str().to_owned()).collect();
    own.insert(caller.key.as_str().to_owned());
    let member = app.shared.store.member(caller.account.clone(), caller.person.id.clone()).await;
    // What they do signed in, whichever credential they ask with.
    own.extend(member.map_err(Error::internal)?.map(|member| member.key.as_str().to_owned()));
    Ok(Some(own))
}

fn keep_visible(rows: &mut Vec<UsageRow>, keys: Option<&HashSet<String>>) {
    if let Some(keys) = keys {
        rows.retain(|row| keys.contains(&row.key));
    }
}

/// The model that savings are told against: the one asked for, the configured one, or the dearest
/// of the premium ones.
fn baseline<'a>(
    app: &App,
    live: &'a Live,
    asked: Option<&str>,
) -> Result<Option<(&'a Model, Rates)>, Error> {
    let catalogue = &live.catalogue;
    let now = app.shared.clock.now();
    // The sum of many prompts is not one long prompt.
    let price = |model: &'a Model| {
        let rates = model.deployments.first()?.prices.rates(now, 0)?;
        Some((model, *rates))
    };
    if let Some(name) = asked.or(app.shared.books.baseline_model.as_deref()) {
        let model = catalogue.model(name);
        return match (model, asked) {
            (Some(model), _) => Ok(price(model)),
            (None, Some(name)) => Err(Error::unknown_model(name)),
            (None, None) => Ok(None),
        };
    }
    let premium = catalogue
        .models()
        .iter()
        .map(AsRef::as_ref)
        .filter(|model: &&Model| model.mode == Mode::Chat && model.tier == Tier::Premium);
    Ok(premium.filter_map(price).max_by_key(|(model, price)| {
        (
            price.of(TokenKind::Input).plus(price.of(TokenKind::Output)),
            std::cmp::Reverse(model.id.clone()),
        )
    }))
}

fn average(sum: i64, count: i64) -> i64 {
    if count == 0 { 0 } else { sum / count }
}

fn usd(nanos: i64) -> f64 {
    Nanos(nanos).as_usd()
}

/// What was used, and what it cost.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sums {
    requests: i64,
    failed_requests: i64,
    /// Whose tokens were counted here, since the provider said nothing.
    estimated_requests: i64,
    input_tokens: i64,
    cached_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    total_tokens: i64,
    images: i64,
    credits: i64,
    /// What providers charge; not told to customers who are not to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_nano_usd: Option<i64>,
    /// What it is sold for.
    list_usd: f64,
    list_nano_usd: i64,
    /// Against the baseline; none, where there is none.
    saved_usd: Option<f64>,
    saved_usd_low: Option<f64>,
    saved_usd_high: Option<f64>,
    average_latency_ms: i64,
    average_time_to_first_byte_ms: i64,
}

/// What was used in all.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsageTotal {
    #[serde(flatten)]
    sums: Sums,
    start: String,
    end: String,
    /// The model that savings are told against.
    saved_against: Option<String>,
}

/// What was used of one group: what it is grouped by, and its name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UsageGroup {
    #[serde(flatten)]
    group: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    sums: Sums,
}

/// How the billing period stands, and, where that was asked for, what was used.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub struct UsageReport {
    pub credits_used: Credits,
    /// None, where there is no bound.
    pub credits_remaining: Option<Credits>,
    pub credits_total: Option<Credits>,
    pub billing_period_start: String,
    pub billing_period_end: String,
    /// Credits by tier.
    tier_breakdown: BTreeMap<Tier, i64>,
    #[serde(flatten)]
    used: Option<UsageData>,
}

/// What was used, as it was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Used")]
pub struct UsageData {
    plan: Option<String>,
    usage: UsageTotal,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<UsageGroup>>,
}

/// What sums of usage are told with.
#[derive(Debug, Clone, Copy, Default)]
struct Pricing {
    /// What savings are told against.
    baseline: Option<Rates>,
    /// Costs are told, and savings are of them; else of what is asked for.
    costs: bool,
}

impl Pricing {
    fn of(caller: &Caller, baseline: Option<Rates>) -> Self {
        let Selling { margin, show_cost: costs } = caller.selling();
        let sold = |rates: Rates| if costs { rates } else { rates.sold(margin) };
        Self { baseline: baseline.map(sold), costs }
    }
}

fn shown(sums: &MinuteSums, pricing: &Pricing) -> Sums {
    let Pricing { baseline, costs } = *pricing;
    let baseline = baseline.as_ref();
    let spent = if costs { sums.cost } else { sums.list };
    let between = baseline.map(|price| report::saved_between(sums, spent, price));
    let read = sums.input + sums.cache_read + sums.cache_write;
    Sums {
        requests: sums.requests,
        failed_requests: sums.failures,
        estimated_requests: sums.estimated,
        input_tokens: read,
        cached_tokens: sums.cache_read,
        output_tokens: sums.output + sums.thought,
        reasoning_tokens: sums.thought,
        total_tokens: read + sums.output + sums.thought,
        images: sums.images,
        credits: sums.credits,
        cost_usd: costs.then(|| usd(sums.cost)),
        cost_nano_usd: costs.then_some(sums.cost),
        list_usd: usd(sums.list),
        list_nano_usd: sums.list,
        saved_usd: baseline.map(|price| usd(report::saved(sums, spent, price))),
        saved_usd_low: between.map(|(low, _)| usd(low)),
        saved_usd_high: between.map(|(_, high)| usd(high)),
        average_latency_ms: average(sums.latency_ms, sums.requests),
        average_time_to_first_byte_ms: average(sums.first_byte_ms, sums.requests),
    }
}

/// The same, column by column.
fn columns(sums: &MinuteSums, pricing: &Pricing) -> Map<String, Value> {
    match serde_json::to_value(shown(sums, pricing)) {
        Ok(Value::Object(columns)) => columns,
        // Numbers can always be written.
        _ => Map::new(),
    }
}

/// `GET /v1/usage`
///
/// # Errors
/// What the caller is to be told.
pub async fn usage(app: &App, caller: &Caller, query: Query) -> Result<Report, Error> {
    let account = whose(app, caller, query.account.as_deref()).await?;
    let live = app.live();
    let baseline = baseline(app, &live, query.baseline.as_deref())?;
    if query.waits == Waits::ForAll {
        app.shared.books.journal.flush(FLUSH).await;
    }
    let now = app.shared.clock.now();
    let period = Period::of(now);
    let store = &app.shared.store;
    let id = account.clone().unwrap_or_else(|| caller.account.clone());
    let balances = store.balances(id.clone()).await.map_err(Error::internal)?;
    let plan = if id == caller.account {
        Some(Arc::clone(&caller.plan))
    } else {
        let account = store.account(id.as_str()).await.map_err(Error::internal)?;
        account.and_then(|one| app.shared.plans.held_to(&one.plan, one.limits.as_deref()))
    };
    let allowance = plan.as_ref().and_then(|plan| plan.credits);
    let funds = Funds::of(&balances, period, allowance);
    let this_period =
        UsageSpan { account: account.clone(), start: period.start(), end: period.end() };
    let rows = store.usage(this_period, &[UsageDimension::Tier]).await.map_err(Error::internal)?;
    let tiers = report::grouped(&rows, GroupBy::Tier);
    let credits = |tier: Tier| tiers.get(tier.as_str()).map_or(0, |sums| sums.credits);
    let last = Timestamp(period.end().0 - 1);
    let mut told = UsageReport {
        credits_used: funds.used,
        credits_remaining: funds.remaining(),
        credits_total: funds.total(),
        billing_period_start: calendar::written(period.start()),
        billing_period_end: calendar::written(last),
        tier_breakdown: Tier::ALL.into_iter().map(|tier| (tier, credits(tier))).collect(),
        used: None,
    };
    if query.bare {
        return Ok(Report { told, rows: Vec::new() });
    }

    let start = query.start.unwrap_or(period.start());
    let end = query.end.unwrap_or(period.end());
    if end <= start {
        return Err(Error::new(Kind::Malformed, "'end' must be after 'start'.").at("end"));
    }
    // What a minute holds is not told apart.
    let floor = |at: Timestamp| Timestamp(at.0 - at.0.rem_euclid(MINUTE_MS));
    let span =
        UsageSpan { account, start: floor(start), end: floor(Timestamp(end.0 + MINUTE_MS - 1)) };
    let group = query.group.unwrap_or(GroupBy::Day);
    let visible = visible_keys(app, caller).await?;
    let mut parts = vec![group.part()];
    if visible.is_some() && group != GroupBy::Key {
        parts.push(UsageDimension::Key);
    }
    let mut rows = store.usage(span, &parts).await.map_err(Error::internal)?;
    keep_visible(&mut rows, visible.as_ref());
    let pricing = Pricing::of(caller, baseline.as_ref().map(|(_, price)| *price));
    let total = UsageTotal {
        sums: shown(&report::total(&rows), &pricing),
        start: calendar::written(start),
        end: calendar::written(end),
        saved_against: baseline.as_ref().map(|(model, _)| model.id.to_string()),
    };
    let plan = plan.map(|plan| plan.name.clone());
    let mut used = UsageData { plan, usage: total, group_by: None, data: None };
    let groups = report::grouped(&rows, group);
    if query.group.is_some() {
        used.group_by = Some(group.as_str());
        let of = |(name, sums): (&String, &MinuteSums)| UsageGroup {
            group: BTreeMap::from([(group.as_str(), name.clone())]),
            sums: shown(sums, &pricing),
        };
        used.data = Some(groups.iter().map(of).collect());
    }
    told.used = Some(used);
    Ok(Report { told, rows: table(group, &groups, &pricing) })
}

fn table(
    group: GroupBy,
    groups: &BTreeMap<String, MinuteSums>,
    pricing: &Pricing,
) -> Vec<Vec<String>> {
    let names = columns(&MinuteSums::default(), pricing).keys().cloned().collect::<Vec<_>>();
    let mut rows = vec![[vec![group.as_str().to_owned()], names].concat()];
    for (name, sums) in groups {
        let mut row = vec![name.clone()];
        for (column, value) in columns(sums, pricing) {
            row.push(match (column.as_str(), &value) {
                ("cost_usd", _) => Nanos(sums.cost).to_decimal(),
                ("list_usd", _) => Nanos(sums.list).to_decimal(),
                (_, Value::Null) => String::new(),
                (_, value) => value.to_string(),
            });
        }
        rows.push(row);
    }
    rows
}

/// Whether a request of the caller's account is one that the caller sees.
pub(super) async fn is_visible(
    app: &App,
    caller: &Caller,
    one: &Settlement,
) -> Result<bool, Error> {
    if one.key == caller.key {
        return Ok(true);
    }
    let keys = visible_keys(app, caller).await?;
    Ok(keys.is_none_or(|keys| keys.contains(one.key.as_str())))
}

/// What OpenAI's interface for organizations is asked for.
#[derive(Debug)]
pub struct Buckets {
    pub kind: Kinds,
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    /// Milliseconds.
    pub width: i64,
    pub limit: usize,
    /// Where the page before left off.
    pub page: Option<Timestamp>,
    pub by_model: bool,
    pub by_key: bool,
    pub by_account: bool,
    pub models: Vec<String>,
    pub keys: Vec<String>,
    pub accounts: Vec<String>,
}

/// Which of its reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    Completions,
    Embeddings,
    Images,
    Costs,
}

impl Kinds {
    fn covers(self, mode: Mode) -> bool {
        match self {
            Self::Completions => !matches!(mode, Mode::Embedding | Mode::Image),
            Self::Embeddings => mode == Mode::Embedding,
            Self::Images => mode == Mode::Image,
            Self::Costs => true,
        }
    }
}

/// `GET /v1/organization/usage/*` and `/v1/organization/costs`, as OpenAI's SDKs and dashboards read
/// them. An account is a project; administrators see all of them.
///
/// # Errors
/// What the caller is to be told.
pub async fn buckets(app: &App, caller: &Caller, query: Buckets) -> Result<Value, Error> {
    caller.must_be_for(Scope::Usage)?;
    app.shared.books.journal.flush(FLUSH).await;
    let account = (!caller.admin).then(|| caller.account.clone());
    let costs = caller.sees_cost();
    let width = query.width.max(MINUTE_MS);
    let floor = |at: Timestamp| Timestamp(at.0 - at.0.rem_euclid(width));
    let first = floor(query.page.unwrap_or(query.start));
    let until = query.end.unwrap_or_else(|| app.shared.clock.now());
    let limit = i64::try_from(query.limit).unwrap_or(1);
    let last = Timestamp(first.0.saturating_add(limit.saturating_mul(width)).min(until.0));
    let span = UsageSpan { account, start: first, end: last };
    let parts = [
        UsageDimension::Stretch(width),
        UsageDimension::Account,
        UsageDimension::Key,
        UsageDimension::Model,
    ];
    let mut rows = app.shared.store.usage(span, &parts).await.map_err(Error::internal)?;
    keep_visible(&mut rows, visible_keys(app, caller).await?.as_ref());
    let named =
        |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let live = app.live();
    let mode =
        |row: &UsageRow| live.catalogue.model(&row.model).map_or(Mode::Chat, |model| model.mode);
    let mut data = Vec::new();
    let mut start = first;
    while start < last {
        let mut results: BTreeMap<[Option<String>; 3], MinuteSums> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.start == start) {
            let wanted = query.kind.covers(mode(row))
                && named(&query.models, &row.model)
                && named(&query.keys, &row.key)
                && named(&query.accounts, &row.account);
            if wanted && (row.sums.requests > 0 || row.sums.cost > 0) {
                let group = [
                    query.by_model.then(|| row.model.clone()),
                    query.by_key.then(|| row.key.clone()),
                    query.by_account.then(|| row.account.clone()),
                ];
                results.entry(group).or_default().add(&row.sums);
            }
        }
        let results: Vec<Value> =
            results.iter().map(|(group, sums)| result(query.kind, group, sums, costs)).collect();
        data.push(json!({
            "object": "bucket",
            "start_time": start.seconds(),
            "end_time": Timestamp(start.0 + width).seconds(),
            "results": results,
        }));
        start = Timestamp(start.0 + width);
    }
    let more = start < until;
    Ok(json!({
        "object": "page",
        "data": data,
        "has_more": more,
        "next_page": more.then(|| format!("page_{}", start.0)),
    }))
}

/// One result of a bucket. Who is not to know costs is told what is asked for.
fn result(
    kind: Kinds,
    [model, key, account]: &[Option<String>; 3],
    sums: &MinuteSums,
    costs: bool,
) -> Value {
    match kind {
        Kinds::Completions => json!({
            "object": "organization.usage.completions.result",
            "input_tokens": sums.input + sums.cache_read + sums.cache_write,
            "output_tokens": sums.output + sums.thought,
            "input_cached_tokens": sums.cache_read,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "num_model_requests": sums.requests,
            "project_id": account, "user_id": null, "api_key_id": key, "model": model,
            "batch": null, "service_tier": null,
        }),
        Kinds::Embeddings => json!({
            "object": "organization.usage.embeddings.result",
            "input_tokens": sums.input + sums.cache_read,
            "num_model_requests": sums.requests,
            "project_id": account, "user_id": null, "api_key_id": key, "model": model,
        }),
        Kinds::Images => json!({
            "object": "organization.usage.images.result",
            "images": sums.images,
            "num_model_requests": sums.requests,
            "source": null, "size": null,
            "project_id": account, "user_id": null, "api_key_id": key, "model": model,
        }),
        Kinds::Costs => json!({
            "object": "organization.costs.result",
            "amount": {"value": usd(if costs { sums.cost } else { sums.list }), "currency": "usd"},
            "line_item": model,
            "project_id": account,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_of_nothing_is_nothing() {
        assert_eq!((average(0, 0), average(7, 2), average(5, 0)), (0, 3, 0));
    }

    #[test]
    fn a_member_sees_the_rows_of_own_keys() {
        let row = |key: &str| UsageRow {
            account: "acct_1".to_owned(),
            key: key.to_owned(),
            model: "m".to_owned(),
            provider: "p".to_owned(),
            tier: "standard".to_owned(),
            start: Timestamp(0),
            sums: MinuteSums::default(),
        };
        let mut rows = vec![row("key_1"), row("key_2")];
        keep_visible(&mut rows, None);
        assert_eq!(rows.len(), 2);
        keep_visible(&mut rows, Some(&HashSet::from(["key_2".to_owned()])));
        assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["key_2"]);
    }
}
