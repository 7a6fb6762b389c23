//! The accounts that users have at apps: credentials, sealed, and the way to get them.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::known::{Connections, admitted, known, not_found, of_app};
use crate::admit::{Caller, users};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, ConnectionId};
use crate::base::seal::Vault;
use crate::base::secret::{fingerprint, new_token};
use crate::base::told::{Deleted, List};
use crate::base::{Error, Kind};
use crate::connect::{self, Auth, Credential, Grant, Granted};
use crate::store::Connection;

/// How long a user may take to let an app act for them.
const GRANT_LIFE: Duration = Duration::from_secs(600);
/// A token is renewed when it has less than this left.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// What is kept of a user's account at an app, sealed.
#[derive(Debug, Serialize, Deserialize)]
struct SealedToken {
    token: String,
    refresh: Option<String>,
    /// Milliseconds since the epoch.
    expires: Option<i64>,
}

/// What proves that a user comes back from where they were sent, sealed.
#[derive(Debug, Serialize, Deserialize)]
struct OAuthState {
    account: String,
    user: String,
    app: String,
    name: String,
    verifier: String,
    redirect: String,
    until: i64,
    /// What the browser that is sent away has to bring back, and once only.
    nonce: String,
}

/// What a browser is told before it is sent to an app's authorization server.
#[derive(Debug)]
pub struct Departure {
    pub app: String,
    /// In whose name the app will be used.
    pub user: String,
    pub url: String,
    /// To be kept by the browser, and by no other.
    pub nonce: String,
    pub lasts: Duration,
}

/// What `POST /v1/connect/accounts` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    app: String,
    name: Option<String>,
    #[serde(alias = "userId")]
    user_id: Option<String>,
    #[serde(default)]
    credentials: Option<GivenCredentials>,
    /// The tools that may be run with it; all, if not given.
    tools: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GivenCredentials {
    #[serde(alias = "api_key", alias = "access_token")]
    #[schemars(with = "String")]
    token: SecretString,
}

fn vault(connections: &Connections) -> Result<&Vault, Error> {
    connections.vault.as_ref().ok_or_else(|| {
        let text = "This gateway has no key to seal credentials with (OPTIMUX_VAULT_KEY).";
        Error::new(Kind::Unsupported, text).coded("no_vault")
    })
}

fn purpose(account: &str, connection: &str) -> String {
    format!("connection {account}/{connection}")
}

/// A connected account.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectedAccount")]
pub struct ShownConnection {
    id: String,
    object: &'static str,
    app: String,
    name: String,
    user_id: String,
    /// The tools that may be run with it; none stands for all.
    tools: Option<Vec<String>>,
    /// In seconds since the epoch.
    created_at: i64,
    status: &'static str,
}

/// What connecting comes to: an account, or where its user is to authorize it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Connection")]
pub enum Connected {
    Now(ShownConnection),
    Pending { object: &'static str, app: String, authorization_url: String, status: &'static str },
}

fn shown(one: &Connection) -> ShownConnection {
    ShownConnection {
        id: one.id.clone(),
        object: "connect.account",
        app: one.app.clone(),
        name: one.name.clone(),
        user_id: one.user.clone(),
        tools: serde_json::from_str(&one.tools).unwrap_or_default(),
        created_at: one.created.seconds(),
        status: "connected",
    }
}

/// The connections that a caller may use: theirs, and the account's own.
async fn usable(connections: &Connections, caller: &Caller) -> Result<Vec<Connection>, Error> {
    let user = caller.person.id.as_str();
    let all = connections.store.connections(caller.account.clone()).await;
    let mut all = all.map_err(Error::internal)?;
    all.retain(|one| one.user == user || one.user == caller.account.as_str());
    // One's own before the account's, and what was connected last before the rest.
    all.sort_by_key(|one| (one.user != user, std::cmp::Reverse(one.created)));
    Ok(all)
}

/// `GET /v1/connect/accounts`
///
/// # Errors
/// When the store fails.
pub async fn accounts(
    connections: &Connections,
    caller: &Caller,
) -> Result<List<ShownConnection>, Error> {
    admitted(caller)?;
    let all = connections.store.connections(caller.account.clone()).await;
    let mut all = all.map_err(Error::internal)?;
    all.retain(|one| {
        caller.person.may_act_for(&one.user).is_ok() || one.user == caller.account.as_str()
    });
    Ok(List::of(all.iter().map(shown).collect()))
}

/// `POST /v1/connect/accounts`: keeps a credential, or says where the user gives one.
///
/// # Errors
/// [`Kind::NotFound`] for an app that is not there; [`Kind::Malformed`] without a credential.
pub async fn connect(
    connections: &Connections,
    caller: &Caller,
    new: NewConnection,
    home: &str,
) -> Result<Connected, Error> {
    admitted(caller)?;
    let asked = known(connections, caller, &new.app)?;
    let user = users::named(&connections.identities, caller, new.user_id.as_deref()).await?;
    let vault = vault(connections)?;
    let name = new.name.unwrap_or_else(|| asked.id.clone());
    let now = connections.clock.now();
    let Some(given) = new.credentials else {
        let verifier = new_token().map_err(Error::internal)?;
        let redirect = format!("{home}/v1/connect/oauth/callback");
        let oauth_state = OAuthState {
            account: caller.account.as_str().to_owned(),
            user: user.to_owned(),
            app: asked.id.clone(),
            name,
            verifier: verifier.clone(),
            redirect: redirect.clone(),
            until: now.after(GRANT_LIFE).0,
            nonce: new_token().map_err(Error::internal)?,
        };
        let state = serde_json::to_string(&oauth_state).map_err(Error::internal)?;
        let state = vault.seal(&state, "oauth_state").map_err(Error::internal)?;
        if connections.apps.begin_grant(asked, &redirect, &state, &verifier).is_none() {
            return Err(Error::new(
                Kind::Malformed,
                "Missing required parameter: 'credentials.token'.",
            )
            .at("credentials.token")
            .coded("missing_required_parameter"));
        }
        // Base64 holds three characters that mean something else in a query.
        let state = state.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        // By way of us: the browser that leaves has to be the one that comes back.
        return Ok(Connected::Pending {
            object: "connect.authorization",
            app: asked.id.clone(),
            authorization_url: format!("{home}/v1/connect/oauth/start?state={state}"),
            status: "pending",
        });
    };
    if asked.entry.auth == Auth::None {
        let text = "This app takes no credentials.";
        return Err(Error::new(Kind::Malformed, text).at("credentials"));
    }
    let kept =
        SealedToken { token: sendable(given.token.expose_secret())?, refresh: None, expires: None };
    let one =
        keep(connections, caller.account.as_str(), user, &asked.id, name, &kept, new.tools).await?;
    Ok(Connected::Now(shown(&one)))
}

/// A token as a header can carry it (RFC 9110, 5.5): what is pasted often has a line end behind it.
fn sendable(token: &str) -> Result<String, Error> {
    let token = token.trim();
    if token.is_empty() || token.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        let text = "A token has printable ASCII characters, and at least one.";
        return Err(Error::new(Kind::Malformed, text).at("credentials.token"));
    }
    Ok(token.to_owned())
}

async fn keep(
    connections: &Connections,
    account: &str,
    user: &str,
    asked: &str,
    name: String,
    kept: &SealedToken,
    tools: Option<Vec<String>>,
) -> Result<Connection, Error> {
    let id = ConnectionId::fresh().as_str().to_owned();
    let text = serde_json::to_string(kept).map_err(Error::internal)?;
    let credentials =
        vault(connections)?.seal(&text, &purpose(account, &id)).map_err(Error::internal)?;
    let one = Connection {
        account: AccountId::stored(account),
        user: user.to_owned(),
        id,
        app: asked.to_owned(),
        name: name.chars().take(200).collect(),
        created: connections.clock.now(),
        tools: json!(tools).to_string(),
        credentials,
    };
    let (store, account) = (&connections.store, one.account.clone());
    let before = store.connections(account.clone()).await.map_err(Error::internal)?;
    store.keep_connection(one.clone()).await.map_err(Error::internal)?;
    // Connected anew: what was there under the same name may be what did not work.
    for old in before {
        if old.app == one.app && old.user == one.user && old.name == one.name {
            store.drop_connection(account.clone(), old.id).await.map_err(Error::internal)?;
        }
    }
    Ok(one)
}

fn kept_of(granted: &Granted, now: Timestamp, before: Option<String>) -> SealedToken {
    SealedToken {
        token: granted.token.expose_secret().to_owned(),
        // A server that renews without a word means the same refresh token.
        refresh: granted.refresh.as_ref().map(|token| token.expose_secret().to_owned()).or(before),
        expires: granted.lasts.map(|lasts| now.after(lasts).0),
    }
}

fn wrong() -> Error {
    Error::new(
        Kind::Malformed,
        "The 'state' is unknown or has expired. Start again with POST /v1/connect/accounts.",
    )
    .at("state")
}

/// A state that is still to be used.
fn opened(connections: &Connections, state: &str) -> Result<OAuthState, Error> {
    let oauth_state = vault(connections)?.open(state, "oauth_state").map_err(|_| wrong())?;
    let oauth_state: OAuthState =
        serde_json::from_str(oauth_state.expose_secret()).map_err(|_| wrong())?;
    if connections.clock.now().0 > oauth_state.until {
        return Err(wrong());
    }
    Ok(oauth_state)
}

/// `GET`, `POST /v1/connect/oauth/start`: a browser is about to be sent to an app's authorization
/// server.
///
/// # Errors
/// [`Kind::Malformed`] for a state that is not ours or too old.
pub fn depart(connections: &Connections, state: &str) -> Result<Departure, Error> {
    let oauth_state = opened(connections, state)?;
    let asked = connections.apps.get(&oauth_state.app).ok_or_else(wrong)?;
    let url =
        connections.apps.begin_grant(asked, &oauth_state.redirect, state, &oauth_state.verifier);
    Ok(Departure {
        app: asked.entry.name.clone().unwrap_or_else(|| asked.id.clone()),
        user: oauth_state.user,
        url: url.ok_or_else(wrong)?,
        nonce: oauth_state.nonce,
        lasts: GRANT_LIFE,
    })
}

/// `GET /v1/connect/oauth/callback`: the user is back from the app's authorization server. `brought`
/// is what the browser was given when it left.
///
/// # Errors
/// [`Kind::Malformed`] for a state that is not ours, too old, used before, or another browser's.
pub async fn finish_grant(
    connections: &Connections,
    state: &str,
    code: &str,
    brought: Option<&str>,
) -> Result<ShownConnection, Error> {
    let oauth_state = opened(connections, state)?;
    let now = connections.clock.now();
    let same = brought.is_some_and(|brought| {
        bool::from(subtle::ConstantTimeEq::ct_eq(brought.as_bytes(), oauth_state.nonce.as_bytes()))
    });
    if !same {
        let text = "This was not begun in this browser. Follow the authorization_url again.";
        return Err(Error::new(Kind::Malformed, text).at("state").coded("other_browser"));
    }
    let name = format!("oauth_state {}", fingerprint(&[oauth_state.nonce.as_bytes()]));
    let first = connections.store.spend(name, Timestamp(oauth_state.until)).await;
    if !first.map_err(Error::internal)? {
        return Err(wrong());
    }
    let asked = connections.apps.get(&oauth_state.app).ok_or_else(wrong)?;
    let grant = Grant::Code {
        code: code.to_owned(),
        verifier: oauth_state.verifier,
        redirect: oauth_state.redirect,
    };
    let granted = connections.apps.grant(asked, grant).await.map_err(of_app)?;
    let kept = kept_of(&granted, now, None);
    let (account, user) = (&oauth_state.account, &oauth_state.user);
    let one =
        keep(connections, account, user, &oauth_state.app, oauth_state.name, &kept, None).await?;
    Ok(shown(&one))
}

/// `DELETE /v1/connect/accounts/{id}`
///
/// # Errors
/// [`Kind::NotFound`] for one that is not the caller's.
pub async fn disconnect(
    connections: &Connections,
    caller: &Caller,
    id: &str,
) -> Result<Deleted, Error> {
    admitted(caller)?;
    let all = connections.store.connections(caller.account.clone()).await;
    let all = all.map_err(Error::internal)?;
    let own = all.iter().find(|one| one.id == id && caller.person.may_act_for(&one.user).is_ok());
    let own = own.ok_or_else(|| not_found("connected account", id))?;
    let gone = connections.store.drop_connection(caller.account.clone(), own.id.clone()).await;
    gone.map_err(Error::internal)?;
    Ok(Deleted::new("connect.account", id))
}

/// With what an app is asked for a caller: nothing, if it wants nothing.
pub(super) async fn credential(
    connections: &Connections,
    caller: &Caller,
    asked: &Arc<connect::App>,
    connection: Option<&str>,
    tool: Option<&str>,
) -> Result<Credential, Error> {
    let account = caller.account.as_str();
    if asked.entry.auth == Auth::None {
        if let Some(id) = connection {
            return Err(not_found("connected account", id));
        }
        let owner = format!("{account}/{}", caller.person.id);
        return Ok(Credential { owner, token: None });
    }
    let all = usable(connections, caller).await?;
    let mut fitting = all.into_iter().filter(|one| one.app == asked.id);
    let mut one = match connection {
        Some(id) => {
            fitting.find(|one| one.id == id).ok_or_else(|| not_found("connected account", id))?
        }
        None => fitting.next().ok_or_else(|| {
            let text = format!("No account is connected to '{}'.", asked.id);
            Error::new(Kind::Forbidden, text).coded("account_not_connected")
        })?,
    };
    let tools: Option<Vec<String>> = serde_json::from_str(&one.tools).unwrap_or_default();
    if let (Some(tools), Some(tool)) = (tools, tool)
        && !tools.iter().any(|known| known == tool)
    {
        let text = format!("The connected account is not for the tool '{tool}'.");
        return Err(Error::new(Kind::Forbidden, text).coded("tool_not_allowed"));
    }
    let why = purpose(account, &one.id);
    let opened = vault(connections)?.open(&one.credentials, &why).map_err(Error::internal)?;
    let mut kept: SealedToken =
        serde_json::from_str(opened.expose_secret()).map_err(Error::internal)?;
    let now = connections.clock.now();
    let over = kept.expires.is_some_and(|at| now.after(RENEW_BEFORE).0 >= at);
    if let (true, Some(refresh)) = (over, kept.refresh.clone()) {
        let grant = Grant::Refresh { token: SecretString::from(refresh.clone()) };
        let granted = connections.apps.grant(asked, grant).await.map_err(of_app)?;
        kept = kept_of(&granted, now, Some(refresh));
        let text = serde_json::to_string(&kept).map_err(Error::internal)?;
        one.credentials = vault(connections)?.seal(&text, &why).map_err(Error::internal)?;
        connections.store.keep_connection(one.clone()).await.map_err(Error::internal)?;
    }
    // A session knows the token that it began with: another one is another session.
    let owner = format!("{}/{}", one.id, fingerprint(&[kept.token.as_bytes()]));
    Ok(Credential { owner, token: Some(SecretString::from(kept.token)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_as_a_header_can_carry_it() {
        assert_eq!(sendable(" secret\r\n").unwrap(), "secret");
        for bad in ["", " \n", "two\nlines", "t\u{f6}ken", "nul\0"] {
            let refused = sendable(bad).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("credentials.token"), "{bad:?}");
        }
    }

    #[test]
    fn a_server_that_renews_without_a_word_means_the_same_refresh_token() {
        let granted = |refresh: Option<&str>| Granted {
            token: "new".into(),
            refresh: refresh.map(Into::into),
            lasts: Some(Duration::from_secs(60)),
        };
        let kept = |refresh, before: &str| {
            kept_of(&granted(refresh), Timestamp(1_000), Some(before.to_owned()))
        };
        assert_eq!(kept(None, "old").refresh.as_deref(), Some("old"));
        assert_eq!(kept(Some("fresh"), "old").refresh.as_deref(), Some("fresh"));
        assert_eq!(kept(None, "old").expires, Some(61_000));
    }

    #[test]
    fn what_is_sealed_for_one_is_opened_for_nobody_else() {
        assert_ne!(purpose("acct_1", "conn_2"), purpose("acct_2", "conn_2"));
        assert_ne!(purpose("acct_1", "conn_2"), purpose("acct_1", "conn_3"));
    }
}
