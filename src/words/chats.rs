//! Chat completions that go on with a saved conversation.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use super::draft::RequestBody;
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
    draft: &mut RequestBody,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::Role;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::base::ids::RequestId;
    use bytes::Bytes;
    use serde_json::json;

    /// Saves a conversation of a caller's, in which this was said.
    async fn saved(all: &Accounts, caller: &Caller, id: &str, messages: Value) {
        let conversation = Conversation {
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.to_owned(),
            created: NOON,
            updated: NOON,
            title: String::new(),
            model: String::new(),
            metadata: "{}".to_owned(),
        };
        let items = rows(as_items(messages.as_array().unwrap()).unwrap());
        all.store.save_conversation(conversation, Some(items)).await.unwrap();
    }

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": text})
    }

    fn draft(body: &Value) -> RequestBody {
        RequestBody::of(Dialect::OpenAiChat, Bytes::from(body.to_string()))
    }

    /// What is said in a conversation, as chat messages.
    async fn said_in(all: &Accounts, account: &AccountId, id: &str) -> Vec<Value> {
        as_messages(&kept_items(&all.store, account, id).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_request_that_goes_on_has_all_that_was_said_before_and_names_no_conversation() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        saved(&all, &caller, "conv_1", json!([user("one")])).await;
        for named in [json!("conv_1"), json!({"id": "conv_1"})] {
            let body = json!({"model": "m", "conversation": named, "messages": [user("two")]});
            let mut draft = draft(&body);
            let continued = go_on(&all.store, &caller, &mut draft).await.unwrap().unwrap();
            assert_eq!((continued.id.as_str(), continued.new.len()), ("conv_1", 1));
            let goes: Value = serde_json::from_slice(&draft.bytes()).unwrap();
            assert_eq!(goes["messages"], json!([user("one"), user("two")]));
            assert!(goes.get("conversation").is_none(), "no provider knows it");
        }
    }

    #[tokio::test]
    async fn a_conversation_is_gone_on_with_by_its_own_user_alone() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let ann = all.member(&account, "ann@acme.test", Role::Member).await;
        let ann = all.caller(&ann).await;
        saved(&all, &ann, "conv_1", json!([user("a secret")])).await;
        let body = json!({"model": "m", "conversation": "conv_1", "messages": [user("what?")]});
        for who in [all.owner(&account).await, all.owner(&other).await] {
            let mut draft = draft(&body);
            let refused = go_on(&all.store, &who, &mut draft).await.unwrap_err();
            assert_eq!(refused.kind, Kind::NotFound);
            assert_eq!(refused.field.as_deref(), Some("conversation"));
            assert_eq!(draft.bytes(), body.to_string(), "nothing of it is in the request");
        }
        // Where there is nothing to ask, it is still told that there is no such conversation.
        let mut none = draft(&json!({"conversation": {}}));
        assert_eq!(go_on(&all.store, &ann, &mut none).await.unwrap_err().kind, Kind::NotFound);
    }

    #[tokio::test]
    async fn what_names_no_conversation_passes_as_it_came() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        for body in ["{", "[]", r#"{"conversation": null}"#, r#"{ "conversation":7 }"#] {
            let mut draft = RequestBody::of(Dialect::OpenAiChat, Bytes::from(body));
            assert!(go_on(&all.store, &caller, &mut draft).await.unwrap().is_none(), "{body}");
            assert_eq!(draft.bytes(), body);
        }
        let of = |dialect, body: &'static str| {
            may_go_on(&Arrival::of(RequestId::fresh(), dialect, Bytes::from(body)))
        };
        let named = r#"{"conversation": "conv_1"}"#;
        assert!(of(Dialect::OpenAiChat, named));
        assert!(!of(Dialect::OpenAiChat, r#"{"messages": "the conversation"}"#));
        assert!(!of(Dialect::OpenAiResponses, named), "it has conversations of its own");
    }

    #[tokio::test]
    async fn what_was_asked_and_answered_is_added_at_the_end_whole_or_streamed() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let caller = all.owner(&account).await;
        let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "hello"}}]});
        let piece = |delta: Value, end: Value| {
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        };
        let streamed = format!(
            "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
            piece(json!({"role": "assistant", "content": "hel"}), Value::Null),
            piece(json!({"content": "lo"}), json!("stop"))
        );
        for (id, body, is_stream) in
            [("conv_1", whole.to_string(), false), ("conv_2", streamed, true)]
        {
            saved(&all, &caller, id, json!([user("one")])).await;
            // Another account's of the same name is another one.
            let stranger = all.owner(&other).await;
            saved(&all, &stranger, id, json!([user("theirs")])).await;
            let new = as_items(&[user("two")]).unwrap();
            let continued = Continued { id: id.to_owned(), new };
            let dialect = Dialect::OpenAiChat;
            continued
                .keep(&all.store, NOON, &account, dialect, body.as_bytes(), is_stream)
                .await
                .unwrap();
            let hello = json!({"role": "assistant", "content": "hello"});
            assert_eq!(
                said_in(&all, &account, id).await,
                [user("one"), user("two"), hello],
                "{id}"
            );
            assert_eq!(said_in(&all, &other, id).await, [user("theirs")]);
        }
    }

    #[tokio::test]
    async fn of_an_answer_that_cannot_be_read_nothing_is_added_not_even_the_question() {
        let all = Accounts::new().await;
        let account = all.open("acme").await;
        let caller = all.owner(&account).await;
        saved(&all, &caller, "conv_1", json!([user("one")])).await;
        let new = as_items(&[user("two")]).unwrap();
        let continued = Continued { id: "conv_1".to_owned(), new };
        let kept = continued.keep(&all.store, NOON, &account, Dialect::OpenAiChat, b"{", false);
        assert!(kept.await.is_err());
        assert_eq!(said_in(&all, &account, "conv_1").await, [user("one")]);
    }
}
