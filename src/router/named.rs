//! A model by name: its deployments in order of preference, then those of its fallback models.

use std::sync::Arc;

use super::{Allows, Decision, HealthOf, Step};
use crate::base::{Error, Kind};
use crate::catalogue::{Catalogue, Deployment, Mode, Model};

/// How far a chain of fallbacks is followed.
const FALLBACK_MODELS: usize = 4;

/// # Errors
/// [`Kind::UnknownModel`] for a name that nobody serves, [`Kind::Forbidden`] for a tier that the
/// plan does not hold, [`Kind::Unsupported`] for a model that does not converse.
pub fn decide_named(
    name: &str,
    mode: Mode,
    catalogue: &Catalogue,
    allows: Allows<'_>,
    health: HealthOf<'_>,
) -> Result<Decision, Error> {
    let (model, only) = find(name, catalogue).ok_or_else(|| Error::unknown_model(name))?;
    if !allows(model) {
        return Err(Error::new(
            Kind::Forbidden,
            format!("The model '{}' is not available on your plan.", model.id),
        )
        .at("model")
        .coded("model_not_allowed"));
    }
    if model.mode != mode {
        let what = match mode {
            Mode::Embedding => "embeddings",
            Mode::Image => "image generation",
            Mode::Realtime => "the realtime API",
            _ => "chat completions",
        };
        return Err(Error::new(
            Kind::Unsupported,
            format!("The model '{}' does not support {what}.", model.id),
        )
        .at("model")
        .coded("model_not_supported"));
    }
    let mut steps = Vec::with_capacity(model.deployments.len());
    add(model, health, &mut steps);
    if let Some(provider) = only {
        steps.retain(|step| &*step.deployment.provider.id == provider);
        return Ok(Decision { steps, explanation: None });
    }
    // Vectors of different models do not mix: only another deployment of the same may answer.
    let most = if mode == Mode::Embedding { 0 } else { FALLBACK_MODELS };
    let chain = catalogue.fallbacks(model).iter().take(most);
    for other in chain.filter_map(|name| catalogue.model(name)) {
        if allows(other) && other.mode == mode && other.id != model.id {
            add(other, health, &mut steps);
        }
    }
    Ok(Decision { steps, explanation: None })
}

/// A model by its name, or by `provider/name`, which means that provider and no other.
fn find<'a>(name: &'a str, catalogue: &'a Catalogue) -> Option<(&'a Arc<Model>, Option<&'a str>)> {
    if let Some(model) = catalogue.model(name) {
        return Some((model, None));
    }
    let (provider, rest) = name.split_once('/')?;
    let model = catalogue.model(rest)?;
    let there = |deployment: &Arc<Deployment>| &*deployment.provider.id == provider;
    model.deployments.iter().any(there).then_some((model, Some(provider)))
}

/// Those that are up first, then those whose limits are nearly used up; the others stay, in case
/// they are all there is. Within each the operator's order holds.
fn add(model: &Arc<Model>, health: HealthOf<'_>, steps: &mut Vec<Step>) {
    let first = steps.len();
    steps.extend(
        model.deployments.iter().map(|deployment| Step {
            model: Arc::clone(model),
            deployment: Arc::clone(deployment),
        }),
    );
    if let Some(added) = steps.get_mut(first..).filter(|added| added.len() > 1) {
        added.sort_by_cached_key(|step| {
            let state = health(step.deployment.id);
            (!state.passing, state.strained)
        });
    }
}
