//! Apps whose tools customers and their agents run: servers of the Model Context Protocol, and HTTP
//! interfaces that an `OpenAPI` document describes. Bounded in time and size; no address inside the
//! house is reached unless the operator says so.

mod entry;
mod guard;
mod http_api;
mod mcp;
mod oauth;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::egress::Egress;

pub use entry::{AppEntry, Auth, Connect};
pub use oauth::{Grant, Granted};

use http_api::HttpApi;
use mcp::Sessions;

/// What an app could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("there is no tool '{0}'")]
    NoTool(String),
    #[error("the app did not answer in time")]
    Timeout,
    #[error("the app's answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the app cannot be reached: {0}")]
    Down(String),
    #[error("the app refused: {0}")]
    Refused(String),
}

/// Whom an app is asked for, and with what.
#[derive(Debug, Clone, Default)]
pub struct Credential {
    /// Sessions of one owner are never another's.
    pub owner: String,
    pub token: Option<SecretString>,
}

/// Something that an app can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

/// What running a tool came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    /// The tool itself says that it failed.
    pub is_error: bool,
    /// Parts, as the Model Context Protocol writes them.
    pub content: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
}

impl Ran {
    /// For a model: its texts, or else what it is made of.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> =
            self.content.iter().filter_map(|part| part.get("text")?.as_str()).collect();
        match (&self.structured, texts.is_empty()) {
            (Some(structured), true) => structured.to_string(),
            (None, true) => Value::Array(self.content.clone()).to_string(),
            (_, false) => texts.join("\n"),
        }
    }
}

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

#[derive(Debug)]
enum Kind {
    Mcp,
    Api(HttpApi),
}

/// An app, ready to be asked.
#[derive(Debug)]
pub struct App {
    pub id: String,
    pub entry: AppEntry,
    kind: Kind,
    /// Made with the first call, and kept with its connections.
    client: OnceLock<reqwest::Client>,
}

impl App {
    /// `mcp` or `openapi`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Mcp => "mcp",
            Kind::Api(_) => "openapi",
        }
    }

    /// Whether an account on a plan may use it.
    #[must_use]
    pub fn is_for(&self, account: &str, plan: &str) -> bool {
        let among = |all: &Option<Vec<String>>, one: &str| {
            all.as_ref().is_none_or(|all| all.iter().any(|known| known == one))
        };
        among(&self.entry.accounts, account) && among(&self.entry.plans, plan)
    }

    /// The client that calls it.
    fn client(&self) -> Result<&reqwest::Client, ConnectError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = guard::client(&self.entry)?;
        Ok(self.client.get_or_init(|| made))
    }

    fn offers(&self, tool: &str) -> bool {
        self.entry.tools.as_ref().is_none_or(|tools| tools.iter().any(|one| one == tool))
    }
}

/// All apps of the configuration. Cheap to clone. What they do, they do on the background runtime:
/// a session outlives the worker's request that began it.
#[derive(Debug, Clone)]
pub struct Apps {
    by_id: Arc<BTreeMap<String, Arc<App>>>,
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
        let mut apps = BTreeMap::new();
        let mut faults = Vec::new();
        for (id, entry) in entries {
            let kind = match (&entry.command, &entry.url, &entry.openapi) {
                (Some(command), None, None) if !command.is_empty() => {
                    there(command).map(|()| Kind::Mcp)
                }
                (None, Some(_), None) => Ok(Kind::Mcp),
                (None, None, Some(document)) => HttpApi::read(document, entry).map(Kind::Api),
                _ => Err("needs one of 'command', 'url' and 'openapi'".to_owned()),
            };
            let kind = match kind {
                Ok(kind) => kind,
                Err(why) => {
                    faults.push((id.clone(), why));
                    continue;
                }
            };
            let entry = AppEntry { egress: egress.clone(), ..entry.clone() };
            let app = App { id: id.clone(), entry, kind, client: OnceLock::new() };
            apps.insert(id.clone(), Arc::new(app));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { by_id: Arc::new(apps), sessions: Sessions::default(), runtime })
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
        let mut tools = match &app.kind {
            Kind::Api(api) => api.tools(),
            Kind::Mcp => {
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
        let (name, lent) = (tool.to_owned(), credential.clone());
        let called = self
            .run(app.entry.timeout(), async move {
                match &asked.kind {
                    Kind::Api(api) => api.call(&asked, &name, &arguments, &lent).await,
                    Kind::Mcp => sessions.call(&asked, &name, arguments, &lent).await,
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
