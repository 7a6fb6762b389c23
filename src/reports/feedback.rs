//! What accounts think of answers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::usage;
use crate::admit::{Caller, Scope};
use crate::base::{Error, Kind};
use crate::gateway::App;
use crate::ledger::{Settlement, report};
use crate::store::Feedback;

/// What is predicted of an answer where nothing was.
const USUAL_QUALITY: f64 = 0.75;
/// The longest request id that is looked at.
const ID_CHARACTERS: usize = 100;

/// What was said of an answer, or of two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Feedback")]
pub struct Said {
    pub request_id: Option<String>,
    /// The model that answered, where no request says.
    pub model: Option<String>,
    /// From 0, useless, to 1, perfect.
    #[schemars(range(min = 0, max = 1))]
    pub score: Option<f64>,
    /// Of two models' answers, the one that was better.
    pub better: Option<String>,
    pub worse: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Noted {
    pub object: &'static str,
    pub request_id: String,
    pub corrections: Vec<Corrected>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Corrected {
    pub model: String,
    /// In log-odds, this word counted.
    pub correction: f32,
}

fn malformed(what: &'static str) -> Error {
    Error::new(Kind::Malformed, what)
}

/// The quality that was predicted of the model that answered, where `auto` chose it.
fn promised(answered: &Settlement) -> Option<f64> {
    let by = answered.by.as_ref()?;
    let candidates = &answered.weighed.as_ref()?.candidates;
    // At the effort that was chosen, which is told before others of the same model.
    let one = candidates.iter().find(|one| one.model == by.model)?;
    Some(f64::from(one.quality) / 1e3)
}

/// Notes what an account says.
///
/// # Errors
/// [`Kind::Malformed`] for what is no opinion, [`Kind::NotFound`] for a request that is not the
/// caller's, [`Kind::UnknownModel`] for a model that nobody serves.
pub async fn note(app: &App, caller: &Caller, said: Said) -> Result<Noted, Error> {
    caller.must_be_for(Scope::Chat)?;
    let shared = &app.shared;
    let live = app.live();
    let named = |name: &str| {
        let model = live.catalogue.model(name).ok_or_else(|| Error::unknown_model(name))?;
        Ok::<_, Error>(model.id.to_string())
    };
    let mut answered = None;
    if let Some(id) = said.request_id.as_deref() {
        shared.books.journal.flush(Duration::from_secs(2)).await;
        let found = report::find(&shared.store, id).await.map_err(Error::internal)?;
        let mut own = found.filter(|one| one.account == caller.account);
        if let Some(one) = &own
            && !usage::is_visible(app, caller, one).await?
        {
            own = None;
        }
        answered = Some(own.ok_or_else(|| {
            let id: String = id.chars().take(ID_CHARACTERS).collect();
            Error::new(Kind::NotFound, format!("There is no request '{id}'."))
        })?);
    }
    let request =
        said.request_id.unwrap_or_else(|| format!("feedback_{}", uuid::Uuid::now_v7().simple()));
    let opinions: Vec<(String, f64)> = match (said.score, said.better, said.worse) {
        (Some(score), None, None) if (0.0..=1.0).contains(&score) => {
            let by = answered.as_ref().and_then(|one| one.by.as_ref());
            let model = match (by, said.model) {
                (Some(by), None) => by.model.clone(),
                (None, Some(model)) => named(&model)?,
                (Some(by), Some(model)) if by.model == named(&model)? => by.model.clone(),
                (Some(_), Some(_)) => {
                    return Err(malformed("Another model answered that request."));
                }
                (None, None) => {
                    return Err(malformed("Give the 'request_id', or the 'model' that answered."));
                }
            };
            let promised = answered.as_ref().and_then(promised).unwrap_or(USUAL_QUALITY);
            vec![(model, score - promised)]
        }
        (Some(_), None, None) => {
            return Err(malformed("'score' has to be from 0 to 1.").at("score"));
        }
        (None, Some(better), Some(worse)) => {
            let (better, worse) = (named(&better)?, named(&worse)?);
            if better == worse {
                return Err(malformed("'better' and 'worse' are one model."));
            }
            vec![(better, 0.5), (worse, -0.5)]
        }
        _ => return Err(malformed("Give a 'score', or 'better' and 'worse'.")),
    };
    let kept = opinions.iter().map(|(model, residual)| {
        #[expect(clippy::cast_possible_truncation, reason = "between -1 and 1")]
        let residual = (residual * 1e6) as i64;
        Feedback { request: request.clone(), model: model.clone(), residual }
    });
    let (account, now) = (caller.account.clone(), shared.clock.now());
    shared.store.put_feedback(account, kept.collect(), now).await.map_err(Error::internal)?;
    shared.routing.learned.corrections.forget(&caller.account, &live);
    let now = shared.routing.learned.corrections_of(&live, &caller.account).await;
    let place = |name: &str| live.catalogue.models().iter().position(|one| &*one.id == name);
    let corrections = opinions.into_iter().map(|(model, _)| {
        let correction = place(&model).and_then(|place| now.get(&place)).copied().unwrap_or(0.0);
        Corrected { model, correction }
    });
    Ok(Noted { object: "feedback", request_id: request, corrections: corrections.collect() })
}
