//! What a user said in a conversation, to be learned from once they have their answer.

use super::{Memories, MemoryQuery, Models, NewMemory, Remembering, facts};
use crate::admit::Caller;
use crate::base::Error;

/// What was said more alike than this is known already.
const KNOWN_SIMILARITY: f32 = 0.95;

/// Words of a user.
pub struct Lesson {
    memories: Memories,
    models: Box<dyn Models>,
    caller: Caller,
    user: String,
    said: String,
}

impl Lesson {
    /// Remembers what is worth it, behind the caller's back: models may be asked for vectors and relations. What
    /// the user asks next waits for it, a little.
    pub fn learn_later(self) {
        let Self { memories, models, caller, user, said } = self;
        let under_way = memories.learning.begin(&caller.account, &user);
        tokio::task::spawn_local(async move {
            let remembering = Remembering { memories: &memories, models: &*models };
            if let Err(why) = remembering.learn(&caller, &user, &said).await {
                tracing::warn!(%why, "what was said could not be remembered");
            }
            drop(under_way);
        });
    }
}

impl Remembering<'_> {
    /// What a user said, for when their request is answered.
    #[must_use]
    pub fn lesson(&self, caller: &Caller, user: String, said: String) -> Lesson {
        let (memories, models) = (self.memories.clone(), self.models.aside());
        Lesson { memories, models, caller: caller.clone(), user, said }
    }

    /// Something of a conversation that is worth remembering, unless it is known.
    async fn learn(&self, caller: &Caller, user: &str, said: &str) -> Result<(), Error> {
        let mut new = Vec::new();
        for fact in facts::facts(said) {
            let asked =
                MemoryQuery { query: fact.clone(), limit: Some(1), ..MemoryQuery::default() };
            let known = self.find(caller, user, &asked).await?;
            if known.first().is_none_or(|(_, hit)| hit.similarity < KNOWN_SIMILARITY) {
                let tags = vec!["conversation".to_owned()];
                new.push(NewMemory { text: fact, tags, ..NewMemory::default() });
            }
        }
        if !new.is_empty() {
            self.store(caller, user, new).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;
    use crate::admit::fixture::Accounts;
    use crate::memory::MemoryModels;
    use crate::memory::fixture::NoModels;

    #[tokio::test]
    async fn what_a_user_says_of_themselves_is_learned_once_it_is_told_to_and_only_once() {
        let all = Accounts::new().await;
        let owner = all.owner(&all.open("acme").await).await;
        let memories = Memories::new(all.store.clone(), all.clock, MemoryModels::default());
        let remembering = Remembering { memories: &memories, models: &NoModels };
        let known = async || {
            let page = remembering.listed(&owner, "u", None, None).await.unwrap();
            let told = serde_json::to_value(&page).unwrap();
            let all = told["data"].as_array().unwrap();
            all.iter().map(|one| one["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let lesson = |said: &str| remembering.lesson(&owner, "u".to_owned(), said.to_owned());
        // An answer that never came to its end.
        drop(lesson("My name is Bob."));
        for said in ["My name is Ann. What is the weather?", "My name is Ann."] {
            let local = LocalSet::new();
            local.run_until(async { lesson(said).learn_later() }).await;
            local.await;
            memories.learning.settled(&owner.account, "u").await;
            assert_eq!(known().await, ["My name is Ann"], "{said}");
        }
    }
}
