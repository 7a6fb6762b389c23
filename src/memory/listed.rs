//! What is remembered of a user, in the order in which it came.

use schemars::JsonSchema;
use serde::Serialize;

use super::Remembering;
use super::shown::{ShownMemory, shown};
use crate::admit::Caller;
use crate::base::{Error, Kind};

const PAGE: i64 = 50;
const MOST: i64 = 200;

/// A part of what is remembered of a user, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Memories")]
pub struct MemoryPage {
    object: &'static str,
    user_id: String,
    data: Vec<ShownMemory>,
    /// Where to go on, if there may be more.
    next: Option<String>,
}

impl Remembering<'_> {
    /// `GET /v1/memory/{user}`: a page of it, oldest first.
    ///
    /// # Errors
    /// [`Kind::Malformed`] for a place that is none; what the store says.
    pub async fn listed(
        &self,
        caller: &Caller,
        user: &str,
        after: Option<&str>,
        limit: Option<i64>,
    ) -> Result<MemoryPage, Error> {
        self.memories.settled(caller, user).await;
        let place: i64 = after.map_or(Ok(0), str::parse).map_err(|_| {
            Error::new(Kind::Malformed, "'after' has to be the 'next' of another page.").at("after")
        })?;
        let limit = limit.unwrap_or(PAGE).clamp(1, MOST);
        let (account, name) = (caller.account.clone(), user.to_owned());
        let all = self.memories.store.memories_after(account, name, place, limit).await;
        let all = all.map_err(Error::internal)?;
        let full = i64::try_from(all.len()).unwrap_or(0) == limit;
        let next = all.last().filter(|_| full).map(|one| one.place.to_string());
        let (user_id, data) = (user.to_owned(), all.iter().map(shown).collect());
        Ok(MemoryPage { object: "list", user_id, data, next })
    }
}
