//! Apps whose tools customers and their agents run: servers of the Model Context Protocol, and HTTP
//! interfaces that an `OpenAPI` document describes. Bounded in time and size; no address inside the
//! house is reached unless the operator says so.

mod app;
mod entry;
mod error;
mod guard;
mod http_api;
mod mcp;
mod oauth;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::base::egress::Egress;

pub use app::{App, Credential, Ran, Tool};
pub use entry::{AppEntry, Auth, Connect};
pub use error::ConnectError;
pub use oauth::{Grant, Granted};

use http_api::HttpApi;
use mcp::Sessions;

/// A command can be started: its program is a file, by its path or in `PATH`.
fn there(command: &[String]) -> Result<(), String> {
    let program = command.first().map_or(Path::new(""), Path::new);
    let mut places = std::env::var_os("PATH").unwrap_or_default();
    if program.components().count() > 1 {
        places.clear();
    }
    let found = program.is_file()
        || std::env::split_paths(&places).any(|folder| folder.join(program).is_file());
    if found { Ok(()) } else { Err(format!("there is no program '{}'", program.display())) }
}

/// All apps of the configuration. Cheap to clone. What they do, they do on the background runtime:
/// a session outlives the worker's request that began it.
#[derive(Debug, Clone)]
pub struct Apps {
    by_id: Arc<BTreeMap<String, Arc<App>>>,
    /// Those that a document describes; all others are servers of the Model Context Protocol.
    apis: Arc<BTreeMap<String, HttpApi>>,
    sessions: Sessions,
    runtime: tokio::runtime::Handle,
}

impl Apps {
    /// # Errors
    /// What is wrong with each app that is said to be nothing or two things, whose command is not
    /// there, or whose document cannot be read; by the app's id.
    pub fn open(
        entries: &BTreeMap<String, AppEntry>,
        egress: &Egress,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self, Vec<(String, String)>> {
        let (mut apps, mut apis) = (BTreeMap::new(), BTreeMap::new());
        let mut faults = Vec::new();
        for (id, entry) in entries {
            let api = match (&entry.command, &entry.url, &entry.openapi) {
                (Some(command), None, None) if !command.is_empty() => there(command).map(|()| None),
                (None, Some(_), None) => Ok(None),
                (None, None, Some(document)) => HttpApi::read(document, entry).map(Some),
                _ => Err("needs one of 'command', 'url' and 'openapi'".to_owned()),
            };
            match api {
                Ok(api) => apis.extend(api.map(|api| (id.clone(), api))),
                Err(why) => {
                    faults.push((id.clone(), why));
                    continue;
                }
            }
            let entry = AppEntry { egress: egress.clone(), ..entry.clone() };
            apps.insert(id.clone(), Arc::new(App::new(id, entry)));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let sessions = Sessions::default();
        Ok(Self { by_id: Arc::new(apps), apis: Arc::new(apis), sessions, runtime })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_id.values()
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<App>> {
        self.by_id.get(id)
    }

    async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, ConnectError>> + Send + 'static,
    ) -> Result<T, ConnectError> {
        // On a task of its own: a caller who leaves does not leave half a message behind.
        let bounded = async move {
            tokio::time::timeout(patience, work).await.unwrap_or(Err(ConnectError::Timeout))
        };
        let done = self.runtime.spawn(bounded).await;
        done.unwrap_or_else(|why| Err(ConnectError::Down(why.to_string())))
    }

    /// What an app can do, as far as the configuration lets it.
    ///
    /// # Errors
    /// [`ConnectError`] when it cannot be asked.
    pub async fn tools(
        &self,
        app: &Arc<App>,
        credential: &Credential,
    ) -> Result<Vec<Tool>, ConnectError> {
        let mut tools = match self.apis.get(&app.id) {
            Some(api) => api.tools(),
            None => {
                let (asked, sessions) = (Arc::clone(app), self.sessions.clone());
                let credential = credential.clone();
                let patience = app.entry.timeout();
                let known = credential.clone();
                let listed = self
                    .run(patience, async move { sessions.tools(&asked, &credential).await })
                    .await;
                if listed == Err(ConnectError::Timeout) {
                    self.sessions.end(app, &known);
                }
                listed?
            }
        };
        tools.retain(|tool| app.offers(&tool.name));
        Ok(tools)
    }

    /// Runs a tool.
    ///
    /// # Errors
    /// [`ConnectError`]; what the tool itself says went wrong is in [`Ran`].
    pub async fn call(
        &self,
        app: &Arc<App>,
        tool: &str,
        arguments: Map<String, Value>,
        credential: &Credential,
    ) -> Result<Ran, ConnectError> {
        if !app.offers(tool) {
            return Err(ConnectError::NoTool(tool.chars().take(80).collect()));
        }
        let (asked, sessions) = (Arc::clone(app), self.sessions.clone());
        let (name, lent, apis) = (tool.to_owned(), credential.clone(), Arc::clone(&self.apis));
        let called = self
            .run(app.entry.timeout(), async move {
                match apis.get(&asked.id) {
                    Some(api) => api.call(&asked, &name, &arguments, &lent).await,
                    None => sessions.call(&asked, &name, arguments, &lent).await,
                }
            })
            .await;
        if called == Err(ConnectError::Timeout) {
            // Whoever hangs is started anew for the next call.
            self.sessions.end(app, credential);
        }
        let ran = called?;
        let most = app.entry.max_bytes;
        let size: usize = ran.content.iter().map(|part| part.to_string().len()).sum();
        let structured = ran.structured.as_ref().map_or(0, |value| value.to_string().len());
        if size + structured > most {
            return Err(ConnectError::TooLarge(most));
        }
        Ok(ran)
    }

    /// Where a user lets an app act for them (`OAuth` 2.1 with PKCE), and what proves the way back.
    ///
    /// # Errors
    /// When the app does not ask for it, or there is no randomness.
    pub fn begin_grant(
        &self,
        app: &App,
        redirect: &str,
        state: &str,
        verifier: &str,
    ) -> Option<String> {
        oauth::authorize(&app.entry, redirect, state, verifier)
    }

    /// Changes a code or a refresh token for a token.
    ///
    /// # Errors
    /// [`ConnectError`] when the app's authorization server refuses or cannot be reached.
    pub async fn grant(&self, app: &Arc<App>, grant: Grant) -> Result<Granted, ConnectError> {
        let asked = Arc::clone(app);
        self.run(app.entry.timeout(), async move { oauth::exchange(&asked, &grant).await }).await
    }

    /// Ends sessions that nobody used for a while.
    pub fn sweep(&self) {
        self.sessions.sweep();
    }
}
