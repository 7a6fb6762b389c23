//! What `auto` has learned of models: whose corrections are in force, how large they are, and why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::base::ids::AccountId;
use crate::base::{Error, calendar};
use crate::findings::{Findings, Found, found};
use crate::gateway::App;
use crate::router::{Outcomes, Sign, in_force};

/// More are not listed at once; whoever wants the rest asks for an account or a model.
const MOST: usize = 1_000;

/// What an account's answers have taught of one model. Numbers are log-odds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Correction")]
pub struct ToldCorrection {
    object: &'static str,
    account: String,
    model: String,
    /// In force: the account's own, and that of all.
    correction: f64,
    own: f64,
    for_all: f64,
    feedback: ByFeedback,
    outcomes: ByOutcomes,
    updated_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ByFeedback {
    count: u64,
    correction: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ByOutcomes {
    correction: f64,
    /// How often each sign was seen.
    seen: Option<BTreeMap<Sign, u64>>,
}

/// What the corrections of accounts come to for everybody.
#[derive(Debug, Serialize, JsonSchema)]
struct ForAll {
    model: String,
    correction: f64,
    accounts: usize,
}

/// The corrections in force.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Corrections {
    object: &'static str,
    data: Vec<ToldCorrection>,
    has_more: bool,
    for_all: Vec<ForAll>,
}

fn told(one: &Found, for_all: f32) -> ToldCorrection {
    ToldCorrection {
        object: "correction",
        account: one.account.as_str().to_owned(),
        model: one.model.clone(),
        correction: in_force(one.own, for_all).into(),
        own: one.own.into(),
        for_all: for_all.into(),
        feedback: ByFeedback { count: one.said, correction: one.by_feedback.into() },
        outcomes: ByOutcomes {
            correction: one.by_outcomes.into(),
            seen: one.outcomes.as_ref().map(|outcomes: &Outcomes| outcomes.seen.clone()),
        },
        updated_at: calendar::written(one.updated),
    }
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
) -> Result<Corrections, Error> {
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
    let data = all.iter().take(MOST).map(|one| told(one, moved(&one.model))).collect();
    let global = for_all
        .iter()
        .filter(|(name, _)| model.is_none_or(|model| *name == model))
        .map(|(name, moved)| ForAll {
            model: (*name).clone(),
            correction: moved.by.into(),
            accounts: moved.accounts,
        })
        .collect();
    Ok(Corrections { object: "list", data, has_more: all.len() > MOST, for_all: global })
}
