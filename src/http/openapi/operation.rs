//! What is said of an endpoint.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes the schema of a type, by the name that it has among all of them.
pub(super) type Described = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What it answers when all is well, beside a 202.
pub(super) enum Answer {
    Json(Described),
    /// Nothing but a 202.
    None,
    /// A page for people.
    Page,
    /// Another place to go on at.
    Elsewhere,
    /// A socket in the place of an answer.
    Socket,
}

/// An endpoint.
pub(super) struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    /// What it is told.
    pub body: Option<Described>,
    pub answer: Answer,
    /// What it answers with a 202, where it does.
    pub accepted: Option<Described>,
    /// Names in the query, and their types.
    pub query: &'static [(&'static str, &'static str)],
}

pub(super) const CHANGE: &[(&str, &str)] = &[("dry_run", "boolean"), ("reason", "string")];

pub(super) const PAGE: &[(&str, &str)] = &[("limit", "integer"), ("after", "string")];

const fn by(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    let (body, answer, accepted) = (None, Answer::None, None);
    Operation { method, path, tag, summary, body, answer, accepted, query: &[] }
}

pub(super) const fn get(path: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    by("get", path, tag, summary)
}

pub(super) const fn post(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    by("post", path, tag, summary)
}

pub(super) const fn put(path: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    by("put", path, tag, summary)
}

pub(super) const fn patch(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    by("patch", path, tag, summary)
}

pub(super) const fn delete(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Operation {
    by("delete", path, tag, summary)
}

impl Operation {
    pub(super) const fn told(self, body: Described) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(super) const fn answering(self, answer: Described) -> Self {
        Self { answer: Answer::Json(answer), ..self }
    }

    pub(super) const fn accepting(self, accepted: Described) -> Self {
        Self { accepted: Some(accepted), ..self }
    }

    pub(super) const fn with_page(self) -> Self {
        Self { answer: Answer::Page, ..self }
    }

    pub(super) const fn leading_on(self) -> Self {
        Self { answer: Answer::Elsewhere, ..self }
    }

    pub(super) const fn upgrading(self) -> Self {
        Self { answer: Answer::Socket, ..self }
    }

    pub(super) const fn asking(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }
}
