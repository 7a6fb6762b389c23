//! Providers that are enabled, and what waits to be served there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::entry::{FileDeployment, ProviderEntry, prices_of};
use super::facts::FactsEntry;
use super::fault::CatalogueFault;
use super::price::PriceEntry;
use super::provider::Surface;
use super::{ApiKey, Auth, AwsCredential, DataPolicy, OwnTls, Provider, Quirk};
use crate::wire::vocab::{Dialect, Protocol};
use crate::wire::{embeddings, images};

/// A deployment at an enabled provider, not yet joined with its model.
pub(super) struct UnjoinedDeployment {
    pub provider: Arc<Provider>,
    pub name: String,
    pub other_names: Vec<String>,
    pub protocols: Vec<Protocol>,
    pub rank: (bool, u32),
    pub prices: Vec<PriceEntry>,
    pub regional: Option<f64>,
    /// Beyond those of the model: the provider's, then its own.
    pub facts: FactsEntry,
    pub ends: Option<String>,
    pub max_output_tokens: Option<u64>,
    pub quirks: Vec<Quirk>,
    pub weight: f64,
    /// Its own alone.
    pub data: DataPolicy,
}

impl UnjoinedDeployment {
    pub fn of_file(provider: &Arc<Provider>, file: &ProviderEntry, own: FileDeployment) -> Self {
        let mut facts = file.facts.clone();
        facts.lay(&own.facts);
        let mut prices = prices_of(own.usd_per_million.as_ref(), own.usd_per_image, own.prices);
        if prices.is_empty()
            && let Some(rates) = &file.usd_per_million
        {
            prices = prices_of(Some(rates), None, Vec::new());
        }
        let mut place = Self {
            provider: Arc::clone(provider),
            name: own.name,
            other_names: own.other_names,
            protocols: protocols(provider, own.dialects.as_deref()),
            rank: (own.retired, own.preference),
            prices,
            regional: own
                .region_uplift
                .get("us")
                .or_else(|| own.region_uplift.values().next())
                .copied(),
            facts,
            ends: own.ends,
            max_output_tokens: own.max_output_tokens,
            quirks: file.quirks.clone(),
            weight: own.weight.filter(|weight| *weight >= 0.0).unwrap_or(1.0),
            data: own.data.unwrap_or_default(),
        };
        // Who keeps data in a region pays what the provider asks for that, in every request.
        if let Some(factor) = file.region.as_ref().and_then(|region| own.region_uplift.get(region))
        {
            let prices = place.prices.into_iter();
            place.prices = prices.map(|price| price.scaled(Some(*factor))).collect();
            place.regional = None;
        }
        let chosen = file.variant.as_deref();
        for variant in own.variants {
            if Some(variant.region.as_str()) == chosen {
                place.other_names.push(std::mem::replace(&mut place.name, variant.name));
                place.prices =
                    place.prices.into_iter().map(|price| price.scaled(variant.times)).collect();
                place.ends = variant.ends.or(place.ends);
            } else {
                place.other_names.push(variant.name);
            }
        }
        place
    }
}

/// In what a deployment can be asked: what its provider speaks at its own address, unless it says
/// otherwise. A dialect with an address of its own (Claude's at Vertex) is for those that say so.
fn protocols(provider: &Provider, own: Option<&[Protocol]>) -> Vec<Protocol> {
    let spoken = || provider.surfaces.iter();
    let kept: Vec<Protocol> = spoken()
        .filter(|surface| match own {
            Some(own) => own.contains(&surface.protocol),
            None => surface.base_url == provider.base_url,
        })
        .map(|surface| surface.protocol)
        .collect();
    if kept.is_empty() { spoken().map(|surface| surface.protocol).collect() } else { kept }
}

/// The files with the configuration's tables laid over them, and the tables that add a provider.
pub(super) fn merged(
    files: Vec<ProviderEntry>,
    patches: &BTreeMap<String, ProviderEntry>,
) -> Vec<ProviderEntry> {
    let mut all = files;
    for (id, patch) in patches {
        let known = all.iter_mut().find(|file| file.id.as_deref() == Some(id));
        match known {
            Some(file) => lay(file, patch),
            None => all.push(ProviderEntry { id: Some(id.clone()), ..patch.clone() }),
        }
    }
    all
}

fn lay(file: &mut ProviderEntry, patch: &ProviderEntry) {
    // A table for a provider is a wish to use it.
    file.enabled = patch.enabled.or(file.enabled.map(|_| true));
    // A local server in a provider's place needs no key unless one is named, and speaks there what
    // it speaks at home.
    if patch.base_url.is_some() {
        if patch.key_variables().next().is_none() && patch.key_files().next().is_none() {
            file.enabled = file.enabled.or(Some(true));
        }
        // What is spoken elsewhere is not spoken there.
        let elsewhere = std::mem::take(&mut file.dialect_urls);
        if let Some(dialects) = &mut file.dialects {
            dialects
                .retain(|one| !elsewhere.contains_key(one) || patch.dialect_urls.contains_key(one));
        }
    }
    if patch.dialect.is_some() {
        file.dialects = None;
    }
    macro_rules! replace {
        ($($member:ident),*) => {$(
            if patch.$member.is_some() {
                file.$member.clone_from(&patch.$member);
            }
        )*};
    }
    replace!(name, base_url, dialect, dialects, auth, api_key_env, api_key_file, api_keys);
    replace!(max_tokens_only, ca_file, client_cert_file, client_key_file);
    replace!(embeddings, images, region, variant, usd_per_million, timeouts, data);
    file.facts.lay(&patch.facts);
    file.dialect_urls.extend(patch.dialect_urls.clone());
    file.headers.extend(patch.headers.clone());
    file.quirks.extend(patch.quirks.clone());
    file.families.extend(patch.families.clone());
    file.models.extend(patch.models.clone());
    file.deployments.extend(patch.deployments.clone());
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
    Ok(whole.trim_end_matches('/').to_owned())
}

/// A provider as its entry says; `None` for one that is not enabled.
pub(super) fn enabled(
    id: &str,
    file: &ProviderEntry,
    (keys, tls): (Vec<ApiKey>, Option<Arc<OwnTls>>),
    aws: Option<AwsCredential>,
    variables: &HashMap<String, String>,
) -> Result<Option<Provider>, CatalogueFault> {
    let named_key = file.key_variables().next().is_some() || file.key_files().next().is_some();
    let aws = aws.filter(|_| file.auth == Some(Auth::Aws));
    let enabled = file.enabled.unwrap_or(!keys.is_empty() || aws.is_some() || !named_key);
    if !enabled {
        return Ok(None);
    }
    let template = file
        .base_url
        .as_deref()
        .ok_or_else(|| CatalogueFault(format!("providers.{id}: base_url is missing")))?;
    let address = |template: &str| -> Result<Option<String>, CatalogueFault> {
        match filled(template, variables) {
            Ok(url) if url.starts_with("https://") || url.starts_with("http://") => Ok(Some(url)),
            Ok(url) => Err(CatalogueFault(format!(
                "providers.{id}: base_url '{url}' is not an http(s) URL"
            ))),
            // Nobody has said where; unless it was asked for by name, it is not asked at all.
            Err(_) if file.enabled.is_none() => Ok(None),
            Err(name) => Err(CatalogueFault(format!(
                "providers.{id}: base_url needs {name} in the environment"
            ))),
        }
    };
    let Some(base_url) = address(template)? else { return Ok(None) };
    let spoken = match (&file.dialects, file.dialect) {
        (Some(all), _) if !all.is_empty() => all.clone(),
        (_, Some(one)) => vec![one],
        _ => vec![Protocol::Dialect(Dialect::OpenAiChat)],
    };
    let mut surfaces = Vec::with_capacity(spoken.len());
    for protocol in &spoken {
        let base_url = match file.dialect_urls.get(protocol) {
            None => base_url.clone(),
            Some(template) => match address(template)? {
                Some(url) => url,
                None => return Ok(None),
            },
        };
        surfaces.push(Surface { protocol: *protocol, base_url });
    }
    let region = file.region.clone().or_else(|| variables.get("AWS_REGION").cloned());
    let dialect = match spoken.first() {
        Some(Protocol::Dialect(dialect)) => Some(*dialect),
        Some(Protocol::Bedrock) | None => None,
    };
    let auth = file.auth.unwrap_or(match dialect {
        Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => Auth::Bearer,
        Some(Dialect::Anthropic) => Auth::XApiKey,
        Some(Dialect::Gemini) => Auth::XGoogApiKey,
        None => Auth::Aws,
    });
    let mut headers: Vec<(String, String)> =
        file.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if spoken.contains(&Protocol::Dialect(Dialect::Anthropic))
        && !file.headers.contains_key("anthropic-version")
    {
        headers.push(("anthropic-version".to_owned(), "2023-06-01".to_owned()));
    }
    Ok(Some(Provider {
        id: id.into(),
        name: file.name.clone().unwrap_or_else(|| id.to_owned()),
        base_url,
        surfaces,
        auth,
        keys,
        tls,
        aws,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        headers,
        embeddings: file.embeddings.or(match dialect {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => {
                Some(embeddings::EmbeddingsForm::Openai)
            }
            Some(Dialect::Gemini) => Some(embeddings::EmbeddingsForm::Gemini),
            Some(Dialect::Anthropic) | None => None,
        }),
        images: file.images.or(match dialect {
            Some(Dialect::OpenAiChat | Dialect::OpenAiResponses) => {
                Some(images::ImagesForm::Openai)
            }
            Some(Dialect::Gemini) => Some(images::ImagesForm::Gemini),
            Some(Dialect::Anthropic) | None => None,
        }),
        max_tokens_only: file.max_tokens_only.unwrap_or(false),
        timeouts: file.timeouts.unwrap_or_default(),
        data: file.data.clone().unwrap_or_default(),
    }))
}
