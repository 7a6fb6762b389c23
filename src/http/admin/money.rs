//! Plans, credits, and the proofs of what was done.

use std::collections::BTreeMap;

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Worker, arrival};
use super::act::{act, act_on};
use super::revisions::ChangeQuery;
use crate::administration::change::ChangeResult;
use crate::admit::{Bound, Feature, Plan, PlanEntry};
use crate::base::Error;
use crate::base::calendar;
use crate::base::money::{Credits, Margin};
use crate::base::told::List;
use crate::catalogue::diff::Changes;
use crate::catalogue::{DataCollection, Tier};
use crate::ledger::verify::verify as prove;
use crate::router::Replay;
use crate::store::Audit;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewGrant {
    credits: i64,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewRefund {
    request: String,
    #[serde(default)]
    reason: String,
}

/// The query of the list of what administrators did.
#[derive(Deserialize)]
pub(in crate::http) struct AuditQuery {
    before: Option<String>,
    limit: Option<i64>,
}

/// A plan as it holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Plan")]
pub(in crate::http) struct ShownPlan {
    name: String,
    object: &'static str,
    tiers: Vec<Tier>,
    requests_per_minute: Bound,
    requests_per_day: Bound,
    tokens_per_minute: Bound,
    images_per_minute: Bound,
    features: Option<BTreeMap<Feature, bool>>,
    guardrails: Vec<String>,
    data_collection: Option<DataCollection>,
    zdr: Option<bool>,
    regions: Option<Vec<String>>,
    credits_per_month: Bound,
    /// What is asked above the price of a model's first deployment.
    margin: Margin,
}

fn shown(plan: &Plan) -> ShownPlan {
    let limit = |limit: Option<u64>| limit.map_or(Bound::Unlimited, Bound::Of);
    let credits = plan.credits.map(|all| u64::try_from(all.0).unwrap_or(0));
    ShownPlan {
        name: plan.name.clone(),
        object: "plan",
        tiers: plan.tiers.clone(),
        requests_per_minute: limit(plan.limits.requests_per_minute),
        requests_per_day: limit(plan.limits.requests_per_day),
        tokens_per_minute: limit(plan.limits.tokens_per_minute),
        images_per_minute: limit(plan.limits.images_per_minute),
        features: plan.entry.features.clone(),
        guardrails: plan.entry.guardrails.clone().unwrap_or_default(),
        data_collection: plan.entry.data_collection,
        zdr: plan.entry.zdr,
        regions: plan.entry.regions.clone(),
        credits_per_month: limit(credits),
        margin: plan.selling.margin,
    }
}

/// What came of a change of a plan: the plan as it holds now, if it still is one, with the revision that
/// it is in.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PlanCame")]
pub(in crate::http) struct PlanChanged {
    #[serde(flatten)]
    plan: PlanOrNone,
    /// What administrators say of it now.
    said: Option<Value>,
    revision: Option<i64>,
    dry_run: bool,
    changes: Changes,
    replay: Option<Replay>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum PlanOrNone {
    Holds(Box<ShownPlan>),
    Gone { name: String, object: &'static str, deleted: bool },
}

fn told(name: &str, plan: Option<&Plan>, came: ChangeResult) -> PlanChanged {
    let deleted = came.revision.is_some();
    let gone = || PlanOrNone::Gone { name: name.to_owned(), object: "plan", deleted };
    PlanChanged {
        plan: plan.map_or_else(gone, |plan| PlanOrNone::Holds(Box::new(shown(plan)))),
        said: came.said,
        revision: came.revision,
        dry_run: came.revision.is_none(),
        changes: came.changes,
        replay: came.replay,
    }
}

/// What an administrator did.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct AuditEvent {
    id: String,
    object: &'static str,
    at: String,
    actor: String,
    action: String,
    target: String,
    /// What belongs to the action.
    detail: Value,
}

fn logged(audit: &Audit) -> AuditEvent {
    AuditEvent {
        id: audit.id.as_str().to_owned(),
        object: "audit_event",
        at: calendar::written(audit.at),
        actor: audit.actor.clone(),
        action: audit.action.clone(),
        target: audit.target.clone(),
        detail: serde_json::from_str(&audit.detail).unwrap_or(Value::Null),
    }
}

/// Credits that were given.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Granted {
    id: String,
    object: &'static str,
    account: String,
    credits: Credits,
    reason: String,
}

/// Credits of a request that were given back.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct Refunded {
    id: String,
    object: &'static str,
    account: String,
    request: String,
    credits: Credits,
    reason: String,
}

/// Credits that were given, or given back, as lists show them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Grant")]
pub(in crate::http) struct ShownGrant {
    id: String,
    /// `credit_grant` or `refund`.
    object: &'static str,
    credits: i64,
    /// The request that was refunded.
    request: Option<String>,
    reason: String,
    /// In seconds since the epoch.
    created: i64,
}

/// `GET /v1/admin/plans`
pub async fn plans(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        Ok(List::of(administration.plans.all().iter().map(|plan| shown(plan)).collect()))
    })
    .await
}

/// `PUT /v1/admin/plans/{name}`
pub async fn put_plan(
    app: Worker,
    request: HttpRequest,
    name: Path<String>,
    asked: Query<ChangeQuery>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, entry: PlanEntry| {
        let came = administration.put_plan(&name, &entry, &asked.manner()?).await?;
        Ok(told(&name, administration.plans.get(&name).as_deref(), came))
    })
    .await
}

/// `DELETE /v1/admin/plans/{name}`: as configured or built in again
pub async fn drop_plan(
    app: Worker,
    request: HttpRequest,
    name: Path<String>,
    asked: Query<ChangeQuery>,
) -> HttpResponse {
    act(&app, &request, async |administration| {
        let came = administration.drop_plan(&name, &asked.manner()?).await?;
        Ok(told(&name, administration.plans.get(&name).as_deref(), came))
    })
    .await
}

/// `POST /v1/admin/accounts/{id}/credits`: `credits` below nothing takes some back. Once for each
/// `Idempotency-Key`
pub async fn grant(
    app: Worker,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewGrant| {
        let once = arrival::idempotency(&request);
        let grant = administration.grant(&id, new.credits, &new.reason, once).await?;
        Ok(Granted {
            id: grant.id.as_str().to_owned(),
            object: "credit_grant",
            account: grant.account.as_str().to_owned(),
            credits: grant.credits,
            reason: grant.reason,
        })
    })
    .await
}

/// `GET /v1/admin/accounts/{id}/credits`
pub async fn grants(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let account = administration.account(&id).await?;
        let all = administration.store.grants(account.id).await.map_err(Error::internal)?;
        let shown = all.into_iter().map(|grant| ShownGrant {
            id: grant.id,
            object: if grant.request.is_some() { "refund" } else { "credit_grant" },
            credits: grant.credits,
            request: grant.request,
            reason: grant.reason,
            created: grant.created.seconds(),
        });
        Ok(List::of(shown.collect()))
    })
    .await
}

/// `POST /v1/admin/refunds`
pub async fn refund(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewRefund| {
        let (grant, charged) = administration.refund(&new.request, &new.reason).await?;
        Ok(Refunded {
            id: grant.id.as_str().to_owned(),
            object: "refund",
            account: grant.account.as_str().to_owned(),
            request: charged.id.as_str().to_owned(),
            credits: grant.credits,
            reason: grant.reason,
        })
    })
    .await
}

/// `GET /v1/admin/audit`, newest first
pub async fn audit(app: Worker, request: HttpRequest, page: Query<AuditQuery>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let limit = page.limit.unwrap_or(100).clamp(1, 1_000);
        let all = administration
            .store
            .audits(page.before.clone(), limit)
            .await
            .map_err(Error::internal)?;
        Ok(List::of(all.iter().map(logged).collect()))
    })
    .await
}

/// `GET /v1/admin/ledger/verify`
pub async fn verify(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        app.shared.books.journal.flush(std::time::Duration::from_secs(5)).await;
        prove(administration.store).await.map_err(Error::internal)
    })
    .await
}
