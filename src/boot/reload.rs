//! Changes of the catalogue that reach a running node: a revision that became active in the store,
//! on whichever node it was made, is in force here within a second; `SIGHUP` has the files of keys
//! read again.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{Instant, MissedTickBehavior};

use super::Failure;
use super::sources::{catalogue, document, predictor, revised, simulated};
use crate::base::clock::Clock;
use crate::catalogue::ProviderEntry;
use crate::config::Config;
use crate::gateway::lifecycle;
use crate::gateway::live::{Current, Live};
use crate::store::Store;
use crate::upstream::HealthBoard;

/// How often the store is asked which revision is active: two numbers of one row.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often models that end soon are named in the log.
const WARNING: Duration = Duration::from_secs(86_400);

/// What a catalogue is made from beside the store's revision.
pub(super) struct Making {
    pub config: Arc<Config>,
    /// Where the simulated provider listens, if it stands in for all of them.
    pub simulation: Option<String>,
}

impl Making {
    /// What is in force with these files. `first_id` is behind every id that was given before.
    ///
    /// # Errors
    /// Every fault of the configuration and the files, a line each.
    pub fn live(
        &self,
        files: Vec<ProviderEntry>,
        revision: i64,
        first_id: usize,
    ) -> Result<Live, Failure> {
        let catalogue = match &self.simulation {
            Some(base) => simulated(base, &self.config, files, first_id)?,
            None => catalogue(&self.config, files, first_id)?,
        };
        let predictor = predictor(&self.config.router, &catalogue)?;
        Ok(Live { catalogue, predictor, revision })
    }
}

/// Looks for another active revision, and puts it in force.
pub(super) fn watch(
    making: Making,
    current: Current,
    health: Arc<HealthBoard>,
    store: Store,
    clock: Clock,
    mut hangup: Signal,
) {
    // Nothing waits for it at shutdown: it only reads.
    tokio::spawn(async move {
        let making = Arc::new(making);
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = current.load().revision;
        let mut warned = Instant::now();
        // The files of keys are to be read again, and have not been.
        let mut reread = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = hangup.recv() => reread = true,
            }
            if warned.elapsed() >= WARNING {
                warned = Instant::now();
                lifecycle::warn(&current.load().catalogue, clock.now());
            }
            let active = match store.active_catalogue().await {
                Ok(active) if active == seen && !reread => continue,
                Ok(active) => active,
                Err(why) => {
                    tracing::warn!(%why, "changes of the catalogue cannot be looked for");
                    continue;
                }
            };
            let document = match document(&store, active).await {
                Ok(document) => document,
                Err(why) => {
                    tracing::warn!(%why, "the catalogue's revision cannot be read: it is tried again");
                    continue;
                }
            };
            // One that cannot be used is told of once, and not tried again.
            seen = active;
            let reread = std::mem::take(&mut reread);
            let first_id = current.load().catalogue.ids().end;
            let making = Arc::clone(&making);
            // It takes some milliseconds, which no request should wait for.
            let built = tokio::task::spawn_blocking(move || {
                let files = revised(document.as_deref()).map_err(|why| why.to_string())?;
                making.live(files, active, first_id).map_err(|why| why.to_string())
            });
            let made = async { built.await?.map_err(Failure::from) };
            match made.await {
                Ok(live) => {
                    health.adopt(&current.load().catalogue, &live.catalogue);
                    let (revision, models) = (live.revision, live.catalogue.models().len());
                    lifecycle::warn(&live.catalogue, clock.now());
                    current.swap(live);
                    if reread {
                        tracing::info!(revision, models, "the files of keys have been read again");
                    } else {
                        tracing::info!(revision, models, "another catalogue is in force");
                    }
                }
                Err(why) => {
                    tracing::error!(revision = active, %why, "the catalogue stays as it is");
                }
            }
        }
    });
}
