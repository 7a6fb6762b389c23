//! Providers, models and deployments as they are written: in the files of `providers/`, in the
//! configuration, and in what a catalogue update brings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::capability::Capability;
use super::facts::{FactsEntry, Family};
use super::model::{Balance, Modality, Mode, Tier};
use super::price::{EachEntry, PriceEntry, RatesEntry};
use super::{Auth, DataPolicy, Quirk, Timeouts};
use crate::wire::vocab::Protocol;
use crate::wire::{embeddings, images};

/// A file of `providers/`, or a `[providers.ID]` table of the configuration, where every member
/// overrides the file's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProviderSetting")]
pub struct ProviderEntry {
    pub id: Option<String>,
    pub name: Option<String>,
    pub base_url: Option<String>,
    /// The only one that it speaks, or is to be asked in.
    pub dialect: Option<Protocol>,
    /// All that it speaks, in order of preference.
    pub dialects: Option<Vec<Protocol>>,
    /// Where a dialect is spoken elsewhere than at `base_url`.
    #[serde(default)]
    pub dialect_urls: BTreeMap<Protocol, String>,
    pub auth: Option<Auth>,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Several keys, over which requests are spread, in place of one.
    pub api_keys: Option<Vec<KeyEntry>>,
    /// For `auth = "aws"`; from `AWS_REGION` if not given.
    pub region: Option<String>,
    /// Which variant of its deployments is asked, where there are several (Bedrock's `us`, `eu`).
    pub variant: Option<String>,
    /// A file that holds the key.
    pub api_key_file: Option<String>,
    /// A file (PEM) with the authorities that may vouch for its certificate, in place of all others.
    pub ca_file: Option<String>,
    /// A file (PEM) with the certificate that it knows this gateway by, and those that vouch for it.
    pub client_cert_file: Option<String>,
    /// That certificate's key (PEM).
    pub client_key_file: Option<String>,
    pub enabled: Option<bool>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub max_tokens_only: Option<bool>,
    /// How long it is waited for, if not as long as others.
    pub timeouts: Option<Timeouts>,
    /// What it does with what it is sent, where that is known.
    pub data: Option<DataPolicy>,
    pub embeddings: Option<embeddings::EmbeddingsForm>,
    pub images: Option<images::ImagesForm>,
    /// Facts of everything it serves: laid over a model's.
    #[serde(default)]
    pub facts: FactsEntry,
    /// What a model costs here that has no price of its own (0 on a machine of one's own).
    pub usd_per_million: Option<RatesEntry>,
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    #[serde(default)]
    pub families: Vec<Family>,
    #[serde(default)]
    pub models: Vec<ModelEntry>,
    #[serde(default)]
    pub deployments: Vec<FileDeployment>,
}

/// One of a provider's keys: the variable or the file that holds it. Exactly one of both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub env: Option<String>,
    pub file: Option<String>,
    /// Its part of the requests; 1 if not given.
    pub weight: Option<f64>,
}

impl ProviderEntry {
    /// The variables of the environment that its keys are read from.
    pub fn key_variables(&self) -> impl Iterator<Item = &str> {
        let several = self.api_keys.iter().flatten().filter_map(|key| key.env.as_deref());
        self.api_key_env.as_deref().into_iter().chain(several)
    }

    /// The files that its keys are read from.
    pub fn key_files(&self) -> impl Iterator<Item = &str> {
        let several = self.api_keys.iter().flatten().filter_map(|key| key.file.as_deref());
        self.api_key_file.as_deref().into_iter().chain(several)
    }

    /// The files that its connections are secured with.
    pub fn tls_files(&self) -> impl Iterator<Item = &str> {
        let all = [&self.ca_file, &self.client_cert_file, &self.client_key_file];
        all.into_iter().filter_map(|file| file.as_deref())
    }
}

/// A `[[models]]` entry of a file or of the configuration; there, what is given overrides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ModelSetting")]
pub struct ModelEntry {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<Modality>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Vec<Modality>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
    /// The day from which its maker serves it no longer, as `2026-12-11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// The model that answers for it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Its maker may change or withdraw it without notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<bool>,
    /// How long it is waited for, whoever serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Vec<String>>,
    /// Which of its deployments is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// The data policy for this model, in place of its provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<images::ImagesRules>,
    #[serde(default, skip_serializing_if = "FactsEntry::is_empty")]
    pub facts: FactsEntry,
    /// Replaces the catalogue's deployments of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<Vec<DeploymentEntry>>,
}

/// A deployment of a `[[models]]` entry of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentEntry {
    pub provider: String,
    /// The provider's own name for it; the model's id if not given.
    pub model: Option<String>,
    pub dialects: Option<Vec<Protocol>>,
    /// One price for always, in place of `prices`.
    pub usd_per_million: Option<RatesEntry>,
    /// For each picture, in place of what its tokens would cost.
    pub usd_per_image: Option<f64>,
    #[serde(default)]
    pub prices: Vec<PriceEntry>,
    #[serde(default)]
    pub facts: FactsEntry,
    /// Its part of the requests where `balance = "weights"`; 1 if not given.
    pub weight: Option<f64>,
    /// What is done here with what it is sent.
    pub data: Option<DataPolicy>,
}

/// A `[[deployments]]` entry of a provider's file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDeployment {
    pub model: String,
    pub name: String,
    /// Other names of the same at this provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<String>,
    /// Those of the provider's that this one is asked in, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialects: Option<Vec<Protocol>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub preference: u32,
    /// The day from which this provider serves it no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
    /// Tried last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_million: Option<RatesEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_image: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceEntry>,
    /// What requests of a region (`us`) cost, in times of the price.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub region_uplift: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantEntry>,
    #[serde(default, skip_serializing_if = "FactsEntry::is_empty")]
    pub facts: FactsEntry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataPolicy>,
}

/// The same under another name, at another price: an inference profile, a data zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantEntry {
    pub name: String,
    pub region: String,
    /// Of the deployment's price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Prices of one deployment, however they were written.
#[must_use]
pub fn prices_of(
    short: Option<&RatesEntry>,
    image: Option<f64>,
    mut prices: Vec<PriceEntry>,
) -> Vec<PriceEntry> {
    if short.is_some() || image.is_some() {
        let usd_each = image.map(|usd| EachEntry { image: Some(usd), ..EachEntry::default() });
        prices.push(PriceEntry {
            usd_per_million: short.copied(),
            usd_each,
            ..PriceEntry::default()
        });
    }
    prices
}
