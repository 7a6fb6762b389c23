//! Agents: kept under a name, in versions, and named where a model is.

mod begun;
mod run;

use std::sync::LazyLock;

use memchr::memmem::Finder;
use schemars::JsonSchema;
use serde::Serialize;

use crate::admit::Caller;
use crate::apps::Connections;
use crate::base::clock::Clock;
use crate::base::{Error, Kind};
use crate::exchange::Arrival;
use crate::memory::Remembering;
use crate::platform::agents::Agent;
use crate::store::{AgentRow, Store};
use crate::wire::codec;

pub use begun::{Begun, NewRun, ToldRun, begin, execute};
pub use run::answer;

/// What names an agent where a model is named.
const PREFIX: &str = "agent:";

/// What it takes to run an agent, beside whoever has its turns answered.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    pub clock: Clock,
    /// Apps whose tools agents run.
    pub connections: &'a Connections,
    pub memory: Remembering<'a>,
}

/// An agent, and which version of it.
#[derive(Debug, Clone)]
pub struct Named {
    pub id: String,
    pub version: i64,
    pub agent: Agent,
    /// Who made it; the account's id = it is everybody's of the account.
    pub user: String,
    pub created: i64,
    updated: i64,
}

/// What is said of an agent that is not there, or is another's.
#[must_use]
pub fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("There is no agent '{id}'.")).coded("agent_not_found")
}

/// A row of the store, read.
///
/// # Errors
/// When what was kept cannot be read, which is a fault of ours.
pub fn named(row: AgentRow) -> Result<Named, Error> {
    Ok(Named {
        agent: serde_json::from_str(&row.definition).map_err(Error::internal)?,
        id: row.id,
        user: row.user,
        version: row.version,
        created: row.created.seconds(),
        updated: row.updated.seconds(),
    })
}

impl Named {
    /// What changes with every version.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    #[must_use]
    pub fn shown(&self) -> ShownAgent {
        ShownAgent {
            id: self.id.clone(),
            object: "agent",
            version: self.version,
            agent: self.agent.clone(),
            created_at: self.created,
            updated_at: self.updated,
        }
    }
}

/// An agent as callers read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SavedAgent")]
pub struct ShownAgent {
    pub id: String,
    object: &'static str,
    version: i64,
    #[serde(flatten)]
    agent: Agent,
    /// In seconds since the epoch.
    created_at: i64,
    updated_at: i64,
}

/// An agent that the caller may read and run: their own, or everybody's of the account.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is somebody else's.
pub async fn get(store: &Store, caller: &Caller, id: &str) -> Result<Named, Error> {
    let found = store.agent(caller.account.clone(), id.to_owned()).await;
    let found = found.map_err(Error::internal)?.filter(|row| {
        row.user == caller.account.as_str() || caller.person.may_act_for(&row.user).is_ok()
    });
    named(found.ok_or_else(|| unknown(id))?)
}

/// How a body names an agent. Looked for in every request, so the search is prepared once.
static NAMED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"agent:"));

/// The agent that a request asks for in the place of a model, if it does.
///
/// # Errors
/// As [`get`]; for a body that cannot be read.
pub async fn asked(
    store: &Store,
    caller: &Caller,
    arrival: &Arrival,
) -> Result<Option<Named>, Error> {
    let id = match &arrival.target {
        Some(target) => target.model.strip_prefix(PREFIX).map(str::to_owned),
        // Nearly no request names one: looking for it is cheaper than reading.
        None if NAMED.find(&arrival.body).is_none() => None,
        None => {
            let head = codec(arrival.dialect).head(&arrival.body)?;
            head.model.strip_prefix(PREFIX).map(str::to_owned)
        }
    };
    match id {
        Some(id) => get(store, caller, &id).await.map(Some),
        None => Ok(None),
    }
}
