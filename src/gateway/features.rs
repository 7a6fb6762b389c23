//! What features do with a request before anything is decided, and with its answer: at once, as it leaves, and
//! once all of it has left. Most requests have none of them, and pass as the bytes that they came as.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::app::App;
use super::cascade::AnswerPlan;
use super::decide;
use super::moderating;
use super::wishes;
use crate::admit::Caller;
use crate::base::Error;
use crate::base::ids::RequestId;
use crate::exchange::{AnswerEnding, Answered, Arrival, Refused, RequestOptions, ResponseBody};
use crate::findings::Reading;
use crate::guard::{Guarded, Record};
use crate::ledger::Outcome;
use crate::live::Live;
use crate::memory::Lesson;
use crate::wire::frame::Pieces;
use crate::wire::vocab::{Dialect, Malformed};
use crate::wire::{Inbound, PathTarget};
use crate::words::{self, CompletionTask, Words};

/// Holds the body of a request to the guardrails that hold for its caller. Most callers have none.
///
/// # Errors
/// When one of them blocks it, or cannot be had.
pub(super) async fn guarded(
    app: &App,
    live: &Live,
    caller: &Caller,
    id: &RequestId,
    body: &mut Bytes,
) -> Result<Option<Guarded>, Error> {
    let rules = live.rules(&caller.guardrails);
    if !rules.may_hold() {
        return Ok(None);
    }
    let record = Record {
        id: id.clone(),
        account: caller.account.clone(),
        trails: app.upstream.trails.clone(),
        asks: moderating::asks(app),
    };
    Box::pin(rules.enter(record, body)).await
}

/// Says in the head of an answer which guardrails were met.
pub(super) fn tell(guarded: Option<&Guarded>, answered: &mut Answered) {
    if let Some(told) = guarded.and_then(Guarded::told) {
        answered.notes.push(("x-optimux-guardrails", Cow::Owned(told)));
    }
}

/// What guardrails and features did with a request before it was routed, and have to do with its answer.
pub(super) struct ActiveFeatures {
    guarded: Option<Guarded>,
    words: Option<Words>,
}

/// Guardrails first, then what the body says of its routing, then what switches do to its words.
///
/// # Errors
/// What the caller is to be told.
pub(super) async fn enter(
    app: &App,
    live: &Live,
    caller: &Caller,
    arrival: &mut Arrival,
) -> Result<ActiveFeatures, Error> {
    let guarded = guarded(app, live, caller, &arrival.id, &mut arrival.body).await?;
    wishes::take(arrival)?;
    wishes::bound(caller, arrival);
    arrival.asked.strict = decide::is_strict(app, caller, &arrival.asked);
    let mark = guarded.as_ref().map(Guarded::mark);
    let words = words::prepare(app.words(), caller, arrival, mark).await?;
    Ok(ActiveFeatures { guarded, words })
}

/// What features need of a request when its answer is complete.
pub(super) struct AnsweredRequest<'a> {
    pub id: &'a RequestId,
    pub asked: &'a RequestOptions,
    pub planned: &'a AnswerPlan,
    pub inbound: Inbound,
}

impl ActiveFeatures {
    /// What is asked, as it goes on: read no further than its head, unless a feature had to.
    ///
    /// # Errors
    /// As the dialect's codec finds it.
    pub fn inbound(
        &mut self,
        dialect: Dialect,
        body: Bytes,
        target: Option<PathTarget>,
    ) -> Result<Inbound, Malformed> {
        let inbound = Inbound::arrive(dialect, body, target)?;
        Ok(match self.words.as_mut().and_then(Words::decoded) {
            Some(decoded) => inbound.known_as(*decoded),
            None => inbound,
        })
    }

    /// An answer that was given before, if one will do.
    pub fn known(&self, app: &App, caller: &Caller, inbound: &Inbound) -> Option<Answered> {
        let mut known = self.words.as_ref()?.known(&app.shared.words.answers, caller, inbound)?;
        tell(self.guarded.as_ref(), &mut known);
        Some(known)
    }

    /// The end of the path: all that is done with an answer, in order.
    ///
    /// # Errors
    /// When a guardrail withholds it. What was delivered to us has been settled.
    pub async fn leave(
        self,
        app: &App,
        live: &Live,
        caller: &Caller,
        request: AnsweredRequest<'_>,
        mut answered: Answered,
    ) -> Result<Answered, Refused> {
        let AnsweredRequest { id, asked, planned, inbound } = request;
        let (routing, decision) = (&app.shared.routing, planned.decision());
        routing.affinity.remember(live, caller, &inbound, asked, decision, &answered.step);
        if let Some(guarded) = self.guarded {
            answered = Box::pin(held(guarded, &inbound, answered)).await?;
        }
        let (aside, lesson) = match self.words {
            Some(words) => words.leave(app.words(), caller, id, inbound.dialect, &mut answered),
            None => (None, None),
        };
        if let (Some(recorder), Some(read)) = (&routing.learned.recorder, planned.features()) {
            let mut read = Box::new(read.clone());
            read.model = answered.step.model.id.to_string();
            recorder.keep(read);
        }
        let reading = match &routing.learned.findings {
            // Those whose names were asked for are none of the router's choice.
            Some(findings) if decision.is_auto() => {
                let whole = match &answered.body {
                    ResponseBody::Whole(body) => Some(&**body),
                    ResponseBody::Stream(_) => None,
                };
                findings.answered(&caller.account, &answered.step.model, inbound, whole)
            }
            _ => None,
        };
        if aside.is_some() || reading.is_some() || lesson.is_some() {
            let after = After { aside, reading, lesson };
            answered.body = match answered.body {
                ResponseBody::Whole(body) => {
                    after.done(Some(body.clone()), false).await;
                    ResponseBody::Whole(body)
                }
                ResponseBody::Stream(pieces) => {
                    ResponseBody::Stream(after.watching(pieces, Rc::clone(&answered.ending)))
                }
            };
        }
        Ok(answered)
    }
}

/// Holds an answer to the guardrails: now, if it is whole, or as it is read.
async fn held(
    mut guarded: Guarded,
    inbound: &Inbound,
    mut answered: Answered,
) -> Result<Answered, Refused> {
    match answered.body {
        ResponseBody::Whole(body) => match guarded.whole(body).await {
            Ok(body) => answered.body = ResponseBody::Whole(body),
            Err(error) => {
                let standing = answered.standing.map(Box::new);
                return Err(Refused { error, attempts: answered.attempts, standing });
            }
        },
        ResponseBody::Stream(pieces) => {
            answered.body = ResponseBody::Whole(Bytes::new());
            tell(Some(&guarded), &mut answered);
            let model = &answered.step.model.id;
            answered.body = ResponseBody::Stream(guarded.stream(inbound, model, pieces));
            return Ok(answered);
        }
    }
    tell(Some(&guarded), &mut answered);
    Ok(answered)
}

/// What is done with an answer once all of it is there.
struct After {
    /// Kept, logged, added to its conversation: before the caller is told of the end.
    aside: Option<CompletionTask>,
    /// Read for what it shows of its model: behind the caller's back.
    reading: Option<Reading>,
    /// What its user said, to be learned from: behind their back as well.
    lesson: Option<Lesson>,
}

impl After {
    /// Bytes of a stream beyond which nothing is done with it.
    fn most(&self) -> usize {
        let aside = self.aside.as_ref().map_or(0, |_| CompletionTask::MOST_STREAMED_BYTES);
        let reading = self.reading.as_ref().map_or(0, |_| crate::findings::LONGEST_BYTES);
        aside.max(reading)
    }

    /// The answer is complete; `None` for one that was too long to be held.
    async fn done(self, answer: Option<Bytes>, streamed: bool) {
        if let Some(lesson) = self.lesson {
            lesson.learn_later();
        }
        let Some(answer) = answer else { return };
        if let Some(aside) = self.aside {
            // Boxed, as it is large and few answers have it.
            Box::pin(aside.done(&answer, streamed)).await;
        }
        if let Some(reading) = self.reading {
            reading.read_later(answer, streamed);
        }
    }

    /// The stream, with an eye on it.
    fn watching(self, pieces: Pieces, ending: AnswerEnding) -> Pieces {
        let most = self.most();
        let start = Some((pieces, self, Vec::new(), false));
        let watched = stream::unfold(start, move |state| {
            let ending = Rc::clone(&ending);
            async move {
                let (mut pieces, mut after, mut all, too_long) = state?;
                let Some(piece): Option<Bytes> = pieces.next().await else {
                    if ending.get() == Some(Outcome::Complete) {
                        after.done((!too_long).then(|| Bytes::from(all)), true).await;
                    }
                    return None;
                };
                // Before its last piece leaves, after which the user may ask again at once.
                if ending.get() == Some(Outcome::Complete)
                    && let Some(lesson) = after.lesson.take()
                {
                    lesson.learn_later();
                }
                let too_long = too_long || all.len() + piece.len() > most;
                if !too_long {
                    all.extend_from_slice(&piece);
                }
                Some((piece, Some((pieces, after, all, too_long))))
            }
        });
        Box::pin(watched)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::ids::AccountId;
    use crate::catalogue::{ApiKey, Sources, builtin, load};
    use crate::findings::Findings;
    use crate::router::Sign;
    use crate::telemetry::metrics::Metrics;

    const ASKED: &[u8] =
        br#"{"model":"auto","stream":true,"response_format":{"type":"json_object"},
        "messages":[{"role":"user","content":"JSON, please."}]}"#;
    const CHUNKS: [&[u8]; 3] = [
        b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"{}\"}}]}\n\n",
        b"data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        b"data: [DONE]\n\n",
    ];

    /// How often an answer that ended so was found to be sound JSON.
    async fn read(outcome: Option<Outcome>) -> u64 {
        let mut sources = Sources { files: builtin().unwrap(), ..Sources::default() };
        sources.keys.insert("openai".to_owned(), vec![ApiKey::new("k".into(), 1.0)]);
        let catalogue = load(sources).unwrap();
        let model = Arc::clone(catalogue.models().first().unwrap());
        let metrics = Metrics::new().unwrap();
        let findings = Findings::new(false, metrics.clone());
        let inbound =
            Inbound::arrive(Dialect::OpenAiChat, Bytes::from_static(ASKED), None).unwrap();
        let reading = findings.answered(&AccountId::stored("acct_a"), &model, inbound, None);
        assert!(reading.is_some());
        let ending = AnswerEnding::default();
        let pieces: Pieces = Box::pin(stream::iter(CHUNKS.map(Bytes::from_static)));
        let after = After { aside: None, reading, lesson: None };
        let watched = after.watching(pieces, Rc::clone(&ending));
        let local = tokio::task::LocalSet::new();
        let drained = local.run_until(async move {
            // Whoever settles the answer says how it ended before its last piece leaves.
            ending.set(outcome);
            let all: Vec<Bytes> = watched.collect().await;
            tokio::task::yield_now().await;
            all
        });
        assert_eq!(drained.await, CHUNKS.map(Bytes::from_static), "it passes as it came");
        local.await;
        metrics.outcomes.with_label_values(&[&*model.label, Sign::JsonSound.as_str()]).get()
    }

    #[tokio::test]
    async fn a_stream_is_looked_at_once_it_is_complete() {
        assert_eq!(read(Some(Outcome::Complete)).await, 1);
        assert_eq!(read(Some(Outcome::Failed)).await, 0);
        assert_eq!(read(None).await, 0, "it broke off");
    }
}
