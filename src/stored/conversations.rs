//! Conversations: lists of items that `/v1/responses` reads and adds to.

use serde_json::{Map, Value, json};

use super::CallerStore;
use crate::admit::{Caller, Scope};
use crate::base::ids::ConversationId;
use crate::base::{Error, Kind};
use crate::platform::items::{self, PageRequest};
use crate::store::{Conversation, ConversationItem};

/// The most items that one request may add (OpenAI's own limit).
const MOST_ITEMS: usize = 20;

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Conversation with id '{shown}' not found."))
}

fn shown(conversation: &Conversation) -> Value {
    let metadata: Value = serde_json::from_str(&conversation.metadata).unwrap_or_default();
    json!({
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created.seconds(),
        "metadata": metadata,
    })
}

fn metadata(body: &Map<String, Value>) -> Result<String, Error> {
    match body.get("metadata") {
        None | Some(Value::Null) => Ok("{}".to_owned()),
        Some(value @ Value::Object(_)) => Ok(value.to_string()),
        Some(_) => Err(Error::new(Kind::Malformed, "'metadata' must be an object.").at("metadata")),
    }
}

fn new_items(body: &Map<String, Value>) -> Result<Vec<(String, Value)>, Error> {
    let items = match body.get("items") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(_) => {
            return Err(Error::new(Kind::Malformed, "'items' must be an array.").at("items"));
        }
    };
    if items.len() > MOST_ITEMS {
        let text = format!("At most {MOST_ITEMS} items can be added at once.");
        return Err(Error::new(Kind::Malformed, text).at("items"));
    }
    if items.iter().any(|item| !item.is_object()) {
        return Err(Error::new(Kind::Malformed, "Every item must be an object.").at("items"));
    }
    Ok(items::named(items))
}

fn rows(items: &[(String, Value)]) -> Vec<ConversationItem> {
    items
        .iter()
        .map(|(id, item)| ConversationItem {
            id: id.clone(),
            words: items::words(item),
            body: item.to_string(),
        })
        .collect()
}

async fn found(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Conversation, Error> {
    caller.must_be_for(Scope::Chat)?;
    kept.store
        .conversation(caller.account.clone(), caller.person.id.clone(), id.to_owned())
        .await
        .map_err(Error::internal)?
        .ok_or_else(|| unknown(id))
}

/// # Errors
/// [`Kind::Malformed`] for a body of another form.
pub async fn create(
    kept: CallerStore<'_>,
    caller: &Caller,
    body: &Map<String, Value>,
) -> Result<Value, Error> {
    caller.must_be_for(Scope::Chat)?;
    let now = kept.clock.now();
    let conversation = Conversation {
        account: caller.account.clone(),
        user: caller.person.id.clone(),
        id: ConversationId::fresh().as_str().to_owned(),
        created: now,
        updated: now,
        title: String::new(),
        model: String::new(),
        metadata: metadata(body)?,
    };
    let items = rows(&new_items(body)?);
    kept.store
        .save_conversation(conversation.clone(), Some(items))
        .await
        .map_err(Error::internal)?;
    Ok(shown(&conversation))
}

/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is another's.
pub async fn retrieve(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Value, Error> {
    found(kept, caller, id).await.map(|conversation| shown(&conversation))
}

/// Replaces the metadata.
///
/// # Errors
/// As [`retrieve`] and [`create`].
pub async fn describe(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
    body: &Map<String, Value>,
) -> Result<Value, Error> {
    let mut conversation = found(kept, caller, id).await?;
    conversation.metadata = metadata(body)?;
    kept.store.save_conversation(conversation.clone(), None).await.map_err(Error::internal)?;
    Ok(shown(&conversation))
}

/// Deletes a conversation with all its items.
///
/// # Errors
/// As [`retrieve`].
pub async fn forget(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Value, Error> {
    caller.must_be_for(Scope::Chat)?;
    let done = kept
        .store
        .forget_conversation(caller.account.clone(), caller.person.id.clone(), id.to_owned())
        .await
        .map_err(Error::internal)?;
    if !done {
        return Err(unknown(id));
    }
    Ok(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
}

async fn all_items(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Vec<Value>, Error> {
    found(kept, caller, id).await?;
    let items = kept
        .store
        .conversation_items(caller.account.clone(), id.to_owned())
        .await
        .map_err(Error::internal)?;
    Ok(items.iter().filter_map(|item| items::kept(&item.id, &item.body)).collect())
}

/// # Errors
/// As [`retrieve`].
pub async fn list_items(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
    page: &PageRequest,
) -> Result<Value, Error> {
    Ok(items::page(all_items(kept, caller, id).await?, page))
}

/// # Errors
/// As [`retrieve`] and [`create`].
pub async fn add_items(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
    body: &Map<String, Value>,
) -> Result<Value, Error> {
    found(kept, caller, id).await?;
    let items = new_items(body)?;
    kept.store
        .add_to_conversation(caller.account.clone(), id.to_owned(), rows(&items), kept.clock.now())
        .await
        .map_err(Error::internal)?;
    let items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
    let page = PageRequest { limit: Some(100), after: None, ascending: true };
    Ok(items::page(items, &page))
}

/// # Errors
/// As [`retrieve`]; [`Kind::NotFound`] for an item that is not there.
pub async fn item(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
    item: &str,
) -> Result<Value, Error> {
    all_items(kept, caller, id)
        .await?
        .into_iter()
        .find(|one| items::id_of(one) == Some(item))
        .ok_or_else(|| unknown_item(item))
}

/// The conversation, without the item.
///
/// # Errors
/// As [`item`].
pub async fn forget_item(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
    item: &str,
) -> Result<Value, Error> {
    let conversation = found(kept, caller, id).await?;
    let done = kept
        .store
        .forget_conversation_item(caller.account.clone(), id.to_owned(), item.to_owned())
        .await
        .map_err(Error::internal)?;
    if done { Ok(shown(&conversation)) } else { Err(unknown_item(item)) }
}

fn unknown_item(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Item with id '{shown}' not found."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn items_get_ids_and_are_bounded() {
        let message = json!({"type": "message", "role": "user", "content": "hi"});
        let items = new_items(&body(json!({"items": [message, message]}))).unwrap();
        assert_ne!(items[0].0, items[1].0);
        assert_eq!(rows(&items)[0].words, "hi");
        assert!(new_items(&body(json!({}))).unwrap().is_empty());
        for bad in [
            json!({"items": "hi"}),
            json!({"items": ["hi"]}),
            json!({"items": vec![message; MOST_ITEMS + 1]}),
        ] {
            let refused = new_items(&body(bad)).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("items"));
        }
    }

    #[test]
    fn metadata_is_an_object_or_nothing() {
        assert_eq!(metadata(&body(json!({}))).unwrap(), "{}");
        assert_eq!(metadata(&body(json!({"metadata": null}))).unwrap(), "{}");
        assert_eq!(metadata(&body(json!({"metadata": {"a": "b"}}))).unwrap(), "{\"a\":\"b\"}");
        assert!(metadata(&body(json!({"metadata": []}))).is_err());
    }
}
