//! A request while it is being fitted, and the model that it is fitted to.

use std::borrow::Cow;

use crate::catalogue::{Facts, Param, SchemaSubset, When};
use crate::wire::json_mode::JsonForm;
use crate::wire::refusal::is_form;
use crate::wire::vocab::{Dialect, Losses, Protocol, Request};

/// What a request is fitted to.
#[derive(Debug, Clone, Copy)]
pub struct TargetModel<'a> {
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

/// A request while it is being fitted.
pub(super) struct Draft<'a> {
    pub request: Cow<'a, Request>,
    pub losses: Losses,
    pub held: Option<JsonForm>,
}

impl Draft<'_> {
    /// The request, to be changed: copied the first time.
    pub(super) fn edit(&mut self) -> &mut Request {
        self.request.to_mut()
    }

    /// Takes members out that say in the caller's own spelling what is about to be said otherwise.
    pub(super) fn respell(&mut self, paths: &[&str]) {
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

impl TargetModel<'_> {
    /// Whether the request is asked in the dialect that it came in.
    pub(super) fn at_home(&self, request: &Request) -> bool {
        request.from.is_some_and(|from| self.protocol == Protocol::Dialect(from))
    }

    /// Whether no form of the answer can be demanded, not even a JSON object.
    pub(super) fn takes_no_form(&self) -> bool {
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
    pub(super) fn is_anthropic(&self) -> bool {
        self.protocol == Protocol::Dialect(Dialect::Anthropic) || self.protocol == Protocol::Bedrock
    }
}
