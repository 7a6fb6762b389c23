//! Facts as they are written: for a family of models, for one model, for one deployment. What is
//! not said is left to the wider of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Facts, NameRule, Quantization, SchemaSubset, TokenLimit};
use super::{Forced, RefusedParam, ToolsOnly, ToolsWhen, When};
use crate::wire::vocab::{
    Control, Effort, Efforts, Off, Protocol, RiskyMembers, Thinking, ThinkingStyle, ThoughtsBack,
};

/// Everything that may be said of what a model takes. Every member is optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FactsEntry {
    /// Members that are answered with 400, and when. `never` takes a family's word back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, When>,
    /// Members that are taken and have no effect.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ignores: BTreeMap<String, When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingStyle>,
    /// Whether it thinks when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinks_by_default: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_off: Option<Off>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_control: Option<Control>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<Effort>>,
    /// Efforts of one dialect, where they differ.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub efforts_on: BTreeMap<Protocol, Vec<Effort>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_effort: Option<Effort>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub effort_map: BTreeMap<Effort, Effort>,
    /// The dialects in which tools can be offered at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_only_on: Option<Vec<Protocol>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_only_when: Option<ToolsWhen>,
    /// The dialects in which the model can be asked at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialects_only: Option<Vec<Protocol>>,
    /// A last turn of the assistant is gone on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tool_choice: Option<Forced>,
    /// Tools and a schema for the answer go together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_with_schema: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Tools that take free text are understood in chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_tools: Option<bool>,
    /// It searches the web before every answer, and no answer says how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searches_always: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_limit: Option<TokenLimit>,
    /// The role `developer` is understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_role: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaSubset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<NameRule>,
    /// Ids of tool calls are exactly so many letters and digits (Mistral: 9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id_length: Option<usize>,
    /// … or so many characters at most (OpenAI: 40).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id_max: Option<usize>,
    /// Tokens for the same text, against the maker's older tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_max: Option<f64>,
    /// How many `stop` texts; 0 for as many as one likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_max: Option<usize>,
    /// The shortest prompt that is cached; 0 if nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_min_tokens: Option<u64>,
    /// A call that is sent back must carry the proof of the thought behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_thought_signature: Option<bool>,
    /// What of earlier reasoning a server that speaks chat completions takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thoughts_back: Option<ThoughtsBack>,
    /// In how many bits it is computed; what the provider's name for it says, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Its maker lets other models be trained on what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distillable: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetEntry {
    pub min: i64,
    /// Bounded by the answer's limit alone, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// Calls the macro `$each` with every member that is a single value: said once, so that no member can
/// be laid and not taken back. The maps each have a rule of their own.
macro_rules! single_members {
    ($each:ident) => {
        $each!(
            thinking,
            thinks_by_default,
            thinking_off,
            thinking_control,
            budget,
            efforts,
            default_effort,
            tools_only_on,
            tools_only_when,
            dialects_only,
            prefill,
            forced_tool_choice,
            tools_with_schema,
            tools,
            custom_tools,
            searches_always,
            token_limit,
            developer_role,
            schema,
            tool_name,
            tool_call_id_length,
            tool_call_id_max,
            tokenizer_factor,
            temperature_max,
            stop_max,
            cache_min_tokens,
            needs_thought_signature,
            thoughts_back,
            quantization,
            distillable,
        );
    };
}

impl FactsEntry {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Lays a narrower entry over this one.
    pub fn lay(&mut self, narrower: &Self) {
        macro_rules! replace {
            ($($member:ident),* $(,)?) => {$(
                if narrower.$member.is_some() {
                    self.$member.clone_from(&narrower.$member);
                }
            )*};
        }
        single_members!(replace);
        // A member that is said to be refused is not merely ignored, and the other way round.
        for (name, when) in &narrower.refuses {
            self.ignores.remove(name);
            self.refuses.insert(name.clone(), *when);
        }
        for (name, when) in &narrower.ignores {
            self.refuses.remove(name);
            self.ignores.insert(name.clone(), *when);
        }
        self.efforts_on.extend(narrower.efforts_on.clone());
        self.effort_map.extend(narrower.effort_map.clone());
    }

    /// What of this `wider` does not say already.
    #[must_use]
    pub fn beyond(&self, wider: &Self) -> Self {
        let mut left = self.clone();
        macro_rules! strike {
            ($($member:ident),* $(,)?) => {$(
                if left.$member == wider.$member {
                    left.$member = None;
                }
            )*};
        }
        single_members!(strike);
        let taken_back = |said: &BTreeMap<String, When>, known: &BTreeMap<String, When>| {
            let mut left: BTreeMap<String, When> = said
                .iter()
                .filter(|(name, when)| known.get(*name) != Some(*when))
                .map(|(name, when)| (name.clone(), *when))
                .collect();
            let held = known.iter().filter(|(_, when)| **when != When::Never);
            for (name, _) in held.filter(|(name, _)| !said.contains_key(*name)) {
                if !self.refuses.contains_key(name) && !self.ignores.contains_key(name) {
                    left.insert(name.clone(), When::Never);
                }
            }
            left
        };
        left.refuses = taken_back(&self.refuses, &wider.refuses);
        left.ignores = taken_back(&self.ignores, &wider.ignores);
        left.efforts_on.retain(|protocol, efforts| wider.efforts_on.get(protocol) != Some(efforts));
        left.effort_map.retain(|from, to| wider.effort_map.get(from) != Some(to));
        left
    }

    /// The facts that this comes to.
    #[must_use]
    pub fn settle(&self) -> Facts {
        let said = |from: &BTreeMap<String, When>, ignored: bool| {
            let all = from.iter().filter(|(_, when)| **when != When::Never);
            all.map(|(name, when)| RefusedParam {
                param: name.as_str().into(),
                when: *when,
                ignored,
            })
            .collect::<Vec<_>>()
        };
        let mut refuses = said(&self.refuses, false);
        refuses.extend(said(&self.ignores, true));
        let efforts: Efforts = self.efforts.iter().flatten().copied().collect();
        let efforts_on = self
            .efforts_on
            .iter()
            .map(|(protocol, own)| (*protocol, own.iter().copied().collect()))
            // Only where they differ.
            .filter(|(_, own)| *own != efforts)
            .collect();
        let manner = self.thinking.unwrap_or_default();
        let thinking = Thinking {
            manner,
            by_default: self.thinks_by_default.unwrap_or(false),
            off: match manner {
                ThinkingStyle::Always => Off::Impossible,
                _ => self.thinking_off.unwrap_or_default(),
            },
            budget: self
                .budget
                .filter(|_| manner == ThinkingStyle::Budget)
                .map(|budget| (budget.min, budget.max.unwrap_or(i64::MAX))),
            efforts,
            // Where there are none, none is the usual one.
            default_effort: self.default_effort.filter(|_| efforts != Efforts::NONE),
            map: self.effort_map.iter().map(|(from, to)| (*from, *to)).collect(),
            control: self.thinking_control.unwrap_or_default(),
        };
        let mut facts = Facts {
            refuses,
            thinking,
            efforts_on,
            // An empty list takes the word of the wider entry back.
            tools_only_on: self.tools_only_on.clone().filter(|all| !all.is_empty()).map(
                |protocols| ToolsOnly { protocols, when: self.tools_only_when.unwrap_or_default() },
            ),
            dialects_only: self.dialects_only.clone().unwrap_or_default(),
            prefill: self.prefill.unwrap_or(true),
            goes_on: self.prefill == Some(true),
            forced: self.forced_tool_choice.unwrap_or_default(),
            tools_with_schema: self.tools_with_schema.unwrap_or(true),
            tools: self.tools.unwrap_or(true),
            custom_tools: self.custom_tools.unwrap_or(false),
            searches: self.searches_always.unwrap_or(false),
            token_limit: self.token_limit,
            developer: self.developer_role.unwrap_or(true),
            schema: self.schema,
            tool_name: self.tool_name.clone(),
            call_id_length: self.tool_call_id_length,
            call_id_max: self.tool_call_id_max,
            tokenizer_factor: self.tokenizer_factor.unwrap_or(1.0),
            temperature_max: self.temperature_max,
            // 0 takes the word of the wider entry back.
            stop_max: self.stop_max.filter(|most| *most > 0),
            cache_min_tokens: self.cache_min_tokens.filter(|least| *least > 0),
            needs_thought_signature: self.needs_thought_signature.unwrap_or(false),
            // Proofs of other makers mean nothing to a server that nobody described.
            thoughts: self.thoughts_back.unwrap_or(ThoughtsBack::Content),
            quantization: self.quantization.unwrap_or_default(),
            distillable: self.distillable,
            drops: RiskyMembers::default(),
        };
        facts.drops = facts.usually_dropped();
        facts
    }
}

impl Default for Facts {
    fn default() -> Self {
        FactsEntry::default().settle()
    }
}
