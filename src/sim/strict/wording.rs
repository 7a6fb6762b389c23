//! A complaint, and the shape that each maker gives it. Sources: the recordings' rows with a 4xx
//! status; Mistral's OpenAPI document for `detail`.

use serde_json::{Value, json};

use super::house::House;
use crate::wire::vocab::{Dialect, Protocol};

/// A refusal of the simulator, in the words of the model's maker.
#[derive(Debug, Clone, PartialEq)]
pub struct MakerRefusal {
    pub status: u16,
    pub body: Value,
}

/// What is wrong, before it is put into a maker's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    status: u16,
    message: String,
    /// The member, as the request spells it: `messages[0].role`.
    param: Option<String>,
    code: Option<&'static str>,
}

impl Complaint {
    pub fn new(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param: None, code: None }
    }

    pub fn of(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(message) }
    }

    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// OpenAI's words for a value that a model does not take.
    pub fn value(param: &str, said: &str, rest: &str) -> Self {
        let message =
            format!("Unsupported value: '{param}' does not support {said} with this model.{rest}");
        Self::of(param, message).code("unsupported_value")
    }

    /// OpenAI's words for a member that a model does not take.
    pub fn parameter(param: &str, rest: &str) -> Self {
        let message =
            format!("Unsupported parameter: '{param}' is not supported with this model.{rest}");
        Self::of(param, message).code("unsupported_parameter")
    }

    pub fn worded(self, house: House, protocol: Protocol) -> MakerRefusal {
        let Self { status, message, param, code } = self;
        let body = match (house, protocol) {
            (House::Mistral, _) => {
                let loc = param.as_deref().map_or_else(|| vec![json!("body")], location);
                let kind = code.unwrap_or("value_error");
                return MakerRefusal {
                    status: 422,
                    body: json!({"detail": [{"type": kind, "loc": loc, "msg": message}]}),
                };
            }
            (House::Xai, Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses)) => {
                json!({"code": "Client specified an invalid argument", "error": message})
            }
            (_, Protocol::Bedrock) => json!({ "message": message }),
            (_, Protocol::Dialect(Dialect::Anthropic)) => json!({
                "type": "error",
                "error": {"type": "invalid_request_error", "message": message},
            }),
            (_, Protocol::Dialect(Dialect::Gemini)) => json!({
                "error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"},
            }),
            (_, Protocol::Dialect(Dialect::OpenAiChat | Dialect::OpenAiResponses)) => json!({
                "error": {"message": message, "type": "invalid_request_error", "param": param,
                    "code": code},
            }),
        };
        MakerRefusal { status, body }
    }
}

/// `messages[0].role` as `["body", "messages", 0, "role"]`.
fn location(param: &str) -> Vec<Value> {
    let pieces = param.split(['.', '[', ']']).filter(|piece| !piece.is_empty());
    let pieces =
        pieces.map(|piece| piece.parse::<u64>().map_or_else(|_| json!(piece), Value::from));
    std::iter::once(json!("body")).chain(pieces).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_maker_has_its_own_shape() {
        let chat = Protocol::Dialect(Dialect::OpenAiChat);
        let one = || Complaint::of("messages[1].x", "no").code("extra_forbidden");
        let said = |house, protocol| {
            let refusal = one().worded(house, protocol);
            (refusal.status, refusal.body.to_string())
        };
        for (house, protocol, status, body) in [
            (
                House::Mistral,
                chat,
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"x"],"msg":"no"}]}"#,
            ),
            (
                House::Xai,
                chat,
                400,
                r#"{"code":"Client specified an invalid argument","error":"no"}"#,
            ),
            (House::Bedrock, Protocol::Bedrock, 400, r#"{"message":"no"}"#),
            (
                House::OpenAi,
                chat,
                400,
                r#"{"error":{"message":"no","type":"invalid_request_error","param":"messages[1].x","code":"extra_forbidden"}}"#,
            ),
            (
                House::Google,
                Protocol::Dialect(Dialect::Gemini),
                400,
                r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#,
            ),
        ] {
            assert_eq!(said(house, protocol), (status, body.to_owned()));
        }
    }
}
