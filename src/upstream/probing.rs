//! Deployments that rest and that nobody asks: their provider is asked for its list of models, which costs
//! nothing. So it is known whether they are there before a caller has to find out.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::health::{HealthBoard, Permit};
use crate::catalogue::{Auth, Catalogue, DeploymentId, Provider};
use crate::wire::vocab::Fault;

/// Rounds are half as far apart to so far: nodes do not ask all at once.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// How long a provider may take to say that it is there. With the rest before it and the time until it is
/// asked it makes up the fifteen seconds in which whoever is back is found out (see the breaker's tests).
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Providers that are asked in one round. Those that do not answer rest for longer, so that the others
/// come next.
const MOST: usize = 64;

/// Begins to ask the providers of all that is due, each once and all at once: `ask` takes a provider and the place
/// of the key to ask with, and has to end by itself. One that is slow keeps nobody waiting, and is not asked
/// again meanwhile. What is under way is in the answer: dropped, it is given up.
#[must_use]
pub fn round<F>(
    health: &Arc<HealthBoard>,
    catalogue: &Catalogue,
    ask: impl Fn(Arc<Provider>, usize) -> F,
) -> JoinSet<()>
where
    F: Future<Output = Result<u16, Fault>> + Send + 'static,
{
    let now = Instant::now();
    let listed = catalogue.models().iter().flat_map(|model| &model.deployments);
    let listed = listed.map(|one| (one.id, &one.provider));
    let mut due: BTreeMap<&str, (&Arc<Provider>, Vec<DeploymentId>)> = BTreeMap::new();
    for (id, provider) in listed.chain(catalogue.unlisted()) {
        if health.is_due(id, now) {
            due.entry(&provider.id).or_insert((provider, Vec::new())).1.push(id);
        }
    }
    let mut asked = JoinSet::new();
    for (provider, ids) in due.into_values().take(MOST) {
        let Some(first) = ids.first() else { continue };
        let key = health.keys().pick_of(provider, *first, now);
        // Somebody may have asked one of them meanwhile.
        let permits: Vec<Permit> = ids.iter().filter_map(|id| health.permit(*id, now)).collect();
        let (health, provider) = (Arc::clone(health), Arc::clone(provider));
        let answer = ask(Arc::clone(&provider), key);
        asked.spawn(async move {
            let seen = seen(&provider, answer.await);
            tracing::debug!(provider = %provider.id, ?seen, "asked whether it is there");
            for permit in permits {
                match seen {
                    Seen::There => health.is_there(permit),
                    Seen::Away => health.is_away(permit),
                    Seen::Nothing => drop(permit),
                }
            }
        });
    }
    asked
}

/// What the list of models says of a provider.
#[derive(Debug, Clone, Copy)]
enum Seen {
    There,
    Away,
    /// It answers, and not to this.
    Nothing,
}

fn seen(provider: &Provider, answer: Result<u16, Fault>) -> Seen {
    // A credential that is made for each request is not made for this one.
    let shows_key = !provider.keys.is_empty() && !matches!(provider.auth, Auth::Aws | Auth::Google);
    match answer {
        Err(_) | Ok(500..) => Seen::Away,
        Ok(429) => Seen::Nothing,
        Ok(401 | 403) if shows_key => Seen::Away,
        // Not all have such a list; whoever says so is there.
        Ok(_) => Seen::There,
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::clock::Dice;
    use crate::catalogue::{ApiKey, DeploymentEntry, ModelEntry, ProviderEntry, Sources, load};
    use crate::wire::vocab::FaultKind;

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

    /// Those of listed models, and that of all others.
    fn ids(catalogue: &Catalogue) -> Vec<DeploymentId> {
        catalogue.ids().map(DeploymentId).collect()
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

    /// Rounds of a provider that is away for `away`, or hangs: after how long it is known to be there, and
    /// how often it was asked.
    async fn until_there(
        catalogue: &Catalogue,
        away: Duration,
        dice: &mut Dice,
    ) -> (Duration, usize) {
        let (board, began) = (tripped(catalogue), Instant::now());
        let (asked, under_way) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let takes = PATIENCE.mul_f64(dice.unit());
        loop {
            tokio::time::sleep(dice.jitter(INTERVAL)).await;
            round(&board, catalogue, |_, _| {
                asked.fetch_add(1, Ordering::Relaxed);
                let under_way = Arc::clone(&under_way);
                let up = began.elapsed() >= away;
                async move {
                    let others = under_way.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(others, 0, "one at a time, for all that it serves");
                    tokio::time::sleep(takes).await;
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    if up { Ok(200) } else { Err(Fault::new(FaultKind::Timeout, "")) }
                }
            })
            .detach_all();
            if !ids(catalogue).into_iter().any(|id| board.has_tripped(id)) {
                return (began.elapsed(), asked.load(Ordering::Relaxed));
            }
            assert!(began.elapsed() < away + Duration::from_secs(60), "never came back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_back_is_known_to_be_within_fifteen_seconds_and_asked_little_before() {
        let catalogue = catalogue();
        for seed in 0..2_000 {
            let mut dice = Dice::seeded(seed);
            let away = Duration::from_secs_f64(dice.unit() * 120.0);
            let (back, asked) = until_there(&catalogue, away, &mut dice).await;
            // That it is known is looked for once a round here.
            let late = back.saturating_sub(away + INTERVAL);
            assert!(late <= Duration::from_secs(15), "{seed}: {late:?} after {away:?}");
            assert!(asked as u64 <= 4 + away.as_secs() / 9, "{seed}: asked {asked} times");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_who_is_up_rests_or_is_being_asked() {
        let catalogue = catalogue();
        let asked = |board: &Arc<HealthBoard>| {
            let asked = AtomicUsize::new(0);
            let count = |_, _| {
                asked.fetch_add(1, Ordering::Relaxed);
                ready(Ok(200))
            };
            drop(round(board, &catalogue, count));
            asked.into_inner()
        };
        assert_eq!(asked(&Arc::new(HealthBoard::new(catalogue.ids()))), 0, "they are up");
        let board = tripped(&catalogue);
        assert_eq!(asked(&board), 0, "they rest");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(asked(&board), 0, "a caller may come");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(asked(&board), 1);
        let permit = |id| board.permit(id, Instant::now());
        let _probes: Vec<_> = ids(&catalogue).into_iter().map(permit).collect();
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(asked(&board), 0, "a caller has come");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_only_there_is_not_trusted_with_five_callers() {
        let catalogue = catalogue();
        let board = tripped(&catalogue);
        tokio::time::advance(Duration::from_secs(8)).await;
        while round(&board, &catalogue, |_, _| ready(Ok(404))).join_next().await.is_some() {}
        for id in ids(&catalogue) {
            assert!(!board.has_tripped(id));
            let permit = board.permit(id, Instant::now()).unwrap();
            board.failed(permit, &Fault::new(FaultKind::Broken, ""), None);
            assert_eq!(
                board.wait(id, Instant::now()),
                Duration::from_secs(4),
                "longer than before"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_keeps_nobody_waiting_and_does_not_rest_for_longer() {
        let catalogue = catalogue();
        let board = tripped(&catalogue);
        tokio::time::advance(Duration::from_secs(8)).await;
        let hangs = |_, _| async {
            tokio::time::sleep(PATIENCE).await;
            Err(Fault::new(FaultKind::Timeout, ""))
        };
        let began = Instant::now();
        let mut asked = round(&board, &catalogue, hangs);
        assert_eq!(began.elapsed(), Duration::ZERO);
        while asked.join_next().await.is_some() {}
        let wait = board.wait(ids(&catalogue)[0], Instant::now());
        assert_eq!(wait, Duration::from_secs(2), "no caller has waited for that");
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
            assert_eq!(told, expected, "{status}");
        }
        let refused = Fault::new(FaultKind::Unreachable, "");
        assert!(matches!(seen(house, Err(refused)), Seen::Away));
    }
}
