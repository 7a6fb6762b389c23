//! A request to generate.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Dialect, Extra, Losses, Tool, ToolChoice, Turn};

/// Where a value stands in the body's bytes.
pub type ByteSpan = Range<usize>;

/// What the hot path must know before anything is decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHead {
    /// What the caller asks for: a model, an alias, or `auto` and its variants.
    pub model: String,
    /// The bytes of the model's value, quotes included, to be replaced when passing through.
    pub model_at: Option<ByteSpan>,
    pub stream: bool,
    /// The bytes of `stream_options`' value, where there is one that is not null.
    pub stream_options_at: Option<ByteSpan>,
    /// The caller asked for usage at the end of the stream.
    pub include_usage: bool,
    /// The most the caller wants to be answered, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Rough size of the conversation: bytes of its JSON.
    pub prompt_bytes: usize,
    /// Which of the members that some models refuse are there.
    pub said: RiskyMembers,
    /// The effort, where it is a word of its own.
    pub effort: Option<Effort>,
}

/// Members of a request that some model or other does not take: found with the head, so that most
/// requests need not be decoded to know that they are fine as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RiskyMembers(u32);

impl RiskyMembers {
    pub const TEMPERATURE: Self = Self(1);
    pub const TOP_P: Self = Self(1 << 1);
    pub const TOP_K: Self = Self(1 << 2);
    pub const FREQUENCY_PENALTY: Self = Self(1 << 3);
    pub const PRESENCE_PENALTY: Self = Self(1 << 4);
    pub const LOGPROBS: Self = Self(1 << 5);
    pub const TOP_LOGPROBS: Self = Self(1 << 6);
    pub const STOP: Self = Self(1 << 7);
    pub const N: Self = Self(1 << 8);
    pub const SEED: Self = Self(1 << 9);
    pub const PARALLEL_TOOL_CALLS: Self = Self(1 << 10);
    pub const MAX_TOKENS: Self = Self(1 << 11);
    pub const MAX_COMPLETION_TOKENS: Self = Self(1 << 12);
    /// A wish to think, or not to.
    pub const REASONING: Self = Self(1 << 13);
    pub const TOOLS: Self = Self(1 << 14);
    pub const TOOL_CHOICE: Self = Self(1 << 15);
    /// A form for the answer.
    pub const FORMAT: Self = Self(1 << 16);

    /// Those for which there is something.
    #[must_use]
    pub fn of(all: &[(bool, Self)]) -> Self {
        let there = all.iter().filter(|(there, _)| *there);
        there.fold(Self::default(), |said, (_, one)| Self(said.0 | one.0))
    }

    #[must_use]
    pub fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The dialect it was said in; spellings are kept when the same one is written.
    pub from: Option<Dialect>,
    pub model: String,
    /// Instructions where a dialect has a place for them apart from the conversation.
    pub instructions: Option<Turn>,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub parallel_tool_calls: Option<bool>,
    pub sampling: Sampling,
    pub max_output_tokens: Option<u64>,
    pub format: Option<Format>,
    pub reasoning: Option<Reasoning>,
    pub stream: Option<bool>,
    pub include_usage: Option<bool>,
    /// The caller's own end user, for the provider's abuse detection.
    pub user: Option<String>,
    pub extra: Extra,
}

impl Request {
    /// Whether its tools are listed as chat had them first (`functions`): its caller knows one call, without
    /// an id, and no `tool_calls`.
    #[must_use]
    pub fn asks_by_functions(&self) -> bool {
        let spelled = |name| self.extra.get(Dialect::OpenAiChat, name);
        spelled("functions").is_some() && spelled("tools").is_some_and(Value::is_null)
    }

    /// Whether it asks how likely each token was, and can be told by a provider of another dialect:
    /// such words are read for callers of chat alone, and from whole answers.
    #[must_use]
    pub fn tells_logprobs(&self) -> bool {
        self.from == Some(Dialect::OpenAiChat)
            && self.stream != Some(true)
            && self.sampling.logprobs == Some(true)
    }

    /// Names what it asks of likelihoods as dropped.
    pub fn name_logprobs(&self, lost: &mut Losses) {
        for (name, said) in [
            ("logprobs", self.sampling.logprobs == Some(true)),
            ("top_logprobs", self.sampling.top_logprobs.is_some_and(|count| count > 0)),
        ] {
            if said {
                lost.dropped(name);
            }
        }
    }

    /// To be called where turns or tools were added to what a caller said: how they were spelled
    /// says it no longer.
    pub fn forget_spelling(&mut self) {
        self.extra.forget_spelling(&["input", "contents", "tools", "tool_choice", "toolConfig"]);
    }
}

/// How tokens are drawn. Numbers keep the spelling they came with (`1` or `1.0`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub stop: Vec<String>,
    pub seed: Option<i64>,
    pub frequency_penalty: Option<Number>,
    pub presence_penalty: Option<Number>,
    /// How many answers.
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Text,
    /// Any JSON object.
    Json,
    Schema {
        name: Option<String>,
        schema: Value,
        strict: Option<bool>,
        description: Option<String>,
        /// The answer is one of the schema's words as such, without quotes (Gemini's `text/x.enum`).
        bare: bool,
    },
}

impl Format {
    /// A schema of which nothing else is said.
    #[must_use]
    pub fn schema(schema: Value) -> Self {
        Self::Schema { name: None, schema, strict: None, description: None, bare: false }
    }

    /// The answer is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json | Self::Schema { bare: false, .. })
    }
}

/// How hard to think, in whichever unit the caller used.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reasoning {
    pub effort: Option<Effort>,
    /// Tokens. `-1` = as the model sees fit, `0` = none.
    pub budget: Option<i64>,
    /// Anthropic's `adaptive`, or a plain "on".
    pub enabled: Option<bool>,
    /// Thoughts are to be shown.
    pub show: Option<bool>,
}

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
#[serde(rename_all = "lowercase")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// In ascending order.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The usual table from effort to thinking tokens.
    #[must_use]
    pub fn budget(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Minimal => 512,
            Self::Low => 1_024,
            Self::Medium => 8_192,
            Self::High => 24_576,
            Self::XHigh | Self::Max => 32_768,
        }
    }

    /// The effort whose usual budget is nearest from above; `None` for a budget that leaves it to the model
    /// (`-1`).
    #[must_use]
    pub fn of_budget(tokens: i64) -> Option<Self> {
        Some(match tokens {
            ..0 => return None,
            0 => Self::None,
            1..=512 => Self::Minimal,
            513..=2_048 => Self::Low,
            2_049..=12_000 => Self::Medium,
            _ => Self::High,
        })
    }
}
