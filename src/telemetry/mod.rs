//! Logs for people, fields for queries, counters for graphs, spans for traces. Never a body, a key or
//! a prompt.

pub mod access;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod process;
pub mod traceparent;
pub mod trail;
pub mod trails;
