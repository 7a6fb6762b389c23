//! Where a worker counts and writes down.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Journal, Tariff};
use crate::base::clock::{Clock, Timestamp};
use crate::base::money::Nanos;
use crate::quota::Quota;
use crate::telemetry::trails::Trails;
use crate::wire::vocab::AuxiliaryUsage;

/// Where a worker counts and writes down: shared by all its holds.
#[derive(Debug, Clone)]
pub struct Counter {
    pub quota: Quota,
    pub journal: Journal,
    pub tariff: Arc<Tariff>,
    pub clock: Clock,
    /// How long an answer waits for its line to be safe: a whole one for what is left of this since
    /// its request came, the end of a stream for as long.
    pub patience: Duration,
    /// Told what requests came to.
    pub trails: Trails,
    pub asides: AuxiliaryPricer,
}

/// By a provider's id and a moment.
type AsidesPrice = dyn Fn(&str, &[AuxiliaryUsage], Timestamp) -> Nanos;

/// Prices what other models of a provider did for an answer, by the catalogue in force.
#[derive(Clone)]
pub struct AuxiliaryPricer(Rc<AsidesPrice>);

impl AuxiliaryPricer {
    #[must_use]
    pub fn by(price: impl Fn(&str, &[AuxiliaryUsage], Timestamp) -> Nanos + 'static) -> Self {
        Self(Rc::new(price))
    }

    /// At a provider, at a moment.
    pub(super) fn price(&self, provider: &str, asides: &[AuxiliaryUsage], at: Timestamp) -> Nanos {
        (self.0)(provider, asides, at)
    }
}

impl fmt::Debug for AuxiliaryPricer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PricesAsides")
    }
}
