//! What is found out of models while they are used: what answers show by themselves, what accounts say of
//! them, and what was read of the requests that led to them.

pub mod check;
mod corrections;
mod outcomes;
mod recorder;

use crate::base::clock::Clock;
use crate::store::Store;

pub use corrections::{Corrections, Found, KnownCorrections, found};
pub use outcomes::{Findings, ForAll, LONGEST_BYTES, MovedForAll, Reading};
pub use recorder::Recorder;

/// What was learned, and where it is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Learned {
    pub store: Store,
    pub clock: Clock,
    /// What accounts said of answers.
    pub corrections: KnownCorrections,
    /// What answers have shown by themselves; `None` where that is not to count.
    pub findings: Option<Findings>,
    /// Where it is kept what was read of requests; `None` where it is not.
    pub recorder: Option<Recorder>,
}
