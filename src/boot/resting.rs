//! Looks after deployments that rest and that nobody asks, as long as the process is there.

use std::sync::Arc;

use super::failure::Failure;
use crate::base::clock::Dice;
use crate::catalogue::Provider;
use crate::live::Current;
use crate::upstream::{HealthBoard, PROBE_INTERVAL, PROBE_PATIENCE, Prober, probe_resting};

/// # Errors
/// When the operating system has no randomness to give.
pub(super) fn look_after(
    current: Current,
    health: Arc<HealthBoard>,
    prober: Prober,
) -> Result<(), Failure> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)?;
    let mut dice = Dice::seeded(u64::from_le_bytes(seed));
    // Nothing waits for it at shutdown: it only asks.
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(dice.jitter(PROBE_INTERVAL)).await;
            let live = current.load();
            let ask = |provider: Arc<Provider>, key| {
                let prober = prober.clone();
                async move { prober.ask(&provider, key, PROBE_PATIENCE).await }
            };
            probe_resting(&health, &live.catalogue, ask).detach_all();
        }
    });
    Ok(())
}
