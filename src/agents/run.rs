//! Running an agent: turn by turn, on any surface. Every turn is an ordinary request, with its own
//! limits, credits and line in the books.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Named, Running};
use crate::admit::Caller;
use crate::apps::{self, Connections};
use crate::base::ids::RequestId;
use crate::base::{Error, Kind};
use crate::catalogue::{Deployment, Pictures};
use crate::exchange::{Answered, Arrival, Refused, ResponseBody, as_stream};
use crate::memory::{self, NewMemory};
use crate::platform::agents::{
    Agent, AgentTool, RunEnd, RunStep, RunTotals, arguments, function, handed_in, must_answer, next,
};
use crate::wire::vocab::{Dialect, Reply, Request, Tool, ToolCall, Turn};
use crate::wire::{Target, codec};

/// More of what a tool says is not read to the model.
const OUTCOME_BYTES: usize = 128 << 10;

/// What happens in a run, for whoever watches it.
#[derive(Debug)]
pub enum Happening<'a> {
    Turn(&'a RunTotals),
    Started(&'a ToolCall),
    Ended(&'a ToolCall, bool),
}

/// What a run came to.
pub struct Finished {
    pub answered: Answered,
    /// The last answer, in the caller's dialect.
    body: Bytes,
    pub reply: Reply,
    pub end: RunEnd,
    pub spent: RunTotals,
    /// The conversation with all that the run added.
    pub turns: Vec<Turn>,
}

/// What is run here, by the name that a model calls it.
#[derive(Debug, Clone)]
enum Here {
    App { app: String, tool: String },
    SearchMemory,
    StoreMemory,
}

/// Answers as an agent, on whichever surface.
///
/// # Errors
/// As the turn that failed.
pub async fn answer(
    running: Running<'_>,
    caller: &Caller,
    named: &Named,
    mut arrival: Arrival,
    turn: impl AsyncFn(&Caller, Arrival) -> Result<Answered, Refused>,
) -> Result<Answered, Refused> {
    let dialect = arrival.dialect;
    let streams = match &arrival.target {
        Some(target) => target.stream,
        None => codec(dialect).head(&arrival.body)?.stream,
    };
    let agent = ("x-optimux-agent", Cow::Owned(format!("{}@{}", named.id, named.version)));
    if !named.agent.acts() {
        // Nothing is run here: it is a request with instructions, and streams as one.
        prepare(&mut arrival, named, streams)?;
        let mut request = codec(dialect).decode_request(&arrival.body)?;
        let before = request.clone();
        named.agent.complete(&mut request);
        request.tools.extend(named.agent.functions());
        if request != before {
            request.forget_spelling();
            arrival.body = written(dialect, &request)?;
        }
        let mut answered = turn(caller, arrival).await?;
        answered.notes.push(agent);
        return Ok(answered);
    }
    let id = arrival.id.clone();
    let finished = run(running, caller, named, arrival, &turn, &mut |_| {}).await?;
    let mut answered = finished.answered;
    answered.notes.push(agent);
    answered.notes.push(("x-optimux-turns", Cow::Owned(finished.spent.turns.to_string())));
    answered.body = if streams {
        let mut reply = finished.reply;
        reply.id.get_or_insert_with(|| id.as_str().to_owned());
        let model = &answered.step.model.id;
        ResponseBody::at_once(as_stream(running.clock, dialect, model, &reply, true))
    } else {
        ResponseBody::Whole(finished.body)
    };
    Ok(answered)
}

/// Puts the agent's model and instructions into a request of the caller's.
fn prepare(arrival: &mut Arrival, named: &Named, streams: bool) -> Result<(), Error> {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&arrival.body) else {
        return Err(Error::new(Kind::Malformed, "The request body is not a JSON object."));
    };
    match &mut arrival.target {
        Some(target) => {
            target.model.clone_from(&named.agent.model);
            target.stream = streams;
        }
        None => {
            body.insert("model".to_owned(), Value::from(named.agent.model.as_str()));
            if !streams {
                body.shift_remove("stream");
                body.shift_remove("stream_options");
            }
        }
    }
    if !named.agent.instructions.is_empty() {
        codec(arrival.dialect).instruct(&mut body, &named.agent.instructions);
    }
    arrival.body = Bytes::from(Value::Object(body).to_string());
    Ok(())
}

pub(super) fn written(dialect: Dialect, request: &Request) -> Result<Bytes, Error> {
    let target = Target {
        model: &request.model,
        max_output_tokens: request.max_output_tokens.unwrap_or(4_096),
        ..Target::SELF
    };
    Ok(codec(dialect).encode_request(request, &target)?.body)
}

/// The tools that are run here: for the model, and what is behind their names.
async fn tools(
    connections: &Connections,
    caller: &Caller,
    agent: &Agent,
) -> Result<(Vec<Tool>, BTreeMap<String, Here>), Error> {
    let (mut tools, mut here) = (Vec::new(), BTreeMap::new());
    for one in &agent.tools {
        match one {
            AgentTool::Function { .. } => {}
            AgentTool::Connect { app: id, tools: only } => {
                for tool in apps::tools_of(connections, caller, id).await? {
                    if only.as_ref().is_some_and(|only| !only.contains(&tool.name)) {
                        continue;
                    }
                    let name = apps::function_name(id, &tool.name);
                    // Two names that are cut to one would be no tool at all.
                    if here.contains_key(&name) {
                        continue;
                    }
                    tools.push(function(&name, &tool.description, Some(tool.input_schema)));
                    here.insert(name, Here::App { app: id.clone(), tool: tool.name });
                }
            }
            AgentTool::Memory => {
                let query = json!({"type": "object", "required": ["query"],
                    "properties": {"query": {"type": "string"}}});
                let text = json!({"type": "object", "required": ["text"],
                    "properties": {"text": {"type": "string"}}});
                let said = "Search what is remembered of the user.";
                tools.push(function("memory_search", said, Some(query)));
                let said = "Remember something of the user, in a sentence.";
                tools.push(function("memory_store", said, Some(text)));
                here.insert("memory_search".to_owned(), Here::SearchMemory);
                here.insert("memory_store".to_owned(), Here::StoreMemory);
            }
        }
    }
    tools.extend(agent.functions());
    Ok((tools, here))
}

/// Does what a model asks for; what it is told of it, and whether it went wrong.
async fn act(
    running: Running<'_>,
    caller: &Caller,
    here: &Here,
    call: &ToolCall,
) -> (String, bool) {
    let arguments = match arguments(call) {
        Ok(arguments) => arguments,
        Err(why) => return (why, true),
    };
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let done: Result<(String, bool), Error> = match here {
        Here::App { app: id, tool } => {
            let both = (id.as_str(), tool.as_str());
            let called = apps::call(running.connections, caller, both, arguments, None).await;
            called.map(|(_, ran)| (ran.text(), ran.is_error))
        }
        Here::SearchMemory => {
            let asked = memory::MemoryQuery {
                query: text("query").to_owned(),
                limit: Some(10),
                ..memory::MemoryQuery::default()
            };
            running.memory.find(caller, &caller.person.id, &asked).await.map(|found| {
                let lines: Vec<&str> = found.iter().map(|(one, _)| one.text.as_str()).collect();
                let none = "Nothing is remembered.".to_owned();
                (if lines.is_empty() { none } else { lines.join("\n") }, false)
            })
        }
        Here::StoreMemory => {
            let new = NewMemory { text: text("text").to_owned(), ..NewMemory::default() };
            let kept = running.memory.store(caller, &caller.person.id, vec![new]).await;
            kept.map(|_| ("It is remembered.".to_owned(), false))
        }
    };
    let (mut text, wrong) = done.unwrap_or_else(|why| (why.public.into_owned(), true));
    text.truncate(text.floor_char_boundary(OUTCOME_BYTES));
    (text, wrong)
}

/// Runs an agent on a request of any dialect, turn by turn.
///
/// # Errors
/// What the first turn that fails is refused with.
pub(super) async fn run(
    running: Running<'_>,
    caller: &Caller,
    named: &Named,
    mut arrival: Arrival,
    turn: &impl AsyncFn(&Caller, Arrival) -> Result<Answered, Refused>,
    tell: &mut dyn FnMut(Happening<'_>),
) -> Result<Finished, Refused> {
    let (dialect, agent) = (arrival.dialect, &named.agent);
    prepare(&mut arrival, named, false)?;
    let mut request = codec(dialect).decode_request(&arrival.body)?;
    if arrival.target.is_none() {
        request.model.clone_from(&agent.model);
    }
    agent.complete(&mut request);
    let (tools, here) = tools(running.connections, caller, agent).await?;
    let own_tools = request.tools.clone();
    request.tools.extend(tools);
    request.forget_spelling();
    let mut spent = RunTotals::default();
    loop {
        if must_answer(&spent, &agent.limits) {
            request.tools.clone_from(&own_tools);
        }
        let next_turn = Arrival {
            // The first turn is the request; the others are requests of their own.
            id: if spent.turns == 0 { arrival.id.clone() } else { RequestId::fresh() },
            dialect,
            body: written(dialect, &request)?,
            target: arrival.target.clone(),
            forward: arrival.forward.clone(),
            asked: arrival.asked.clone(),
        };
        let mut answered = turn(caller, next_turn).await?;
        let body = match std::mem::replace(&mut answered.body, ResponseBody::Whole(Bytes::new())) {
            ResponseBody::Whole(body) => body,
            ResponseBody::Stream(_) => return Err(Error::internal("a whole answer streams").into()),
        };
        let reply = codec(dialect).decode_reply(&body).map_err(Error::internal)?;
        let usage = reply.usage.clone().unwrap_or_default();
        spent.turns += 1;
        spent.input_tokens = spent.input_tokens.saturating_add(usage.prompt());
        spent.output_tokens = spent.output_tokens.saturating_add(usage.completion());
        let (model, deployment) = (&answered.step.model, &answered.step.deployment);
        let bill =
            |at: &Deployment| at.prices.bill(&usage, Pictures::default(), running.clock.now());
        // Who is told prices alone bounds what is asked for.
        let cost = match caller.selling().alone() {
            None => bill(deployment),
            Some(margin) => margin.on(bill(model.sold_at(deployment))),
        };
        spent.cost = spent.cost.plus(cost);
        tell(Happening::Turn(&spent));
        let choice = reply.choices.first().map(|choice| choice.turn.clone());
        request.turns.extend(choice);
        match next(&reply, &spent, &agent.limits, |name| here.contains_key(name)) {
            RunStep::Done(end) => {
                let turns = request.turns;
                return Ok(Finished { answered, body, reply, end, spent, turns });
            }
            RunStep::Act(calls) => {
                for call in &calls {
                    let Some(behind) = here.get(&call.name) else { continue };
                    tell(Happening::Started(call));
                    let (text, wrong) = act(running, caller, behind, call).await;
                    tell(Happening::Ended(call, wrong));
                    request.turns.push(handed_in(call, &text, wrong));
                }
                // Who had to call a tool has done so, and may answer now.
                request.tool_choice = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PathTarget;

    fn named() -> Named {
        let agent = json!({"name": "a", "model": "gpt-x", "instructions": "Be brief."});
        Named {
            id: "agent_1".to_owned(),
            version: 3,
            agent: serde_json::from_value(agent).unwrap(),
            user: "acct_1".to_owned(),
            created: 0,
            updated: 0,
        }
    }

    #[test]
    fn an_agents_model_and_instructions_take_their_place_in_every_dialect() {
        for (dialect, body, instructions) in [
            (
                Dialect::OpenAiChat,
                json!({"model": "agent:a", "stream": true, "stream_options": {"include_usage": true},
                    "messages": [{"role": "user", "content": "hi"}]}),
                "/messages/0/content",
            ),
            (
                Dialect::OpenAiResponses,
                json!({"model": "agent:a", "input": "hi", "stream": true}),
                "/instructions",
            ),
            (
                Dialect::Anthropic,
                json!({"model": "agent:a", "max_tokens": 9, "stream": true,
                    "messages": [{"role": "user", "content": "hi"}]}),
                "/system",
            ),
        ] {
            let bytes = Bytes::from(body.to_string());
            let mut arrival = Arrival::of(RequestId::fresh(), dialect, bytes);
            prepare(&mut arrival, &named(), false).unwrap();
            let sent: Value = serde_json::from_slice(&arrival.body).unwrap();
            assert_eq!(sent["model"], "gpt-x");
            assert!(sent.get("stream").is_none() && sent.get("stream_options").is_none());
            assert!(
                sent.pointer(instructions).unwrap().to_string().contains("Be brief."),
                "{sent}"
            );
        }
        // Gemini has the model in the path, and whether it streams.
        let bytes = Bytes::from(json!({"contents": [{"parts": [{"text": "hi"}]}]}).to_string());
        let mut arrival = Arrival::of(RequestId::fresh(), Dialect::Gemini, bytes);
        arrival.target = Some(PathTarget { model: "agent:a".to_owned(), stream: false });
        prepare(&mut arrival, &named(), true).unwrap();
        let target = arrival.target.unwrap();
        assert_eq!((target.model.as_str(), target.stream), ("gpt-x", true));
        let mut broken =
            Arrival::of(RequestId::fresh(), Dialect::OpenAiChat, Bytes::from_static(b"[]"));
        assert_eq!(prepare(&mut broken, &named(), false).unwrap_err().kind, Kind::Malformed);
    }
}
