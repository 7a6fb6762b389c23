//! Providers, models, deployments, facts and prices: data, loaded once into an immutable whole.

mod capability;
mod data;
pub mod diff;
pub mod document;
mod entry;
mod facts;
mod fault;
pub mod lifecycle;
mod load;
mod model;
mod place;
mod price;
mod provider;
pub mod published;
mod quirk;
pub mod settings;
mod slug;
#[cfg(test)]
mod tests;
pub mod text;
mod timeouts;
mod tls;

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::wire::images;
use crate::wire::vocab::AuxiliaryUsage;

pub use capability::{Capabilities, Capability};
pub use data::{DataCollection, DataDemand, DataPolicy, Demands};
pub use entry::{
    DeploymentEntry, FileDeployment, KeyEntry, ModelEntry, ProviderEntry, VariantEntry,
};
pub use facts::{
    BudgetEntry, Facts, FactsEntry, Families, Family, Forced, NameRule, Param, Quantization,
    RefusedParam, SchemaSubset, TokenLimit, ToolsOnly, ToolsWhen, When,
};
pub use fault::CatalogueFault;
pub use load::{Sources, Unpriced, builtin, load};
pub use model::{Balance, Deployment, DeploymentId, Modality, Mode, Model, Tier};
pub use price::{
    Above, Each, EachEntry, HoursEntry, PictureEntry, Pictures, PriceEntry, PriceError, Prices,
    Rates, RatesEntry, TokenKind, WHOLE,
};
pub use provider::{ApiKey, Auth, AwsCredential, KeyMark, Provider, Surface};
pub use quirk::{Quirk, apply as apply_quirks};
pub use settings::{CatalogueSettings, SettingKind};
pub use timeouts::Timeouts;
pub use tls::{Identity, OwnTls};

use place::UnjoinedDeployment;

/// How far a chain of replacements is followed.
const REPLACEMENTS: usize = 4;

/// What there is to route to. Immutable; a change swaps the whole.
#[derive(Debug, Default)]
pub struct Catalogue {
    models: Vec<Arc<Model>>,
    by_name: HashMap<Box<str>, usize>,
    /// `provider/name`, by every name that the provider has for a deployment.
    by_place: HashMap<Box<str>, (usize, Arc<Deployment>)>,
    fallbacks: HashMap<Box<str>, Vec<Box<str>>>,
    families: Families,
    /// What a provider serves that nobody listed, by the provider's id.
    unlisted: HashMap<Arc<str>, Unlisted>,
    /// Models at providers where nobody said what they cost.
    unpriced: Vec<(Box<str>, Arc<str>)>,
    first_id: usize,
    next_id: usize,
}

/// A provider that can be asked for models that no file lists.
#[derive(Debug)]
struct Unlisted {
    provider: Arc<Provider>,
    entry: ProviderEntry,
    /// All of them share what is known of their health.
    id: DeploymentId,
}

/// A deployment of a model.
#[derive(Debug, Clone)]
pub struct Place {
    pub model: Arc<Model>,
    pub deployment: Arc<Deployment>,
}

/// Why there is no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("there is no provider or model of that name")]
    Unknown,
    /// The provider may serve it, and nobody has said what it costs.
    #[error("nobody has said what it costs")]
    Unpriced { provider: String, name: String },
}

impl Catalogue {
    /// A model by its id or one of its aliases.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.by_name.get(name).and_then(|index| self.models.get(*index))
    }

    /// All models, in the catalogue's order.
    #[must_use]
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// How many deployments there are.
    #[must_use]
    pub fn deployment_count(&self) -> usize {
        self.models.iter().map(|model| model.deployments.len()).sum()
    }

    /// The ids of its deployments, those of unlisted models included.
    #[must_use]
    pub fn ids(&self) -> std::ops::Range<usize> {
        self.first_id..self.next_id
    }

    /// Whether any provider is configured, of whatever models.
    #[must_use]
    pub fn has_providers(&self) -> bool {
        !self.unlisted.is_empty()
    }

    /// Whether a provider can be asked.
    #[must_use]
    pub fn has_provider(&self, id: &str) -> bool {
        self.unlisted.contains_key(id)
    }

    /// A provider that can be asked, by its id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.unlisted.get(id).map(|one| &one.provider)
    }

    /// The providers that can be asked, in no order.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.unlisted.values().map(|one| &one.provider)
    }

    /// Models, and the providers at which nobody said what they cost.
    #[must_use]
    pub fn unpriced(&self) -> &[(Box<str>, Arc<str>)] {
        &self.unpriced
    }

    /// What to try when every deployment of a model fails: the configured chain, else the
    /// catalogue's own.
    #[must_use]
    pub fn fallbacks<'a>(&'a self, model: &'a Model) -> &'a [Box<str>] {
        self.fallbacks.get(&*model.id).map_or(&model.fallback, Vec::as_slice)
    }

    /// The model that answers in place of one that has ended, if one can.
    #[must_use]
    pub fn in_place_of(&self, model: &Model, now: Timestamp) -> Option<&Arc<Model>> {
        let mut next = model.replacement.as_deref();
        for _ in 0..REPLACEMENTS {
            let found = self.model(next?)?;
            if found.is_live(now) {
                return Some(found);
            }
            next = found.replacement.as_deref();
        }
        None
    }

    /// Whether a provider is known to serve a model, by any of its names.
    #[must_use]
    pub fn lists(&self, provider: &str, name: &str) -> bool {
        let there =
            |model: &Arc<Model>| model.deployments.iter().any(|one| &*one.provider.id == provider);
        self.by_place.contains_key(&*format!("{provider}/{name}"))
            || self.model(name).is_some_and(there)
    }

    /// What `provider/name` means: a deployment by any of its names there, or one that no file
    /// lists, with the facts of its family and the provider's price.
    ///
    /// # Errors
    /// [`NoPlace`]
    pub fn place(&self, provider: &str, name: &str) -> Result<Place, NoPlace> {
        if let Some((index, deployment)) = self.by_place.get(&*format!("{provider}/{name}"))
            && let Some(model) = self.models.get(*index)
        {
            return Ok(Place { model: Arc::clone(model), deployment: Arc::clone(deployment) });
        }
        // Our own name for it, at that provider.
        if let Some(model) = self.model(name) {
            let there = model.deployments.iter().find(|one| &*one.provider.id == provider);
            if let Some(deployment) = there {
                return Ok(Place { model: Arc::clone(model), deployment: Arc::clone(deployment) });
            }
        }
        let unlisted = self.unlisted.get(provider).ok_or(NoPlace::Unknown)?;
        unlisted.place(name, &self.families)
    }

    /// What other models of a provider did for an answer costs: at their prices, or at the dearest of
    /// that provider's where nobody knows the model.
    #[must_use]
    pub fn bill_asides(&self, provider: &str, asides: &[AuxiliaryUsage], at: Timestamp) -> Nanos {
        let bill = |aside: &AuxiliaryUsage, deployment: &Deployment| {
            deployment.prices.bill(&aside.usage, Pictures::default(), at)
        };
        asides.iter().fold(Nanos(0), |sum, aside| {
            let known = aside.model.as_deref().filter(|name| self.lists(provider, name));
            let cost = match known.and_then(|name| self.place(provider, name).ok()) {
                Some(place) => bill(aside, &place.deployment),
                None => {
                    let draws = aside.usage.more.image_out > 0;
                    let kin =
                        self.models.iter().filter(|model| draws == (model.mode == Mode::Image));
                    let there = kin
                        .flat_map(|model| &model.deployments)
                        .filter(|one| &*one.provider.id == provider);
                    there.map(|one| bill(aside, one)).max().unwrap_or_default()
                }
            };
            sum.plus(cost)
        })
    }

    /// A deployment by its id, with the model that it is of.
    #[must_use]
    pub fn by_id(&self, id: DeploymentId) -> Option<(&Arc<Model>, &Arc<Deployment>)> {
        self.models.iter().find_map(|model| {
            let one = model.deployments.iter().find(|one| one.id == id)?;
            Some((model, one))
        })
    }

    /// Providers that can be asked for models that no file lists, each with the id of all of these.
    pub fn unlisted(&self) -> impl Iterator<Item = (DeploymentId, &Arc<Provider>)> {
        self.unlisted.values().map(|one| (one.id, &one.provider))
    }

    fn add_unlisted(&mut self, providers: impl Iterator<Item = (Arc<Provider>, ProviderEntry)>) {
        let mut all: Vec<_> = providers.collect();
        all.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        for (provider, entry) in all {
            let id = DeploymentId(self.next_id);
            self.next_id += 1;
            self.unlisted.insert(Arc::clone(&provider.id), Unlisted { provider, entry, id });
        }
    }
}

impl Unlisted {
    fn place(&self, name: &str, families: &Families) -> Result<Place, NoPlace> {
        let unpriced =
            || NoPlace::Unpriced { provider: self.provider.id.to_string(), name: name.to_owned() };
        // A name stands in addresses: it must not lead anywhere else.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/@+".contains(c);
        if name.is_empty() || name.len() > 200 || !name.chars().all(plain) || name.contains("..") {
            return Err(NoPlace::Unknown);
        }
        let own = FileDeployment { name: name.to_owned(), ..FileDeployment::default() };
        let waiting = UnjoinedDeployment::of_file(&self.provider, &self.entry, own);
        if waiting.prices.is_empty() {
            return Err(unpriced());
        }
        let list: Result<Vec<_>, _> = waiting.prices.iter().map(PriceEntry::read).collect();
        let list = list.map_err(|_| unpriced())?;
        let mut facts = families.of(name);
        facts.lay(&waiting.facts);
        facts.quantization = facts.quantization.or_else(|| Quantization::in_name(name));
        let deployment = Arc::new(Deployment {
            id: self.id,
            data: waiting.provider.data.clone(),
            provider: waiting.provider,
            name: waiting.name,
            protocols: waiting.protocols,
            prices: Prices::new(list, WHOLE),
            facts: Arc::new(facts.settle()),
            ends: None,
            max_output_tokens: 32_768,
            quirks: waiting.quirks,
            weight: 1.0,
        });
        let model = Arc::new(Model {
            id: format!("{}/{name}", self.provider.id).into_boxed_str(),
            label: format!("{}/*", self.provider.id).into_boxed_str(),
            aliases: Vec::new(),
            owned_by: self.provider.id.to_string(),
            tier: Tier::Mid,
            mode: Mode::Chat,
            context_tokens: 128_000,
            max_output_tokens: 32_768,
            input: vec![Modality::Text],
            output: vec![Modality::Text],
            capabilities: Capabilities::anything(),
            fallback: Vec::new(),
            balance: Balance::default(),
            replacement: None,
            preview: false,
            timeouts: Timeouts::default(),
            images: families.images(name).cloned().unwrap_or_else(images::ImagesRules::default),
            ends: None,
            least: deployment.prices.least().unwrap_or_default(),
            deployments: vec![Arc::clone(&deployment)],
        });
        Ok(Place { model, deployment })
    }
}
