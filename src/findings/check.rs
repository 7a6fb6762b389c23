//! Whether an answer can stand, as far as can be told from the request and the answer alone. Pure.

use std::fmt;

use serde_json::Value;

use crate::router::Sign;
use crate::shape;
use crate::wire::vocab::{
    Body, CallKind, Format, Part, Reply, Request, Stop, Tool, ToolCall, ToolChoice, ToolKind,
};

/// Why an answer does not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It says nothing.
    Empty,
    /// It was cut off, and not by a limit that the caller set.
    Cut,
    /// The model or its filter refuses.
    Refused,
    /// JSON was asked for.
    NotJson,
    /// Where it breaks the schema that was asked for.
    Schema(String),
    /// It calls a tool that was not offered.
    UnknownTool(String),
    /// What a call hands over is no JSON object, or breaks the tool's schema.
    Arguments(String),
    /// A call was demanded, and there is none.
    NoCall,
    /// Asked once more, the model says something else.
    Differs,
    /// The judge takes it to be wrong.
    Judged,
}

impl Doubt {
    /// What it shows of the model.
    #[must_use]
    pub fn sign(&self) -> Sign {
        match self {
            Self::Empty => Sign::AnswerEmpty,
            Self::Cut => Sign::AnswerCut,
            Self::Refused => Sign::AnswerRefused,
            Self::NotJson => Sign::AnswerNotJson,
            Self::Schema(_) => Sign::AnswerBreaksSchema,
            Self::UnknownTool(_) => Sign::ToolUnknown,
            Self::Arguments(_) => Sign::ToolArgumentsInvalid,
            Self::NoCall => Sign::ToolCallMissing,
            Self::Differs => Sign::AnswersDiffer,
            Self::Judged => Sign::AnswerJudgedBad,
        }
    }

    /// As the record of a request and the metrics call it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.sign().as_str()
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(at) => write!(f, "{} at {at}", self.label()),
            Self::UnknownTool(name) | Self::Arguments(name) => {
                write!(f, "{} ({name})", self.label())
            }
            _ => f.write_str(self.label()),
        }
    }
}

/// How models begin when they refuse. Compared in lower case, with straight apostrophes.
const REFUSALS: [&str; 10] = [
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i'm sorry, i can't",
    "sorry, but i can't",
    "sorry, i can't",
    "i can't help with",
    "i can't assist with",
    "i cannot help with",
    "i cannot assist with",
    "i'm unable to",
];
/// A refusal is short; a long answer that begins with an apology answers after all.
const REFUSAL_BYTES: usize = 400;

/// The first thing that speaks against an answer. `None` if nothing does.
#[must_use]
pub fn doubt(request: &Request, reply: &Reply) -> Option<Doubt> {
    if reply.choices.is_empty() {
        return Some(Doubt::Empty);
    }
    reply.choices.iter().find_map(|choice| {
        let why = choice.finish.as_ref().map(|finish| finish.why);
        of_choice(request, &choice.turn.parts, why)
    })
}

/// What an answer shows of its model.
#[must_use]
pub fn shown(request: &Request, reply: &Reply) -> Sign {
    if let Some(doubt) = doubt(request, reply) {
        return doubt.sign();
    }
    let mut parts = reply.choices.iter().flat_map(|choice| &choice.turn.parts);
    if parts.any(|part| matches!(part.body, Body::Call(_))) {
        Sign::ToolsSound
    } else if request.format.as_ref().is_some_and(Format::is_json) {
        Sign::JsonSound
    } else {
        Sign::AnswerSound
    }
}

fn of_choice(request: &Request, parts: &[Part], why: Option<Stop>) -> Option<Doubt> {
    match why {
        Some(Stop::Filter) => return Some(Doubt::Refused),
        Some(Stop::Length) if request.max_output_tokens.is_none() => return Some(Doubt::Cut),
        _ => {}
    }
    let calls: Vec<&ToolCall> = parts
        .iter()
        .filter_map(|part| match &part.body {
            Body::Call(call) => Some(call),
            _ => None,
        })
        .collect();
    if let Some(doubt) = calls.iter().find_map(|call| of_call(&request.tools, call)) {
        return Some(doubt);
    }
    if !calls.is_empty() {
        return None;
    }
    let demanded = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => true,
        Some(ToolChoice::Among { required, .. }) => *required,
        _ => false,
    };
    if demanded {
        return Some(Doubt::NoCall);
    }
    if parts.iter().any(|part| matches!(part.body, Body::Refusal(_))) {
        return Some(Doubt::Refused);
    }
    let mut said = String::new();
    let mut other = false;
    for part in parts {
        match &part.body {
            Body::Text(text) => said.push_str(text),
            Body::Thought(_) => {}
            _ => other = true,
        }
    }
    let said = said.trim();
    if said.is_empty() {
        return (!other).then_some(Doubt::Empty);
    }
    match &request.format {
        // Cut by the caller's own limit: nobody could have closed it.
        Some(format) if format.is_json() && why == Some(Stop::Length) => None,
        Some(Format::Json) => {
            let object = serde_json::from_str::<Value>(said).is_ok_and(|value| value.is_object());
            (!object).then_some(Doubt::NotJson)
        }
        Some(Format::Schema { schema, bare: false, .. }) => {
            match serde_json::from_str::<Value>(said) {
                Ok(_) => shape::violation(schema, said).map(Doubt::Schema),
                Err(_) => Some(Doubt::NotJson),
            }
        }
        _ => refuses(said).then_some(Doubt::Refused),
    }
}

fn of_call(tools: &[Tool], call: &ToolCall) -> Option<Doubt> {
    if call.kind != CallKind::Function {
        return None;
    }
    let offered = tools.iter().find_map(|tool| match &tool.kind {
        ToolKind::Function { name, parameters, .. } if *name == call.name => Some(parameters),
        _ => None,
    });
    // A provider's own tools are not in the list.
    let own = tools.iter().any(|tool| !matches!(tool.kind, ToolKind::Function { .. }));
    let Some(parameters) = offered else {
        return (!own).then(|| Doubt::UnknownTool(call.name.clone()));
    };
    let arguments = call.arguments.as_deref().unwrap_or_default().trim();
    if arguments.is_empty() {
        return None;
    }
    let object = serde_json::from_str::<Value>(arguments).is_ok_and(|value| value.is_object());
    if !object {
        return Some(Doubt::Arguments(call.name.clone()));
    }
    let broken = parameters.as_ref().and_then(|schema| shape::violation(schema, arguments));
    broken.map(|at| Doubt::Arguments(format!("{} at {at}", call.name)))
}

fn refuses(said: &str) -> bool {
    if said.len() > REFUSAL_BYTES {
        return false;
    }
    let said = said.to_lowercase().replace('\u{2019}', "'");
    REFUSALS.iter().any(|begins| said.starts_with(begins))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::codec;
    use crate::wire::vocab::{Dialect, Protocol};

    fn judged(asked: &Value, message: &Value, finish: &str) -> Option<Doubt> {
        let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "go"}]});
        for (name, value) in asked.as_object().unwrap() {
            body[name] = value.clone();
        }
        let codec = codec(Dialect::OpenAiChat);
        let request = codec.decode_request(body.to_string().as_bytes()).unwrap();
        let answer = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}]});
        let theirs = crate::wire::provider_side(Protocol::Dialect(Dialect::OpenAiChat));
        let reply = theirs.decode_reply(answer.to_string().as_bytes()).unwrap();
        doubt(&request, &reply)
    }

    fn says(text: &str) -> Value {
        json!({"role": "assistant", "content": text})
    }

    fn calls(name: &str, arguments: &str) -> Value {
        json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]})
    }

    #[test]
    fn what_an_answer_is_doubted_for() {
        let plain = json!({});
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}},
            "required": ["n"], "additionalProperties": false});
        let json_mode = json!({"response_format": {"type": "json_object"}});
        let formed = json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": schema}}});
        let tools = json!({"tools": [{"type": "function",
            "function": {"name": "add", "parameters": schema}}]});
        let mut forced = tools.clone();
        forced["tool_choice"] = json!("required");
        let cut = json!({"max_tokens": 5});
        for (asked, message, finish, expected) in [
            (&plain, says("Paris."), "stop", None),
            (&plain, says("  "), "stop", Some("answer_empty")),
            (&plain, says("Once upon"), "length", Some("answer_cut")),
            (&cut, says("Once upon"), "length", None),
            (
                &plain,
                says("I\u{2019}m sorry, but I can\u{2019}t help."),
                "stop",
                Some("answer_refused"),
            ),
            (&plain, says("Sorry, I can't say it shorter: ").tap_long(), "stop", None),
            (&plain, says(""), "content_filter", Some("answer_refused")),
            (&json_mode, says("{\"a\": 1}"), "stop", None),
            (&json_mode, says("Here you are: {}"), "stop", Some("answer_not_json")),
            (&formed, says("{\"n\": 1}"), "stop", None),
            (&formed, says("{\"n\": \"one\"}"), "stop", Some("answer_breaks_schema")),
            (&formed, says("{\"n\": "), "stop", Some("answer_not_json")),
            (&tools, calls("add", "{\"n\": 1}"), "tool_calls", None),
            (&tools, calls("add", "{\"n\": \"x\"}"), "tool_calls", Some("tool_arguments_invalid")),
            (&tools, calls("add", "n=1"), "tool_calls", Some("tool_arguments_invalid")),
            (&tools, calls("subtract", "{}"), "tool_calls", Some("tool_unknown")),
            (&tools, says("Five."), "stop", None),
            (&forced, says("Five."), "stop", Some("tool_call_missing")),
        ] {
            let found = judged(asked, &message, finish);
            let label = found.as_ref().map(Doubt::label);
            assert_eq!(label, expected, "{asked} {message} {finish}: {found:?}");
        }
    }

    trait Long {
        fn tap_long(self) -> Self;
    }

    impl Long for Value {
        /// The same words, and many after them.
        fn tap_long(mut self) -> Self {
            let text = format!("{}{}", self["content"].as_str().unwrap(), "word ".repeat(200));
            self["content"] = json!(text);
            self
        }
    }
}
