//! Chat messages as the items of a conversation, and back.

use serde_json::{Value, json};

use super::items;
use crate::base::Error;
use crate::store::ConversationItem;
use crate::wire::vocab::Dialect;
use crate::wire::{Target, codec};

const TARGET: Target<'static> = Target::SELF;

/// Chat messages as items of the Responses interface.
///
/// # Errors
/// [`crate::base::Kind::Malformed`] for messages that are none.
pub fn as_items(messages: &[Value]) -> Result<Vec<Value>, Error> {
    let body = json!({"model": "m", "messages": messages}).to_string();
    let request = codec(Dialect::OpenAiChat).decode_request(body.as_bytes())?;
    let encoded = codec(Dialect::OpenAiResponses).encode_request(&request, &TARGET)?;
    let mut body: Value = serde_json::from_slice(&encoded.body).map_err(Error::internal)?;
    let mut all = Vec::new();
    if let Some(Value::String(text)) = body.get_mut("instructions").map(Value::take) {
        all.push(json!({"type": "message", "role": "system", "content": text}));
    }
    match body.get_mut("input").map(Value::take) {
        Some(Value::Array(items)) => all.extend(items),
        Some(Value::String(text)) => {
            all.push(json!({"type": "message", "role": "user", "content": text}));
        }
        _ => {}
    }
    Ok(all)
}

/// Items as chat messages.
///
/// # Errors
/// When what was kept cannot be read, which is a fault of ours.
pub fn as_messages(items: &[Value]) -> Result<Vec<Value>, Error> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let body = json!({"model": "m", "input": items}).to_string();
    let request = codec(Dialect::OpenAiResponses).decode_request(body.as_bytes())?;
    let encoded = codec(Dialect::OpenAiChat).encode_request(&request, &TARGET)?;
    let mut body: Value = serde_json::from_slice(&encoded.body).map_err(Error::internal)?;
    match body.get_mut("messages").map(Value::take) {
        Some(Value::Array(messages)) => Ok(messages),
        _ => Ok(Vec::new()),
    }
}

/// Items as they are stored, each with its words.
#[must_use]
pub fn rows(items: Vec<Value>) -> Vec<ConversationItem> {
    items::named(items)
        .into_iter()
        .map(|(id, item)| ConversationItem {
            id,
            words: items::words(&item),
            body: item.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_kept() {
        let call = json!({"id": "call_1", "type": "function",
            "function": {"name": "look", "arguments": "{\"at\":\"it\"}"}});
        let messages = [
            json!({"role": "user", "content": "Look at it."}),
            json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": "call_1", "content": "It is blue."}),
            json!({"role": "assistant", "content": "Blue."}),
        ];
        let items = as_items(&messages).unwrap();
        let back = as_messages(&items).unwrap();
        assert_eq!(back.len(), messages.len(), "{back:?}");
        for (back, message) in back.iter().zip(&messages) {
            assert_eq!(back["role"], message["role"]);
            for member in ["content", "tool_call_id"] {
                let none = Value::Null;
                let one = |of: &Value| of.get(member).cloned().unwrap_or(none.clone());
                assert_eq!(one(back), one(message), "{member}: {back}");
            }
        }
        assert_eq!(back[1]["tool_calls"][0]["function"], messages[1]["tool_calls"][0]["function"]);
        assert_eq!(as_messages(&[]).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn instructions_are_kept_as_an_item() {
        let messages = [
            json!({"role": "system", "content": "Be brief."}),
            json!({"role": "user", "content": "hi"}),
        ];
        let said: Vec<_> = as_items(&messages).unwrap();
        assert!(said[0].to_string().contains("Be brief."), "{said:?}");
        let rows = rows(said);
        assert!(rows.iter().all(|row| !row.id.is_empty()));
        assert!(rows.last().unwrap().words.contains("hi"));
    }

    #[test]
    fn messages_that_are_none_are_refused() {
        for bad in [json!({"role": "nobody", "content": "x"}), json!("hi"), json!({"content": "x"})]
        {
            assert!(as_items(std::slice::from_ref(&bad)).is_err(), "{bad}");
        }
    }
}
