//! A provider's frames on their way to the caller: passed on, edited or translated, and what is
//! learned of the answer as they go by. Pure: bytes in, bytes out. Longer than most files: passing on,
//! editing and translating are three answers to the same frame.

mod resume;

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::passing::{Rename, Withheld};
use super::transcript::Transcript;
use crate::base::Error;
use crate::shape::{Names, Texts};
use crate::wire::frame::json::with_whole_characters;
use crate::wire::frame::{Frame, Splitter, sse};
use crate::wire::glance::{Choices, UnreadableEvent};
use crate::wire::vocab::{
    Body, Delta, Dialect, Event, Fault, FaultKind, Part, Protocol, Stop, Usage,
};
use crate::wire::{Heading, ProviderSide, Reader, Writer, codec, cost, json_mode, provider_side};

/// The largest single event: a picture in base64 fits.
const EVENT_BYTES: usize = 32 << 20;

/// So much is given on at once. A provider that is faster than its caller is read some 400 KB at a
/// time, and the server copies each piece that it takes, whether or not the caller reads it.
const PIECE_BYTES: usize = 32 << 10;

/// How frames of a provider become bytes for the caller.
#[derive(Debug)]
pub(super) enum Conversion {
    /// They are the caller's bytes.
    Verbatim,
    /// The same dialect, but the model's name changes or a frame that nobody asked for is left out.
    Edited { rename: Option<Rename>, withheld: Withheld },
    Translated {
        /// Tools that go by other names there get their own back.
        names: Rc<Names>,
        /// The answer is held to JSON mode, which the provider does not have.
        json: Option<json_mode::JsonForm>,
        hides_cost: bool,
    },
}

enum Way {
    Verbatim,
    Edited {
        rename: Option<Rename>,
        withheld: Withheld,
    },
    Translated {
        reader: Box<dyn Reader + Send>,
        events: Vec<Event>,
        names: Rc<Names>,
        texts: Texts,
        hides_cost: bool,
    },
}

impl Way {
    /// What the provider itself says that it charges is left out.
    fn hides_cost(&self) -> bool {
        match self {
            Self::Verbatim => false,
            Self::Edited { withheld, .. } => withheld.cost,
            Self::Translated { hides_cost, .. } => *hides_cost,
        }
    }
}

/// How far an answer has come.
#[derive(Debug, Default)]
struct Progress {
    usage: Option<Usage>,
    /// Something of the answer itself has come.
    spoke: bool,
    choices: Choices,
    finished: Choices,
    /// The stream has said its last word.
    ended: bool,
    /// Events that nobody could read.
    left_out: u64,
}

impl Progress {
    fn all_finished(&self) -> bool {
        !self.finished.is_empty() && self.finished.holds(self.choices)
    }

    /// Counts as a report leaves them, which may say less than an earlier one: kept, and as the
    /// caller is to read them.
    fn count(&mut self, later: &Usage) -> Usage {
        if !later.says_anything() {
            return self.usage.clone().unwrap_or_else(|| later.clone());
        }
        let Some(earlier) = self.usage.take() else {
            self.usage = Some(later.clone());
            return later.clone();
        };
        let mut told = earlier.updated(later.clone());
        self.usage = Some(told.clone());
        // The provider's own object says less than that.
        if (told.prompt(), told.completion()) != (later.prompt(), later.completion()) {
            told.raw = None;
        }
        told
    }

    /// Its end has come, and there is nothing before it: no word, and no reason to have said none.
    fn is_empty(&self) -> bool {
        self.ended && !self.spoke && self.finished.is_empty()
    }
}

pub(super) struct Passage {
    splitter: Splitter,
    way: Way,
    front: Dialect,
    protocol: Protocol,
    theirs: &'static dyn ProviderSide,
    writer: Box<dyn Writer + Send>,
    /// The beginning of an event whose end has not come: half an event is not passed on.
    held: Vec<u8>,
    /// What the caller may read.
    ready: VecDeque<Bytes>,
    progress: Progress,
    transcript: Transcript,
    /// What the provider has sent, as long as another answer could go on with it.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    /// What the prompt is taken to be long, in tokens, should the provider not count.
    prompt_tokens: u64,
}

impl Passage {
    pub fn new(front: Dialect, protocol: Protocol, manner: Conversion, heading: Heading) -> Self {
        let theirs = provider_side(protocol);
        let way = match manner {
            Conversion::Verbatim => Way::Verbatim,
            Conversion::Edited { rename, withheld } => Way::Edited { rename, withheld },
            Conversion::Translated { names, json, hides_cost } => {
                let reader = theirs.reader();
                let reader: Box<dyn Reader + Send> = match json {
                    Some(form) => Box::new(json_mode::JsonModeReader::new(reader, form)),
                    None => reader,
                };
                Way::Translated {
                    reader,
                    events: Vec::new(),
                    names,
                    texts: Texts::default(),
                    hides_cost,
                }
            }
        };
        Self {
            prompt_tokens: heading.prompt_tokens,
            splitter: theirs.splitter(EVENT_BYTES),
            way,
            front,
            protocol,
            theirs,
            writer: codec(front).writer(heading),
            held: Vec::new(),
            ready: VecDeque::new(),
            progress: Progress::default(),
            transcript: Transcript::default(),
            kept: None,
            kept_bytes: 0,
        }
    }

    /// The answer has begun: from here on there is no other provider. Where there is no last word,
    /// words may still come behind a reason.
    pub fn has_begun(&self) -> bool {
        let finished = !self.progress.finished.is_empty() && self.theirs.has_last_word();
        self.progress.spoke || finished
    }

    /// The stream has said its last word.
    pub fn has_ended(&self) -> bool {
        self.progress.ended
    }

    /// All choices are finished, though a last word or a usage may still come.
    pub fn is_complete(&self) -> bool {
        self.progress.ended || self.progress.all_finished()
    }

    /// All has come that an answer ends with, in a dialect without a last word: nothing more need come,
    /// but more may.
    pub fn may_be_over(&self) -> bool {
        !self.theirs.has_last_word()
            && self.progress.all_finished()
            && self.progress.usage.is_some()
    }

    pub fn usage(&self) -> Option<&Usage> {
        self.progress.usage.as_ref()
    }

    pub fn left_out(&self) -> u64 {
        self.progress.left_out
    }

    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// There is something for the caller.
    pub fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next piece for the caller, while more may come: not what ends the answer, which leaves once
    /// it is settled.
    pub fn pop_before_the_end(&mut self) -> Option<Bytes> {
        let translated = matches!(self.way, Way::Translated { .. });
        let may_end_it = self.may_be_over() && !translated && self.ready.len() <= 1;
        if self.progress.ended || may_end_it { None } else { self.pop() }
    }

    /// The next piece for the caller.
    pub fn pop(&mut self) -> Option<Bytes> {
        let next = self.ready.front_mut()?;
        if next.len() > PIECE_BYTES {
            return Some(next.split_to(PIECE_BYTES));
        }
        self.ready.pop_front()
    }

    /// Here something may be put in between.
    pub fn is_between_events(&self) -> bool {
        self.splitter.is_between_events()
    }

    pub fn keep_alive(&self) -> &'static [u8] {
        self.writer.keep_alive()
    }

    /// One chunk of the provider's.
    ///
    /// # Errors
    /// The fault that it tells of, or is.
    pub fn take(&mut self, chunk: Bytes) -> Result<(), Fault> {
        self.note(&chunk);
        let mut out = Vec::new();
        let Self { splitter, way, held, ready, .. } = self;
        let verbatim = matches!(way, Way::Verbatim);
        let mut taking = Taking {
            way,
            theirs: self.theirs,
            protocol: self.protocol,
            writer: &mut *self.writer,
            out: &mut out,
            progress: &mut self.progress,
            transcript: &mut self.transcript,
            prompt_tokens: self.prompt_tokens,
            fault: None,
        };
        // Of the chunk, what is to be passed on next.
        let mut next = 0..0;
        let fed = splitter.feed_at(&chunk, |frame, end| match taking.frame(&frame) {
            Fate::Passes => next.end = end,
            Fate::IsLeftOut => {
                if verbatim {
                    release(ready, held, &chunk, next.clone());
                }
                held.clear();
                next = end..end;
            }
        });
        let (fault, ended) = (taking.fault.take(), taking.progress.ended);
        if verbatim {
            // Comments, too, as soon as they are whole.
            if !ended && fault.is_none() && splitter.is_between_events() {
                next.end = chunk.len();
            }
            release(ready, held, &chunk, next.clone());
            if ended && chunk.get(..next.end).is_some_and(|all| all.ends_with(b"\r")) {
                // The other half of the last line's end is behind the last word, and would not pass.
                ready.push_back(Bytes::from_static(b"\n"));
            }
            if !ended {
                held.extend_from_slice(chunk.get(next.end..).unwrap_or_default());
            }
        } else if !out.is_empty() {
            ready.push_back(Bytes::from(out));
        }
        if let Err(why) = fed {
            return Err(Fault::new(FaultKind::Broken, why.to_string()));
        }
        fault.map_or(Ok(()), Err)
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// When the answer is not at its end.
    pub fn end(&mut self) -> Result<(), Fault> {
        let mut out = Vec::new();
        let was_ended = self.progress.ended;
        let mut taking = Taking {
            way: &mut self.way,
            theirs: self.theirs,
            protocol: self.protocol,
            writer: &mut *self.writer,
            out: &mut out,
            progress: &mut self.progress,
            transcript: &mut self.transcript,
            prompt_tokens: self.prompt_tokens,
            fault: None,
        };
        let mut last = None;
        self.splitter.finish(|frame| last = Some(taking.frame(&frame)));
        if let Some(fault) = taking.fault.take() {
            return Err(fault);
        }
        let verbatim = matches!(self.way, Way::Verbatim);
        if let (true, Some(Fate::Passes)) = (verbatim, &last) {
            self.held.extend_from_slice(b"\n\n");
            out = std::mem::take(&mut self.held);
        }
        // An event that was cut was to say more.
        let cut = matches!(last, Some(Fate::IsLeftOut)) && !was_ended;
        if let Way::Translated { reader, events, .. } = &mut self.way {
            if cut {
                return Err(broken_off());
            }
            events.clear();
            let complete = reader.finish(events);
            for event in events.iter() {
                self.transcript.take(event);
                if let Event::Fault(fault) = event {
                    return Err(fault.clone());
                }
            }
            self.progress.ended |= complete;
            if self.progress.is_empty() {
                return Err(empty());
            }
            // What is open stays so: somebody may go on with it.
            if !self.progress.ended && !self.progress.all_finished() {
                return Err(broken_off());
            }
            if !was_ended && self.progress.usage.is_none() {
                events.push(Event::Usage(self.transcript.estimated(self.prompt_tokens)));
            }
            self.writer.write(events, &mut out);
            if complete {
                self.writer.finish(&mut out);
            }
        }
        if !self.progress.ended && self.progress.all_finished() && !cut {
            // Why each answer ended has been said. Cerebras, and proxies in front of others, leave the last
            // word out; the caller's SDK may wait for it.
            self.progress.ended = true;
            match (&self.way, self.front) {
                (Way::Translated { .. }, _) => self.writer.finish(&mut out),
                (_, Dialect::OpenAiChat) => out.extend_from_slice(b"data: [DONE]\n\n"),
                (_, Dialect::Anthropic) => out.extend_from_slice(
                    b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                ),
                (_, Dialect::OpenAiResponses | Dialect::Gemini) => {}
            }
        }
        if !out.is_empty() {
            self.ready.push_back(Bytes::from(out));
        }
        if self.progress.ended { Ok(()) } else { Err(broken_off()) }
    }

    /// Says, in the caller's dialect, that the answer cannot go on.
    pub fn fail(&mut self, error: &Error) {
        let mut out = Vec::new();
        self.writer.fail(error, &mut out);
        self.ready.push_back(Bytes::from(out));
    }
}

/// Passes a part of a chunk on, behind what was held of the event that ends in it.
fn release(ready: &mut VecDeque<Bytes>, held: &mut Vec<u8>, chunk: &Bytes, part: Range<usize>) {
    if part.is_empty() {
        return;
    }
    if held.is_empty() {
        ready.push_back(chunk.slice(part));
    } else {
        held.extend_from_slice(chunk.get(part).unwrap_or_default());
        ready.push_back(Bytes::from(std::mem::take(held)));
    }
}

fn broken_off() -> Fault {
    Fault::new(FaultKind::Broken, "the stream broke off before its end")
}

fn empty() -> Fault {
    Fault::new(FaultKind::Broken, "the stream ended without an answer")
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    IsLeftOut,
}

/// The parts of a passage that a frame touches.
struct Taking<'a> {
    way: &'a mut Way,
    theirs: &'static dyn ProviderSide,
    protocol: Protocol,
    writer: &'a mut (dyn Writer + Send),
    out: &'a mut Vec<u8>,
    progress: &'a mut Progress,
    transcript: &'a mut Transcript,
    prompt_tokens: u64,
    fault: Option<Fault>,
}

impl Taking<'_> {
    fn frame(&mut self, frame: &Frame<'_>) -> Fate {
        if self.fault.is_some() {
            return Fate::IsLeftOut;
        }
        // Nothing follows the last word.
        if self.progress.ended && !self.theirs.goes_on(frame) {
            return Fate::IsLeftOut;
        }
        let fate = match self.way {
            Way::Translated { .. } => self.translate(frame),
            Way::Verbatim | Way::Edited { .. } => self.pass(frame),
        };
        match self.fault {
            Some(_) => Fate::IsLeftOut,
            None => fate,
        }
    }

    fn translate(&mut self, frame: &Frame<'_>) -> Fate {
        let Way::Translated { reader, events, names, texts, hides_cost } = self.way else {
            return Fate::Passes;
        };
        events.clear();
        let read = reader.read(frame, events).or_else(|why| {
            // Half a character, of servers that cut texts between the halves that JSON writes it in.
            let data = with_whole_characters(frame.data).ok_or(why)?;
            events.clear();
            reader.read(&Frame { event: frame.event, data: &data }, events)
        });
        if let Err(why) = read {
            // As where it passes unread: what is no JSON at all is left out, and the rest goes on.
            let text = std::str::from_utf8(frame.data);
            if text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_err()) {
                self.progress.left_out += 1;
            } else {
                self.fault = Some(Fault::new(FaultKind::Broken, why.to_string()));
            }
            return Fate::IsLeftOut;
        }
        if !names.is_empty() {
            texts.restore(names, events);
        }
        let progress = &mut *self.progress;
        for event in events.iter_mut() {
            self.transcript.take(event);
            match event {
                Event::Usage(usage) => {
                    *usage = progress.count(usage);
                    if *hides_cost {
                        cost::hide(usage);
                    }
                }
                Event::Fault(one) => self.fault = Some(one.clone()),
                Event::PartOpen { at, part } => {
                    progress.choices.add(Choices::one(at.choice));
                    progress.spoke |= says(part);
                }
                Event::Delta { at, delta } => {
                    progress.choices.add(Choices::one(at.choice));
                    progress.spoke |= !matches!(
                        delta,
                        Delta::Text(text) | Delta::Arguments(text) if text.is_empty()
                    );
                }
                Event::Finish { choice, finish } => {
                    // A status is no reason: `completed` may stand over nothing at all.
                    let counted = progress.usage.as_ref().is_some_and(|usage| usage.output > 0);
                    let status_only = self.protocol == Protocol::Dialect(Dialect::OpenAiResponses)
                        && finish.why == Stop::End;
                    if progress.spoke || counted || !status_only {
                        progress.choices.add(Choices::one(*choice));
                        progress.finished.add(Choices::one(*choice));
                    }
                }
                _ => {}
            }
        }
        let said = reader.ended();
        let last_word = self.theirs.has_last_word();
        progress.ended = said && last_word;
        if said && !last_word {
            // The reader keeps the reasons until nothing more comes.
            progress.finished.add(progress.choices);
            progress.finished.add(Choices::one(0));
        }
        if self.progress.is_empty() {
            self.fault.get_or_insert_with(empty);
        }
        if let Way::Translated { events, .. } = self.way {
            if self.progress.ended && self.progress.usage.is_none() {
                // What is told is what is booked.
                events.push(Event::Usage(self.transcript.estimated(self.prompt_tokens)));
            }
            self.writer.write(events, self.out);
        }
        Fate::Passes
    }

    fn pass(&mut self, frame: &Frame<'_>) -> Fate {
        if frame.event == "error" {
            // Named so, it is one in any shape.
            let tapped = self.theirs.tap(frame.data);
            self.fault = tapped.fault.or_else(|| Some(self.theirs.decode_error(200, frame.data)));
            return Fate::IsLeftOut;
        }
        let transcript = &mut *self.transcript;
        let glance =
            match self.theirs.glance(frame, &mut |voice, text| transcript.hear(voice, text)) {
                Ok(glance) => glance,
                // Noise of a server in between breaks the caller's SDK, and holds nothing.
                Err(UnreadableEvent::NotJson) => {
                    self.progress.left_out += 1;
                    return Fate::IsLeftOut;
                }
                // Something was lost.
                Err(why @ UnreadableEvent::NotUtf8) => {
                    self.fault = Some(Fault::new(FaultKind::Broken, why.to_string()));
                    return Fate::IsLeftOut;
                }
            };
        let tapped = self.theirs.tap(frame.data);
        let progress = &mut *self.progress;
        if let Some(later) = tapped.usage.filter(Usage::says_anything) {
            progress.usage = Some(match progress.usage.take() {
                Some(earlier) => earlier.updated(later),
                None => later,
            });
        }
        if let Some(fault) = tapped.fault {
            self.fault = Some(fault);
            return Fate::IsLeftOut;
        }
        if glance.gave_up {
            let text = "the model or its provider gave up";
            self.fault = Some(Fault::new(FaultKind::GaveUp, text));
            return Fate::IsLeftOut;
        }
        progress.spoke |= glance.speaks;
        progress.choices.add(glance.choices);
        progress.finished.add(glance.finished);
        progress.ended = tapped.ended && self.theirs.has_last_word();
        if self.progress.is_empty() {
            self.fault = Some(empty());
            return Fate::IsLeftOut;
        }
        if let Way::Edited { rename, withheld } = self.way {
            if withheld.usage && tapped.usage_only {
                return Fate::Passes;
            }
            let renamed = rename.as_ref().and_then(|rename| rename.apply(frame.data));
            let told = renamed.as_deref().unwrap_or(frame.data);
            let without = withheld.cost.then(|| cost::without(told)).flatten();
            sse::write(self.out, frame.event, without.as_deref().unwrap_or(told));
        }
        Fate::Passes
    }
}

/// Whether a part says something as it begins.
fn says(part: &Part) -> bool {
    match &part.body {
        Body::Text(text) | Body::Refusal(text) => !text.is_empty(),
        Body::Thought(thought) => !thought.text.is_empty() || thought.redacted,
        Body::Call(_) | Body::Media(_) | Body::Outcome(_) | Body::Opaque(..) => true,
    }
}

#[cfg(test)]
mod tests;
