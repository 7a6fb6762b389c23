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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::KeyTerms;
    use crate::admit::fixture::Accounts;
    use crate::base::egress::Egress;
    use crate::store::FeatureRow;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// Apps of which one is for everybody, and the others for an account or a plan.
    fn connections(accounts: &Accounts, account: &str) -> Connections {
        let entry = |more: serde_json::Value| {
            let mut entry = json!({"url": "https://mcp.example.com"});
            entry.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            serde_json::from_value(entry).unwrap()
        };
        let entries = BTreeMap::from([
            ("all".to_owned(), entry(json!({}))),
            ("mine".to_owned(), entry(json!({"accounts": [account]}))),
            ("paid".to_owned(), entry(json!({"plans": ["enterprise"]}))),
            ("none".to_owned(), entry(json!({"accounts": []}))),
        ]);
        let runtime = tokio::runtime::Handle::current();
        Connections {
            apps: Apps::open(&entries, &Egress::default(), runtime).unwrap(),
            store: accounts.store.clone(),
            clock: accounts.clock,
            identities: accounts.identities.clone(),
            vault: None,
            noted: Arc::new(watch::Sender::new(0)),
        }
    }

    #[tokio::test]
    async fn an_app_that_is_for_others_is_not_there() {
        let accounts = Accounts::new().await;
        let (account, other) = (accounts.open("acme").await, accounts.open("bolt").await);
        let connections = connections(&accounts, account.as_str());
        for (account, sees) in [(&account, vec!["all", "mine"]), (&other, vec!["all"])] {
            let caller = accounts.owner(account).await;
            let told: Vec<&str> = all(&connections, &caller).map(|one| one.id.as_str()).collect();
            assert_eq!(told, sees);
            for id in ["all", "mine", "paid", "none", "nothing"] {
                match known(&connections, &caller, id) {
                    Ok(found) => assert!(found.id == id && sees.contains(&id)),
                    Err(why) => {
                        assert!(!sees.contains(&id), "{id}");
                        // Word for word what is said of one that there is not.
                        assert_eq!(why.public, format!("There is no app '{id}'."));
                        assert_eq!(why.code.as_deref(), Some("app_not_found"));
                        assert_eq!((why.kind, why.field.as_deref()), (Kind::NotFound, Some("app")));
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn who_may_not_or_does_not_want_to_runs_no_apps() {
        let accounts = Accounts::new().await;
        let account = accounts.open("acme").await;
        assert!(admitted(&*accounts.owner(&account).await).is_ok());
        let terms = KeyTerms { scopes: Some(vec![Scope::Chat]), ..KeyTerms::default() };
        let chat = accounts.by_key(&account, None, &terms).await;
        assert_eq!(admitted(&chat).unwrap_err().code.as_deref(), Some("missing_scope"));
        let off = FeatureRow {
            user: String::new(),
            feature: "connect".to_owned(),
            enabled: false,
            settings: "{}".to_owned(),
        };
        accounts.store.set_feature(account.clone(), off, accounts.clock.now()).await.unwrap();
        let refused = admitted(&*accounts.owner(&account).await).unwrap_err();
        assert_eq!(refused.kind, Kind::Forbidden, "it is turned off");
    }

    #[test]
    fn what_an_app_did_not_do_is_told_by_whose_fault_it_is() {
        for (why, kind, code) in [
            (ConnectError::NoTool("x".to_owned()), Kind::NotFound, "tool_not_found"),
            (ConnectError::Timeout, Kind::Timeout, "app_timeout"),
            (ConnectError::TooLarge(9), Kind::UpstreamDown, "answer_too_large"),
            (ConnectError::Down("x".to_owned()), Kind::UpstreamDown, "app_unavailable"),
            (ConnectError::Refused("x".to_owned()), Kind::Unsupported, "app_refused"),
        ] {
            let said = why.to_string();
            let told = of_app(why);
            assert_eq!((told.kind, told.code.as_deref()), (kind, Some(code)));
            // A sentence, as all that is said is.
            assert!(
                told.public.ends_with('.') && told.public.contains(&said[1..]),
                "{}",
                told.public
            );
            assert!(told.public.starts_with(char::is_uppercase), "{}", told.public);
        }
        let long = not_found("app", &"\u{f6}".repeat(1_000));
        assert_eq!(long.public.chars().filter(|c| *c == '\u{f6}').count(), 80);
    }
}
