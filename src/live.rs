//! What requests are decided by, swapped as a whole while others go on: a request keeps what it
//! began with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::{Error, Kind};
use crate::catalogue::Catalogue;
use crate::guard::{Guardrails, Rules};
use crate::router::Predictor;
use crate::store::Revised;

/// A catalogue, and the router's abilities of its models.
#[derive(Debug)]
pub struct Live {
    pub catalogue: Catalogue,
    pub predictor: Predictor,
    /// What may be said to models and by them; `None` where there are no rules.
    pub guardrails: Option<Arc<Guardrails>>,
    /// The revision of the catalogue that was laid over the built-in one; 0 for none.
    pub revision: i64,
}

impl Live {
    /// # Errors
    /// [`Kind::Malformed`] for the name of a guardrail that is not configured: whoever demands it would
    /// be answered nothing.
    pub fn must_have_guardrails(&self, names: Option<&Vec<String>>) -> Result<(), Error> {
        let known = |name: &&String| self.guardrails.as_ref().is_some_and(|all| all.has(name));
        match names.into_iter().flatten().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(80).collect();
                let text = format!("There is no guardrail '{name}' in the configuration.");
                Err(Error::new(Kind::Malformed, text).at("guardrails"))
            }
        }
    }

    /// What holds for a caller who is held to the guardrails `demanded`, beside those for everybody.
    #[must_use]
    pub fn rules<'a>(&'a self, demanded: &'a [String]) -> Rules<'a> {
        Rules { all: self.guardrails.as_deref(), demanded }
    }

    /// Differs between any two that were in force in this process: what is remembered by a model's
    /// place in one catalogue says nothing of another.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.catalogue.ids().start
    }
}

#[cfg(test)]
impl Live {
    /// Nothing but what this build carries, for tests: no models, no rules.
    #[must_use]
    pub(crate) fn bare() -> Self {
        let catalogue = Catalogue::default();
        let predictor = Predictor::new(Predictor::builtin().unwrap(), &catalogue);
        Self { catalogue, predictor, guardrails: None, revision: 0 }
    }
}

/// Makes what would be in force with a revision, or names every fault of it. It takes some milliseconds.
pub type Trial = Arc<dyn Fn(&Revised) -> Result<Live, Vec<String>> + Send + Sync>;

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
