//! The names of the dialects.

use serde::{Deserialize, Serialize};

/// A wire format that clients speak to us, or we to providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    #[serde(rename = "openai-chat")]
    OpenAiChat,
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    Anthropic,
    Gemini,
}

/// What a provider speaks: a dialect that clients speak as well, or one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Spelled")]
pub enum Protocol {
    Dialect(Dialect),
    /// Amazon Bedrock's Converse.
    Bedrock,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelled {
    Dialect(Dialect),
    Own(Own),
}

#[derive(Deserialize)]
enum Own {
    #[serde(rename = "bedrock-converse")]
    Bedrock,
}

impl From<Spelled> for Protocol {
    fn from(spelled: Spelled) -> Self {
        match spelled {
            Spelled::Dialect(dialect) => Self::Dialect(dialect),
            Spelled::Own(Own::Bedrock) => Self::Bedrock,
        }
    }
}

impl Dialect {
    pub const ALL: [Self; 4] =
        [Self::OpenAiChat, Self::OpenAiResponses, Self::Anthropic, Self::Gemini];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}
