//! Carrying out a decision: attempts, failover, the relay of what comes back.

mod attempt;
mod breaker;
mod client;
mod closing;
mod dial;
mod document;
mod failover;
mod google;
mod handles;
mod health;
mod hedge;
mod keys;
mod limits;
mod meters;
mod moderation;
mod outgoing;
mod passage;
mod passing;
mod probing;
mod pulse;
mod reading;
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

use bytes::Bytes;

use crate::base::Error;
use crate::ledger::{Basis, FailedAttempt, Tokens};
use crate::router::Step;
use crate::wire::vocab::{AuxiliaryUsage, Losses};

pub use breaker::FailureCost;
pub use closing::{Closing, StreamsEnd};
pub use dial::Trust;
pub use document::document;
pub use handles::Upstream;
pub use health::{HealthBoard, Permit, Tiding};
pub use hedge::Hedges;
pub use keys::KeyStatus;
pub use limits::AttemptLimits;
pub use meters::Meters;
pub use moderation::moderate;
pub use probing::{INTERVAL as PROBE_INTERVAL, PATIENCE as PROBE_PATIENCE, round as probe_resting};
pub use refusals::{LearnedRefusal, Refusals};
pub use relay::Relay;
pub use run::run;
pub use socket::{Address, Close, Inlet, MESSAGE_BYTES, Message, Outlet, Socket, dial, meter};
pub use transport::{Prober, Transport, exchanges};

/// An answer of a provider on its way to the caller, with the attempts before it.
pub struct UpstreamAnswer {
    pub step: Step,
    pub attempts: u8,
    /// Attempts before it that did not answer.
    pub tried: Vec<FailedAttempt>,
    pub losses: Losses,
    /// Where the answer breaks a schema that its model could not be told.
    pub schema: Option<String>,
    pub body: AnswerBody,
}

/// No deployment answered: the error for the caller, and all attempts.
#[derive(Debug)]
pub struct NoAnswer {
    pub error: Error,
    pub attempts: u8,
    pub tried: Vec<FailedAttempt>,
}

pub enum AnswerBody {
    /// All of it, and what it took. Where a stream was asked for, these are its events.
    Whole { body: Bytes, tokens: Tokens, asides: Vec<AuxiliaryUsage>, basis: Basis },
    /// It reads the provider, and waits to be told whom to settle with.
    Relay(Box<Relay>),
}
