//! Guardrails on a request's way: its words before anything is decided or taken, and its answer before
//! it leaves. A stream is read and written anew, event by event, and its text held back by as much as
//! a match may be long; where somebody else is asked, until all of it is there.
//! Longer than most files: words on the way in and on the way out go by the same rules and records.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::live::{Current, Live};
use super::moderating::moderated;
use super::{Answered, App, Body, Pieces, Refused};
use crate::admit::Caller;
use crate::base::ids::{AccountId, RequestId};
use crate::base::{Error, Kind};
use crate::guard::body::{forget_spelling, says_twice, texts};
use crate::guard::stream::Filter;
use crate::guard::{
    Action, Blocked, By, Finding, Guard, OnError, Question, Rule, Said, Stage, Verdict,
};
use crate::telemetry::trail::Trails;
use crate::upstream::Upstream;
use crate::wire::frame::{Splitter, sse};
use crate::wire::vocab::{Body as Part, Delta, Event};
use crate::wire::{Heading, Inbound, Reader, Writer, codec};

/// The longest event of a stream that is read again.
const EVENT_BYTES: usize = 32 << 20;
/// More text of a stream is not held for somebody else's verdict.
const HELD_BYTES: usize = 8 << 20;

/// Whether any rule can hold: two tests, for those requests that none concerns.
pub(super) fn may_hold(live: &Live, caller: &Caller) -> bool {
    live.guardrails.is_some() || !caller.guardrails.is_empty()
}

/// The rules that hold for a caller.
fn holding(live: &Live, caller: &Caller) -> Result<Option<Guard>, Error> {
    let held = match &live.guardrails {
        Some(all) => all.holding(&caller.guardrails),
        None => caller.guardrails.first().map_or(Ok(None), |first| Err(first.clone())),
    };
    held.map_err(|name| {
        let text = format!(
            "The guardrail '{name}' is demanded for this key and is not configured. Nothing goes on \
             without it: an administrator has to configure it, or to take it from the key, the \
             account or the plan."
        );
        Error::new(Kind::Forbidden, text).coded("guardrail_unknown")
    })
}

/// Refuses what cannot be guarded, where something would have to be.
///
/// # Errors
/// [`Kind::Forbidden`], naming why.
pub(super) fn must_be_free(live: &Live, caller: &Caller, what: &str) -> Result<(), Error> {
    if !may_hold(live, caller) || !holding(live, caller)?.is_some_and(|guard| guard.intervenes()) {
        return Ok(());
    }
    let text = format!("Guardrails hold for this key, and {what} cannot be held to them.");
    Err(Error::new(Kind::Forbidden, text).coded("guardrail_unsupported"))
}

/// A request that is under rules.
pub(super) struct Guarded {
    guard: Guard,
    record: Record,
    /// What was found before the answer's head leaves.
    told: Vec<(Stage, Finding)>,
}

/// Where findings are written down, and what a webhook is told of the request.
struct Record {
    id: RequestId,
    account: AccountId,
    trails: Trails,
    /// Whom moderation models are asked through, and where they are.
    upstream: Box<Upstream>,
    current: Current,
}

impl Record {
    fn note(&self, stage: Stage, finding: &Finding) {
        self.trails.guarded(&self.id, stage.as_str(), &finding.rule, finding.verdict.as_str());
    }

    /// Asks somebody else; what is to be masked, as a rule.
    async fn ask(&self, rule: &Rule, stage: Stage, text: &str) -> (Option<Verdict>, Option<Rule>) {
        if text.trim().is_empty() {
            return (None, None);
        }
        let question = Question {
            request_id: self.id.as_str(),
            stage: stage.as_str(),
            account: self.account.as_str(),
            text,
        };
        let masking = |masks: &[String]| rule.masking(masks).map(Some);
        let (said, on_error) = match &rule.by {
            By::Pattern(_) => return (None, None),
            By::Webhook(webhook) => {
                (webhook.ask(&question).await.map_err(|why| why.to_string()), webhook.on_error)
            }
            By::Moderation(moderation) => {
                let live = self.current.load();
                let provider = live.catalogue.provider(&moderation.provider);
                let asking = moderated(&self.upstream, provider, moderation, text);
                let found = Box::pin(asking).await;
                if let Ok(found) = &found {
                    self.trails.moderated(&self.id, &rule.name, found);
                }
                let said =
                    |found: Vec<String>| if found.is_empty() { Said::Allow } else { Said::Block };
                (found.map(said), moderation.on_error)
            }
        };
        let said = match said {
            Ok(Said::Allow) => return (None, None),
            Ok(Said::Flag) => return (Some(Verdict::Flag), None),
            Ok(_) if rule.action == Action::Flag => return (Some(Verdict::Flag), None),
            Ok(Said::Block) => return (Some(Verdict::Block), None),
            Ok(Said::Mask { masks }) => masking(&masks),
            Err(why) => Err(why),
        };
        match said {
            Ok(masking) => (Some(Verdict::Mask), masking),
            Err(why) => {
                tracing::warn!(request = %self.id, rule = %rule.name, why, "whom a guardrail asks gave no verdict");
                match on_error {
                    OnError::Allow => (Some(Verdict::Unanswered), None),
                    OnError::Block => (Some(Verdict::Block), None),
                }
            }
        }
    }
}

/// Holds a request to the rules that hold for its caller.
///
/// # Errors
/// When one of them blocks it, or cannot be had.
pub(super) async fn enter(
    app: &App,
    live: &Live,
    caller: &Caller,
    id: &RequestId,
    body: &mut Bytes,
) -> Result<Option<Guarded>, Error> {
    let Some(guard) = holding(live, caller)? else { return Ok(None) };
    let trails = app.upstream.trails.clone();
    let record = Record {
        id: id.clone(),
        account: caller.account.clone(),
        trails,
        upstream: Box::new(app.upstream.clone()),
        current: app.shared.current.clone(),
    };
    let mut guarded = Guarded { guard, record, told: Vec::new() };
    // What cannot be read is refused further on, in the words of its dialect.
    if !guarded.guard.at(Stage::Input).is_empty()
        && let Ok(mut read) = serde_json::from_slice::<Value>(body)
    {
        let changed = guarded.check(&mut read, Stage::Input).await;
        if changed.map_err(|blocked| blocked.error(Stage::Input))? || says_twice(body, &read) {
            *body = Bytes::from(read.to_string());
        }
    }
    Ok(Some(guarded))
}

impl Guarded {
    /// See [`Guard::mark`].
    pub fn mark(&self) -> String {
        self.guard.mark()
    }

    fn note(&mut self, stage: Stage, rule: &Rule, verdict: Verdict) {
        let finding = Finding { rule: Arc::clone(&rule.name), verdict };
        self.record.note(stage, &finding);
        self.told.push((stage, finding));
    }

    /// Holds a body to the rules of its stage; whether it was changed.
    async fn check(&mut self, body: &mut Value, stage: Stage) -> Result<bool, Blocked> {
        let mut changed = false;
        for rule in self.guard.at(stage) {
            let found = match &rule.by {
                By::Pattern(_) => apply(&rule, body, stage).then(|| rule.finding().verdict),
                By::Webhook(_) | By::Moderation(_) => {
                    let said = joined(body, stage);
                    let (verdict, masking) = self.record.ask(&rule, stage, &said).await;
                    if let Some(masking) = masking {
                        apply(&masking, body, stage);
                    }
                    verdict
                }
            };
            let Some(verdict) = found else { continue };
            self.note(stage, &rule, verdict);
            match verdict {
                Verdict::Block => return Err(Blocked { rule: Arc::clone(&rule.name) }),
                Verdict::Mask => changed = true,
                Verdict::Flag | Verdict::Unanswered => {}
            }
        }
        Ok(changed)
    }

    /// Says in the answer's head which rules were met.
    pub fn tell(&self, answered: &mut Answered) {
        if self.told.is_empty() {
            return;
        }
        let one = |(stage, finding): &(Stage, Finding)| {
            format!("{stage} {}={}", finding.rule, finding.verdict.as_str())
        };
        let all: Vec<String> = self.told.iter().map(one).collect();
        answered.notes.push(("x-optimux-guardrails", Cow::Owned(all.join(", "))));
    }

    /// Holds an answer to the rules: now, if it is whole, or as it is read.
    ///
    /// # Errors
    /// When it is withheld. What was delivered to us has been settled.
    pub async fn leave(
        mut self,
        inbound: &Inbound,
        mut answered: Answered,
    ) -> Result<Answered, Refused> {
        let rules = self.guard.at(Stage::Output);
        if rules.is_empty() {
            self.tell(&mut answered);
            return Ok(answered);
        }
        let body = std::mem::replace(&mut answered.body, Body::Whole(Bytes::new()));
        answered.body = match body {
            Body::Whole(body) => match serde_json::from_slice::<Value>(&body) {
                Err(_) => Body::Whole(body),
                Ok(mut read) => match self.check(&mut read, Stage::Output).await {
                    Ok(false) => Body::Whole(body),
                    Ok(true) => {
                        forget_spelling(&mut read);
                        Body::Whole(Bytes::from(read.to_string()))
                    }
                    Err(blocked) => {
                        return Err(Refused {
                            error: blocked.error(Stage::Output),
                            attempts: answered.attempts,
                            standing: answered.standing.map(Box::new),
                        });
                    }
                },
            },
            Body::Stream(pieces) => {
                self.tell(&mut answered);
                let model = answered.step.model.id.to_string();
                let watched = Watched::new(self.record, rules, inbound, model, pieces);
                return Ok(Answered { body: Body::Stream(watched.stream()), ..answered });
            }
        };
        self.tell(&mut answered);
        Ok(answered)
    }
}

/// Applies a rule to the texts of a body; whether it was met.
fn apply(rule: &Rule, body: &mut Value, stage: Stage) -> bool {
    // All of them: each is masked where it was met.
    texts(body, stage).iter_mut().filter_map(|group| rule.apply(group).then_some(())).count() > 0
}

/// All that a body says, a line for each message.
fn joined(body: &mut Value, stage: Stage) -> String {
    let groups = texts(body, stage);
    let lines = groups.iter().map(|group| group.iter().map(|text| text.as_str()).collect());
    lines.collect::<Vec<String>>().join("\n")
}

/// A stream that is read under rules.
struct Watched {
    record: Record,
    /// `None` at its end.
    pieces: Option<Pieces>,
    splitter: Splitter,
    reader: Box<dyn Reader + Send>,
    writer: Box<dyn Writer + Send>,
    filter: Filter,
    /// Who is asked, and what is held until they have said; `None` where nobody is.
    asked: Option<Asked>,
    patterns: Vec<Arc<Rule>>,
    faulty: bool,
}

struct Asked {
    rules: Vec<Arc<Rule>>,
    events: Vec<Event>,
    bytes: usize,
}

/// What came in a piece: the events of a frame, or an error as it came.
enum Came {
    Events(Vec<Event>),
    Fault(Vec<u8>),
}

impl Watched {
    fn new(
        record: Record,
        rules: Vec<Arc<Rule>>,
        inbound: &Inbound,
        model: String,
        pieces: Pieces,
    ) -> Self {
        let codec = codec(inbound.dialect);
        let heading = Heading {
            id: record.id.as_str().to_owned(),
            model,
            created: crate::base::clock::Clock::System.now().seconds(),
            include_usage: inbound.head.include_usage,
            echo: if inbound.body.is_empty() { Map::new() } else { codec.echo(&inbound.body) },
            clock: crate::base::clock::Clock::System,
        };
        let (asks, patterns): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| rule.by.asks());
        let asked = (!asks.is_empty()).then(|| Asked { rules: asks, events: Vec::new(), bytes: 0 });
        Self {
            record,
            pieces: Some(pieces),
            splitter: codec.splitter(EVENT_BYTES),
            reader: codec.reader(),
            writer: codec.writer(heading),
            filter: Filter::new(patterns.clone()),
            asked,
            patterns,
            faulty: false,
        }
    }

    fn stream(self) -> Pieces {
        Box::pin(stream::unfold(self, |mut watched| async move {
            let piece = watched.next().await?;
            Some((piece, watched))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut out = Vec::new();
            match self.pieces.as_mut()?.next().await {
                Some(piece) if self.is_breath(&piece) => return Some(piece),
                Some(piece) => self.take(&piece, &mut out),
                None => {
                    self.pieces = None;
                    self.end(&mut out).await;
                }
            }
            if !out.is_empty() {
                return Some(Bytes::from(out));
            }
        }
    }

    /// Something that only keeps the connection open.
    fn is_breath(&self, piece: &[u8]) -> bool {
        self.splitter.is_between_events() && piece == self.writer.keep_alive()
    }

    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Self { splitter, reader, .. } = self;
        let mut all = Vec::new();
        let fed = splitter.feed(piece, |frame| {
            let mut events = Vec::new();
            // What nobody can read cannot be looked through, and is left out.
            if reader.read(&frame, &mut events).is_err() {
                return;
            }
            if events.iter().any(|event| matches!(event, Event::Fault(_))) {
                let mut raw = Vec::new();
                sse::write(&mut raw, frame.event, frame.data);
                all.push(Came::Fault(raw));
            } else {
                all.push(Came::Events(events));
            }
        });
        if fed.is_err() {
            self.fail(&Error::internal("an event of a guarded stream is too long"), out);
            return;
        }
        for came in all {
            match came {
                Came::Events(events) => self.events(events, out),
                Came::Fault(raw) => {
                    self.faulty = true;
                    self.let_go(out);
                    out.extend_from_slice(&raw);
                }
            }
            if self.pieces.is_none() {
                return;
            }
        }
    }

    fn events(&mut self, events: Vec<Event>, out: &mut Vec<u8>) {
        let Some(asked) = &mut self.asked else { return self.pass(events, out) };
        asked.bytes += events.iter().map(bytes_of).sum::<usize>();
        asked.events.extend(events);
        if asked.bytes > HELD_BYTES
            && let Some(rule) = asked.rules.first().cloned()
        {
            self.block(&Blocked { rule: Arc::clone(&rule.name) }, out);
        }
    }

    /// Through the rules, as far as they let it go.
    fn pass(&mut self, events: Vec<Event>, out: &mut Vec<u8>) {
        let mut passed = Vec::new();
        let went = self.filter.take(events, &mut passed);
        self.write(went, &passed, out);
    }

    /// What is still held, where nothing more comes.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        let mut passed = Vec::new();
        let went = self.filter.finish(&mut passed);
        self.write(went, &passed, out);
    }

    fn write(&mut self, went: Result<(), Blocked>, passed: &[Event], out: &mut Vec<u8>) {
        self.writer.write(passed, out);
        for finding in self.filter.found() {
            self.record.note(Stage::Output, &finding);
        }
        if let Err(blocked) = went {
            self.fail(&blocked.error(Stage::Output), out);
        }
    }

    fn block(&mut self, blocked: &Blocked, out: &mut Vec<u8>) {
        let finding = Finding { rule: Arc::clone(&blocked.rule), verdict: Verdict::Block };
        self.record.note(Stage::Output, &finding);
        self.fail(&blocked.error(Stage::Output), out);
    }

    /// The last that the caller reads. The provider is left, and what it delivered is settled.
    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.writer.fail(error, out);
        self.faulty = true;
        self.pieces = None;
        self.asked = None;
    }

    async fn end(&mut self, out: &mut Vec<u8>) {
        let mut last = Vec::new();
        let complete = self.reader.finish(&mut last);
        if self.faulty {
            return;
        }
        if let Some(Asked { rules, mut events, .. }) = self.asked.take() {
            events.append(&mut last);
            match self.verdicts(&rules, &events).await {
                Err(blocked) => return self.block(&blocked, out),
                Ok(masking) => {
                    let all = masking.into_iter().chain(self.patterns.drain(..)).collect();
                    self.filter = Filter::new(all);
                }
            }
            last = events;
        }
        self.pass(last, out);
        if !self.faulty {
            self.let_go(out);
        }
        if complete && !self.faulty {
            self.writer.finish(out);
        }
    }

    /// What those say who are asked about the whole of a stream.
    async fn verdicts(
        &self,
        rules: &[Arc<Rule>],
        events: &[Event],
    ) -> Result<Vec<Arc<Rule>>, Blocked> {
        let said: String = events.iter().map(text_of).collect();
        let mut all = Vec::new();
        for rule in rules {
            let (verdict, masking) = self.record.ask(rule, Stage::Output, &said).await;
            match verdict {
                Some(Verdict::Block) => return Err(Blocked { rule: Arc::clone(&rule.name) }),
                // A mask is told of where it is made.
                Some(verdict @ (Verdict::Flag | Verdict::Unanswered)) => {
                    let finding = Finding { rule: Arc::clone(&rule.name), verdict };
                    self.record.note(Stage::Output, &finding);
                }
                Some(Verdict::Mask) | None => {}
            }
            all.extend(masking.map(Arc::new));
        }
        Ok(all)
    }
}

/// The words of an event.
fn text_of(event: &Event) -> &str {
    match event {
        Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } => text,
        Event::PartOpen { part, .. } => match &part.body {
            Part::Text(text) | Part::Refusal(text) => text,
            Part::Thought(thought) => &thought.text,
            Part::Call(call) => call.arguments.as_deref().unwrap_or_default(),
            _ => "",
        },
        _ => "",
    }
}

fn bytes_of(event: &Event) -> usize {
    size_of::<Event>() + text_of(event).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_said_twice_is_seen() {
        for (text, twice) in [
            (r#"{"a":[{"b":1},2,"x",null,1.5,-1,true]}"#, false),
            (r#"{"a":1,"a":2}"#, true),
            (r#"{"a":[{"b":1,"b":"c"}]}"#, true),
        ] {
            let read: Value = serde_json::from_str(text).unwrap();
            assert_eq!(says_twice(text.as_bytes(), &read), twice, "{text}");
        }
    }
}
