//! An app, and what it can do.

use std::sync::OnceLock;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;

use super::guard;
use super::{AppEntry, ConnectError};

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
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ToolResult")]
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

/// An app, ready to be asked.
#[derive(Debug)]
pub struct App {
    pub id: String,
    pub entry: AppEntry,
    /// Made with the first call, and kept with its connections.
    client: OnceLock<reqwest::Client>,
}

impl App {
    pub(super) fn new(id: &str, entry: AppEntry) -> Self {
        Self { id: id.to_owned(), entry, client: OnceLock::new() }
    }

    /// `mcp` or `openapi`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.entry.openapi.is_some() { "openapi" } else { "mcp" }
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
    pub(super) fn client(&self) -> Result<&reqwest::Client, ConnectError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = guard::client(&self.entry)?;
        Ok(self.client.get_or_init(|| made))
    }

    pub(super) fn offers(&self, tool: &str) -> bool {
        self.entry.tools.as_ref().is_none_or(|tools| tools.iter().any(|one| one == tool))
    }
}
