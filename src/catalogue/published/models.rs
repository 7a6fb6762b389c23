//! Models and deployments of the published list, as ours.

use std::collections::{HashMap, HashSet};

use super::list::{Deployment, Lifecycle, List, Model};
use super::{Converted, Extent, facts, is_served, prices, spoken};
use crate::catalogue::capability::Capability;
use crate::catalogue::entry::{FileDeployment, ModelEntry, ProviderEntry, VariantEntry};
use crate::catalogue::facts::{FactsEntry, Families};
use crate::catalogue::fault::CatalogueFault;
use crate::catalogue::model::{Modality, Mode, Tier};
use crate::wire::vocab::{Dialect, Protocol};

/// Who serves a maker's models first hand.
fn home(maker: &str) -> &str {
    match maker {
        "google" => "gemini",
        "amazon" => "nova",
        "microsoft" => "azure-ai",
        "bytedance" => "byteplus",
        "black-forest-labs" => "bfl",
        other => other,
    }
}

/// In whose file a maker's models are written.
fn file_of(maker: &str) -> &str {
    if maker == "amazon" { "bedrock" } else { home(maker) }
}

/// Deployments of a model are tried in this order: its maker, the clouds, other hosts, and those
/// who pass requests on.
fn preference(maker: &str, provider: &str) -> u32 {
    match provider {
        own if own == home(maker) => 0,
        "azure" | "azure-ai" | "vertex" | "bedrock" | "bedrock-mantle" => 1,
        "openrouter" => 3,
        _ => 2,
    }
}

fn mode(text: &str) -> Option<Mode> {
    serde_json::from_value(text.into()).ok()
}

/// The words of ours among `all`.
fn known<T: serde::de::DeserializeOwned>(all: &[String]) -> Vec<T> {
    all.iter().filter_map(|one| serde_json::from_value(one.as_str().into()).ok()).collect()
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

struct Making<'a> {
    list: &'a List,
    extent: Extent,
    files: HashMap<&'a str, &'a ProviderEntry>,
    families: Families,
    /// Names that are taken, by models and their aliases.
    taken: HashSet<String>,
    replacements: HashMap<&'a str, &'a str>,
    converted: Converted,
}

/// The list as entries of ours, for the providers of `files`: theirs are the dialects that they are
/// asked in, and the families that models need not repeat.
#[must_use]
pub fn convert(list: &List, files: &[ProviderEntry], extent: Extent) -> Converted {
    let by_id = files.iter().filter_map(|file| Some((file.id.as_deref()?, file)));
    let mut making = Making {
        list,
        extent,
        files: by_id.collect(),
        families: Families::new(
            files.iter().flat_map(|file| file.families.iter().cloned()).collect(),
        ),
        taken: list.models.iter().map(|model| model.id.clone()).collect(),
        replacements: list
            .seed_names
            .iter()
            .filter_map(|seed| Some((seed.model.as_str(), seed.replacement.as_deref()?)))
            .collect(),
        converted: Converted::default(),
    };
    let mut made: Vec<(String, ModelEntry)> = Vec::new();
    for model in &list.models {
        match making.model(model) {
            Ok(Some(one)) => made.push(one),
            Ok(None) => {}
            Err(why) => {
                making
                    .converted
                    .faults
                    .push(CatalogueFault(format!("models ({}): {why}", model.id)));
            }
        }
    }
    making.finish(made)
}

impl<'a> Making<'a> {
    fn model(&mut self, model: &'a Model) -> Result<Option<(String, ModelEntry)>, String> {
        let replacement = self
            .replacements
            .get(model.id.as_str())
            .copied()
            .or(model.lifecycle.replacement.as_deref())
            .filter(|name| *name != model.id);
        // A name that somebody may still ask for goes on being answered.
        if self.extent == Extent::Core && model.set != "core" && replacement.is_none() {
            self.converted.skip("a model that is not of the set 'core'");
            return Ok(None);
        }
        let Some(mode) = mode(&model.mode) else {
            self.converted.skip(format!("a model of the mode '{}'", model.mode));
            return Ok(None);
        };
        let own = match &model.facts {
            Some(said) => facts::of_model(&model.maker, said)?,
            None => FactsEntry::default(),
        };
        let mut first = None;
        for one in &model.deployments {
            let at = |why: String| format!("deployments ({} {}): {why}", one.provider, one.name);
            if let Some(made) = self.deployment(model, one, &own).map_err(at)? {
                first.get_or_insert(one.provider.as_str());
                self.converted.part(&one.provider).deployments.push(made);
            }
        }
        if first.is_none() && replacement.is_none() {
            self.converted.skip("a model that nobody serves whom we can ask");
            return Ok(None);
        }
        let file = [Some(file_of(&model.maker)), first]
            .into_iter()
            .flatten()
            .find(|id| self.files.contains_key(id));
        let Some(file) = file.map(str::to_owned) else {
            self.converted.skip("a model that nobody serves whom we can ask");
            return Ok(None);
        };
        let aliases = model.aliases.iter().chain(&model.moving_aliases);
        let mut free = Vec::new();
        for alias in aliases {
            if self.taken.insert(alias.clone()) {
                free.push(alias.clone());
            } else if *alias != model.id {
                self.converted.skip(format!("the alias '{alias}', which is another's name"));
            }
        }
        let chat = mode == Mode::Chat;
        if chat {
            self.converted.facts.insert(model.id.clone(), own.clone());
        }
        let wider = self.families.of(&model.id);
        Ok(Some((
            file,
            ModelEntry {
                id: model.id.clone(),
                aliases: filled(free),
                owned_by: Some(model.maker.clone()),
                tier: model
                    .tier
                    .as_deref()
                    .map(|tier| facts::word::<Tier>("tier", tier))
                    .transpose()?,
                mode: (!chat).then_some(mode),
                context_tokens: model.context_tokens,
                max_output_tokens: model.max_output_tokens,
                input: filled(known::<Modality>(&model.input)),
                output: filled(known::<Modality>(&model.output)),
                capabilities: Some(known::<Capability>(&model.capabilities)),
                ends: model.lifecycle.shutdown_date.clone(),
                replacement: replacement.map(str::to_owned),
                preview: (model.lifecycle.status.as_deref() == Some("preview")).then_some(true),
                facts: if chat { facts::residual(&own, &wider) } else { FactsEntry::default() },
                ..ModelEntry::default()
            },
        )))
    }

    fn deployment(
        &mut self,
        model: &Model,
        one: &Deployment,
        own: &FactsEntry,
    ) -> Result<Option<FileDeployment>, String> {
        let Some(file) = self.files.get(one.provider.as_str()).copied() else {
            self.converted.skip(format!("a deployment at '{}', which has no file", one.provider));
            return Ok(None);
        };
        let at_home = one.provider == home(&model.maker);
        // At its maker's own, what is said of the model is said of the deployment.
        let usual = if at_home { Some(&model.lifecycle) } else { None };
        let none = Lifecycle::default();
        let lifecycle = one.lifecycle.as_ref().or(usual).unwrap_or(&none);
        let ends = lifecycle.shutdown_date.clone();
        let over = match &ends {
            Some(day) => self.extent == Extent::Core && *day <= self.list.generated,
            None => lifecycle.status.as_deref() == Some("retired"),
        };
        if over {
            self.converted.skip("a deployment that has ended");
            return Ok(None);
        }
        if !is_served(file, &model.mode) {
            self.converted.skip(format!(
                "a deployment of the mode '{}' at '{}', which is not asked for it",
                model.mode, one.provider
            ));
            return Ok(None);
        }
        let asked = spoken(file);
        let mut dialects = None;
        let mut protocols = asked.clone();
        if model.mode == "chat" {
            let theirs: Vec<Protocol> = known(one.dialects.as_deref().unwrap_or_default());
            protocols = asked.iter().copied().filter(|one| theirs.contains(one)).collect();
            if protocols.is_empty() {
                self.converted.skip(format!(
                    "a chat deployment at '{}' in dialects that it is not asked in",
                    one.provider
                ));
                return Ok(None);
            }
            let at_home = asked.iter().filter(|one| !file.dialect_urls.contains_key(one));
            if !at_home.eq(&protocols) {
                dialects = Some(protocols.clone());
            }
        }
        let mut said = FactsEntry::default();
        if protocols.first() == Some(&Protocol::Dialect(Dialect::OpenAiChat)) && !at_home {
            said.lay(&facts::of_host(own));
        }
        said.lay(&facts::of_deployment(one)?);
        let mut wider = own.clone();
        wider.lay(&file.facts);
        let mut variants = Vec::new();
        for variant in &one.variants {
            if variant.per_mtok.is_some() && variant.multiplier.is_none() {
                self.converted.skip("a variant with prices of its own");
                continue;
            }
            variants.push(VariantEntry {
                name: variant.name.clone(),
                region: variant.region.clone(),
                times: variant.multiplier.filter(|times| (times - 1.0).abs() > f64::EPSILON),
                ends: variant.ends.clone(),
            });
        }
        let prices = prices::of_deployment(
            &one.prices,
            &self.list.holidays,
            &self.list.generated,
            self.extent,
            &mut self.converted,
        )?;
        let longest = one.max_output_tokens.filter(|own| Some(*own) != model.max_output_tokens);
        Ok(Some(FileDeployment {
            model: model.id.clone(),
            name: one.name.clone(),
            other_names: one.other_names.clone(),
            dialects,
            preference: preference(&model.maker, &one.provider),
            ends,
            max_output_tokens: longest,
            prices,
            region_uplift: one.region_uplift.clone(),
            variants,
            facts: if model.mode == "chat" {
                facts::said_beyond(&said, &wider)
            } else {
                FactsEntry::default()
            },
            ..FileDeployment::default()
        }))
    }

    /// Models into their files, without replacements that are not there.
    fn finish(mut self, made: Vec<(String, ModelEntry)>) -> Converted {
        let names: HashSet<String> = made
            .iter()
            .flat_map(|(_, model)| {
                std::iter::once(model.id.clone()).chain(model.aliases.iter().flatten().cloned())
            })
            .collect();
        let served: HashSet<String> = self
            .converted
            .parts
            .iter()
            .flat_map(|part| part.deployments.iter().map(|one| one.model.clone()))
            .collect();
        for (file, mut model) in made {
            if model.replacement.as_ref().is_some_and(|name| !names.contains(name)) {
                self.converted.skip("a replacement that is not in the catalogue");
                model.replacement = None;
                if !served.contains(&model.id) {
                    continue;
                }
            }
            self.converted.part(&file).models.push(model);
        }
        self.converted
    }
}
