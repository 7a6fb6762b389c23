//! A rule as the configuration has it.

use serde::{Deserialize, Serialize};

use crate::base::seconds::Seconds;

/// Which texts a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextSide {
    /// What is said to a model.
    Input,
    /// What it says.
    Output,
    #[default]
    Both,
}

/// How a rule finds something, as the configuration says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// By regular expressions.
    #[default]
    Patterns,
    /// By words and phrases, in any case.
    Words,
    /// By asking a server.
    Webhook,
    /// By asking a moderation model of a provider.
    Moderation,
}

/// What is done with a text in which a rule found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// The request is refused, or the answer withheld.
    #[default]
    Block,
    /// What was found is replaced by the rule's name in brackets.
    Mask,
    /// It is recorded, and goes on.
    Flag,
}

/// What to do where a webhook or a moderation model does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    Allow,
    #[default]
    Block,
}

/// A `[[guardrails]]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardrailEntry {
    /// Small letters, digits, `-` and `_`: it is told to callers, and stands in metrics.
    pub name: String,
    pub on: TextSide,
    pub kind: DetectorKind,
    pub action: RuleAction,
    /// It holds for everybody; if not, where a plan, an account or a key demands it.
    pub always: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Bytes of a stream that are held back for patterns that have no longest match of their own.
    pub window: Option<usize>,
    /// Where the webhook is.
    pub url: Option<String>,
    /// The environment variable of the bearer token that it is asked with.
    pub token_env: Option<String>,
    /// The provider whose moderation model is asked; `openai` if not given.
    pub provider: Option<String>,
    /// The provider's name for that model; `omni-moderation-latest` if not given.
    pub model: Option<String>,
    /// The categories that count; all, if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// From 0 to 1: a score from here on counts, whatever the model itself flags.
    pub threshold: Option<f64>,
    /// How long the webhook or the model may take.
    pub timeout: Option<Seconds>,
    pub on_error: OnError,
}
