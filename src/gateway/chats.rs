//! Saved chats: conversations with a title, as `/optima/v1/conversations` shows them, and chat
//! completions that go on with one.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{App, Arrival, Shared};
use crate::admit::{Caller, Scope};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, ConversationId};
use crate::base::{Error, Kind};
use crate::platform::items;
use crate::store::{Conversation, ConversationItem};
use crate::wire::vocab::Dialect;
use crate::wire::{Heading, Target, codec, said};

/// Conversations on a page.
const PAGE: i64 = 20;
const LARGEST_PAGE: i64 = 100;
/// The longest title.
const TITLE_CHARACTERS: usize = 200;

/// A conversation that a chat completion goes on with.
#[derive(Debug)]
pub(super) struct Continued {
    id: String,
    /// What the request adds to it.
    new: Vec<Value>,
}

/// What `PUT /optima/v1/conversations` is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
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
pub struct Wanted {
    pub limit: Option<i64>,
    /// The id of the last of the page before.
    pub after: Option<String>,
    /// Words of the title or of what was said.
    #[serde(alias = "q")]
    pub search: Option<String>,
}

fn unknown(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::new(Kind::NotFound, format!("Conversation with id '{shown}' not found."))
        .at("conversation")
}

const TARGET: Target<'static> = Target::SELF;

/// Chat messages as items of the Responses interface.
fn as_items(messages: &[Value]) -> Result<Vec<Value>, Error> {
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
fn as_messages(items: &[Value]) -> Result<Vec<Value>, Error> {
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

fn rows(items: Vec<Value>) -> Vec<ConversationItem> {
    items::named(items)
        .into_iter()
        .map(|(id, item)| ConversationItem {
            id,
            words: items::words(&item),
            body: item.to_string(),
        })
        .collect()
}

async fn kept_items(app: &App, account: &AccountId, id: &str) -> Result<Vec<Value>, Error> {
    let items = app.shared.store.conversation_items(account.clone(), id.to_owned()).await;
    let items = items.map_err(Error::internal)?;
    Ok(items.iter().filter_map(|item| items::kept(&item.id, &item.body)).collect())
}

async fn found(app: &App, caller: &Caller, id: &str) -> Result<Conversation, Error> {
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

fn shown(conversation: &Conversation) -> Value {
    let metadata: Value = serde_json::from_str(&conversation.metadata).unwrap_or_default();
    json!({
        "id": conversation.id,
        "object": "conversation",
        "title": conversation.title,
        "model": conversation.model,
        "created_at": conversation.created.seconds(),
        "updated_at": conversation.updated.seconds(),
        "metadata": metadata,
    })
}

/// The conversations of a user, newest first.
///
/// # Errors
/// [`Kind::NotFound`] for a page after one that is not there.
pub async fn list(app: &App, caller: &Caller, wanted: Wanted) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let user = caller.person.id.as_str();
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let before: Option<(Timestamp, String)> = match &wanted.after {
        Some(id) => {
            let last = found(app, caller, id).await?;
            Some((last.updated, last.id))
        }
        None => None,
    };
    let search = wanted.search.filter(|search| !search.trim().is_empty());
    let page = app
        .shared
        .store
        .conversations(caller.account.clone(), user.to_owned(), search, before, limit + 1)
        .await
        .map_err(Error::internal)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let data: Vec<Value> = page.iter().take(most).map(shown).collect();
    Ok(json!({
        "object": "list",
        "has_more": page.len() > most,
        "first_id": data.first().map(|one| one["id"].clone()),
        "last_id": data.last().map(|one| one["id"].clone()),
        "data": data,
    }))
}

/// A conversation with its messages.
///
/// # Errors
/// [`Kind::NotFound`] for one that is not there, or is another's.
pub async fn get(app: &App, caller: &Caller, id: &str) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let conversation = found(app, caller, id).await?;
    let messages = as_messages(&kept_items(app, &caller.account, id).await?)?;
    let mut told = shown(&conversation);
    told["messages"] = Value::Array(messages);
    Ok(told)
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
    app: &App,
    caller: &Caller,
    id: Option<&str>,
    saved: Saved,
) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let (store, now) = (&app.shared.store, app.shared.clock.now());
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
            let known = found(app, caller, id).await?;
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
    get(app, caller, &conversation.id).await
}

/// Deletes a conversation for good, with all that was said in it.
///
/// # Errors
/// As [`get`].
pub async fn delete(app: &App, caller: &Caller, id: &str) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let store = &app.shared.store;
    let (account, user) = (caller.account.clone(), caller.person.id.clone());
    let gone = store.forget_conversation(account, user, id.to_owned()).await;
    if !gone.map_err(Error::internal)? {
        return Err(unknown(id));
    }
    Ok(json!({"id": id, "object": "conversation.deleted", "deleted": true}))
}

/// Deletes all conversations of the user.
///
/// # Errors
/// When the store fails.
pub async fn delete_all(app: &App, caller: &Caller) -> Result<Value, Error> {
    caller.must_be_for(Scope::Platform)?;
    let (account, user) = (caller.account.clone(), caller.person.id.clone());
    let gone = app.shared.store.forget_conversations(account, user).await;
    let gone = gone.map_err(Error::internal)?;
    Ok(json!({"object": "conversation.deleted", "deleted": gone}))
}
