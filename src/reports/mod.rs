//! What is told of what was done and of what can be asked for: usage, requests, models, status.

pub mod corrections;
pub mod feedback;
pub mod models;
pub mod request;
pub mod requests;
pub mod standing;
pub mod status;
pub mod usage;
