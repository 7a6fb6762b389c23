//! Tools on offer, and how the model may choose among them.

use super::{Dialect, Extra};
use serde_json::{Map, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub kind: ToolKind,
    pub cache: Option<Value>,
    pub extra: Extra,
    pub inner: Extra,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind {
    Function {
        name: String,
        description: Option<String>,
        /// JSON Schema of the arguments.
        parameters: Option<Value>,
        strict: Option<bool>,
    },
    /// A tool that only one dialect knows (hosted search, free-form grammar), kept whole.
    Opaque(Dialect, Value),
}

impl Tool {
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            ToolKind::Function { name, .. } => Some(name),
            ToolKind::Opaque(..) => None,
        }
    }
}

/// The schema of a tool's arguments as OpenAI takes it: an object says which properties it has, be it none
/// ("object schema missing properties").
#[must_use]
pub fn with_properties(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(members) = &mut schema {
        let says_more = ["$ref", "anyOf", "oneOf", "allOf", "properties"];
        let is_object = members.get("type").is_none_or(|kind| kind == "object");
        if is_object && !says_more.iter().any(|name| members.contains_key(*name)) {
            members.entry("type").or_insert_with(|| Value::from("object"));
            members.insert("properties".to_owned(), Value::Object(Map::new()));
        }
    }
    schema
}

/// What a custom tool of OpenAI's says of itself, or a choice of one: beside its type (Responses),
/// or nested (chat).
#[must_use]
pub fn custom(value: &Value) -> Option<&Map<String, Value>> {
    let members =
        value.as_object().filter(|_| value.get("type").is_some_and(|kind| kind == "custom"))?;
    members.get("custom").and_then(Value::as_object).or(Some(members))
}

impl Tool {
    /// What it says of itself, where it is a custom tool of OpenAI's.
    #[must_use]
    pub fn custom(&self) -> Option<&Map<String, Value>> {
        match &self.kind {
            ToolKind::Opaque(Dialect::OpenAiResponses | Dialect::OpenAiChat, value) => {
                custom(value)
            }
            _ => None,
        }
    }

    /// Whether it is the custom tool of this name.
    #[must_use]
    pub fn is_custom(&self, name: &str) -> bool {
        self.custom().and_then(|members| members.get("name")).is_some_and(|own| own == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    Auto,
    None,
    /// At least one call.
    Required,
    /// This one.
    Named(String),
    /// Some of them; `required` = one must be called.
    Among {
        names: Vec<String>,
        required: bool,
    },
    /// Only its own dialect knows.
    Opaque(Dialect, Value),
}
