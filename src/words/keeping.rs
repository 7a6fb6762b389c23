//! What is kept of an answer once all of it is there: for whoever asks the same, for the log of contents, for its
//! conversation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cache::{Answers, Kept, LONGEST_BYTES};
use super::chats::Continued;
use crate::admit::Caller;
use crate::admit::features::Settings;
use crate::base::clock::Clock;
use crate::base::ids::{AccountId, RequestId};
use crate::exchange::{Answered, CacheWish};
use crate::router::Step;
use crate::store::{Content, Store};
use crate::wire::vocab::{Dialect, Losses};

/// More of a request or an answer is not logged.
const LOGGED_BYTES: usize = 256 << 10;

/// Where answers and contents are kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keeping {
    pub store: Store,
    pub clock: Clock,
    /// Answers that are given again.
    pub answers: Answers,
}

/// A question among others of the same context.
#[derive(Debug, Clone)]
pub(super) struct Alike {
    pub context: String,
    pub vector: Vec<i8>,
    pub hinge: String,
}

/// What is kept of an answer, and under what.
#[derive(Debug, Default)]
pub(super) struct Keeps {
    /// Its place among answers that are given again.
    pub exact: Option<String>,
    pub alike: Option<Alike>,
    pub settings: Settings,
    pub wish: CacheWish,
    pub log: bool,
    pub continued: Option<Continued>,
    /// The request as it goes, for the log.
    pub request: Bytes,
}

impl Keeps {
    /// Whether an answer is asked for again when it comes.
    pub fn caches(&self) -> bool {
        self.exact.is_some() || self.alike.is_some()
    }

    /// An answer that was given before, if one will do.
    pub fn known(&self, answers: &Answers) -> Option<Arc<Kept>> {
        let exact = self.exact.as_ref().and_then(|key| answers.exact(key, self.wish));
        exact.or_else(|| {
            let Alike { context, vector, hinge } = self.alike.as_ref()?;
            let threshold = self.settings.semantic_threshold;
            answers.alike(context, vector, hinge, threshold, self.wish)
        })
    }

    /// What is to be done with an answer once it is complete; `None` for nothing.
    pub fn aside(
        self,
        keeping: &Keeping,
        caller: &Caller,
        id: &RequestId,
        dialect: Dialect,
        answered: &Answered,
    ) -> Option<Aside> {
        let watches = self.log || self.continued.is_some() || (self.caches() && self.wish.keep);
        watches.then(|| Aside {
            keeping: keeping.clone(),
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.clone(),
            dialect,
            answered: Given {
                step: answered.step.clone(),
                losses: answered.losses.clone(),
                decision: answered.decision.clone(),
            },
            kept: self,
        })
    }
}

/// Who answered, and how.
struct Given {
    step: Step,
    losses: Losses,
    decision: Option<String>,
}

/// What is to be done with an answer when it is complete.
pub struct Aside {
    keeping: Keeping,
    account: AccountId,
    user: String,
    id: RequestId,
    dialect: Dialect,
    answered: Given,
    kept: Keeps,
}

impl Aside {
    /// Nothing is done with a longer stream.
    pub const MOST_STREAMED_BYTES: usize = 8 * LONGEST_BYTES;

    /// To be called once the answer is complete, before its end is told.
    pub async fn done(self, body: &[u8], streamed: bool) {
        let Keeps { exact, alike, settings, wish, log, continued, request } = self.kept;
        if wish.keep && body.len() <= LONGEST_BYTES && (exact.is_some() || alike.is_some()) {
            let kept = |seconds: u64| {
                Arc::new(Kept {
                    step: self.answered.step.clone(),
                    losses: self.answered.losses.clone(),
                    decision: self.answered.decision.clone(),
                    body: Bytes::copy_from_slice(body),
                    streamed,
                    at: Instant::now(),
                    lasts: Duration::from_secs(seconds),
                })
            };
            let answers = &self.keeping.answers;
            if let Some(key) = exact {
                answers.keep(key, kept(settings.cache_seconds));
            }
            if let Some(Alike { context, vector, hinge }) = alike {
                answers.keep_alike(context, vector, hinge, kept(settings.semantic_seconds));
            }
        }
        let now = self.keeping.clock.now();
        if log {
            let text = |bytes: &[u8]| {
                let bytes = bytes.get(..LOGGED_BYTES).unwrap_or(bytes);
                String::from_utf8_lossy(bytes).into_owned()
            };
            let content = Content {
                account: self.account.clone(),
                request_id: self.id.as_str().to_owned(),
                user: self.user.clone(),
                at: now,
                request: text(&request),
                answer: text(body),
            };
            if let Err(why) = self.keeping.store.keep_content(content).await {
                tracing::error!(%why, "a content could not be logged");
            }
        }
        if let Some(continued) = continued {
            let Keeping { store, .. } = &self.keeping;
            let kept = continued.keep(store, now, &self.account, self.dialect, body, streamed);
            if let Err(why) = kept.await {
                tracing::error!(%why, "an answer could not be added to its conversation");
            }
        }
    }
}
