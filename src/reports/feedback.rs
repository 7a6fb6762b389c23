//! What accounts think of answers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::usage;
use crate::admit::{Caller, Scope};
use crate::base::{Error, Kind};
use crate::catalogue::Catalogue;
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
pub struct FeedbackRequest {
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
#[schemars(rename = "Noted")]
pub struct FeedbackReceipt {
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
fn promised(answered: &Settlement, catalogue: &Catalogue) -> Option<f64> {
    let by = answered.by.as_ref()?;
    let weighed = answered.weighed.as_ref()?.read(catalogue)?;
    // At the effort that was chosen, which is told before others of the same model.
    let one = weighed.candidates.iter().find(|one| one.model.as_deref() == Some(&*by.model))?;
    Some(f64::from(one.quality) / 1e3)
}

/// Notes what an account says.
///
/// # Errors
/// [`Kind::Malformed`] for what is no opinion, [`Kind::NotFound`] for a request that is not the
/// caller's, [`Kind::UnknownModel`] for a model that nobody serves.
pub async fn note(
    app: &App,
    caller: &Caller,
    said: FeedbackRequest,
) -> Result<FeedbackReceipt, Error> {
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
            let promised = answered.as_ref().and_then(|one| promised(one, &live.catalogue));
            let promised = promised.unwrap_or(USUAL_QUALITY);
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
    Ok(FeedbackReceipt {
        object: "feedback",
        request_id: request,
        corrections: corrections.collect(),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::admit::KeyTerms;
    use crate::base::ids::RequestId;
    use crate::boot::fixture::{CannedAnswer, FakeProvider, Fixture};
    use crate::exchange::Arrival;
    use crate::gateway::answer;
    use crate::wire::vocab::Dialect;

    async fn fixture() -> (Fixture, FakeProvider) {
        let provider = FakeProvider::answering(|_| CannedAnswer::completion("hi")).await;
        let config = provider.serving("openai-chat", &["m", "n"]);
        let config = config.replace("id = \"m\"", "id = \"m\"\naliases = [\"em\"]");
        (Fixture::of(&config).await, provider)
    }

    /// The id of a request that was answered.
    async fn answered(fixture: &Fixture, caller: &Caller, model: &str) -> RequestId {
        let id = RequestId::fresh();
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
        let body = Bytes::from(body.to_string());
        let arrival = Arrival::of(id.clone(), Dialect::OpenAiChat, body);
        assert!(answer(&fixture.app, caller, arrival).await.is_ok());
        id
    }

    async fn noted(
        fixture: &Fixture,
        caller: &Caller,
        said: Value,
    ) -> Result<FeedbackReceipt, Error> {
        note(&fixture.app, caller, serde_json::from_value(said).unwrap()).await
    }

    /// What is kept of an account, as `model, how often, by how many thousandths`.
    async fn kept(fixture: &Fixture, caller: &Caller) -> Vec<(String, i64, i64)> {
        let all = fixture.app.shared.store.feedback(Some(caller.account.clone())).await.unwrap();
        let mut all: Vec<(String, i64, i64)> =
            all.into_iter().map(|one| (one.model, one.count, one.residual / 1_000)).collect();
        all.sort();
        all
    }

    #[tokio::test]
    async fn an_opinion_that_is_none_is_refused_and_nothing_is_kept() {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        for (said, kind, field) in [
            (json!({}), Kind::Malformed, None),
            (json!({"score": 1.01, "model": "m"}), Kind::Malformed, Some("score")),
            (json!({"score": -0.01, "model": "m"}), Kind::Malformed, Some("score")),
            (json!({"score": 1.0}), Kind::Malformed, None),
            (json!({"better": "m"}), Kind::Malformed, None),
            (json!({"worse": "m"}), Kind::Malformed, None),
            (json!({"better": "m", "worse": "em"}), Kind::Malformed, None),
            (json!({"score": 1.0, "better": "m", "worse": "n"}), Kind::Malformed, None),
            (json!({"score": 1.0, "model": "nobody"}), Kind::UnknownModel, Some("model")),
            (json!({"better": "m", "worse": "nobody"}), Kind::UnknownModel, Some("model")),
            (json!({"score": 1.0, "request_id": "req_gone"}), Kind::NotFound, None),
        ] {
            let error = noted(&fixture, &caller, said.clone()).await.unwrap_err();
            assert_eq!((error.kind, error.field.as_deref()), (kind, field), "{said}");
        }
        assert!(kept(&fixture, &caller).await.is_empty());
    }

    #[tokio::test]
    async fn a_score_counts_by_how_much_it_is_above_what_is_usual() {
        let (fixture, _provider) = fixture().await;
        for (score, residual) in [(1.0, 250), (0.75, 0), (0.0, -750)] {
            let caller = fixture.caller("free").await;
            let said = json!({"score": score, "model": "em"});
            let told = noted(&fixture, &caller, said).await.unwrap();
            assert_eq!(kept(&fixture, &caller).await, [("m".to_owned(), 1, residual)]);
            let corrected = &told.corrections[0];
            assert_eq!(corrected.model, "m", "by its own name");
            assert!(
                i64::from(corrected.correction > 0.0) - i64::from(corrected.correction < 0.0)
                    == residual.signum(),
                "{score}: {}, this word counted",
                corrected.correction
            );
        }
    }

    #[tokio::test]
    async fn of_two_models_the_one_gains_what_the_other_loses() {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        let said = json!({"better": "n", "worse": "m"});
        let told = noted(&fixture, &caller, said).await.unwrap();
        assert_eq!(
            kept(&fixture, &caller).await,
            [("m".to_owned(), 1, -500), ("n".to_owned(), 1, 500)]
        );
        let [better, worse] = &told.corrections[..] else { panic!("two") };
        assert_eq!((&*better.model, &*worse.model), ("n", "m"));
        assert!(better.correction > 0.0 && worse.correction < 0.0);
        assert!(told.request_id.starts_with("feedback_"));
        // Another account has said nothing.
        let other = fixture.caller("free").await;
        let live = fixture.app.live();
        let learned = &fixture.app.shared.routing.learned;
        assert!(learned.corrections_of(&live, &other.account).await.is_empty());
    }

    #[tokio::test]
    async fn of_a_request_the_model_that_answered_is_meant_and_the_last_word_counts() {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        let id = answered(&fixture, &caller, "m").await;
        let of = |more: Value| {
            let mut said = json!({ "request_id": id.as_str() });
            said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said
        };
        noted(&fixture, &caller, of(json!({"score": 0.0}))).await.unwrap();
        let told = noted(&fixture, &caller, of(json!({"score": 1.0, "model": "em"}))).await;
        assert_eq!(told.unwrap().request_id, id.as_str());
        assert_eq!(kept(&fixture, &caller).await, [("m".to_owned(), 1, 250)]);
        let other = noted(&fixture, &caller, of(json!({"score": 1.0, "model": "n"}))).await;
        assert_eq!(other.unwrap_err().kind, Kind::Malformed);
    }

    #[tokio::test]
    async fn an_answer_of_autos_is_held_against_what_it_promised() {
        let (fixture, _provider) = fixture().await;
        let caller = fixture.caller("free").await;
        let id = answered(&fixture, &caller, "auto").await;
        let booked = fixture.booked(&id).await.unwrap();
        let live = fixture.app.live();
        let promised = promised(&booked, &live.catalogue).unwrap();
        assert!((promised - USUAL_QUALITY).abs() > 0.01, "another than the usual: {promised}");
        let other = fixture.booked(&answered(&fixture, &caller, "m").await).await.unwrap();
        assert_eq!(
            super::promised(&other, &live.catalogue),
            None,
            "named, so nothing was predicted"
        );
        let said = json!({"request_id": id.as_str(), "score": promised});
        noted(&fixture, &caller, said).await.unwrap();
        assert_eq!(kept(&fixture, &caller).await[0].2, 0, "{promised}");
    }

    #[tokio::test]
    async fn a_request_is_spoken_of_by_whoever_sees_it_alone() {
        let (fixture, _provider) = fixture().await;
        let owner = fixture.caller("free").await;
        let (member, other) = (fixture.member_beside(&owner).await, fixture.caller("free").await);
        let (of_owner, of_member) =
            (answered(&fixture, &owner, "m").await, answered(&fixture, &member, "m").await);
        for (who, caller, id, sees) in [
            ("the owner of a member's", &owner, &of_member, true),
            ("a member of their own", &member, &of_member, true),
            ("a member of the owner's", &member, &of_owner, false),
            ("another account", &other, &of_owner, false),
        ] {
            let said = json!({"request_id": id.as_str(), "score": 1.0});
            let told = noted(&fixture, caller, said).await;
            let missing = told.err().map(|error| error.kind);
            assert_eq!(missing, (!sees).then_some(Kind::NotFound), "{who}");
        }
        let terms = KeyTerms { scopes: Some(vec![Scope::Embeddings]), ..KeyTerms::default() };
        let embeds = fixture.caller_with("free", &terms).await;
        let told = noted(&fixture, &embeds, json!({"score": 1.0, "model": "m"})).await;
        assert_eq!(told.unwrap_err().kind, Kind::Forbidden);
    }
}
