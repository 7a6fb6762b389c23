//! The members of a request: thinking, tools, sampling, the limit of the answer.

use serde_json::Number;

use super::draft::{Draft, TargetModel};
use crate::catalogue::{Param, TokenLimit};
use crate::wire::vocab::{
    Dialect, Effort, Format, Off, Protocol, Reasoning, Request, ThinkingStyle, ToolChoice, ToolKind,
};

/// Where the dialects spell a wish to think.
const REASONING: [&str; 6] = [
    "reasoning_effort",
    "reasoning",
    "thinking",
    "enable_thinking",
    "output_config.effort",
    "generationConfig.thinkingConfig",
];

/// A wish to think, in the model's form and range.
pub(super) fn reasoning(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let thinking = model.facts.thinking_on(model.protocol);
    let Some(wish) = &draft.request.reasoning else { return };
    if thinking.manner == ThinkingStyle::Unknown {
        return;
    }
    let fitted = thinking.fit(wish);
    let at_home = model.at_home(&draft.request);
    if fitted.lost {
        draft.losses.dropped(match draft.request.from {
            Some(Dialect::OpenAiChat) => "reasoning_effort",
            Some(Dialect::OpenAiResponses) => "reasoning.effort",
            Some(Dialect::Anthropic) => "thinking",
            Some(Dialect::Gemini) => "thinkingConfig",
            None => "reasoning",
        });
    }
    let Some(wish) = draft.request.reasoning.as_ref() else { return };
    // Off is another word there than the usual one.
    let other_word = thinking.off == Off::BetweenTools && wish.enabled == Some(false);
    let same = fitted.reasoning.as_ref().is_some_and(|new| says_the_same(wish, new));
    if at_home && same && !other_word {
        return;
    }
    if other_word || fitted.reasoning.as_ref() != Some(wish) {
        draft.edit().reasoning = fitted.reasoning;
        draft.respell(&REASONING);
    }
}

/// What was said at home and means the same need not be said otherwise: an effort without a switch
/// beside it, a budget that is "enabled" as well.
fn says_the_same(said: &Reasoning, new: &Reasoning) -> bool {
    let switched = said.enabled == new.enabled
        || (said.enabled.is_none() && new.enabled == Some(true) && new.effort.is_some())
        || (said.enabled == Some(true) && new.enabled.is_none() && new.budget.is_some());
    said.effort == new.effort && said.budget == new.budget && switched
}

/// Whether the request will be thought about, and how hard.
fn thought(draft: &Draft<'_>, model: &TargetModel<'_>) -> (bool, Option<Effort>) {
    let reasoning = draft.request.reasoning.as_ref();
    let effort = reasoning.and_then(|reasoning| reasoning.effort);
    let thinks = model.facts.thinks(reasoning);
    (thinks, effort.or(model.facts.thinking.default_effort.filter(|_| thinks)))
}

fn is_forced(choice: Option<&ToolChoice>) -> bool {
    matches!(
        choice,
        Some(
            ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. }
        )
    )
}

/// Tools, the choice among them, and a form for the answer beside them.
pub(super) fn tools(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    if draft.request.tools.is_empty() {
        return;
    }
    if !model.facts.tools {
        draft.losses.lost("tools");
        return;
    }
    let (thinks, _) = thought(draft, model);
    if is_forced(draft.request.tool_choice.as_ref()) && !model.facts.forced.allowed(thinks) {
        let request = draft.edit();
        request.tool_choice = match request.tool_choice.take() {
            Some(ToolChoice::Among { names, .. }) => {
                Some(ToolChoice::Among { names, required: false })
            }
            _ => Some(ToolChoice::Auto),
        };
        draft.respell(&["tool_choice", "toolConfig", "tool_config", "function_call"]);
        draft.losses.dropped("tool_choice");
    }
    let called =
        draft.request.tools.iter().any(|tool| matches!(tool.kind, ToolKind::Function { .. }));
    let formed = matches!(draft.request.format, Some(Format::Json | Format::Schema { .. }));
    if !model.facts.tools_with_schema && called && formed {
        if model.last_resort {
            super::schema::into_words(draft);
            draft.losses.dropped("response_format");
        } else {
            // Another deployment may be able to do both.
            draft.losses.lost("response_format");
        }
    }
}

/// Whether a member is there; if so, whether it says what holds anyway.
fn said(request: &Request, param: &Param) -> Option<bool> {
    let is = |number: &Option<Number>, usual: f64| {
        number
            .as_ref()
            .map(|number| number.as_f64().is_some_and(|said| (said - usual).abs() < 1e-9))
    };
    let sampling = &request.sampling;
    match param {
        Param::Temperature => is(&sampling.temperature, 1.0),
        Param::TopP => is(&sampling.top_p, 1.0),
        Param::TopK => sampling.top_k.as_ref().map(|_| false),
        Param::FrequencyPenalty => is(&sampling.frequency_penalty, 0.0),
        Param::PresencePenalty => is(&sampling.presence_penalty, 0.0),
        Param::Logprobs => sampling.logprobs.map(|on| !on),
        Param::TopLogprobs => sampling.top_logprobs.map(|count| count == 0),
        Param::Stop => (!sampling.stop.is_empty()).then_some(false),
        Param::N => sampling.n.map(|n| n <= 1),
        Param::Seed => sampling.seed.map(|_| false),
        Param::ParallelToolCalls => request.parallel_tool_calls,
        Param::MaxTokens => request.max_output_tokens.map(|_| false),
        Param::Other(name) => match &**name {
            "user" => request.user.as_ref().map(|_| false),
            "stream_options" => request.include_usage.map(|_| true),
            name => request.extra.says(name).then_some(false),
        },
    }
}

/// Takes a member out, and whatever spells it.
fn take_out(draft: &mut Draft<'_>, param: &Param) {
    let request = draft.edit();
    let sampling = &mut request.sampling;
    match param {
        Param::Temperature => sampling.temperature = None,
        Param::TopP => sampling.top_p = None,
        Param::TopK => sampling.top_k = None,
        Param::FrequencyPenalty => sampling.frequency_penalty = None,
        Param::PresencePenalty => sampling.presence_penalty = None,
        Param::Logprobs => (sampling.logprobs, sampling.top_logprobs) = (None, None),
        Param::TopLogprobs => sampling.top_logprobs = None,
        Param::Stop => {
            sampling.stop.clear();
            request.extra.strike("stop");
        }
        Param::N => sampling.n = None,
        Param::Seed => sampling.seed = None,
        Param::ParallelToolCalls => request.parallel_tool_calls = None,
        Param::MaxTokens => {
            request.max_output_tokens = None;
            for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
                request.extra.strike(name);
            }
        }
        Param::Other(name) => match &**name {
            "user" => request.user = None,
            "stream_options" => {
                request.include_usage = None;
                request.extra.strike("stream_options");
            }
            name => {
                request.extra.strike(name);
            }
        },
    }
}

/// What the model refuses, or has no use for.
pub(super) fn sampling(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    let (thinks, effort) = thought(draft, model);
    for refusal in &model.facts.refuses {
        let Some(usual) = said(&draft.request, &refusal.param) else { continue };
        let hot = draft.request.sampling.temperature.is_some();
        if !refusal.when.holds(thinks, effort, hot, usual) {
            continue;
        }
        if !refusal.ignored {
            take_out(draft, &refusal.param);
        }
        if !usual {
            // More answers than one are what was asked for, not how.
            if refusal.param == Param::N && !model.last_resort {
                draft.losses.lost("n");
            } else {
                draft.losses.dropped(refusal.param.as_str().to_owned());
            }
        }
    }
    if let Some(most) = model.facts.temperature_max
        && let Some(hot) = draft.request.sampling.temperature.as_ref().and_then(Number::as_f64)
        && hot > most
    {
        draft.edit().sampling.temperature = Number::from_f64(most);
        draft.losses.dropped("temperature");
    }
    if let Some(most) = model.facts.stop_max
        && draft.request.sampling.stop.len() > most
    {
        draft.edit().sampling.stop.truncate(most);
        draft.respell(&["stop"]);
        draft.losses.dropped("stop");
    }
}

/// Chat has two members for the limit of an answer, and most models take one of them.
pub(super) fn token_limit(draft: &mut Draft<'_>, model: &TargetModel<'_>) {
    if model.protocol != Protocol::Dialect(Dialect::OpenAiChat) || !model.at_home(&draft.request) {
        return;
    }
    let wrong = match model.facts.token_limit {
        Some(TokenLimit::MaxCompletionTokens) => "max_tokens",
        Some(TokenLimit::MaxTokens) => "max_completion_tokens",
        _ if model.max_tokens_only => "max_completion_tokens",
        _ => return,
    };
    draft.respell(&[wrong]);
}
