//! A model by name: its deployments in order of preference, then those of its fallback models.

use std::sync::Arc;

use super::{Allows, Decision, HealthOf, Step};
use crate::base::clock::Timestamp;
use crate::base::{Error, Kind};
use crate::catalogue::{Catalogue, Mode, Model, NoPlace, Place};

/// How far a chain of fallbacks is followed.
const FALLBACK_MODELS: usize = 4;

/// # Errors
/// [`Kind::UnknownModel`] for a name that nobody serves, [`Kind::Forbidden`] for a tier that the
/// plan does not hold, [`Kind::Unsupported`] for a model that does not converse.
pub fn decide_named(
    name: &str,
    mode: Mode,
    catalogue: &Catalogue,
    now: Timestamp,
    allows: Allows<'_>,
    health: HealthOf<'_>,
) -> Result<Decision, Error> {
    let Some(asked) = catalogue.model(name).or_else(|| by_slug(name, catalogue)) else {
        if let Some((_, provider)) = catalogue.unpriced().iter().find(|(id, _)| &**id == name) {
            return Err(unpriced(name, provider));
        }
        return at_provider(name, mode, catalogue, allows);
    };
    // A model that has ended answers through its replacement.
    let model = if asked.is_live(now) {
        asked
    } else {
        catalogue.in_place_of(asked, now).ok_or_else(|| ended(asked))?
    };
    must_serve(name, model, mode, allows)?;
    let mut steps = Vec::with_capacity(model.deployments.len());
    add(model, now, health, &mut steps);
    // Vectors of different models do not mix: only another deployment of the same may answer.
    let most = if mode == Mode::Embedding { 0 } else { FALLBACK_MODELS };
    let chain = catalogue.fallbacks(model).iter().take(most);
    for other in chain.filter_map(|name| catalogue.model(name)) {
        if allows(other) && other.mode == mode && other.id != model.id {
            add(other, now, health, &mut steps);
        }
    }
    let replaced = (!Arc::ptr_eq(asked, model)).then(|| asked.id.clone());
    Ok(Decision { replaced, ..Decision::of(steps) })
}

/// `vendor/model` as others call it, unless it is a listed model at a provider of ours.
fn by_slug<'a>(name: &str, catalogue: &'a Catalogue) -> Option<&'a Arc<Model>> {
    let (provider, model) = name.split_once('/')?;
    if catalogue.lists(provider, model) { None } else { catalogue.by_slug(name) }
}

/// `name` is what the caller calls it.
fn must_serve(name: &str, model: &Model, mode: Mode, allows: Allows<'_>) -> Result<(), Error> {
    if !allows(model) {
        return Err(Error::new(
            Kind::Forbidden,
            format!("The model '{name}' is not available on your plan."),
        )
        .at("model")
        .coded("model_not_allowed"));
    }
    if model.mode != mode {
        let what = match mode {
            Mode::Embedding => "embeddings",
            Mode::Image => "image generation",
            Mode::Realtime => "the realtime API",
            Mode::Chat => "chat completions",
        };
        return Err(Error::new(
            Kind::Unsupported,
            format!("The model '{name}' does not support {what}."),
        )
        .at("model")
        .coded("model_not_supported"));
    }
    Ok(())
}

fn ended(model: &Model) -> Error {
    let instead = match &model.replacement {
        Some(other) => {
            format!(" Its maker names '{other}' in its place, which is not served here.")
        }
        None => String::new(),
    };
    Error::new(
        Kind::UnknownModel,
        format!("The model '{}' is no longer served by any provider.{instead}", model.id),
    )
    .at("model")
    .coded("model_not_found")
}

/// `provider/name` means that provider and no other, listed or not.
fn at_provider(
    asked: &str,
    mode: Mode,
    catalogue: &Catalogue,
    allows: Allows<'_>,
) -> Result<Decision, Error> {
    let (provider, name) = asked.split_once('/').ok_or_else(|| Error::unknown_model(asked))?;
    match catalogue.place(provider, name) {
        Ok(Place { model, deployment }) => {
            must_serve(asked, &model, mode, allows)?;
            let steps = vec![Step { model, deployment, effort: None }];
            Ok(Decision::of(steps))
        }
        Err(NoPlace::Unknown) => Err(Error::unknown_model(asked)),
        Err(NoPlace::Unpriced { provider, name }) => Err(unpriced(&name, &provider)),
    }
}

/// Nobody has said what it costs: with the line that would.
fn unpriced(name: &str, provider: &str) -> Error {
    Error::new(
        Kind::UnknownModel,
        format!(
            "Nobody has said what the model '{name}' costs at '{provider}'. The operator can add: \
             [[models]] id = \"{name}\", deployments = [{{ provider = \"{provider}\", \
             usd_per_million = {{ input = 1.0, output = 2.0 }} }}]"
        ),
    )
    .at("model")
    .coded("model_not_priced")
}

/// Those that are up first, then those whose limits are nearly used up; the others stay, in case
/// they are all there is. Within each the operator's order holds.
fn add(model: &Arc<Model>, now: Timestamp, health: HealthOf<'_>, steps: &mut Vec<Step>) {
    let first = steps.len();
    steps.extend(model.deployments.iter().filter(|one| one.is_live(now)).map(|deployment| Step {
        model: Arc::clone(model),
        deployment: Arc::clone(deployment),
        effort: None,
    }));
    if let Some(added) = steps.get_mut(first..).filter(|added| added.len() > 1) {
        added.sort_by_cached_key(|step| {
            let state = health(step.deployment.id);
            (!state.passing, state.strained)
        });
    }
}
