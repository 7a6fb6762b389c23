//! For tests: memory that has no models.

use bytes::Bytes;

use super::{Answering, Models};
use crate::admit::Caller;

/// Memory that asks no model.
pub(super) struct Nobody;

impl Models for Nobody {
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
