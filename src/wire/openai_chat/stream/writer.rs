//! Events to chunks.

use std::collections::HashMap;
use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::super::message::{self, DIALECT};
use super::super::reply;
use super::DONE;
use crate::base::Error;
use crate::wire::frame::json::Builder;
use crate::wire::frame::sse::{self};
use crate::wire::openai_error as error;
use crate::wire::vocab::{
    Body, CallKind, Citation, Delta, Dialect, Event, Extra, ExtraScope, Finish, Part, Signature,
    Slot, Stop, Thought, Usage,
};
use crate::wire::{Heading, Writer};

/// What the writer remembers of an open part.
#[derive(Debug)]
struct Written {
    at: Slot,
    kind: WrittenKind,
    signature: Option<Signature>,
}

#[derive(Debug)]
enum WrittenKind {
    Text(Cited),
    Refusal,
    Thought(Thought),
    Call { index: usize, custom: bool, empty: bool },
    Skipped,
}

/// Where a text stands in its choice's content, in characters, and what it cites. Where a citation
/// ends is known once the text has.
#[derive(Debug, Default)]
struct Cited {
    from: u64,
    characters: u64,
    citations: Vec<Citation>,
}

impl Cited {
    fn say(&mut self, text: &str) {
        self.characters += text.chars().count() as u64;
    }
}

#[derive(Debug)]
pub(in crate::wire::openai_chat) struct ChatWriter {
    heading: Heading,
    /// `data: {"id":…,"choices":[{"index":`, up to the choice's number.
    prefix: Vec<u8>,
    started: Vec<u64>,
    /// Choices whose end has been told.
    finished: Vec<u64>,
    open: Vec<Written>,
    calls: HashMap<u64, usize>,
    /// Characters of each choice's content.
    said: HashMap<u64, u64>,
    details: usize,
    usage: Option<Usage>,
    from_chat: bool,
}

impl ChatWriter {
    pub(in crate::wire::openai_chat) fn new(heading: Heading) -> Self {
        let mut writer = Self {
            heading,
            prefix: Vec::new(),
            started: Vec::new(),
            finished: Vec::new(),
            open: Vec::new(),
            calls: HashMap::new(),
            said: HashMap::new(),
            details: 0,
            usage: None,
            from_chat: false,
        };
        writer.set_prefix();
        writer
    }

    fn set_prefix(&mut self) {
        let text = |text: &str| Value::from(text).to_string();
        self.prefix = format!(
            "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\"choices\":[{{\"index\":",
            text(&self.heading.id),
            self.heading.created,
            text(&self.heading.model),
        )
        .into_bytes();
    }

    /// One text delta, which is what nearly every chunk of a stream is.
    fn write_text(&self, choice: u64, member: &str, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "{choice},\"delta\":{{\"{member}\":");
        let _infallible = serde_json::to_writer(&mut *out, text);
        out.extend_from_slice(b"},\"finish_reason\":null}]");
        self.write_tail(out);
    }

    fn write_tail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.heading.include_usage && !self.from_chat {
            b",\"usage\":null}\n\n"
        } else {
            b"}\n\n"
        });
    }

    fn written(&mut self, at: Slot) -> Option<&mut Written> {
        self.open.iter_mut().rev().find(|written| written.at == at)
    }
}

/// The deltas of one frame, per choice, on their way into one chunk.
#[derive(Debug, Default)]
struct Pending {
    deltas: Vec<ChoiceDelta>,
}

/// What one frame says of one choice: the delta, the finish reason, and the rest.
type ChoiceDelta = (u64, Map<String, Value>, Option<Value>, Extra);

impl Pending {
    fn of(&mut self, choice: u64) -> &mut ChoiceDelta {
        let position = match self.deltas.iter().position(|(known, ..)| *known == choice) {
            Some(position) => position,
            None => {
                self.deltas.push((choice, Map::new(), None, Extra::NONE));
                self.deltas.len() - 1
            }
        };
        &mut self.deltas[position]
    }

    fn append(&mut self, choice: u64, member: &str, text: &str) {
        match self.of(choice).1.entry(member.to_owned()).or_insert_with(|| Value::from("")) {
            Value::String(known) => known.push_str(text),
            other => *other = Value::from(text),
        }
    }

    /// What the turn's own dialect said; a content that was a list takes in the text beside it.
    fn absorb(&mut self, choice: u64, extra: &Extra) {
        let delta = &mut self.of(choice).1;
        let text = delta.get("content").filter(|content| content.is_string()).cloned();
        extra.write_quietly(delta, DIALECT);
        if let (Some(text), Some(Value::Array(items))) = (text, delta.get_mut("content")) {
            items.push(json!({"type": "text", "text": text}));
        }
    }

    fn cite(&mut self, choice: u64, cited: &Cited) {
        for one in &cited.citations {
            let (start, end) = one.span_of(cited.characters);
            let span = (cited.from + start, cited.from + end);
            if let Some(annotation) = message::annotation(one, span) {
                self.list(choice, "annotations", annotation);
            }
        }
    }

    fn call(&mut self, choice: u64, fragment: Value) {
        self.list(choice, "tool_calls", fragment);
    }

    /// Adds to a list of the delta.
    fn list(&mut self, choice: u64, member: &str, one: Value) {
        match self.of(choice).1.entry(member.to_owned()).or_insert_with(|| json!([])) {
            Value::Array(all) => all.push(one),
            other => *other = json!([one]),
        }
    }
}

impl Writer for ChatWriter {
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>) {
        if let [Event::Delta { at, delta: Delta::Text(text) }] = events
            && self.started.contains(&at.choice)
        {
            let member = match self.written(*at).map(|written| &mut written.kind) {
                Some(WrittenKind::Text(cited)) => {
                    cited.say(text);
                    "content"
                }
                Some(WrittenKind::Refusal) => "refusal",
                Some(WrittenKind::Thought(thought)) => {
                    if thought.spelled {
                        return;
                    }
                    thought.text.push_str(text);
                    "reasoning_content"
                }
                _ => return,
            };
            return self.write_text(at.choice, member, text, out);
        }
        let mut pending = Pending::default();
        let mut reply_extra = Extra::NONE;
        let mut inline_usage = None;
        for event in events {
            match event {
                Event::Open { id, model, created } => {
                    if let Some(id) = id.as_ref().filter(|id| !id.is_empty()) {
                        self.heading.id.clone_from(id);
                    }
                    if let Some(model) = model.as_ref().filter(|_| self.heading.model.is_empty()) {
                        self.heading.model.clone_from(model);
                    }
                    self.heading.created = created.unwrap_or(self.heading.created);
                    self.set_prefix();
                }
                Event::PartOpen { at, part } => self.open_part(*at, part, &mut pending),
                Event::Delta { at, delta } => self.add_delta(*at, delta, &mut pending),
                Event::PartClose { at, .. } => self.close_part(*at, &mut pending),
                Event::Finish { choice, finish } => {
                    if !self.finished.contains(choice) {
                        self.finished.push(*choice);
                    }
                    pending.of(*choice).2 = Some(Value::from(reply::finish_word(finish)));
                }
                Event::Usage(usage) => {
                    inline_usage = usage.raw_in(DIALECT).cloned();
                    self.usage = Some(usage.clone());
                }
                // Another dialect's own words make no chunk here.
                Event::Extra { extra, .. } if !extra.came_from(DIALECT) => {}
                Event::Extra { scope, extra } => match scope {
                    ExtraScope::Reply => {
                        self.from_chat |= extra.came_from(DIALECT);
                        reply_extra.absorb(extra);
                    }
                    ExtraScope::Choice(choice) => pending.of(*choice).3.absorb(extra),
                    ExtraScope::Turn(choice) => pending.absorb(*choice, extra),
                },
                Event::Fault(_) | Event::Ping => {}
            }
        }
        if pending.deltas.is_empty() && !reply_extra.came_from(DIALECT) {
            return;
        }
        let mut choices = Vec::with_capacity(pending.deltas.len());
        for (choice, mut delta, mut finish, extra) in pending.deltas {
            if self.heading.functions {
                reply::as_functions(&mut delta, finish.as_mut());
            }
            if !self.started.contains(&choice) {
                self.started.push(choice);
                let mut first = Map::new();
                first.insert("role".to_owned(), Value::from("assistant"));
                let calls = ["content", "tool_calls", "function_call"];
                if !calls.iter().any(|said| delta.contains_key(*said)) {
                    first.insert("content".to_owned(), Value::from(""));
                }
                first.extend(delta);
                delta = first;
            }
            let mut object = Builder::new();
            object.set("index", choice).set("delta", Value::Object(delta));
            object.set("finish_reason", finish.unwrap_or(Value::Null));
            extra.write_quietly(&mut object.0, DIALECT);
            choices.push(object.done());
        }
        let mut chunk = Builder::new();
        chunk.set("id", self.heading.id.as_str());
        chunk.set("object", "chat.completion.chunk");
        chunk.set("created", self.heading.created);
        chunk.set("model", self.heading.model.as_str());
        chunk.set("choices", choices);
        if let Some(usage) = inline_usage.filter(|_| self.heading.include_usage) {
            self.usage = None;
            chunk.set("usage", usage);
        } else if self.heading.include_usage && !self.from_chat {
            chunk.set("usage", Value::Null);
        }
        reply_extra.write_quietly(&mut chunk.0, DIALECT);
        sse::write(out, "", chunk.done().to_string().as_bytes());
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        // No provider need say why it ended, but a caller waits for a reason.
        let untold = self.started.iter().filter(|choice| !self.finished.contains(*choice));
        let untold: Vec<Event> = untold
            .filter(|_| !self.from_chat)
            .map(|choice| {
                let why = if self.calls.contains_key(choice) { Stop::ToolCalls } else { Stop::End };
                Event::Finish { choice: *choice, finish: Finish::of(why) }
            })
            .collect();
        if !untold.is_empty() {
            self.write(&untold, out);
        }
        if let Some(usage) = self.usage.take()
            && self.heading.include_usage
        {
            let mut chunk = Builder::new();
            chunk.set("id", self.heading.id.as_str());
            chunk.set("object", "chat.completion.chunk");
            chunk.set("created", self.heading.created);
            chunk.set("model", self.heading.model.as_str());
            chunk.set("choices", json!([]));
            chunk.set("usage", reply::usage_value(&usage));
            sse::write(out, "", chunk.done().to_string().as_bytes());
        }
        sse::write(out, "", DONE);
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        sse::write(out, "", &error::encode(error).1);
    }

    fn keep_alive(&self) -> &'static [u8] {
        b": keep-alive\n\n"
    }
}

impl ChatWriter {
    fn open_part(&mut self, at: Slot, part: &Part, pending: &mut Pending) {
        let kind = match &part.body {
            Body::Text(text) => {
                pending.append(at.choice, "content", text);
                let from = self.said.get(&at.choice).copied().unwrap_or(0);
                let mut cited = Cited { from, ..Cited::default() };
                cited.say(text);
                // Its own dialect's stand in the chunk that they came in.
                if !self.from_chat {
                    cited.citations.clone_from(&part.citations);
                }
                WrittenKind::Text(cited)
            }
            Body::Refusal(text) => {
                pending.append(at.choice, "refusal", text);
                WrittenKind::Refusal
            }
            Body::Thought(thought) => {
                if !thought.spelled && !thought.redacted && !thought.text.is_empty() {
                    pending.append(at.choice, "reasoning_content", &thought.text);
                }
                WrittenKind::Thought(thought.clone())
            }
            Body::Call(call) => {
                self.heading.functions |= call.kind == CallKind::Legacy;
                let index = self.calls.entry(at.choice).or_default();
                let number = *index;
                *index += 1;
                let id = call.id.clone().unwrap_or_else(|| {
                    reply::made_call_id(Some(&self.heading.id), at.choice, number as u64)
                });
                let (kind, payload) = match call.kind {
                    CallKind::Custom => ("custom", "input"),
                    CallKind::Function | CallKind::Legacy => ("function", "arguments"),
                };
                let mut inner = Builder::new();
                inner.set("name", call.name.as_str());
                inner.set(payload, call.arguments.as_deref().unwrap_or_default());
                part.inner.write_quietly(&mut inner.0, DIALECT);
                let mut fragment = Builder::new();
                fragment.set("index", number).set("id", id).set("type", kind);
                fragment.set(kind, inner.done());
                if let Some(signature) = &part.signature
                    && signature.by == Dialect::Gemini
                {
                    fragment.set(
                        "extra_content",
                        json!({"google": {"thought_signature": signature.value}}),
                    );
                }
                part.extra.write_quietly(&mut fragment.0, DIALECT);
                pending.call(at.choice, fragment.done());
                let empty = call.arguments.as_deref().unwrap_or_default().is_empty();
                WrittenKind::Call { index: number, custom: call.kind == CallKind::Custom, empty }
            }
            Body::Media(_) => {
                // Its own dialect's stand in the chunk that they came in.
                if let Some(picture) = message::picture(part).filter(|_| !self.from_chat) {
                    pending.list(at.choice, "images", picture);
                }
                WrittenKind::Skipped
            }
            Body::Outcome(_) | Body::Opaque(..) => WrittenKind::Skipped,
        };
        let mut signature = None;
        if let Some(known) = &part.signature {
            match kind {
                WrittenKind::Text(_) if known.by == Dialect::Gemini => {
                    sign_text(at.choice, known, pending);
                }
                WrittenKind::Thought(_) => signature = Some(known.clone()),
                _ => {}
            }
        }
        self.open.push(Written { at, kind, signature });
    }

    fn add_delta(&mut self, at: Slot, delta: &Delta, pending: &mut Pending) {
        let abroad = !self.from_chat;
        let Some(written) = self.written(at) else { return };
        match (delta, &mut written.kind) {
            (Delta::Text(text), WrittenKind::Text(cited)) => {
                cited.say(text);
                pending.append(at.choice, "content", text);
            }
            (Delta::Citation(one), WrittenKind::Text(cited)) if abroad => {
                cited.citations.push(one.clone());
            }
            (Delta::Text(text), WrittenKind::Refusal) => pending.append(at.choice, "refusal", text),
            (Delta::Text(text), WrittenKind::Thought(thought)) if !thought.spelled => {
                thought.text.push_str(text);
                pending.append(at.choice, "reasoning_content", text);
            }
            (Delta::Arguments(text), WrittenKind::Call { index, custom: true, .. }) => {
                pending.call(at.choice, json!({"index": *index, "custom": {"input": text}}));
            }
            (Delta::Arguments(text), WrittenKind::Call { index, empty, .. }) => {
                *empty &= text.is_empty();
                pending.call(at.choice, json!({"index": *index, "function": {"arguments": text}}));
            }
            (Delta::CallName(name), WrittenKind::Call { index, .. }) => {
                pending.call(at.choice, json!({"index": *index, "function": {"name": name}}));
            }
            (Delta::CallId(id), WrittenKind::Call { index, .. }) => {
                pending.call(at.choice, json!({"index": *index, "id": id}));
            }
            (Delta::Signature(signature), WrittenKind::Text(_))
                if signature.by == Dialect::Gemini =>
            {
                sign_text(at.choice, signature, pending);
            }
            (Delta::Signature(more), WrittenKind::Thought(_)) => match &mut written.signature {
                Some(known) => known.value.push_str(&more.value),
                none => *none = Some(more.clone()),
            },
            _ => {}
        }
    }

    fn close_part(&mut self, at: Slot, pending: &mut Pending) {
        let Some(position) = self.open.iter().rposition(|written| written.at == at) else { return };
        let written = self.open.swap_remove(position);
        match &written.kind {
            WrittenKind::Text(cited) => {
                self.said.insert(at.choice, cited.from + cited.characters);
                pending.cite(at.choice, cited);
            }
            // Whoever adds up the pieces has to come to JSON.
            WrittenKind::Call { index, custom: false, empty: true } if !self.from_chat => {
                pending.call(at.choice, json!({"index": index, "function": {"arguments": "{}"}}));
            }
            _ => {}
        }
        if let WrittenKind::Thought(thought) = &written.kind
            && !thought.spelled
            && let Some(detail) =
                message::thought_detail(thought, written.signature.as_ref(), self.details)
        {
            self.details += 1;
            pending.of(at.choice).1.insert("reasoning_details".to_owned(), json!([detail]));
        }
    }
}

fn sign_text(choice: u64, signature: &Signature, pending: &mut Pending) {
    pending.of(choice).1.insert(
        "extra_content".to_owned(),
        json!({"google": {"thought_signature": signature.value}}),
    );
}
