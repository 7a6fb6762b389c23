//! Connected apps: who may use which, running their tools, and telling what came of it.

mod accounts;
mod known;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::admit::{Caller, Role, users};
use crate::base::ids::EventId;
use crate::base::told::List;
use crate::base::{Error, Kind};
use crate::connect::{self, Auth, Ran, Tool};
use crate::store::ConnectEvent;

use accounts::credential;
use known::{admitted, all, known, of_app};

pub use accounts::{
    Connected, Departure, NewConnection, ShownConnection, accounts, connect, depart, disconnect,
    finish_grant,
};
pub use known::Connections;

/// Events that are read at once.
const EVENTS: i64 = 500;

/// What `POST /v1/connect/actions/run` is told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
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

/// An app that can be connected.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub struct ShownApp {
    id: String,
    object: &'static str,
    name: String,
    description: Option<String>,
    /// `mcp` or `openapi`.
    kind: &'static str,
    auth: &'static str,
    connected_accounts_required: bool,
}

/// A tool of an app.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tool")]
pub struct ShownTool {
    /// `app.tool`
    id: String,
    object: &'static str,
    app: String,
    name: String,
    description: String,
    /// JSON Schema of its arguments.
    input_schema: Value,
}

/// An app that did not answer.
#[derive(Debug, Serialize, JsonSchema)]
struct AppError {
    app: String,
    error: String,
    code: Option<String>,
}

/// Tools, and the apps that did not say theirs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tools {
    object: &'static str,
    data: Vec<ShownTool>,
    errors: Vec<AppError>,
}

/// What running a tool came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RanAction {
    id: String,
    object: &'static str,
    app: String,
    tool: String,
    /// `completed` or `failed`.
    status: &'static str,
    result: Ran,
    duration_ms: i64,
}

/// `GET /v1/connect/apps`
///
/// # Errors
/// [`Kind::Forbidden`].
pub fn apps(connections: &Connections, caller: &Caller) -> Result<List<ShownApp>, Error> {
    admitted(caller)?;
    let data = all(connections, caller).map(|one| ShownApp {
        id: one.id.clone(),
        object: "connect.app",
        name: one.entry.name.as_deref().unwrap_or(&one.id).to_owned(),
        description: one.entry.description.clone(),
        kind: one.kind(),
        auth: one.entry.auth.as_str(),
        connected_accounts_required: one.entry.auth != Auth::None,
    });
    Ok(List::of(data.collect()))
}

/// The tools of an app.
///
/// # Errors
/// As [`run`].
pub async fn tools_of(
    connections: &Connections,
    caller: &Caller,
    id: &str,
) -> Result<Vec<Tool>, Error> {
    admitted(caller)?;
    let asked = known(connections, caller, id)?;
    let credential = credential(connections, caller, asked, None, None).await?;
    connections.apps.tools(asked, &credential).await.map_err(of_app)
}

/// `GET /v1/connect/tools`: of one app, or of all; an app that does not answer is named.
///
/// # Errors
/// As [`run`], where one app is asked for.
pub async fn tools(
    connections: &Connections,
    caller: &Caller,
    only: Option<&str>,
) -> Result<Tools, Error> {
    admitted(caller)?;
    let wanted: Vec<&Arc<connect::App>> = match only {
        Some(id) => vec![known(connections, caller, id)?],
        None => all(connections, caller).collect(),
    };
    let listing = wanted.iter().map(|one| tools_of(connections, caller, &one.id));
    let listed = futures_util::future::join_all(listing).await;
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for (one, listed) in wanted.iter().zip(listed) {
        match listed {
            Ok(tools) => data.extend(tools.into_iter().map(|tool| ShownTool {
                id: format!("{}.{}", one.id, tool.name),
                object: "connect.tool",
                app: one.id.clone(),
                name: tool.name,
                description: tool.description,
                input_schema: tool.input_schema,
            })),
            Err(why) if only.is_some() => return Err(why),
            Err(why) => {
                let (error, code) = (why.public.to_string(), why.code.map(|code| code.to_string()));
                errors.push(AppError { app: one.id.clone(), error, code });
            }
        }
    }
    Ok(Tools { object: "list", data, errors })
}

/// Runs a tool, and tells those who watch.
///
/// # Errors
/// [`Kind::NotFound`] for an app or tool that is not there, [`Kind::Forbidden`] without a connected
/// account, and what became of the app.
pub async fn call(
    connections: &Connections,
    caller: &Caller,
    (id, tool): (&str, &str),
    arguments: Map<String, Value>,
    connection: Option<&str>,
) -> Result<(String, Ran), Error> {
    admitted(caller)?;
    let asked = known(connections, caller, id)?;
    let credential = credential(connections, caller, asked, connection, Some(tool)).await?;
    let began = connections.clock.now();
    let action = EventId::fresh().as_str().replace("evt_", "act_");
    let about = json!({"id": action, "app": id, "tool": tool});
    note(connections, caller, "action.started", about.clone()).await;
    let called = connections.apps.call(asked, tool, arguments, &credential).await;
    let took = connections.clock.now().0 - began.0;
    let mut told = about;
    told["duration_ms"] = Value::from(took);
    match called {
        Ok(ran) => {
            told["is_error"] = Value::from(ran.is_error);
            note(connections, caller, "action.completed", told).await;
            Ok((action, ran))
        }
        Err(why) => {
            told["error"] = Value::from(why.to_string());
            note(connections, caller, "action.failed", told).await;
            Err(of_app(why))
        }
    }
}

/// `POST /v1/connect/actions/run`
///
/// # Errors
/// [`Kind::NotFound`] for an app or tool that is not there, [`Kind::Forbidden`] without a connected
/// account, and what became of the app.
pub async fn run(
    connections: &Connections,
    caller: &Arc<Caller>,
    action: Action,
) -> Result<RanAction, Error> {
    let caller =
        users::acting(&connections.identities, Arc::clone(caller), action.user_id.as_deref())
            .await?;
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
    let began = connections.clock.now();
    let connection = action.account_id.as_deref();
    let (id, ran) = call(connections, &caller, both, action.arguments, connection).await?;
    Ok(RanAction {
        id,
        object: "connect.action",
        app: both.0.to_owned(),
        tool: both.1.to_owned(),
        status: if ran.is_error { "failed" } else { "completed" },
        result: ran,
        duration_ms: connections.clock.now().0 - began.0,
    })
}

/// Tells those who watch. They may miss it; nothing else depends on it.
pub async fn note(connections: &Connections, caller: &Caller, kind: &str, body: Value) {
    let event = ConnectEvent {
        account: caller.account.clone(),
        id: EventId::fresh().as_str().to_owned(),
        user: caller.person.id.clone(),
        at: connections.clock.now(),
        kind: kind.to_owned(),
        body: body.to_string(),
    };
    if let Err(why) = connections.store.note_event(event).await {
        tracing::warn!(%why, kind, "an event could not be noted");
    }
    connections.noted.send_modify(|count| *count = count.wrapping_add(1));
}

/// Events after a cursor, as the caller may see them: an owner all of the account's.
///
/// # Errors
/// When the store fails.
pub async fn events(
    connections: &Connections,
    caller: &Caller,
    after: &str,
) -> Result<Vec<Value>, Error> {
    admitted(caller)?;
    let user = (caller.person.role == Role::Member).then(|| caller.person.id.clone());
    let store = &connections.store;
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
#[must_use]
pub fn function_name(app: &str, tool: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    format!("{app}__{tool}").chars().map(kept).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_a_name_that_every_maker_takes() {
        assert_eq!(function_name("mail", "send"), "mail__send");
        assert_eq!(function_name("my.app", "look up/ü"), "my_app__look_up__");
        let long = function_name("app", &"x".repeat(100));
        assert_eq!((long.len(), long.starts_with("app__xx")), (64, true));
    }
}
