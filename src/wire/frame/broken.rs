//! What is wrong with a stream that cannot be cut.

/// The stream cannot be cut any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("an event of the stream is larger than {limit_bytes} bytes")]
    TooLong { limit_bytes: usize },
    #[error("a frame of the stream is damaged")]
    Damaged,
}
