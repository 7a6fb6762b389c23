//! Facts of the published list, as ours.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::list::{Deployment, Facts, Refusal};
use crate::catalogue::facts::{
    BudgetEntry, FactsEntry, Forced, NameRule, SchemaSubset, TokenLimit, ToolsWhen, When,
};
use crate::wire::vocab::{Control, Effort, Off, Protocol, ThinkingStyle, ThoughtsBack};

/// Members whose refusal is known and acted upon, by the vocabulary's names.
const MEMBERS: [&str; 14] = [
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prediction",
    "n",
    "parallel_tool_calls",
    "cachedContent",
    "max_tokens",
];

/// A word of ours by its text.
pub(super) fn word<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| format!("facts.{what}: '{text}' is not known here"))
}

fn words<T: DeserializeOwned>(what: &str, texts: &[String]) -> Result<Vec<T>, String> {
    texts.iter().map(|text| word(what, text)).collect()
}

fn member(name: &str) -> Option<&str> {
    let name = match name {
        "candidateCount above 1" => "n",
        "maxTokens" => "max_tokens",
        other => other,
    };
    // The others are said by how the model thinks (`thinking.disabled`, `thinkingBudget`), or are
    // taken anyway (`user`, `store`, `service_tier`).
    MEMBERS.contains(&name).then_some(name)
}

fn when(text: &str) -> Result<When, String> {
    Ok(match text {
        "always" => When::Always,
        "non-default" => When::NonDefault,
        "while reasoning" | "while thinking" => When::WhileThinking,
        "at effort high" => When::AtHighEffort,
        "with temperature" => When::WithTemperature,
        other => return Err(format!("facts.refuses: 'when': '{other}' is not known here")),
    })
}

type Refusals = BTreeMap<String, When>;

fn refusals(all: &[Refusal]) -> Result<(Refusals, Refusals), String> {
    let (mut refuses, mut ignores) = (Refusals::new(), Refusals::new());
    for one in all {
        let Some(name) = member(&one.param) else { continue };
        let into = match one.effect.as_str() {
            "400" => &mut refuses,
            "ignored" => &mut ignores,
            other => return Err(format!("facts.refuses: effect '{other}' is not known here")),
        };
        let when = when(&one.when)?;
        // Said twice, the wider word holds.
        into.entry(name.to_owned())
            .and_modify(|known| {
                if when == When::Always {
                    *known = when;
                }
            })
            .or_insert(when);
    }
    ignores.retain(|name, _| !refuses.contains_key(name));
    Ok((refuses, ignores))
}

/// How thinking is turned off.
fn off(maker: &str, facts: &Facts, manner: ThinkingStyle) -> Option<Off> {
    let refused = |name: &str| facts.refuses.iter().any(|one| one.param == name);
    let kind = facts.thinking_off.as_ref().and_then(|said| said.pointer("/thinking/type"));
    let has_none = |efforts: &Vec<String>| efforts.iter().any(|effort| effort == "none");
    let off_by_default = facts.thinking_default.as_deref() == Some("off");
    Some(match (manner, kind.and_then(Value::as_str)) {
        (ThinkingStyle::None | ThinkingStyle::Unknown, _) => return None,
        (ThinkingStyle::Always, _) => Off::Impossible,
        // Cohere's chat completions have `reasoning_effort` alone.
        (ThinkingStyle::Budget, Some(_)) if facts.efforts.as_ref().is_some_and(has_none) => {
            Off::Effort
        }
        (_, Some("disabled")) => Off::Disabled,
        (_, Some("between_tools")) => Off::BetweenTools,
        _ if facts.budget.as_ref().is_some_and(|budget| budget.off == Some(0)) => Off::Zero,
        _ if facts.efforts.as_ref().is_some_and(has_none)
            || facts.efforts_on.values().any(has_none) =>
        {
            Off::Effort
        }
        _ if facts.thinking_control.is_some() => Off::Disabled,
        _ if maker == "anthropic" && off_by_default && !refused("thinking.disabled") => {
            Off::Disabled
        }
        _ if off_by_default => Off::Omitted,
        _ => Off::Impossible,
    })
}

/// How a server that speaks chat completions is told.
fn control(maker: &str, facts: &Facts, manner: ThinkingStyle) -> Option<Control> {
    let switched = |text: &String| text.starts_with("enable_thinking");
    if facts.thinking_control.as_ref().is_some_and(switched) {
        return Some(Control::Switch);
    }
    match manner {
        ThinkingStyle::Toggle if facts.thinking_off.is_some() => Some(Control::Member),
        ThinkingStyle::Adaptive | ThinkingStyle::Always if maker == "minimax" => {
            Some(Control::Member)
        }
        ThinkingStyle::None | ThinkingStyle::Unknown => None,
        _ => Some(Control::Effort),
    }
}

fn forced(facts: &Facts) -> Result<Option<Forced>, String> {
    let modes = facts.tool_choice_modes.as_ref();
    let demanded = modes.is_none_or(|modes| modes.iter().any(|mode| mode == "required"));
    Ok(match (facts.no_forced_tool_choice, facts.no_forced_tool_choice_when.as_deref()) {
        (Some(true), Some("while thinking")) => Some(Forced::NotWhileThinking),
        (_, Some(other)) => {
            return Err(format!("facts.no_forced_tool_choice_when: '{other}' is not known here"));
        }
        (Some(true), None) => Some(Forced::No),
        _ if !demanded => Some(Forced::No),
        (Some(false), None) => Some(Forced::Yes),
        (None, None) => None,
    })
}

fn tools_when(text: &str) -> Result<ToolsWhen, String> {
    Ok(match text {
        "always" => ToolsWhen::Always,
        "an effort other than none is set" => ToolsWhen::EffortSet,
        other if other.starts_with("the effort is not none") => ToolsWhen::UnlessNone,
        other => return Err(format!("facts.tools_only_on_when: '{other}' is not known here")),
    })
}

/// The limit's name in chat completions; other dialects have one name for it.
fn token_limit(maker: &str, field: &str) -> Option<TokenLimit> {
    match field {
        "max_tokens" if maker != "anthropic" => Some(TokenLimit::MaxTokens),
        "max_completion_tokens" => Some(TokenLimit::MaxCompletionTokens),
        "max_tokens or max_completion_tokens" => Some(TokenLimit::Either),
        _ => None,
    }
}

fn schema(text: &str) -> Result<SchemaSubset, String> {
    Ok(match text {
        "openai-strict" => SchemaSubset::OpenaiStrict,
        "anthropic" => SchemaSubset::Anthropic,
        "gemini-openapi" => SchemaSubset::Gemini,
        "json_object" => SchemaSubset::JsonObject,
        other => return Err(format!("facts.schema_subset: '{other}' is not known here")),
    })
}

fn tool_name(pattern: &str) -> Result<NameRule, String> {
    let plain = |max| NameRule { max, also: String::new(), letter_first: false };
    Ok(match pattern {
        "^[a-zA-Z0-9_-]{1,64}$" => plain(64),
        "^[a-zA-Z0-9_-]{1,128}$" => plain(128),
        "^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$" => {
            NameRule { max: 64, also: ".:".to_owned(), letter_first: true }
        }
        other => return Err(format!("facts.tool_name: the pattern {other} is not known here")),
    })
}

fn call_id(pattern: &str) -> Result<usize, String> {
    match pattern {
        "^[a-zA-Z0-9]{9}$" => Ok(9),
        other => Err(format!("facts.tool_call_id: the pattern {other} is not known here")),
    }
}

/// Facts of a model.
///
/// # Errors
/// A word that has no meaning here, with its member.
pub(super) fn of_model(maker: &str, facts: &Facts) -> Result<FactsEntry, String> {
    let (mut refuses, ignores) = refusals(&facts.refuses)?;
    let manner = match facts.thinking.as_deref() {
        Some(text) => word("thinking", text)?,
        None => ThinkingStyle::Unknown,
    };
    let protocols = |what: &'static str| move |all: &Vec<String>| words::<Protocol>(what, all);
    let mut efforts_on = BTreeMap::new();
    for (protocol, efforts) in &facts.efforts_on {
        efforts_on.insert(word("efforts_on", protocol)?, words("efforts_on", efforts)?);
    }
    let mut effort_map = BTreeMap::new();
    for (from, to) in &facts.effort_map {
        effort_map.insert(word("effort_map", from)?, word("effort_map", to)?);
    }
    // That the member of this name is refused is said by which one is taken; the limit itself is not.
    if facts.max_tokens_field.as_deref() == Some("max_completion_tokens") {
        refuses.remove("max_tokens");
    }
    let only = facts.tools_only_on.as_ref();
    let tool_refused = facts.refuses.iter().any(|one| one.param == "tools" && one.when == "always");
    Ok(FactsEntry {
        refuses,
        ignores,
        thinking: Some(manner),
        thinks_by_default: facts.thinking_default.as_deref().map(|default| default == "on"),
        thinking_off: off(maker, facts, manner),
        thinking_control: control(maker, facts, manner),
        budget: facts.budget.as_ref().filter(|_| manner == ThinkingStyle::Budget).map(|budget| {
            BudgetEntry { min: budget.min, max: budget.max.as_ref().and_then(Value::as_i64) }
        }),
        efforts: facts.efforts.as_ref().map(|all| words::<Effort>("efforts", all)).transpose()?,
        efforts_on,
        default_effort: facts
            .default_effort
            .as_deref()
            .map(|effort| word("default_effort", effort))
            .transpose()?,
        effort_map,
        tools_only_on: only.map(protocols("tools_only_on")).transpose()?,
        tools_only_when: facts
            .tools_only_on_when
            .as_deref()
            .filter(|_| only.is_some())
            .map(tools_when)
            .transpose()?,
        dialects_only: facts.dialects_only.as_ref().map(protocols("dialects_only")).transpose()?,
        // Others take a last turn of the assistant and think nothing of it.
        prefill: facts.no_prefill.filter(|_| maker == "anthropic").map(|refused| !refused),
        forced_tool_choice: forced(facts)?,
        tools_with_schema: facts.tools_with_schema,
        custom_tools: (maker == "openai").then_some(true),
        // No list has it; families do.
        searches_always: None,
        tools: (facts.no_tools == Some(true) || tool_refused).then_some(false),
        token_limit: facts.max_tokens_field.as_deref().and_then(|field| token_limit(maker, field)),
        developer_role: facts.roles.as_ref().and_then(|roles| roles.developer),
        schema: facts.schema_subset.as_deref().map(schema).transpose()?,
        tool_name: facts.tool_name.as_ref().map(|name| tool_name(&name.pattern)).transpose()?,
        tool_call_id_length: facts.tool_call_id.as_deref().map(call_id).transpose()?,
        // Of OpenAI's own API; no list has it.
        tool_call_id_max: (maker == "openai").then_some(40),
        tokenizer_factor: facts.tokenizer_factor,
        temperature_max: facts.temperature_max,
        stop_max: facts.stop_max,
        cache_min_tokens: facts.cache_min_tokens,
        needs_thought_signature: facts.needs_thought_signature,
        thoughts_back: facts.reasoning_back.as_ref().map(|_| ThoughtsBack::Content),
        // The list says neither: the first is in names, the second in licences.
        quantization: None,
        distillable: None,
    })
}

/// Facts of a deployment alone.
///
/// # Errors
/// A word that has no meaning here.
pub(super) fn of_deployment(one: &Deployment) -> Result<FactsEntry, String> {
    Ok(FactsEntry {
        tools_with_schema: one.tools_with_schema,
        cache_min_tokens: one.cache_min_tokens,
        efforts: one.efforts.as_ref().map(|all| words("efforts", all)).transpose()?,
        thinking_off: one.reasoning_cannot_be_disabled.then_some(Off::Impossible),
        ..FactsEntry::default()
    })
}

/// What a host that is not the maker's and speaks chat completions is told in place of members of
/// the maker's own: `reasoning_effort`, with `none` for what can be turned off.
pub(super) fn of_host(model: &FactsEntry) -> FactsEntry {
    let mut facts = FactsEntry::default();
    if matches!(model.thinking_control, Some(Control::Member | Control::Switch)) {
        facts.thinking_control = Some(Control::Effort);
    }
    if matches!(model.thinking_off, Some(Off::Disabled | Off::BetweenTools | Off::Omitted)) {
        facts.thinking_off = Some(Off::Effort);
        if model.efforts.is_none() && model.thinking == Some(ThinkingStyle::Toggle) {
            facts.efforts = Some(vec![Effort::Low, Effort::Medium, Effort::High]);
        }
    }
    facts
}

/// What of a deployment's facts the model and the provider do not say already.
pub(super) fn said_beyond(own: &FactsEntry, wider: &FactsEntry) -> FactsEntry {
    let mut left = own.clone();
    macro_rules! strike {
        ($($member:ident),* $(,)?) => {$(
            if left.$member == wider.$member {
                left.$member = None;
            }
        )*};
    }
    strike!(tools_with_schema, cache_min_tokens, efforts, thinking_off, thinking_control);
    left
}

/// The facts to write down for a model: those that its families (`wider`) do not give, and the default where
/// they differ from it and the list is silent.
pub(super) fn residual(own: &FactsEntry, wider: &FactsEntry) -> FactsEntry {
    let mut left = own.beyond(wider);
    macro_rules! usual {
        ($($member:ident = $usual:expr),* $(,)?) => {$(
            let said = wider.$member;
            if own.$member.is_none() && said.is_some_and(|said| said != $usual) {
                left.$member = Some($usual);
            } else if own.$member == Some($usual) && said.is_none() {
                left.$member = None;
            }
        )*};
    }
    usual!(
        thinking = ThinkingStyle::Unknown,
        thinks_by_default = false,
        thinking_off = Off::Impossible,
        thinking_control = Control::Effort,
        prefill = true,
        forced_tool_choice = Forced::Yes,
        tools_with_schema = true,
        tools = true,
        developer_role = true,
        tokenizer_factor = 1.0,
        needs_thought_signature = false,
        thoughts_back = ThoughtsBack::Content,
        stop_max = 0,
        cache_min_tokens = 0,
    );
    // Lists, where an empty one says that there is nothing.
    if own.efforts.is_none() && wider.efforts.as_ref().is_some_and(|all| !all.is_empty()) {
        left.efforts = Some(Vec::new());
    }
    if own.tools_only_on.is_none() && wider.tools_only_on.is_some() {
        left.tools_only_on = Some(Vec::new());
    }
    if own.dialects_only.is_none() && wider.dialects_only.is_some() {
        left.dialects_only = Some(Vec::new());
    }
    left
}
