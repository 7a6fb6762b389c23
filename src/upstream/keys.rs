//! Several keys of one provider: whose turn it is, and which of them rest because the provider refused
//! them or limits them. A provider with one key is asked with it, and nothing is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::catalogue::{Deployment, DeploymentId, KeyMark, Provider};
use crate::wire::vocab::{Fault, FaultKind};

/// How long a key rests that is not good, or whose account cannot pay: each time twice as long.
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// How long a key rests that is limited, where the provider does not say.
const LIMITED_FOR: Duration = Duration::from_secs(5);
/// A provider that asks for more is asked again after this.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 3_600);
/// The golden ratio's part behind the point: its multiples are spread evenly over 0 to 1.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Why and until when a key is not asked with.
#[derive(Debug, Default)]
struct Rest {
    /// It was refused, for whatever model.
    refused: Option<(FaultKind, Instant)>,
    /// How often in a row.
    refusals: u32,
    /// It is limited: most limits are a model's.
    limited: Vec<(DeploymentId, Instant)>,
}

impl Rest {
    /// How long it rests for a deployment.
    fn wait(&self, id: DeploymentId, now: Instant) -> Duration {
        let refused = self.refused.map(|(_, until)| until);
        let limited = self.limited.iter().find(|(limited, _)| *limited == id);
        let until = refused.into_iter().chain(limited.map(|(_, until)| *until)).max();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn refuse(&mut self, kind: FaultKind, now: Instant) {
        let rest = FIRST_REST.saturating_mul(1 << self.refusals.min(10)).min(LONGEST_REST);
        self.refusals = self.refusals.saturating_add(1);
        self.refused = Some((kind, now + rest));
    }

    fn limit(&mut self, id: DeploymentId, wait: Option<Duration>, now: Instant) {
        let until = now + wait.unwrap_or(LIMITED_FOR).min(LONGEST_LIMIT);
        self.limited.retain(|(limited, until)| *limited != id && *until > now);
        self.limited.push((id, until));
    }
}

/// What a key is told to an operator as. Never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// Its last characters, if it is long enough to have any to spare.
    pub ending: Option<String>,
    /// Why it rests for all models, if it does: `credential` or `quota`.
    pub refused: Option<FaultKind>,
    pub refused_for: Duration,
    /// For how many deployments it is limited now.
    pub limited: usize,
}

/// Whether a request whose key was refused or limited can go on with another key of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextKey {
    /// Another key of the same deployment is up.
    Another,
    /// None is. The first that is only limited is back after so long.
    None { back: Option<Duration> },
}

/// The keys that rest. The lock is held for a few instructions, and taken only for providers that have
/// several keys.
#[derive(Debug, Default)]
pub struct Keys {
    resting: Mutex<HashMap<KeyMark, Rest>>,
    turns: AtomicU64,
}

impl Keys {
    fn resting<T>(&self, act: impl FnOnce(&mut HashMap<KeyMark, Rest>) -> T) -> T {
        // It is whole after every call, so a panic elsewhere does not spoil it.
        act(&mut self.resting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The place of the key to ask a deployment with: the next in turn, by their weights, of those that
    /// are up; else the one that is up first.
    #[must_use]
    pub fn pick(&self, deployment: &Deployment, now: Instant) -> usize {
        self.pick_of(&deployment.provider, deployment.id, now)
    }

    /// The same, for a provider's deployment of that id.
    #[must_use]
    pub fn pick_of(&self, provider: &Provider, id: DeploymentId, now: Instant) -> usize {
        let keys = &provider.keys;
        if keys.len() < 2 {
            return 0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a number to draw by")]
        let draw = (self.turns.fetch_add(1, Ordering::Relaxed) as f64 * GOLDEN).fract();
        self.resting(|resting| {
            let wait = |mark| resting.get(mark).map_or(Duration::ZERO, |rest| rest.wait(id, now));
            let up = || keys.iter().enumerate().filter(|(_, key)| wait(&key.mark).is_zero());
            let mut left = draw * up().map(|(_, key)| key.weight).sum::<f64>();
            let drawn = up().find(|(_, key)| {
                left -= key.weight;
                left < 0.0
            });
            let drawn = drawn.or_else(|| up().next_back());
            let soonest = || keys.iter().enumerate().min_by_key(|(_, key)| wait(&key.mark));
            drawn.or_else(soonest).map_or(0, |(at, _)| at)
        })
    }

    /// Somebody was answered with a key: it is good. A limit holds all the same: the answer may be to a
    /// request from before it.
    pub fn answered(&self, provider: &Provider, at: usize, now: Instant) {
        if provider.keys.len() < 2 {
            return;
        }
        let Some(key) = provider.keys.get(at) else { return };
        self.resting(|resting| {
            let Some(rest) = resting.get_mut(&key.mark) else { return };
            (rest.refused, rest.refusals) = (None, 0);
            rest.limited.retain(|(_, until)| *until > now);
            if rest.limited.is_empty() {
                resting.remove(&key.mark);
            }
        });
    }

    /// A deployment failed: a fault of the key has it rest. `None` where it is not one, or the provider
    /// has no other key.
    pub fn failed(
        &self,
        deployment: &Deployment,
        at: usize,
        fault: &Fault,
        now: Instant,
    ) -> Option<NextKey> {
        let keys = &deployment.provider.keys;
        if keys.len() < 2 {
            return None;
        }
        let key = keys.get(at)?;
        let limited = match fault.kind {
            FaultKind::RateLimited => true,
            FaultKind::Credential | FaultKind::Quota => false,
            _ => return None,
        };
        self.resting(|resting| {
            let rest = resting.entry(key.mark).or_default();
            if limited {
                rest.limit(deployment.id, fault.wait, now);
            } else {
                rest.refuse(fault.kind, now);
            }
            let mut back: Option<Duration> = None;
            for key in keys {
                let Some(rest) = resting.get(&key.mark) else { return Some(NextKey::Another) };
                let wait = rest.wait(deployment.id, now);
                if wait.is_zero() {
                    return Some(NextKey::Another);
                }
                if rest.refused.is_none_or(|(_, until)| until <= now) {
                    back = Some(back.map_or(wait, |known| known.min(wait)));
                }
            }
            Some(NextKey::None { back })
        })
    }

    /// How the keys of a provider are, in the operator's order.
    #[must_use]
    pub fn states(&self, provider: &Provider, now: Instant) -> Vec<KeyStatus> {
        self.resting(|resting| {
            let state = |key: &crate::catalogue::ApiKey| {
                let rest = resting.get(&key.mark);
                let refused = rest.and_then(|rest| rest.refused).filter(|(_, until)| *until > now);
                let limited = rest.map_or(0, |rest| {
                    rest.limited.iter().filter(|(_, until)| *until > now).count()
                });
                KeyStatus {
                    ending: key.ending().map(str::to_owned),
                    refused: refused.map(|(kind, _)| kind),
                    refused_for: refused
                        .map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now)),
                    limited,
                }
            };
            provider.keys.iter().map(state).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as Map;
    use std::sync::Arc;

    use super::*;
    use crate::catalogue::{ApiKey, Catalogue, ProviderEntry, Sources, load};
    use crate::catalogue::{DeploymentEntry, ModelEntry};

    /// Two models at a provider with keys of these weights.
    fn catalogue(weights: &[f64]) -> Catalogue {
        let house =
            ProviderEntry { base_url: Some("http://h".to_owned()), ..ProviderEntry::default() };
        let keys: Vec<ApiKey> = weights
            .iter()
            .enumerate()
            .map(|(at, weight)| ApiKey::new(format!("key-of-the-house-{at:04}").into(), *weight))
            .collect();
        let model = |id: &str| ModelEntry {
            id: id.to_owned(),
            deployments: Some(vec![DeploymentEntry {
                provider: "house".to_owned(),
                ..DeploymentEntry::default()
            }]),
            ..ModelEntry::default()
        };
        let sources = Sources {
            providers: [("house".to_owned(), house)].into(),
            models: vec![model("a"), model("b")],
            keys: Map::from([("house".to_owned(), keys)]),
            ..Sources::default()
        };
        load(sources).unwrap()
    }

    fn at(catalogue: &Catalogue, model: &str) -> Arc<Deployment> {
        Arc::clone(&catalogue.model(model).unwrap().deployments[0])
    }

    fn picked(keys: &Keys, deployment: &Deployment, now: Instant) -> Vec<usize> {
        let mut counts = vec![0; deployment.provider.keys.len()];
        for _ in 0..1_000 {
            counts[keys.pick(deployment, now)] += 1;
        }
        counts
    }

    fn of(kind: FaultKind) -> Fault {
        Fault::new(kind, "")
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_by_weight_over_the_keys_that_are_up() {
        let (now, keys) = (Instant::now(), Keys::default());
        let catalogue = catalogue(&[1.0, 2.0, 1.0]);
        let a = at(&catalogue, "a");
        let counts = picked(&keys, &a, now);
        assert!(counts[0].abs_diff(250) < 10 && counts[1].abs_diff(500) < 10, "{counts:?}");
        assert_eq!(keys.failed(&a, 1, &of(FaultKind::Credential), now), Some(NextKey::Another));
        let counts = picked(&keys, &a, now);
        assert!(counts[1] == 0 && counts[0].abs_diff(500) < 10, "{counts:?}");
        assert_eq!(keys.states(&a.provider, now)[1].refused, Some(FaultKind::Credential));
        assert_eq!(keys.states(&a.provider, now)[1].ending.as_deref(), Some("0001"));
        // It is back after its rest, or once it has answered all the same.
        assert!(picked(&keys, &a, now + FIRST_REST)[1] > 0);
        keys.answered(&a.provider, 1, now);
        assert!(picked(&keys, &a, now)[1] > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_holds_for_its_model_and_as_long_as_the_provider_says() {
        let (now, keys) = (Instant::now(), Keys::default());
        let catalogue = catalogue(&[1.0, 1.0]);
        let (a, b) = (at(&catalogue, "a"), at(&catalogue, "b"));
        let minute = Duration::from_secs(60);
        let limited = of(FaultKind::RateLimited).after(Some(minute));
        assert_eq!(keys.failed(&a, 0, &limited, now), Some(NextKey::Another));
        assert_eq!(picked(&keys, &a, now), [0, 1_000]);
        assert_eq!(picked(&keys, &b, now), [500, 500]);
        assert_eq!(picked(&keys, &a, now + minute), [500, 500]);
        // The last one: the first that is back is told of, and asked with.
        let shorter = of(FaultKind::RateLimited).after(Some(minute / 2));
        let left = keys.failed(&a, 1, &shorter, now);
        assert_eq!(left, Some(NextKey::None { back: Some(minute / 2) }));
        assert_eq!(picked(&keys, &a, now), [0, 1_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_stays_refused_rests_ever_longer_and_says_nothing_of_when_others_are_back() {
        let (mut now, keys) = (Instant::now(), Keys::default());
        let catalogue = catalogue(&[1.0, 1.0]);
        let a = at(&catalogue, "a");
        let mut rest = FIRST_REST;
        for _ in 0..6 {
            assert_eq!(keys.failed(&a, 0, &of(FaultKind::Quota), now), Some(NextKey::Another));
            assert_eq!(keys.states(&a.provider, now)[0].refused_for, rest);
            now += rest;
            rest = (rest * 2).min(LONGEST_REST);
        }
        assert_eq!(rest, LONGEST_REST);
        keys.failed(&a, 0, &of(FaultKind::Quota), now);
        let left = keys.failed(&a, 1, &of(FaultKind::Credential), now);
        assert_eq!(left, Some(NextKey::None { back: None }));
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_key_and_of_other_faults_nothing_is_kept() {
        let (now, keys) = (Instant::now(), Keys::default());
        let alone = at(&catalogue(&[1.0]), "a");
        assert_eq!(keys.failed(&alone, 0, &of(FaultKind::Credential), now), None);
        let two = at(&catalogue(&[1.0, 1.0]), "a");
        assert_eq!(keys.failed(&two, 0, &of(FaultKind::Broken), now), None);
        assert!(keys.resting(|resting| resting.is_empty()));
    }
}
