//! Chat completions that go on with a saved conversation.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use super::draft::Draft;
use crate::admit::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::base::{Error, Kind};
use crate::exchange::Arrival;
use crate::platform::chats::{as_items, as_messages, rows};
use crate::platform::items;
use crate::store::{Conversation, Store};
use crate::wire::vocab::Dialect;
use crate::wire::{Heading, codec, said};

/// A conversation that a chat completion goes on with.
#[derive(Debug)]
pub struct Continued {
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

/// The items of a conversation, in order.
///
/// # Errors
/// When the store fails.
pub async fn kept_items(store: &Store, account: &AccountId, id: &str) -> Result<Vec<Value>, Error> {
    let items = store.conversation_items(account.clone(), id.to_owned()).await;
    let items = items.map_err(Error::internal)?;
    Ok(items.iter().filter_map(|item| items::kept(&item.id, &item.body)).collect())
}

/// A conversation of the caller's.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is another's.
pub async fn found(store: &Store, caller: &Caller, id: &str) -> Result<Conversation, Error> {
    let user = caller.person.id.clone();
    let found = store.conversation(caller.account.clone(), user, id.to_owned()).await;
    found.map_err(Error::internal)?.ok_or_else(|| unknown(id))
}

/// Looked for in every chat completion, so the search is prepared once.
static WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"conversation\""));

/// Whether a request may go on with a conversation.
pub(super) fn may_go_on(arrival: &Arrival) -> bool {
    // Nearly no request has the word: looking for it is cheaper than reading.
    arrival.dialect == Dialect::OpenAiChat && WORD.find(&arrival.body).is_some()
}

/// A chat completion with a `conversation` is made whole with what was said before.
pub(super) async fn go_on(
    store: &Store,
    caller: &Caller,
    draft: &mut Draft,
) -> Result<Option<Continued>, Error> {
    // What is wrong with a body that cannot be read, the dialect says.
    let Ok(Value::Object(body)) = draft.read() else { return Ok(None) };
    let id = match body.get("conversation") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Object(named)) => {
            named.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => return Ok(None),
    };
    let new = match body.get("messages") {
        Some(Value::Array(new)) => Some(new.clone()),
        _ => None,
    };
    found(store, caller, &id).await?;
    let Some(new) = new else { return Ok(None) };
    let mut messages = as_messages(&kept_items(store, &caller.account, &id).await?)?;
    let new_items = as_items(&new)?;
    messages.extend(new);
    draft.edit(|body| {
        let Some(body) = body.as_object_mut() else { return false };
        body.shift_remove("conversation");
        body.insert("messages".to_owned(), Value::Array(messages));
        true
    })?;
    Ok(Some(Continued { id, new: new_items }))
}

impl Continued {
    /// Adds what was asked and answered to the conversation.
    pub(super) async fn keep(
        self,
        store: &Store,
        now: Timestamp,
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
        store
            .add_to_conversation(account.clone(), self.id, rows(all), now)
            .await
            .map_err(Error::internal)
    }
}
