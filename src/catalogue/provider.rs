//! A provider: where it is, what it speaks, and how it is paid respect.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{DataPolicy, OwnTls, Timeouts};
use crate::wire::vocab::Protocol;
use crate::wire::{embeddings, images};

/// How a provider takes its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// A key of a provider. Where there are several, requests are spread over them.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub secret: SecretString,
    /// Its part of the requests; above 0.
    pub weight: f64,
    pub mark: KeyMark,
}

/// Tells keys apart within this process, and is the same for a key that a reload brings again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyMark(u64);

/// A key that is shorter than this is not told apart by its last characters: they would be too much of it.
const ENDING_OF: usize = 16;

impl ApiKey {
    #[must_use]
    pub fn new(secret: SecretString, weight: f64) -> Self {
        let mut hasher = DefaultHasher::new();
        secret.expose_secret().hash(&mut hasher);
        let mark = KeyMark(hasher.finish());
        let weight = if weight > 0.0 && weight.is_finite() { weight } else { 1.0 };
        Self { secret, weight, mark }
    }

    /// Its last four characters, by which an operator knows it; `None` of a short one, or of the file of
    /// a service account.
    #[must_use]
    pub fn ending(&self) -> Option<&str> {
        let text = self.secret.expose_secret();
        if text.trim_start().starts_with('{') || text.len() < ENDING_OF {
            return None;
        }
        text.get(text.len() - 4..)
    }
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
    /// In the operator's order; none for one that takes none, or that is signed for.
    pub keys: Vec<ApiKey>,
    /// What its connections are secured with, where that is not what all others are.
    pub tls: Option<Arc<OwnTls>>,
    pub aws: Option<AwsCredential>,
    /// What AWS calls the place where it is.
    pub region: String,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// How it is asked for embeddings, if it has any.
    pub embeddings: Option<embeddings::EmbeddingsForm>,
    /// How it is asked for pictures, if it draws any.
    pub images: Option<images::ImagesForm>,
    /// Knows `max_tokens` and not `max_completion_tokens`.
    pub max_tokens_only: bool,
    pub timeouts: Timeouts,
    pub data: DataPolicy,
}

impl Provider {
    /// The first of its keys.
    #[must_use]
    pub fn api_key(&self) -> Option<&SecretString> {
        self.keys.first().map(|key| &key.secret)
    }

    /// Where a dialect is spoken.
    #[must_use]
    pub fn surface(&self, protocol: Protocol) -> Option<&Surface> {
        self.surfaces.iter().find(|surface| surface.protocol == protocol)
    }
}
