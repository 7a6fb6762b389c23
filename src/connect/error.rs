//! What apps cannot do.

/// What an app could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("there is no tool '{0}'")]
    NoTool(String),
    #[error("the app did not answer in time")]
    Timeout,
    #[error("the app's answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the app cannot be reached: {0}")]
    Down(String),
    #[error("the app refused: {0}")]
    Refused(String),
}
