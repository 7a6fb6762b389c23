//! What is in force, made from the configuration and a revision of the store.

use std::sync::Arc;

use super::failure::Failure;
use super::sources::{CatalogueSources, catalogue, guardrails, predictor, simulated};
use crate::config::Config;
use crate::live::Live;

/// What a catalogue is made from beside the store's revision.
#[derive(Debug, Clone)]
pub(super) struct CatalogueInputs {
    pub config: Arc<Config>,
    /// Where the simulated provider listens, if it stands in for all of them.
    pub simulation: Option<String>,
}

impl CatalogueInputs {
    /// What is in force with these files. `first_id` is behind every id that was given before.
    ///
    /// # Errors
    /// Every fault of the configuration and the files, a line each.
    pub fn live(
        &self,
        laid: CatalogueSources,
        revision: i64,
        first_id: usize,
    ) -> Result<Live, Failure> {
        let catalogue = match &self.simulation {
            Some(base) => simulated(base, &self.config, laid.files, first_id)?,
            None => catalogue(&self.config, laid, first_id)?,
        };
        let predictor = predictor(&self.config.router, &catalogue)?;
        let guardrails = guardrails(&self.config)?;
        Ok(Live { catalogue, predictor, guardrails, revision })
    }
}
