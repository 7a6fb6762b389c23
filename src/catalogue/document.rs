//! A document that changes the catalogue: a published list, or entries of our own in JSON or TOML.
//! It says what models there are, where, at what price and with which facts. Where a provider is
//! and what opens it is said by the files and the configuration alone.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::entry::{FileDeployment, ModelEntry, ProviderEntry};
use super::facts::Family;
use super::fault::CatalogueFault;
use super::load::{Sources, load};
use super::published::{self, Extent, Part};
use super::text;

/// What a document says, read and found to be well formed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// It says everything: what it does not name is gone.
    pub complete: bool,
    pub providers: Vec<RevisedProvider>,
}

/// Families, models and deployments that a document gives one provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RevisedProvider {
    pub id: String,
    pub families: Vec<Family>,
    pub models: Vec<ModelEntry>,
    pub deployments: Vec<FileDeployment>,
}

/// Entries of our own, before each is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    #[serde(default)]
    complete: bool,
    providers: Vec<OwnProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnProvider {
    id: String,
    #[serde(default)]
    families: Vec<Value>,
    #[serde(default)]
    models: Vec<Value>,
    #[serde(default)]
    deployments: Vec<Value>,
}

impl From<Part> for RevisedProvider {
    fn from(part: Part) -> Self {
        Self {
            id: part.provider,
            families: Vec::new(),
            models: part.models,
            deployments: part.deployments,
        }
    }
}

/// Reads a document for the providers of `files`.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read(document: &str, files: &[ProviderEntry]) -> Result<Document, Vec<CatalogueFault>> {
    let whole = |why: String| vec![CatalogueFault(format!("the document: {why}"))];
    if !document.trim_start().starts_with('{') {
        let own: Value = text::read(document).map_err(|why| whole(why.to_string()))?;
        return of_own(own, files);
    }
    if is_published(document) {
        let list = published::read(document)?;
        let converted = published::convert(&list, files, Extent::All);
        if !converted.faults.is_empty() {
            return Err(converted.faults);
        }
        let providers = converted.parts.into_iter().map(RevisedProvider::from).collect();
        return Ok(Document { complete: true, providers });
    }
    let own = serde_json::from_str(document).map_err(|why| whole(why.to_string()))?;
    of_own(own, files)
}

fn is_published(document: &str) -> bool {
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "schema_version")]
        _version: u64,
    }
    serde_json::from_str::<Version>(document).is_ok()
}

fn of_own(own: Value, files: &[ProviderEntry]) -> Result<Document, Vec<CatalogueFault>> {
    let own: Own = serde_json::from_value(own)
        .map_err(|why| vec![CatalogueFault(format!("the document: {why}"))])?;
    let mut faults = Vec::new();
    let mut providers = Vec::with_capacity(own.providers.len());
    for one in own.providers {
        if !files.iter().any(|file| file.id.as_ref() == Some(&one.id)) {
            faults.push(CatalogueFault(format!(
                "providers.{}: there is no such provider; a document adds none",
                one.id
            )));
            continue;
        }
        let mut reading = Reading { provider: &one.id, faults: &mut faults };
        providers.push(RevisedProvider {
            families: reading.all("families", one.families),
            models: reading.all("models", one.models),
            deployments: reading.all("deployments", one.deployments),
            id: one.id.clone(),
        });
    }
    if faults.is_empty() { Ok(Document { complete: own.complete, providers }) } else { Err(faults) }
}

struct Reading<'a> {
    provider: &'a str,
    faults: &'a mut Vec<CatalogueFault>,
}

impl Reading<'_> {
    fn all<T: DeserializeOwned>(&mut self, what: &str, list: Vec<Value>) -> Vec<T> {
        let mut read = Vec::with_capacity(list.len());
        for (index, one) in list.into_iter().enumerate() {
            let name = ["id", "name"].iter().find_map(|member| one.get(member)?.as_str());
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            // It is a promise of the provider's to whoever runs this, and no fact of the model.
            if one.get("data").is_some() {
                self.faults.push(CatalogueFault(format!(
                    "providers.{}.{what}[{index}]{name}: data: what a provider does with what it is sent \
                     is for the configuration to say",
                    self.provider
                )));
                continue;
            }
            match serde_json::from_value(one) {
                Ok(entry) => read.push(entry),
                Err(why) => self.faults.push(CatalogueFault(format!(
                    "providers.{}.{what}[{index}]{name}: {why}",
                    self.provider
                ))),
            }
        }
        read
    }
}

/// Lays a document over the files.
#[must_use]
pub fn lay(mut files: Vec<ProviderEntry>, document: Document) -> Vec<ProviderEntry> {
    if document.complete {
        for file in &mut files {
            file.models.clear();
            file.deployments.clear();
        }
    } else {
        let said: HashSet<&str> = document
            .providers
            .iter()
            .flat_map(|one| one.models.iter().map(|model| model.id.as_str()))
            .collect();
        for file in &mut files {
            file.models.retain(|model| !said.contains(model.id.as_str()));
        }
    }
    for one in document.providers {
        let Some(file) = files.iter_mut().find(|file| file.id.as_ref() == Some(&one.id)) else {
            continue;
        };
        let said: HashSet<&str> = one.deployments.iter().map(|one| one.name.as_str()).collect();
        file.deployments.retain(|known| !said.contains(known.name.as_str()));
        file.families.extend(one.families);
        file.models.extend(one.models);
        file.deployments.extend(one.deployments);
    }
    files
}

/// Everything that keeps these files from being a catalogue, whichever providers are enabled.
#[must_use]
pub fn faults(files: &[ProviderEntry]) -> Vec<CatalogueFault> {
    let mut faults = Vec::new();
    let names: HashSet<&str> = files
        .iter()
        .flat_map(|file| &file.models)
        .flat_map(|model| std::iter::once(&model.id).chain(model.aliases.iter().flatten()))
        .map(String::as_str)
        .collect();
    for file in files {
        let provider = file.id.as_deref().unwrap_or_default();
        for model in &file.models {
            if let Some(name) = model.replacement.as_deref().filter(|name| !names.contains(name)) {
                faults.push(CatalogueFault(format!(
                    "model '{}' at '{provider}': replacement: there is no model '{name}'",
                    model.id
                )));
            }
        }
        for one in &file.deployments {
            if !names.contains(one.model.as_str()) {
                faults.push(CatalogueFault(format!(
                    "deployment '{}' at '{provider}': there is no model '{}'",
                    one.name, one.model
                )));
            }
        }
    }
    let files = files.iter().map(|file| ProviderEntry {
        // Where they are is not in question, and needs no environment.
        base_url: Some("https://provider.invalid".to_owned()),
        dialect_urls: std::collections::BTreeMap::new(),
        enabled: Some(true),
        ..file.clone()
    });
    let sources = Sources { files: files.collect(), ..Sources::default() };
    faults.extend(load(sources).err().into_iter().flatten());
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::builtin;

    const SMALL: &str = r#"
        [[providers]]
        id = "openai"
        [[providers.models]]
        id = "gpt-4o"
        replacement = "gpt-4.1"
        [[providers.deployments]]
        model = "gpt-4o"
        name = "gpt-4o"
        usd_per_million = { input = 1.5, output = 6.0 }
    "#;

    #[test]
    fn a_small_document_changes_what_it_names_and_no_more() {
        let files = builtin().unwrap();
        let before: usize = files.iter().map(|file| file.models.len()).sum();
        let laid = lay(files.clone(), read(SMALL, &files).unwrap());
        assert_eq!(laid.iter().map(|file| file.models.len()).sum::<usize>(), before);
        let openai = laid.iter().find(|file| file.id.as_deref() == Some("openai")).unwrap();
        let one = openai.deployments.iter().find(|one| one.name == "gpt-4o").unwrap();
        assert_eq!(one.usd_per_million.and_then(|rates| rates.input), Some(1.5));
        assert_eq!(faults(&laid), Vec::new());
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let files = builtin().unwrap();
        let wrong = r#"{"providers": [
            {"id": "acme", "models": []},
            {"id": "openai", "models": [{"id": "m", "tier": "huge"}, {"id": "n", "colour": 1}],
             "deployments": [{"model": "m", "name": "m", "prices": [{"class": "slow"}]}]}]}"#;
        let told: Vec<String> =
            read(wrong, &files).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for (line, place) in told.iter().zip([
            "providers.acme",
            "providers.openai.models[0] (m)",
            "providers.openai.models[1] (n)",
            "providers.openai.deployments[0] (m)",
        ]) {
            assert!(line.starts_with(place), "{line}");
        }
        let address = r#"{"providers": [{"id": "openai", "base_url": "https://elsewhere"}]}"#;
        let told = read(address, &files).unwrap_err();
        assert!(told[0].0.contains("base_url"), "{told:?}");
        // What a provider does with data is a promise to whoever runs this, and no list's to give.
        let promise =
            SMALL.replace("usd_per_million", "data = { trains = false }\nusd_per_million");
        let told = read(&promise, &files).unwrap_err();
        assert!(
            told[0].0.starts_with("providers.openai.deployments[0] (gpt-4o): data"),
            "{told:?}"
        );
        let lost = SMALL.replace("gpt-4.1", "gpt-0").replace("1.5", "-1.5");
        let told = faults(&lay(files.clone(), read(&lost, &files).unwrap()));
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
