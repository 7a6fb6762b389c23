//! Messages: the same object in requests and in answers.

mod read;
mod write;

pub(super) use read::{citation, decode, decode_answer, pictures, thoughts_of_details};
pub(super) use write::{annotation, encode, picture, thought_detail};

use crate::wire::vocab::Dialect;

/// The dialect of these messages, by which what only it knows is tagged.
pub(super) const DIALECT: Dialect = Dialect::OpenAiChat;
