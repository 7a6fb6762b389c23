//! What switches do to the words of a request before it goes, and with its answer when it is there:
//! redaction, memories, answers from a cache, saved conversations, a log of contents.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::cache::{Kept, LONGEST_BYTES, hinge};
use super::chats::Continued;
use super::memory;
use super::{App, Shared, chats};
use crate::admit::features::Settings;
use crate::admit::{Caller, Feature, users};
use crate::base::Error;
use crate::base::ids::{AccountId, RequestId};
use crate::base::secret::fingerprint;
use crate::exchange::{Answered, Arrival, Asked, Body, CacheWish, Ending};
use crate::ledger::Outcome;
use crate::platform::embedding::{embed, packed};
use crate::platform::redact::redact_body;
use crate::router::question;
use crate::store::Content;
use crate::wire::vocab::{Body as Said, Dialect, Request, Role};
use crate::wire::{Inbound, Target, codec};

/// Memories that may be added to one request.
const MOST_MEMORIES: usize = 8;
/// How near a memory has to be that shares no word with the question.
const NEAR: f32 = 0.35;
/// More of a request or an answer is not logged.
const LOGGED_BYTES: usize = 256 << 10;

/// A question among others of the same context.
#[derive(Debug, Clone)]
struct Alike {
    context: String,
    vector: Vec<i8>,
    hinge: String,
}

/// What is known of a request whose words something is done with.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Its place among answers that are given again.
    exact: Option<String>,
    alike: Option<Alike>,
    settings: Settings,
    wish: CacheWish,
    /// The memories that were added.
    pub recalled: Vec<String>,
    /// A user, and what they said that may be worth remembering.
    said: Option<(String, String)>,
    log: bool,
    continued: Option<Continued>,
    /// The request as it goes, for the log.
    request: Bytes,
}

/// Prepares the words of a request. Most have no switch that touches them, and pass untouched. `mark`
/// is that of the guardrails that its answer is held to.
///
/// # Errors
/// What the caller is to be told of a body that cannot be read, or a conversation that is not there.
pub(super) async fn prepare(
    app: &App,
    caller: &Caller,
    arrival: &mut Arrival,
    mark: Option<String>,
) -> Result<Option<Words>, Error> {
    let continued = chats::go_on(app, caller, arrival).await?;
    if !caller.features.touch_words() {
        return Ok(continued.map(|continued| Words {
            continued: Some(continued),
            request: arrival.body.clone(),
            ..Words::default()
        }));
    }
    let mut words = Words {
        settings: caller.features.settings,
        wish: arrival.asked.cache,
        log: caller.features.has(Feature::ContentLogging),
        continued,
        ..Words::default()
    };
    let rememberer = rememberer(app, caller, arrival).await?;
    if caller.features.has(Feature::PiiRedaction) {
        let mut body: Value = read(&arrival.body)?;
        if redact_body(&mut body) > 0 {
            arrival.body = Bytes::from(body.to_string());
        }
    }
    if let Some(user) = rememberer {
        Box::pin(recall(app, caller, user, arrival, &mut words)).await?;
    }
    let model = arrival.target.as_ref().map_or("", |target| &target.model);
    let stream = arrival.target.as_ref().is_some_and(|target| target.stream);
    let place = |body: &[u8]| {
        // All that makes an answer another one, beside the words.
        let strict = arrival.asked.strict || caller.features.has(Feature::StrictParameters);
        let Asked { dial, max_cost, cascade, wishes, .. } = &arrival.asked;
        let asked = (dial, max_cost, cascade, wishes, strict, &arrival.forward, &mark);
        let asked = format!("{asked:?}");
        let stream = if stream { "stream" } else { "" };
        fingerprint(&[
            caller.account.as_str().as_bytes(),
            arrival.dialect.as_str().as_bytes(),
            model.as_bytes(),
            stream.as_bytes(),
            asked.as_bytes(),
            body,
        ])
    };
    // What goes on with a conversation changes it, and is asked anew.
    if words.continued.is_none() {
        if caller.features.has(Feature::ResponseCache) {
            let body: Value = read(&arrival.body)?;
            words.exact = Some(place(body.to_string().as_bytes()));
        }
        if caller.features.has(Feature::SemanticCache) {
            let request = codec(arrival.dialect).decode_request(&arrival.body)?;
            words.alike = unasked(&request).and_then(|(rest, question)| {
                let target = Target { model: &request.model, max_output_tokens: 1, ..Target::SELF };
                let rest = codec(arrival.dialect).encode_request(&rest, &target).ok()?;
                Some(Alike {
                    context: place(&rest.body),
                    vector: packed(&embed(&question)),
                    hinge: hinge(&question),
                })
            });
        }
    }
    words.request = arrival.body.clone();
    Ok(Some(words))
}

fn read(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|why| crate::wire::vocab::Malformed::not_json(&why).into())
}

/// The request without its last question, and the question, if it is nothing but words.
fn unasked(request: &Request) -> Option<(Request, String)> {
    let mut rest = request.clone();
    let last = rest.turns.last_mut().filter(|turn| turn.role == Role::User)?;
    let mut question = String::new();
    for part in &mut last.parts {
        let Said::Text(text) = &mut part.body else { return None };
        question.push_str(text);
        text.clear();
    }
    (!question.trim().is_empty()).then_some((rest, question))
}

/// Whose memories go with a request, if any do: those of the user whom it is made for, or whom its
/// body names. Read before anything of the body is redacted, the name above all.
async fn rememberer(
    app: &App,
    caller: &Caller,
    arrival: &Arrival,
) -> Result<Option<String>, Error> {
    if !caller.features.has(Feature::Memory) {
        return Ok(None);
    }
    let request = codec(arrival.dialect).decode_request(&arrival.body)?;
    // One for whom the caller may not act is the provider's business alone.
    let Ok(user) = users::named(&app.shared.identities, caller, request.user.as_deref()).await
    else {
        return Ok(Some(caller.person.id.clone()));
    };
    let features = app.shared.identities.features_of(caller, user).await?;
    Ok(features.has(Feature::Memory).then(|| user.to_owned()))
}

/// Adds what is remembered of the user and has to do with the question.
async fn recall(
    app: &App,
    caller: &Caller,
    user: String,
    arrival: &mut Arrival,
    words: &mut Words,
) -> Result<(), Error> {
    let codec = codec(arrival.dialect);
    let request = codec.decode_request(&arrival.body)?;
    let question = question(&request).into_owned();
    if question.trim().is_empty() {
        return Ok(());
    }
    memory::settled(app, caller, &user).await;
    let asked =
        memory::Asked { query: question.clone(), limit: Some(MOST_MEMORIES), ..Default::default() };
    let found = memory::find(app, caller, &user, &asked).await?;
    let mut left = words.settings.memory_tokens;
    let mut told = String::new();
    for (memory, _) in found.iter().filter(|(_, hit)| hit.has_words || hit.similarity >= NEAR) {
        // A word is some four bytes to the token, and the dash and the line are one more.
        let tokens = (memory.text.len() as u64).div_ceil(4) + 1;
        if tokens > left {
            continue;
        }
        left -= tokens;
        told.push_str("\n- ");
        told.push_str(&memory.text.replace('\n', " "));
        words.recalled.push(memory.id.clone());
    }
    if !told.is_empty() {
        let mut body: Value = read(&arrival.body)?;
        if let Some(body) = body.as_object_mut() {
            codec.instruct(body, &format!("What is remembered of the user:{told}"));
        }
        arrival.body = Bytes::from(body.to_string());
    }
    words.said = Some((user, question));
    Ok(())
}

impl Words {
    /// An answer that was given before, if one will do.
    pub fn known(&self, app: &App, caller: &Caller, inbound: &Inbound) -> Option<Answered> {
        let answers = &app.shared.answers;
        let exact = self.exact.as_ref().and_then(|key| answers.exact(key, self.wish));
        let kept = exact.or_else(|| {
            let Alike { context, vector, hinge } = self.alike.as_ref()?;
            let threshold = self.settings.semantic_threshold;
            answers.alike(context, vector, hinge, threshold, self.wish)
        })?;
        // Another key of the account may have been for more.
        if !caller.may_use(&kept.step.model) || kept.streamed != inbound.head.stream {
            return None;
        }
        let ending = Ending::default();
        ending.set(Some(Outcome::Complete));
        let body = if kept.streamed {
            Body::at_once(kept.body.clone())
        } else {
            Body::Whole(kept.body.clone())
        };
        Some(Answered {
            step: kept.step.clone(),
            attempts: 0,
            losses: kept.losses.clone(),
            body,
            decision: kept.decision.clone(),
            standing: None,
            ending,
            notes: vec![
                ("x-optimux-cache", Cow::Borrowed("hit")),
                ("age", Cow::Owned(kept.at.elapsed().as_secs().to_string())),
            ],
        })
    }

    /// Whether an answer is asked for again when it comes.
    fn caches(&self) -> bool {
        self.exact.is_some() || self.alike.is_some()
    }

    /// Says in the head of an answer what was done with its request, and has what was said learned from. What
    /// is to be done with the answer itself, once all of it is there, is given back.
    pub fn leave(
        mut self,
        app: &App,
        caller: &Caller,
        id: &RequestId,
        dialect: Dialect,
        answered: &mut Answered,
    ) -> Option<Aside> {
        if self.caches() {
            answered.notes.push(("x-optimux-cache", Cow::Borrowed("miss")));
        }
        if !self.recalled.is_empty() {
            answered.notes.push(("x-optimux-memory", Cow::Owned(self.recalled.join(","))));
        }
        if let Some((user, said)) = self.said.take() {
            memory::learn_later(app, caller, user, said);
        }
        let watches = self.log || self.continued.is_some() || (self.caches() && self.wish.keep);
        watches.then(|| Aside {
            shared: app.shared.clone(),
            account: caller.account.clone(),
            user: caller.person.id.clone(),
            id: id.clone(),
            dialect,
            answered: Given {
                step: answered.step.clone(),
                losses: answered.losses.clone(),
                decision: answered.decision.clone(),
            },
            words: self,
        })
    }
}

/// Who answered, and how.
struct Given {
    step: crate::router::Step,
    losses: crate::wire::vocab::Losses,
    decision: Option<String>,
}

/// What is to be done with an answer when it is complete.
pub(super) struct Aside {
    shared: Shared,
    account: AccountId,
    user: String,
    id: RequestId,
    dialect: Dialect,
    answered: Given,
    words: Words,
}

impl Aside {
    /// Nothing is done with a longer stream.
    pub const MOST_STREAMED_BYTES: usize = 8 * LONGEST_BYTES;

    /// To be called once the answer is complete, before its end is told.
    pub async fn done(self, body: &[u8], streamed: bool) {
        let Words { exact, alike, settings, wish, log, continued, request, .. } = self.words;
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
            let answers = &self.shared.answers;
            if let Some(key) = exact {
                answers.keep(key, kept(settings.cache_seconds));
            }
            if let Some(Alike { context, vector, hinge }) = alike {
                answers.keep_alike(context, vector, hinge, kept(settings.semantic_seconds));
            }
        }
        let now = self.shared.clock.now();
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
            if let Err(why) = self.shared.store.keep_content(content).await {
                tracing::error!(%why, "a content could not be logged");
            }
        }
        if let Some(continued) = continued {
            let kept = continued.keep(&self.shared, &self.account, self.dialect, body, streamed);
            if let Err(why) = kept.await {
                tracing::error!(%why, "an answer could not be added to its conversation");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(messages: &Value) -> Option<(Request, String)> {
        let body = json!({"model": "m", "messages": messages}).to_string();
        unasked(&codec(Dialect::OpenAiChat).decode_request(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_question_is_compared_where_it_is_nothing_but_words() {
        let system = json!({"role": "system", "content": "Be brief."});
        let (rest, question) =
            of(&json!([system, {"role": "user", "content": "The capital of Peru?"}])).unwrap();
        assert_eq!(question, "The capital of Peru?");
        // Two questions in one context leave the same rest.
        let (other, _) =
            of(&json!([system, {"role": "user", "content": "And of Chile?"}])).unwrap();
        assert_eq!(format!("{:?}", rest.turns), format!("{:?}", other.turns));
        let picture = json!({"type": "image_url", "image_url": {"url": "https://a/b.png"}});
        for none in [
            json!([{"role": "user", "content": "  "}]),
            json!([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]),
            json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]),
        ] {
            assert!(of(&none).is_none(), "{none}");
        }
    }
}
