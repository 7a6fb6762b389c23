//! A provider: where it is, what it speaks, and how it is paid respect.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use crate::wire::vocab::Dialect;
use crate::wire::{embeddings, images};

/// How a provider takes its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// `Authorization: Bearer KEY`
    Bearer,
    XApiKey,
    XGoogApiKey,
    /// Azure's `api-key`.
    ApiKey,
    None,
}

#[derive(Debug)]
pub struct Provider {
    pub id: Arc<str>,
    pub name: String,
    /// Without a trailing slash.
    pub base_url: String,
    pub dialect: Dialect,
    pub auth: Auth,
    pub api_key: Option<SecretString>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// How it is asked for embeddings, if it has any.
    pub embeddings: Option<embeddings::Form>,
    /// How it is asked for pictures, if it draws any.
    pub images: Option<images::Form>,
    /// Knows `max_tokens` and not `max_completion_tokens`.
    pub max_tokens_only: bool,
}
