//! What is kept of an answer, should it break off, and how another goes on with it.

use std::rc::Rc;

use bytes::Bytes;

use super::{EVENT_BYTES, Passage, Way};
use crate::shape::Texts;
use crate::wire::frame::Frame;
use crate::wire::resume::{self, PartialAnswer, Resuming};
use crate::wire::vocab::{Dialect, Event, Protocol};
use crate::wire::{Heading, codec, provider_side};

/// More of an answer is not kept.
const KEPT_BYTES: usize = 64 << 10;

impl Passage {
    /// From here on what comes is kept, should the stream break.
    pub fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// What was said so far, if another answer could go on with it.
    pub fn said(&self) -> Option<PartialAnswer> {
        let mut events = Vec::new();
        self.reread(&mut |_, mut read| events.append(&mut read));
        PartialAnswer::of(&events)
    }

    /// What was kept, frame by frame.
    fn reread(&self, each: &mut dyn FnMut(&Frame<'_>, Vec<Event>)) {
        let (mut splitter, mut reader) = (self.theirs.splitter(EVENT_BYTES), self.theirs.reader());
        for chunk in self.kept.iter().flatten() {
            let fed = splitter.feed(chunk, |frame| {
                let mut events = Vec::new();
                // What nobody could read was left out.
                if reader.read(&frame, &mut events).is_ok() {
                    each(&frame, events);
                }
            });
            if fed.is_err() {
                return;
            }
        }
    }

    /// Nothing more comes of the first answer.
    pub fn pause(&mut self) {
        self.splitter = self.theirs.splitter(EVENT_BYTES);
        self.held.clear();
    }

    /// A word between events that no client reads, where all pass over such. (Google's Python SDK reads
    /// them as JSON.)
    pub fn remark(&mut self, words: &str) {
        if self.front != Dialect::Gemini {
            self.ready.push_back(Bytes::from(format!(": {words}\n\n")));
        }
    }

    /// Another answer goes on where the first broke off.
    pub fn resume(&mut self, protocol: Protocol, said: PartialAnswer, how: resume::ResumeMethod) {
        if !matches!(self.way, Way::Translated { .. }) {
            // The writer gets to know what has passed by it.
            let mut writer =
                std::mem::replace(&mut self.writer, codec(self.front).writer(Heading::default()));
            let mut passed = Vec::new();
            self.reread(&mut |frame, events| {
                writer.write(&events, &mut passed);
                writer.passed(frame);
            });
            self.writer = writer;
        }
        self.kept = None;
        self.theirs = provider_side(protocol);
        self.protocol = protocol;
        self.splitter = self.theirs.splitter(EVENT_BYTES);
        self.progress.usage = None;
        let reader = Box::new(Resuming::new(self.theirs, said, how));
        let hides_cost = self.way.hides_cost();
        self.way = Way::Translated {
            reader,
            events: Vec::new(),
            names: Rc::default(),
            texts: Texts::default(),
            hides_cost,
        };
    }

    /// Keeps what comes, as long as it is not too much.
    pub(super) fn note(&mut self, chunk: &Bytes) {
        let Some(kept) = &mut self.kept else { return };
        self.kept_bytes += chunk.len();
        if self.kept_bytes > KEPT_BYTES {
            self.kept = None;
        } else {
            kept.push(chunk.clone());
        }
    }
}
