//! Agents as they are kept: in versions, each person's own or the account's.

use super::CallerStore;
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
pub async fn create(kept: CallerStore<'_>, caller: &Caller, agent: Agent) -> Result<Named, Error> {
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
pub async fn get(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Named, Error> {
    caller.must_be_for(Scope::Platform)?;
    agents::get(kept.store, caller, id).await
}

/// An agent that the caller may change: their own. Everybody's is for those who run the account.
async fn own(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Named, Error> {
    let found = get(kept, caller, id).await?;
    if found.user == caller.account.as_str() && found.user != caller.person.id {
        caller.person.must_run_the_account()?;
    }
    Ok(found)
}

/// # Errors
/// When the store fails.
pub async fn list(
    kept: CallerStore<'_>,
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
    kept: CallerStore<'_>,
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
pub async fn delete(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Deleted, Error> {
    caller.must_be_for(Scope::Platform)?;
    own(kept, caller, id).await?;
    let gone = kept.store.delete_agent(caller.account.clone(), id.to_owned()).await;
    if !gone.map_err(Error::internal)? {
        return Err(unknown(id));
    }
    Ok(Deleted::new("agent", id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON, clock_at};
    use crate::admit::{KeyTerms, Role};
    use serde_json::json;
    use std::time::Duration;

    fn agent(name: &str) -> Agent {
        serde_json::from_value(json!({"name": name, "model": "auto"})).unwrap()
    }

    fn kept(all: &Accounts) -> CallerStore<'_> {
        CallerStore { store: &all.store, clock: all.clock }
    }

    #[tokio::test]
    async fn an_agent_is_seen_by_who_made_it_and_who_runs_the_account() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let bob = all.member(&account, "bob@acme.test", Role::Member).await;
        let (ann, bob) = (all.caller(&ann).await, all.caller(&bob).await);
        let own = create(kept(&all), &ann, agent("mine")).await.unwrap();
        for who in [&ann, &all.owner(&account).await] {
            assert_eq!(get(kept(&all), who, &own.id).await.unwrap().agent.name, "mine");
        }
        for who in [&bob, &all.owner(&other).await] {
            for refused in [
                get(kept(&all), who, &own.id).await.map(|_| ()),
                change(kept(&all), who, &own.id, agent("theirs"), None).await.map(|_| ()),
                delete(kept(&all), who, &own.id).await.map(|_| ()),
            ] {
                let refused = refused.unwrap_err();
                assert_eq!(refused.kind, Kind::NotFound);
                assert_eq!(refused.code.as_deref(), Some("agent_not_found"));
            }
            assert!(list(kept(&all), who, None, None).await.unwrap().data.is_empty());
        }
        assert_eq!(get(kept(&all), &ann, &own.id).await.unwrap().version, 1);
    }

    #[tokio::test]
    async fn everybody_reads_an_agent_of_the_account_and_who_runs_it_changes_it() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let owner = all.owner(&account).await;
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let ann = all.caller(&ann).await;
        let shared = create(kept(&all), &owner, agent("ours")).await.unwrap();
        assert_eq!(get(kept(&all), &ann, &shared.id).await.unwrap().agent.name, "ours");
        for refused in [
            change(kept(&all), &ann, &shared.id, agent("mine"), None).await.map(|_| ()),
            delete(kept(&all), &ann, &shared.id).await.map(|_| ()),
        ] {
            assert_eq!(refused.unwrap_err().code.as_deref(), Some("owner_required"));
        }
        delete(kept(&all), &owner, &shared.id).await.unwrap();
        let again = delete(kept(&all), &owner, &shared.id).await.unwrap_err();
        assert_eq!(again.kind, Kind::NotFound, "what is gone is not there to be deleted");
    }

    #[tokio::test]
    async fn a_change_is_made_from_what_its_maker_has_seen_or_not_at_all() {
        let all = Accounts::new().await;
        let owner = all.owner(&all.open("acme").await).await;
        let first = create(kept(&all), &owner, agent("one")).await.unwrap();
        let later =
            CallerStore { clock: clock_at(NOON.after(Duration::from_secs(60))), ..kept(&all) };
        let by =
            async |seen: Option<&str>| change(later, &owner, &first.id, agent("two"), seen).await;
        assert_eq!(by(Some("\"1\"")).await.unwrap().version, 2);
        for stale in ["\"1\"", "1", "\"3\", W/\"1\""] {
            let refused = by(Some(stale)).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Stale, "{stale}");
            assert_eq!(refused.code.as_deref(), Some("version_conflict"));
        }
        // Any version, a list of them, and what a proxy that packs answers makes of a tag.
        for (version, good) in [(3, "*"), (4, "\"9\", \"3\""), (5, "W/\"4\"")] {
            assert_eq!(by(Some(good)).await.unwrap().version, version, "{good}");
        }
        let last = by(None).await.unwrap();
        assert_eq!((last.version, last.created), (6, first.created));
        let shown = serde_json::to_value(last.shown()).unwrap();
        assert!(shown["updated_at"].as_i64() >= Some(NOON.seconds() + 60), "{shown}");
    }

    #[tokio::test]
    async fn agents_come_in_pages_each_once() {
        let all = Accounts::new().await;
        let owner = all.owner(&all.open("acme").await).await;
        let mut made = Vec::new();
        for name in ["one", "two", "three"] {
            made.push(create(kept(&all), &owner, agent(name)).await.unwrap().id);
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            // None at all is no page: it is one.
            let page = list(kept(&all), &owner, after, Some(0)).await.unwrap();
            assert_eq!(page.data.len(), 1);
            after = page.data.last().map(|one| one.id.clone());
            seen.extend(after.clone());
            if !page.has_more {
                break;
            }
        }
        seen.sort();
        made.sort();
        assert_eq!(seen, made);
    }

    #[tokio::test]
    async fn a_key_that_is_not_for_the_platform_has_no_agents() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let id = create(kept(&all), &*all.owner(&account).await, agent("ours")).await.unwrap().id;
        let terms = KeyTerms { scopes: Some(vec![Scope::Chat]), ..KeyTerms::default() };
        let chat = all.by_key(&account, None, &terms).await;
        for refused in [
            create(kept(&all), &chat, agent("mine")).await.map(|_| ()),
            get(kept(&all), &chat, &id).await.map(|_| ()),
            list(kept(&all), &chat, None, None).await.map(|_| ()),
            change(kept(&all), &chat, &id, agent("mine"), None).await.map(|_| ()),
            delete(kept(&all), &chat, &id).await.map(|_| ()),
        ] {
            assert_eq!(refused.unwrap_err().code.as_deref(), Some("missing_scope"));
        }
    }
}
