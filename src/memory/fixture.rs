//! For tests: memory that has no models.

use bytes::Bytes;

use super::{Answering, Models};
use crate::admit::Caller;

/// A fake for tests: no model is asked.
pub(super) struct NoModels;

impl Models for NoModels {
    fn embed<'a>(&'a self, _: &'a Caller, _: Bytes) -> Answering<'a> {
        unreachable!("no embedding model is configured")
    }

    fn complete<'a>(&'a self, _: &'a Caller, _: Bytes) -> Answering<'a> {
        unreachable!("no extraction model is configured")
    }

    fn aside(&self) -> Box<dyn Models> {
        Box::new(Self)
    }
}
