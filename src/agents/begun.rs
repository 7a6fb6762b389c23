//! Runs that are asked for by themselves: `POST /v1/agents/{id}/runs`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::run::{Happening, run, written};
use super::{Named, Running, get};
use crate::admit::{Caller, Identities, Scope, users};
use crate::apps;
use crate::base::ids::{RequestId, RunId};
use crate::base::{Error, Kind};
use crate::exchange::{Answered, Arrival, Refused};
use crate::platform::agents::RunEnd;
use crate::store::Store;
use crate::wire::vocab::{Dialect, Request, Role, Stop, Turn};

/// What `POST /v1/agents/{id}/runs` is told.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewRun {
    /// A question, or chat messages.
    input: Option<Value>,
    messages: Option<Vec<Value>>,
    pub stream: bool,
    #[serde(alias = "userId")]
    pub user_id: Option<String>,
    metadata: Map<String, Value>,
}

/// A run, as it is asked for.
pub struct PreparedRun {
    pub id: String,
    pub named: Named,
    caller: Arc<Caller>,
    arrival: Arrival,
    metadata: Map<String, Value>,
}

/// Finds the agent, and makes a request of what it is asked.
///
/// # Errors
/// [`Kind::NotFound`] for the agent; [`Kind::Malformed`] without a question.
pub async fn begin(
    store: &Store,
    identities: &Identities,
    caller: &Arc<Caller>,
    id: &str,
    new: NewRun,
    request: RequestId,
) -> Result<PreparedRun, Error> {
    caller.must_be_for(Scope::Platform)?;
    caller.must_be_for(Scope::Chat)?;
    let named = get(store, caller, id).await?;
    let messages = match (new.messages, new.input) {
        (Some(messages), _) => Value::Array(messages),
        (None, Some(Value::String(text))) => json!([{"role": "user", "content": text}]),
        (None, Some(messages @ Value::Array(_))) => messages,
        _ => {
            return Err(Error::new(Kind::Malformed, "Missing required parameter: 'input'.")
                .at("input")
                .coded("missing_required_parameter"));
        }
    };
    let body = json!({"model": named.agent.model, "messages": messages}).to_string();
    let arrival = Arrival::of(request, Dialect::OpenAiChat, body.into());
    let caller = users::acting(identities, Arc::clone(caller), new.user_id.as_deref()).await?;
    let id = RunId::fresh().as_str().to_owned();
    Ok(PreparedRun { id, named, caller, arrival, metadata: new.metadata })
}

fn status(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Answered => "completed",
        RunEnd::Asks => "requires_action",
        RunEnd::Limit => "incomplete",
    }
}

/// Turns as chat messages.
fn messages(turns: Vec<Turn>) -> Result<Vec<Value>, Error> {
    let request = Request { model: "m".to_owned(), turns, ..Request::default() };
    let body = written(Dialect::OpenAiChat, &request)?;
    let mut body: Value = serde_json::from_slice(&body).map_err(Error::internal)?;
    match body.get_mut("messages").map(Value::take) {
        Some(Value::Array(messages)) => Ok(messages),
        _ => Ok(Vec::new()),
    }
}

/// What came of a run.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Run")]
pub struct RunView {
    id: String,
    object: &'static str,
    agent_id: String,
    version: i64,
    /// `completed`, `requires_action` or `incomplete`.
    status: &'static str,
    model: String,
    output: String,
    /// What it added, as chat completions have messages.
    messages: Vec<Value>,
    /// The calls that whoever asked is to run.
    required_action: Option<Value>,
    turns: u32,
    usage: RunUsage,
    request_id: String,
    /// In seconds since the epoch.
    created_at: i64,
    metadata: Map<String, Value>,
}

/// What a run used, over all its turns.
#[derive(Debug, Serialize, JsonSchema)]
struct RunUsage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
    /// What providers charge; who is not to know that is told what it is sold for.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_usd: Option<f64>,
}

/// Runs an agent; what came of it.
///
/// # Errors
/// As the turn that failed.
pub async fn execute(
    running: Running<'_>,
    begun: PreparedRun,
    turn: impl AsyncFn(&Caller, Arrival) -> Result<Answered, Refused>,
    tell: &mut dyn FnMut(&'static str, Value),
) -> Result<RunView, Refused> {
    let PreparedRun { id, named, caller, arrival, metadata } = begun;
    let about = json!({"run": id, "agent": named.id, "version": named.version});
    apps::note(running.connections, &caller, "agent.run.started", about.clone()).await;
    tell("run.started", json!({"id": id, "agent_id": named.id, "version": named.version}));
    let first = arrival.id.clone();
    let outcome = run(running, &caller, &named, arrival, &turn, &mut |happening| match happening {
        Happening::Turn(spent) => tell("turn.completed", json!({"turn": spent.turns})),
        Happening::Started(call) => {
            tell("tool.started", json!({"name": call.name, "arguments": call.arguments}));
        }
        Happening::Ended(call, wrong) => {
            tell("tool.completed", json!({"name": call.name, "is_error": wrong}));
        }
    })
    .await;
    let finished = match outcome {
        Ok(finished) => finished,
        Err(refused) => {
            let mut told = about;
            told["error"] = Value::from(refused.error.public.as_ref());
            apps::note(running.connections, &caller, "agent.run.failed", told).await;
            return Err(refused);
        }
    };
    let choice = finished.reply.choices.first();
    let output: String = choice.map(|choice| choice.turn.texts().collect()).unwrap_or_default();
    let cut = choice.and_then(|choice| choice.finish.as_ref()).map(|finish| finish.why);
    let status = match (finished.end, cut) {
        (RunEnd::Answered, Some(Stop::Length)) => "incomplete",
        (end, _) => status(end),
    };
    // What the run added: all after what was asked.
    let said = finished.turns;
    let added = said.iter().rposition(|turn| turn.role == Role::User).map_or(0, |at| at + 1);
    let all = messages(said.get(added..).unwrap_or_default().to_vec())?;
    let calls = all.last().and_then(|last| last.get("tool_calls")).cloned();
    let spent = &finished.spent;
    let told = RunView {
        id,
        object: "agent.run",
        agent_id: named.id,
        version: named.version,
        status,
        model: finished.answered.step.model.id.to_string(),
        output,
        messages: all,
        required_action: (status == "requires_action").then_some(calls).flatten(),
        turns: spent.turns,
        usage: RunUsage {
            input_tokens: spent.input_tokens,
            output_tokens: spent.output_tokens,
            total_tokens: spent.input_tokens + spent.output_tokens,
            cost_usd: caller.sees_cost().then(|| spent.cost.as_usd()),
            list_usd: (!caller.sees_cost()).then(|| spent.cost.as_usd()),
        },
        request_id: first.as_str().to_owned(),
        created_at: running.clock.now().seconds(),
        metadata,
    };
    let mut ended = about;
    ended["status"] = Value::from(status);
    ended["turns"] = Value::from(finished.spent.turns);
    apps::note(running.connections, &caller, "agent.run.completed", ended).await;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Part;

    #[test]
    fn what_was_said_is_told_as_chat_messages() {
        let turn = |role, text: &str| Turn::new(role, vec![Part::text(text)]);
        let said = vec![turn(Role::User, "hi"), turn(Role::Assistant, "hello")];
        let all = messages(said).unwrap();
        assert_eq!(
            all,
            [
                json!({"role": "user", "content": "hi"}),
                json!({"role": "assistant", "content": "hello"})
            ]
        );
        assert_eq!(messages(Vec::new()).unwrap(), Vec::<Value>::new());
    }
}
