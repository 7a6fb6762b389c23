//! What the catalogue and the router are made of: files, variables of the environment, keys.

use std::collections::HashMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::Failure;
use crate::catalogue::{
    self, Auth, AwsCredential, Catalogue, DeploymentEntry, PriceEntry, ProviderEntry, Sources,
};
use crate::config::{self, Config};
use crate::router::Predictor;
use crate::router::neural::Weights;
use crate::store::Store;
use crate::wire::vocab::{Dialect, Protocol};

/// Keys of providers, from the environment or from files.
fn provider_keys(
    files: &[ProviderEntry],
    patches: &std::collections::BTreeMap<String, ProviderEntry>,
) -> Result<HashMap<String, SecretString>, Failure> {
    let mut keys = HashMap::new();
    let named = files
        .iter()
        .filter_map(|file| file.id.clone().map(|id| (id, file)))
        .chain(patches.iter().map(|(id, patch)| (id.clone(), patch)));
    for (id, entry) in named {
        if let Some(key) = entry.api_key_env.as_deref().and_then(secret_variable) {
            let key = if entry.auth == Some(Auth::Google) {
                let text = service_account(&id, key.expose_secret())?;
                SecretString::from(text)
            } else {
                key
            };
            keys.insert(id.clone(), key);
        }
        if let Some(file) = &entry.api_key_file {
            let key = std::fs::read_to_string(file).map_err(|why| {
                format!("providers.{id}: api_key_file {file} cannot be read: {why}")
            })?;
            keys.insert(id, SecretString::from(key.trim().to_owned()));
        }
    }
    Ok(keys)
}

/// Google's variable names the file in which a service account's key is.
fn service_account(provider: &str, variable: &str) -> Result<String, Failure> {
    if !Path::new(variable).is_absolute() {
        return Ok(variable.to_owned());
    }
    std::fs::read_to_string(variable)
        .map_err(|why| format!("providers.{provider}: {variable} cannot be read: {why}").into())
}

fn aws_credential() -> Option<AwsCredential> {
    Some(AwsCredential {
        access_key: std::env::var("AWS_ACCESS_KEY_ID").ok().filter(|key| !key.is_empty())?,
        secret_key: secret_variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: secret_variable("AWS_SESSION_TOKEN"),
    })
}

pub(super) fn secret_variable(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|key| !key.trim().is_empty()).map(SecretString::from)
}

/// The built-in files with the store's revision laid over them, and the number of that.
///
/// # Errors
/// When the store fails. A document that this build cannot read is told of and passed over: a
/// gateway with the files it was built with is better than none.
pub async fn files(store: &Store) -> Result<(Vec<ProviderEntry>, i64), Failure> {
    let files = catalogue::builtin()?;
    let revision = store.active_catalogue().await?;
    let document = match revision {
        0 => None,
        id => store.catalogue_document(id).await?,
    };
    let Some(document) = document else { return Ok((files, 0)) };
    match catalogue::document::read(&document, &files) {
        Ok(document) => Ok((catalogue::document::lay(files, document), revision)),
        Err(faults) => {
            let why: Vec<String> = faults.iter().map(ToString::to_string).collect();
            tracing::error!(
                revision,
                why = why.join("; "),
                "the catalogue's revision is passed over"
            );
            Ok((files, 0))
        }
    }
}

/// The catalogue of what is configured.
///
/// # Errors
/// Every fault of the configuration and the files, a line each.
pub fn catalogue(config: &Config, files: Vec<ProviderEntry>) -> Result<Catalogue, Failure> {
    let keys = provider_keys(&files, &config.providers)?;
    load(Sources {
        files,
        providers: config.providers.clone(),
        models: config.models.clone(),
        fallbacks: config.routes.fallback.clone(),
        keys,
        aws: aws_credential(),
        // Only what an address may name: nothing of it is secret.
        variables: std::env::vars()
            .filter(|(name, _)| {
                ["AWS_", "AZURE_", "GOOGLE_", "VERTEX_", "OPTIMUX_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .collect(),
        first_id: 0,
    })
}

/// The trained router, with the abilities of the catalogue's models.
///
/// # Errors
/// When the configured file is not one.
pub fn predictor(config: &config::Router, catalogue: &Catalogue) -> Result<Predictor, Failure> {
    let weights = match &config.weights {
        None => Predictor::builtin()?,
        Some(path) => {
            let unusable =
                |why: String| format!("router.weights ({}) cannot be used: {why}", path.display());
            let bytes = std::fs::read(path).map_err(|why| unusable(why.to_string()))?;
            Weights::from_bytes(&bytes).map_err(|why| unusable(why.to_string()))?
        }
    };
    Ok(Predictor::new(weights, catalogue))
}

fn load(sources: Sources) -> Result<Catalogue, Failure> {
    catalogue::load(sources).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

/// The whole catalogue, served by the simulated provider at `base`, each model in its maker's
/// dialect.
pub fn simulated(
    base: &str,
    config: &Config,
    files: Vec<ProviderEntry>,
) -> Result<Catalogue, Failure> {
    let mut dialects: HashMap<String, Dialect> = HashMap::new();
    for file in &files {
        for model in &file.models {
            let first = file.dialects.iter().flatten().copied().next();
            if let Some(Protocol::Dialect(dialect)) = first.or(file.dialect) {
                dialects.insert(model.id.clone(), dialect);
            }
        }
    }
    let place = |dialect: Dialect| match dialect {
        Dialect::OpenAiChat => ("sim", "/v1"),
        Dialect::OpenAiResponses => ("sim-responses", "/v1"),
        Dialect::Anthropic => ("sim-anthropic", "/v1"),
        Dialect::Gemini => ("sim-gemini", "/v1beta"),
    };
    let mut families: Vec<_> = files.iter().flat_map(|file| file.families.clone()).collect();
    let mut sources = Sources { fallbacks: config.routes.fallback.clone(), ..Sources::default() };
    for dialect in Dialect::ALL {
        let (id, path) = place(dialect);
        sources.files.push(ProviderEntry {
            id: Some(id.to_owned()),
            name: Some("Simulated provider".to_owned()),
            base_url: Some(format!("{base}{path}")),
            // As at OpenAI, where some models take tools by Responses alone.
            dialects: Some(match dialect {
                Dialect::OpenAiChat => vec![
                    Protocol::Dialect(Dialect::OpenAiChat),
                    Protocol::Dialect(Dialect::OpenAiResponses),
                ],
                other => vec![Protocol::Dialect(other)],
            }),
            enabled: Some(true),
            families: std::mem::take(&mut families),
            ..ProviderEntry::default()
        });
    }
    // What the preferred of those takes who have a price for it.
    let mut prices: HashMap<String, (u32, Vec<PriceEntry>)> = HashMap::new();
    let priced = files.iter().flat_map(|file| &file.deployments);
    for one in priced.filter(|one| !one.prices.is_empty()) {
        let known = prices.get(&one.model).map(|(preference, _)| *preference);
        if known.is_none_or(|known| one.preference < known) {
            prices.insert(one.model.clone(), (one.preference, one.prices.clone()));
        }
    }
    for file in files {
        for mut model in file.models {
            let dialect = dialects.get(&model.id).copied().unwrap_or(Dialect::OpenAiChat);
            model.deployments = Some(vec![DeploymentEntry {
                provider: place(dialect).0.to_owned(),
                model: None,
                prices: prices.remove(&model.id).map(|(_, prices)| prices).unwrap_or_default(),
                ..DeploymentEntry::default()
            }]);
            sources.models.push(model);
        }
    }
    load(sources)
}
