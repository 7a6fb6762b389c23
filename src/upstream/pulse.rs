//! How a deployment is doing while it is up: how long its answers make one wait, and whether it is
//! about to refuse for a while. Values; the time comes in as an argument.

use std::time::Duration;

use ::http::header::HeaderMap;
use tokio::time::Instant;

use super::tail::Tail;

/// What the newest answer weighs in the average.
const WEIGHT: f32 = 0.2;
/// What was seen longer ago says nothing of now: a deployment that was slow is tried again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// A deployment with less than this share of its limit left is spared.
const LEAST_SHARE: f64 = 0.05;
/// How long it is spared: most limits are a minute's, and refill all the while.
const SPARED_FOR: Duration = Duration::from_secs(5);

/// An average of seconds that forgets.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    seconds: f32,
    at: Option<Instant>,
}

impl Average {
    fn now(self, now: Instant) -> Option<f32> {
        self.at.filter(|at| now.saturating_duration_since(*at) < FORGOTTEN_AFTER)?;
        Some(self.seconds)
    }

    fn observe(&mut self, took: Duration, now: Instant) {
        let new = took.as_secs_f32();
        self.seconds = self.now(now).map_or(new, |old| old + WEIGHT * (new - old));
        self.at = Some(now);
    }
}

/// Answers and their first tokens are apart: one takes as long as it is long.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    whole: Average,
    stream: Average,
    /// Seconds to the first token of a stream, without and with thinking before it.
    first_tokens: [Tail; 2],
    /// Tokens per second of streams, once they have begun.
    rates: Tail,
    /// The share of attempts that failed, the newest weighing most.
    faults: f32,
    spared_until: Option<Instant>,
}

impl Pulse {
    /// Seconds until an answer, or its first token if it is streamed, if that is known.
    #[must_use]
    pub fn wait_seconds(&self, stream: bool, now: Instant) -> Option<f32> {
        let average = if stream { self.stream } else { self.whole };
        average.now(now)
    }

    #[must_use]
    pub fn is_strained(&self, now: Instant) -> bool {
        self.spared_until.is_some_and(|until| now < until)
    }

    pub fn answered(&mut self, stream: bool, took: Duration, now: Instant) {
        let average = if stream { &mut self.stream } else { &mut self.whole };
        average.observe(took, now);
        self.faults -= WEIGHT * self.faults;
    }

    /// A stream began after so long, or was cancelled before it did.
    pub fn first_token(&mut self, thinks: bool, took: Duration) {
        let [plain, thinking] = &mut self.first_tokens;
        if thinks { thinking } else { plain }.observe(took.as_secs_f32());
    }

    /// A stream said so many tokens per second.
    pub fn wrote(&mut self, rate: f32) {
        self.rates.observe(rate);
    }

    #[must_use]
    pub fn first_tokens(&self, thinks: bool) -> &Tail {
        let [plain, thinking] = &self.first_tokens;
        if thinks { thinking } else { plain }
    }

    #[must_use]
    pub fn rates(&self) -> &Tail {
        &self.rates
    }

    pub fn failed(&mut self) {
        self.faults += WEIGHT * (1.0 - self.faults);
    }

    /// From 0 to 1.
    #[must_use]
    pub fn fault_share(&self) -> f32 {
        self.faults
    }

    /// The provider said how much of a limit is left.
    pub fn left(&mut self, share: f64, now: Instant) {
        if share < LEAST_SHARE {
            self.spared_until = Some(now + SPARED_FOR);
        }
    }
}

/// The least share that is left of any limit that the headers of an answer tell of: the names of
/// `OpenAI` (and of most that speak its dialect) and of Anthropic.
#[must_use]
pub fn share_left(headers: &HeaderMap) -> Option<f64> {
    const LIMITS: [[&str; 2]; 4] = [
        ["x-ratelimit-remaining-requests", "x-ratelimit-limit-requests"],
        ["x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens"],
        ["anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit"],
        ["anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-limit"],
    ];
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let shares = LIMITS.iter().filter_map(|[remaining, limit]| {
        let (remaining, limit) = (number(remaining)?, number(limit)?);
        (limit > 0.0 && remaining >= 0.0).then(|| remaining / limit)
    });
    shares.reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_average_follows_and_forgets() {
        let mut now = Instant::now();
        let mut pulse = Pulse::default();
        assert_eq!(pulse.wait_seconds(true, now), None);
        pulse.answered(true, Duration::from_secs(1), now);
        pulse.answered(true, Duration::from_secs(2), now);
        assert!((pulse.wait_seconds(true, now).unwrap() - 1.2).abs() < 1e-6);
        assert_eq!(pulse.wait_seconds(false, now), None, "kinds are apart");
        now += FORGOTTEN_AFTER;
        assert_eq!(pulse.wait_seconds(true, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn little_headroom_spares_a_deployment_for_a_while() {
        let now = Instant::now();
        let mut headers = HeaderMap::new();
        let mut say = |name: &'static str, value: &'static str| {
            headers.insert(name, ::http::HeaderValue::from_static(value));
            share_left(&headers)
        };
        assert_eq!(say("x-ratelimit-remaining-requests", "50"), None);
        assert_eq!(say("x-ratelimit-limit-requests", "100"), Some(0.5));
        assert_eq!(say("x-ratelimit-remaining-tokens", "10"), Some(0.5));
        assert_eq!(say("x-ratelimit-limit-tokens", "1000"), Some(0.01));
        assert_eq!(say("x-ratelimit-limit-tokens", "0"), Some(0.5));
        assert_eq!(say("x-ratelimit-remaining-requests", "soon"), None);
        let mut pulse = Pulse::default();
        pulse.left(0.5, now);
        assert!(!pulse.is_strained(now));
        pulse.left(0.01, now);
        assert!(pulse.is_strained(now));
        assert!(!pulse.is_strained(now + SPARED_FOR));
    }
}
