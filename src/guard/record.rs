//! What of a request is noted and asked while it is held to rules.

use super::moderation::Asks;
use super::webhook::Question;
use super::{Action, By, Finding, OnError, Rule, Said, Stage, Verdict};
use crate::base::ids::{AccountId, RequestId};
use crate::telemetry::trails::Trails;

/// Where findings are written down, and what a webhook is told of the request.
#[derive(Debug)]
pub struct Record {
    pub id: RequestId,
    pub account: AccountId,
    pub trails: Trails,
    /// Asks moderation models.
    pub asks: Asks,
}

impl Record {
    pub(super) fn note(&self, stage: Stage, finding: &Finding) {
        self.trails.guarded(&self.id, stage.as_str(), &finding.rule, finding.verdict.as_str());
    }

    /// Asks somebody else; what is to be masked, as a rule.
    pub(super) async fn ask(
        &self,
        rule: &Rule,
        stage: Stage,
        text: &str,
    ) -> (Option<Verdict>, Option<Rule>) {
        if text.trim().is_empty() {
            return (None, None);
        }
        let question = Question {
            request_id: self.id.as_str(),
            stage: stage.as_str(),
            account: self.account.as_str(),
            text,
        };
        let masking = |masks: &[String]| rule.masking(masks).map(Some);
        let (said, on_error) = match &rule.by {
            By::Pattern(_) => return (None, None),
            By::Webhook(webhook) => {
                (webhook.ask(&question).await.map_err(|why| why.to_string()), webhook.on_error)
            }
            By::Moderation(moderation) => {
                let found = self.asks.about(moderation, text).await;
                if let Ok(found) = &found {
                    self.trails.moderated(&self.id, &rule.name, found);
                }
                let said =
                    |found: Vec<String>| if found.is_empty() { Said::Allow } else { Said::Block };
                (found.map(said), moderation.on_error)
            }
        };
        let said = match said {
            Ok(Said::Allow) => return (None, None),
            Ok(Said::Flag) => return (Some(Verdict::Flag), None),
            Ok(_) if rule.action == Action::Flag => return (Some(Verdict::Flag), None),
            Ok(Said::Block) => return (Some(Verdict::Block), None),
            Ok(Said::Mask { masks }) => masking(&masks),
            Err(why) => Err(why),
        };
        match said {
            Ok(masking) => (Some(Verdict::Mask), masking),
            Err(why) => {
                tracing::warn!(request = %self.id, rule = %rule.name, why, "the service that a guardrail asks gave no verdict: it is taken as the rule's on_error says");
                match on_error {
                    OnError::Allow => (Some(Verdict::Unanswered), None),
                    OnError::Block => (Some(Verdict::Block), None),
                }
            }
        }
    }
}
