//! A provider: where it is, what it speaks, and how it is paid respect.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Timeouts;
use crate::wire::vocab::Protocol;
use crate::wire::{embeddings, images};

/// How a provider takes its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`
    Bearer,
    XApiKey,
    XGoogApiKey,
    /// Azure's `api-key`.
    ApiKey,
    /// Signature Version 4, or `Authorization: Bearer` where there is a Bedrock API key.
    Aws,
    /// `Authorization: Bearer` of a token that a service account's key is changed for; a key that
    /// is a token already goes as it is.
    Google,
    None,
}

/// What a provider does with what it is sent, as the operator's contract with it says. What nobody
/// said is not known, and does not pass for yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataPolicy {
    /// It may keep what it is sent for purposes of its own, or train on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collects: Option<bool>,
    /// It keeps nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_retention: Option<bool>,
}

/// Whose name requests are signed in (`AWS_ACCESS_KEY_ID` and its kin).
#[derive(Debug, Clone)]
pub struct AwsCredential {
    pub access_key: String,
    pub secret_key: SecretString,
    pub session_token: Option<SecretString>,
}

/// A dialect that a provider speaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    pub protocol: Protocol,
    /// Without a trailing slash. With `{model}` in it (Vertex), the verb follows the model.
    pub base_url: String,
}

#[derive(Debug)]
pub struct Provider {
    pub id: Arc<str>,
    pub name: String,
    /// Without a trailing slash.
    pub base_url: String,
    /// In order of preference; never empty.
    pub surfaces: Vec<Surface>,
    pub auth: Auth,
    pub api_key: Option<SecretString>,
    pub aws: Option<AwsCredential>,
    /// What AWS calls the place where it is.
    pub region: String,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// How it is asked for embeddings, if it has any.
    pub embeddings: Option<embeddings::Form>,
    /// How it is asked for pictures, if it draws any.
    pub images: Option<images::Form>,
    /// Knows `max_tokens` and not `max_completion_tokens`.
    pub max_tokens_only: bool,
    pub timeouts: Timeouts,
    pub data: DataPolicy,
}

impl Provider {
    /// Where a dialect is spoken.
    #[must_use]
    pub fn surface(&self, protocol: Protocol) -> Option<&Surface> {
        self.surfaces.iter().find(|surface| surface.protocol == protocol)
    }
}
