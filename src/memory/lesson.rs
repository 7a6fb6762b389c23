//! What a user said in a conversation, to be learned from once they have their answer.

use super::learning::UnderWay;
use super::{Asked, Memories, Models, NewMemory, Remembering, facts};
use crate::admit::Caller;
use crate::base::Error;

/// What was said more alike than this is known already.
const KNOWN_SIMILARITY: f32 = 0.95;

/// Words of a user. Until they are learned, or this is dropped, what the user asks next waits for it.
pub struct Lesson {
    memories: Memories,
    models: Box<dyn Models>,
    caller: Caller,
    user: String,
    said: String,
    under_way: UnderWay,
}

impl Lesson {
    /// Remembers what is worth it, behind the caller's back: models may be asked for vectors and relations.
    pub fn learn_later(self) {
        tokio::task::spawn_local(async move {
            let Self { memories, models, caller, user, said, under_way } = self;
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
        let under_way = self.memories.learning.begin(&caller.account, &user);
        let (memories, models) = (self.memories.clone(), self.models.aside());
        Lesson { memories, models, caller: caller.clone(), user, said, under_way }
    }

    /// Something of a conversation that is worth remembering, unless it is known.
    async fn learn(&self, caller: &Caller, user: &str, said: &str) -> Result<(), Error> {
        let mut new = Vec::new();
        for fact in facts::facts(said) {
            let asked = Asked { query: fact.clone(), limit: Some(1), ..Asked::default() };
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
