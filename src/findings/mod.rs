//! What is found out of models while they are used: what answers show by themselves, what accounts say of
//! them, and what was read of the requests that led to them.

pub mod check;
mod corrections;
mod found;
mod outcomes;
mod recorder;

pub use corrections::{AccountCorrections, CorrectionStore, KnownCorrections};
pub use found::{ModelFindings, found};
pub use outcomes::{Findings, LONGEST_BYTES, Reading, SharedShift, SharedShifts};
pub use recorder::Recorder;
