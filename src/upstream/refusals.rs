//! What deployments have refused, though no file says so: found out by asking once, remembered
//! while the process runs, and told to the operator, who may want to write it down.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::catalogue::Deployment;
use crate::router::Step;
use crate::telemetry::metrics::Metrics;

/// The most members that are remembered of a deployment, and the most deployments of which any are.
/// Providers choose the names, so both need a bound.
const MEMBERS: usize = 16;
const DEPLOYMENTS: usize = 1_024;

/// After so long it is found out anew: makers change their minds.
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// A deployment by its provider and its name there: its id changes with the catalogue.
type Place = (Arc<str>, String);

/// Since when, and which members.
type Found = (Instant, Arc<[String]>);

/// Members by deployment. Read for every attempt, and nearly always empty.
#[derive(Debug)]
pub struct Refusals {
    known: RwLock<HashMap<Place, Found>>,
    nothing: Arc<[String]>,
    metrics: Metrics,
}

/// A line of the status.
#[derive(Debug, Clone, Serialize, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename = "LearnedRefusal")]
pub struct LearnedRefusal {
    pub provider: String,
    pub model: String,
    pub members: Vec<String>,
}

impl Refusals {
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { known: RwLock::default(), nothing: Arc::from([]), metrics }
    }

    /// What a deployment is known not to take.
    #[must_use]
    pub fn of(&self, deployment: &Deployment) -> Arc<[String]> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Arc::clone(&self.nothing);
        }
        let place = (Arc::clone(&deployment.provider.id), deployment.name.clone());
        let fresh = known.get(&place).filter(|(since, _)| since.elapsed() < REMEMBERED);
        fresh.map_or_else(|| Arc::clone(&self.nothing), |(_, members)| Arc::clone(members))
    }

    /// Remembers a member that a deployment has just refused.
    pub fn learn(&self, step: &Step, member: &str) {
        let deployment = &step.deployment;
        let place = (Arc::clone(&deployment.provider.id), deployment.name.clone());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        if known.len() >= DEPLOYMENTS && !known.contains_key(&place) {
            return;
        }
        let (_, before) =
            known.entry(place).or_insert_with(|| (Instant::now(), Arc::clone(&self.nothing)));
        if before.iter().any(|one| one == member) || before.len() >= MEMBERS {
            return;
        }
        tracing::warn!(
            provider = %deployment.provider.id,
            model = %step.model.id,
            member,
            "the model refuses a member that its facts do not name: left out from now on; add it to \
             the model's facts as refuses = {{ {member} = \"always\" }}"
        );
        self.metrics
            .learned_refusals
            .with_label_values(&[&*deployment.provider.id, &*step.model.label, member])
            .inc();
        let after: Vec<String> = before.iter().cloned().chain([member.to_owned()]).collect();
        *before = Arc::from(after);
    }

    /// All of it, for the operator.
    #[must_use]
    pub fn all(&self) -> Vec<LearnedRefusal> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<LearnedRefusal> = known
            .iter()
            .map(|((provider, model), (_, members))| LearnedRefusal {
                provider: provider.to_string(),
                model: model.clone(),
                members: members.to_vec(),
            })
            .collect();
        all.sort_by(|one, other| (&one.provider, &one.model).cmp(&(&other.provider, &other.model)));
        all
    }
}
