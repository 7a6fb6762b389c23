//! Chat completions that go on with a saved conversation.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::{App, Shared};
use crate::admit::Caller;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};
use crate::exchange::Arrival;
use crate::platform::items;
use crate::store::{Conversation, ConversationItem};
use crate::wire::vocab::Dialect;
use crate::wire::{Heading, Target, codec, said};

/// A conversation that a chat completion goes on with.
#[derive(Debug)]
pub(super) struct Continued {
    id: String,
    /// What the request adds to it.
    new: Vec<Value>,
}

/// What is said of a conversation that is not there, or is another's.
#[must_use]
pub fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Conversation with id '{shown}' not found."))
        .at("conversation")
}

const TARGET: Target<'static> = Target::SELF;

/// Chat messages as items of the Responses interface.
///
/// # Errors
/// [`Kind::Malformed`] for messages that are none.
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

/// The items of a conversation, in order.
///
/// # Errors
/// When the store fails.
pub async fn kept_items(app: &App, account: &AccountId, id: &str) -> Result<Vec<Value>, Error> {
    let items = app.shared.store.conversation_items(account.clone(), id.to_owned()).await;
    let items = items.map_err(Error::internal)?;
    Ok(items.iter().filter_map(|item| items::kept(&item.id, &item.body)).collect())
}

/// A conversation of the caller's.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is another's.
pub async fn found(app: &App, caller: &Caller, id: &str) -> Result<Conversation, Error> {
    let store = &app.shared.store;
    let user = caller.person.id.clone();
    let found = store.conversation(caller.account.clone(), user, id.to_owned()).await;
    found.map_err(Error::internal)?.ok_or_else(|| unknown(id))
}

/// Looked for in every chat completion, so the search is prepared once.
static WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"conversation\""));

/// A chat completion with a `conversation` is made whole with what was said before.
pub(super) async fn go_on(
    app: &App,
    caller: &Caller,
    arrival: &mut Arrival,
) -> Result<Option<Continued>, Error> {
    // Nearly no request has the word: looking for it is cheaper than reading.
    if arrival.dialect != Dialect::OpenAiChat || WORD.find(&arrival.body).is_none() {
        return Ok(None);
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&arrival.body) else {
        // The dialect says what is wrong with it.
        return Ok(None);
    };
    let id = match body.shift_remove("conversation") {
        Some(Value::String(id)) => id,
        Some(Value::Object(named)) => {
            named.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => return Ok(None),
    };
    found(app, caller, &id).await?;
    let Some(Value::Array(new)) = body.get("messages") else { return Ok(None) };
    let mut messages = as_messages(&kept_items(app, &caller.account, &id).await?)?;
    let new_items = as_items(new)?;
    messages.extend(new.iter().cloned());
    body.insert("messages".to_owned(), Value::Array(messages));
    arrival.body = Bytes::from(Value::Object(body).to_string());
    Ok(Some(Continued { id, new: new_items }))
}

impl Continued {
    /// Adds what was asked and answered to the conversation.
    pub async fn keep(
        self,
        shared: &Shared,
        account: &AccountId,
        dialect: Dialect,
        body: &[u8],
        streamed: bool,
    ) -> Result<(), Error> {
        let reply = said(dialect, body, streamed)?;
        let heading = Heading::default();
        let response = codec(Dialect::OpenAiResponses).encode_reply(&reply, &heading);
        let response: Value = serde_json::from_slice(&response).map_err(Error::internal)?;
        let mut all = self.new;
        all.extend(items::output(&response));
        let now = shared.clock.now();
        shared
            .store
            .add_to_conversation(account.clone(), self.id, rows(all), now)
            .await
            .map_err(Error::internal)
    }
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
