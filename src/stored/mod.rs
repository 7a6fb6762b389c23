//! What callers keep here, seen to by themselves: keys, people, members, features, agents, conversations, chats.

pub mod agents;
pub mod browser_keys;
pub mod chats;
pub mod conversations;
pub mod features;
mod handles;
pub mod keeper;
pub mod keys;
pub mod person;
pub mod team;

pub use handles::{CallerStore, Keys};
