//! Agents: kept under a name, in versions, and named where a model is.

mod run;

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::{App, Arrival};
use crate::admit::{Caller, Scope};
use crate::base::ids::AgentId;
use crate::base::{Error, Kind};
use crate::platform::agents::Agent;
use crate::store::AgentRow;
use crate::wire::codec;

pub(super) use run::answer;
pub use run::{Begun, NewRun, begin, execute};

/// What names an agent where a model is named.
const PREFIX: &str = "agent:";
const PAGE: i64 = 20;
const LARGEST_PAGE: i64 = 100;

/// An agent, and which version of it.
#[derive(Debug, Clone)]
pub struct Named {
    pub id: String,
    pub version: i64,
    pub agent: Agent,
    /// Who made it; the account's id = it is everybody's of the account.
    user: String,
    created: i64,
    updated: i64,
}

fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("There is no agent '{id}'.")).coded("agent_not_found")
}

fn named(row: AgentRow) -> Result<Named, Error> {
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

    /// # Errors
    /// When it cannot be written, which is a fault of ours.
    pub fn shown(&self) -> Result<Value, Error> {
        let mut shown = json!({"id": self.id, "object": "agent", "version": self.version});
        let agent = serde_json::to_value(&self.agent).map_err(Error::internal)?;
        if let (Some(shown), Value::Object(agent)) = (shown.as_object_mut(), agent) {
            shown.extend(agent);
            shown.insert("created_at".to_owned(), self.created.into());
            shown.insert("updated_at".to_owned(), self.updated.into());
        }
        Ok(shown)
    }
}

/// # Errors
/// [`Kind::Malformed`] for an agent that is none.
pub async fn create(app: &App, caller: &Caller, agent: Agent) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agent.check()?;
    let now = app.shared.clock.now();
    let row = AgentRow {
        account: caller.account.clone(),
        user: caller.person.id.clone(),
        id: AgentId::fresh().as_str().to_owned(),
        version: 1,
        created: now,
        updated: now,
        definition: serde_json::to_string(&agent).map_err(Error::internal)?,
    };
    app.shared.store.create_agent(row.clone()).await.map_err(Error::internal)?;
    named(row)
}

/// An agent that the caller may read and run: their own, or everybody's of the account.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is somebody else's.
pub async fn get(app: &App, caller: &Caller, id: &str) -> Result<Named, Error> {
    let found = app.shared.store.agent(caller.account.clone(), id.to_owned()).await;
    let found = found.map_err(Error::internal)?.filter(|row| {
        row.user == caller.account.as_str() || caller.person.may_act_for(&row.user).is_ok()
    });
    named(found.ok_or_else(|| unknown(id))?)
}

/// An agent that the caller may change: their own. Everybody's is for those who run the account.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Named, Error> {
    let found = get(app, caller, id).await?;
    if found.user == caller.account.as_str() && found.user != caller.person.id {
        caller.person.must_run_the_account()?;
    }
    Ok(found)
}

/// # Errors
/// When the store fails.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<String>,
    limit: Option<i64>,
) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let store = &app.shared.store;
    let page = store
        .agents(caller.account.clone(), caller.seer(), after.unwrap_or_default(), limit + 1)
        .await;
    let page = page.map_err(Error::internal)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = page.len() > most;
    let data: Vec<Value> =
        page.into_iter().take(most).map(|row| named(row)?.shown()).collect::<Result<_, _>>()?;
    Ok(json!({
        "object": "list",
        "has_more": more,
        "first_id": data.first().map(|one| one["id"].clone()),
        "last_id": data.last().map(|one| one["id"].clone()),
        "data": data,
    }))
}

/// Makes a new version. `seen` is the `ETag` that the change was made from, if the caller says.
///
/// # Errors
/// [`Kind::Stale`] when somebody else was faster.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: &str,
    agent: Agent,
    seen: Option<&str>,
) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agent.check()?;
    let before = own(app, caller, id).await?;
    let stale = || {
        let text = "The agent has been changed since. Read it again.";
        Error::new(Kind::Stale, text).coded("version_conflict")
    };
    let tags = |seen: &str| {
        seen.split(',')
            .any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == before.etag())
    };
    if seen.is_some_and(|seen| !tags(seen)) {
        return Err(stale());
    }
    let changed = AgentRow {
        account: caller.account.clone(),
        user: before.user.clone(),
        id: id.to_owned(),
        version: before.version + 1,
        created: crate::base::clock::Timestamp(before.created * 1000),
        updated: app.shared.clock.now(),
        definition: serde_json::to_string(&agent).map_err(Error::internal)?,
    };
    let done = app.shared.store.change_agent(changed.clone(), before.version).await;
    if !done.map_err(Error::internal)? {
        return Err(stale());
    }
    named(changed)
}

/// # Errors
/// As [`get`].
pub async fn delete(app: &App, caller: &Caller, id: &str) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    own(app, caller, id).await?;
    let gone = app.shared.store.delete_agent(caller.account.clone(), id.to_owned()).await;
    if !gone.map_err(Error::internal)? {
        return Err(unknown(id));
    }
    Ok(json!({"id": id, "object": "agent", "deleted": true}))
}

/// How a body names an agent. Looked for in every request, so the search is prepared once.
static NAMED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"agent:"));

/// The agent that a request asks for in the place of a model, if it does.
pub(super) async fn asked(
    app: &App,
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
        Some(id) => get(app, caller, &id).await.map(Some),
        None => Ok(None),
    }
}
