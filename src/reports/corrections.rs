//! What `auto` has learned of models: whose corrections are in force, how large they are, and why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::base::ids::AccountId;
use crate::base::{Error, calendar};
use crate::findings::{Findings, ModelFindings, found};
use crate::gateway::App;
use crate::router::{Outcomes, Sign, in_force};

/// More are not listed at once; whoever wants the rest asks for an account or a model.
const MOST: usize = 1_000;

/// What an account's answers have taught of one model. Numbers are log-odds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Correction")]
pub struct CorrectionView {
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
#[schemars(rename = "Corrections")]
pub struct CorrectionList {
    object: &'static str,
    data: Vec<CorrectionView>,
    has_more: bool,
    for_all: Vec<ForAll>,
}

fn told(one: &ModelFindings, for_all: f32) -> CorrectionView {
    CorrectionView {
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
) -> Result<CorrectionList, Error> {
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
    Ok(CorrectionList { object: "list", data, has_more: all.len() > MOST, for_all: global })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::boot::fixture::Fixture;
    use crate::store::Feedback;

    /// Says of a model, `times` often, that it was better than predicted, or worse.
    async fn said(
        fixture: &Fixture,
        account: &AccountId,
        model: &str,
        times: usize,
        millionths: i64,
    ) {
        let one = |number: usize| Feedback {
            request: format!("feedback_{number}"),
            model: model.to_owned(),
            residual: millionths,
        };
        let shared = &fixture.app.shared;
        let all = (0..times).map(one).collect();
        shared.store.put_feedback(account.clone(), all, shared.clock.now()).await.unwrap();
    }

    async fn told(fixture: &Fixture, account: Option<&AccountId>, model: Option<&str>) -> Value {
        let told = corrections(&fixture.app, account, model).await.unwrap();
        serde_json::to_value(told).unwrap()
    }

    /// Whose they are, of which model, in order.
    fn of(told: &Value) -> Vec<(&str, &str)> {
        let text = |one: &'_ Value, name: &str| one[name].as_str().map(str::to_owned);
        let all = told["data"].as_array().unwrap().iter();
        assert!(all.clone().all(|one| text(one, "updated_at").is_some()));
        all.map(|one| (one["account"].as_str().unwrap(), one["model"].as_str().unwrap())).collect()
    }

    #[tokio::test]
    async fn what_moves_most_comes_first_of_the_account_and_the_model_that_are_asked_for() {
        let fixture = Fixture::of("").await;
        let (a, b) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        said(&fixture, &a, "m", 1, 500_000).await;
        said(&fixture, &a, "n", 9, 500_000).await;
        said(&fixture, &b, "m", 9, -1_000_000).await;
        let (x, y) = ("acct_a", "acct_b");
        for (account, model, all) in [
            (None, None, &[(y, "m"), (x, "n"), (x, "m")][..]),
            (Some(&a), None, &[(x, "n"), (x, "m")]),
            (None, Some("m"), &[(y, "m"), (x, "m")]),
            (Some(&b), Some("m"), &[(y, "m")]),
            (Some(&b), Some("n"), &[]),
        ] {
            assert_eq!(of(&told(&fixture, account, model).await), all, "{account:?} {model:?}");
        }
        let all = told(&fixture, Some(&b), None).await;
        let one = &all["data"][0];
        assert_eq!((&one["feedback"]["count"], &all["has_more"]), (&json!(9), &json!(false)));
        assert_eq!(one["outcomes"]["seen"], Value::Null, "no answer has shown anything");
        assert_eq!((&one["correction"], &one["for_all"]), (&one["own"], &json!(0.0)));
    }

    #[tokio::test]
    async fn what_accounts_come_to_for_everybody_is_told_beside_and_added() {
        let fixture = Fixture::of("[router]\nlearn_globally = true\n").await;
        for number in 0..20 {
            let account = AccountId::stored(&format!("acct_{number}"));
            said(&fixture, &account, "m", 30, -1_000_000).await;
            said(&fixture, &account, "n", 1, 100_000).await;
        }
        let shared = &fixture.app.shared;
        let findings = shared.routing.learned.findings.as_ref().unwrap();
        findings.gather(&shared.store, shared.clock.now()).await.unwrap();
        let all = told(&fixture, None, Some("m")).await;
        let for_all = all["for_all"].as_array().unwrap();
        assert_eq!(for_all.len(), 1, "of this model alone: {for_all:?}");
        assert_eq!((&for_all[0]["model"], &for_all[0]["accounts"]), (&json!("m"), &json!(20)));
        let moved = for_all[0]["correction"].as_f64().unwrap();
        let one = &all["data"][0];
        let number = |name: &str| one[name].as_f64().unwrap();
        assert!(moved < 0.0 && (number("for_all") - moved).abs() < 1e-9);
        assert!((-0.801..=number("own")).contains(&number("correction")), "both, and bounded");
        let two = told(&fixture, None, None).await;
        assert_eq!(two["for_all"].as_array().unwrap().len(), 2);
        let n = two["data"].as_array().unwrap().iter().find(|one| one["model"] == "n").unwrap();
        let number = |name: &str| n[name].as_f64().unwrap();
        let sum = number("own") + number("for_all");
        assert!((number("correction") - sum).abs() < 1e-6 && number("for_all") > 0.0, "{n}");
    }

    #[tokio::test]
    async fn more_than_a_page_is_told_of_as_such() {
        let fixture = Fixture::of("").await;
        let account = AccountId::stored("acct_a");
        let one = |number: usize| Feedback {
            request: "feedback_1".to_owned(),
            model: format!("m{number}"),
            residual: 1_000,
        };
        let shared = &fixture.app.shared;
        for (more, has_more) in [(MOST, false), (MOST + 1, true)] {
            let all = (0..more).map(one).collect();
            let now = shared.clock.now();
            shared.store.put_feedback(account.clone(), all, now).await.unwrap();
            let told = corrections(&fixture.app, None, None).await.unwrap();
            assert_eq!((told.data.len(), told.has_more), (MOST, has_more));
        }
    }
}
