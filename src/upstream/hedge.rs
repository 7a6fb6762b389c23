//! The first token in time: a request that is slower than its deployment nearly ever is, is asked of
//! a second one too. Whichever begins first answers; the other is cancelled.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// So many hedges may be saved up, for when they are needed at once.
const SAVED: u64 = 20;
/// A hedge, in millionths.
const ONE: u32 = 1_000_000;

/// How many requests may still be asked twice: every stream earns a share of one.
#[derive(Debug)]
pub struct Hedges {
    /// What a stream earns, in millionths of a hedge.
    earns: u64,
    saved: AtomicU64,
}

impl Hedges {
    /// `share` of all streams, from 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to a million"
        )]
        let earns = (share.clamp(0.0, 1.0) * f64::from(ONE)) as u64;
        Self { earns, saved: AtomicU64::new(0) }
    }

    /// A stream is asked for.
    pub fn earn(&self) {
        if self.earns > 0 {
            let more = |saved: u64| (saved < SAVED * u64::from(ONE)).then_some(saved + self.earns);
            // What is not added is too much.
            let _full = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Takes one, if there is one.
    #[must_use]
    pub fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(u64::from(ONE));
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// How a race of two deployments went. One that is `None` was cancelled, or never started.
#[derive(Debug, PartialEq, Eq)]
pub struct RaceOutcome<T> {
    pub first: Option<T>,
    pub second: Option<T>,
}

/// Runs `first`, and after a while what `start` begins beside it, if it does: to the first that `wins`,
/// or until both have lost.
pub async fn race<T, S: Future<Output = T>>(
    first: impl Future<Output = T>,
    after: Duration,
    start: impl FnOnce() -> Option<S>,
    wins: impl Fn(&T) -> bool,
) -> RaceOutcome<T> {
    let mut first = pin!(first);
    if let Ok(alone) = tokio::time::timeout(after, first.as_mut()).await {
        return RaceOutcome { first: Some(alone), second: None };
    }
    let Some(second) = start() else {
        return RaceOutcome { first: Some(first.await), second: None };
    };
    let mut second = pin!(second);
    let mut raced = RaceOutcome { first: None, second: None };
    std::future::poll_fn(|cx| {
        if raced.first.is_none()
            && let Poll::Ready(done) = first.as_mut().poll(cx)
        {
            let won = wins(&done);
            raced.first = Some(done);
            if won {
                return Poll::Ready(());
            }
        }
        if raced.second.is_none()
            && let Poll::Ready(done) = second.as_mut().poll(cx)
        {
            let won = wins(&done);
            raced.second = Some(done);
            if won {
                return Poll::Ready(());
            }
        }
        if raced.first.is_some() && raced.second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    raced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Dice;
    use crate::upstream::tail::Tail;

    async fn after(millis: u64, says: Result<u8, u8>) -> Result<u8, u8> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        says
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_answer_wins_and_whoever_fails_leaves_it_to_the_other() {
        for (first, second, won) in [
            ((50, Ok(1)), (10, Ok(2)), (Some(Ok(1)), None)),
            ((500, Ok(1)), (10, Ok(2)), (None, Some(Ok(2)))),
            ((105, Ok(1)), (10, Ok(2)), (Some(Ok(1)), None)),
            ((105, Err(1)), (10, Ok(2)), (Some(Err(1)), Some(Ok(2)))),
            ((500, Ok(1)), (10, Err(2)), (Some(Ok(1)), Some(Err(2)))),
            ((500, Err(1)), (10, Err(2)), (Some(Err(1)), Some(Err(2)))),
            // What fails before its time is not hedged, but followed by the next step.
            ((50, Err(1)), (10, Ok(2)), (Some(Err(1)), None)),
        ] {
            let start = || Some(after(second.0, second.1));
            let first = after(first.0, first.1);
            let raced = race(first, Duration::from_millis(100), start, Result::is_ok).await;
            assert_eq!((raced.first, raced.second), won);
        }
        let none = || None::<std::future::Ready<Result<u8, u8>>>;
        let raced = race(after(500, Ok(1)), Duration::from_millis(100), none, Result::is_ok).await;
        assert_eq!(raced, RaceOutcome { first: Some(Ok(1)), second: None });
    }

    #[test]
    fn the_budget_is_a_share_of_the_streams() {
        let hedges = Hedges::new(0.02);
        assert!(!hedges.spend(), "nothing is earned yet");
        let mut spent = 0;
        for _ in 0..10_000 {
            hedges.earn();
            spent += u32::from(hedges.spend());
        }
        assert_eq!(spent, 200);
        (0..100_000).for_each(|_| hedges.earn());
        let saved = (0..1_000).filter(|_| hedges.spend()).count();
        assert!((20..=21).contains(&saved), "{saved}");
        let never = Hedges::new(0.0);
        (0..1_000).for_each(|_| never.earn());
        assert!(!never.spend());
    }

    /// A first token after some 300 ms, and for one request in seventy after some seconds.
    fn token(dice: &mut Dice) -> Duration {
        let usual = 0.15 + 0.3 * dice.unit();
        Duration::from_secs_f64(match dice.wins(1.0 / 70.0) {
            Some(_) => usual + 2.0 + 8.0 * dice.unit(),
            None => usual,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn hedging_halves_the_slowest_first_tokens_for_two_requests_in_a_hundred() {
        const REQUESTS: u32 = 20_000;
        let mut dice = Dice::seeded(17);
        let (hedges, mut tail) = (Hedges::new(0.02), Tail::default());
        let (mut plain, mut hedged, mut asked_twice) = (Vec::new(), Vec::new(), 0_u32);
        for _ in 0..REQUESTS {
            hedges.earn();
            let (first, second) = (token(&mut dice), token(&mut dice));
            plain.push(first);
            let began = tokio::time::Instant::now();
            let late = tail.late().unwrap_or(Duration::MAX);
            let start = || hedges.spend().then(|| tokio::time::sleep(second));
            let raced = race(tokio::time::sleep(first), late, start, |()| true).await;
            let took = began.elapsed();
            asked_twice += u32::from(took > late);
            hedged.push(took);
            tail.observe(if raced.first.is_some() { first } else { took }.as_secs_f32());
        }
        let p99 = |all: &mut Vec<Duration>| {
            all.sort();
            all[all.len() / 100 * 99].as_secs_f64()
        };
        let (plain, hedged) = (p99(&mut plain), p99(&mut hedged));
        let share = f64::from(asked_twice) / f64::from(REQUESTS);
        println!("p99 {plain:.2} s alone, {hedged:.2} s hedged, {:.2} % more", share * 100.0);
        assert!(hedged * 2.0 < plain, "{hedged} of {plain}");
        assert!(share <= 0.02, "{share}");
    }
}
