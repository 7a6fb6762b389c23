//! A worker's handles to the metrics of each deployment: found by name once, not for every request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::router::Step;
use crate::telemetry::metrics::{DeploymentMetrics, Metrics};

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Meters(Rc<RefCell<ByDeployment>>);

/// By the deployment's number, which is one model's at one provider.
type ByDeployment = HashMap<usize, Rc<DeploymentMetrics>>;

impl Meters {
    pub(super) fn of(&self, step: &Step, metrics: &Metrics) -> Rc<DeploymentMetrics> {
        let place = step.deployment.id.0;
        let found = self.0.borrow().get(&place).cloned();
        found.unwrap_or_else(|| {
            let (provider, model) = (&*step.deployment.provider.id, &*step.model.id);
            let made = Rc::new(metrics.of_deployment(provider, model));
            self.0.borrow_mut().insert(place, Rc::clone(&made));
            made
        })
    }
}
