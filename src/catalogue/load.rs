//! From files and configuration to a [`Catalogue`], with every fault found and named.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::model::{Deployment, DeploymentId, Modality, Mode, Model, Tier};
use super::price::PriceEntry;
use super::{Auth, AwsCredential, Capabilities, Capability, Catalogue, Provider, Quirk};
use crate::wire::vocab::{Dialect, Protocol};
use crate::wire::{embeddings, images};

include!(concat!(env!("OUT_DIR"), "/provider_files.rs"));

/// A file of `providers/`, or a `[providers.ID]` table of the configuration, where every member
/// overrides the file's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    pub id: Option<String>,
    pub name: Option<String>,
    pub base_url: Option<String>,
    pub dialect: Option<Protocol>,
    pub auth: Option<Auth>,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// For `auth = "aws"`; from `AWS_REGION` if not given.
    pub region: Option<String>,
    /// A file that holds the key.
    pub api_key_file: Option<String>,
    pub enabled: Option<bool>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub max_tokens_only: Option<bool>,
    pub embeddings: Option<embeddings::Form>,
    pub images: Option<images::Form>,
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    #[serde(default)]
    pub models: Vec<ModelEntry>,
    #[serde(default)]
    pub deployments: Vec<FileDeployment>,
}

/// A `[[models]]` entry of a file or of the configuration; there, what is given overrides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    pub id: String,
    pub aliases: Option<Vec<String>>,
    pub owned_by: Option<String>,
    pub tier: Option<Tier>,
    pub mode: Option<Mode>,
    pub context_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub input: Option<Vec<Modality>>,
    pub output: Option<Vec<Modality>>,
    pub capabilities: Option<Vec<Capability>>,
    pub fallback: Option<Vec<String>>,
    pub images: Option<images::Rules>,
    /// Replaces the catalogue's deployments of the model.
    pub deployments: Option<Vec<DeploymentEntry>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentEntry {
    pub provider: String,
    /// The provider's own name for it; the model's id if not given.
    pub model: Option<String>,
    pub usd_per_million: Option<PriceEntry>,
    /// For each picture, in place of what its tokens would cost.
    pub usd_per_image: Option<f64>,
}

/// A `[[deployments]]` entry of a provider's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDeployment {
    pub model: String,
    pub name: String,
    #[serde(default)]
    pub preference: u32,
    /// The provider has announced its end: tried last.
    #[serde(default)]
    pub retired: bool,
    #[serde(default)]
    pub usd_per_million: PriceEntry,
    /// For each picture, in place of what its tokens would cost.
    pub usd_per_image: Option<f64>,
}

/// Everything a catalogue is made from.
#[derive(Debug, Default)]
pub struct Sources {
    pub files: Vec<ProviderEntry>,
    /// `[providers.*]`
    pub providers: BTreeMap<String, ProviderEntry>,
    /// `[[models]]`
    pub models: Vec<ModelEntry>,
    /// `[routes.fallback]`
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// Keys by provider id, read from the environment or files by the composition root.
    pub keys: HashMap<String, SecretString>,
    /// What requests to AWS are signed with.
    pub aws: Option<AwsCredential>,
    /// What stands for `${NAME}` in an address.
    pub variables: HashMap<String, String>,
}

/// One thing wrong with the catalogue, with the remedy in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// The files that the binary was built with.
///
/// # Errors
/// A file that does not parse, which a test of this room would have found.
pub fn builtin() -> Result<Vec<ProviderEntry>, Fault> {
    PROVIDER_FILES
        .iter()
        .map(|(name, text)| {
            toml::from_str(text).map_err(|why| Fault(format!("providers/{name}: {why}")))
        })
        .collect()
}

struct Waiting {
    provider: Arc<Provider>,
    name: String,
    rank: (bool, u32),
    price: PriceEntry,
    quirks: Vec<Quirk>,
}

/// Builds the catalogue of enabled providers.
///
/// # Errors
/// All faults at once.
pub fn load(mut sources: Sources) -> Result<Catalogue, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut entries: BTreeMap<String, ModelEntry> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut waiting: HashMap<String, Vec<Waiting>> = HashMap::new();
    let mut providers: HashMap<String, (Arc<Provider>, Vec<Quirk>)> = HashMap::new();

    for file in merged(std::mem::take(&mut sources.files), &sources.providers) {
        let id = file.id.clone().unwrap_or_default();
        for model in &file.models {
            order.push(model.id.clone());
            entries.insert(model.id.clone(), model.clone());
        }
        let ours = Ours {
            key: sources.keys.remove(&id),
            aws: sources.aws.clone(),
            variables: &sources.variables,
        };
        let provider = match provider(&id, &file, ours) {
            Ok(Some(provider)) => Arc::new(provider),
            Ok(None) => continue,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        for deployment in file.deployments {
            waiting.entry(deployment.model).or_default().push(Waiting {
                provider: Arc::clone(&provider),
                name: deployment.name,
                rank: (deployment.retired, deployment.preference),
                price: deployment.usd_per_million.with_image(deployment.usd_per_image),
                quirks: file.quirks.clone(),
            });
        }
        providers.insert(id, (provider, file.quirks));
    }
    for patch in sources.models {
        if let Some(list) = &patch.deployments {
            let mut replaced = Vec::new();
            for (position, deployment) in list.iter().enumerate() {
                match providers.get(&deployment.provider) {
                    Some((provider, quirks)) => replaced.push(Waiting {
                        provider: Arc::clone(provider),
                        name: deployment.model.clone().unwrap_or_else(|| patch.id.clone()),
                        rank: (false, u32::try_from(position).unwrap_or(u32::MAX)),
                        price: deployment
                            .usd_per_million
                            .unwrap_or_default()
                            .with_image(deployment.usd_per_image),
                        quirks: quirks.clone(),
                    }),
                    None if sources.providers.contains_key(&deployment.provider)
                        || PROVIDER_FILES.iter().any(|(name, _)| {
                            name.strip_suffix(".toml") == Some(deployment.provider.as_str())
                        }) => {}
                    None => faults.push(Fault(format!(
                        "models '{}': there is no provider '{}'; add [providers.{}] or correct the name",
                        patch.id, deployment.provider, deployment.provider
                    ))),
                }
            }
            waiting.insert(patch.id.clone(), replaced);
        }
        if !entries.contains_key(&patch.id) {
            order.push(patch.id.clone());
        }
        let entry = entries.entry(patch.id.clone()).or_default();
        overlay(entry, patch);
    }

    let mut catalogue = Catalogue::default();
    for id in order {
        let (Some(entry), Some(mut places)) = (entries.remove(&id), waiting.remove(&id)) else {
            continue;
        };
        if places.is_empty() {
            continue;
        }
        places.sort_by_key(|place| place.rank);
        add_model(&mut catalogue, entry, places, &mut faults);
    }
    for (model, chain) in sources.fallbacks {
        catalogue
            .fallbacks
            .insert(model.into(), chain.into_iter().map(String::into_boxed_str).collect());
    }
    if faults.is_empty() { Ok(catalogue) } else { Err(faults) }
}

/// The files with the configuration's tables laid over them, and the tables that add a provider.
fn merged(
    files: Vec<ProviderEntry>,
    patches: &BTreeMap<String, ProviderEntry>,
) -> Vec<ProviderEntry> {
    let mut all = files;
    for (id, patch) in patches {
        let known = all.iter_mut().find(|file| file.id.as_deref() == Some(id));
        match known {
            Some(file) => {
                // A table for a provider is a wish to use it.
                file.enabled = patch.enabled.or(file.enabled.map(|_| true));
                // A local server in a provider's place needs no key unless one is named.
                if patch.base_url.is_some()
                    && patch.api_key_env.is_none()
                    && patch.api_key_file.is_none()
                {
                    file.enabled = file.enabled.or(Some(true));
                }
                macro_rules! lay {
                    ($($member:ident),*) => {$(
                        if patch.$member.is_some() {
                            file.$member.clone_from(&patch.$member);
                        }
                    )*};
                }
                lay!(name, base_url, dialect, auth, api_key_env, api_key_file, max_tokens_only);
                lay!(embeddings, images, region);
                file.headers.extend(patch.headers.clone());
                file.quirks.extend(patch.quirks.clone());
                file.models.extend(patch.models.clone());
                file.deployments.extend(patch.deployments.clone());
            }
            None => all.push(ProviderEntry { id: Some(id.clone()), ..patch.clone() }),
        }
    }
    all
}

/// What the composition root found for a provider.
struct Ours<'a> {
    key: Option<SecretString>,
    aws: Option<AwsCredential>,
    variables: &'a HashMap<String, String>,
}

/// An address with its `${NAME}`s written out; the first name that nothing stands for.
fn filled(template: &str, variables: &HashMap<String, String>) -> Result<String, String> {
    let mut whole = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        whole.push_str(before);
        whole.push_str(variables.get(name).ok_or_else(|| name.to_owned())?);
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

/// `None` for a provider that is not enabled.
fn provider(id: &str, file: &ProviderEntry, ours: Ours<'_>) -> Result<Option<Provider>, Fault> {
    let named_key = file.api_key_env.is_some() || file.api_key_file.is_some();
    let aws = ours.aws.filter(|_| file.auth == Some(Auth::Aws));
    let key = ours.key;
    let enabled = file.enabled.unwrap_or(key.is_some() || aws.is_some() || !named_key);
    if !enabled {
        return Ok(None);
    }
    let template = file
        .base_url
        .as_deref()
        .ok_or_else(|| Fault(format!("providers.{id}: base_url is missing")))?;
    let base_url = match filled(template, ours.variables) {
        Ok(base_url) => base_url.trim_end_matches('/').to_owned(),
        // Nobody has said where; unless it was asked for by name, it is not asked at all.
        Err(_) if file.enabled.is_none() => return Ok(None),
        Err(name) => {
            return Err(Fault(format!("providers.{id}: base_url needs {name} in the environment")));
        }
    };
    let region = file.region.clone().or_else(|| ours.variables.get("AWS_REGION").cloned());
    if !(base_url.starts_with("https://") || base_url.starts_with("http://")) {
        return Err(Fault(format!("providers.{id}: base_url '{base_url}' is not an http(s) URL")));
    }
    let protocol = file.dialect.unwrap_or(Protocol::Dialect(Dialect::OpenAiChat));
    let dialect = match protocol {
        Protocol::Dialect(dialect) => Some(dialect),
        Protocol::Bedrock => None,
    };
    let auth = file.auth.unwrap_or(match dialect {
        Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => Auth::Bearer,
        Some(Dialect::Anthropic) => Auth::XApiKey,
        Some(Dialect::Gemini) => Auth::XGoogApiKey,
        None => Auth::Aws,
    });
    let mut headers: Vec<(String, String)> =
        file.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if dialect == Some(Dialect::Anthropic) && !file.headers.contains_key("anthropic-version") {
        headers.push(("anthropic-version".to_owned(), "2023-06-01".to_owned()));
    }
    Ok(Some(Provider {
        id: id.into(),
        name: file.name.clone().unwrap_or_else(|| id.to_owned()),
        base_url,
        protocol,
        auth,
        api_key: key,
        aws,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        headers,
        embeddings: file.embeddings.or(match dialect {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => Some(embeddings::Form::Openai),
            Some(Dialect::Gemini) => Some(embeddings::Form::Gemini),
            Some(Dialect::Anthropic) | None => None,
        }),
        images: file.images.or(match dialect {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => Some(images::Form::Openai),
            Some(Dialect::Gemini) => Some(images::Form::Gemini),
            Some(Dialect::Anthropic) | None => None,
        }),
        max_tokens_only: file.max_tokens_only.unwrap_or(false),
    }))
}

fn overlay(entry: &mut ModelEntry, patch: ModelEntry) {
    macro_rules! lay {
        ($($member:ident),*) => {$(
            if patch.$member.is_some() {
                entry.$member = patch.$member;
            }
        )*};
    }
    entry.id = patch.id;
    lay!(aliases, owned_by, tier, mode, context_tokens, max_output_tokens, input, output);
    lay!(capabilities, fallback, images, deployments);
}

fn add_model(
    catalogue: &mut Catalogue,
    entry: ModelEntry,
    places: Vec<Waiting>,
    faults: &mut Vec<Fault>,
) {
    let capabilities: Capabilities = match entry.capabilities {
        Some(list) => list.into_iter().collect(),
        // A model that nobody described can be asked for anything that text models do.
        None => [
            Capability::Tools,
            Capability::ToolChoice,
            Capability::JsonSchema,
            Capability::Vision,
            Capability::System,
            Capability::Reasoning,
        ]
        .into_iter()
        .collect(),
    };
    let mut deployments = Vec::with_capacity(places.len());
    for place in places {
        let Some(price) = place.price.read() else {
            faults.push(Fault(format!(
                "models '{}' at '{}': a price is negative or not a number",
                entry.id, place.provider.id
            )));
            continue;
        };
        let id = DeploymentId(catalogue.deployments);
        catalogue.deployments += 1;
        let quirks = place
            .quirks
            .into_iter()
            .filter(|quirk| quirk.when.is_none_or(|needed| capabilities.has(needed)))
            .collect();
        deployments.push(Arc::new(Deployment {
            id,
            provider: place.provider,
            name: place.name,
            price,
            quirks,
        }));
    }
    let Some(first) = deployments.first() else { return };
    let boxed = |list: Option<Vec<String>>| -> Vec<Box<str>> {
        list.unwrap_or_default().into_iter().map(String::into_boxed_str).collect()
    };
    let model = Model {
        owned_by: entry.owned_by.unwrap_or_else(|| first.provider.id.to_string()),
        id: entry.id.into(),
        aliases: boxed(entry.aliases),
        tier: entry.tier.unwrap_or(Tier::Mid),
        mode: entry.mode.unwrap_or_default(),
        context_tokens: entry.context_tokens.unwrap_or(128_000),
        max_output_tokens: entry.max_output_tokens.unwrap_or(4_096),
        input: entry.input.unwrap_or_else(|| vec![Modality::Text]),
        output: entry.output.unwrap_or_else(|| vec![Modality::Text]),
        capabilities,
        fallback: boxed(entry.fallback),
        images: entry.images.unwrap_or_default(),
        deployments,
    };
    let index = catalogue.models.len();
    for name in std::iter::once(&model.id).chain(&model.aliases) {
        if catalogue.by_name.insert(name.clone(), index).is_some() {
            faults.push(Fault(format!("the model name '{name}' is used twice")));
        }
    }
    catalogue.models.push(Arc::new(model));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(config: &str) -> Sources {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            providers: BTreeMap<String, ProviderEntry>,
            #[serde(default)]
            models: Vec<ModelEntry>,
        }
        let config: Config = toml::from_str(config).unwrap();
        Sources {
            files: builtin().unwrap(),
            providers: config.providers,
            models: config.models,
            ..Sources::default()
        }
    }

    #[test]
    fn every_built_in_file_loads_with_keys_for_all() {
        let mut sources = sources("");
        for file in &sources.files {
            let id = file.id.clone().unwrap();
            sources.keys.insert(id, SecretString::from("k"));
        }
        let catalogue = load(sources).unwrap();
        assert!(catalogue.models().len() >= 55, "{}", catalogue.models().len());
        let providers: std::collections::HashSet<_> = catalogue
            .models()
            .iter()
            .flat_map(|model| &model.deployments)
            .map(|deployment| deployment.provider.id.clone())
            .collect();
        assert!(providers.len() >= 12, "{providers:?}");
        for name in ["deepseek-v3", "claude-3.5-haiku", "gpt-4.1-mini", "claude-opus-4", "o4-mini"]
        {
            assert!(catalogue.model(name).is_some(), "{name}");
        }
        assert_eq!(&*catalogue.model("claude-sonnet-4-20250514").unwrap().id, "claude-sonnet-4");
    }

    #[test]
    fn without_keys_nothing_is_enabled() {
        assert!(load(sources("")).unwrap().models().is_empty());
    }

    #[test]
    fn configuration_overrides_and_adds() {
        let catalogue = load(sources(
            r#"
            [providers.openai]
            base_url = "http://127.0.0.1:1/v1/"
            [providers.mine]
            base_url = "http://127.0.0.1:2"
            [[models]]
            id = "house"
            deployments = [{ provider = "mine", usd_per_million = { input = 1.0 } }, { provider = "openai", model = "gpt-4o" }]
            "#,
        ))
        .unwrap();
        let house = catalogue.model("house").unwrap();
        assert_eq!(house.deployments.len(), 2);
        assert_eq!(house.deployments[0].name, "house");
        assert_eq!(
            catalogue.model("gpt-4o").unwrap().deployments[0].provider.base_url,
            "http://127.0.0.1:1/v1"
        );
    }

    #[test]
    fn a_deployment_at_an_unknown_provider_is_a_fault() {
        let faults = load(sources(
            r#"
            [[models]]
            id = "m"
            deployments = [{ provider = "nowhere" }]
            "#,
        ))
        .unwrap_err();
        assert!(faults[0].0.contains("there is no provider 'nowhere'"), "{faults:?}");
    }
}
