//! Messages: the same object in requests and in answers.

mod read;
mod write;

pub(super) use read::{citation, decode, decode_answer};
pub(super) use write::{annotation, encode, thought_detail};
