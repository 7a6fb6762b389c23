//! Carrying out a decision: attempts, failover, the relay of what comes back.

mod attempt;
mod breaker;
mod client;
mod closing;
mod dial;
mod document;
mod failover;
mod google;
mod health;
mod hedge;
mod keys;
mod meters;
mod moderation;
mod outgoing;
mod passage;
mod passing;
mod probing;
mod pulse;
mod refusals;
mod relay;
mod rescue;
mod run;
mod scrub;
mod sign;
mod socket;
mod tail;
mod transcript;
mod transport;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::Error;
use crate::base::proxy::Proxies;
use crate::base::seconds::Seconds;
use crate::catalogue::Timeouts;
use crate::ledger::{Basis, Tokens, Tried as Failed};
use crate::router::Step;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trail::Trails;
use crate::wire::vocab::{Aside, Losses};

pub use breaker::Failure;
pub use closing::{Closing, StreamsEnd};
pub use dial::Trust;
pub use document::document;
pub use health::{HealthBoard, Tiding};
pub use hedge::Hedges;
pub use keys::KeyState;
pub use meters::Meters;
pub use moderation::moderate;
pub use probing::{INTERVAL as PROBE_INTERVAL, PATIENCE as PROBE_PATIENCE, round as probe_resting};
pub use refusals::Refusals;
pub use relay::Relay;
pub use run::run;
pub use socket::{Address, Close, Inlet, MESSAGE_BYTES, Message, Outlet, Socket, dial, meter};
pub use transport::{Prober, Transport, exchanges};

/// Time and number limits of attempts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
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

impl Default for Limits {
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

impl Limits {
    /// As they are for one deployment, and within that for one request: `thinks` = its model thinks
    /// before it says anything, for as long as it takes unless somebody has set a limit to that.
    fn at(&self, step: &Step, within: &Timeouts, thinks: bool) -> Self {
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

/// What an attempt needs beside the request itself.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub transport: Transport,
    pub health: Arc<HealthBoard>,
    pub refusals: Arc<Refusals>,
    pub metrics: Metrics,
    pub meters: Meters,
    /// Told of attempts.
    pub trails: Trails,
    pub limits: Limits,
    /// How many streams may be asked for twice.
    pub hedges: Arc<Hedges>,
    pub proxies: Proxies,
    /// Whose certificates providers may have.
    pub trust: Trust,
    /// Told when streams have to end.
    pub closing: Closing,
}

/// An answer on its way to the caller.
pub struct Answer {
    pub step: Step,
    pub attempts: u8,
    /// Attempts before it that did not answer.
    pub tried: Vec<Failed>,
    pub losses: Losses,
    /// Where the answer breaks a schema that its model could not be told.
    pub schema: Option<String>,
    pub body: AnswerBody,
}

/// Nobody answered.
#[derive(Debug)]
pub struct Unanswered {
    pub error: Error,
    pub attempts: u8,
    pub tried: Vec<Failed>,
}

pub enum AnswerBody {
    /// All of it, and what it took. Where a stream was asked for, these are its events.
    Whole { body: Bytes, tokens: Tokens, asides: Vec<Aside>, basis: Basis },
    /// It reads the provider, and waits to be told whom to settle with.
    Relay(Box<Relay>),
}

/// As much of a provider's words as goes into a log.
fn shortened(words: &str) -> String {
    words.chars().take(300).collect()
}
