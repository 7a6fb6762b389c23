//! How tokens are drawn and how many there may be: members that a model does not take, and values
//! out of range. Source of the wording: recorded refusals; public reports where there is none.

use serde_json::Value;

use super::asked::{RawRequest, member};
use super::house::House;
use super::wording::Complaint;
use crate::catalogue::{Param, TokenLimit, When};
use crate::wire::vocab::Dialect;

pub fn check(asked: &RawRequest<'_>) -> Option<Complaint> {
    limit(asked)
        .or_else(|| {
            asked
                .facts
                .refuses
                .iter()
                .find_map(|one| refused(asked, &one.param, one.when).filter(|_| !one.ignored))
        })
        .or_else(|| temperature(asked))
        .or_else(|| stops(asked))
        .or_else(|| together(asked))
}

/// Whether a value says what holds anyway.
fn is_default(param: &Param, value: &Value) -> bool {
    let number = |usual: f64| value.as_f64().is_some_and(|said| (said - usual).abs() < 1e-9);
    match param {
        Param::Temperature | Param::TopP | Param::N => number(1.0),
        Param::FrequencyPenalty | Param::PresencePenalty | Param::TopLogprobs => number(0.0),
        Param::Logprobs => *value == Value::Bool(false),
        Param::Stop => value.as_array().is_some_and(Vec::is_empty),
        Param::ParallelToolCalls => *value == Value::Bool(true),
        Param::TopK | Param::Seed | Param::MaxTokens | Param::Other(_) => false,
    }
}

fn refused(asked: &RawRequest<'_>, param: &Param, when: When) -> Option<Complaint> {
    let (at, value) = asked.said(param)?;
    let default = is_default(param, value);
    // On chat, OpenAI's reasoning models take the value that holds anyway.
    let drawn = matches!(param, Param::Temperature | Param::TopP | Param::N);
    if asked.house == House::OpenAi && asked.is_chat() && drawn && default {
        return None;
    }
    let hot = asked.said(&Param::Temperature).is_some();
    if !when.holds(asked.thinks(), asked.effort(), hot, default) {
        return None;
    }
    Some(match (asked.house, asked.dialect()) {
        _ if asked.is_claude() => claude(param, &at, when),
        (House::Google, _) | (_, Some(Dialect::Gemini)) => google(param, &at),
        (House::Xai, _) => Complaint::new(format!("Argument not supported on this model: {at}")),
        (House::Bedrock, _) => Complaint::new(format!(
            "The model returned the following errors: Malformed input request: \
             #/inferenceConfig: extraneous key [{at}] is not permitted, please reformat your \
             input and try again."
        )),
        (_, Some(Dialect::OpenAiChat)) if drawn => {
            let rest = " Only the default (1) value is supported.";
            Complaint::value(&at, &value.to_string(), rest)
        }
        (_, Some(Dialect::OpenAiChat)) if *param == Param::MaxTokens => completion_tokens(),
        _ => Complaint::parameter(&at, ""),
    })
}

fn claude(param: &Param, at: &str, when: When) -> Complaint {
    Complaint::new(match when {
        When::WhileThinking if *param == Param::TopK => {
            "`top_k` must be unset when thinking is enabled.".to_owned()
        }
        When::WhileThinking => {
            "`temperature` may only be set to 1 when thinking is enabled. Please \
             consult our documentation at \
             https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
                .to_owned()
        }
        When::WithTemperature => "`temperature` and `top_p` cannot both be specified for this \
             model. Please use only one."
            .to_owned(),
        _ => format!("`{}` is deprecated for this model.", if at == "topP" { "top_p" } else { at }),
    })
}

fn google(param: &Param, at: &str) -> Complaint {
    Complaint::new(match param {
        Param::FrequencyPenalty | Param::PresencePenalty => {
            "Penalty is not enabled for this model".to_owned()
        }
        Param::N => "Multiple candidates is not enabled for this model".to_owned(),
        Param::Logprobs | Param::TopLogprobs => "Logprobs is not enabled for this model".to_owned(),
        _ => format!("{at} is not supported for this model."),
    })
}

fn completion_tokens() -> Complaint {
    Complaint::parameter("max_tokens", " Use 'max_completion_tokens' instead.")
}

/// The member that limits the answer, on chat; the least that Responses takes.
fn limit(asked: &RawRequest<'_>) -> Option<Complaint> {
    let said = |name: &str| member(asked.body, name).is_some();
    match asked.dialect()? {
        Dialect::OpenAiChat => {
            let (old, new) = (said("max_tokens"), said("max_completion_tokens"));
            if old && new && asked.house == House::OpenAi {
                let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time \
                     is not supported.";
                let complaint = Complaint::of("max_tokens", message);
                return Some(complaint.code("invalid_parameter_combination"));
            }
            // Hosts of others' models take both.
            if asked.house == House::Other {
                return None;
            }
            match asked.facts.token_limit {
                Some(TokenLimit::MaxCompletionTokens) if old => Some(completion_tokens()),
                Some(TokenLimit::MaxTokens) if new => Some(Complaint::parameter(
                    "max_completion_tokens",
                    " Use 'max_tokens' instead.",
                )),
                _ => None,
            }
        }
        Dialect::OpenAiResponses if asked.house == House::OpenAi => {
            let most = asked.at("/max_output_tokens").and_then(Value::as_i64)?;
            (most < 16).then(|| {
                let message = format!(
                    "Invalid 'max_output_tokens': integer below minimum value. Expected a value \
                     >= 16, but got {most} instead."
                );
                Complaint::of("max_output_tokens", message).code("integer_below_min_value")
            })
        }
        _ => None,
    }
}

fn temperature(asked: &RawRequest<'_>) -> Option<Complaint> {
    let (at, value) = asked.said(&Param::Temperature)?;
    let usual = match asked.house {
        House::OpenAi | House::Google | House::DeepSeek | House::Xai => Some(2.0),
        House::Anthropic => Some(1.0),
        House::Bedrock if asked.is_claude() => Some(1.0),
        House::Bedrock | House::Mistral | House::OpenRouter | House::Other => None,
    };
    let most = asked.facts.temperature_max.or(usual)?;
    let said = value.as_f64().filter(|said| *said > most || *said < 0.0)?;
    Some(match asked.house {
        _ if asked.is_claude() => Complaint::new(format!("temperature: range: 0..{most}")),
        House::Google => Complaint::new(format!(
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the \
             range [0.0, {most:.1}].\n"
        )),
        House::Mistral => {
            let message = format!("Input should be less than or equal to {most}");
            Complaint::of(at, message).code("less_than_equal")
        }
        _ if said < 0.0 => {
            let message = format!(
                "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but \
                 got {value} instead."
            );
            Complaint::of(at, message).code("decimal_below_min_value")
        }
        _ => {
            let message = format!(
                "Invalid 'temperature': decimal above maximum value. Expected a value <= {most}, \
                 but got {value} instead."
            );
            Complaint::of(at, message).code("decimal_above_max_value")
        }
    })
}

fn stops(asked: &RawRequest<'_>) -> Option<Complaint> {
    let (at, value) = asked.said(&Param::Stop)?;
    let all = value.as_array()?;
    if asked.is_claude() {
        let blank = |one: &Value| one.as_str().is_some_and(|text| text.trim().is_empty());
        return all.iter().any(blank).then(|| {
            Complaint::new("stop_sequences: each stop sequence must contain non-whitespace")
        });
    }
    let usual = match asked.house {
        House::OpenAi => Some(4),
        House::Google => Some(5),
        _ => None,
    };
    let most = asked.facts.stop_max.or(usual).filter(|most| all.len() > *most)?;
    let count = all.len();
    Some(match asked.house {
        House::Google => Complaint::new(format!(
            "* GenerateContentRequest.generation_config.stop_sequences: at most {most} stop \
             sequences are allowed, got {count}.\n"
        )),
        _ => {
            let message = format!(
                "Invalid '{at}': array too long. Expected an array with maximum length {most}, \
                 but got an array with length {count} instead."
            );
            Complaint::of(at, message).code("array_above_max_length")
        }
    })
}

/// What goes only with something else.
fn together(asked: &RawRequest<'_>) -> Option<Complaint> {
    if asked.house != House::OpenAi || !asked.is_chat() {
        return None;
    }
    let most = asked.said(&Param::TopLogprobs)?;
    asked.said(&Param::Logprobs).is_none().then(|| {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        Complaint::of(most.0, message)
    })
}
