//! A rule that asks a moderation model, in the form of OpenAI's `/v1/moderations`: what is asked, and what
//! the answer comes to. Asking is up to whoever has connections to providers.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::entry::{GuardrailEntry, OnError, RuleAction};

/// The model that is asked if no other is named. It costs nothing.
const USUAL_MODEL: &str = "omni-moderation-latest";
/// How long it may take, if nothing else is said, and at most.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_PATIENCE: Duration = Duration::from_secs(30);
/// A text is asked about in pieces of so many bytes: models of this kind read some 30,000 tokens at once.
const PIECE_BYTES: usize = 32 << 10;
/// A text of more pieces is not asked about.
const MOST_PIECES: usize = 64;

/// The body of a model's answer; in words why there is none.
pub type Answering = LocalBoxFuture<'static, Result<Bytes, String>>;

type Asking = dyn Fn(&Moderation, Bytes) -> Answering;

/// Puts a question to a model. Whoever has connections to providers says how. Cheap to clone.
#[derive(Clone)]
pub struct Asks(Rc<Asking>);

impl Asks {
    #[must_use]
    pub fn by(asking: impl Fn(&Moderation, Bytes) -> Answering + 'static) -> Self {
        Self(Rc::new(asking))
    }

    /// The categories that a text falls under.
    ///
    /// # Errors
    /// Why nobody says, in words.
    pub(super) async fn about(
        &self,
        moderation: &Moderation,
        text: &str,
    ) -> Result<Vec<String>, String> {
        let question = moderation.question(text).map_err(|why| why.to_string())?;
        let answer = (self.0)(moderation, Bytes::from(question)).await?;
        moderation.found(&answer).map_err(|why| why.to_string())
    }
}

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").finish_non_exhaustive()
    }
}

/// A model that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Moderation {
    /// The provider's id.
    pub provider: String,
    /// The provider's name for it.
    pub model: String,
    /// Those that count; all, if there are none.
    categories: Vec<String>,
    /// From 0 to 1: a score from here on counts, whatever the model itself makes of it.
    threshold: Option<f64>,
    pub patience: Duration,
    pub on_error: OnError,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    #[error("the text is longer than {} bytes", MOST_PIECES * PIECE_BYTES)]
    TooLong,
    #[error("its answer is none: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its answer says nothing of the text")]
    Nothing,
    #[error("its answer says nothing of the category '{0}'")]
    Category(String),
}

/// What it says of one piece.
#[derive(Debug, Deserialize)]
struct Judged {
    flagged: bool,
    #[serde(default)]
    categories: BTreeMap<String, Option<bool>>,
    #[serde(default)]
    category_scores: BTreeMap<String, Option<f64>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    results: Vec<Judged>,
}

impl Moderation {
    /// The provider that is asked if no other is named.
    pub const USUAL_PROVIDER: &str = "openai";

    /// # Errors
    /// What is wrong with the rule, in words.
    pub fn of(entry: &GuardrailEntry) -> Result<Self, String> {
        if entry.action == RuleAction::Mask {
            let why = "a moderation model does not say what there is to mask: 'action' is \"block\" \
                       or \"flag\"";
            return Err(why.to_owned());
        }
        let threshold = entry.threshold;
        if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            return Err("'threshold' is a number from 0 to 1".to_owned());
        }
        let patience = entry.timeout.map_or(PATIENCE, |timeout| timeout.0);
        if patience.is_zero() || patience > MOST_PATIENCE {
            let most = MOST_PATIENCE.as_secs();
            return Err(format!("'timeout' is a duration of at most {most} s"));
        }
        Ok(Self {
            provider: entry.provider.clone().unwrap_or_else(|| Self::USUAL_PROVIDER.to_owned()),
            model: entry.model.clone().unwrap_or_else(|| USUAL_MODEL.to_owned()),
            categories: entry.categories.clone(),
            threshold,
            patience,
            on_error: entry.on_error,
        })
    }

    /// The body of the question, in JSON.
    ///
    /// # Errors
    /// [`ModerationError::TooLong`]
    pub fn question(&self, text: &str) -> Result<Vec<u8>, ModerationError> {
        let pieces = pieces(text);
        if pieces.len() > MOST_PIECES {
            return Err(ModerationError::TooLong);
        }
        let input = match pieces.as_slice() {
            [one] => json!(one),
            all => json!(all),
        };
        Ok(serde_json::to_vec(&json!({"model": self.model, "input": input}))?)
    }

    /// The categories that were found, each once; none for a text that is let through. Of a model that names
    /// no category, `flagged`.
    ///
    /// # Errors
    /// Where the answer does not say.
    pub fn found(&self, answer: &[u8]) -> Result<Vec<String>, ModerationError> {
        let answer: Answer = serde_json::from_slice(answer)?;
        if answer.results.is_empty() {
            return Err(ModerationError::Nothing);
        }
        let mut found = Vec::new();
        for one in &answer.results {
            found.extend(self.found_in(one)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn found_in(&self, one: &Judged) -> Result<Vec<String>, ModerationError> {
        let counts = |name: &str| match self.threshold {
            None => one.categories.get(name).copied().flatten(),
            Some(threshold) => {
                one.category_scores.get(name).copied().flatten().map(|score| score >= threshold)
            }
        };
        if !self.categories.is_empty() {
            let mut found = Vec::new();
            for name in &self.categories {
                if counts(name).ok_or_else(|| ModerationError::Category(name.clone()))? {
                    found.push(name.clone());
                }
            }
            return Ok(found);
        }
        let all: Vec<String> = match self.threshold {
            None => one.categories.keys().cloned().collect(),
            Some(_) if one.category_scores.is_empty() => return Err(ModerationError::Nothing),
            Some(_) => one.category_scores.keys().cloned().collect(),
        };
        let found: Vec<String> =
            all.into_iter().filter(|name| counts(name) == Some(true)).collect();
        Ok(match (self.threshold, one.flagged) {
            (None, false) => Vec::new(),
            (None, true) if found.is_empty() => vec!["flagged".to_owned()],
            _ => found,
        })
    }
}

/// A text in pieces that are whole characters; one piece at least.
fn pieces(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE_BYTES {
        let mut end = PIECE_BYTES;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, behind) = rest.split_at(end);
        all.push(piece);
        rest = behind;
    }
    all.push(rest);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(entry: GuardrailEntry) -> Moderation {
        Moderation::of(&entry).unwrap()
    }

    const ANSWER: &[u8] = br#"{"id":"modr-1","model":"omni","results":[{"flagged":true,
        "categories":{"hate":false,"violence":true,"illicit":null},
        "category_scores":{"hate":0.3,"violence":0.8,"illicit":0.0}}]}"#;

    #[test]
    fn the_answer_counts_as_the_rule_says() {
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (categories, threshold, wanted) in [
            (&[][..], None, &["violence"][..]),
            (&["hate"], None, &[]),
            (&["violence", "hate"], None, &["violence"]),
            (&[], Some(0.9), &[]),
            (&[], Some(0.25), &["hate", "violence"]),
            (&["hate"], Some(0.25), &["hate"]),
        ] {
            let rule = rule(GuardrailEntry {
                categories: names(categories),
                threshold,
                ..GuardrailEntry::default()
            });
            assert_eq!(rule.found(ANSWER).unwrap(), names(wanted), "{categories:?} {threshold:?}");
        }
    }

    #[test]
    fn an_answer_that_does_not_say_is_none() {
        let plain = rule(GuardrailEntry::default());
        for wrong in [&b"{}"[..], b"[]", b"{\"results\":[]}", b"{\"results\":[{}]}"] {
            assert!(plain.found(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
        let misspelt =
            rule(GuardrailEntry { categories: vec!["hatred".into()], ..GuardrailEntry::default() });
        let why = misspelt.found(ANSWER).unwrap_err().to_string();
        assert!(why.contains("'hatred'"), "{why}");
        let unnamed = br#"{"results":[{"flagged":true},{"flagged":false}]}"#;
        assert_eq!(plain.found(unnamed).unwrap(), ["flagged"]);
    }

    #[test]
    fn a_long_text_is_asked_about_in_pieces_and_none_is_lost() {
        let text = "ä".repeat(PIECE_BYTES);
        assert_eq!(pieces(&text).concat(), text);
        assert!(pieces(&text).len() == 2 || pieces(&text).len() == 3);
        assert_eq!(pieces(""), [""]);
        let plain = rule(GuardrailEntry::default());
        let asked: serde_json::Value =
            serde_json::from_slice(&plain.question("hi").unwrap()).unwrap();
        assert_eq!(asked, json!({"model": "omni-moderation-latest", "input": "hi"}));
        assert!(plain.question(&"a".repeat(PIECE_BYTES * MOST_PIECES + 1)).is_err());
    }

    #[test]
    fn rules_that_cannot_be_kept_are_named() {
        for entry in [
            GuardrailEntry { action: RuleAction::Mask, ..GuardrailEntry::default() },
            GuardrailEntry { threshold: Some(1.5), ..GuardrailEntry::default() },
            GuardrailEntry { threshold: Some(f64::NAN), ..GuardrailEntry::default() },
        ] {
            assert!(Moderation::of(&entry).is_err(), "{entry:?}");
        }
    }
}
