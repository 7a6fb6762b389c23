//! How Claude is told to think: a budget of tokens up to 4.5, `adaptive` with an effort from 4.6 on.
//! The same members stand in Bedrock's `additionalModelRequestFields`.

use serde_json::{Number, Value, json};

use super::Target;
use super::vocab::{
    Body, Dialect, Effort, Losses, Off, Reasoning, Request, Role, Sampling, ThinkingStyle,
    ToolChoice,
};

/// The least thinking Anthropic allows.
const LEAST_BUDGET: i64 = 1_024;

/// The least `top_p` beside thinking. Source: Anthropic's page on extended thinking.
const LEAST_TOP_P: f64 = 0.95;

/// Whether `top_p` is lower than a model takes that thinks.
pub(super) fn is_narrow(sampling: &Sampling) -> bool {
    sampling.top_p.as_ref().and_then(Number::as_f64).is_some_and(|top_p| top_p < LEAST_TOP_P)
}

/// The members of a Messages request that steer thinking.
#[derive(Debug, Default)]
pub(super) struct ClaudeThinking {
    /// `thinking`
    pub member: Option<Value>,
    /// `output_config.effort`
    pub effort: Option<Effort>,
    /// A budget is part of it.
    pub max_tokens: Option<u64>,
    /// Sampling has to go: a model that thinks by budget takes no other than the usual.
    pub cools: bool,
}

pub(super) fn encode(
    request: &Request,
    target: &Target<'_>,
    max_tokens: Option<u64>,
    lost: &mut Losses,
) -> ClaudeThinking {
    let nothing = ClaudeThinking { max_tokens, ..ClaudeThinking::default() };
    let Some(reasoning) = request.reasoning.as_ref() else { return nothing };
    let thinking = target.thinking;
    if thinking.manner == ThinkingStyle::None {
        if wants(reasoning) {
            lost.dropped("reasoning");
        }
        return nothing;
    }
    if reasoning.enabled == Some(false) || reasoning.budget == Some(0) {
        let kind = if thinking.off == Off::BetweenTools { "between_tools" } else { "disabled" };
        let silent = matches!(thinking.manner, ThinkingStyle::Unknown | ThinkingStyle::Budget);
        let member =
            (!silent || request.from == Some(Dialect::Anthropic)).then(|| json!({"type": kind}));
        return ClaudeThinking { member, ..nothing };
    }
    let adapts = matches!(thinking.manner, ThinkingStyle::Adaptive | ThinkingStyle::Always)
        || (thinking.manner == ThinkingStyle::Unknown && reasoning.enabled == Some(true));
    if adapts {
        if !wants(reasoning) {
            return nothing;
        }
        if is_forced(request) && thinking.manner == ThinkingStyle::Adaptive {
            lost.dropped("reasoning");
            return nothing;
        }
        let member = if reasoning.show == Some(true) {
            json!({"type": "adaptive", "display": "summarized"})
        } else {
            json!({"type": "adaptive"})
        };
        let effort = reasoning.effort.filter(|_| !thinking.efforts.is_empty());
        return ClaudeThinking { member: Some(member), effort, ..nothing };
    }
    budgeted(request, reasoning, target, max_tokens, lost)
}

fn wants(reasoning: &Reasoning) -> bool {
    let none = reasoning.effort == Some(Effort::None);
    let said = reasoning.effort.is_some() || reasoning.budget.is_some();
    (said && !none && reasoning.budget != Some(0)) || reasoning.enabled == Some(true)
}

fn is_forced(request: &Request) -> bool {
    matches!(
        request.tool_choice,
        Some(
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. }
        )
    )
}

/// Thinking by a number of tokens. It and a forced tool exclude each other, and a tool loop that
/// began without a signed thought cannot go on with one.
fn budgeted(
    request: &Request,
    reasoning: &Reasoning,
    target: &Target<'_>,
    max_tokens: Option<u64>,
    lost: &mut Losses,
) -> ClaudeThinking {
    let nothing = ClaudeThinking { max_tokens, ..ClaudeThinking::default() };
    let wanted = match (reasoning.budget, reasoning.effort) {
        (Some(budget), _) if budget > 0 => budget,
        (_, Some(Effort::None)) => return nothing,
        (_, Some(effort)) => effort.budget(),
        (Some(_), None) => Effort::Medium.budget(),
        (None, None) if reasoning.enabled == Some(true) => Effort::Medium.budget(),
        (None, None) => return nothing,
    };
    let last = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let in_loop = request.turns.last().is_some_and(|turn| {
        turn.role == Role::Tool
            || turn.parts.iter().any(|part| matches!(part.body, Body::Outcome(_)))
    });
    let unsigned = in_loop
        && last.is_some_and(|turn| {
            !turn.parts.iter().any(|part| {
                matches!(part.body, Body::Thought(_))
                    && part
                        .signature
                        .as_ref()
                        .is_some_and(|signature| signature.by == Dialect::Anthropic)
            })
        });
    if is_forced(request) || unsigned {
        lost.dropped("reasoning");
        return nothing;
    }
    let wanted = wanted.max(LEAST_BUDGET);
    let most = target.max_output_tokens.max(1);
    // The budget is part of what the caller allows in all, in every dialect, and leaves a quarter of it for
    // the answer.
    let whole = max_tokens.unwrap_or(most);
    let budget = wanted.min(i64::try_from(whole - whole / 4).unwrap_or(i64::MAX));
    if budget < LEAST_BUDGET {
        lost.dropped("reasoning");
        return nothing;
    }
    ClaudeThinking {
        member: Some(json!({"type": "enabled", "budget_tokens": budget})),
        effort: None,
        max_tokens: Some(whole),
        cools: true,
    }
}
