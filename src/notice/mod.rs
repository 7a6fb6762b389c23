//! What people are told by mail: what a letter says, the outbox where it waits, and the server that
//! carries it. Nothing here is needed: without a mail server there is no [`Mail`].

mod letter;
mod mail;
mod outbox;

pub use letter::Letter;
pub use mail::{Mail, MailError, Undelivered};
