//! Agents as they are kept: in versions, each person's own or the account's.

use super::Kept;
use crate::admit::{Caller, Scope};
use crate::agents::{self, Named, ShownAgent, named, unknown};
use crate::base::ids::AgentId;
use crate::base::told::{Deleted, Stretch};
use crate::base::{Error, Kind};
use crate::platform::agents::Agent;
use crate::store::AgentRow;

const PAGE: i64 = 20;
const LARGEST_PAGE: i64 = 100;

/// # Errors
/// [`Kind::Malformed`] for an agent that is none.
pub async fn create(kept: Kept<'_>, caller: &Caller, agent: Agent) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agent.check()?;
    let now = kept.clock.now();
    let row = AgentRow {
        account: caller.account.clone(),
        user: caller.person.id.clone(),
        id: AgentId::fresh().as_str().to_owned(),
        version: 1,
        created: now,
        updated: now,
        definition: serde_json::to_string(&agent).map_err(Error::internal)?,
    };
    kept.store.create_agent(row.clone()).await.map_err(Error::internal)?;
    named(row)
}

/// An agent that the caller may read: their own, or everybody's of the account.
///
/// # Errors
/// [`Kind::Forbidden`] for who has no business with agents; [`Kind::NotFound`] for one that is not there,
/// or is somebody else's.
pub async fn get(kept: Kept<'_>, caller: &Caller, id: &str) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agents::get(kept.store, caller, id).await
}

/// An agent that the caller may change: their own. Everybody's is for those who run the account.
async fn own(kept: Kept<'_>, caller: &Caller, id: &str) -> Result<Named, Error> {
    let found = get(kept, caller, id).await?;
    if found.user == caller.account.as_str() && found.user != caller.person.id {
        caller.person.must_run_the_account()?;
    }
    Ok(found)
}

/// # Errors
/// When the store fails.
pub async fn list(
    kept: Kept<'_>,
    caller: &Caller,
    after: Option<String>,
    limit: Option<i64>,
) -> Result<Stretch<ShownAgent>, Error> {
    caller.must_be_for(Scope::Platform)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let store = kept.store;
    let page = store
        .agents(caller.account.clone(), caller.seer(), after.unwrap_or_default(), limit + 1)
        .await;
    let page = page.map_err(Error::internal)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = page.len() > most;
    let data = page.into_iter().take(most).map(|row| Ok(named(row)?.shown()));
    let data: Vec<ShownAgent> = data.collect::<Result<_, Error>>()?;
    Ok(Stretch::of(data, more, |one| one.id.clone()))
}

/// Makes a new version. `seen` is the `ETag` that the change was made from, if the caller says.
///
/// # Errors
/// [`Kind::Stale`] when somebody else was faster.
pub async fn change(
    kept: Kept<'_>,
    caller: &Caller,
    id: &str,
    agent: Agent,
    seen: Option<&str>,
) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agent.check()?;
    let before = own(kept, caller, id).await?;
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
        updated: kept.clock.now(),
        definition: serde_json::to_string(&agent).map_err(Error::internal)?,
    };
    let done = kept.store.change_agent(changed.clone(), before.version).await;
    if !done.map_err(Error::internal)? {
        return Err(stale());
    }
    named(changed)
}

/// # Errors
/// As [`get`].
pub async fn delete(kept: Kept<'_>, caller: &Caller, id: &str) -> Result<Deleted, Error> {
    caller.must_be_for(Scope::Platform)?;
    own(kept, caller, id).await?;
    let gone = kept.store.delete_agent(caller.account.clone(), id.to_owned()).await;
    if !gone.map_err(Error::internal)? {
        return Err(unknown(id));
    }
    Ok(Deleted::new("agent", id))
}
