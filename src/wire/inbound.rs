//! A request as it arrived: its bytes, its head, and, once somebody needs the words, its meaning.

use std::cell::OnceCell;

use bytes::Bytes;

use super::vocab::{Dialect, Head, Malformed, Request};
use super::{codec, embeddings};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Generate,
    /// Vectors for texts, in OpenAI's form.
    Embed,
}

#[derive(Debug)]
pub struct Inbound {
    pub operation: Operation,
    pub dialect: Dialect,
    pub head: Head,
    pub body: Bytes,
    /// Headers that mean something to a provider of the same dialect (`anthropic-beta`).
    pub forward: Vec<(&'static str, String)>,
    request: OnceCell<Request>,
}

/// What a path says where a dialect puts it there (Gemini).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTarget {
    pub model: String,
    pub stream: bool,
}

impl Inbound {
    /// Reads only the head.
    ///
    /// # Errors
    /// [`Malformed`] as the dialect's codec finds it.
    pub fn arrive(
        dialect: Dialect,
        body: Bytes,
        target: Option<PathTarget>,
    ) -> Result<Self, Malformed> {
        let mut head = codec(dialect).head(&body)?;
        if let Some(target) = target {
            head.model = target.model;
            head.model_at = None;
            head.stream = target.stream;
        }
        Ok(Self {
            operation: Operation::Generate,
            dialect,
            head,
            body,
            forward: Vec::new(),
            request: OnceCell::new(),
        })
    }

    /// A request for embeddings, in OpenAI's form.
    ///
    /// # Errors
    /// [`Malformed`] naming the field at fault.
    pub fn arrive_to_embed(body: Bytes) -> Result<Self, Malformed> {
        Ok(Self {
            operation: Operation::Embed,
            dialect: Dialect::OpenAiChat,
            head: embeddings::head(&body)?,
            body,
            forward: Vec::new(),
            request: OnceCell::new(),
        })
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
        decoded.model.clone_from(&self.head.model);
        if self.head.stream {
            decoded.stream = Some(true);
            // Usage comes at the end of every stream but chat's, where it must be asked for.
            decoded.include_usage = Some(true);
        }
        Ok(self.request.get_or_init(|| decoded))
    }
}
