//! The names of the dialects.

use serde::{Deserialize, Serialize};

/// A wire format that clients speak to us, or we to providers.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
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
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub enum Protocol {
    Dialect(Dialect),
    /// Amazon Bedrock's Converse.
    Bedrock,
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == word);
        match dialect {
            Some(dialect) => Ok(Self::Dialect(dialect)),
            None if word == Self::Bedrock.as_str() => Ok(Self::Bedrock),
            None => Err(format!(
                "'{word}' is no dialect; there are openai-chat, openai-responses, anthropic, gemini \
                 and bedrock-converse"
            )),
        }
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.as_str().to_owned()
    }
}

impl Protocol {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dialect(dialect) => dialect.as_str(),
            Self::Bedrock => "bedrock-converse",
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
