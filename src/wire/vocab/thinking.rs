//! How a model thinks and how it is told to: what an encoder goes by, and what a wish becomes.

use serde::{Deserialize, Serialize};

use super::{Effort, Reasoning};

/// How a model's thinking is steered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Manner")]
pub enum ThinkingStyle {
    /// Nobody has said: a wish goes on as the dialect usually says it.
    #[default]
    Unknown,
    /// It does not think.
    None,
    /// By a number of tokens.
    Budget,
    /// Anthropic's `adaptive`, with an effort beside it.
    Adaptive,
    /// By a level.
    Effort,
    /// On or off.
    Toggle,
    /// It always thinks; some let their level be chosen.
    Always,
}

/// How thinking is turned off.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Off {
    /// It cannot be.
    #[default]
    Impossible,
    /// By saying nothing: it is off unless asked for.
    Omitted,
    /// `thinking: {"type": "disabled"}`
    Disabled,
    /// `thinking: {"type": "between_tools"}`
    BetweenTools,
    /// The effort `none`.
    Effort,
    /// A budget of 0.
    Zero,
}

/// How a server that speaks chat completions is told.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// `reasoning_effort`
    #[default]
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`, with `reasoning_effort` where there are levels.
    Member,
    /// `enable_thinking: true | false`, with `thinking_budget`.
    Switch,
}

/// A set of efforts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Efforts(u8);

impl Efforts {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn has(self, effort: Effort) -> bool {
        self.0 & (1 << effort as u8) != 0
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = Effort> {
        Effort::ALL.into_iter().filter(move |effort| self.has(*effort))
    }

    /// The one that comes nearest; of two as near the higher. Never `none` for a wish to think.
    #[must_use]
    pub fn nearest(self, wished: Effort) -> Option<Effort> {
        let thinks = self.iter().filter(|effort| *effort != Effort::None);
        thinks.min_by_key(|effort| {
            let distance = (*effort as u8).abs_diff(wished as u8);
            (distance, u8::from((*effort as u8) < wished as u8))
        })
    }

    /// The least thinking that there is.
    #[must_use]
    pub fn least(self) -> Option<Effort> {
        self.iter().find(|effort| *effort != Effort::None)
    }
}

impl FromIterator<Effort> for Efforts {
    fn from_iter<T: IntoIterator<Item = Effort>>(all: T) -> Self {
        Self(all.into_iter().fold(0, |set, effort| set | (1 << effort as u8)))
    }
}

/// What of a conversation's earlier reasoning a server that speaks chat completions takes back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ThoughtsBack {
    /// Nothing: unknown members of a message are refused, or useless.
    None,
    /// `reasoning_content`
    Content,
    /// `reasoning_details`, with the proofs of other makers (OpenRouter).
    Details,
    /// `extra_content`, with Google's proofs (Gemini's own chat endpoint).
    Google,
    /// Whatever there is.
    #[default]
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thinking {
    pub manner: ThinkingStyle,
    /// It thinks when nothing is said.
    pub by_default: bool,
    pub off: Off,
    /// Fewest and most tokens; the most is bounded by the answer's limit as well.
    pub budget: Option<(i64, i64)>,
    pub efforts: Efforts,
    pub default_effort: Option<Effort>,
    /// Efforts that are asked for and what is sent in their place.
    pub map: Vec<(Effort, Effort)>,
    pub control: Control,
}

/// A wish to think, as a model takes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FittedThinking {
    pub reasoning: Option<Reasoning>,
    /// The wish could not be met as it was said.
    pub lost: bool,
}

/// What a caller wishes.
enum Wish {
    Off,
    On,
    Level(Effort),
    Tokens(i64),
}

fn wish(reasoning: &Reasoning) -> Option<Wish> {
    match (reasoning.budget, reasoning.effort, reasoning.enabled) {
        (_, _, Some(false)) | (Some(0), ..) | (None, Some(Effort::None), _) => Some(Wish::Off),
        (Some(tokens), ..) if tokens > 0 => Some(Wish::Tokens(tokens)),
        (_, Some(effort), _) => Some(Wish::Level(effort)),
        (Some(_), None, _) | (None, None, Some(true)) => Some(Wish::On),
        (None, None, None) => None,
    }
}

impl Thinking {
    /// Whether the model will think, given what is asked of it.
    #[must_use]
    pub fn thinks(&self, reasoning: Option<&Reasoning>) -> bool {
        match (self.manner, reasoning.and_then(wish)) {
            (ThinkingStyle::None, _) => false,
            (ThinkingStyle::Always, _) => true,
            (_, Some(Wish::Off)) => self.off == Off::Impossible && self.by_default,
            (_, Some(_)) => true,
            (_, None) => self.by_default,
        }
    }

    /// The efforts that it takes; the usual ones, where nobody listed any.
    fn levels(&self) -> Efforts {
        if self.efforts.is_empty() && self.manner == ThinkingStyle::Effort {
            [Effort::Low, Effort::Medium, Effort::High].into_iter().collect()
        } else {
            self.efforts
        }
    }

    /// An effort that the model takes, and whether it is another one than was asked for.
    fn effort(&self, wished: Effort) -> (Option<Effort>, bool) {
        let efforts = self.levels();
        if efforts.has(wished) {
            return (Some(wished), false);
        }
        let mapped = self.map.iter().find(|(from, _)| *from == wished).map(|(_, to)| *to);
        match mapped.or_else(|| efforts.nearest(wished)) {
            Some(effort) => (Some(effort), true),
            None => (None, true),
        }
    }

    /// What the wish becomes at this model.
    #[must_use]
    pub fn fit(&self, reasoning: &Reasoning) -> FittedThinking {
        let kept = |effort, budget, enabled| FittedThinking {
            reasoning: Some(Reasoning { effort, budget, enabled, show: reasoning.show }),
            lost: false,
        };
        let only_shown = || FittedThinking {
            reasoning: reasoning
                .show
                .map(|show| Reasoning { show: Some(show), ..Reasoning::default() }),
            lost: false,
        };
        let Some(wish) = wish(reasoning) else {
            return if self.manner == ThinkingStyle::None {
                FittedThinking::default()
            } else {
                only_shown()
            };
        };
        match (self.manner, wish) {
            (ThinkingStyle::Unknown, _) => {
                FittedThinking { reasoning: Some(reasoning.clone()), lost: false }
            }
            (ThinkingStyle::None, Wish::Off) => FittedThinking::default(),
            (ThinkingStyle::None, _) => FittedThinking { reasoning: None, lost: true },
            (_, Wish::Off) => match self.off {
                Off::Omitted => FittedThinking::default(),
                Off::Disabled | Off::BetweenTools => kept(None, None, Some(false)),
                Off::Effort => kept(Some(Effort::None), None, None),
                Off::Zero => kept(None, Some(0), None),
                Off::Impossible => FittedThinking { lost: true, ..self.least(reasoning) },
            },
            (ThinkingStyle::Budget, wish) => {
                let (least, most) = self.budget.unwrap_or((1_024, i64::MAX));
                let tokens = match wish {
                    Wish::Tokens(tokens) => tokens,
                    Wish::Level(effort) => effort.budget(),
                    Wish::On | Wish::Off if reasoning.budget == Some(-1) => -1,
                    Wish::On | Wish::Off => Effort::Medium.budget(),
                };
                let tokens = if tokens < 0 {
                    tokens
                } else {
                    tokens.clamp(least.max(1), most.max(least.max(1)))
                };
                kept(None, Some(tokens), None)
            }
            (_, wish) => {
                let said = match wish {
                    Wish::Tokens(tokens) => Effort::of_budget(tokens).map(|effort| (effort, false)),
                    Wish::Level(effort) => Some((effort, true)),
                    Wish::On | Wish::Off => None,
                };
                let turns_on =
                    matches!(self.manner, ThinkingStyle::Adaptive | ThinkingStyle::Toggle);
                let enabled = (turns_on || self.manner == ThinkingStyle::Always).then_some(true);
                match said {
                    // What does not think by itself is told how hard.
                    None if self.manner == ThinkingStyle::Effort && !self.by_default => {
                        let usual = self.default_effort.filter(|effort| *effort != Effort::None);
                        let (effort, _) = self.effort(usual.unwrap_or(Effort::Medium));
                        kept(effort, None, None)
                    }
                    None => kept(None, None, enabled),
                    Some((wished, explicit)) => {
                        let (effort, other) = self.effort(wished);
                        // A switch says no more than on or off.
                        let meant = self.manner != ThinkingStyle::Toggle || effort.is_some();
                        FittedThinking {
                            lost: explicit && other && meant,
                            ..kept(effort, None, enabled)
                        }
                    }
                }
            }
        }
    }

    /// As little thinking as the model lets itself be asked for.
    fn least(&self, reasoning: &Reasoning) -> FittedThinking {
        let budget =
            self.budget.filter(|_| self.manner == ThinkingStyle::Budget).map(|(least, _)| least);
        let effort = if budget.is_none() { self.efforts.least() } else { None };
        let said = budget.is_some() || effort.is_some();
        let reasoning = Reasoning { effort, budget, enabled: None, show: reasoning.show };
        FittedThinking { reasoning: said.then_some(reasoning), lost: false }
    }
}
