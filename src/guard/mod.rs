//! Guardrails: what may be said to models and by them. Rules are read from the configuration and
//! compiled once; which of them hold for a request is worked out once a request. Finding what breaks
//! one is pure: the body of a request or an answer (`body`), and a stream whose text is held back by
//! as much as a match may be long (`stream`). Only a rule that asks a server of the operator's speaks
//! HTTP (`webhook`); of one that asks a moderation model (`moderation`), the question and the answer are
//! here.

pub mod body;
mod entry;
mod finding;
mod held;
mod moderation;
mod record;
mod rule;
pub mod stream;
mod watched;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::runtime::Handle;

pub use entry::{DetectorKind, GuardrailEntry, OnError, RuleAction, TextSide};
pub use finding::{Finding, RuleOutcome, Stage};
pub use held::{Guarded, Rules};
pub use moderation::{Asks, Moderation, ModerationError};
pub use record::Record;
pub use rule::{Detector, Rule, Texts};
pub use webhook::{Question, Webhook, WebhookError, WebhookVerdict};

use crate::base::egress::Egress;
use crate::base::secret::fingerprint;
use crate::base::{Error, Kind};

/// More rules are a slip, or a matter for a webhook.
const MOST_RULES: usize = 100;

/// What is wrong with one rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("guardrails.{name}: {why}")]
pub struct RuleFault {
    pub name: String,
    pub why: String,
}

/// A text that must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub rule: Arc<str>,
}

impl Blocked {
    /// As the caller is told of it.
    #[must_use]
    pub fn error(&self, stage: Stage) -> Error {
        let rule = &self.rule;
        let text = match stage {
            Stage::Input => format!(
                "The request was blocked by the guardrail '{rule}'. Nothing was asked, and nothing \
                 is charged."
            ),
            Stage::Output => format!("The answer was withheld by the guardrail '{rule}'."),
        };
        Error::new(Kind::Unsupported, text).coded("guardrail_blocked")
    }
}

/// All rules that are configured.
#[derive(Debug)]
pub struct Guardrails {
    rules: Vec<Arc<Rule>>,
}

impl Guardrails {
    /// `None` where there are none, so that it costs nothing. `runtime` is where questions to
    /// webhooks are carried out.
    ///
    /// # Errors
    /// Every fault of the rules.
    pub fn of(
        entries: &[GuardrailEntry],
        egress: &Egress,
        runtime: Option<&Handle>,
    ) -> Result<Option<Arc<Self>>, Vec<RuleFault>> {
        let (mut rules, mut faults) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let name = if entry.name.is_empty() { index.to_string() } else { entry.name.clone() };
            let mut wrong = |why: String| faults.push(RuleFault { name: name.clone(), why });
            if !seen.insert(entry.name.clone()) {
                wrong("there is another rule of this name".to_owned());
                continue;
            }
            match Rule::of(entry, egress, runtime) {
                Ok(rule) => rules.push(Arc::new(rule)),
                Err(why) => wrong(why),
            }
        }
        if rules.len() > MOST_RULES {
            let why = format!("there are more than {MOST_RULES} rules");
            faults.push(RuleFault { name: "*".to_owned(), why });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok((!rules.is_empty()).then(|| Arc::new(Self { rules })))
    }

    /// The moderation models that rules ask: each rule, the provider and its name for the model.
    pub fn moderations(&self) -> impl Iterator<Item = (&str, &Moderation)> {
        self.rules.iter().filter_map(|rule| match &rule.by {
            Detector::Moderation(moderation) => Some((&*rule.name, moderation)),
            Detector::Pattern(_) | Detector::Webhook(_) => None,
        })
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| &*rule.name == name)
    }

    /// The rules for everybody, and those that `demands` names; `None` where there are none.
    ///
    /// # Errors
    /// The name of a rule that is demanded and is not there: nothing may go unguarded.
    pub fn holding(&self, demands: &[String]) -> Result<Option<Guard>, String> {
        if let Some(missing) = demands.iter().find(|name| !self.has(name)) {
            return Err(missing.clone());
        }
        let holds =
            |rule: &&Arc<Rule>| rule.always || demands.iter().any(|name| **name == *rule.name);
        let rules: Vec<Arc<Rule>> = self.rules.iter().filter(holds).cloned().collect();
        Ok((!rules.is_empty()).then_some(Guard { rules }))
    }
}

/// The rules that hold for one request, in the order in which they are configured.
#[derive(Debug, Clone)]
pub struct Guard {
    rules: Vec<Arc<Rule>>,
}

impl Guard {
    #[must_use]
    pub fn at(&self, stage: Stage) -> Vec<Arc<Rule>> {
        self.rules.iter().filter(|rule| rule.holds_at(stage)).cloned().collect()
    }

    /// Whether something of a text may be kept back or changed.
    #[must_use]
    pub fn intervenes(&self) -> bool {
        self.rules.iter().any(|rule| rule.action != RuleAction::Flag)
    }

    /// Differs between sets of rules that may come to different answers: what is kept under one is
    /// not given under another.
    #[must_use]
    pub fn mark(&self) -> String {
        let all: Vec<&[u8]> = self.rules.iter().map(|rule| rule.mark.as_bytes()).collect();
        fingerprint(&all)
    }
}
