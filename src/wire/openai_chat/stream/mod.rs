//! Chat completion streams.

mod call;
mod glance;
mod reader;
mod writer;

pub(super) use glance::{glance, says};
pub(super) use reader::{ChatReader, tap};
pub(super) use writer::ChatWriter;

/// The data of a stream's last event.
const DONE: &[u8] = b"[DONE]";
