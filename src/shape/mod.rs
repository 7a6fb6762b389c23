//! Requests as a model takes them. One pure function over the vocabulary: what a model's facts say
//! that it refuses is left out and named, what it takes in another form is put into that form.
//! Bodies that pass through in their own dialect are looked at first (`glance`); those that need
//! nothing go on as the bytes that they came as.

mod content;
mod custom;
mod foreign;
mod glance;
mod members;
mod names;
mod namespaces;
mod schema;

use std::borrow::Cow;

use crate::catalogue::{Facts, Param, SchemaSubset, When};
use crate::wire::json_mode::Form;
use crate::wire::refusal::is_form;
use crate::wire::vocab::{Dialect, Losses, Protocol, Request};

pub use custom::Texts;
pub use glance::may_need;
pub use names::Names;
pub use schema::violation;

/// What a request is fitted to.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    pub facts: &'a Facts,
    /// The dialect that it will be asked in.
    pub protocol: Protocol,
    /// The provider knows `max_tokens` alone.
    pub max_tokens_only: bool,
    /// Nobody else can do what is asked: what this model cannot do as such is put into words.
    pub last_resort: bool,
    /// The deployment has refused a form of the answer (JSON mode, a schema), though no file says so.
    pub refused_form: bool,
}

/// A request that the model takes.
#[derive(Debug)]
pub struct Fitted<'a> {
    /// Borrowed, where nothing had to be changed.
    pub request: Cow<'a, Request>,
    /// What was left out or changed.
    pub losses: Losses,
    /// Tools that go by other names there.
    pub names: Names,
    /// What the answer's schema says that the model could not be told.
    pub unsaid_schema: Option<serde_json::Value>,
    /// What of the answer counts, where the value was asked for in words, or inside an object.
    pub held: Option<Form>,
}

/// A request while it is being fitted.
struct Draft<'a> {
    request: Cow<'a, Request>,
    losses: Losses,
    held: Option<Form>,
}

impl Draft<'_> {
    /// The request, to be changed: copied the first time.
    fn edit(&mut self) -> &mut Request {
        self.request.to_mut()
    }

    /// Takes members out that say in the caller's own spelling what is about to be said otherwise.
    fn respell(&mut self, paths: &[&str]) {
        if paths.iter().any(|path| {
            let name = path.split('.').next().unwrap_or(path);
            self.request.extra.says(name)
        }) {
            let request = self.edit();
            for path in paths {
                request.extra.strike(path);
            }
        }
    }
}

impl Model<'_> {
    /// Whether the request is asked in the dialect that it came in.
    fn at_home(&self, request: &Request) -> bool {
        request.from.is_some_and(|from| self.protocol == Protocol::Dialect(from))
    }

    /// Whether no form of the answer can be demanded, not even a JSON object.
    fn takes_no_form(&self) -> bool {
        let named = |param: &Param| matches!(param, Param::Other(name) if is_form(name));
        self.refused_form
            || self.facts.schema == Some(SchemaSubset::None)
            || self
                .facts
                .refuses
                .iter()
                .any(|refusal| named(&refusal.param) && refusal.when == When::Always)
    }

    /// Claude, wherever it runs.
    fn is_anthropic(&self) -> bool {
        self.protocol == Protocol::Dialect(Dialect::Anthropic) || self.protocol == Protocol::Bedrock
    }
}

/// Fits a request to a model.
#[must_use]
pub fn fit<'a>(request: &'a Request, model: &Model<'_>) -> Fitted<'a> {
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
    Fitted { request, losses, names, unsaid_schema, held }
}

#[cfg(test)]
mod tests;
