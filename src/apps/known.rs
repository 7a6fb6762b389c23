//! Which apps a caller may use, and what is said where one cannot be used.

use std::sync::Arc;

use tokio::sync::watch;

use crate::admit::{Caller, Feature, Identities, Scope};
use crate::base::clock::Clock;
use crate::base::seal::Vault;
use crate::base::{Error, Kind};
use crate::connect::{self, Apps, ConnectError};
use crate::store::Store;

/// Connected apps, and what it takes to run their tools for a caller. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub apps: Apps,
    pub store: Store,
    pub clock: Clock,
    pub identities: Identities,
    /// What credentials are sealed with; `None` = none can be kept.
    pub vault: Option<Vault>,
    /// Moves with every event of this node that somebody may watch for.
    pub noted: Arc<watch::Sender<u64>>,
}

pub(super) fn not_found(what: &str, id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("There is no {what} '{id}'."))
}

pub(super) fn of_app(why: ConnectError) -> Error {
    let (kind, code) = match &why {
        ConnectError::NoTool(_) => (Kind::NotFound, "tool_not_found"),
        ConnectError::Timeout => (Kind::Timeout, "app_timeout"),
        ConnectError::TooLarge(_) => (Kind::UpstreamDown, "answer_too_large"),
        ConnectError::Down(_) => (Kind::UpstreamDown, "app_unavailable"),
        ConnectError::Refused(_) => (Kind::Unsupported, "app_refused"),
    };
    let text = why.to_string();
    let mut letters = text.chars();
    let text = letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()));
    Error::new(kind, text).coded(code)
}

/// # Errors
/// [`Kind::Forbidden`] for a caller who may not, or has it turned off.
pub(super) fn admitted(caller: &Caller) -> Result<(), Error> {
    caller.must_be_for(Scope::Platform)?;
    caller.must_have(Feature::Connect)
}

pub(super) fn known<'a>(
    connections: &'a Connections,
    caller: &Caller,
    id: &str,
) -> Result<&'a Arc<connect::App>, Error> {
    let found = connections.apps.get(id);
    // What is not for the account is not there for it.
    found
        .filter(|one| one.is_for(caller.account.as_str(), &caller.plan.name))
        .ok_or_else(|| not_found("app", id).at("app").coded("app_not_found"))
}

pub(super) fn all<'a>(
    connections: &'a Connections,
    caller: &Caller,
) -> impl Iterator<Item = &'a Arc<connect::App>> {
    let (account, plan) = (caller.account.clone(), caller.plan.name.clone());
    connections.apps.iter().filter(move |one| one.is_for(account.as_str(), &plan))
}
