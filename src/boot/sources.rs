//! What the catalogue and the router are made of: files, variables of the environment, keys.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use ::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;

use super::failure::Failure;
use super::outward::egress;
use super::pem;
use crate::catalogue::{
    self, ApiKey, Auth, AwsCredential, Catalogue, CatalogueSettings, DeploymentEntry, KeyEntry,
    PriceEntry, ProviderEntry, Sources,
};
use crate::config::{self, Config};
use crate::guard::Guardrails;
use crate::router::Predictor;
use crate::router::neural::Weights;
use crate::store::{Revised, Store};
use crate::wire::vocab::{Dialect, Protocol};

/// Keys of providers, from the environment or from files, and what is wrong with those that cannot
/// be had.
fn provider_keys(
    files: &[ProviderEntry],
    patches: &BTreeMap<String, ProviderEntry>,
) -> (HashMap<String, Vec<ApiKey>>, Vec<String>) {
    let (mut keys, mut faults) = (HashMap::new(), Vec::new());
    let named = files
        .iter()
        .filter_map(|file| file.id.as_deref().map(|id| (id, file)))
        .chain(patches.iter().map(|(id, patch)| (id.as_str(), patch)));
    for (id, entry) in named {
        match keys_of(entry) {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                keys.insert(id.to_owned(), found);
            }
            Err(why) => faults.push(format!("providers.{id}: {why}")),
        }
    }
    (keys, faults)
}

/// The keys that a table names: a list before a file, and that before a variable. None where what it
/// names is not set.
fn keys_of(entry: &ProviderEntry) -> Result<Vec<ApiKey>, String> {
    let one = |key: &KeyEntry| read_keys(key, entry.auth);
    let mut keys = match (&entry.api_keys, &entry.api_key_file, &entry.api_key_env) {
        (Some(list), ..) => {
            let found = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            // Who names several means all of them; none at all is a provider that is not asked.
            let missing = list.iter().zip(&found).find(|(_, found)| found.is_empty());
            if let Some((missing, _)) = missing.filter(|_| found.iter().any(|one| !one.is_empty()))
            {
                let name = missing.env.as_deref().unwrap_or_default();
                return Err(format!("api_keys: {name} is not set; set it or take it off the list"));
            }
            found.into_iter().flatten().collect()
        }
        (_, Some(file), _) => one(&KeyEntry { file: Some(file.clone()), ..KeyEntry::default() })?,
        (_, _, Some(variable)) => {
            one(&KeyEntry { env: Some(variable.clone()), ..KeyEntry::default() })?
        }
        (None, None, None) => Vec::new(),
    };
    let mut known = HashSet::new();
    keys.retain(|key| known.insert(key.mark));
    Ok(keys)
}

/// What a variable or a file holds: a key, or several with commas between them, which no key contains.
fn read_keys(from: &KeyEntry, auth: Option<Auth>) -> Result<Vec<ApiKey>, String> {
    let (name, text) = match (&from.file, &from.env) {
        (Some(file), None) => {
            let text = std::fs::read_to_string(file)
                .map_err(|why| format!("the key's file {file} cannot be read: {why}"))?;
            (file, SecretString::from(text.trim().to_owned()))
        }
        (None, Some(variable)) => match secret_variable(variable) {
            None => return Ok(Vec::new()),
            Some(text) if auth == Some(Auth::Google) => {
                (variable, service_account(text.expose_secret())?.into())
            }
            Some(text) => (variable, text),
        },
        _ => return Err("api_keys: each key has either env or file".to_owned()),
    };
    let weight = from.weight.unwrap_or(1.0);
    if !(weight > 0.0 && weight.is_finite()) {
        return Err(format!("api_keys: the weight of {name} has to be above 0"));
    }
    let text = text.expose_secret();
    let whole = text.trim_start().starts_with('{');
    let parts = text.split(|c: char| c == ',' && !whole).map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let key = sendable(name, SecretString::from(part.to_owned()))?;
            Ok(ApiKey::new(key, weight))
        })
        .collect()
}

/// Google's variable names the file in which a service account's key is.
fn service_account(variable: &str) -> Result<String, String> {
    if !Path::new(variable).is_absolute() {
        return Ok(variable.to_owned());
    }
    std::fs::read_to_string(variable).map_err(|why| format!("{variable} cannot be read: {why}"))
}

fn aws_credential() -> Option<AwsCredential> {
    Some(AwsCredential {
        access_key: secret_variable("AWS_ACCESS_KEY_ID")?.expose_secret().to_owned(),
        secret_key: secret_variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: secret_variable("AWS_SESSION_TOKEN"),
    })
}

/// A secret in a variable of the environment. No secret has blanks or line ends around it: they are
/// of the file that it was read from.
pub(super) fn secret_variable(name: &str) -> Option<SecretString> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| SecretString::from(text.to_owned()))
}

/// The variables that keys of providers are read from.
pub(super) fn key_variables(
    files: &[ProviderEntry],
    patches: &BTreeMap<String, ProviderEntry>,
) -> HashSet<String> {
    let entries = files.iter().chain(patches.values());
    let mut all: HashSet<String> =
        entries.flat_map(ProviderEntry::key_variables).map(str::to_owned).collect();
    all.extend(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(str::to_owned));
    all
}

/// A key goes out in a header, which takes no line ends and no other control characters. (The file
/// of a service account does not.)
fn sendable(from: &str, key: SecretString) -> Result<SecretString, String> {
    let text = key.expose_secret();
    if text.trim_start().starts_with('{') || HeaderValue::try_from(text).is_ok() {
        return Ok(key);
    }
    let why = "holds a line end or another control character, and cannot be sent in a header";
    Err(format!("the key in {from} {why}"))
}

/// What a catalogue is made from beside the configuration: provider files, and settings of administrators.
#[derive(Debug, Clone, Default)]
pub struct CatalogueSources {
    /// The built-in files with a revision's document laid over them.
    pub files: Vec<ProviderEntry>,
    pub settings: CatalogueSettings,
}

impl CatalogueSources {
    /// Without any revision.
    ///
    /// # Errors
    /// A built-in file that does not parse.
    pub fn builtin() -> Result<Self, Failure> {
        Ok(Self { files: catalogue::builtin()?, settings: CatalogueSettings::default() })
    }

    /// What a revision comes to.
    ///
    /// # Errors
    /// Every fault of one that this build cannot read.
    pub fn of(revised: &Revised) -> Result<Self, Failure> {
        let mut files = catalogue::builtin()?;
        if let Some(document) = &revised.document {
            let read = catalogue::document::read(document, &files).map_err(|faults| {
                let why: Vec<String> = faults.iter().map(ToString::to_string).collect();
                Failure::from(why.join("; "))
            })?;
            files = catalogue::document::lay(files, read);
        }
        let settings = revised.settings.as_deref().map(CatalogueSettings::read).transpose()?;
        Ok(Self { files, settings: settings.unwrap_or_default() })
    }
}

/// What the store's active revision comes to, and its number.
///
/// # Errors
/// When the store fails. A revision that this build cannot read is told of and passed over: a
/// gateway with the files it was built with is better than none.
pub async fn files(store: &Store) -> Result<(CatalogueSources, i64), Failure> {
    let revision = store.active_catalogue().await?;
    let revised = store.catalogue_revision(revision).await?.unwrap_or_default();
    match CatalogueSources::of(&revised) {
        Ok(laid) => Ok((laid, revision)),
        Err(why) => {
            tracing::error!(revision, %why, "the catalogue's revision is passed over");
            Ok((CatalogueSources::builtin()?, 0))
        }
    }
}

/// The catalogue of what is configured.
///
/// # Errors
/// Every fault of the configuration and the files, a line each.
pub fn catalogue(
    config: &Config,
    laid: CatalogueSources,
    first_id: usize,
) -> Result<Catalogue, Failure> {
    let CatalogueSources { files, settings } = laid;
    let variables = key_variables(&files, &config.providers);
    let is_known = |id: &str| {
        let listed = files.iter().any(|file| file.id.as_deref() == Some(id));
        listed || config.providers.contains_key(id)
    };
    let mut wrong = settings.overreaching(is_known, |name| variables.contains(name));
    let mut files = settings.over(files, &config.providers);
    let (keys, mut faults) = provider_keys(&files, &BTreeMap::new());
    let mut tls = HashMap::new();
    for file in &files {
        let id = file.id.clone().unwrap_or_default();
        match pem::own_tls(file) {
            Ok(own) => tls.extend(own.map(|own| (id, own))),
            Err(why) => faults.push(format!("providers.{id}.{why}")),
        }
    }
    let mut models = config.models.clone();
    models.extend(settings.models.values().cloned());
    wrong.extend(settings.lay_prices(&mut files, &mut models).err().into_iter().flatten());
    let mut fallbacks = config.routes.fallback.clone();
    let said = settings.routes.iter();
    fallbacks.extend(said.map(|(model, route)| (model.clone(), route.fallback.clone())));
    let loaded = load(Sources {
        files,
        providers: BTreeMap::new(),
        models,
        fallbacks,
        keys,
        tls,
        aws: aws_credential(),
        // Only what an address may name: nothing of it is secret.
        variables: std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
            .filter(|(name, _)| {
                ["AWS_", "AZURE_", "GOOGLE_", "VERTEX_", "OPTIMUX_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .map(|(name, text)| (name, text.trim().to_owned()))
            .collect(),
        unpriced: config.catalogue.unpriced,
        first_id,
    });
    let mut lines: Vec<String> = faults;
    lines.extend(wrong.iter().map(ToString::to_string));
    if let Ok(catalogue) = &loaded {
        let named = settings.routes.iter().flat_map(|(model, route)| {
            std::iter::once(model).chain(&route.fallback).map(move |name| (model, name))
        });
        let missing = named.filter(|(_, name)| catalogue.model(name).is_none());
        lines.extend(
            missing.map(|(model, name)| format!("route '{model}': there is no model '{name}'")),
        );
    }
    if lines.is_empty() {
        return loaded;
    }
    lines.extend(loaded.err().map(|why| why.to_string()));
    Err(lines.join("\n").into())
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

/// The rules of what may be said, ready to be applied.
///
/// # Errors
/// Every fault of theirs, and every name of a plan's that is none of theirs, a line each.
pub fn guardrails(config: &Config) -> Result<Option<Arc<Guardrails>>, Failure> {
    let runtime = Handle::try_current().ok();
    let made = Guardrails::of(&config.guardrails, &egress(config), runtime.as_ref());
    let lines = |faults: Vec<String>| Failure::from(faults.join("\n"));
    let made = made.map_err(|all| lines(all.iter().map(ToString::to_string).collect()))?;
    let missing = config.plans.iter().flat_map(|(plan, entry)| {
        let demanded = entry.guardrails.iter().flatten();
        let known = |name: &&String| made.as_ref().is_some_and(|all| all.has(name));
        demanded
            .filter(move |name| !known(name))
            .map(move |name| format!("plans.{plan}.guardrails: there is no guardrail '{name}'"))
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() { Ok(made) } else { Err(lines(missing)) }
}

fn load(sources: Sources) -> Result<Catalogue, Failure> {
    catalogue::load(sources).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n").into()
    })
}

/// The whole catalogue, served by the simulated provider at `base`: each model as at its maker, in
/// all the dialects that it speaks, with its facts and its prices.
pub fn simulated(
    base: &str,
    config: &Config,
    files: Vec<ProviderEntry>,
    first_id: usize,
) -> Result<Catalogue, Failure> {
    let fallbacks = config.routes.fallback.clone();
    let mut sources = Sources { fallbacks, first_id, ..Sources::default() };
    let mut places: HashMap<String, (bool, DeploymentEntry)> = HashMap::new();
    // What the first who has a price for it takes: files come in the order of their names.
    let mut prices: HashMap<String, Vec<PriceEntry>> = HashMap::new();
    // For what is had only in a way that the simulated provider does not speak.
    let mut anywhere = ProviderEntry::default();
    for file in &files {
        for one in &file.deployments {
            let known = prices.entry(one.model.clone()).or_default();
            if known.is_empty() {
                known.clone_from(&one.prices);
            }
        }
        let id = file.id.clone().unwrap_or_default();
        let Some(stand_in) = stand_in(base, &id, file) else {
            anywhere.families.extend(file.families.iter().cloned());
            continue;
        };
        let provider = stand_in.id.clone().unwrap_or_default();
        sources.files.push(stand_in);
        for deployment in &file.deployments {
            let own = file.models.iter().any(|model| model.id == deployment.model);
            let known = places.get(&deployment.model);
            if known.is_some_and(|(maker, _)| *maker || !own) {
                continue;
            }
            let place = DeploymentEntry {
                provider: provider.clone(),
                dialects: deployment.dialects.clone(),
                usd_per_million: deployment.usd_per_million,
                usd_per_image: deployment.usd_per_image,
                prices: deployment.prices.clone(),
                facts: deployment.facts.clone(),
                ..DeploymentEntry::default()
            };
            places.insert(deployment.model.clone(), (own, place));
        }
    }
    sources.files.extend(stand_in(base, "any", &anywhere));
    for mut model in files.into_iter().flat_map(|file| file.models) {
        let place = places.remove(&model.id).map(|(_, place)| place);
        let elsewhere =
            || DeploymentEntry { provider: "sim-any".to_owned(), ..DeploymentEntry::default() };
        let mut place = place.unwrap_or_else(elsewhere);
        if place.prices.is_empty() && place.usd_per_million.is_none() {
            place.prices = prices.remove(&model.id).unwrap_or_default();
        }
        model.deployments = Some(vec![place]);
        sources.models.push(model);
    }
    load(sources)
}

/// The simulated provider in a provider's place; none for one that speaks what it does not.
fn stand_in(base: &str, id: &str, file: &ProviderEntry) -> Option<ProviderEntry> {
    let all = file.dialects.clone().or_else(|| file.dialect.map(|one| vec![one]));
    let mut dialects = all.unwrap_or_else(|| vec![Protocol::Dialect(Dialect::OpenAiChat)]);
    dialects.retain(|one| *one != Protocol::Bedrock);
    if dialects.is_empty() {
        return None;
    }
    Some(ProviderEntry {
        id: Some(format!("sim-{id}")),
        name: Some("Simulated provider".to_owned()),
        base_url: Some(format!("{base}/at/{id}")),
        dialects: Some(dialects),
        enabled: Some(true),
        max_tokens_only: file.max_tokens_only,
        facts: file.facts.clone(),
        quirks: file.quirks.clone(),
        families: file.families.clone(),
        usd_per_million: file.usd_per_million,
        ..ProviderEntry::default()
    })
}
