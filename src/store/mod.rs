//! Rows: one SQL text for SQLite and PostgreSQL. Only `db.rs` and `migrate.rs` know the driver's
//! pool; the rest is SQL and the mapping of its rows.

mod accounts;
mod admin;
mod agents;
mod connections;
mod contents;
mod conversations;
mod db;
mod erase;
mod features;
mod feedback;
mod grants;
mod keys;
mod ledger;
mod members;
mod memories;
mod migrate;
mod nodes;
mod pack;
mod pictures;
mod proof;
mod replays;
mod responses;
mod signins;
mod usage;

pub use accounts::Account;
pub use admin::Audit;
pub use agents::AgentRow;
pub use connections::{ConnectEvent, Connection};
pub use contents::Content;
pub use conversations::{Conversation, ConversationItem};
pub use db::{Store, StoreError, file_of};
pub use features::FeatureRow;
pub use feedback::{Feedback, FeedbackSum};
pub use grants::{Grant, GrantRow};
pub use keys::{Key, Owner};
pub use ledger::{AllowanceOf, Balance, MinuteKey, MinuteSums, PageRow, Posted, Posting};
pub use members::Member;
pub use memories::{Memory, MemoryState, RelationRow};
pub use nodes::Node;
pub use pictures::Picture;
pub use proof::{BookSums, EntrySum};
pub use replays::Replay;
pub use responses::{KeptResponse, Link, Seer};
pub use signins::{Refreshed, SignIn, SigningKey};
pub use usage::{Span, UsageRow};
