//! Which model a conversation was answered by: its provider has likely kept the prompt so far, and
//! reads it again for a tenth of the price.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::Duration;

use moka::sync::Cache;

use crate::base::ids::AccountId;
use crate::router::Before;
use crate::wire::vocab::{Request, Role, Turn};

/// Providers keep a prompt for about so long after it was last read.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// Conversations that are remembered on this node.
const CONVERSATIONS: u64 = 100_000;
/// What tells conversations apart is said within so many bytes of a text.
const TELLING_BYTES: usize = 512;

/// Cheap to clone.
#[derive(Clone)]
pub struct Affinity {
    /// With the generation of the catalogue that the model's place is of.
    answered: Cache<u64, (usize, Before)>,
    /// Random per process: nobody can aim at another's conversation.
    hasher: RandomState,
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Affinity").finish_non_exhaustive()
    }
}

impl Default for Affinity {
    fn default() -> Self {
        let answered = Cache::builder().max_capacity(CONVERSATIONS).time_to_idle(KEPT_FOR).build();
        Self { answered, hasher: RandomState::new() }
    }
}

/// A conversation of an account, by what it began with or by the name it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    key: u64,
    /// The caller named it, and wishes to stay with one model.
    stays: bool,
}

impl Affinity {
    /// The conversation of a request: its session's, or that of its instructions and its first question.
    /// Nothing where there is neither.
    pub fn conversation(
        &self,
        account: &AccountId,
        session: Option<&str>,
        request: &Request,
    ) -> Option<Conversation> {
        let mut hasher = self.hasher.build_hasher();
        account.as_str().hash(&mut hasher);
        if let Some(session) = session {
            session.hash(&mut hasher);
            return Some(Conversation { key: hasher.finish(), stays: true });
        }
        let opening = request.turns.iter().find(|turn| turn.role == Role::User)?;
        let texts = request.instructions.iter().flat_map(Turn::texts).chain(opening.texts());
        for text in texts {
            text.as_bytes().get(..TELLING_BYTES).unwrap_or(text.as_bytes()).hash(&mut hasher);
        }
        Some(Conversation { key: hasher.finish(), stays: false })
    }

    /// Where it was answered before.
    pub fn before(&self, conversation: Conversation, generation: usize) -> Option<Before> {
        let known = self.answered.get(&conversation.key);
        known.filter(|(of, _)| *of == generation).map(|(_, before)| before)
    }

    /// It was answered by the model at `place`, which has read so many tokens.
    pub fn answered(
        &self,
        conversation: Conversation,
        (generation, place): (usize, usize),
        prefix_tokens: u64,
    ) {
        let before = Before { place, prefix_tokens, stays: conversation.stays };
        self.answered.insert(conversation.key, (generation, before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vocab::Part;

    fn asking(texts: &[&str]) -> Request {
        let turns = texts.iter().enumerate().map(|(number, text)| {
            let role = if number % 2 == 0 { Role::User } else { Role::Assistant };
            Turn::new(role, vec![Part::text(*text)])
        });
        Request { turns: turns.collect(), ..Request::default() }
    }

    #[test]
    fn a_conversation_is_known_by_how_it_began_and_whose_it_is() {
        let affinity = Affinity::default();
        let (own, other) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        let conversation = |account, session, texts: &[&str]| {
            affinity.conversation(account, session, &asking(texts)).unwrap()
        };
        let first = conversation(&own, None, &["Tell me of Rome."]);
        assert_eq!(affinity.before(first, 7), None);
        affinity.answered(first, (7, 3), 900);
        let later = conversation(&own, None, &["Tell me of Rome.", "It was large.", "And then?"]);
        let before = Before { place: 3, prefix_tokens: 900, stays: false };
        assert_eq!(affinity.before(later, 7), Some(before));
        assert_eq!(affinity.before(conversation(&other, None, &["Tell me of Rome."]), 7), None);
        assert_eq!(affinity.before(conversation(&own, None, &["Tell me of Athens."]), 7), None);
        let named = conversation(&own, Some("s1"), &["One"]);
        affinity.answered(named, (7, 4), 10);
        assert!(affinity.before(conversation(&own, Some("s1"), &["Two"]), 7).unwrap().stays);
        assert_eq!(affinity.before(conversation(&other, Some("s1"), &["Two"]), 7), None);
        assert_eq!(affinity.conversation(&own, None, &Request::default()), None);
    }
}
