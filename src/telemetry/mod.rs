//! Logs for people, fields for queries, counters for graphs. Never a body, a key or a prompt.

pub mod log;
pub mod metrics;
