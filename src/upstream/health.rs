//! The state of every deployment, shared by the workers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Permit};
use crate::catalogue::DeploymentId;
use crate::wire::vocab::Fault;

/// A breaker per deployment. A lock is held for a few instructions and never over an await.
#[derive(Debug)]
pub struct HealthBoard {
    breakers: Vec<Mutex<Breaker>>,
}

impl HealthBoard {
    #[must_use]
    pub fn new(deployments: usize) -> Self {
        Self { breakers: (0..deployments).map(|_| Mutex::default()).collect() }
    }

    fn with<T>(&self, id: DeploymentId, act: impl FnOnce(&mut Breaker) -> T) -> Option<T> {
        let breaker = self.breakers.get(id.0)?;
        // A breaker is whole after every call, so a panic elsewhere does not spoil it.
        Some(act(&mut breaker.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    #[must_use]
    pub fn is_passing(&self, id: DeploymentId, now: Instant) -> bool {
        self.with(id, |breaker| breaker.is_passing(now)).unwrap_or(false)
    }

    #[must_use]
    pub fn wait(&self, id: DeploymentId, now: Instant) -> Duration {
        self.with(id, |breaker| breaker.wait(now)).unwrap_or_default()
    }

    #[must_use]
    pub fn permit(&self, id: DeploymentId, now: Instant) -> Option<Permit> {
        self.with(id, |breaker| breaker.permit(now)).flatten()
    }

    pub fn succeeded(&self, id: DeploymentId) {
        self.with(id, Breaker::succeeded);
    }

    pub fn failed(&self, id: DeploymentId, permit: Permit, fault: &Fault, rest: Option<Duration>) {
        let now = Instant::now();
        self.with(id, |breaker| {
            if fault.counts_against_health() {
                breaker.failed(permit, now);
            } else {
                breaker.neither(permit, now);
            }
            if let Some(rest) = rest {
                breaker.rest_until(now + rest);
            }
        });
    }

    pub fn neither(&self, id: DeploymentId, permit: Permit) {
        self.with(id, |breaker| breaker.neither(permit, Instant::now()));
    }
}
