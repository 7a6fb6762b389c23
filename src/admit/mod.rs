//! Who asks, what they may, and how much of it is left.

mod admission;
pub mod identity;
pub mod keys;
mod office;
pub mod plan;
pub mod terms;

pub use admission::{Denied, admit};
pub use identity::{Caller, Identities};
pub use office::{AccountChange, Office};
pub use plan::{Bound, Plan, PlanEntry, PlanError, Plans};
pub use terms::{KeyTerms, Scope, Usd};
