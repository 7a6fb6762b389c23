//! Wishes to think that a model does not know: its efforts, its budgets, and whether it can be
//! kept from thinking. Source of the wording: recorded refusals and public reports of them.

use serde_json::Value;

use super::asked::{RawRequest, either, text};
use super::house::House;
use super::wording::Complaint;
use crate::catalogue::Param;
use crate::wire::vocab::{Dialect, Effort, Efforts, Off, ThinkingStyle};

/// Anthropic's floor.
const LEAST_TOKENS: i64 = 1_024;

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    match asked.dialect() {
        Some(Dialect::OpenAiChat) => effort(asked).or_else(|| switched_off(asked)),
        Some(Dialect::OpenAiResponses) => effort(asked),
        Some(Dialect::Anthropic) | None if asked.is_claude() => {
            claude(asked).or_else(|| claude_effort(asked))
        }
        Some(Dialect::Gemini) if asked.house == House::Google => gemini(asked),
        Some(_) => None,
        None => effort(asked),
    }
}

/// The efforts that are known of the dialect; none where nobody has said.
fn efforts(asked: &RawRequest<'_>) -> Efforts {
    asked.facts.thinking_on(asked.protocol).efforts
}

/// `'low', 'medium', and 'high'`
fn listed(efforts: Efforts) -> String {
    let all: Vec<String> = efforts.iter().map(|one| format!("'{}'", one.as_str())).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, [one])) => format!("{one} and {last}"),
        Some((last, rest)) => format!("{}, and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn effort(asked: &RawRequest<'_>) -> Option<Complaint> {
    let (at, word) = asked.effort_word()?;
    let thinking = &asked.facts.thinking;
    let known = efforts(asked);
    let unheard = |why: &str| {
        Some(match asked.house {
            House::Xai => Complaint::new(format!(
                "Model {} does not support parameter reasoningEffort.",
                asked.model
            )),
            _ => Complaint::parameter(at, why),
        })
    };
    if thinking.manner == ThinkingStyle::None {
        // Hosts of others' models do not look at it.
        return if asked.house == House::Other { None } else { unheard("") };
    }
    if known.is_empty() {
        // Those that are switched on and off do not look at it; of a maker's own it is known.
        let refuses = matches!(asked.house, House::OpenAi | House::Xai)
            && matches!(thinking.manner, ThinkingStyle::Always | ThinkingStyle::Toggle);
        return if refuses { unheard("") } else { None };
    }
    let takes = Effort::parse(word).is_some_and(|wished| {
        known.has(wished) || thinking.map.iter().any(|(from, _)| *from == wished)
    });
    if takes {
        return None;
    }
    let rest = format!(" Supported values are: {}.", listed(known));
    Some(match asked.house {
        House::Mistral => {
            let message = format!("Input should be {}", listed(known));
            Complaint::of(at, message).code("literal_error")
        }
        _ => Complaint::value(at, &format!("'{word}'"), &rest),
    })
}

/// `thinking: {"type": "disabled"}` and its kin, where thinking cannot be turned off.
fn switched_off(asked: &RawRequest<'_>) -> Option<Complaint> {
    if asked.facts.thinking.manner != ThinkingStyle::Always {
        return None;
    }
    let disabled = asked.thinking().and_then(|thinking| text(thinking, "type")) == Some("disabled");
    let off = asked.at("/enable_thinking") == Some(&Value::Bool(false));
    let at = if disabled { "thinking" } else { "enable_thinking" };
    (disabled || off).then(|| {
        Complaint::of(at, "Thinking cannot be disabled for this model.").code("invalid_parameter")
    })
}

fn claude(asked: &RawRequest<'_>) -> Option<Complaint> {
    let thinking = asked.thinking()?;
    let kind = text(thinking, "type")?;
    let known = &asked.facts.thinking;
    let refused = |kind: &str| {
        Some(Complaint::new(format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \
             \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        )))
    };
    match kind {
        "enabled" => {
            let unknown = known.manner == ThinkingStyle::Unknown;
            if !unknown && !takes_both(asked) && known.manner != ThinkingStyle::Budget {
                return refused(kind);
            }
            budget(asked, thinking).or_else(|| drawn(asked))
        }
        "adaptive" if matches!(known.manner, ThinkingStyle::Budget | ThinkingStyle::None) => {
            Some(Complaint::new("adaptive thinking is not supported on this model"))
        }
        "adaptive" => drawn(asked),
        "between_tools"
            if known.manner != ThinkingStyle::Unknown && known.off != Off::BetweenTools =>
        {
            Some(Complaint::new(
                "thinking.type: Input tag 'between_tools' found using 'type' does not match any \
                 of the expected tags: 'disabled', 'enabled', 'adaptive'",
            ))
        }
        "disabled" => {
            let always = known.manner == ThinkingStyle::Always;
            let only_adaptive = known.manner == ThinkingStyle::Adaptive
                && matches!(known.off, Off::Impossible | Off::BetweenTools);
            if always || only_adaptive { refused(kind) } else { None }
        }
        "between_tools" => None,
        other => Some(Complaint::new(format!(
            "thinking: Input tag '{other}' found using 'type' does not match any of the expected \
             tags: 'disabled', 'enabled', 'adaptive'"
        ))),
    }
}

/// Opus and Sonnet 4.6 think adaptively and take a budget as well, which is deprecated (recorded).
fn takes_both(asked: &RawRequest<'_>) -> bool {
    asked.model.contains("-4-6")
}

fn budget(asked: &RawRequest<'_>, thinking: &Value) -> Option<Complaint> {
    let Some(tokens) = thinking.get("budget_tokens").and_then(Value::as_i64) else {
        return Some(Complaint::new("thinking.enabled.budget_tokens: Field required"));
    };
    let least = asked.facts.thinking.budget.map_or(LEAST_TOKENS, |(least, _)| least);
    if tokens < least {
        return Some(Complaint::new(format!(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to {least}"
        )));
    }
    let limit = asked.at("/max_tokens").or_else(|| asked.at("/inferenceConfig/maxTokens"));
    let limit = limit.and_then(Value::as_i64)?;
    (tokens >= limit).then(|| {
        Complaint::new(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our \
             documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking\
             #max-tokens-and-context-window",
        )
    })
}

/// Every Claude draws as it will while it thinks.
fn drawn(asked: &RawRequest<'_>) -> Option<Complaint> {
    let number = |param: &Param| asked.said(param).and_then(|(_, value)| value.as_f64());
    if number(&Param::Temperature).is_some_and(|said| (said - 1.0).abs() > 1e-9) {
        return Some(Complaint::new(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our \
             documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
        ));
    }
    if number(&Param::TopP).is_some_and(|said| said < 0.95) {
        return Some(Complaint::new(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ));
    }
    asked
        .said(&Param::TopK)
        .map(|_| Complaint::new("`top_k` must be unset when thinking is enabled."))
}

fn claude_effort(asked: &RawRequest<'_>) -> Option<Complaint> {
    let (_, word) = asked.effort_word()?;
    let known = efforts(asked);
    if known.is_empty() {
        return (asked.facts.thinking.manner != ThinkingStyle::Unknown)
            .then(|| Complaint::new("This model does not support the effort parameter."));
    }
    if Effort::parse(word).is_some_and(|wished| known.has(wished)) {
        return None;
    }
    let mut all: Vec<&str> = known.iter().map(Effort::as_str).collect();
    all.sort_unstable();
    Some(Complaint::new(format!(
        "This model does not support effort level '{word}'. Supported levels: {}.",
        all.join(", ")
    )))
}

fn gemini(asked: &RawRequest<'_>) -> Option<Complaint> {
    let config = asked.generation("thinkingConfig")?;
    let tokens = either(config, "thinkingBudget").and_then(Value::as_i64);
    let level = either(config, "thinkingLevel").and_then(Value::as_str);
    let known = &asked.facts.thinking;
    if tokens.is_some() && level.is_some() {
        return Some(Complaint::new(
            "You can only set only one of thinking budget and thinking level.",
        ));
    }
    if known.manner == ThinkingStyle::None
        && (tokens.is_some_and(|tokens| tokens != 0) || level.is_some())
    {
        return Some(Complaint::new("Thinking is not supported for this model."));
    }
    if let Some(level) = level {
        let efforts = efforts(asked);
        if known.manner == ThinkingStyle::Budget {
            return Some(Complaint::new("Thinking level is not supported for this model."));
        }
        let takes = Effort::parse(level).is_some_and(|wished| efforts.has(wished));
        return (!efforts.is_empty() && !takes).then(|| {
            Complaint::new(format!(
                "Thinking level {} is not supported for this model. Please retry with other \
                 thinking level.",
                level.to_ascii_uppercase()
            ))
        });
    }
    let tokens = tokens?;
    match known.budget {
        None if matches!(known.manner, ThinkingStyle::Effort | ThinkingStyle::Always) => {
            Some(Complaint::new("Thinking budget is not supported for this model."))
        }
        Some(_) if tokens == 0 && known.off != Off::Zero => {
            Some(Complaint::new("Budget 0 is invalid. This model only works in thinking mode."))
        }
        Some((least, most)) if tokens > 0 && !(least..=most).contains(&tokens) => {
            Some(Complaint::new(format!(
                "The thinking budget {tokens} is invalid. Please choose a value between {least} \
                 and {most}."
            )))
        }
        _ => None,
    }
}
