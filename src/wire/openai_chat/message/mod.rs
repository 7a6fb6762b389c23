//! Messages: the same object in requests and in answers.

mod read;
mod write;

pub(super) use read::{citation, decode, decode_answer, pictures, thoughts_of_details};
pub(super) use write::{annotation, encode, picture, thought_detail};
