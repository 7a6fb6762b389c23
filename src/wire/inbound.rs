//! A request as it arrived: its bytes, its head, and, once somebody needs the words, its meaning.

use std::cell::OnceCell;

use bytes::Bytes;

use super::codec;
use super::vocab::{Dialect, Head, Malformed, Request};

#[derive(Debug)]
pub struct Inbound {
    pub dialect: Dialect,
    pub head: Head,
    pub body: Bytes,
    request: OnceCell<Request>,
}

impl Inbound {
    /// Reads only the head.
    ///
    /// # Errors
    /// [`Malformed`] as the dialect's codec finds it.
    pub fn arrive(dialect: Dialect, body: Bytes) -> Result<Self, Malformed> {
        let head = codec(dialect).head(&body)?;
        Ok(Self { dialect, head, body, request: OnceCell::new() })
    }

    /// The decoded request; decoded at most once.
    ///
    /// # Errors
    /// [`Malformed`] where the head was fine and the rest is not.
    pub fn request(&self) -> Result<&Request, Malformed> {
        if let Some(request) = self.request.get() {
            return Ok(request);
        }
        let mut decoded = codec(self.dialect).decode_request(&self.body)?;
        decoded.stream = decoded.stream.or(Some(self.head.stream).filter(|stream| *stream));
        Ok(self.request.get_or_init(|| decoded))
    }
}
