//! What is remembered of users: kept, found, told as a graph, forgotten. The index of a user is made
//! of rows when it is first needed, and goes on from there.

#[cfg(test)]
mod fixture;
mod learning;
mod lesson;
mod listed;
mod reading;
mod shown;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use moka::sync::Cache;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admit::{Caller, Identities, Scope, users};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, MemoryId};
use crate::base::told::{DeletedSome, OfUser};
use crate::base::{Error, Kind};
use crate::platform::facts;
use crate::platform::recall::{Hit, Index, RecallEntry, RecallQuery};
use crate::store::{Memory, Store};

pub use lesson::Lesson;
pub use listed::MemoryPage;
pub use shown::{Graph, ShownMemory};

use shown::{GraphEntity, GraphRelation, shown, tags_of};

/// Memory that indexes may take.
const INDEX_BYTES: u64 = 512 << 20;
/// Rows that are read at a time.
const PAGE: i64 = 5_000;
/// The longest memory, in bytes, and the most in one request.
const LONGEST: usize = 32 << 10;
const MOST_ENTRIES: usize = 1_000;
const MOST_TAGS: usize = 32;
const MOST_HITS: usize = 100;
/// Relations that a graph is made of.
const MOST_RELATIONS: i64 = 10_000;

/// The index of a user. Whoever holds the lock works with it for milliseconds and does so beside the
/// workers, which have other callers: what they need to know of it is there without the lock.
#[derive(Debug)]
struct Shelf {
    /// How often something had been forgotten when it was made.
    forgotten: i64,
    /// Of the newest memory in it.
    last_place: AtomicI64,
    /// Bytes that it takes, roughly.
    weight: AtomicUsize,
    index: Mutex<Index>,
}

impl Shelf {
    fn after(forgotten: i64) -> Self {
        Self {
            forgotten,
            last_place: AtomicI64::new(0),
            weight: AtomicUsize::new(0),
            index: Mutex::new(Index::after(forgotten)),
        }
    }

    /// Adds memories that are not in it yet: another worker may have been at it meanwhile.
    fn add(&self, rows: Vec<Memory>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            if row.place > index.last_place {
                index.add(RecallEntry {
                    vector: vector_of(&row.embedding),
                    tags: tags_of(&row.tags),
                    id: row.id,
                    place: row.place,
                    text: row.text,
                    created: row.created,
                    expires: row.expires,
                });
            }
        }
        self.last_place.store(index.last_place, Ordering::Release);
        self.weight.store(index.weight(), Ordering::Relaxed);
    }
}

/// Models that memory asks, where it is told to.
#[derive(Debug, Clone, Default)]
pub struct MemoryModels {
    /// For vectors; the embedded static embedding, if not given.
    pub embedding_model: Option<String>,
    /// For what a memory states; rules, if not given.
    pub extraction_model: Option<String>,
}

/// Where memories are kept, the indexes of the users that were here lately, and whose words are being learned
/// from. Cheap to clone.
#[derive(Clone)]
pub struct Memories {
    store: Store,
    clock: Clock,
    asked: Arc<MemoryModels>,
    shelves: Cache<(AccountId, String), Arc<Shelf>>,
    learning: learning::Learning,
}

impl fmt::Debug for Memories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memories").finish_non_exhaustive()
    }
}

impl Memories {
    #[must_use]
    pub fn new(store: Store, clock: Clock, asked: MemoryModels) -> Self {
        let weigh = |_: &(AccountId, String), shelf: &Arc<Shelf>| {
            u32::try_from(shelf.weight.load(Ordering::Relaxed) + 1_024).unwrap_or(u32::MAX)
        };
        let shelves = Cache::builder()
            .weigher(weigh)
            .max_capacity(INDEX_BYTES)
            .time_to_idle(Duration::from_secs(3_600))
            .build();
        let learning = learning::Learning::default();
        Self { store, clock, asked: Arc::new(asked), shelves, learning }
    }

    /// Waits, though not for long, until what a user said before is remembered.
    pub async fn settled(&self, caller: &Caller, user: &str) {
        self.learning.settled(&caller.account, user).await;
    }
}

/// The bytes of a whole answer.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + 'a>>;

/// What memory has models do, charged to the caller as any request is.
pub trait Models {
    /// Vectors by an embedding model; request and answer in OpenAI's form.
    fn embed<'a>(&'a self, caller: &'a Caller, body: Bytes) -> Answering<'a>;

    /// A chat completion, answered whole by the model that it names.
    fn complete<'a>(&'a self, caller: &'a Caller, body: Bytes) -> Answering<'a>;

    /// The same, for work that goes on when a request is answered.
    fn aside(&self) -> Box<dyn Models>;
}

/// What is remembered, at work: with whoever has models asked.
#[derive(Clone, Copy)]
pub struct Remembering<'a> {
    pub memories: &'a Memories,
    pub models: &'a dyn Models,
}

/// Something to remember.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMemory {
    #[serde(alias = "content")]
    pub text: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Seconds since the epoch.
    pub expires_at: Option<i64>,
    #[schemars(range(min = 1))]
    pub ttl_seconds: Option<u64>,
    /// Whatever the account wants to find beside it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// What `/v1/memory/search` is asked.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "MemoryQuery")]
pub struct MemoryQuery {
    #[serde(alias = "userId")]
    pub user_id: Option<String>,
    pub query: String,
    #[schemars(range(min = 1, max = 100))]
    #[serde(alias = "top_k")]
    pub limit: Option<usize>,
    pub tags: Vec<String>,
    /// Seconds since the epoch.
    pub since: Option<i64>,
    pub until: Option<i64>,
}

/// Whose memories a caller means.
///
/// # Errors
/// [`Kind::Forbidden`] for another user's.
pub async fn whose<'a>(
    identities: &Identities,
    caller: &'a Caller,
    user: Option<&'a str>,
) -> Result<&'a str, Error> {
    caller.must_be_for(Scope::Platform)?;
    users::named(identities, caller, user).await
}

fn refused(field: &'static str, text: &'static str) -> Error {
    Error::new(Kind::Malformed, text).at(field)
}

fn bytes_of(vector: &[i8]) -> String {
    let bytes: Vec<u8> = vector.iter().map(|one| one.to_ne_bytes()[0]).collect();
    BASE64_STANDARD.encode(bytes)
}

fn vector_of(text: &str) -> Vec<i8> {
    let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
    bytes.into_iter().map(|byte| i8::from_ne_bytes([byte])).collect()
}

fn nobody() -> Error {
    Error::new(Kind::NotFound, "Nothing is remembered of this user.").coded("user_not_found")
}

impl Remembering<'_> {
    /// Keeps memories of a user; what they are, as they are kept.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for one that is empty, too long or already over.
    pub async fn store(
        &self,
        caller: &Caller,
        user: &str,
        new: Vec<NewMemory>,
    ) -> Result<Vec<ShownMemory>, Error> {
        if new.is_empty() || new.len() > MOST_ENTRIES {
            return Err(refused("entries", "There have to be 1 to 1,000 memories."));
        }
        let now = self.memories.clock.now();
        for one in &new {
            if one.text.trim().is_empty() || one.text.len() > LONGEST || one.text.contains('\0') {
                return Err(refused("text", "A memory has 1 to 32,768 bytes of text."));
            }
            if one.tags.len() > MOST_TAGS || one.tags.iter().any(|tag| tag.len() > 200) {
                return Err(refused("tags", "A memory has at most 32 tags of 200 bytes."));
            }
            if Value::Object(one.metadata.clone()).to_string().len() > LONGEST {
                return Err(refused("metadata", "A memory has at most 32,768 bytes of metadata."));
            }
            let over = one.expires_at.is_some_and(|at| at <= now.seconds());
            if over || one.ttl_seconds == Some(0) {
                return Err(refused("expires_at", "A memory has to expire in the future."));
            }
        }
        let texts: Vec<&str> = new.iter().map(|one| one.text.as_str()).collect();
        let (embedded_by, vectors) = self.vectors(caller, &texts).await?;
        let mut rows = Vec::with_capacity(new.len());
        for (one, vector) in new.iter().zip(&vectors) {
            let lasts = one.ttl_seconds.map(|seconds| now.after(Duration::from_secs(seconds)));
            let memory = Memory {
                id: MemoryId::fresh().as_str().to_owned(),
                place: 0,
                text: one.text.clone(),
                tags: json!(one.tags).to_string(),
                metadata: Value::Object(one.metadata.clone()).to_string(),
                created: now,
                expires: one.expires_at.map(|at| Timestamp(at.saturating_mul(1000))).or(lasts),
                embedded_by: embedded_by.clone(),
                embedding: bytes_of(vector),
            };
            let relations = self.stated(caller, &memory, new.len()).await;
            rows.push((memory, relations));
        }
        let told = rows.iter().map(|(memory, _)| shown(memory)).collect();
        let kept =
            self.memories.store.remember(caller.account.clone(), user.to_owned(), rows).await;
        kept.map_err(Error::internal)?;
        Ok(told)
    }

    /// The index of a user, up to date; `None` when nothing is remembered of them.
    async fn shelf(&self, account: &AccountId, user: &str) -> Result<Option<Arc<Shelf>>, Error> {
        let store = &self.memories.store;
        let name = (account.clone(), user.to_owned());
        let state = store.memory_state(account.clone(), user.to_owned()).await;
        let Some(state) = state.map_err(Error::internal)? else {
            self.memories.shelves.invalidate(&name);
            return Ok(None);
        };
        let fits = |shelf: &Arc<Shelf>| shelf.forgotten == state.forgotten;
        let known = self.memories.shelves.get(&name).filter(fits);
        let shelf = known.unwrap_or_else(|| Arc::new(Shelf::after(state.forgotten)));
        let at = || shelf.last_place.load(Ordering::Acquire);
        let before = at();
        let mut place = before;
        while place < state.last_place {
            let rows = store.memories_after(account.clone(), user.to_owned(), place, PAGE).await;
            let rows = rows.map_err(Error::internal)?;
            let Some(last) = rows.last() else { break };
            place = last.place;
            let shelf = Arc::clone(&shelf);
            tokio::task::spawn_blocking(move || shelf.add(rows)).await.map_err(Error::internal)?;
        }
        if at() != before || before == 0 {
            // Weighed anew.
            self.memories.shelves.insert(name, Arc::clone(&shelf));
        }
        Ok(Some(shelf))
    }

    /// Finds memories of a user, with what makes them fit.
    ///
    /// # Errors
    /// When the store or the embedding model fails.
    pub async fn find(
        &self,
        caller: &Caller,
        user: &str,
        asked: &MemoryQuery,
    ) -> Result<Vec<(Memory, Hit)>, Error> {
        let Some(shelf) = self.shelf(&caller.account, user).await? else { return Ok(Vec::new()) };
        let (_, mut vectors) = self.vectors(caller, &[&asked.query]).await?;
        let query = RecallQuery {
            text: asked.query.clone(),
            vector: vectors.pop().unwrap_or_default(),
            tags: asked.tags.clone(),
            since: asked.since.map(|at| Timestamp(at.saturating_mul(1000))),
            until: asked.until.map(|at| Timestamp(at.saturating_mul(1000))),
            limit: asked.limit.unwrap_or(10).clamp(1, MOST_HITS),
        };
        let now = self.memories.clock.now();
        // Some milliseconds for many memories: not on a worker, which has other callers.
        let searching = move || {
            let index = shelf.index.lock().unwrap_or_else(PoisonError::into_inner);
            index.search(&query, now)
        };
        let hits = tokio::task::spawn_blocking(searching).await.map_err(Error::internal)?;
        let ids = hits.iter().map(|hit| hit.id.clone()).collect();
        let rows =
            self.memories.store.memories_of(caller.account.clone(), user.to_owned(), ids).await;
        let mut rows: BTreeMap<String, Memory> =
            rows.map_err(Error::internal)?.into_iter().map(|row| (row.id.clone(), row)).collect();
        // In the order of the hits; one that was forgotten since is not there.
        Ok(hits.into_iter().filter_map(|hit| Some((rows.remove(&hit.id)?, hit))).collect())
    }

    /// `/v1/memory/search`
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn search(
        &self,
        caller: &Caller,
        user: &str,
        asked: &MemoryQuery,
    ) -> Result<OfUser<ShownMemory>, Error> {
        self.memories.settled(caller, user).await;
        let found = self.find(caller, user, asked).await?;
        let data = found.iter().map(|(memory, hit)| shown(memory).found(hit));
        Ok(OfUser::new(user, data.collect()))
    }

    /// The entities that a user's memories name, and how they stand to each other, each with the
    /// memories that say so.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when nothing is remembered of the user.
    pub async fn graph(&self, caller: &Caller, user: &str) -> Result<Graph, Error> {
        self.memories.settled(caller, user).await;
        let store = &self.memories.store;
        let account = || caller.account.clone();
        let known =
            store.memory_state(account(), user.to_owned()).await.map_err(Error::internal)?;
        if known.is_none() && user != caller.person.id {
            return Err(nobody());
        }
        let relations = store.memory_relations(account(), user.to_owned(), MOST_RELATIONS).await;
        let relations = relations.map_err(Error::internal)?;
        let mut entities: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
        let mut edges: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
        for row in &relations {
            for (name, kind) in [(&row.subject, &row.subject_kind), (&row.object, &row.object_kind)]
            {
                let entity = entities.entry(name).or_insert((kind, Vec::new()));
                // The more telling kind stays.
                if entity.0 == "thing" {
                    entity.0 = kind;
                }
                if entity.1.last() != Some(&row.memory.as_str()) {
                    entity.1.push(&row.memory);
                }
            }
            if !row.relation.is_empty() {
                edges
                    .entry((&row.subject, &row.relation, &row.object))
                    .or_default()
                    .push(&row.memory);
            }
        }
        let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<String>>();
        let entities = entities.into_iter().map(|(name, (kind, memories))| GraphEntity {
            name: name.to_owned(),
            kind: kind.to_owned(),
            mentions: memories.len(),
            memories: owned(memories),
        });
        let relations = edges.into_iter().map(|((subject, relation, object), memories)| {
            let [subject, relation, object] = [subject, relation, object].map(str::to_owned);
            GraphRelation { subject, relation, object, memories: owned(memories) }
        });
        Ok(Graph {
            object: "memory.graph",
            user_id: user.to_owned(),
            entities: entities.collect(),
            relations: relations.collect(),
        })
    }

    /// Forgets all of a user, or one memory: text, vector and what it stated.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there was nothing.
    pub async fn forget(
        &self,
        caller: &Caller,
        user: &str,
        id: Option<&str>,
    ) -> Result<DeletedSome, Error> {
        self.memories.settled(caller, user).await;
        let (account, name) = (caller.account.clone(), user.to_owned());
        let gone = self.memories.store.forget_memories(account, name, id.map(str::to_owned)).await;
        let gone = gone.map_err(Error::internal)?;
        self.memories.shelves.invalidate(&(caller.account.clone(), user.to_owned()));
        if gone == 0 && (id.is_some() || user != caller.person.id) {
            return Err(nobody());
        }
        let user_id = Some(user.to_owned());
        Ok(DeletedSome { object: "memory.deleted", user_id, deleted: gone })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_as_they_were_kept() {
        let vector: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        assert_eq!(vector_of(&bytes_of(&vector)), vector);
        assert!(vector_of("no base64!").is_empty());
        assert!(tags_of("no list").is_empty());
        assert_eq!(tags_of("[\"a\",\"b\"]"), ["a", "b"]);
    }
}
