//! What an answer says of the life of its model: that it ends soon, or answered for one that has.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::calendar;
use crate::base::clock::Timestamp;

use super::{Catalogue, Model};

/// So long before its end a model's end is told of.
pub const NOTICE: Duration = Duration::from_secs(30 * 86_400);

/// When a model ends, if that is soon.
#[must_use]
pub fn ends_soon(model: &Model, now: Timestamp) -> Option<Timestamp> {
    model.ends.filter(|ends| now < *ends && *ends <= now.after(NOTICE))
}

/// The headers of it: `x-optimux-model-ends`, and `x-optimux-replaced` where the model answers for one that has
/// ended, whose name is `replaced`.
pub fn notes(
    replaced: Option<&str>,
    model: &Model,
    now: Timestamp,
    notes: &mut Vec<(&'static str, Cow<'static, str>)>,
) {
    if let Some(ended) = replaced {
        let text = format!("{ended} has ended; {} answers in its place", model.id);
        notes.push(("x-optimux-replaced", Cow::Owned(text)));
    }
    if let Some(ends) = ends_soon(model, now) {
        let day = calendar::written_day(ends);
        let instead = model.replacement.as_deref();
        let text = instead.map_or_else(|| day.clone(), |other| format!("{day}; then {other}"));
        notes.push(("x-optimux-model-ends", Cow::Owned(text)));
    }
}

/// Names every model that ends soon or has ended, once a start, for the operator.
pub fn warn(catalogue: &Catalogue, now: Timestamp) {
    for model in catalogue.models() {
        let instead = model.replacement.as_deref().unwrap_or("none");
        if let Some(ends) = ends_soon(model, now) {
            let ends = calendar::written_day(ends);
            tracing::warn!(model = %model.id, ends, replacement = instead, "a model ends soon");
        }
    }
}
