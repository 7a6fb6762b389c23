//! What `auto` has learned of models: whose corrections are in force, how large they are, and why.

use serde_json::{Value, json};

use crate::base::ids::AccountId;
use crate::base::{Error, calendar};
use crate::findings::{Findings, Found, found};
use crate::gateway::App;
use crate::router::{Outcomes, in_force};

/// More are not listed at once; whoever wants the rest asks for an account or a model.
const MOST: usize = 1_000;

fn told(one: &Found, for_all: f32) -> Value {
    json!({
        "object": "correction",
        "account": one.account.as_str(),
        "model": one.model,
        "correction": in_force(one.own, for_all),
        "own": one.own,
        "for_all": for_all,
        "feedback": {"count": one.said, "correction": one.by_feedback},
        "outcomes": {
            "correction": one.by_outcomes,
            "seen": one.outcomes.as_ref().map(|outcomes: &Outcomes| &outcomes.seen),
        },
        "updated_at": calendar::written(one.updated),
    })
}

/// The corrections in force, of one account or of all, of one model or of all: those of accounts, and what
/// they come to for everybody, in log-odds.
///
/// # Errors
/// When the store fails.
pub async fn corrections(
    app: &App,
    account: Option<&AccountId>,
    model: Option<&str>,
) -> Result<Value, Error> {
    let shared = &app.shared;
    let now = shared.clock.now();
    let learns = shared.routing.learned.findings.is_some();
    let mut all = found(&shared.store, account, learns, now).await.map_err(Error::internal)?;
    all.retain(|one| model.is_none_or(|model| one.model == model));
    // What moves most comes first.
    all.sort_by(|one, other| other.own.abs().total_cmp(&one.own.abs()));
    let for_all =
        shared.routing.learned.findings.as_ref().map(Findings::for_all).unwrap_or_default();
    let moved = |model: &str| for_all.get(model).map_or(0.0, |moved| moved.by);
    let data: Vec<Value> = all.iter().take(MOST).map(|one| told(one, moved(&one.model))).collect();
    let global: Vec<Value> = for_all
        .iter()
        .filter(|(name, _)| model.is_none_or(|model| *name == model))
        .map(|(name, moved)| {
            json!({"model": name, "correction": moved.by, "accounts": moved.accounts})
        })
        .collect();
    Ok(json!({
        "object": "list",
        "data": data,
        "has_more": all.len() > MOST,
        "for_all": global,
    }))
}
