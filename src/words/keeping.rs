//! What is kept of an answer once all of it is there: for whoever asks the same, for the log of contents, for its
//! conversation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cache::{Answers, CachedAnswer, LONGEST_BYTES};
use super::chats::Continued;
use crate::admit::Caller;
use crate::admit::features::FeatureNumbers;
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

/// What similar questions are found by: the context that must be equal, and the vector that must be near.
#[derive(Debug, Clone)]
pub(super) struct SemanticKey {
    pub context: String,
    pub vector: Vec<i8>,
    pub hinge: String,
}

/// Where an answer is kept once it is complete (cache, log, conversation), and under which keys.
#[derive(Debug, Default)]
pub(super) struct AnswerRetention {
    /// Its place among answers that are given again.
    pub exact: Option<String>,
    pub alike: Option<SemanticKey>,
    pub settings: FeatureNumbers,
    pub wish: CacheWish,
    pub log: bool,
    pub continued: Option<Continued>,
    /// The request as it goes, for the log.
    pub request: Bytes,
}

impl AnswerRetention {
    /// Whether an answer is asked for again when it comes.
    pub fn caches(&self) -> bool {
        self.exact.is_some() || self.alike.is_some()
    }

    /// An answer that was given before, if one will do.
    pub fn known(&self, answers: &Answers) -> Option<Arc<CachedAnswer>> {
        let exact = self.exact.as_ref().and_then(|key| answers.exact(key, self.wish));
        exact.or_else(|| {
            let SemanticKey { context, vector, hinge } = self.alike.as_ref()?;
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
    ) -> Option<CompletionTask> {
        let watches = self.log || self.continued.is_some() || (self.caches() && self.wish.keep);
        watches.then(|| CompletionTask {
            keeping: keeping.clone(),
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.clone(),
            dialect,
            answered: AnsweredBy {
                step: answered.step.clone(),
                losses: answered.losses.clone(),
                decision: answered.decision.clone(),
            },
            kept: self,
        })
    }
}

/// Who answered, and how.
struct AnsweredBy {
    step: Step,
    losses: Losses,
    decision: Option<String>,
}

/// What is to be done when an answer is complete: it is put into caches, the log and its conversation.
pub struct CompletionTask {
    keeping: Keeping,
    account: AccountId,
    user: String,
    id: RequestId,
    dialect: Dialect,
    answered: AnsweredBy,
    kept: AnswerRetention,
}

impl CompletionTask {
    /// Nothing is done with a longer stream.
    pub const MOST_STREAMED_BYTES: usize = 8 * LONGEST_BYTES;

    /// To be called once the answer is complete, before its end is told.
    pub async fn done(self, body: &[u8], streamed: bool) {
        let AnswerRetention { exact, alike, settings, wish, log, continued, request } = self.kept;
        if wish.keep && body.len() <= LONGEST_BYTES && (exact.is_some() || alike.is_some()) {
            let kept = |seconds: u64| {
                Arc::new(CachedAnswer {
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
            if let Some(SemanticKey { context, vector, hinge }) = alike {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit::fixture::{Accounts, NOON};
    use crate::catalogue::{ApiKey, Sources, builtin, load};
    use std::sync::LazyLock;

    /// Who answered: a model of this build.
    static STEP: LazyLock<Step> = LazyLock::new(|| {
        let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
        sources.keys.insert("openai".to_owned(), vec![ApiKey::new("k".into(), 1.0)]);
        let model = Arc::clone(&load(sources).unwrap().models()[0]);
        Step { deployment: Arc::clone(&model.deployments[0]), model, effort: None }
    });

    fn answered() -> Answered {
        let body = Bytes::from_static(b"an answer");
        Answered::whole(STEP.clone(), 1, Losses::default(), body, None)
    }

    fn keeping(all: &Accounts) -> Keeping {
        Keeping { store: all.store.clone(), clock: all.clock, answers: Answers::default() }
    }

    fn exact(key: &str) -> AnswerRetention {
        AnswerRetention { exact: Some(key.to_owned()), ..AnswerRetention::default() }
    }

    fn alike(vector: Vec<i8>, hinge: &str) -> AnswerRetention {
        let (context, hinge) = ("context".to_owned(), hinge.to_owned());
        AnswerRetention {
            alike: Some(SemanticKey { context, vector, hinge }),
            ..AnswerRetention::default()
        }
    }

    /// Does with an answer what is to be done, if anything is.
    async fn done(keeps: AnswerRetention, keeping: &Keeping, caller: &Caller, body: &[u8]) -> bool {
        let id = RequestId::stored("req_1");
        let aside = keeps.aside(keeping, caller, &id, Dialect::OpenAiChat, &answered());
        match aside {
            Some(aside) => {
                aside.done(body, false).await;
                true
            }
            None => false,
        }
    }

    #[tokio::test]
    async fn an_answer_is_given_again_to_the_same_and_to_what_means_the_same() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        let keeping = keeping(&all);
        let both = AnswerRetention { exact: Some("k".to_owned()), ..alike(vec![100, 0], "2") };
        assert!(done(both, &keeping, &caller, b"an answer").await);
        for (known, keeps) in [
            (true, exact("k")),
            (false, exact("other")),
            (true, alike(vec![99, 1], "2")),
            (false, alike(vec![0, 100], "2")),
            (false, alike(vec![100, 0], "3")),
            // Where it is not the same, what means the same will do.
            (true, AnswerRetention { exact: Some("other".to_owned()), ..alike(vec![100, 0], "2") }),
        ] {
            let found = keeps.known(&keeping.answers);
            assert_eq!(found.is_some(), known, "{keeps:?}");
            assert!(found.is_none_or(|kept| kept.body == "an answer" && !kept.streamed));
        }
        let unwilling = CacheWish { look: false, ..CacheWish::default() };
        assert!(
            AnswerRetention { wish: unwilling, ..exact("k") }.known(&keeping.answers).is_none()
        );
    }

    #[tokio::test]
    async fn nothing_is_done_with_an_answer_that_nobody_wants_kept() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        let keeping = keeping(&all);
        let unkept = CacheWish { keep: false, ..CacheWish::default() };
        for keeps in [AnswerRetention::default(), AnswerRetention { wish: unkept, ..exact("k") }] {
            assert!(!done(keeps, &keeping, &caller, b"an answer").await, "it goes by unwatched");
        }
        // What is logged is watched, and is given to nobody for that.
        let logged = AnswerRetention { wish: unkept, log: true, ..exact("k") };
        assert!(done(logged, &keeping, &caller, b"an answer").await);
        assert!(exact("k").known(&keeping.answers).is_none());
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_not_given_again_and_one_that_fits_lasts_as_was_set() {
        let all = Accounts::new().await;
        let caller = all.owner(&all.open("acme").await).await;
        let keeping = keeping(&all);
        done(exact("large"), &keeping, &caller, &vec![b'x'; LONGEST_BYTES + 1]).await;
        assert!(exact("large").known(&keeping.answers).is_none());
        done(exact("fits"), &keeping, &caller, &vec![b'x'; LONGEST_BYTES]).await;
        assert!(exact("fits").known(&keeping.answers).is_some());
        let settings =
            FeatureNumbers { cache_seconds: 7, semantic_seconds: 0, ..FeatureNumbers::default() };
        let both = AnswerRetention { exact: Some("k".to_owned()), ..alike(vec![100, 0], "") };
        done(AnswerRetention { settings, ..both }, &keeping, &caller, b"an answer").await;
        let kept = exact("k").known(&keeping.answers).unwrap();
        assert_eq!(kept.lasts, Duration::from_secs(7));
        assert!(
            alike(vec![100, 0], "").known(&keeping.answers).is_none(),
            "it has a time of its own"
        );
    }

    #[tokio::test]
    async fn what_is_logged_is_the_accounts_own_and_no_longer_than_it_may_be() {
        let all = Accounts::new().await;
        let (account, other) = (all.open("acme").await, all.open("bolt").await);
        let caller = all.owner(&account).await;
        let keeping = keeping(&all);
        // The end falls within a letter.
        let request = Bytes::from(format!("x{}", "\u{f6}".repeat(LOGGED_BYTES)));
        let keeps = AnswerRetention { log: true, request, ..AnswerRetention::default() };
        assert!(done(keeps, &keeping, &caller, b"an answer").await);
        let of = async |account: &AccountId| {
            all.store.content(account.clone(), "req_1".to_owned()).await.unwrap()
        };
        let kept = of(&account).await.unwrap();
        assert_eq!((kept.user.as_str(), kept.answer.as_str()), (account.as_str(), "an answer"));
        assert!(kept.at >= NOON);
        let whole = kept.request.trim_end_matches('\u{fffd}');
        assert_eq!(whole.len(), LOGGED_BYTES - 1);
        assert!(of(&other).await.is_none());
    }
}
