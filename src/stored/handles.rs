//! What use cases here need of a worker, which makes these for them.

use crate::admit::Identities;
use crate::base::clock::Clock;
use crate::live::Current;
use crate::store::Store;

/// Where callers keep what is theirs.
#[derive(Clone, Copy)]
pub struct CallerStore<'a> {
    pub store: &'a Store,
    pub clock: Clock,
}

/// Where keys are seen to.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub store: &'a Store,
    /// Who asks is forgotten where their keys changed.
    pub identities: &'a Identities,
    /// The guardrails that a key can name.
    pub current: &'a Current,
    pub clock: Clock,
}
