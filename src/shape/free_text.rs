//! Free text as the one argument of a function.

use serde_json::Value;

use crate::wire::vocab::{CallKind, ToolCall};

/// The one argument.
pub(super) const INPUT: &str = "input";

/// The free text of a function's arguments; what is no such object as it stands.
pub(super) fn free_text(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut members)) => match members.remove(INPUT) {
            Some(Value::String(text)) => text,
            _ => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}

/// A call of a whole answer as its caller offered the tool.
pub(super) fn restore(call: &mut ToolCall) {
    call.kind = CallKind::Custom;
    call.arguments = call.arguments.as_deref().map(free_text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_such_object_stands_as_it_is() {
        for arguments in ["", "plain", "{\"other\": 1}", "{\"input\": 3}", "[1]"] {
            assert_eq!(free_text(arguments), arguments);
        }
    }
}
