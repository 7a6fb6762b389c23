//! Whose servers are asked.

use crate::wire::vocab::{Dialect, Protocol};

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
