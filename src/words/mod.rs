//! What switches do to the words of a request before it goes, and with its answer when it is there:
//! redaction, memories, answers from a cache, saved conversations, a log of contents.

pub mod cache;
pub mod chats;
mod draft;
mod keeping;

use std::borrow::Cow;

use crate::admit::{Caller, Feature, Identities, users};
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::base::secret::fingerprint;
use crate::exchange::{AnswerEnding, Answered, Arrival, RequestOptions, ResponseBody};
use crate::ledger::Outcome;
use crate::memory::{self, Lesson, Remembering};
use crate::platform::embedding::{embed, packed};
use crate::platform::redact::redact_body;
use crate::router::question;
use crate::wire::vocab::{Body as Said, Dialect, Request, Role};
use crate::wire::{Inbound, Target, codec};

use cache::{Answers, hinge};
use draft::RequestBody;
use keeping::{AnswerRetention, SemanticKey};

pub use keeping::{CompletionTask, Keeping};

/// Memories that may be added to one request.
const MOST_MEMORIES: usize = 8;
/// How near a memory has to be that shares no word with the question.
const NEAR: f32 = 0.35;

/// What it takes to prepare the words of a request, and to do with its answer what is to be done.
#[derive(Clone, Copy)]
pub struct Preparing<'a> {
    pub keeping: &'a Keeping,
    pub identities: &'a Identities,
    pub memory: Remembering<'a>,
}

/// What is known of a request whose words something is done with.
#[derive(Debug, Default)]
pub struct Words {
    /// What is kept of its answer.
    keeps: AnswerRetention,
    /// The memories that were added.
    recalled: Vec<String>,
    /// A user, and what they said that may be worth remembering.
    said: Option<(String, String)>,
    /// What the request means as it goes, where a feature had to know.
    decoded: Option<Box<Request>>,
}

/// Prepares the words of a request. Most have no switch that touches them, and pass untouched. `mark`
/// is that of the guardrails that its answer is held to.
///
/// # Errors
/// What the caller is to be told of a body that cannot be read, or a conversation that is not there.
pub async fn prepare(
    preparing: Preparing<'_>,
    caller: &Caller,
    arrival: &mut Arrival,
    mark: Option<String>,
) -> Result<Option<Words>, Error> {
    let goes_on = chats::may_go_on(arrival);
    if !goes_on && !caller.features.touch_words() {
        return Ok(None);
    }
    let mut draft = RequestBody::of(arrival.dialect, arrival.body.clone());
    let continued = if goes_on {
        chats::go_on(&preparing.keeping.store, caller, &mut draft).await?
    } else {
        None
    };
    if !caller.features.touch_words() {
        (arrival.body, _) = draft.done();
        let request = arrival.body.clone();
        return Ok(continued.map(|continued| Words {
            keeps: AnswerRetention {
                continued: Some(continued),
                request,
                ..AnswerRetention::default()
            },
            ..Words::default()
        }));
    }
    let keeps = AnswerRetention {
        settings: caller.features.settings,
        wish: arrival.asked.cache,
        log: caller.features.has(Feature::ContentLogging),
        continued,
        ..AnswerRetention::default()
    };
    let mut words = Words { keeps, ..Words::default() };
    let rememberer = rememberer(preparing.identities, caller, &mut draft).await?;
    if caller.features.has(Feature::PiiRedaction) {
        draft.edit(|body| redact_body(body) > 0)?;
    }
    if let Some(user) = rememberer {
        Box::pin(recall(preparing.memory, caller, user, arrival.dialect, &mut draft, &mut words))
            .await?;
    }
    let model = arrival.target.as_ref().map_or("", |target| &target.model);
    let stream = arrival.target.as_ref().is_some_and(|target| target.stream);
    let place = |body: &[u8]| {
        // All that makes an answer another one, beside the words.
        let RequestOptions { dial, max_cost, cascade, wishes, strict, .. } = &arrival.asked;
        let costs = caller.sees_cost();
        let asked = (dial, max_cost, cascade, wishes, strict, &arrival.forward, &mark, costs);
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
    if words.keeps.continued.is_none() {
        if caller.features.has(Feature::ResponseCache) {
            words.keeps.exact = Some(place(draft.read()?.to_string().as_bytes()));
        }
        if caller.features.has(Feature::SemanticCache) {
            let request = draft.request()?;
            words.keeps.alike = unasked(request).and_then(|(rest, question)| {
                let target = Target { model: &request.model, max_output_tokens: 1, ..Target::SELF };
                let rest = codec(arrival.dialect).encode_request(&rest, &target).ok()?;
                Some(SemanticKey {
                    context: place(&rest.body),
                    vector: packed(&embed(&question)),
                    hinge: hinge(&question),
                })
            });
        }
    }
    (arrival.body, words.decoded) = draft.done();
    words.keeps.request = arrival.body.clone();
    Ok(Some(words))
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
    identities: &Identities,
    caller: &Caller,
    draft: &mut RequestBody,
) -> Result<Option<String>, Error> {
    if !caller.features.has(Feature::Memory) {
        return Ok(None);
    }
    let user = draft.request()?.user.clone();
    // One for whom the caller may not act is the provider's business alone.
    let Ok(user) = users::named(identities, caller, user.as_deref()).await else {
        return Ok(Some(caller.person.id.clone()));
    };
    let features = identities.features_of(caller, user).await?;
    Ok(features.has(Feature::Memory).then(|| user.to_owned()))
}

/// Adds what is remembered of the user and has to do with the question.
async fn recall(
    memory: Remembering<'_>,
    caller: &Caller,
    user: String,
    dialect: Dialect,
    draft: &mut RequestBody,
    words: &mut Words,
) -> Result<(), Error> {
    let question = question(draft.request()?).into_owned();
    if question.trim().is_empty() {
        return Ok(());
    }
    memory.memories.settled(caller, &user).await;
    let asked = memory::MemoryQuery {
        query: question.clone(),
        limit: Some(MOST_MEMORIES),
        ..Default::default()
    };
    let found = memory.find(caller, &user, &asked).await?;
    let mut left = words.keeps.settings.memory_tokens;
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
        draft.edit(|body| {
            let Some(body) = body.as_object_mut() else { return false };
            codec(dialect).instruct(body, &format!("What is remembered of the user:{told}"));
            true
        })?;
    }
    words.said = Some((user, question));
    Ok(())
}

impl Words {
    /// What the request means as it goes on, where a feature had to know; once.
    #[must_use]
    pub fn decoded(&mut self) -> Option<Box<Request>> {
        self.decoded.take()
    }

    /// An answer that was given before, if one will do.
    #[must_use]
    pub fn known(&self, answers: &Answers, caller: &Caller, inbound: &Inbound) -> Option<Answered> {
        let kept = self.keeps.known(answers)?;
        // Another key of the account may have been for more.
        if !caller.may_use(&kept.step.model) || kept.streamed != inbound.head.stream {
            return None;
        }
        let ending = AnswerEnding::default();
        ending.set(Some(Outcome::Complete));
        let body = if kept.streamed {
            ResponseBody::at_once(kept.body.clone())
        } else {
            ResponseBody::Whole(kept.body.clone())
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

    /// Says in the head of an answer what was done with its request. What is to be done once all of the answer
    /// is there is given back: with the answer itself, and with what its user said.
    pub fn leave(
        mut self,
        preparing: Preparing<'_>,
        caller: &Caller,
        id: &RequestId,
        dialect: Dialect,
        answered: &mut Answered,
    ) -> (Option<CompletionTask>, Option<Lesson>) {
        if self.keeps.caches() {
            answered.notes.push(("x-optimux-cache", Cow::Borrowed("miss")));
        }
        if !self.recalled.is_empty() {
            answered.notes.push(("x-optimux-memory", Cow::Owned(self.recalled.join(","))));
        }
        let said = self.said.take();
        let lesson = said.map(|(user, said)| preparing.memory.lesson(caller, user, said));
        (self.keeps.aside(preparing.keeping, caller, id, dialect, answered), lesson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
