//! What requests are decided by, without a gateway that runs.

use std::path::Path;

use crate::boot::{self, Failure};
use crate::catalogue::Catalogue;
use crate::config;
use crate::router::Predictor;

/// The catalogue that the configuration comes to, and what `auto` chooses by.
pub(super) fn house(config: Option<&Path>) -> Result<(Catalogue, Predictor), Failure> {
    let config = config::read(config)?;
    // The store is not opened for this: the built-in files it is.
    let laid = boot::CatalogueSources::builtin()?;
    let mut catalogue = boot::catalogue(&config, laid.clone(), 0)?;
    if catalogue.deployment_count() == 0 {
        // No provider has a key: as if all had one, as when the gateway simulates them.
        catalogue = boot::simulated("http://localhost", &config, laid.files, 0)?;
    }
    let predictor = boot::predictor(&config.router, &catalogue)?;
    Ok((catalogue, predictor))
}
