//! Who asks, what they may, and how much of it is left.

mod admission;
mod demands;
pub mod features;
pub mod identity;
mod inflow;
pub mod keys;
mod oidc;
mod password;
mod person;
pub mod plan;
mod recover;
mod remembered;
mod second;
mod session;
mod signers;
mod signin;
mod signup;
pub mod terms;
mod throttle;
mod token;
mod totp;

pub use admission::{Denied, admit};
pub use demands::Demanded;
pub use features::{Feature, Features};
pub use identity::{Caller, Identities};
pub use inflow::{Inflow, Share};
pub use password::Passwords;
pub use person::{Person, Role, named, user_name};
pub use plan::{Bound, Plan, PlanEntry, PlanError, Plans};
pub use second::{Draft, Entered};
pub use session::{LINK_LASTS, Opened, PROOF_LASTS, SESSION_PREFIX, is_proved};
pub use signers::Signers;
pub use signin::{Authentication, Registered, Session, new_member};
pub use signup::Applicant;
pub use terms::{KeyTerms, Scope, Usd};
pub use throttle::Throttle;
