//! Time and chance. The only reader of the wall clock, and the only source of draws,
//! so that a test can hold both still.

use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since the epoch, as OpenAI's `created` counts.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved forward by `by`; saturates instead of wrapping.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment moved back by `by`; saturates instead of wrapping.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Where "now" comes from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// A wall time that moves with Tokio's clock, which a test can pause and advance.
    Anchored { wall: Timestamp, since: tokio::time::Instant },
}

impl Clock {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since_epoch = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Anchored { wall, since } => wall.after(since.elapsed()),
        }
    }
}

/// Every draw the gateway makes (jitter, ties), from one seed.
#[derive(Debug, Clone)]
pub struct Dice(fastrand::Rng);

impl Dice {
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Dice of one's own, seeded by a draw: so that none are held over an await.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// A number to draw by, in so large a share of the throws.
    pub fn wins(&mut self, share: f64) -> Option<u64> {
        (share > 0.0 && self.unit() < share).then(|| self.0.u64(..))
    }

    /// `base` spread over 50 to 100 % of itself, so that many waiting callers do not return at once.
    pub fn jitter(&mut self, base: Duration) -> Duration {
        base.mul_f64(0.5 + self.unit() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_half_and_whole() {
        let mut dice = Dice::seeded(7);
        for _ in 0..1000 {
            let wait = dice.jitter(Duration::from_millis(100));
            assert!(wait >= Duration::from_millis(50) && wait <= Duration::from_millis(100));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_anchored_clock_follows_paused_time() {
        let clock = Clock::Anchored { wall: Timestamp(1_000), since: tokio::time::Instant::now() };
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Timestamp(3_000));
    }
}
