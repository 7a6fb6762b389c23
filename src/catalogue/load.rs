//! From entries to a [`Catalogue`], with every fault found and named.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use super::entry::{FileDeployment, ModelEntry, ProviderEntry, prices_of};
use super::facts::{FactsEntry, Families, Quantization};
use super::fault::CatalogueFault;
use super::model::{Deployment, DeploymentId, Modality, Model, Tier};
use super::place::{UnjoinedDeployment, enabled, merged};
use super::price::{PriceEntry, Prices, Rates, regional};
use super::{ApiKey, AwsCredential, Capabilities, Catalogue, OwnTls, Provider, REPLACEMENTS};
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;

include!(concat!(env!("OUT_DIR"), "/provider_files.rs"));

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
    pub keys: HashMap<String, Vec<ApiKey>>,
    /// What connections are secured with by provider id, where that is not what all others are.
    pub tls: HashMap<String, Arc<OwnTls>>,
    /// What requests to AWS are signed with.
    pub aws: Option<AwsCredential>,
    /// What stands for `${NAME}` in an address.
    pub variables: HashMap<String, String>,
    pub unpriced: Unpriced,
    /// Where the ids of deployments begin: those of a catalogue that this one replaces are behind.
    pub first_id: usize,
}

/// What becomes of a deployment of which nobody said what it costs. Never is it free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpriced {
    /// It costs what the dearest of its tier do.
    #[default]
    Dearest,
    /// It is not asked.
    Refuse,
}

/// The files that the binary was built with.
///
/// # Errors
/// A file that does not parse, which a test of this room would have found.
pub fn builtin() -> Result<Vec<ProviderEntry>, CatalogueFault> {
    PROVIDER_FILES
        .iter()
        .map(|(name, text)| {
            serde_json::from_str(text)
                .map_err(|why| CatalogueFault(format!("providers/{name}: {why}")))
        })
        .collect()
}

/// Builds the catalogue of enabled providers.
///
/// # Errors
/// All faults at once.
pub fn load(mut sources: Sources) -> Result<Catalogue, Vec<CatalogueFault>> {
    let mut faults = Vec::new();
    let mut entries: BTreeMap<String, ModelEntry> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut waiting: HashMap<String, Vec<UnjoinedDeployment>> = HashMap::new();
    let mut providers: HashMap<String, (Arc<Provider>, ProviderEntry)> = HashMap::new();
    let mut known: HashSet<String> = HashSet::new();

    let files = merged(std::mem::take(&mut sources.files), &sources.providers);
    let families =
        Families::new(files.iter().flat_map(|file| file.families.iter().cloned()).collect());
    for mut file in files {
        let id = file.id.clone().unwrap_or_default();
        known.insert(id.clone());
        for model in std::mem::take(&mut file.models) {
            if !entries.contains_key(&model.id) {
                order.push(model.id.clone());
            }
            entries.insert(model.id.clone(), model);
        }
        let deployments = std::mem::take(&mut file.deployments);
        let keys = sources.keys.remove(&id).unwrap_or_default();
        let opened = (keys, sources.tls.remove(&id));
        let provider = match enabled(&id, &file, opened, sources.aws.clone(), &sources.variables) {
            Ok(Some(provider)) => Arc::new(provider),
            Ok(None) => continue,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        for deployment in deployments {
            let model = deployment.model.clone();
            let place = UnjoinedDeployment::of_file(&provider, &file, deployment);
            waiting.entry(model).or_default().push(place);
        }
        providers.insert(id, (provider, file));
    }
    for patch in sources.models {
        if let Some(list) = &patch.deployments {
            let mut replaced = Vec::new();
            for (position, deployment) in list.iter().enumerate() {
                match providers.get(&deployment.provider) {
                    Some((provider, file)) => {
                        let name = deployment.model.clone().unwrap_or_else(|| patch.id.clone());
                        let listed = |model: &&ModelEntry| {
                            model.id == name
                                || model.aliases.iter().flatten().any(|alias| *alias == name)
                        };
                        // The provider's name for a model that a file describes brings its facts.
                        let mut facts =
                            entries.values().find(listed).map_or_else(FactsEntry::default, |one| {
                                one.facts.clone()
                            });
                        facts.lay(&deployment.facts);
                        let file_like = FileDeployment {
                            model: patch.id.clone(),
                            name,
                            dialects: deployment.dialects.clone(),
                            preference: u32::try_from(position).unwrap_or(u32::MAX),
                            prices: prices_of(
                                deployment.usd_per_million.as_ref(),
                                deployment.usd_per_image,
                                deployment.prices.clone(),
                            ),
                            facts,
                            weight: deployment.weight,
                            data: deployment.data.clone(),
                            ..FileDeployment::default()
                        };
                        replaced.push(UnjoinedDeployment::of_file(provider, file, file_like));
                    }
                    // It is known, and not enabled.
                    None if known.contains(&deployment.provider) => {}
                    None => faults.push(CatalogueFault(format!(
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

    let mut building = Building {
        catalogue: Catalogue {
            next_id: sources.first_id,
            first_id: sources.first_id,
            ..Catalogue::default()
        },
        families,
        dearest: dearest(&entries, &waiting),
        unpriced: sources.unpriced,
        faults,
    };
    let answered = answered(&entries, &waiting);
    for id in order {
        let Some(entry) = entries.remove(&id) else { continue };
        let mut places = waiting.remove(&id).unwrap_or_default();
        // A model that nobody serves any more is kept for its replacement.
        if !answered.contains(&id) {
            continue;
        }
        places.sort_by_key(|place| place.rank);
        building.add(entry, places);
    }
    let Building { mut catalogue, families, faults, .. } = building;
    for (model, chain) in sources.fallbacks {
        catalogue
            .fallbacks
            .insert(model.into(), chain.into_iter().map(String::into_boxed_str).collect());
    }
    catalogue.families = families;
    catalogue.add_unlisted(providers.into_values());
    if faults.is_empty() { Ok(catalogue) } else { Err(faults) }
}

/// The models that somebody serves, and those for which one of these answers: a replacement that
/// can be asked is what makes an ended model worth its name.
fn answered(
    entries: &BTreeMap<String, ModelEntry>,
    waiting: &HashMap<String, Vec<UnjoinedDeployment>>,
) -> HashSet<String> {
    let mut ids: HashMap<&str, &str> = HashMap::new();
    for entry in entries.values() {
        for name in std::iter::once(&entry.id).chain(entry.aliases.iter().flatten()) {
            ids.entry(name).or_insert(&entry.id);
        }
    }
    let served = |id: &str| waiting.get(id).is_some_and(|places| !places.is_empty());
    let reaches = |first: &&String| {
        let mut id: &str = first;
        for _ in 0..=REPLACEMENTS {
            if served(id) {
                return true;
            }
            let next = entries.get(id).and_then(|entry| entry.replacement.as_deref());
            match next.and_then(|name| ids.get(name)) {
                Some(next) => id = next,
                None => return false,
            }
        }
        false
    };
    entries.keys().filter(reaches).cloned().collect()
}

/// By tier, the highest price of each kind of token: charged for models without a price.
fn dearest(
    entries: &BTreeMap<String, ModelEntry>,
    waiting: &HashMap<String, Vec<UnjoinedDeployment>>,
) -> [Rates; 5] {
    let mut all = Tier::ALL.map(usual_rates);
    for (id, places) in waiting {
        let tier = entries.get(id).and_then(|entry| entry.tier).unwrap_or(Tier::Mid);
        for price in places.iter().flat_map(|place| &place.prices) {
            if price.class.is_standard()
                && let Ok(rates) = price.usd_per_million.unwrap_or_default().read()
                && let Some(slot) = all.get_mut(tier as usize)
            {
                *slot = slot.dearer(&rates);
            }
        }
    }
    all
}

/// What a million tokens of a tier usually cost at least, read and written.
fn usual_rates(tier: Tier) -> Rates {
    let usd = |input: i64, output: i64| {
        Rates::text(Nanos(input * 10_000_000), Nanos(output * 10_000_000))
    };
    match tier {
        Tier::Free => usd(5, 20),
        Tier::Budget => usd(20, 80),
        Tier::Mid => usd(80, 320),
        Tier::Premium => usd(300, 1_500),
        Tier::Ultra => usd(1_000, 4_000),
    }
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
    entry.facts.lay(&patch.facts);
    lay!(aliases, owned_by, tier, mode, context_tokens, max_output_tokens, input, output);
    lay!(
        capabilities,
        fallback,
        balance,
        images,
        deployments,
        ends,
        replacement,
        preview,
        timeouts,
        data
    );
}

struct Building {
    catalogue: Catalogue,
    families: Families,
    dearest: [Rates; 5],
    unpriced: Unpriced,
    faults: Vec<CatalogueFault>,
}

impl Building {
    fn fault(&mut self, model: &str, provider: &str, why: impl std::fmt::Display) {
        self.faults.push(CatalogueFault(format!("model '{model}' at '{provider}': {why}")));
    }

    fn day(&mut self, model: &str, provider: &str, text: Option<&str>) -> Option<Timestamp> {
        let text = text?;
        let day = calendar::read(text);
        if day.is_none() {
            self.fault(
                model,
                provider,
                format!("ends = '{text}' is no day: write it as 2026-12-01"),
            );
        }
        day
    }

    /// What a place costs; the dearest of its tier, where nobody said.
    fn prices(&mut self, model: &str, tier: Tier, place: &UnjoinedDeployment) -> Option<Prices> {
        if place.prices.is_empty() {
            self.catalogue.unpriced.push((model.into(), Arc::clone(&place.provider.id)));
            if self.unpriced == Unpriced::Refuse {
                return None;
            }
            let rates = self.dearest.get(tier as usize).copied().unwrap_or_default();
            return Some(Prices::guess(rates));
        }
        let read: Result<Vec<_>, _> = place.prices.iter().map(PriceEntry::read).collect();
        match read.and_then(|list| Ok(Prices::new(list, regional(place.regional)?))) {
            Ok(prices) => Some(prices),
            Err(why) => {
                self.fault(model, &place.provider.id.clone(), why);
                None
            }
        }
    }

    fn add(&mut self, entry: ModelEntry, places: Vec<UnjoinedDeployment>) {
        let capabilities: Capabilities = match &entry.capabilities {
            Some(list) => list.iter().copied().collect(),
            // A model that nobody described can be asked for anything that text models do.
            None => Capabilities::anything(),
        };
        let tier = entry.tier.unwrap_or(Tier::Mid);
        let longest = entry.max_output_tokens.unwrap_or(4_096);
        let ends = self.day(&entry.id, "its maker", entry.ends.as_deref());
        let mut deployments = Vec::with_capacity(places.len());
        let index = self.catalogue.models.len();
        for place in places {
            let Some(prices) = self.prices(&entry.id, tier, &place) else { continue };
            let mut facts = self.families.of(&entry.id);
            if !self.families.know(&entry.id) {
                facts.lay(&self.families.of(&place.name));
            }
            facts.lay(&entry.facts);
            facts.lay(&place.facts);
            facts.quantization = facts.quantization.or_else(|| Quantization::in_name(&place.name));
            let own = self.day(&entry.id, &place.provider.id.clone(), place.ends.as_deref());
            // What a maker announces holds for its own machines.
            let maker = entry.owned_by.as_deref().is_none_or(|maker| {
                maker == &*place.provider.id || (maker, &*place.provider.id) == ("google", "gemini")
            });
            let deployment = Arc::new(Deployment {
                id: DeploymentId(self.catalogue.next_id),
                data: place
                    .data
                    .over(entry.data.as_ref().unwrap_or(&place.provider.data))
                    .over(&place.provider.data),
                provider: place.provider,
                name: place.name,
                protocols: place.protocols,
                prices,
                facts: Arc::new(facts.settle()),
                ends: own.or(ends.filter(|_| maker && entry.replacement.is_some())),
                max_output_tokens: place.max_output_tokens.unwrap_or(longest).max(1),
                weight: place.weight,
                quirks: place
                    .quirks
                    .into_iter()
                    .filter(|quirk| quirk.when.is_none_or(|needed| capabilities.has(needed)))
                    .collect(),
            });
            self.catalogue.next_id += 1;
            for name in std::iter::once(&deployment.name).chain(&place.other_names) {
                let at = format!("{}/{name}", deployment.provider.id).into_boxed_str();
                self.catalogue.by_place.entry(at).or_insert((index, Arc::clone(&deployment)));
            }
            deployments.push(deployment);
        }
        if deployments.is_empty() && entry.replacement.is_none() {
            return;
        }
        let maker = deployments.first().map(|first| first.provider.id.to_string());
        let boxed = |list: Option<Vec<String>>| -> Vec<Box<str>> {
            list.unwrap_or_default().into_iter().map(String::into_boxed_str).collect()
        };
        let images =
            entry.images.or_else(|| self.families.images(&entry.id).cloned()).unwrap_or_default();
        let model = Model {
            owned_by: entry.owned_by.or(maker).unwrap_or_default(),
            label: entry.id.as_str().into(),
            id: entry.id.into(),
            aliases: boxed(entry.aliases),
            tier,
            mode: entry.mode.unwrap_or_default(),
            context_tokens: entry.context_tokens.unwrap_or(128_000),
            max_output_tokens: longest,
            input: entry.input.unwrap_or_else(|| vec![Modality::Text]),
            output: entry.output.unwrap_or_else(|| vec![Modality::Text]),
            capabilities,
            fallback: boxed(entry.fallback),
            balance: entry.balance.unwrap_or_default(),
            replacement: entry.replacement.map(String::into_boxed_str),
            preview: entry.preview.unwrap_or(false),
            timeouts: entry.timeouts.unwrap_or_default(),
            images,
            ends: last_end(&deployments),
            least: least(&deployments),
            deployments,
        };
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            if self.catalogue.by_name.insert(name.clone(), index).is_some() {
                self.faults.push(CatalogueFault(format!("the model name '{name}' is used twice")));
            }
        }
        self.catalogue.models.push(Arc::new(model));
    }
}

/// When the last of them ends; `None` while one has no end.
fn last_end(deployments: &[Arc<Deployment>]) -> Option<Timestamp> {
    let all = deployments.iter().map(|deployment| deployment.ends);
    all.reduce(|one, other| Some(one?.max(other?))).flatten()
}

/// Rates that none of them goes below.
pub(super) fn least(deployments: &[Arc<Deployment>]) -> Rates {
    let all = deployments.iter().map(|one| one.prices.least().unwrap_or_default());
    all.reduce(|one, other| one.cheaper(&other)).unwrap_or_default()
}
