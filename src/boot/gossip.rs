//! What nodes tell one another where there is Redis: which deployments are down or up again, and where
//! conversations are answered. By names, as places and ids are each node's own.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::failure::Failure as Unable;
use crate::affinity::{Affinity, Whereabouts};
use crate::catalogue::{Catalogue, Deployment, DeploymentId};
use crate::live::{Current, Live};
use crate::quota::Gossip;
use crate::router::PriorAnswerer;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{FailureCost, HealthBoard, Tiding};

/// All that a provider serves which no file lists.
const UNLISTED: &str = "*";

/// A line of it. What a newer node tells and this one does not know is passed over.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// A deployment is left alone for so long, after a limit of time ran out or not.
    Down {
        provider: String,
        name: String,
        rest_ms: u64,
        slow: bool,
    },
    Up {
        provider: String,
        name: String,
    },
    /// A model that `auto` has chosen has answered a conversation, and read so much of it.
    Chosen {
        conversation: u64,
        model: String,
        tokens: u64,
        stays: bool,
    },
    /// A deployment of a model that was named has.
    Named {
        conversation: u64,
        model: String,
        provider: String,
        name: String,
    },
}

/// Tells other nodes, and hears them, as long as the process is there.
///
/// # Errors
/// When the address makes no sense.
pub(super) fn exchange(
    url: &str,
    current: Current,
    health: Arc<HealthBoard>,
    affinity: Affinity,
    metrics: &Metrics,
) -> Result<(), Unable> {
    let (gossip, mut heard) =
        Gossip::open(url).map_err(|why| format!("redis.url cannot be used: {why}"))?;
    let (mut found, mut answered) = (health.tidings(), affinity.tidings());
    let told = metrics.gossip.with_label_values(&["told"]);
    let understood = metrics.gossip.with_label_values(&["heard"]);
    let telling = current.clone();
    tokio::spawn(async move {
        while let Some(line) = next(&telling, &mut found, &mut answered).await {
            // What is of a catalogue that is gone is of no use to anybody.
            if let Some(Ok(line)) = line.map(|line| serde_json::to_string(&line)) {
                gossip.tell(line);
                told.inc();
            }
        }
    });
    tokio::spawn(async move {
        while let Some(line) = heard.recv().await {
            match serde_json::from_str(&line) {
                Ok(line) => {
                    hear(&line, &current.load(), &health, &affinity);
                    understood.inc();
                }
                Err(why) => tracing::debug!(%why, "what another node tells is not understood"),
            }
        }
    });
    Ok(())
}

/// The next message; `None` when there will be no more, `Some(None)` for one that is to be skipped.
async fn next(
    current: &Current,
    found: &mut mpsc::Receiver<(DeploymentId, Tiding)>,
    answered: &mut mpsc::Receiver<Whereabouts>,
) -> Option<Option<Line>> {
    tokio::select! {
        Some((id, tiding)) = found.recv() => {
            Some(of_health(&current.load().catalogue, id, tiding))
        }
        Some(answered) = answered.recv() => Some(of_conversation(&current.load(), answered)),
        else => None,
    }
}

fn of_health(catalogue: &Catalogue, id: DeploymentId, tiding: Tiding) -> Option<Line> {
    let listed =
        catalogue.by_id(id).map(|(_, one)| (one.provider.id.to_string(), one.name.clone()));
    let unlisted = || {
        let (_, provider) = catalogue.unlisted().find(|(other, _)| *other == id)?;
        Some((provider.id.to_string(), UNLISTED.to_owned()))
    };
    let (provider, name) = listed.or_else(unlisted)?;
    Some(match tiding {
        Tiding::Up => Line::Up { provider, name },
        Tiding::Down { rest, failure } => {
            let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
            Line::Down { provider, name, rest_ms, slow: failure == FailureCost::Timeout }
        }
    })
}

fn of_conversation(live: &Live, answered: Whereabouts) -> Option<Line> {
    Some(match answered {
        Whereabouts::Chosen { conversation, generation, before } => {
            let models = live.catalogue.models();
            let model = models.get(before.place).filter(|_| generation == live.generation())?;
            Line::Chosen {
                conversation,
                model: model.id.to_string(),
                tokens: before.prefix_tokens,
                stays: before.stays,
            }
        }
        Whereabouts::Named { conversation, deployment } => {
            let (model, one) = live.catalogue.by_id(deployment)?;
            let (provider, name) = (one.provider.id.to_string(), one.name.clone());
            Line::Named { conversation, model: model.id.to_string(), provider, name }
        }
    })
}

/// The ids of a provider's deployments of that name: it may serve several models by one.
fn ids(catalogue: &Catalogue, provider: &str, name: &str) -> Vec<DeploymentId> {
    if name == UNLISTED {
        let all = catalogue.unlisted().filter(|(_, one)| &*one.id == provider);
        return all.map(|(id, _)| id).collect();
    }
    let all = catalogue.models().iter().flat_map(|model| &model.deployments);
    all.filter(|one| &*one.provider.id == provider && one.name == name).map(|one| one.id).collect()
}

fn hear(line: &Line, live: &Live, health: &HealthBoard, affinity: &Affinity) {
    let catalogue = &live.catalogue;
    let found = |provider: &str, name: &str, tiding| {
        for id in ids(catalogue, provider, name) {
            health.heard(id, tiding);
        }
    };
    match line {
        Line::Up { provider, name } => found(provider, name, Tiding::Up),
        Line::Down { provider, name, rest_ms, slow } => {
            let failure = if *slow { FailureCost::Timeout } else { FailureCost::Fast };
            let rest = Duration::from_millis(*rest_ms);
            found(provider, name, Tiding::Down { rest, failure });
        }
        Line::Chosen { conversation, model, tokens, stays } => {
            let Some(place) = catalogue.models().iter().position(|one| *one.id == **model) else {
                return;
            };
            let before = PriorAnswerer { place, prefix_tokens: *tokens, stays: *stays };
            affinity.heard(Whereabouts::Chosen {
                conversation: *conversation,
                generation: live.generation(),
                before,
            });
        }
        Line::Named { conversation, model, provider, name } => {
            let places = catalogue.model(model).map(|model| &model.deployments);
            let at = |one: &&Arc<Deployment>| *one.provider.id == **provider && one.name == *name;
            if let Some(one) = places.and_then(|places| places.iter().find(at)) {
                let conversation = *conversation;
                affinity.heard(Whereabouts::Named { conversation, deployment: one.id });
            }
        }
    }
}
