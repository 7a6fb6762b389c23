//! Apps as the configuration says them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::base::egress::Egress;

/// `[connect]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connect {
    pub apps: BTreeMap<String, AppEntry>,
}

/// `[connect.apps.NAME]`: one of `command`, `url` and `openapi` says what it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppEntry {
    pub name: Option<String>,
    pub description: Option<String>,
    /// A Model Context Protocol server that is started here and spoken to over its standard input
    /// and output. Its arguments follow.
    pub command: Option<Vec<String>>,
    /// Variables of the environment for the command, beside `PATH` and `HOME`.
    pub env: BTreeMap<String, String>,
    /// A Model Context Protocol server over streamable HTTP.
    pub url: Option<String>,
    /// A file with an `OpenAPI` document (JSON).
    pub openapi: Option<String>,
    /// Where the interface of the document is, if not at its first server.
    pub base_url: Option<String>,
    pub auth: Auth,
    /// The tools that may be run; all, if not given.
    pub tools: Option<Vec<String>>,
    /// Ids of the accounts, and names of the plans, that may use it; all, if not given.
    pub accounts: Option<Vec<String>>,
    pub plans: Option<Vec<String>>,
    pub timeout_seconds: Option<f64>,
    /// The largest answer that is passed on.
    #[serde(default = "usual_bytes")]
    pub max_bytes: usize,
    /// Its address may be inside the house: loopback, private and link-local networks.
    pub allow_private: bool,
    /// How it is reached: `[upstream] proxy` and `ca_file`.
    #[serde(skip)]
    pub egress: Egress,
}

fn usual_bytes() -> usize {
    1 << 20
}

/// What an app wants to see of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    #[default]
    None,
    /// `Authorization: Bearer`
    Bearer,
    /// A header of its own.
    Header { name: String },
    /// A variable of the command's environment.
    Env { name: String },
    /// A token that the user has an authorization server give us.
    Oauth {
        authorize_url: String,
        token_url: String,
        client_id: String,
        /// The environment variable with the client's secret, if it has one.
        client_secret_env: Option<String>,
        #[serde(default)]
        scopes: Vec<String>,
    },
}

impl Auth {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Header { .. } => "header",
            Self::Env { .. } => "env",
            Self::Oauth { .. } => "oauth",
        }
    }
}

impl AppEntry {
    /// How long a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let seconds = self.timeout_seconds.unwrap_or(30.0).clamp(0.1, 600.0);
        Duration::from_secs_f64(seconds)
    }
}
