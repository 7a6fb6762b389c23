//! What a model takes and refuses, as its maker runs it: what a request is shaped by. And what callers
//! ask of it beside that: how its weights are computed with, and whether others may learn from it.

mod entry;
mod family;
mod quantization;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::vocab::{
    Control, Dialect, Effort, Efforts, Off, Protocol, Reasoning, RiskyMembers, Thinking,
    ThinkingStyle, ThoughtsBack,
};

pub use entry::{BudgetEntry, FactsEntry};
pub use family::{Families, Family};
pub use quantization::Quantization;

/// Everything known of what a deployment takes. What nobody said is taken to be fine.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    pub refuses: Vec<RefusedParam>,
    pub thinking: Thinking,
    /// Efforts of a dialect, where they differ.
    pub efforts_on: Vec<(Protocol, Efforts)>,
    pub tools_only_on: Option<ToolsOnly>,
    /// Empty: all that its provider speaks.
    pub dialects_only: Vec<Protocol>,
    pub prefill: bool,
    /// It is known to go on with an assistant's turn at the end, not only to take one.
    pub goes_on: bool,
    pub forced: Forced,
    pub tools_with_schema: bool,
    pub tools: bool,
    /// Tools that take free text are understood in chat (OpenAI's `custom`).
    pub custom_tools: bool,
    /// It searches the web before every answer, which is charged for.
    pub searches: bool,
    pub token_limit: Option<TokenLimit>,
    pub developer: bool,
    pub schema: Option<SchemaSubset>,
    pub tool_name: Option<NameRule>,
    pub call_id_length: Option<usize>,
    pub call_id_max: Option<usize>,
    pub tokenizer_factor: f64,
    pub temperature_max: Option<f64>,
    pub stop_max: Option<usize>,
    pub cache_min_tokens: Option<u64>,
    pub needs_thought_signature: bool,
    /// What of earlier reasoning it takes back.
    pub thoughts: ThoughtsBack,
    pub quantization: Quantization,
    /// Its maker lets other models be trained on what it says; `None` where nobody has said so.
    pub distillable: Option<bool>,
    /// What a caller says explicitly and would not get, as the model is usually asked.
    pub drops: RiskyMembers,
}

/// A parameter that a model does not take, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedParam {
    pub param: Param,
    pub when: When,
    /// It is taken and has no effect, instead of a 400.
    pub ignored: bool,
}

/// A member by OpenAI's name for it, whatever a dialect calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Param {
    Temperature,
    TopP,
    TopK,
    FrequencyPenalty,
    PresencePenalty,
    Logprobs,
    TopLogprobs,
    Stop,
    /// More than one answer.
    N,
    Seed,
    ParallelToolCalls,
    /// The limit of the answer's tokens.
    MaxTokens,
    /// A member of the provider's dialect that the vocabulary has no word for.
    Other(Box<str>),
}

impl From<&str> for Param {
    fn from(name: &str) -> Self {
        match name {
            "temperature" => Self::Temperature,
            "top_p" => Self::TopP,
            "top_k" => Self::TopK,
            "frequency_penalty" => Self::FrequencyPenalty,
            "presence_penalty" => Self::PresencePenalty,
            "logprobs" => Self::Logprobs,
            "top_logprobs" => Self::TopLogprobs,
            "stop" => Self::Stop,
            "n" => Self::N,
            "seed" => Self::Seed,
            "parallel_tool_calls" => Self::ParallelToolCalls,
            "max_tokens" => Self::MaxTokens,
            other => Self::Other(other.into()),
        }
    }
}

impl Param {
    /// The member's mark among those that a request says.
    #[must_use]
    pub fn said(&self) -> Option<RiskyMembers> {
        Some(match self {
            Self::Temperature => RiskyMembers::TEMPERATURE,
            Self::TopP => RiskyMembers::TOP_P,
            Self::TopK => RiskyMembers::TOP_K,
            Self::FrequencyPenalty => RiskyMembers::FREQUENCY_PENALTY,
            Self::PresencePenalty => RiskyMembers::PRESENCE_PENALTY,
            Self::Logprobs => RiskyMembers::LOGPROBS,
            Self::TopLogprobs => RiskyMembers::TOP_LOGPROBS,
            Self::Stop => RiskyMembers::STOP,
            Self::N => RiskyMembers::N,
            Self::Seed => RiskyMembers::SEED,
            Self::ParallelToolCalls => RiskyMembers::PARALLEL_TOOL_CALLS,
            Self::MaxTokens | Self::Other(_) => return None,
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::PresencePenalty => "presence_penalty",
            Self::Logprobs => "logprobs",
            Self::TopLogprobs => "top_logprobs",
            Self::Stop => "stop",
            Self::N => "n",
            Self::Seed => "seed",
            Self::ParallelToolCalls => "parallel_tool_calls",
            Self::MaxTokens => "max_tokens",
            Self::Other(name) => name,
        }
    }
}

/// When a member is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    Never,
    Always,
    /// Unless it says what holds anyway.
    NonDefault,
    WhileThinking,
    AtHighEffort,
    WithTemperature,
}

impl When {
    /// Whether it is refused of a request that thinks or not, at some effort, with a temperature or
    /// without; `default` says that the member's value is what holds anyway.
    #[must_use]
    pub fn holds(self, thinks: bool, effort: Option<Effort>, hot: bool, default: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::NonDefault => !default,
            Self::WhileThinking => thinks && !default,
            Self::AtHighEffort => effort.is_some_and(|effort| effort >= Effort::High),
            Self::WithTemperature => hot,
        }
    }
}

/// In which dialects a model takes tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolsOnly {
    pub protocols: Vec<Protocol>,
    pub when: ToolsWhen,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ToolsWhen {
    #[default]
    Always,
    /// Unless the effort `none` is asked for.
    UnlessNone,
    /// When an effort other than `none` is asked for.
    EffortSet,
}

impl ToolsWhen {
    #[must_use]
    pub fn holds(self, effort: Option<Effort>) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessNone => effort != Some(Effort::None),
            Self::EffortSet => effort.is_some_and(|effort| effort != Effort::None),
        }
    }
}

/// Whether a model can be made to call a tool.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Forced {
    #[default]
    Yes,
    No,
    NotWhileThinking,
}

impl Forced {
    #[must_use]
    pub fn allowed(self, thinks: bool) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::NotWhileThinking => !thinks,
        }
    }
}

/// The member of chat completions that limits the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
    Either,
}

/// What of JSON Schema a maker takes for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaSubset {
    /// All, with every property required where it is strict.
    OpenaiStrict,
    Anthropic,
    Gemini,
    /// A JSON object can be demanded, and no more.
    JsonObject,
    /// Not even that: the model is asked in words, and its answer held to it.
    None,
}

/// Which names of tools a maker takes: letters, digits, `_`, `-` and `also`, so many at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameRule {
    pub max: usize,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub also: String,
    /// It begins with a letter or `_`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub letter_first: bool,
}

impl NameRule {
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || self.also.contains(c);
        let first = |c: char| !self.letter_first || c.is_ascii_alphabetic() || c == '_';
        !name.is_empty()
            && name.len() <= self.max
            && name.chars().all(fits)
            && name.chars().next().is_some_and(first)
    }
}

impl Facts {
    /// What is dropped of a request that says nothing of thinking.
    fn usually_dropped(&self) -> RiskyMembers {
        let refused = self.refuses.iter().filter_map(|refusal| {
            let holds = match refusal.when {
                When::Always | When::NonDefault => true,
                When::WhileThinking => self.thinking.thinks(None),
                When::Never | When::AtHighEffort | When::WithTemperature => false,
            };
            refusal.param.said().filter(|_| holds)
        });
        let forced =
            (!self.forced.allowed(self.thinking.thinks(None))).then_some(RiskyMembers::TOOL_CHOICE);
        refused.chain(forced).fold(RiskyMembers::default(), RiskyMembers::and)
    }

    /// How the model is told to think in a dialect. OpenAI's two know efforts alone: where a model
    /// thinks by budget or adapts, its host turns an effort into that.
    #[must_use]
    pub fn thinking_on(&self, protocol: Protocol) -> Cow<'_, Thinking> {
        let own = self.efforts_on.iter().find(|(on, _)| *on == protocol);
        let by_effort =
            matches!(protocol, Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses))
                && matches!(self.thinking.manner, ThinkingStyle::Budget | ThinkingStyle::Adaptive)
                && self.thinking.control == Control::Effort;
        if own.is_none() && !by_effort {
            return Cow::Borrowed(&self.thinking);
        }
        let mut thinking = self.thinking.clone();
        if let Some((_, efforts)) = own {
            thinking.efforts = *efforts;
        }
        if by_effort {
            thinking.manner = ThinkingStyle::Effort;
            thinking.budget = None;
            thinking.off = match thinking.off {
                _ if thinking.efforts.has(Effort::None) => Off::Effort,
                _ if !thinking.by_default => Off::Omitted,
                _ => Off::Impossible,
            };
        }
        Cow::Owned(thinking)
    }

    /// Whether a request with tools, at an effort, can be asked in a dialect.
    #[must_use]
    pub fn speaks(&self, protocol: Protocol, tools: bool, effort: Option<Effort>) -> bool {
        if !self.dialects_only.is_empty() && !self.dialects_only.contains(&protocol) {
            return false;
        }
        match &self.tools_only_on {
            Some(only) if tools && only.when.holds(effort) => only.protocols.contains(&protocol),
            _ => true,
        }
    }

    /// Whether the model will think, given what is asked of it.
    #[must_use]
    pub fn thinks(&self, reasoning: Option<&Reasoning>) -> bool {
        self.thinking.thinks(reasoning)
    }
}
