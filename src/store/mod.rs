//! Rows: one SQL text for SQLite and PostgreSQL. Only `db.rs` and `migrate.rs` know the driver's
//! pool; the rest is SQL and the mapping of its rows.

mod accounts;
mod conversations;
mod db;
mod keys;
mod migrate;
mod pictures;
mod responses;

pub use accounts::Account;
pub use conversations::{Conversation, ConversationItem};
pub use db::{Store, StoreError};
pub use keys::{Key, Owner};
pub use pictures::Picture;
pub use responses::{KeptResponse, Link};
