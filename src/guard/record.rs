//! What of a request is noted and asked while it is held to rules.

use super::moderation::Asks;
use super::webhook::Question;
use super::{Detector, Finding, OnError, Rule, RuleAction, RuleOutcome, Stage, WebhookVerdict};
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
    ) -> (Option<RuleOutcome>, Option<Rule>) {
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
            Detector::Pattern(_) => return (None, None),
            Detector::Webhook(webhook) => {
                (webhook.ask(&question).await.map_err(|why| why.to_string()), webhook.on_error)
            }
            Detector::Moderation(moderation) => {
                let found = self.asks.about(moderation, text).await;
                if let Ok(found) = &found {
                    self.trails.moderated(&self.id, &rule.name, found);
                }
                let said = |found: Vec<String>| {
                    if found.is_empty() { WebhookVerdict::Allow } else { WebhookVerdict::Block }
                };
                (found.map(said), moderation.on_error)
            }
        };
        let said = match said {
            Ok(WebhookVerdict::Allow) => return (None, None),
            Ok(WebhookVerdict::Flag) => return (Some(RuleOutcome::Flag), None),
            Ok(_) if rule.action == RuleAction::Flag => return (Some(RuleOutcome::Flag), None),
            Ok(WebhookVerdict::Block) => return (Some(RuleOutcome::Block), None),
            Ok(WebhookVerdict::Mask { masks }) => masking(&masks),
            Err(why) => Err(why),
        };
        match said {
            Ok(masking) => (Some(RuleOutcome::Mask), masking),
            Err(why) => {
                tracing::warn!(request = %self.id, rule = %rule.name, why, "the service that a guardrail asks gave no verdict: it is taken as the rule's on_error says");
                match on_error {
                    OnError::Allow => (Some(RuleOutcome::Unanswered), None),
                    OnError::Block => (Some(RuleOutcome::Block), None),
                }
            }
        }
    }
}
