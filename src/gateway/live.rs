//! What requests are decided by, swapped as a whole while others go on: a request keeps what it
//! began with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalogue::Catalogue;
use crate::router::Predictor;

/// A catalogue, and the router's abilities of its models.
#[derive(Debug)]
pub struct Live {
    pub catalogue: Catalogue,
    pub predictor: Predictor,
    /// The revision of the catalogue that was laid over the built-in one; 0 for none.
    pub revision: i64,
}

impl Live {
    /// Differs between any two that were in force in this process: what is remembered by a model's
    /// place in one catalogue says nothing of another.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.catalogue.ids().start
    }
}

/// The one that is in force. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Current(Arc<ArcSwap<Live>>);

impl Current {
    #[must_use]
    pub fn new(live: Live) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(live)))
    }

    #[must_use]
    pub fn load(&self) -> Arc<Live> {
        self.0.load_full()
    }

    /// Puts another in force, and gives back the one before.
    pub fn swap(&self, live: Live) -> Arc<Live> {
        self.0.swap(Arc::new(live))
    }
}
