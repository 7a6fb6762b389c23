//! Messages requests.

mod read;
mod write;

pub(super) use read::{decode, head};
pub(super) use write::encode;
