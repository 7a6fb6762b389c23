//! Providers, models, deployments and prices: data, loaded once into an immutable whole.

mod load;
mod model;
mod price;
mod provider;
mod quirk;

use std::collections::HashMap;
use std::sync::Arc;

pub use load::{DeploymentEntry, Fault, ModelEntry, ProviderEntry, Sources, builtin, load};
pub use model::{Capabilities, Capability, Deployment, DeploymentId, Modality, Mode, Model, Tier};
pub use price::Price;
pub use provider::{Auth, AwsCredential, Provider};
pub use quirk::{Quirk, apply as apply_quirks};

/// What there is to route to. Immutable; a reload swaps the whole.
#[derive(Debug, Default)]
pub struct Catalogue {
    models: Vec<Arc<Model>>,
    by_name: HashMap<Box<str>, usize>,
    fallbacks: HashMap<Box<str>, Vec<Box<str>>>,
    deployments: usize,
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

    /// How many deployments there are; their ids count from 0.
    #[must_use]
    pub fn deployment_count(&self) -> usize {
        self.deployments
    }

    /// What to try when every deployment of a model fails: the configured chain, else the
    /// catalogue's own.
    #[must_use]
    pub fn fallbacks<'a>(&'a self, model: &'a Model) -> &'a [Box<str>] {
        self.fallbacks.get(&*model.id).map_or(&model.fallback, Vec::as_slice)
    }
}
