//! How long and how often is tried.

use std::time::Duration;

use crate::base::seconds::Seconds;
use crate::catalogue::Timeouts;
use crate::router::Step;

/// Limits of an attempt at a provider: times to wait, and numbers of tries.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    pub connect: Duration,
    /// From sending a request for a stream to its first byte.
    pub first_byte: Duration,
    /// From sending a request for a stream to the first of the answer itself, where another deployment
    /// could be asked instead and the model is not known to think first.
    pub first_token: Duration,
    /// Between two chunks.
    pub idle: Duration,
    /// For an answer that comes whole, if it is less than the deadline.
    pub answer: Duration,
    /// For a request as a whole, up to the first byte that the caller sees.
    pub deadline: Duration,
    pub attempts: u8,
    /// Tries at one deployment, where the fault may pass.
    pub tries_per_deployment: u8,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
    /// How long a request waits for deployments that rest, where nobody else is left.
    pub queue: Duration,
    /// Whether a stream that breaks off is asked for once more, to go on with it.
    pub rescue: bool,
    /// A whole answer larger than this is refused.
    pub reply_bytes: usize,
    /// Silence after which a stream to the caller is kept alive.
    pub keep_alive: Duration,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            first_token: Duration::from_secs(12),
            idle: Duration::from_secs(60),
            answer: Duration::MAX,
            deadline: Duration::from_secs(300),
            attempts: 8,
            tries_per_deployment: 2,
            longest_wait: Duration::from_secs(3),
            queue: Duration::from_secs(30),
            rescue: true,
            reply_bytes: 64 << 20,
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl AttemptLimits {
    /// As they are for one deployment, and within that for one request: `thinks` = its model thinks
    /// before it says anything, for as long as it takes unless somebody has set a limit to that.
    pub(super) fn at(&self, step: &Step, within: &Timeouts, thinks: bool) -> Self {
        let set = step.model.timeouts.over(step.deployment.provider.timeouts);
        let least = |set: Option<Seconds>, usual: Duration, wished: Option<Seconds>| {
            Timeouts::or(wished, Duration::MAX).min(Timeouts::or(set, usual))
        };
        let usual = if thinks { Duration::MAX } else { self.first_token };
        let tries = set.tries.unwrap_or(self.tries_per_deployment);
        Self {
            first_byte: least(set.first_byte, self.first_byte, within.first_byte),
            first_token: least(set.first_token, usual, within.first_token),
            idle: least(set.idle, self.idle, within.idle),
            answer: least(set.answer, self.answer, within.answer),
            deadline: least(set.deadline, self.deadline, within.deadline),
            tries_per_deployment: within.tries.map_or(tries, |wished| wished.min(tries)).max(1),
            ..*self
        }
    }
}
