//! What keeps the gateway, or a command, from going on.

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
