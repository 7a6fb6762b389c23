//! What streams and bodies are cut into.

mod broken;
pub mod eventstream;
pub mod json;
pub mod skim;
pub mod sse;

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

pub use broken::Broken;
pub use sse::Frame;

/// The bytes of a stream of events, as they are read.
pub type Pieces = Pin<Box<dyn Stream<Item = Bytes>>>;

/// Cuts a provider's stream into frames, whichever kind it is of.
#[derive(Debug)]
pub enum Splitter {
    Sse(sse::Splitter),
    EventStream(eventstream::Splitter),
}

impl Splitter {
    /// Feeds a chunk and hands each frame that it completes to `each`.
    ///
    /// # Errors
    /// [`Broken`] when there is no going on.
    pub fn feed(&mut self, chunk: &[u8], each: impl FnMut(Frame<'_>)) -> Result<(), Broken> {
        match self {
            Self::Sse(splitter) => splitter.feed(chunk, each),
            Self::EventStream(splitter) => splitter.feed(chunk, each),
        }
    }

    /// The same, with the place in the chunk behind each frame, where frames are events of text.
    ///
    /// # Errors
    /// As [`Splitter::feed`].
    pub fn feed_at(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(Frame<'_>, usize),
    ) -> Result<(), Broken> {
        match self {
            Self::Sse(splitter) => splitter.feed_at(chunk, each),
            Self::EventStream(splitter) => splitter.feed(chunk, |frame| each(frame, chunk.len())),
        }
    }

    /// Nothing of a frame is pending: here something may be put in between.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        match self {
            Self::Sse(splitter) => splitter.is_between_events(),
            Self::EventStream(splitter) => splitter.is_between_events(),
        }
    }

    /// The connection ended.
    pub fn finish(&mut self, each: impl FnMut(Frame<'_>)) {
        if let Self::Sse(splitter) = self {
            splitter.finish(each);
        }
    }
}
