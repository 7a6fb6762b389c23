//! Messages: the same object in requests and in answers.

mod read;
mod write;

pub(super) use read::{decode, decode_answer};
pub(super) use write::{encode, thought_detail};
