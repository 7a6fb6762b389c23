//! Rules of what lives longer than a request. Pure: rows in, values out.

pub mod agents;
pub mod chats;
pub mod embedding;
pub mod facts;
pub mod items;
pub mod recall;
pub mod redact;
pub mod responses;
