//! Connected apps: who may use which, with whose credentials, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{App, users};
use crate::admit::{Caller, Feature, Role, Scope};
use crate::base::clock::Timestamp;
use crate::base::ids::{ConnectionId, EventId};
use crate::base::seal::Vault;
use crate::base::secret::new_token;
use crate::base::{Error, Kind};
use crate::connect::{self, Auth, ConnectError, Credential, Grant, Granted, Ran, Tool};
use crate::store::{ConnectEvent, Connection};

/// How long a user may take to let an app act for them.
const GRANT_LIFE: Duration = Duration::from_secs(600);
/// A token is renewed when it has less than this left.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// Events that are read at once.
const EVENTS: i64 = 500;

/// What is kept of a user's account at an app, sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    token: String,
    refresh: Option<String>,
    /// Milliseconds since the epoch.
    expires: Option<i64>,
}

/// What proves that a user comes back from where they were sent, sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Errand {
    account: String,
    user: String,
    app: String,
    name: String,
    verifier: String,
    redirect: String,
    until: i64,
}

/// What `POST /v1/connect/accounts` is told.
#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenCredentials {
    #[serde(alias = "api_key", alias = "access_token")]
    token: SecretString,
}

/// What `POST /v1/connect/actions/run` is told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    app: Option<String>,
    #[serde(alias = "action")]
    tool: String,
    #[serde(default, alias = "input", alias = "params")]
    arguments: Map<String, Value>,
    /// The connected account to run it with; the user's own, if not given.
    #[serde(alias = "account", alias = "connection_id")]
    account_id: Option<String>,
    #[serde(alias = "userId")]
    user_id: Option<String>,
}

fn not_found(what: &str, id: &str) -> Error {
    let id: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("There is no {what} '{id}'."))
}

fn of_app(why: ConnectError) -> Error {
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
fn admitted(caller: &Caller) -> Result<(), Error> {
    caller.must_be_for(Scope::Platform)?;
    caller.must_have(Feature::Connect)
}

fn known<'a>(app: &'a App, caller: &Caller, id: &str) -> Result<&'a Arc<connect::App>, Error> {
    let found = app.shared.apps.get(id);
    // What is not for the account is not there for it.
    found
        .filter(|one| one.is_for(caller.account.as_str(), &caller.plan.name))
        .ok_or_else(|| not_found("app", id).at("app").coded("app_not_found"))
}

fn all<'a>(app: &'a App, caller: &Caller) -> impl Iterator<Item = &'a Arc<connect::App>> {
    let (account, plan) = (caller.account.clone(), caller.plan.name.clone());
    app.shared.apps.iter().filter(move |one| one.is_for(account.as_str(), &plan))
}

fn vault(app: &App) -> Result<&Vault, Error> {
    app.shared.vault.as_ref().ok_or_else(|| {
        let text = "This gateway has no key to seal credentials with (OPTIMUX_VAULT_KEY).";
        Error::new(Kind::Unsupported, text).coded("no_vault")
    })
}

fn purpose(account: &str, connection: &str) -> String {
    format!("connection {account}/{connection}")
}

/// `GET /v1/connect/apps`
///
/// # Errors
/// [`Kind::Forbidden`].
pub fn apps(app: &App, caller: &Caller) -> Result<Value, Error> {
    admitted(caller)?;
    let data: Vec<Value> = all(app, caller)
        .map(|one| {
            json!({
                "id": one.id,
                "object": "connect.app",
                "name": one.entry.name.as_deref().unwrap_or(&one.id),
                "description": one.entry.description,
                "kind": one.kind(),
                "auth": one.entry.auth.as_str(),
                "connected_accounts_required": one.entry.auth != Auth::None,
            })
        })
        .collect();
    Ok(json!({"object": "list", "data": data}))
}

fn shown(one: &Connection) -> Value {
    let tools: Value = serde_json::from_str(&one.tools).unwrap_or_default();
    json!({
        "id": one.id,
        "object": "connect.account",
        "app": one.app,
        "name": one.name,
        "user_id": one.user,
        "tools": tools,
        "created_at": one.created.seconds(),
        "status": "connected",
    })
}

/// The connections that a caller may use in the name of `user`: theirs, and the account's own.
async fn usable(app: &App, caller: &Caller, user: &str) -> Result<Vec<Connection>, Error> {
    let all = app.shared.store.connections(caller.account.clone()).await;
    let mut all = all.map_err(Error::internal)?;
    all.retain(|one| one.user == user || one.user == caller.account.as_str());
    // One's own before the account's.
    all.sort_by_key(|one| one.user != user);
    Ok(all)
}

/// `GET /v1/connect/accounts`
///
/// # Errors
/// When the store fails.
pub async fn accounts(app: &App, caller: &Caller) -> Result<Value, Error> {
    admitted(caller)?;
    let all = app.shared.store.connections(caller.account.clone()).await;
    let mut all = all.map_err(Error::internal)?;
    all.retain(|one| {
        caller.person.may_act_for(&one.user).is_ok() || one.user == caller.account.as_str()
    });
    Ok(json!({"object": "list", "data": all.iter().map(shown).collect::<Vec<_>>()}))
}

/// `POST /v1/connect/accounts`: keeps a credential, or says where the user gives one.
///
/// # Errors
/// [`Kind::NotFound`] for an app that is not there; [`Kind::Malformed`] without a credential.
pub async fn connect(
    app: &App,
    caller: &Caller,
    new: NewConnection,
    home: &str,
) -> Result<Value, Error> {
    admitted(caller)?;
    let asked = known(app, caller, &new.app)?;
    let user = users::named(app, caller, new.user_id.as_deref()).await?;
    let vault = vault(app)?;
    let name = new.name.unwrap_or_else(|| asked.id.clone());
    let now = app.shared.clock.now();
    let Some(given) = new.credentials else {
        let verifier = new_token().map_err(Error::internal)?;
        let redirect = format!("{home}/v1/connect/oauth/callback");
        let errand = Errand {
            account: caller.account.as_str().to_owned(),
            user: user.to_owned(),
            app: asked.id.clone(),
            name,
            verifier: verifier.clone(),
            redirect: redirect.clone(),
            until: now.after(GRANT_LIFE).0,
        };
        let state = serde_json::to_string(&errand).map_err(Error::internal)?;
        let state = vault.seal(&state, "errand").map_err(Error::internal)?;
        let url = app.shared.apps.begin_grant(asked, &redirect, &state, &verifier);
        let url = url.ok_or_else(|| {
            Error::new(Kind::Malformed, "Missing required parameter: 'credentials.token'.")
                .at("credentials.token")
                .coded("missing_required_parameter")
        })?;
        return Ok(json!({
            "object": "connect.authorization",
            "app": asked.id,
            "authorization_url": url,
            "status": "pending",
        }));
    };
    if asked.entry.auth == Auth::None {
        let text = "This app takes no credentials.";
        return Err(Error::new(Kind::Malformed, text).at("credentials"));
    }
    let kept = Kept { token: given.token.expose_secret().to_owned(), refresh: None, expires: None };
    let one = keep(app, caller.account.as_str(), user, &asked.id, name, &kept, new.tools).await?;
    Ok(shown(&one))
}

async fn keep(
    app: &App,
    account: &str,
    user: &str,
    asked: &str,
    name: String,
    kept: &Kept,
    tools: Option<Vec<String>>,
) -> Result<Connection, Error> {
    let id = ConnectionId::fresh().as_str().to_owned();
    let text = serde_json::to_string(kept).map_err(Error::internal)?;
    let credentials = vault(app)?.seal(&text, &purpose(account, &id)).map_err(Error::internal)?;
    let one = Connection {
        account: crate::base::ids::AccountId::stored(account),
        user: user.to_owned(),
        id,
        app: asked.to_owned(),
        name: name.chars().take(200).collect(),
        created: app.shared.clock.now(),
        tools: json!(tools).to_string(),
        credentials,
    };
    app.shared.store.keep_connection(one.clone()).await.map_err(Error::internal)?;
    Ok(one)
}

fn kept_of(granted: &Granted, now: Timestamp, before: Option<String>) -> Kept {
    Kept {
        token: granted.token.expose_secret().to_owned(),
        // A server that renews without a word means the same refresh token.
        refresh: granted.refresh.as_ref().map(|token| token.expose_secret().to_owned()).or(before),
        expires: granted.lasts.map(|lasts| now.after(lasts).0),
    }
}

/// `GET /v1/connect/oauth/callback`: the user is back from the app's authorization server.
///
/// # Errors
/// [`Kind::Malformed`] for a state that is not ours or too old.
pub async fn finish_grant(app: &App, state: &str, code: &str) -> Result<Value, Error> {
    let wrong =
        || Error::new(Kind::Malformed, "This is no answer to anything that was asked.").at("state");
    let errand = vault(app)?.open(state, "errand").map_err(|_| wrong())?;
    let errand: Errand = serde_json::from_str(errand.expose_secret()).map_err(|_| wrong())?;
    let now = app.shared.clock.now();
    if now.0 > errand.until {
        return Err(wrong());
    }
    let asked = app.shared.apps.get(&errand.app).ok_or_else(wrong)?;
    let grant =
        Grant::Code { code: code.to_owned(), verifier: errand.verifier, redirect: errand.redirect };
    let granted = app.shared.apps.grant(asked, grant).await.map_err(of_app)?;
    let kept = kept_of(&granted, now, None);
    let (account, user) = (&errand.account, &errand.user);
    let one = keep(app, account, user, &errand.app, errand.name, &kept, None).await?;
    Ok(shown(&one))
}

/// `DELETE /v1/connect/accounts/{id}`
///
/// # Errors
/// [`Kind::NotFound`] for one that is not the caller's.
pub async fn disconnect(app: &App, caller: &Caller, id: &str) -> Result<Value, Error> {
    admitted(caller)?;
    let all = app.shared.store.connections(caller.account.clone()).await;
    let all = all.map_err(Error::internal)?;
    let own = all.iter().find(|one| one.id == id && caller.person.may_act_for(&one.user).is_ok());
    let own = own.ok_or_else(|| not_found("connected account", id))?;
    let gone = app.shared.store.drop_connection(caller.account.clone(), own.id.clone()).await;
    gone.map_err(Error::internal)?;
    Ok(json!({"id": id, "object": "connect.account", "deleted": true}))
}

/// With what an app is asked for `user`: nothing, if it wants nothing.
async fn credential(
    app: &App,
    caller: &Caller,
    user: &str,
    asked: &Arc<connect::App>,
    connection: Option<&str>,
    tool: Option<&str>,
) -> Result<Credential, Error> {
    let account = caller.account.as_str();
    if asked.entry.auth == Auth::None {
        if let Some(id) = connection {
            return Err(not_found("connected account", id));
        }
        return Ok(Credential { owner: format!("{account}/{user}"), token: None });
    }
    let all = usable(app, caller, user).await?;
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
    let opened = vault(app)?.open(&one.credentials, &why).map_err(Error::internal)?;
    let mut kept: Kept = serde_json::from_str(opened.expose_secret()).map_err(Error::internal)?;
    let now = app.shared.clock.now();
    let over = kept.expires.is_some_and(|at| now.after(RENEW_BEFORE).0 >= at);
    if let (true, Some(refresh)) = (over, kept.refresh.clone()) {
        let grant = Grant::Refresh { token: SecretString::from(refresh.clone()) };
        let granted = app.shared.apps.grant(asked, grant).await.map_err(of_app)?;
        kept = kept_of(&granted, now, Some(refresh));
        let text = serde_json::to_string(&kept).map_err(Error::internal)?;
        one.credentials = vault(app)?.seal(&text, &why).map_err(Error::internal)?;
        app.shared.store.keep_connection(one.clone()).await.map_err(Error::internal)?;
    }
    Ok(Credential { owner: one.id, token: Some(SecretString::from(kept.token)) })
}

/// The tools of an app, in the name of `user`.
///
/// # Errors
/// As [`run`].
pub(super) async fn tools_of(
    app: &App,
    caller: &Caller,
    user: &str,
    id: &str,
) -> Result<Vec<Tool>, Error> {
    admitted(caller)?;
    let asked = known(app, caller, id)?;
    let credential = credential(app, caller, user, asked, None, None).await?;
    app.shared.apps.tools(asked, &credential).await.map_err(of_app)
}

/// `GET /v1/connect/tools`: of one app, or of all; an app that does not answer is named.
///
/// # Errors
/// As [`run`], where one app is asked for.
pub async fn tools(app: &App, caller: &Caller, only: Option<&str>) -> Result<Value, Error> {
    admitted(caller)?;
    let user = caller.person.id.as_str();
    let wanted: Vec<&Arc<connect::App>> = match only {
        Some(id) => vec![known(app, caller, id)?],
        None => all(app, caller).collect(),
    };
    let listing = wanted.iter().map(|one| tools_of(app, caller, user, &one.id));
    let listed = futures_util::future::join_all(listing).await;
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for (one, listed) in wanted.iter().zip(listed) {
        match listed {
            Ok(tools) => data.extend(tools.into_iter().map(|tool| {
                json!({
                    "id": format!("{}.{}", one.id, tool.name),
                    "object": "connect.tool",
                    "app": one.id,
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.input_schema,
                })
            })),
            Err(why) if only.is_some() => return Err(why),
            Err(why) => {
                errors.push(json!({"app": one.id, "error": why.public, "code": why.code}));
            }
        }
    }
    Ok(json!({"object": "list", "data": data, "errors": errors}))
}

/// Runs a tool for a user, and tells those who watch.
///
/// # Errors
/// [`Kind::NotFound`] for an app or tool that is not there, [`Kind::Forbidden`] without a connected
/// account, and what became of the app.
pub(super) async fn call(
    app: &App,
    caller: &Caller,
    user: &str,
    (id, tool): (&str, &str),
    arguments: Map<String, Value>,
    connection: Option<&str>,
) -> Result<(String, Ran), Error> {
    admitted(caller)?;
    let asked = known(app, caller, id)?;
    let credential = credential(app, caller, user, asked, connection, Some(tool)).await?;
    let began = app.shared.clock.now();
    let action = EventId::fresh().as_str().replace("evt_", "act_");
    let about = json!({"id": action, "app": id, "tool": tool});
    note(app, caller, user, "action.started", about.clone()).await;
    let called = app.shared.apps.call(asked, tool, arguments, &credential).await;
    let took = app.shared.clock.now().0 - began.0;
    let mut told = about;
    told["duration_ms"] = Value::from(took);
    match called {
        Ok(ran) => {
            told["is_error"] = Value::from(ran.is_error);
            note(app, caller, user, "action.completed", told).await;
            Ok((action, ran))
        }
        Err(why) => {
            told["error"] = Value::from(why.to_string());
            note(app, caller, user, "action.failed", told).await;
            Err(of_app(why))
        }
    }
}

/// `POST /v1/connect/actions/run`
///
/// # Errors
/// As [`call`].
pub async fn run(app: &App, caller: &Caller, action: Action) -> Result<Value, Error> {
    let user = users::named(app, caller, action.user_id.as_deref()).await?;
    // `app.tool`, as the list of tools names them, says both.
    let both = match &action.app {
        Some(app) => Some((app.as_str(), action.tool.as_str())),
        None => action.tool.split_once('.'),
    };
    let both = both.ok_or_else(|| {
        Error::new(Kind::Malformed, "Missing required parameter: 'app'.")
            .at("app")
            .coded("missing_required_parameter")
    })?;
    let began = app.shared.clock.now();
    let connection = action.account_id.as_deref();
    let (id, ran) = call(app, caller, user, both, action.arguments, connection).await?;
    Ok(json!({
        "id": id,
        "object": "connect.action",
        "app": both.0,
        "tool": both.1,
        "status": if ran.is_error { "failed" } else { "completed" },
        "result": ran,
        "duration_ms": app.shared.clock.now().0 - began.0,
    }))
}

/// Tells those who watch. They may miss it; nothing else depends on it.
pub(super) async fn note(app: &App, caller: &Caller, user: &str, kind: &str, body: Value) {
    let event = ConnectEvent {
        account: caller.account.clone(),
        id: EventId::fresh().as_str().to_owned(),
        user: user.to_owned(),
        at: app.shared.clock.now(),
        kind: kind.to_owned(),
        body: body.to_string(),
    };
    if let Err(why) = app.shared.store.note_event(event).await {
        tracing::warn!(%why, kind, "an event could not be noted");
    }
    app.shared.noted.send_modify(|count| *count = count.wrapping_add(1));
}

/// Events after a cursor, as the caller may see them: an owner all of the account's.
///
/// # Errors
/// When the store fails.
pub async fn events(app: &App, caller: &Caller, after: &str) -> Result<Vec<Value>, Error> {
    admitted(caller)?;
    let user = (caller.person.role == Role::Member).then(|| caller.person.id.clone());
    let store = &app.shared.store;
    let events = store.events_after(caller.account.clone(), user, after.to_owned(), EVENTS).await;
    let shown = |event: ConnectEvent| {
        let data: Value = serde_json::from_str(&event.body).unwrap_or_default();
        json!({
            "id": event.id,
            "type": event.kind,
            "created_at": event.at.seconds(),
            "user_id": event.user,
            "data": data,
        })
    };
    Ok(events.map_err(Error::internal)?.into_iter().map(shown).collect())
}

/// What a model calls a tool of an app.
pub(super) fn function_name(app: &str, tool: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    format!("{app}__{tool}").chars().map(kept).take(64).collect()
}
