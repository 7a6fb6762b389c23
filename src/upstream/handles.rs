//! What an attempt needs beside the request itself.

use std::sync::Arc;

use super::{AttemptLimits, Closing, HealthBoard, Hedges, Meters, Refusals, Transport, Trust};
use crate::base::proxy::Proxies;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trails::Trails;

/// What an attempt needs beside the request itself.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub transport: Transport,
    pub health: Arc<HealthBoard>,
    pub refusals: Arc<Refusals>,
    pub metrics: Metrics,
    pub meters: Meters,
    /// Told of attempts.
    pub trails: Trails,
    pub limits: AttemptLimits,
    /// How many streams may be asked for twice.
    pub hedges: Arc<Hedges>,
    pub proxies: Proxies,
    /// Whose certificates providers may have.
    pub trust: Trust,
    /// Told when streams have to end.
    pub closing: Closing,
}
