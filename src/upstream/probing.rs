//! Deployments that rest and that nobody asks: their provider is asked for its list of models, which costs
//! nothing. So it is known whether they are there before a caller has to find out.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::health::{HealthBoard, Permit};
use crate::catalogue::{Auth, Catalogue, Deployment, Provider};
use crate::wire::vocab::{Fault, FaultKind};

/// Providers that are asked in one round. Those that do not answer rest for longer, so that the others
/// come next.
const MOST: usize = 16;

/// Asks the providers of all that is due, each once and all at once: `ask` takes a provider and the place
/// of the key to ask with, and has to end by itself.
pub async fn round<F>(
    health: &Arc<HealthBoard>,
    catalogue: &Catalogue,
    ask: impl Fn(Arc<Provider>, usize) -> F,
) where
    F: Future<Output = Result<u16, Fault>>,
{
    let now = Instant::now();
    let all = catalogue.models().iter().flat_map(|model| &model.deployments);
    let mut due: BTreeMap<&str, Vec<&Arc<Deployment>>> = BTreeMap::new();
    for one in all.filter(|one| health.is_due(one.id, now)) {
        due.entry(&one.provider.id).or_default().push(one);
    }
    let ask = &ask;
    join_all(due.into_values().take(MOST).map(|deployments| async move {
        let Some(first) = deployments.first() else { return };
        // Somebody may have asked one of them meanwhile.
        let permits: Vec<Permit> =
            deployments.iter().filter_map(|one| health.permit(one.id, now)).collect();
        let provider = &first.provider;
        let key = health.keys().pick(first, now);
        let seen = seen(provider, ask(Arc::clone(provider), key).await);
        tracing::debug!(provider = %provider.id, ?seen, "asked whether it is there");
        for permit in permits {
            match &seen {
                Seen::There => health.is_there(permit),
                Seen::Away(fault) => health.failed(permit, fault, None),
                Seen::Nothing => drop(permit),
            }
        }
    }))
    .await;
}

/// What the list of models says of a provider.
#[derive(Debug)]
enum Seen {
    There,
    Away(Fault),
    /// It answers, and not to this.
    Nothing,
}

fn seen(provider: &Provider, answer: Result<u16, Fault>) -> Seen {
    // A credential that is made for each request is not made for this one.
    let shows_key = !provider.keys.is_empty() && !matches!(provider.auth, Auth::Aws | Auth::Google);
    let away = |kind, status| {
        let mut fault = Fault::new(kind, "");
        fault.status = Some(status);
        Seen::Away(fault)
    };
    match answer {
        Err(fault) => Seen::Away(fault),
        Ok(status @ 500..) => away(FaultKind::Broken, status),
        Ok(429) => Seen::Nothing,
        Ok(status @ (401 | 403)) if shows_key => away(FaultKind::Credential, status),
        // Not all have such a list; whoever says so is there.
        Ok(_) => Seen::There,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::base::clock::Dice;
    use crate::catalogue::{
        ApiKey, DeploymentEntry, DeploymentId, ModelEntry, ProviderEntry, Sources, load,
    };

    /// Two models at a provider with a key.
    fn catalogue() -> Catalogue {
        let house =
            ProviderEntry { base_url: Some("http://h".to_owned()), ..ProviderEntry::default() };
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
            keys: [("house".to_owned(), vec![ApiKey::new("k".into(), 1.0)])].into(),
            ..Sources::default()
        };
        load(sources).unwrap()
    }

    fn ids(catalogue: &Catalogue) -> Vec<DeploymentId> {
        let all = catalogue.models().iter().flat_map(|model| &model.deployments);
        all.map(|one| one.id).collect()
    }

    fn tripped(catalogue: &Catalogue) -> Arc<HealthBoard> {
        let board = Arc::new(HealthBoard::new(catalogue.ids()));
        let fault = Fault::new(FaultKind::Broken, "");
        for id in ids(catalogue) {
            while let Some(permit) = board.permit(id, Instant::now()) {
                board.failed(permit, &fault, None);
            }
        }
        board
    }

    /// Rounds of a provider that is away for `away`: after how long it is known to be there, and how often
    /// it was asked.
    async fn until_there(away: Duration, seed: u64) -> (Duration, usize) {
        let catalogue = catalogue();
        let (board, began) = (tripped(&catalogue), Instant::now());
        let (asked, under_way) = (Cell::new(0), Cell::new(0));
        let mut dice = Dice::seeded(seed);
        loop {
            tokio::time::sleep(dice.jitter(Duration::from_secs(6))).await;
            round(&board, &catalogue, |_, _| async {
                asked.set(asked.get() + 1);
                under_way.set(under_way.get() + 1);
                assert_eq!(under_way.get(), 1, "one at a time, for all that it serves");
                tokio::time::sleep(Duration::from_millis(100)).await;
                under_way.set(under_way.get() - 1);
                if began.elapsed() < away {
                    Err(Fault::new(FaultKind::Unreachable, ""))
                } else {
                    Ok(200)
                }
            })
            .await;
            let now = Instant::now();
            let due = ids(&catalogue).into_iter().any(|id| board.has_tripped(id));
            if !due {
                return (now - began, asked.get());
            }
            assert!(began.elapsed() < away + Duration::from_secs(60), "never came back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_back_is_known_to_be_within_twenty_seconds_and_asked_little_before() {
        for seed in 0..500 {
            let away = Duration::from_secs_f64(Dice::seeded(seed).unit() * 300.0);
            let (back, asked) = until_there(away, seed).await;
            let late = back.saturating_sub(away);
            assert!(late < Duration::from_secs(20), "{seed}: {late:?} after {away:?}");
            assert!(asked as u64 <= 3 + away.as_secs() / 10, "{seed}: asked {asked} times");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_who_is_up_rests_or_is_being_asked() {
        let catalogue = catalogue();
        let nobody = |_, _| async { Err(Fault::new(FaultKind::Broken, "asked")) };
        let asked = Cell::new(0);
        let count = |_, _| {
            asked.set(asked.get() + 1);
            async { Ok(200) }
        };
        let up = Arc::new(HealthBoard::new(catalogue.ids()));
        round(&up, &catalogue, nobody).await;
        let board = tripped(&catalogue);
        round(&board, &catalogue, count).await;
        assert_eq!(asked.get(), 0, "they rest");
        tokio::time::advance(Duration::from_secs(3)).await;
        round(&board, &catalogue, count).await;
        assert_eq!(asked.get(), 0, "a caller may come");
        let permit = |id| board.permit(id, Instant::now());
        let _probes: Vec<_> = ids(&catalogue).into_iter().map(permit).collect();
        tokio::time::advance(Duration::from_secs(4)).await;
        round(&board, &catalogue, count).await;
        assert_eq!(asked.get(), 0, "a caller has come");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_only_there_is_not_trusted_with_five_callers() {
        let catalogue = catalogue();
        let board = tripped(&catalogue);
        let id = ids(&catalogue)[0];
        tokio::time::advance(Duration::from_secs(8)).await;
        round(&board, &catalogue, |_, _| async { Ok(404) }).await;
        assert!(!board.has_tripped(id));
        let permit = board.permit(id, Instant::now()).unwrap();
        board.failed(permit, &Fault::new(FaultKind::Broken, ""), None);
        assert_eq!(board.wait(id, Instant::now()), Duration::from_secs(4), "longer than before");
    }

    #[test]
    fn what_an_answer_says() {
        let catalogue = catalogue();
        let house = &catalogue.models()[0].deployments[0].provider;
        for (status, expected) in [
            (200, "There"),
            (404, "There"),
            (429, "Nothing"),
            (401, "Away"),
            (500, "Away"),
            (503, "Away"),
        ] {
            let told = format!("{:?}", seen(house, Ok(status)));
            assert!(told.starts_with(expected), "{status}: {told}");
        }
        let refused = Fault::new(FaultKind::Unreachable, "");
        assert!(matches!(seen(house, Err(refused)), Seen::Away(_)));
    }
}
