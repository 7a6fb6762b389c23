//! What is wrong with a catalogue.

/// One thing wrong with the catalogue, with the remedy in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CatalogueFault(pub String);
