//! What an agent is, and what it does next. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use crate::base::money::Nanos;
use crate::base::{Error, Kind};
use crate::wire::vocab::{
    Body, CallKind, ContentShape, Extra, Part, Reply, Request, Role, Tool, ToolCall, ToolKind,
    ToolResult, Turn,
};

const NAME_CHARACTERS: usize = 200;
const INSTRUCTION_BYTES: usize = 256 << 10;
const MOST_TOOLS: usize = 128;
/// Turns that any agent may take.
const MOST_TURNS: u32 = 50;
const USUAL_TURNS: u32 = 10;

/// Something that an agent may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentTool {
    /// Run by whoever asked: a call of it ends the run until they hand in what it came to.
    Function { function: FunctionTool },
    /// Tools of a connected app; all of them, if none is named.
    Connect {
        app: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<Vec<String>>,
    },
    /// What is remembered of the user: searching it, and adding to it.
    Memory,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FunctionTool {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// How far a run may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunLimits {
    /// Times that a model is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub max_turns: Option<u32>,
    /// Tokens read and written, over all turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
}

/// An agent as its owner describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default, alias = "system_prompt")]
    pub instructions: String,
    #[schemars(length(min = 1))]
    #[serde(default = "auto")]
    pub model: String,
    /// Where a request says nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// The longest answer of a turn, in tokens, where a request says nothing else.
    #[serde(default, alias = "max_tokens", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<u64>,
    #[serde(default)]
    pub tools: Vec<AgentTool>,
    #[serde(default)]
    pub limits: RunLimits,
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

fn auto() -> String {
    "auto".to_owned()
}

impl Agent {
    /// # Errors
    /// [`Kind::Malformed`], naming the field at fault.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |field: &'static str, text: &str| {
            Err(Error::new(Kind::Malformed, text.to_owned()).at(field))
        };
        if self.name.trim().is_empty() || self.name.chars().count() > NAME_CHARACTERS {
            return wrong("name", "An agent's name has 1 to 200 characters.");
        }
        if self.instructions.len() > INSTRUCTION_BYTES {
            return wrong("instructions", "Instructions have at most 262,144 bytes.");
        }
        if self.model.is_empty() || self.model.starts_with("agent:") {
            return wrong("model", "An agent asks a model, or \"auto\".");
        }
        let warm = |n: &Number| n.as_f64().is_some_and(|n| (0.0..=2.0).contains(&n));
        if !self.temperature.as_ref().is_none_or(warm) {
            return wrong("temperature", "'temperature' is from 0 to 2.");
        }
        if self.max_output_tokens == Some(0) {
            return wrong("max_output_tokens", "'max_output_tokens' is at least 1.");
        }
        if self.tools.len() > MOST_TOOLS {
            return wrong("tools", "An agent has at most 128 tools.");
        }
        let functions = self.tools.iter().filter_map(|tool| match tool {
            AgentTool::Function { function } => Some(function),
            _ => None,
        });
        for function in functions {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if function.name.is_empty()
                || function.name.len() > 64
                || !function.name.chars().all(fits)
            {
                return wrong("tools", "A function's name has 1 to 64 letters, digits, _ or -.");
            }
        }
        if self.limits.max_turns.is_some_and(|turns| !(1..=MOST_TURNS).contains(&turns)) {
            return wrong("limits.max_turns", "'max_turns' is from 1 to 50.");
        }
        if self.limits.max_tokens == Some(0) {
            return wrong("limits.max_tokens", "'max_tokens' is at least 1.");
        }
        if self.limits.max_cost_usd.is_some_and(|usd| !usd.is_finite() || usd <= 0.0) {
            return wrong("limits.max_cost_usd", "'max_cost_usd' is more than 0.");
        }
        Ok(())
    }

    /// What it says of how to answer, where a request says nothing.
    pub fn complete(&self, request: &mut Request) {
        let sampling = &mut request.sampling;
        sampling.temperature = sampling.temperature.take().or_else(|| self.temperature.clone());
        request.max_output_tokens = request.max_output_tokens.or(self.max_output_tokens);
    }

    /// Whether anything of it is run here.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.tools.iter().any(|tool| !matches!(tool, AgentTool::Function { .. }))
    }

    /// The tools that its caller runs.
    pub fn functions(&self) -> impl Iterator<Item = Tool> + '_ {
        self.tools.iter().filter_map(|tool| match tool {
            AgentTool::Function { function } => Some(self::function(
                &function.name,
                function.description.as_deref().unwrap_or_default(),
                function.parameters.clone(),
            )),
            _ => None,
        })
    }
}

/// A tool as models are told of it.
#[must_use]
pub fn function(name: &str, description: &str, parameters: Option<Value>) -> Tool {
    Tool {
        kind: ToolKind::Function {
            name: name.to_owned(),
            description: (!description.is_empty()).then(|| description.to_owned()),
            parameters: Some(
                parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
            ),
            strict: None,
        },
        cache: None,
        extra: Extra::NONE,
        inner: Extra::NONE,
    }
}

/// Turns, tokens and USD that a run has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunTotals {
    pub turns: u32,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost: Nanos,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// The model has answered.
    Answered,
    /// The caller has to run a tool.
    Asks,
    /// A limit was reached, and the answer is the last that it allowed.
    Limit,
}

/// What to do with a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    Done(RunEnd),
    /// Run these here, and ask again.
    Act(Vec<ToolCall>),
}

/// The tool calls of a reply.
fn calls(reply: &Reply) -> Vec<ToolCall> {
    let parts = reply.choices.first().map(|choice| choice.turn.parts.as_slice());
    parts
        .unwrap_or_default()
        .iter()
        .filter_map(|part| match &part.body {
            Body::Call(call) => Some(call.clone()),
            _ => None,
        })
        .collect()
}

/// What comes after a reply. `here` says which tools are run here.
#[must_use]
pub fn next(
    reply: &Reply,
    spent: &RunTotals,
    limits: &RunLimits,
    here: impl Fn(&str) -> bool,
) -> RunStep {
    let calls = calls(reply);
    if calls.is_empty() {
        return RunStep::Done(RunEnd::Answered);
    }
    // Of a reply that calls both kinds, none is run: the caller could not answer for ours.
    if !calls.iter().all(|call| here(&call.name)) {
        return RunStep::Done(RunEnd::Asks);
    }
    if is_last(spent, limits) { RunStep::Done(RunEnd::Limit) } else { RunStep::Act(calls) }
}

/// Whether nothing may follow what was spent.
fn is_last(spent: &RunTotals, limits: &RunLimits) -> bool {
    let tokens = spent.input_tokens.saturating_add(spent.output_tokens);
    let cost = limits.max_cost_usd.and_then(Nanos::from_usd);
    spent.turns >= limits.max_turns.unwrap_or(USUAL_TURNS)
        || limits.max_tokens.is_some_and(|most| tokens >= most)
        || cost.is_some_and(|most| spent.cost >= most)
}

/// Whether the next turn has to be the last: its tools are left out, so that it answers.
#[must_use]
pub fn must_answer(spent: &RunTotals, limits: &RunLimits) -> bool {
    let next = RunTotals { turns: spent.turns + 1, ..*spent };
    spent.turns > 0 && is_last(&next, limits)
}

/// What a call came to, as a turn of the conversation.
#[must_use]
pub fn handed_in(call: &ToolCall, text: &str, is_error: bool) -> Turn {
    let outcome = ToolResult {
        call_id: call.id.clone(),
        // Where calls have no ids (Gemini), the name says which it answers.
        name: call.id.is_none().then(|| call.name.clone()),
        parts: vec![Part::text(text)],
        shape: ContentShape::Text,
        is_error: is_error.then_some(true),
        json: None,
    };
    Turn::new(Role::Tool, vec![Part::new(Body::Outcome(outcome))])
}

/// The arguments of a call; an error's text for what is no object.
///
/// # Errors
/// What the model is to be told.
pub fn arguments(call: &ToolCall) -> Result<Map<String, Value>, String> {
    if call.kind == CallKind::Custom {
        return Err("this tool takes a JSON object".to_owned());
    }
    let text = call.arguments.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|why| format!("the arguments are not a JSON object: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Choice;

    fn reply(names: &[&str]) -> Reply {
        let part = |name: &&str| {
            Part::new(Body::Call(ToolCall {
                id: Some("c".to_owned()),
                name: (*name).to_owned(),
                arguments: Some("{\"a\":1}".to_owned()),
                kind: CallKind::Function,
            }))
        };
        let turn = Turn::new(Role::Assistant, names.iter().map(part).collect());
        let choice = Choice { index: 0, turn, finish: None, extra: Extra::NONE };
        Reply { choices: vec![choice], ..Reply::default() }
    }

    fn spent(turns: u32) -> RunTotals {
        RunTotals { turns, ..RunTotals::default() }
    }

    #[test]
    fn what_is_run_here_is_run_and_what_is_not_is_asked_for() {
        let here = |name: &str| name.starts_with("app__");
        let limits = RunLimits::default();
        assert_eq!(next(&reply(&[]), &spent(1), &limits, here), RunStep::Done(RunEnd::Answered));
        assert!(
            matches!(next(&reply(&["app__a", "app__b"]), &spent(1), &limits, here), RunStep::Act(calls) if calls.len() == 2)
        );
        assert_eq!(
            next(&reply(&["app__a", "mine"]), &spent(1), &limits, here),
            RunStep::Done(RunEnd::Asks)
        );
        assert_eq!(
            next(&reply(&["app__a"]), &spent(10), &limits, here),
            RunStep::Done(RunEnd::Limit)
        );
        let limits = RunLimits { max_tokens: Some(100), ..limits };
        let much = RunTotals { input_tokens: 90, output_tokens: 10, ..spent(1) };
        assert_eq!(next(&reply(&["app__a"]), &much, &limits, here), RunStep::Done(RunEnd::Limit));
        let limits = RunLimits { max_turns: Some(2), ..RunLimits::default() };
        assert!(!must_answer(&spent(0), &limits) && must_answer(&spent(1), &limits));
    }

    #[test]
    fn an_agent_is_checked() {
        let agent = |text: &str| {
            serde_json::from_str::<Agent>(text)
                .map_err(|_| ())
                .and_then(|agent| agent.check().map_err(|_| ()))
        };
        assert!(
            agent(r#"{"name":"a","tools":[{"type":"memory"},{"type":"connect","app":"x"}]}"#)
                .is_ok()
        );
        for wrong in [
            r#"{"name":""}"#,
            r#"{"name":"a","model":"agent:b"}"#,
            r#"{"name":"a","limits":{"max_turns":0}}"#,
            r#"{"name":"a","limits":{"max_cost_usd":-1}}"#,
            r#"{"name":"a","tools":[{"type":"function","function":{"name":"a b"}}]}"#,
            r#"{"name":"a","tools":[{"type":"nonsense"}]}"#,
            r#"{"name":"a","nonsense":1}"#,
        ] {
            assert!(agent(wrong).is_err(), "{wrong}");
        }
    }
}
