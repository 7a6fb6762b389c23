//! What real makers refuse, in their own words. A request is judged as it came in, as raw JSON:
//! the gateway's codecs have no part in it, so that their faults are seen. Sources: the recordings
//! under `tests/recordings`, the makers' documents and SDKs, and the catalogue's facts.

mod asked;
mod bedrock;
mod history;
mod media;
mod members;
mod sampling;
mod schema;
mod thinking;
mod tools;
mod wording;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::catalogue::Facts;
use crate::wire::vocab::{Dialect, Protocol};

use asked::Asked;
use wording::Complaint;

/// Whose servers are asked: they decide what holds whatever the model, and how a refusal reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum House {
    OpenAi,
    Anthropic,
    Google,
    Bedrock,
    Mistral,
    DeepSeek,
    Xai,
    /// Leaves out by itself what the model behind it does not take.
    OpenRouter,
    /// One of the many that speak a maker's dialect and follow it in most things.
    Other,
}

impl House {
    /// By the catalogue's id of the provider; by the model's name, where that says nothing.
    #[must_use]
    pub fn of(provider: Option<&str>, protocol: Protocol, model: &str) -> Self {
        let dialect = match protocol {
            Protocol::Bedrock => return Self::Bedrock,
            Protocol::Dialect(dialect) => dialect,
        };
        if provider == Some("openrouter") {
            return Self::OpenRouter;
        }
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let is = |all: &[&str]| all.iter().any(|one| name.starts_with(one));
        let claude = name.contains("claude");
        match (dialect, provider) {
            (Dialect::Anthropic, Some("anthropic" | "vertex" | "azure-ai" | "bedrock-mantle")) => {
                Self::Anthropic
            }
            (Dialect::Anthropic, None) if claude => Self::Anthropic,
            (Dialect::Gemini, Some("gemini" | "vertex") | None) => Self::Google,
            (Dialect::Anthropic | Dialect::Gemini, _) => Self::Other,
            (_, Some("openai")) => Self::OpenAi,
            (_, Some("mistral")) => Self::Mistral,
            (_, Some("deepseek")) => Self::DeepSeek,
            (_, Some("xai")) => Self::Xai,
            // Azure serves OpenAI's models as OpenAI does, and those of others.
            (_, None | Some("azure")) if is(&["gpt-oss"]) => Self::Other,
            (_, None | Some("azure")) if is(&["gpt-", "o1", "o3", "o4", "chatgpt-", "codex-"]) => {
                Self::OpenAi
            }
            (_, Some(_)) => Self::Other,
            (_, None) if is(&["mistral", "ministral", "magistral", "codestral", "devstral"]) => {
                Self::Mistral
            }
            (_, None) if is(&["deepseek"]) => Self::DeepSeek,
            (_, None) if is(&["grok"]) => Self::Xai,
            (_, None) => Self::Other,
        }
    }
}

/// A refusal, as its maker words it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub body: Value,
}

/// Why the model would refuse this request, if it would.
#[must_use]
pub fn refusal(
    house: House,
    protocol: Protocol,
    body: &Value,
    model: &str,
    facts: &Facts,
) -> Option<Refusal> {
    if house == House::OpenRouter {
        return None;
    }
    let asked = Asked { house, protocol, body, model, facts };
    complaint(&asked).map(|complaint| complaint.worded(house, protocol))
}

/// The first thing that is wrong, in the order in which most makers look: the shape, the words of
/// the conversation, then what goes with what.
fn complaint(asked: &Asked<'_>) -> Option<Complaint> {
    members::check(asked)
        .or_else(|| history::check(asked))
        .or_else(|| media::check(asked))
        .or_else(|| sampling::check(asked))
        .or_else(|| thinking::check(asked))
        .or_else(|| tools::check(asked))
        .or_else(|| schema::check(asked))
        .or_else(|| bedrock::check(asked))
}
