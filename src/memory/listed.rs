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
        // What is past its time is deleted later; it is not told of before that either.
        let now = self.memories.clock.now();
        let good = all.iter().filter(|one| one.expires.is_none_or(|at| now < at));
        let (user_id, data) = (user.to_owned(), good.map(shown).collect());
        Ok(MemoryPage { object: "list", user_id, data, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON, clock_at};
    use crate::base::ids::AccountId;
    use crate::memory::fixture::NoModels;
    use crate::memory::{Memories, MemoryModels, NewMemory};
    use std::time::Duration;

    struct Kept {
        all: Accounts,
        account: AccountId,
        memories: Memories,
    }

    impl Kept {
        /// An account, of whose user `u` so much is remembered.
        async fn of(count: usize) -> Self {
            let all = Accounts::new().await;
            let account = all.open("acme").await;
            let memories = Memories::new(all.store.clone(), all.clock, MemoryModels::default());
            let kept = Self { all, account, memories };
            let new =
                |number: usize| NewMemory { text: format!("{number}"), ..NewMemory::default() };
            if count > 0 {
                kept.keep("u", (0..count).map(new).collect()).await;
            }
            kept
        }

        fn remembering(&self) -> Remembering<'_> {
            Remembering { memories: &self.memories, models: &NoModels }
        }

        async fn keep(&self, user: &str, new: Vec<NewMemory>) {
            let owner = self.all.owner(&self.account).await;
            self.remembering().store(&owner, user, new).await.unwrap();
        }

        /// The texts of a page, and where to go on.
        async fn page(
            &self,
            user: &str,
            after: Option<&str>,
            limit: Option<i64>,
        ) -> (Vec<String>, Option<String>) {
            let owner = self.all.owner(&self.account).await;
            let page = self.remembering().listed(&owner, user, after, limit).await.unwrap();
            (page.data.into_iter().map(|one| one.text).collect(), page.next)
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_oldest_first_and_end() {
        let kept = Kept::of(5).await;
        let (first, next) = kept.page("u", None, Some(2)).await;
        assert_eq!(first, ["0", "1"]);
        let (second, next) = kept.page("u", next.as_deref(), Some(2)).await;
        assert_eq!(second, ["2", "3"]);
        let (third, next) = kept.page("u", next.as_deref(), Some(2)).await;
        assert_eq!((third, next), (vec!["4".to_owned()], None));
    }

    #[tokio::test]
    async fn a_page_has_one_to_two_hundred_memories_and_fifty_if_nothing_is_said() {
        let kept = Kept::of(202).await;
        for (limit, length) in [(None, 50), (Some(-1), 1), (Some(0), 1), (Some(i64::MAX), 200)] {
            assert_eq!(kept.page("u", None, limit).await.0.len(), length, "{limit:?}");
        }
    }

    #[tokio::test]
    async fn a_place_that_is_none_is_refused_and_not_taken_for_the_beginning() {
        let kept = Kept::of(1).await;
        let owner = kept.all.owner(&kept.account).await;
        for after in ["", "mem_1", "1e3"] {
            let listed = kept.remembering().listed(&owner, "u", Some(after), None).await;
            let refused = listed.map(|_| ()).unwrap_err();
            assert_eq!(refused.kind, Kind::Malformed, "{after}");
            assert_eq!(refused.field.as_deref(), Some("after"));
        }
    }

    #[tokio::test]
    async fn a_user_of_one_name_in_another_account_is_another_user() {
        let kept = Kept::of(2).await;
        let other = kept.all.owner(&kept.all.open("bolt").await).await;
        let theirs = kept.remembering().listed(&other, "u", None, None).await.unwrap();
        assert!(theirs.data.is_empty() && theirs.next.is_none());
        assert!(kept.page("somebody else", None, None).await.0.is_empty());
    }

    #[tokio::test]
    async fn what_is_past_its_time_is_not_listed_and_stops_no_page() {
        let mut kept = Kept::of(0).await;
        let lasting = |text: &str, ttl: Option<u64>| NewMemory {
            text: text.to_owned(),
            ttl_seconds: ttl,
            ..NewMemory::default()
        };
        let new = [("one", Some(60)), ("two", Some(60)), ("three", Some(90)), ("four", None)];
        kept.keep("u", new.map(|(text, ttl)| lasting(text, ttl)).into()).await;
        let later = clock_at(NOON.after(Duration::from_secs(70)));
        kept.memories = Memories::new(kept.all.store.clone(), later, MemoryModels::default());
        assert_eq!(kept.page("u", None, None).await.0, ["three", "four"]);
        let (first, next) = kept.page("u", None, Some(2)).await;
        assert!(first.is_empty(), "both are over");
        assert_eq!(kept.page("u", next.as_deref(), Some(2)).await.0, ["three", "four"]);
    }
}
