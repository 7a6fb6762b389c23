//! How bodies and streams are cut up, below any dialect.

pub mod json;
pub mod sse;
