//! Who asks, and what the plan allows them.

pub mod identity;
pub mod keys;
pub mod plan;

pub use identity::{Caller, Identities};
pub use plan::{Plan, Plans};
