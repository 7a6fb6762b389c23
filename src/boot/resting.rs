//! Looks after deployments that rest and that nobody asks, as long as the process is there.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::base::clock::Dice;
use crate::catalogue::Provider;
use crate::gateway::live::Current;
use crate::upstream::{HealthBoard, Prober, probe_resting};

/// Rounds are half as far apart to so far: nodes do not ask all at once.
const INTERVAL: Duration = Duration::from_secs(6);
/// How long a provider may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);

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
            tokio::time::sleep(dice.jitter(INTERVAL)).await;
            let live = current.load();
            let ask = |provider: Arc<Provider>, key| {
                let prober = prober.clone();
                async move { prober.ask(&provider, key, PATIENCE).await }
            };
            probe_resting(&health, &live.catalogue, ask).await;
        }
    });
    Ok(())
}
