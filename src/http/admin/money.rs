//! Plans, credits, and the proofs of what was done.

use actix_web::web::{Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Worker, arrival};
use super::act::{act, act_on, list};
use super::revisions::Asked;
use crate::administration::change::Came;
use crate::admit::{Plan, PlanEntry};
use crate::base::Error;
use crate::base::calendar;
use crate::ledger::verify::verify as prove;
use crate::store::Audit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    credits: i64,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    request: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<String>,
    limit: Option<i64>,
}

fn shown(plan: &Plan) -> Value {
    let limit = |limit: Option<u64>| limit.map_or_else(|| json!("unlimited"), Value::from);
    json!({
        "name": plan.name,
        "object": "plan",
        "tiers": plan.tiers,
        "requests_per_minute": limit(plan.limits.requests_per_minute),
        "requests_per_day": limit(plan.limits.requests_per_day),
        "tokens_per_minute": limit(plan.limits.tokens_per_minute),
        "images_per_minute": limit(plan.limits.images_per_minute),
        "features": plan.entry.features,
        "guardrails": plan.entry.guardrails.as_deref().unwrap_or_default(),
        "data_collection": plan.entry.data_collection,
        "zdr": plan.entry.zdr,
        "regions": plan.entry.regions,
        "credits_per_month": plan.credits.map_or_else(|| json!("unlimited"), |all| json!(all)),
    })
}

/// What came of a change of a plan: the plan as it holds now, with the revision that it is in.
fn told(name: &str, plan: Option<&Plan>, came: Came) -> Value {
    let gone = || json!({"name": name, "object": "plan", "deleted": came.revision.is_some()});
    let mut told = plan.map_or_else(gone, shown);
    if let Some(told) = told.as_object_mut() {
        told.extend([
            ("said".to_owned(), json!(came.said)),
            ("revision".to_owned(), json!(came.revision)),
            ("dry_run".to_owned(), json!(came.revision.is_none())),
            ("changes".to_owned(), json!(came.changes)),
            ("replay".to_owned(), json!(came.replay)),
        ]);
    }
    told
}

fn logged(audit: &Audit) -> Value {
    json!({
        "id": audit.id.as_str(),
        "object": "audit_event",
        "at": calendar::written(audit.at),
        "actor": audit.actor,
        "action": audit.action,
        "target": audit.target,
        "detail": serde_json::from_str::<Value>(&audit.detail).unwrap_or(Value::Null),
    })
}

/// `GET /v1/admin/plans`
pub async fn plans(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        Ok(list(administration.plans.all().iter().map(|plan| shown(plan)).collect()))
    })
    .await
}

/// `PUT /v1/admin/plans/{name}`
pub async fn put_plan(
    app: Worker,
    request: HttpRequest,
    name: Path<String>,
    asked: Query<Asked>,
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
    asked: Query<Asked>,
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
        Ok(json!({
            "id": grant.id.as_str(),
            "object": "credit_grant",
            "account": grant.account.as_str(),
            "credits": grant.credits,
            "reason": grant.reason,
        }))
    })
    .await
}

/// `GET /v1/admin/accounts/{id}/credits`
pub async fn grants(app: Worker, request: HttpRequest, id: Path<String>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let account = administration.account(&id).await?;
        let all = administration.store.grants(account.id).await.map_err(Error::internal)?;
        let shown = all.iter().map(|grant| {
            json!({
                "id": grant.id,
                "object": if grant.request.is_some() { "refund" } else { "credit_grant" },
                "credits": grant.credits,
                "request": grant.request,
                "reason": grant.reason,
                "created": grant.created.seconds(),
            })
        });
        Ok(list(shown.collect()))
    })
    .await
}

/// `POST /v1/admin/refunds`
pub async fn refund(app: Worker, request: HttpRequest, payload: Payload) -> HttpResponse {
    act_on(&app, &request, payload, async |administration, new: NewRefund| {
        let (grant, charged) = administration.refund(&new.request, &new.reason).await?;
        Ok(json!({
            "id": grant.id.as_str(),
            "object": "refund",
            "account": grant.account.as_str(),
            "request": charged.id.as_str(),
            "credits": grant.credits,
            "reason": grant.reason,
        }))
    })
    .await
}

/// `GET /v1/admin/audit`, newest first
pub async fn audit(app: Worker, request: HttpRequest, page: Query<Page>) -> HttpResponse {
    act(&app, &request, async |administration| {
        let limit = page.limit.unwrap_or(100).clamp(1, 1_000);
        let all = administration
            .store
            .audits(page.before.clone(), limit)
            .await
            .map_err(Error::internal)?;
        Ok(list(all.iter().map(logged).collect()))
    })
    .await
}

/// `GET /v1/admin/ledger/verify`
pub async fn verify(app: Worker, request: HttpRequest) -> HttpResponse {
    act(&app, &request, async |administration| {
        app.shared.books.journal.flush(std::time::Duration::from_secs(5)).await;
        let proof = prove(administration.store).await.map_err(Error::internal)?;
        serde_json::to_value(proof).map_err(Error::internal)
    })
    .await
}
