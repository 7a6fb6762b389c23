//! A request that is held to rules: its words before anything is decided or taken, and its answer before
//! it leaves.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::body::{forget_spelling, says_twice, texts};
use super::record::Record;
use super::watched::GuardedStream;
use super::{Blocked, Detector, Finding, Guard, Guardrails, Rule, RuleOutcome, Stage};

use crate::base::{Error, Kind};
use crate::wire::Inbound;
use crate::wire::frame::Pieces;

/// All rules that are in force, and the names of those that a caller is held to beside the ones for
/// everybody.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub all: Option<&'a Guardrails>,
    pub demanded: &'a [String],
}

impl Rules<'_> {
    /// Whether any rule can hold: two tests, for those requests that none concerns.
    #[must_use]
    pub fn may_hold(self) -> bool {
        self.all.is_some() || !self.demanded.is_empty()
    }

    /// The rules that hold for the caller.
    fn holding(self) -> Result<Option<Guard>, Error> {
        let held = match self.all {
            Some(all) => all.holding(self.demanded),
            None => self.demanded.first().map_or(Ok(None), |first| Err(first.clone())),
        };
        held.map_err(|name| {
            let text = format!(
                "The guardrail '{name}' is demanded for this key and is not configured. Nothing goes on \
                 without it: an administrator has to configure it, or to take it from the key, the \
                 account or the plan."
            );
            Error::new(Kind::Forbidden, text).coded("guardrail_unknown")
        })
    }

    /// Refuses what cannot be guarded, where something would have to be.
    ///
    /// # Errors
    /// [`Kind::Forbidden`], naming why.
    pub fn must_be_free(self, what: &str) -> Result<(), Error> {
        if !self.may_hold() || !self.holding()?.is_some_and(|guard| guard.intervenes()) {
            return Ok(());
        }
        let text = format!("Guardrails hold for this key, and {what} cannot be held to them.");
        Err(Error::new(Kind::Forbidden, text).coded("guardrail_unsupported"))
    }

    /// Holds the body of a request to the rules that hold for its caller. `None` where none does.
    ///
    /// # Errors
    /// When one of them blocks it, or cannot be had.
    pub async fn enter(self, record: Record, body: &mut Bytes) -> Result<Option<Guarded>, Error> {
        let Some(guard) = self.holding()? else { return Ok(None) };
        let mut guarded = Guarded { guard, record, told: Vec::new() };
        // What cannot be read is refused further on, in the words of its dialect.
        if !guarded.guard.at(Stage::Input).is_empty()
            && let Ok(mut read) = serde_json::from_slice::<Value>(body)
        {
            let changed = guarded.check(&mut read, Stage::Input).await;
            if changed.map_err(|blocked| blocked.error(Stage::Input))? || says_twice(body, &read) {
                *body = Bytes::from(read.to_string());
            }
        }
        Ok(Some(guarded))
    }
}

/// A request that is under rules.
#[derive(Debug)]
pub struct Guarded {
    guard: Guard,
    record: Record,
    /// What was found before the answer's head leaves.
    told: Vec<(Stage, Finding)>,
}

impl Guarded {
    /// See [`Guard::mark`].
    #[must_use]
    pub fn mark(&self) -> String {
        self.guard.mark()
    }

    fn note(&mut self, stage: Stage, rule: &Rule, verdict: RuleOutcome) {
        let finding = Finding { rule: Arc::clone(&rule.name), verdict };
        self.record.note(stage, &finding);
        self.told.push((stage, finding));
    }

    /// Holds a body to the rules of its stage; whether it was changed.
    async fn check(&mut self, body: &mut Value, stage: Stage) -> Result<bool, Blocked> {
        let mut changed = false;
        for rule in self.guard.at(stage) {
            let found = match &rule.by {
                Detector::Pattern(_) => apply(&rule, body, stage).then(|| rule.finding().verdict),
                Detector::Webhook(_) | Detector::Moderation(_) => {
                    let said = joined(body, stage);
                    let (verdict, masking) = self.record.ask(&rule, stage, &said).await;
                    if let Some(masking) = masking {
                        apply(&masking, body, stage);
                    }
                    verdict
                }
            };
            let Some(verdict) = found else { continue };
            self.note(stage, &rule, verdict);
            match verdict {
                RuleOutcome::Block => return Err(Blocked { rule: Arc::clone(&rule.name) }),
                RuleOutcome::Mask => changed = true,
                RuleOutcome::Flag | RuleOutcome::Unanswered => {}
            }
        }
        Ok(changed)
    }

    /// Which rules were met so far, for a header; `None` where none was.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        if self.told.is_empty() {
            return None;
        }
        let one = |(stage, finding): &(Stage, Finding)| {
            format!("{stage} {}={}", finding.rule, finding.verdict.as_str())
        };
        let all: Vec<String> = self.told.iter().map(one).collect();
        Some(all.join(", "))
    }

    /// Holds a whole answer to the rules.
    ///
    /// # Errors
    /// When it is withheld. What was delivered to us has been settled.
    pub async fn whole(&mut self, body: Bytes) -> Result<Bytes, Error> {
        if self.guard.at(Stage::Output).is_empty() {
            return Ok(body);
        }
        let Ok(mut read) = serde_json::from_slice::<Value>(&body) else { return Ok(body) };
        match self.check(&mut read, Stage::Output).await {
            Ok(false) => Ok(body),
            Ok(true) => {
                forget_spelling(&mut read);
                Ok(Bytes::from(read.to_string()))
            }
            Err(blocked) => Err(blocked.error(Stage::Output)),
        }
    }

    /// Holds a stream to the rules as it is read. `model` is the name that the caller reads.
    #[must_use]
    pub fn stream(self, inbound: &Inbound, model: &str, pieces: Pieces) -> Pieces {
        let rules = self.guard.at(Stage::Output);
        if rules.is_empty() {
            return pieces;
        }
        GuardedStream::new(self.record, rules, inbound, model.to_owned(), pieces).stream()
    }
}

/// Applies a rule to the texts of a body; whether it was met.
fn apply(rule: &Rule, body: &mut Value, stage: Stage) -> bool {
    // All of them: each is masked where it was met.
    texts(body, stage).iter_mut().filter_map(|group| rule.apply(group).then_some(())).count() > 0
}

/// All that a body says, a line for each message.
fn joined(body: &mut Value, stage: Stage) -> String {
    let groups = texts(body, stage);
    let lines = groups.iter().map(|group| group.iter().map(|text| text.as_str()).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_said_twice_is_seen() {
        for (text, twice) in [
            (r#"{"a":[{"b":1},2,"x",null,1.5,-1,true]}"#, false),
            (r#"{"a":1,"a":2}"#, true),
            (r#"{"a":[{"b":1,"b":"c"}]}"#, true),
        ] {
            let read: Value = serde_json::from_str(text).unwrap();
            assert_eq!(says_twice(text.as_bytes(), &read), twice, "{text}");
        }
    }

    #[test]
    fn what_is_demanded_and_not_configured_lets_nothing_pass() {
        let none = Rules { all: None, demanded: &[] };
        assert!(!none.may_hold() && none.must_be_free("counting").is_ok());
        let demanded = ["no-names".to_owned()];
        let missing = Rules { all: None, demanded: &demanded };
        let error = missing.must_be_free("counting").unwrap_err();
        assert_eq!(error.code.as_deref(), Some("guardrail_unknown"));
        assert!(missing.may_hold() && error.public.contains("no-names"), "{}", error.public);
    }
}
