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

pub use begun::{NewRun, PreparedRun, RunView, begin, execute};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Role;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::base::clock::Timestamp;
    use crate::base::ids::RequestId;
    use crate::wire::PathTarget;
    use crate::wire::vocab::Dialect;
    use bytes::Bytes;
    use serde_json::json;

    async fn kept(all: &Accounts, caller: &Caller, id: &str, definition: &str) {
        let row = AgentRow {
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.to_owned(),
            version: 7,
            created: NOON,
            updated: Timestamp(NOON.0 + 1_000),
            definition: definition.to_owned(),
        };
        all.store.create_agent(row).await.unwrap();
    }

    fn arrival(dialect: Dialect, body: &str) -> Arrival {
        Arrival::of(RequestId::fresh(), dialect, Bytes::from(body.to_owned()))
    }

    #[tokio::test]
    async fn an_agent_is_run_by_who_made_it_and_one_of_the_account_by_all_of_its_people() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let ann = all.caller(&all.member(&account, "ann@acme.test", Role::Member).await).await;
        let bob = all.caller(&all.member(&account, "bob@acme.test", Role::Member).await).await;
        let (owner, stranger) = (all.owner(&account).await, all.owner(&other).await);
        kept(&all, &ann, "agent_anns", r#"{"name": "a"}"#).await;
        kept(&all, &owner, "agent_ours", r#"{"name": "a"}"#).await;
        for (who, anns, ours) in [
            (&ann, true, true),
            (&owner, true, true),
            (&bob, false, true),
            (&stranger, false, false),
        ] {
            for (id, may) in [("agent_anns", anns), ("agent_ours", ours)] {
                match get(&all.store, who, id).await {
                    Ok(found) => assert!(may && found.id == id, "{}: {id}", who.person.id),
                    Err(why) => {
                        assert!(!may, "{}: {id}", who.person.id);
                        assert_eq!(why.kind, Kind::NotFound);
                        assert_eq!(why.code.as_deref(), Some("agent_not_found"));
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn an_agent_is_asked_by_the_name_of_the_model_in_body_or_path_and_nowhere_else() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        kept(&all, &caller, "agent_1", r#"{"name": "a"}"#).await;
        let asked = async |arrival: &Arrival| {
            asked(&all.store, &caller, arrival).await.map(|found| found.map(|one| one.id))
        };
        let named =
            json!({"model": "agent:agent_1", "messages": [{"role": "user", "content": "hi"}]});
        let named = arrival(Dialect::OpenAiChat, &named.to_string());
        assert_eq!(asked(&named).await.unwrap().as_deref(), Some("agent_1"));
        let said =
            json!({"model": "m", "messages": [{"role": "user", "content": "agent:agent_1"}]});
        let said = arrival(Dialect::OpenAiChat, &said.to_string());
        assert_eq!(asked(&said).await.unwrap(), None, "words are no model");
        let mut gemini = arrival(Dialect::Gemini, r#"{"contents": []}"#);
        let mut to = async |model: &str| {
            gemini.target = Some(PathTarget { model: model.to_owned(), stream: false });
            asked(&gemini).await
        };
        assert_eq!(to("agent:agent_1").await.unwrap().as_deref(), Some("agent_1"));
        assert_eq!(to("agent_1").await.unwrap(), None);
        // The name that is asked for is the caller's own fault.
        assert_eq!(to("agent:none").await.unwrap_err().kind, Kind::NotFound);
        let unread = arrival(Dialect::OpenAiChat, r#"{"model": "agent:agent_1""#);
        assert_eq!(asked(&unread).await.unwrap_err().kind, Kind::Malformed);
    }

    #[tokio::test]
    async fn an_agent_tells_its_version_and_when_it_was_made_and_changed() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        kept(&all, &caller, "agent_1", r#"{"name": "a", "system_prompt": "Be brief."}"#).await;
        let found = get(&all.store, &caller, "agent_1").await.unwrap();
        assert_eq!(found.etag(), "\"7\"");
        let told = serde_json::to_value(found.shown()).unwrap();
        assert_eq!((&told["version"], &told["instructions"]), (&json!(7), &json!("Be brief.")));
        assert_eq!(told["created_at"], json!(NOON.seconds()));
        assert_eq!(told["updated_at"], json!(NOON.seconds() + 1));
        assert!(told.get("user").is_none(), "whose it is is not told");
        // What we kept and cannot read is our fault, not the caller's.
        kept(&all, &caller, "agent_2", "{").await;
        let fault = get(&all.store, &caller, "agent_2").await.unwrap_err();
        assert_eq!(fault.kind, Kind::Internal);
        let long = unknown(&"\u{f6}".repeat(1_000)).public;
        assert_eq!(long.chars().filter(|letter| *letter == '\u{f6}').count(), 80);
    }
}
