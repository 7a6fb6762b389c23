//! streamGenerateContent: every chunk is an answer that holds only what is new.

use std::collections::BTreeMap;

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::content::{self, CallNames, DIALECT};
use super::{error, reply};
use crate::base::Error;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::frame::sse::{self, Frame};
use crate::wire::vocab::{
    Body, Citation, Delta, Event, Extra, ExtraScope, Finish, Losses, Malformed, Part, Slot, Stop,
    Usage,
};
use crate::wire::{Heading, Reader, TapResult, Writer};

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The text or thought that goes on.
    current: Option<Current>,
    called: bool,
    /// The last text: what sources that come are of.
    said: Option<u64>,
    /// Sources that came before any text.
    cited: Vec<Citation>,
    /// The last reason that was given. Vertex gives one with every chunk, others with the first: only
    /// the end of the stream tells that nothing follows it.
    finish: Option<Finish>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    thought: bool,
    part: u64,
    /// A signature closes what it signs: what comes next is another part. What this one rests on may
    /// still come.
    signed: bool,
}

#[derive(Debug, Default)]
pub(super) struct ContentReader {
    opened: bool,
    blocked: bool,
    /// The queries come with some chunk, the usage with every one.
    searches: u64,
    choices: BTreeMap<u64, Open>,
}

impl Reader for ContentReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut chunk = Object::parse(frame.data)?;
        if chunk.has("error") {
            out.push(Event::Fault(error::of_value(&chunk.into_value(), None)));
            return Ok(());
        }
        let (id, model) = (chunk.string("responseId")?, chunk.string("modelVersion")?);
        let searches = reply::searches(chunk.peek("candidates"), model.as_deref());
        self.searches = self.searches.max(searches);
        if !self.opened {
            self.opened = true;
            out.push(Event::Open { id, model, created: None });
        }
        for (position, value) in
            chunk.list("candidates")?.unwrap_or_default().into_iter().enumerate()
        {
            self.read_candidate(value, position, out)?;
        }
        if chunk.peek("promptFeedback").is_some_and(reply::is_blocked) {
            self.blocked = true;
            self.choices.entry(0).or_default().finish = Some(Finish::of(Stop::Filter));
        }
        if let Some(usage) = chunk.take("usageMetadata") {
            out.push(Event::Usage(reply::usage_from(usage, self.searches)));
        }
        let extra = chunk.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: ExtraScope::Reply, extra });
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.blocked
            || (!self.choices.is_empty() && self.choices.values().all(|open| open.finish.is_some()))
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        let ended = self.ended();
        for (choice, open) in &mut self.choices {
            open.close(*choice, out);
            // Of one that gave up the fault has been told.
            let told = |finish: &Finish| finish.why == Stop::Failed;
            if let Some(mut finish) = open.finish.take().filter(|finish| !told(finish)) {
                if open.called && finish.why == Stop::End {
                    finish.why = Stop::ToolCalls;
                }
                out.push(Event::Finish { choice: *choice, finish });
            }
        }
        ended
    }
}

impl ContentReader {
    fn read_candidate(
        &mut self,
        value: Value,
        position: usize,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let mut object = Object::of(value, format!("candidates[{position}]"))?;
        let choice = object.unsigned("index")?.unwrap_or(0);
        let open = self.choices.entry(choice).or_default();
        if let Some(mut content) = object.object("content")? {
            content.take("role");
            for value in content.list("parts")?.unwrap_or_default() {
                open.read_part(choice, content::decode_part(value, "parts")?, out);
            }
            let extra = content.finish(DIALECT);
            if !extra.is_empty() {
                out.push(Event::Extra { scope: ExtraScope::Turn(choice), extra });
            }
        }
        let sources = reply::sources(&object);
        match open.said {
            Some(part) => {
                out.extend(sources.into_iter().map(|one| Event::Delta {
                    at: Slot { choice, part },
                    delta: Delta::Citation(one),
                }));
            }
            None => open.cited.extend(sources),
        }
        let finish = reply::take_finish(&mut object, open.called);
        let told = object.peek("finishMessage").and_then(Value::as_str).unwrap_or_default();
        let fault = finish.as_ref().and_then(|finish| finish.fault(told));
        let extra = object.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: ExtraScope::Choice(choice), extra });
        }
        open.finish = finish.or(open.finish.take());
        if let Some(fault) = fault {
            open.close(choice, out);
            out.push(Event::Fault(fault));
        }
        Ok(())
    }
}

impl Open {
    fn close(&mut self, choice: u64, out: &mut Vec<Event>) {
        if let Some(Current { part, .. }) = self.current.take() {
            out.push(Event::PartClose { at: Slot { choice, part }, extra: Extra::NONE });
        }
    }

    fn read_part(&mut self, choice: u64, mut part: Part, out: &mut Vec<Event>) {
        let flow = match &part.body {
            Body::Text(_) => Some(false),
            Body::Thought(_) => Some(true),
            _ => None,
        };
        let plain = part.extra.is_empty();
        // Google ends many streams with an empty text, which says nothing.
        if plain && part.signature.is_none() && is_empty(&part) {
            return;
        }
        if let (Some(thought), Some(open), true) = (flow, &mut self.current, plain)
            && thought == open.thought
            && !open.signed
        {
            let at = Slot { choice, part: open.part };
            let text = match part.body {
                Body::Text(text) => text,
                Body::Thought(thought) => thought.text,
                _ => String::new(),
            };
            out.push(Event::Delta { at, delta: Delta::Text(text) });
            if let Some(signature) = part.signature {
                out.push(Event::Delta { at, delta: Delta::Signature(signature) });
                open.signed = true;
            }
            return;
        }
        self.close(choice, out);
        let at = Slot { choice, part: self.next };
        self.next += 1;
        self.called |= matches!(part.body, Body::Call(_));
        if let Body::Call(call) = &mut part.body
            && call.arguments.is_none()
            && part.inner.is_empty()
        {
            call.arguments = Some("{}".to_owned());
        }
        let signed = part.signature.is_some();
        if flow == Some(false) {
            part.citations = std::mem::take(&mut self.cited);
            self.said = Some(at.part);
        }
        out.push(Event::PartOpen { at, part });
        match flow.filter(|_| plain) {
            Some(thought) => self.current = Some(Current { thought, part: at.part, signed }),
            None => out.push(Event::PartClose { at, extra: Extra::NONE }),
        }
    }
}

/// Looks at a frame that is passed on unread.
pub(super) fn tap(data: &[u8]) -> TapResult {
    let mut tapped = TapResult::default();
    let usage = memmem::find(data, b"\"usageMetadata\"").is_some();
    let error = memmem::find(data, b"\"error\"").is_some();
    if !usage && !error {
        return tapped;
    }
    let Ok(chunk) = serde_json::from_slice::<Map<String, Value>>(data) else { return tapped };
    if chunk.get("error").is_some_and(|error| !error.is_null()) {
        tapped.fault = Some(error::of_value(&Value::Object(chunk), None));
        return tapped;
    }
    let model = chunk.get("modelVersion").and_then(Value::as_str);
    let searches = reply::searches(chunk.get("candidates"), model);
    tapped.usage = chunk.get("usageMetadata").cloned().map(|raw| reply::usage_from(raw, searches));
    tapped
}

// === writing ===

#[derive(Debug)]
pub(super) struct ContentWriter {
    heading: Heading,
    /// Calls go out whole, so their fragments wait.
    calls: Vec<(Slot, Part)>,
    /// Texts and thoughts that are open: what kind they are.
    open: Vec<(Slot, bool)>,
    finishes: Vec<(u64, Finish)>,
    usage: Option<Usage>,
    choice_extras: Vec<(u64, Extra)>,
    citations: Vec<(u64, Citation)>,
    at_home: bool,
}

impl ContentWriter {
    pub(super) fn new(heading: Heading) -> Self {
        Self {
            heading,
            calls: Vec::new(),
            open: Vec::new(),
            finishes: Vec::new(),
            usage: None,
            choice_extras: Vec::new(),
            citations: Vec::new(),
            at_home: false,
        }
    }

    fn emit(&self, candidates: Vec<Value>, extra: &Extra, last: bool, out: &mut Vec<u8>) {
        let mut chunk = Builder::new();
        if !candidates.is_empty() {
            chunk.set("candidates", candidates);
        }
        if let Some(usage) = &self.usage
            && (last || self.at_home)
        {
            chunk.set("usageMetadata", reply::usage_value(usage));
        }
        chunk.set("modelVersion", self.heading.model.as_str());
        chunk.set("responseId", self.heading.id.as_str());
        extra.write_quietly(&mut chunk.0, DIALECT);
        // Google's own lines end in CRLF; its SDK reads either.
        sse::write(out, "", chunk.done().to_string().as_bytes());
    }
}

impl Writer for ContentWriter {
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>) {
        let mut parts: Vec<(u64, Vec<Value>)> = Vec::new();
        let mut put = |choice: u64, value: Value| match parts
            .iter_mut()
            .find(|(known, _)| *known == choice)
        {
            Some((_, list)) => list.push(value),
            None => parts.push((choice, vec![value])),
        };
        let mut reply_extra = Extra::NONE;
        let mut lost = Losses::default();
        let names = CallNames::new();
        for event in events {
            match event {
                Event::Open { id, model, .. } => {
                    if let Some(id) = id.as_ref().filter(|id| !id.is_empty()) {
                        self.heading.id.clone_from(id);
                    }
                    if let Some(model) = model.as_ref().filter(|_| self.heading.model.is_empty()) {
                        self.heading.model.clone_from(model);
                    }
                }
                Event::PartOpen { at, part } if !part.citations.is_empty() => {
                    self.citations
                        .extend(part.citations.iter().map(|one| (at.choice, one.clone())));
                    if let Some(value) = content::encode_part(part, true, &names, &mut lost) {
                        put(at.choice, value);
                    }
                    self.open.push((*at, false));
                }
                Event::PartOpen { at, part } => match &part.body {
                    Body::Call(_) => self.calls.push((*at, part.clone())),
                    Body::Text(_) | Body::Refusal(_) | Body::Thought(_) => {
                        self.open.push((*at, matches!(part.body, Body::Thought(_))));
                        if let Some(value) = content::encode_part(part, true, &names, &mut lost)
                            && (self.at_home || part.signature.is_some() || !is_empty(part))
                        {
                            put(at.choice, value);
                        }
                    }
                    _ => {
                        if let Some(value) = content::encode_part(part, true, &names, &mut lost) {
                            put(at.choice, value);
                        }
                    }
                },
                Event::Delta { at, delta: Delta::Citation(citation) } => {
                    self.citations.push((at.choice, citation.clone()));
                }
                Event::Delta { at, delta } => {
                    let thought = self.open.iter().rev().find(|(slot, _)| slot == at);
                    match (delta, thought) {
                        (Delta::Text(text), Some((_, true))) => {
                            put(at.choice, json!({"text": text, "thought": true}));
                        }
                        (Delta::Text(text), Some((_, false))) => {
                            put(at.choice, json!({"text": text}));
                        }
                        (Delta::Signature(signature), Some((_, thought)))
                            if signature.by == DIALECT =>
                        {
                            let mut value =
                                json!({"text": "", "thoughtSignature": signature.value});
                            if let (true, Some(value)) = (*thought, value.as_object_mut()) {
                                value.insert("thought".to_owned(), Value::from(true));
                            }
                            put(at.choice, value);
                        }
                        _ => {
                            if let Some((_, part)) =
                                self.calls.iter_mut().rev().find(|(slot, _)| slot == at)
                                && let Body::Call(call) = &mut part.body
                            {
                                match delta {
                                    Delta::Arguments(text) => {
                                        call.arguments.get_or_insert_default().push_str(text);
                                    }
                                    Delta::CallName(name) => call.name.push_str(name),
                                    Delta::CallId(id) => call.id = Some(id.clone()),
                                    _ => {}
                                }
                            }
                        }
                    }
                }
                Event::PartClose { at, .. } => {
                    self.open.retain(|(slot, _)| slot != at);
                    if let Some(position) = self.calls.iter().position(|(slot, _)| slot == at) {
                        let (_, part) = self.calls.remove(position);
                        let value = if self.at_home {
                            content::encode_part(&part, true, &names, &mut lost)
                        } else {
                            content::answered_part(&part)
                        };
                        if let Some(value) = value {
                            put(at.choice, value);
                        }
                    }
                }
                Event::Finish { choice, finish } => self.finishes.push((*choice, finish.clone())),
                Event::Usage(usage) => {
                    self.at_home |= usage.raw_in(DIALECT).is_some();
                    self.usage = Some(usage.clone());
                }
                Event::Extra { scope: ExtraScope::Reply, extra } => reply_extra.absorb(extra),
                Event::Extra {
                    scope: ExtraScope::Choice(choice) | ExtraScope::Turn(choice),
                    extra,
                } => match self.choice_extras.iter_mut().find(|(known, _)| known == choice) {
                    Some((_, known)) => known.absorb(extra),
                    None => self.choice_extras.push((*choice, extra.clone())),
                },
                Event::Fault(_) | Event::Ping => {}
            }
        }
        if parts.is_empty() && !reply_extra.came_from(DIALECT) {
            return;
        }
        let candidates = parts
            .into_iter()
            .map(|(choice, parts)| {
                json!({"content": {"role": "model", "parts": parts}, "index": choice})
            })
            .collect();
        self.emit(candidates, &reply_extra, false, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut finishes = std::mem::take(&mut self.finishes);
        // No provider need say why it ended, but a caller waits for a reason.
        if finishes.is_empty() && !self.at_home {
            finishes.push((0, Finish::of(Stop::End)));
        }
        let candidates = finishes
            .iter()
            .map(|(choice, finish)| {
                let mut candidate = Builder::new();
                candidate.set("content", json!({"role": "model", "parts": [{"text": ""}]}));
                candidate.set("finishReason", reply::finish_word(finish));
                candidate.set("index", *choice);
                let cited: Vec<Citation> = self
                    .citations
                    .iter()
                    .filter(|(by, _)| by == choice && !self.at_home)
                    .map(|(_, one)| one.clone())
                    .collect();
                if !cited.is_empty() {
                    candidate.set("groundingMetadata", reply::grounding(&cited));
                }
                if let Some((_, extra)) =
                    self.choice_extras.iter().find(|(known, _)| known == choice)
                {
                    extra.write_quietly(&mut candidate.0, DIALECT);
                }
                candidate.done()
            })
            .collect();
        self.emit(candidates, &Extra::NONE, true, out);
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        sse::write(out, "", &error::encode(error).1);
    }

    fn keep_alive(&self) -> &'static [u8] {
        // Google's Python SDK reads every other line as JSON, comments too.
        b"\n"
    }
}

fn is_empty(part: &Part) -> bool {
    match &part.body {
        Body::Text(text) | Body::Refusal(text) => text.is_empty(),
        Body::Thought(thought) => thought.text.is_empty(),
        _ => false,
    }
}
