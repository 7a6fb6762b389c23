//! Requests as a model takes them. One pure function over the vocabulary: what a model's facts say
//! that it refuses is left out and named, what it takes in another form is put into that form.
//! Bodies that pass through in their own dialect are looked at first (`glance`); those that need
//! nothing go on as the bytes that they came as.

mod content;
mod custom;
mod draft;
mod foreign;
mod free_text;
mod glance;
mod members;
mod names;
mod namespaces;
mod schema;

use std::borrow::Cow;

use crate::wire::json_mode::JsonForm;
use crate::wire::vocab::{Losses, Request};

pub use custom::Texts;
pub use draft::TargetModel;
pub use glance::may_need;
pub use names::Names;
pub use schema::violation;

use draft::Draft;

/// A request, changed so that its model takes it.
#[derive(Debug)]
pub struct FittedRequest<'a> {
    /// Borrowed, where nothing had to be changed.
    pub request: Cow<'a, Request>,
    /// What was left out or changed.
    pub losses: Losses,
    /// Tools that go by other names there.
    pub names: Names,
    /// What the answer's schema says that the model could not be told.
    pub unsaid_schema: Option<serde_json::Value>,
    /// What of the answer counts, where the value was asked for in words, or inside an object.
    pub held: Option<JsonForm>,
}

/// Fits a request to a model.
#[must_use]
pub fn fit<'a>(request: &'a Request, model: &TargetModel<'_>) -> FittedRequest<'a> {
    let mut draft =
        Draft { request: Cow::Borrowed(request), losses: Losses::default(), held: None };
    let mut names = Names::default();
    let untold = schema::in_words(&mut draft, model);
    namespaces::lay_flat(&mut draft, model, &mut names);
    custom::as_functions(&mut draft, model, &mut names);
    members::reasoning(&mut draft, model);
    members::tools(&mut draft, model);
    members::sampling(&mut draft, model);
    members::token_limit(&mut draft, model);
    foreign::untold(&mut draft, model);
    content::roles(&mut draft, model);
    content::thoughts(&mut draft, model);
    content::unproven(&mut draft, model);
    content::sources(&mut draft, model);
    content::drawn(&mut draft, model);
    content::prefill(&mut draft, model);
    content::media(&mut draft, model);
    names::respell(&mut draft, model, &mut names);
    names::call_ids(&mut draft, model);
    let unsaid_schema = untold.or_else(|| schema::fit(&mut draft, model));
    let Draft { request, losses, held } = draft;
    FittedRequest { request, losses, names, unsaid_schema, held }
}

#[cfg(test)]
mod tests;
