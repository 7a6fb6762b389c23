//! Changes that reach a running node. A revision of the catalogue that became active in the store, on
//! whichever node it was made, is in force here within a second. The configuration and the files of
//! keys are read again on `SIGHUP`, and when they change: providers, models, routes, prices and plans
//! are taken up, all or nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::time::{Instant, MissedTickBehavior};

use super::failure::Failure;
use super::making::CatalogueInputs;
use super::sources::CatalogueSources;
use super::survey::unusable;
use crate::admit::{Identities, Plans};
use crate::base::clock::Clock;
use crate::catalogue::lifecycle;
use crate::config::{self};
use crate::live::{Current, Live, Trial};
use crate::store::{Revised, Store};
use crate::upstream::HealthBoard;

/// How often the store is asked which revision is active (two numbers of one row), and the files are
/// looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often models that end soon are named in the log.
const WARNING: Duration = Duration::from_secs(86_400);

impl CatalogueInputs {
    /// Reads the configuration again, and makes of it what it comes to.
    ///
    /// # Errors
    /// Every fault, a line each.
    fn anew(
        &self,
        file: &Path,
        laid: CatalogueSources,
        revision: i64,
        first_id: usize,
    ) -> Result<(Self, Live), Failure> {
        let config = Arc::new(config::read(Some(file))?);
        let making = Self { config, simulation: self.simulation.clone() };
        let live = making.live(laid, revision, first_id)?;
        let faults = unusable(&making.config, &live.catalogue, making.simulation.is_some());
        if faults.0.is_empty() { Ok((making, live)) } else { Err(faults.into()) }
    }
}

/// What a change is put in force in.
pub(super) struct Force {
    pub current: Current,
    pub health: Arc<HealthBoard>,
    pub plans: Plans,
    pub identities: Identities,
    pub store: Store,
    pub clock: Clock,
    pub latest: Latest,
}

/// What the catalogue in force was made from, for whoever wants to know what another would be. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub(super) struct Latest(Arc<RwLock<CatalogueInputs>>);

impl Latest {
    pub fn new(making: &CatalogueInputs) -> Self {
        Self(Arc::new(RwLock::new(making.clone())))
    }

    fn store(&self, making: &CatalogueInputs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = making.clone();
    }

    /// Makes what would be in force with a revision, as every node makes it.
    pub fn trial(&self) -> Trial {
        let latest = self.clone();
        Arc::new(move |revised: &Revised| {
            let making = latest.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            let made = CatalogueSources::of(revised).and_then(|laid| making.live(laid, 0, 0));
            let lines = |why: Failure| -> Vec<String> {
                why.to_string().lines().map(str::to_owned).collect()
            };
            let live = made.map_err(lines)?;
            let faults = unusable(&making.config, &live.catalogue, making.simulation.is_some());
            if faults.0.is_empty() {
                return Ok(live);
            }
            Err(faults.0.iter().map(ToString::to_string).collect())
        })
    }
}

/// When files were last written to; `None` for one that is not there.
type Stamps = Vec<Option<(SystemTime, u64)>>;

/// The files that a configuration is made of.
struct Watched {
    /// The configuration itself, where there is one.
    config: Option<PathBuf>,
    all: Vec<PathBuf>,
    /// As they were when they were last taken up, and when they were last looked at.
    taken: Stamps,
    seen: Stamps,
}

impl Watched {
    fn new(config: Option<PathBuf>, making: &CatalogueInputs) -> Self {
        let mut watched = Self { config, all: Vec::new(), taken: Vec::new(), seen: Vec::new() };
        watched.take_up(making);
        watched
    }

    /// They are in force as they are now.
    fn take_up(&mut self, making: &CatalogueInputs) {
        let providers = making.config.providers.values();
        let keys = providers.flat_map(|one| one.key_files().chain(one.tls_files()));
        let weights = making.config.router.weights.clone();
        self.all = self.config.clone().into_iter().chain(keys.map(PathBuf::from)).collect();
        self.all.extend(weights);
        self.taken = self.stamps();
        self.seen.clone_from(&self.taken);
    }

    fn stamps(&self) -> Stamps {
        let stamp = |file: &PathBuf| {
            let known = std::fs::metadata(file).ok()?;
            Some((known.modified().ok()?, known.len()))
        };
        self.all.iter().map(stamp).collect()
    }

    /// Whether they have changed, and whoever writes them is done: they were the same a moment ago.
    /// One that is gone is about to be put in its place, or is a mistake.
    fn have_changed(&mut self) -> bool {
        let now = self.stamps();
        let settled = now == self.seen;
        self.seen = now;
        let changed = settled && self.seen != self.taken && self.seen.iter().all(Option::is_some);
        if changed {
            // Told of once, whatever comes of it.
            self.taken.clone_from(&self.seen);
        }
        changed
    }
}

/// Looks for another active revision and for changed files, and puts them in force.
pub(super) fn watch(
    mut making: CatalogueInputs,
    file: Option<PathBuf>,
    force: Force,
    mut hangup: Signal,
) {
    // Nothing waits for it at shutdown: it only reads.
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = force.current.load().revision;
        let mut warned = Instant::now();
        let mut watched = Watched::new(file, &making);
        // The files are to be read again, and have not been.
        let mut reread = false;
        loop {
            tokio::select! {
                _ = tick.tick() => reread |= watched.have_changed(),
                _ = hangup.recv() => reread = true,
            }
            if warned.elapsed() >= WARNING {
                warned = Instant::now();
                lifecycle::warn(&force.current.load().catalogue, force.clock.now());
            }
            let active = match force.store.active_catalogue().await {
                Ok(active) if active == seen && !reread => continue,
                Ok(active) => active,
                Err(why) => {
                    tracing::warn!(%why, "changes of the catalogue cannot be looked for");
                    continue;
                }
            };
            let revised = match force.store.catalogue_revision(active).await {
                Ok(revised) => revised.unwrap_or_default(),
                Err(why) => {
                    tracing::warn!(%why, "the catalogue's revision cannot be read: it is tried again");
                    continue;
                }
            };
            // One that cannot be used is told of once, and not tried again.
            seen = active;
            let first_id = force.current.load().catalogue.ids().end;
            let reread = std::mem::take(&mut reread);
            let (now, config) = (making.clone(), watched.config.clone().filter(|_| reread));
            // It takes some milliseconds, which no request should wait for.
            let built = tokio::task::spawn_blocking(move || {
                let laid = CatalogueSources::of(&revised).map_err(|why| why.to_string())?;
                let made = match config {
                    Some(config) => now.anew(&config, laid, active, first_id),
                    None => now.live(laid, active, first_id).map(|live| (now, live)),
                };
                made.map_err(|why| why.to_string())
            });
            let made = async { built.await?.map_err(Failure::from) };
            match made.await {
                Ok((made, live)) => {
                    force.adopt(live, &making, &made).await;
                    force.latest.store(&made);
                    making = made;
                    // What has changed meanwhile and was not read is still to be.
                    if reread {
                        watched.take_up(&making);
                    }
                }
                Err(why) => {
                    for why in why.to_string().lines() {
                        tracing::error!(revision = active, why, "the catalogue stays as it is");
                    }
                }
            }
        }
    });
}

impl Force {
    /// Puts it in force, as a whole: requests under way keep what they began with.
    async fn adopt(&self, live: Live, before: &CatalogueInputs, made: &CatalogueInputs) {
        self.health.adopt(&self.current.load().catalogue, &live.catalogue);
        let (revision, models) = (live.revision, live.catalogue.models().len());
        lifecycle::warn(&live.catalogue, self.clock.now());
        self.current.swap(live);
        if Arc::ptr_eq(&before.config, &made.config) {
            tracing::info!(revision, models, "another catalogue is in force");
            return;
        }
        let selling = made.config.selling();
        if before.config.plans != made.config.plans || before.config.selling() != selling {
            self.plans.configure(&made.config.plans, selling);
            if let Err(why) = self.plans.reload(&self.store).await {
                tracing::warn!(%why, "what administrators say of plans cannot be read");
            }
            // Callers are remembered with their plans.
            self.identities.forget_all();
        }
        let waiting = made.config.wants_restart_after(&before.config);
        if !waiting.is_empty() {
            let settings = waiting.join(", ");
            tracing::warn!(settings, "these changes of the configuration wait for a restart");
        }
        tracing::info!(revision, models, "the configuration has been read again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_still_being_written_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("optimux-watched-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("optimux.toml");
        std::fs::write(&file, "a").unwrap();
        let making = CatalogueInputs { config: Arc::default(), simulation: None };
        let mut watched = Watched::new(Some(file.clone()), &making);
        assert!(!watched.have_changed());
        std::fs::write(&file, "ab").unwrap();
        assert!(!watched.have_changed(), "it may still be written to");
        std::fs::write(&file, "abc").unwrap();
        assert!(!watched.have_changed(), "so it was");
        assert!(watched.have_changed());
        assert!(!watched.have_changed(), "once");
        std::fs::remove_file(&file).unwrap();
        assert!(!watched.have_changed());
        assert!(!watched.have_changed(), "what is gone is not nothing");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
