//! A stream that is read under rules: read and written anew, event by event, and its text held back by as
//! much as a match may be long; where somebody else is asked, until all of it is there.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Map;

use super::record::Record;
use super::stream::Filter;
use super::{Blocked, Finding, Rule, RuleOutcome, Stage};
use crate::base::Error;
use crate::base::clock::Clock;
use crate::wire::frame::{Pieces, Splitter, sse};
use crate::wire::vocab::{Body as Part, Delta, Event};
use crate::wire::{Heading, Inbound, Reader, Writer, codec};

/// The longest event of a stream that is read again.
const EVENT_BYTES: usize = 32 << 20;
/// More text of a stream is not held for somebody else's verdict.
const HELD_BYTES: usize = 8 << 20;

/// A stream whose text is checked by guardrails as it passes.
pub(super) struct GuardedStream {
    record: Record,
    /// `None` at its end.
    pieces: Option<Pieces>,
    splitter: Splitter,
    reader: Box<dyn Reader + Send>,
    writer: Box<dyn Writer + Send>,
    filter: Filter,
    /// Who is asked, and what is held until they have said; `None` where nobody is.
    asked: Option<Pending>,
    patterns: Vec<Arc<Rule>>,
    faulty: bool,
}

struct Pending {
    rules: Vec<Arc<Rule>>,
    events: Vec<Event>,
    bytes: usize,
}

/// What came in a piece: the events of a frame, or an error as it came.
enum Came {
    Events(Vec<Event>),
    Fault(Vec<u8>),
}

impl GuardedStream {
    pub fn new(
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
            created: Clock::System.now().seconds(),
            include_usage: inbound.head.include_usage,
            functions: inbound.asks_by_functions(),
            echo: if inbound.body.is_empty() { Map::new() } else { codec.echo(&inbound.body) },
            clock: Clock::System,
            prompt_tokens: 0,
        };
        let (asks, patterns): (Vec<_>, Vec<_>) = rules.into_iter().partition(|rule| rule.by.asks());
        let asked =
            (!asks.is_empty()).then(|| Pending { rules: asks, events: Vec::new(), bytes: 0 });
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

    pub fn stream(self) -> Pieces {
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
        let finding = Finding { rule: Arc::clone(&blocked.rule), verdict: RuleOutcome::Block };
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
        if let Some(Pending { rules, mut events, .. }) = self.asked.take() {
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
                Some(RuleOutcome::Block) => return Err(Blocked { rule: Arc::clone(&rule.name) }),
                // A mask is told of where it is made.
                Some(verdict @ (RuleOutcome::Flag | RuleOutcome::Unanswered)) => {
                    let finding = Finding { rule: Arc::clone(&rule.name), verdict };
                    self.record.note(Stage::Output, &finding);
                }
                Some(RuleOutcome::Mask) | None => {}
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
