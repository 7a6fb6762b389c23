//! Answers that are given again: to the very same request, or to one whose last question means the
//! same. In the memory of this process, by account.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;

use crate::exchange::CacheWish;
use crate::platform::embedding::cosine;
use crate::router::Step;
use crate::wire::vocab::Losses;

/// Memory that answers may take, in bytes.
const ANSWERS_BYTES: u64 = 128 << 20;
/// A larger answer is not kept.
pub const LONGEST_BYTES: usize = 1 << 20;
/// Contexts in which questions are compared, and questions of each.
const CONTEXTS: u64 = 20_000;
const QUESTIONS: usize = 100;
const CONTEXT_LIFE: Duration = Duration::from_secs(86_400);

/// An answer as it was given.
#[derive(Debug, Clone)]
pub struct CachedAnswer {
    pub step: Step,
    pub losses: Losses,
    pub decision: Option<String>,
    pub body: Bytes,
    pub streamed: bool,
    /// When it was given, and how long it is good.
    pub at: Instant,
    pub lasts: Duration,
}

impl CachedAnswer {
    fn is_good(&self, wish: CacheWish) -> bool {
        let age = self.at.elapsed();
        age < self.lasts && wish.max_age.is_none_or(|most| age.as_secs() <= most)
    }
}

struct Lifetime;

impl Expiry<String, Arc<CachedAnswer>> for Lifetime {
    fn expire_after_create(
        &self,
        _: &String,
        kept: &Arc<CachedAnswer>,
        _: Instant,
    ) -> Option<Duration> {
        Some(kept.lasts)
    }
}

struct Question {
    vector: Vec<i8>,
    /// Numbers and words that turn a question around: they have to be the same.
    hinge: String,
    answer: Arc<CachedAnswer>,
}

type Questions = Arc<Mutex<Vec<Question>>>;

/// Cheap to clone.
#[derive(Clone)]
pub struct Answers {
    exact: Cache<String, Arc<CachedAnswer>>,
    alike: Cache<String, Questions>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            exact: Cache::builder()
                .weigher(|_, kept: &Arc<CachedAnswer>| {
                    u32::try_from(kept.body.len() + 512).unwrap_or(u32::MAX)
                })
                .max_capacity(ANSWERS_BYTES)
                .expire_after(Lifetime)
                .build(),
            alike: Cache::builder().max_capacity(CONTEXTS).time_to_live(CONTEXT_LIFE).build(),
        }
    }
}

impl Answers {
    #[must_use]
    pub fn exact(&self, key: &str, wish: CacheWish) -> Option<Arc<CachedAnswer>> {
        self.exact.get(key).filter(|kept| wish.look && kept.is_good(wish))
    }

    pub fn keep(&self, key: String, kept: Arc<CachedAnswer>) {
        self.exact.insert(key, kept);
    }

    /// The answer to the nearest question of the same context, if it is near enough.
    #[must_use]
    pub fn alike(
        &self,
        context: &str,
        vector: &[i8],
        hinge: &str,
        threshold: f32,
        wish: CacheWish,
    ) -> Option<Arc<CachedAnswer>> {
        let questions = self.alike.get(context).filter(|_| wish.look)?;
        let questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions
            .iter()
            .filter(|one| one.hinge == hinge && one.answer.is_good(wish))
            .map(|one| (cosine(&one.vector, vector), &one.answer))
            .filter(|(near, _)| *near >= threshold)
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, answer)| Arc::clone(answer))
    }

    pub fn keep_alike(
        &self,
        context: String,
        vector: Vec<i8>,
        hinge: String,
        answer: Arc<CachedAnswer>,
    ) {
        let questions = self.alike.get_with(context, Questions::default);
        let mut questions = questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.retain(|one| one.answer.is_good(CacheWish::default()));
        if questions.len() >= QUESTIONS {
            questions.remove(0);
        }
        questions.push(Question { vector, hinge, answer });
    }
}

/// Words that turn a question around, in the languages that are asked most. The "t" is what is left of
/// "don't"; people leave the sign out as well.
const TURNS: [&str; 44] = [
    "not", "no", "never", "without", "cannot", "t", "nor", "neither", "none", "nobody", "nothing",
    "nowhere", "except", "unless", "cant", "dont", "wont", "isnt", "arent", "doesnt", "didnt",
    "shouldnt", "wouldnt", "couldnt", "mustnt", "wasnt", "werent", "hasnt", "havent", "nicht",
    "kein", "keine", "nie", "ohne", "ne", "pas", "jamais", "sans", "sin", "nunca", "non", "senza",
    "mai", "nem",
];

/// What turns a question around without moving it far: its numbers, and its negations.
#[must_use]
pub fn hinge(text: &str) -> String {
    let words = crate::platform::embedding::words(text);
    let turns = |word: &String| {
        word.bytes().any(|byte| byte.is_ascii_digit()) || TURNS.contains(&word.as_str())
    };
    let mut hinges: Vec<String> = words.filter(turns).collect();
    hinges.sort_unstable();
    hinges.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_negations_are_hinges() {
        assert_eq!(hinge("What is 2 + 3?"), "2 3");
        assert_ne!(hinge("Is it safe?"), hinge("Is it not safe?"));
        for negated in ["Can't", "Can\u{2019}t", "CANT", "Cannot", "can not"] {
            let negated = format!("{negated} I mix them?");
            assert_ne!(hinge("Can I mix them?"), hinge(&negated), "{negated}");
        }
        assert_ne!(hinge("Darf ich sie mischen?"), hinge("Darf ich sie nicht mischen?"));
        assert_eq!(hinge("Tell me of Rome"), hinge("Rome, tell me of it"));
    }
}
