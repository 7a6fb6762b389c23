//! Tools on offer, and how the model may choose among them.

use super::{Dialect, Extra};
use serde_json::Value;

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
