//! Why a file is no trained router.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    #[error("it is no trained router")]
    Mark,
    #[error("its head cannot be read: {0}")]
    Head(String),
    #[error("it is of another shape than this build reads")]
    Shape,
    #[error("it is cut off, or too long")]
    Length,
    #[error("it holds a number that is none")]
    Number,
}
