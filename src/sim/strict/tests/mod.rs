//! Requests that real models refuse, and the same without what they are refused for.

mod hosts;
mod makers;

use serde_json::{Value, json};

use super::{House, refusal};
use crate::catalogue::{Facts, FactsEntry};
use crate::wire::vocab::{Dialect, Protocol};

const CHAT: Protocol = Protocol::Dialect(Dialect::OpenAiChat);
const RESPONSES: Protocol = Protocol::Dialect(Dialect::OpenAiResponses);
const CLAUDE: Protocol = Protocol::Dialect(Dialect::Anthropic);
const GEMINI: Protocol = Protocol::Dialect(Dialect::Gemini);

fn facts(entry: Value) -> Facts {
    serde_json::from_value::<FactsEntry>(entry).unwrap().settle()
}

fn gpt5() -> Facts {
    facts(
        json!({"refuses": {"temperature": "always", "top_p": "always", "stop": "always", "max_tokens": "always"}, "thinking": "effort", "thinks_by_default": true, "efforts": ["minimal", "low", "medium", "high"], "token_limit": "max_completion_tokens"}),
    )
}

fn terra() -> Facts {
    facts(
        json!({"refuses": {"temperature": "while-thinking", "logprobs": "while-thinking"}, "thinking": "effort", "thinking_off": "effort", "thinks_by_default": true, "efforts": ["none", "low", "high"], "tools_only_on": ["openai-responses"], "tools_only_when": "unless-none"}),
    )
}

fn opus47() -> Facts {
    facts(
        json!({"refuses": {"temperature": "non-default", "top_p": "non-default", "top_k": "non-default"}, "thinking": "adaptive", "thinking_off": "disabled", "efforts": ["low", "medium", "high"], "prefill": false}),
    )
}

fn haiku() -> Facts {
    facts(
        json!({"refuses": {"temperature": "while-thinking", "top_p": "with-temperature"}, "thinking": "budget", "thinking_off": "omitted", "budget": {"min": 1024}}),
    )
}

fn merged(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn base(protocol: Protocol) -> Value {
    match protocol {
        CHAT => json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
        RESPONSES => json!({"model": "m", "input": "hi"}),
        CLAUDE => {
            json!({"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}]})
        }
        Protocol::Bedrock => json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        Protocol::Dialect(Dialect::Gemini) => json!({"contents": [{"parts": [{"text": "hi"}]}]}),
    }
}

/// What is said to a request; nothing where it is taken.
fn said(model: &str, protocol: Protocol, facts: &Facts, more: &Value) -> String {
    let body = merged(base(protocol), more);
    let house = House::of(None, protocol, model);
    refusal(house, protocol, &body, model, facts).map_or_else(String::new, |refusal| {
        let body = &refusal.body;
        let message = ["/error/message", "/message", "/error", "/detail/0/msg"]
            .into_iter()
            .find_map(|at| body.pointer(at)?.as_str());
        message.unwrap().to_owned()
    })
}
