//! What answers of `auto` show by themselves, gathered once they are there: JSON that parses or does not,
//! calls of tools that keep to what was offered, answers that were cut, requests that come again at once.
//! What that is worth is the router's to say; it is written down behind the requests' backs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::quality::RandomState;
use memchr::memmem;

use super::check;
use super::found::{ModelFindings, found};
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::catalogue::Model;
use crate::router::{Outcomes, Sign, for_all};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::wire::vocab::{Dialect, Format, Request};
use crate::wire::{Inbound, said};

/// Models of accounts that may wait to be written down; what is beyond is not learned from.
const MOST_WAITING: usize = 20_000;
/// A request that comes again within this is asked again.
const AGAIN: Duration = Duration::from_secs(120);
/// Places for requests that are remembered for it, by their hash: a newer request overwrites an older one.
const PRINTS: usize = 4_096;
/// Of a long request, its size and so many bytes of its beginning and of its end tell it apart.
const TELLING_BYTES: usize = 8 << 10;
/// Longer answers are not read again.
pub const LONGEST_BYTES: usize = 1 << 20;
/// Answers that may wait to be read again; beyond that, some are let go.
const MOST_READING: usize = 64;

/// How far a model's level has moved for all accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedShift {
    /// In log-odds.
    pub by: f32,
    /// Of how many accounts.
    pub accounts: usize,
}

/// By model.
pub type SharedShifts = Arc<BTreeMap<String, SharedShift>>;

/// What was found out on this node and is not written down yet. Cheap to clone.
#[derive(Clone)]
pub struct Findings(Arc<Inner>);

struct Inner {
    waiting: Mutex<Waiting>,
    /// Random per process: nobody can aim at another's place.
    hasher: RandomState,
    reading: AtomicUsize,
    globally: bool,
    for_all: RwLock<SharedShifts>,
    metrics: Metrics,
}

#[derive(Default)]
struct Waiting {
    signs: HashMap<AccountId, HashMap<Box<str>, BTreeMap<Sign, u64>>>,
    models: usize,
    prints: Vec<Option<Print>>,
}

/// A request that was answered.
struct Print {
    of: u64,
    at: Instant,
    model: Arc<Model>,
    /// It has come again: once is enough.
    again: bool,
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").finish_non_exhaustive()
    }
}

impl Findings {
    /// `globally` = what accounts find out counts for all.
    #[must_use]
    pub fn new(globally: bool, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            waiting: Mutex::default(),
            hasher: RandomState::default(),
            reading: AtomicUsize::new(0),
            globally,
            for_all: RwLock::default(),
            metrics,
        }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An answer of a model to an account has shown something.
    pub fn note(&self, account: &AccountId, model: &Model, sign: Sign) {
        self.0.metrics.outcomes.with_label_values(&[&*model.label, sign.as_str()]).inc();
        self.with(|waiting| waiting.note(account, &model.id, sign));
    }

    /// A request of an account by all that tells it from others.
    fn print(&self, account: &AccountId, body: &[u8]) -> u64 {
        let mut hasher = self.0.hasher.build_hasher();
        account.as_str().hash(&mut hasher);
        body.len().hash(&mut hasher);
        let (start, end) = body.split_at(body.len().min(TELLING_BYTES));
        start.hash(&mut hasher);
        end.get(end.len().saturating_sub(TELLING_BYTES)..).unwrap_or(end).hash(&mut hasher);
        hasher.finish()
    }

    /// Takes note that a request was answered by a model, and of what the answer shows without being read:
    /// `whole` is its bytes, unless it streams. What has to be read once it is there is given back.
    #[must_use]
    pub fn answered(
        &self,
        account: &AccountId,
        model: &Arc<Model>,
        inbound: Inbound,
        whole: Option<&[u8]>,
    ) -> Option<Reading> {
        let print = self.print(account, &inbound.body);
        let before = self.with(|waiting| waiting.answered(print, model, Instant::now()));
        if let Some(before) = before {
            self.note(account, &before, Sign::AskedAgain);
        }
        // It was read to decide.
        let request = inbound.request().ok()?;
        let demands =
            !request.tools.is_empty() || request.format.as_ref().is_some_and(Format::is_json);
        if !demands {
            let sign = match whole {
                Some(body) => at_a_glance(inbound.dialect, body, request),
                // That it broke off, should it, says nothing of its model.
                None => Sign::AnswerSound,
            };
            self.note(account, model, sign);
            return None;
        }
        if self.0.reading.fetch_add(1, Ordering::Relaxed) >= MOST_READING {
            self.0.reading.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let (findings, model) = (self.clone(), Arc::clone(model));
        Some(Reading { findings, account: account.clone(), model, inbound })
    }

    /// How far models have moved for all. Nothing, where that is not wanted.
    #[must_use]
    pub fn for_all(&self) -> SharedShifts {
        Arc::clone(&self.0.for_all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes down what waits.
    ///
    /// # Errors
    /// When the store fails: what waited is then not learned from.
    pub async fn write_down(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let waiting = self.with(|waiting| {
            waiting.models = 0;
            std::mem::take(&mut waiting.signs)
        });
        let (mut of, mut signs) = (Vec::new(), Vec::new());
        for (account, models) in waiting {
            for (model, seen) in models {
                of.push(((account.clone(), model.into_string()), seen));
            }
        }
        if of.is_empty() {
            return Ok(());
        }
        // Nodes take the rows in one order, so that none waits for another's that waits for its own.
        of.sort_by(|(one, _), (other, _)| one.cmp(other));
        let of = of.into_iter().map(|(key, seen)| {
            signs.push(seen);
            key
        });
        let of: Vec<(AccountId, String)> = of.collect();
        let change = move |number: usize, before: &str| {
            let mut outcomes: Outcomes = serde_json::from_str(before).unwrap_or_default();
            for (sign, times) in signs.get(number)? {
                outcomes.note(*sign, *times, now);
            }
            serde_json::to_string(&outcomes).ok()
        };
        store.change_outcomes(of, now, change).await
    }

    /// Works out how far models have moved for all, where that is wanted.
    ///
    /// # Errors
    /// When the store fails: then it stays as it was.
    pub async fn gather(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        if !self.0.globally {
            return Ok(());
        }
        let moved = together(&found(store, None, true, now).await?);
        *self.0.for_all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(moved);
        Ok(())
    }

    /// What waits is let go.
    pub fn forget(&self) {
        self.with(|waiting| *waiting = Waiting::default());
        *self.0.for_all.write().unwrap_or_else(PoisonError::into_inner) = SharedShifts::default();
    }
}

/// How far each model moves for all, by what each account has found out.
fn together(all: &[ModelFindings]) -> BTreeMap<String, SharedShift> {
    let mut by_model: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for one in all {
        by_model.entry(&one.model).or_default().push(one.own);
    }
    let moved = by_model.into_iter().map(|(model, accounts)| {
        let by = for_all(accounts.iter().copied());
        (model.to_owned(), SharedShift { by, accounts: accounts.len() })
    });
    moved.collect()
}

impl Waiting {
    fn note(&mut self, account: &AccountId, model: &str, sign: Sign) {
        let known = self.signs.get_mut(account).and_then(|models| models.get_mut(model));
        if let Some(seen) = known {
            *seen.entry(sign).or_default() += 1;
        } else if self.models < MOST_WAITING {
            self.models += 1;
            let models = self.signs.entry(account.clone()).or_default();
            models.insert(model.into(), BTreeMap::from([(sign, 1)]));
        }
    }

    /// A request is answered by a model. Who answered it just before, if it comes for the second time.
    fn answered(&mut self, print: u64, model: &Arc<Model>, now: Instant) -> Option<Arc<Model>> {
        if self.prints.is_empty() {
            self.prints.resize_with(PRINTS, || None);
        }
        let place = usize::try_from(print % PRINTS as u64).ok()?;
        let slot = self.prints.get_mut(place)?;
        let before = slot
            .take()
            .filter(|one| one.of == print && now.saturating_duration_since(one.at) < AGAIN);
        let again = before.is_some();
        *slot = Some(Print { of: print, at: now, model: Arc::clone(model), again });
        before.filter(|one| !one.again).map(|one| one.model)
    }
}

/// What a whole answer of words shows without being read: why it ended.
fn at_a_glance(dialect: Dialect, body: &[u8], request: &Request) -> Sign {
    let (name, cut, refused) = match dialect {
        Dialect::OpenAiChat => ("\"finish_reason\"", "\"length\"", "\"content_filter\""),
        Dialect::OpenAiResponses => ("\"reason\"", "\"max_output_tokens\"", "\"content_filter\""),
        Dialect::Anthropic => ("\"stop_reason\"", "\"max_tokens\"", "\"refusal\""),
        Dialect::Gemini => ("\"finishReason\"", "\"MAX_TOKENS\"", "\"SAFETY\""),
    };
    // Within a text the quotation marks have strokes before them.
    for at in memmem::find_iter(body, name) {
        let rest = body.get(at + name.len()..).unwrap_or_default().trim_ascii_start();
        let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        if value.starts_with(refused.as_bytes()) {
            return Sign::AnswerRefused;
        }
        if value.starts_with(cut.as_bytes()) && request.max_output_tokens.is_none() {
            return Sign::AnswerCut;
        }
    }
    Sign::AnswerSound
}

/// An answer that is to be read once it is there.
#[derive(Debug)]
pub struct Reading {
    findings: Findings,
    account: AccountId,
    model: Arc<Model>,
    inbound: Inbound,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.findings.0.reading.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reading {
    /// Reads all of an answer, and takes note of what it shows. Nothing waits for it.
    pub fn read_later(self, answer: Bytes, streamed: bool) {
        if answer.len() <= LONGEST_BYTES {
            tokio::task::spawn_local(async move { self.read(&answer, streamed) });
        }
    }

    fn read(&self, answer: &[u8], streamed: bool) {
        let Ok(request) = self.inbound.request() else { return };
        if let Ok(reply) = said(self.inbound.dialect, answer, streamed) {
            self.findings.note(&self.account, &self.model, check::shown(request, &reply));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        Findings::new(true, Metrics::new().unwrap())
    }

    #[test]
    fn what_is_asked_again_at_once_is_noticed_once() {
        use crate::catalogue::{ApiKey, Sources, builtin, load};
        let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
        sources.keys.insert("openai".to_owned(), vec![ApiKey::new("k".into(), 1.0)]);
        let catalogue = load(sources).unwrap();
        let models = catalogue.models();
        let mut waiting = Waiting::default();
        let begun = Instant::now();
        let mut answered = |print: u64, model: usize, seconds: u64| {
            let now = begun + Duration::from_secs(seconds);
            waiting.answered(print, &models[model], now).map(|before| before.id.clone())
        };
        assert_eq!(answered(7, 0, 0), None);
        assert_eq!(answered(8, 0, 1), None, "another request");
        assert_eq!(answered(7, 1, 60), Some(models[0].id.clone()));
        assert_eq!(answered(7, 1, 61), None, "who goes on repeating it is not listened to");
        assert_eq!(answered(7, 1, 61 + 120), None, "later it is no retry");
        assert_eq!(answered(7 + PRINTS as u64, 1, 182), None, "the newer takes the place");
        assert_eq!(answered(7, 1, 183), None);
    }

    #[test]
    fn a_request_is_told_apart_by_account_size_and_both_ends() {
        let findings = findings();
        let (one, other) = (AccountId::stored("acct_a"), AccountId::stored("acct_b"));
        let long = vec![b'a'; 3 * TELLING_BYTES];
        let print = findings.print(&one, &long);
        assert_eq!(print, findings.print(&one, &long));
        assert_ne!(print, findings.print(&other, &long));
        assert_ne!(print, findings.print(&one, &long[1..]));
        for at in [0, long.len() - 1] {
            let mut changed = long.clone();
            changed[at] = b'b';
            assert_ne!(print, findings.print(&one, &changed), "{at}");
        }
    }

    #[test]
    fn why_an_answer_ended_is_seen_without_reading_it() {
        let request = Request::default();
        let limited = Request { max_output_tokens: Some(9), ..Request::default() };
        for (dialect, body, sign) in [
            (Dialect::OpenAiChat, r#"{"choices":[{"finish_reason": "length"}]}"#, Sign::AnswerCut),
            (Dialect::OpenAiChat, r#"{"choices":[{"finish_reason":"stop"}]}"#, Sign::AnswerSound),
            (
                Dialect::OpenAiChat,
                r#"{"a":"\"finish_reason\":\"length\"","finish_reason":"stop"}"#,
                Sign::AnswerSound,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"finish_reason":"stop","b":{"finish_reason":"content_filter"}}"#,
                Sign::AnswerRefused,
            ),
            (
                Dialect::OpenAiResponses,
                r#"{"incomplete_details":{"reason":"max_output_tokens"}}"#,
                Sign::AnswerCut,
            ),
            (Dialect::Gemini, "{\"finishReason\" :\n\"MAX_TOKENS\"}", Sign::AnswerCut),
            (Dialect::Anthropic, r#"{"stop_reason":"refusal"}"#, Sign::AnswerRefused),
        ] {
            assert_eq!(at_a_glance(dialect, body.as_bytes(), &request), sign, "{body}");
            if sign == Sign::AnswerCut {
                let sign = at_a_glance(dialect, body.as_bytes(), &limited);
                assert_eq!(sign, Sign::AnswerSound, "by the caller's own limit: {body}");
            }
        }
    }

    #[test]
    fn each_account_counts_once_for_all() {
        let of = |account: &str, own: f32| ModelFindings {
            account: AccountId::stored(account),
            model: "m".to_owned(),
            said: 1_000,
            by_feedback: own,
            outcomes: None,
            by_outcomes: 0.0,
            own,
            updated: Timestamp(0),
        };
        let moved = together(&[of("acct_a", 0.8), of("acct_b", -0.4)]);
        assert_eq!(moved["m"], SharedShift { by: 0.0, accounts: 2 });
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        let account = AccountId::stored("acct_a");
        for number in 0..MOST_WAITING + 10 {
            waiting.note(&account, &format!("m{number}"), Sign::AnswerSound);
        }
        waiting.note(&account, "m0", Sign::AnswerSound);
        let models = &waiting.signs[&account];
        assert_eq!(models.len(), MOST_WAITING);
        assert_eq!(models["m0"][&Sign::AnswerSound], 2);
    }
}
