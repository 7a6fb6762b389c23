//! What everything stands on: clock, ids, money, errors, secrets. Imports nothing of ours.

pub mod calendar;
pub mod clock;
pub mod egress;
pub mod error;
pub mod ids;
pub mod money;
pub mod percent;
pub mod proxy;
pub mod seal;
pub mod seconds;
pub mod secret;
pub mod told;

pub use error::{Blame, Error, Kind, Unavailable};
