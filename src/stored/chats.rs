//! Saved chats: conversations with a title, as `/optima/v1/conversations` shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CallerStore;
use crate::admit::{Caller, Scope};
use crate::base::clock::Timestamp;
use crate::base::ids::ConversationId;
use crate::base::told::{Deleted, DeletedSome, Stretch};
use crate::base::{Error, Kind};
use crate::platform::chats::{as_items, as_messages, rows};
use crate::store::Conversation;
use crate::words::chats::{found, kept_items, unknown};

/// Conversations on a page.
const PAGE: i64 = 20;
const LARGEST_PAGE: i64 = 100;
/// The longest title.
const TITLE_CHARACTERS: usize = 200;

/// What `PUT /optima/v1/conversations` is told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "ConversationWish")]
pub struct Saved {
    pub id: Option<String>,
    pub title: Option<String>,
    pub model: Option<String>,
    pub messages: Option<Vec<Value>>,
    pub metadata: Option<Map<String, Value>>,
}

/// Which conversations are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConversationFilter {
    pub limit: Option<i64>,
    /// The id of the last of the page before.
    pub after: Option<String>,
    /// Words of the title or of what was said.
    #[serde(alias = "q")]
    pub search: Option<String>,
}

/// A conversation as lists show it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Conversation")]
pub struct ShownConversation {
    id: String,
    object: &'static str,
    title: String,
    model: String,
    /// In seconds since the epoch.
    created_at: i64,
    updated_at: i64,
    metadata: Value,
}

/// A conversation with its messages.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SavedConversation")]
pub struct WholeConversation {
    #[serde(flatten)]
    conversation: ShownConversation,
    /// As chat completions have them.
    messages: Vec<Value>,
}

fn shown(conversation: &Conversation) -> ShownConversation {
    ShownConversation {
        id: conversation.id.clone(),
        object: "conversation",
        title: conversation.title.clone(),
        model: conversation.model.clone(),
        created_at: conversation.created.seconds(),
        updated_at: conversation.updated.seconds(),
        metadata: serde_json::from_str(&conversation.metadata).unwrap_or_default(),
    }
}

/// The conversations of a user, newest first.
///
/// # Errors
/// [`Kind::NotFound`] for a page after one that is not there.
pub async fn list(
    kept: CallerStore<'_>,
    caller: &Caller,
    wanted: ConversationFilter,
) -> Result<Stretch<ShownConversation>, Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = caller.person.id.as_str();
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let before: Option<(Timestamp, String)> = match &wanted.after {
        Some(id) => {
            let last = found(kept.store, caller, id).await?;
            Some((last.updated, last.id))
        }
        None => None,
    };
    let search = wanted.search.filter(|search| !search.trim().is_empty());
    let page = kept
        .store
        .conversations(caller.account.clone(), user.to_owned(), search, before, limit + 1)
        .await
        .map_err(Error::internal)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let data = page.iter().take(most).map(shown).collect();
    Ok(Stretch::of(data, page.len() > most, |one: &ShownConversation| one.id.clone()))
}

/// A conversation with its messages.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is another's.
pub async fn get(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: &str,
) -> Result<WholeConversation, Error> {
    caller.must_be_for(Scope::Platform)?;
    let conversation = found(kept.store, caller, id).await?;
    let messages = as_messages(&kept_items(kept.store, &caller.account, id).await?)?;
    Ok(WholeConversation { conversation: shown(&conversation), messages })
}

/// What a chat is called that nobody gave a title: how it begins.
fn usual_title(messages: &[Value]) -> String {
    let first = messages.iter().find(|message| message["role"] == "user");
    let text = first.and_then(|message| message["content"].as_str()).unwrap_or_default();
    let title: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    title.chars().take(60).collect()
}

/// Saves a conversation: a new one, or one that is there, whose parts are replaced as far as they
/// are given.
///
/// # Errors
/// [`Kind::NotFound`] for an id that is not the user's; [`Kind::Malformed`] for messages that are
/// none.
pub async fn put(
    kept: CallerStore<'_>,
    caller: &Caller,
    id: Option<&str>,
    saved: Saved,
) -> Result<WholeConversation, Error> {
    caller.must_be_for(Scope::Platform)?;
    let (store, now) = (kept.store, kept.clock.now());
    let user = caller.person.id.as_str();
    let items = saved.messages.as_deref().map(as_items).transpose()?;
    let fits = |text: &Option<String>| {
        text.as_ref()
            .is_none_or(|text| text.chars().count() <= TITLE_CHARACTERS && !text.contains('\0'))
    };
    if !fits(&saved.title) || !fits(&saved.model) {
        let text = format!("A title has at most {TITLE_CHARACTERS} characters.");
        return Err(Error::new(Kind::Malformed, text).at("title"));
    }
    let metadata = saved.metadata.map(|metadata| Value::Object(metadata).to_string());
    let title = saved.title.or_else(|| {
        saved.messages.as_deref().filter(|_| id.or(saved.id.as_deref()).is_none()).map(usual_title)
    });
    let conversation = match id.or(saved.id.as_deref()) {
        Some(id) => {
            let known = found(kept.store, caller, id).await?;
            Conversation {
                title: title.unwrap_or(known.title),
                model: saved.model.unwrap_or(known.model),
                metadata: metadata.unwrap_or(known.metadata),
                updated: now,
                ..known
            }
        }
        None => Conversation {
            account: caller.account.clone(),
            user: user.to_owned(),
            id: ConversationId::fresh().as_str().to_owned(),
            created: now,
            updated: now,
            title: title.unwrap_or_default(),
            model: saved.model.unwrap_or_default(),
            metadata: metadata.unwrap_or_else(|| "{}".to_owned()),
        },
    };
    store
        .save_conversation(conversation.clone(), items.map(rows))
        .await
        .map_err(Error::internal)?;
    get(kept, caller, &conversation.id).await
}

/// Deletes a conversation for good, with all that was said in it.
///
/// # Errors
/// As [`get`].
pub async fn delete(kept: CallerStore<'_>, caller: &Caller, id: &str) -> Result<Deleted, Error> {
    caller.must_be_for(Scope::Platform)?;
    let store = kept.store;
    let (account, user) = (caller.account.clone(), caller.person.id.clone());
    let gone = store.forget_conversation(account, user, id.to_owned()).await;
    if !gone.map_err(Error::internal)? {
        return Err(unknown(id));
    }
    Ok(Deleted::new("conversation.deleted", id))
}

/// Deletes all conversations of the user.
///
/// # Errors
/// When the store fails.
pub async fn delete_all(kept: CallerStore<'_>, caller: &Caller) -> Result<DeletedSome, Error> {
    caller.must_be_for(Scope::Platform)?;
    let (account, user) = (caller.account.clone(), caller.person.id.clone());
    let gone = kept.store.forget_conversations(account, user).await;
    let gone = gone.map_err(Error::internal)?;
    Ok(DeletedSome { object: "conversation.deleted", user_id: None, deleted: gone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_chat_without_a_title_is_called_as_it_begins() {
        let title = |messages: Value| usual_title(messages.as_array().unwrap());
        let said = |text: &str| json!([{"role": "system", "content": "x"}, {"role": "user", "content": text}]);
        assert_eq!(title(said("  How  do\nI sail? ")), "How do I sail?");
        assert_eq!(title(said(&"\u{f6}".repeat(100))).chars().count(), 60);
        assert_eq!(title(json!([{"role": "assistant", "content": "hello"}])), "");
    }
}
