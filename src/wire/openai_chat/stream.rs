//! Chat completion streams.

use std::collections::HashMap;
use std::io::Write as _;

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::{DIALECT, error, message, reply};
use crate::base::Error;
use crate::wire::frame::json::{Builder, Object};
use crate::wire::frame::sse::{self, Frame};
use crate::wire::vocab::{
    Body, Call, CallKind, Delta, Dialect, Event, Extra, Finish, Malformed, Part, Scope, Signature,
    Slot, Stop, Thought, Usage,
};
use crate::wire::{Heading, Reader, Tapped, Writer};

const DONE: &[u8] = b"[DONE]";

/// Which parts of a choice are open.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The part that takes plain deltas now.
    current: Option<(Flow, u64)>,
    calls: Vec<(u64, u64)>,
    finish: Option<Finish>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Text,
    Thought { spelled: bool },
    Refusal,
}

#[derive(Debug, Default)]
pub(super) struct ChatReader {
    opened: bool,
    ended: bool,
    choices: HashMap<u64, Open>,
}

impl Reader for ChatReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if frame.data.starts_with(DONE) {
            self.ended = true;
            return Ok(());
        }
        let mut chunk = Object::parse(frame.data)?;
        if let Some(error) = chunk.peek("error") {
            let nested = json!({ "error": error });
            out.push(Event::Fault(error::of_value(&nested, None)));
            return Ok(());
        }
        if frame.event == "error" {
            out.push(Event::Fault(error::of_value(&chunk.into_value(), None)));
            return Ok(());
        }
        let (id, model) = (chunk.string("id")?, chunk.string("model")?);
        let created = chunk.take("created").and_then(|created| created.as_i64());
        // Azure opens with an empty id and model in a chunk that only reports on the prompt.
        let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !self.opened && (filled(&id) || filled(&model)) {
            self.opened = true;
            out.push(Event::Open { id, model, created });
        }
        if let Some(kind) = chunk.string("object")?
            && kind != "chat.completion.chunk"
        {
            chunk.spell("object", Value::from(kind));
        }
        let choices = chunk.list("choices")?.unwrap_or_default();
        for (position, value) in choices.into_iter().enumerate() {
            self.read_choice(value, position, out)?;
        }
        if let Some(usage) = chunk.take("usage") {
            out.push(Event::Usage(reply::usage_from(usage)));
        } else if let Some(usage) = chunk
            .peek("x_groq")
            .and_then(|groq| groq.get("usage"))
            .filter(|usage| usage.is_object())
        {
            out.push(Event::Usage(reply::usage_from(usage.clone())));
        }
        let extra = chunk.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: Scope::Reply, extra });
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        let mut finished = !self.choices.is_empty();
        let mut indices: Vec<u64> = self.choices.keys().copied().collect();
        indices.sort_unstable();
        for choice in indices {
            if let Some(open) = self.choices.get_mut(&choice) {
                open.close_all(choice, out);
                finished &= open.finish.is_some();
            }
        }
        // Cerebras and others end without [DONE]: a finish reason is end enough.
        self.ended || finished
    }
}

impl Open {
    fn slot(&mut self, choice: u64) -> Slot {
        let part = self.next;
        self.next += 1;
        Slot { choice, part }
    }

    fn close_current(&mut self, choice: u64, out: &mut Vec<Event>) {
        if let Some((_, part)) = self.current.take() {
            out.push(Event::PartClose { at: Slot { choice, part }, extra: Extra::NONE });
        }
    }

    fn close_all(&mut self, choice: u64, out: &mut Vec<Event>) {
        self.close_current(choice, out);
        for (_, part) in self.calls.drain(..) {
            out.push(Event::PartClose { at: Slot { choice, part }, extra: Extra::NONE });
        }
    }

    fn text(&mut self, choice: u64, flow: Flow, text: String, out: &mut Vec<Event>) {
        let part = match self.current {
            Some((open, part)) if open == flow => part,
            _ => {
                // An empty text announces nothing; a thought that may stay sealed does not either.
                if text.is_empty() {
                    return;
                }
                self.close_current(choice, out);
                let at = self.slot(choice);
                let body = match flow {
                    Flow::Text => Body::Text(String::new()),
                    Flow::Refusal => Body::Refusal(String::new()),
                    Flow::Thought { spelled } => {
                        Body::Thought(Thought { spelled, ..Thought::default() })
                    }
                };
                out.push(Event::PartOpen { at, part: Part::new(body) });
                self.current = Some((flow, at.part));
                at.part
            }
        };
        if !text.is_empty() {
            out.push(Event::Delta { at: Slot { choice, part }, delta: Delta::Text(text) });
        }
    }
}

impl ChatReader {
    fn read_choice(
        &mut self,
        value: Value,
        position: usize,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let mut object = Object::of(value, format!("choices[{position}]"))?;
        let choice = object.unsigned("index")?.unwrap_or(0);
        let word = object.string("finish_reason")?;
        // Perplexity sends the whole message beside each delta.
        if object.has("delta") {
            object.keep_spelling("message");
        }
        let open = self.choices.entry(choice).or_default();
        if let Some(delta) = object.object("delta")? {
            open.read_delta(choice, delta, out)?;
        } else if let Some(whole) = object.object("message")? {
            open.read_delta(choice, whole, out)?;
        }
        let extra = object.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: Scope::Choice(choice), extra });
        }
        if let Some(word) = word {
            let called = !open.calls.is_empty()
                || open.finish.as_ref().is_some_and(|known| known.why == Stop::ToolCalls);
            let finish = reply::finish(word, called);
            // Z.AI repeats the finish reason; once is enough.
            if open.finish.as_ref() != Some(&finish) {
                open.close_all(choice, out);
                out.push(Event::Finish { choice, finish: finish.clone() });
                open.finish = Some(finish);
            }
        }
        Ok(())
    }
}

impl Open {
    fn read_delta(
        &mut self,
        choice: u64,
        mut delta: Object,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        if let Some(role) = delta.string("role")?
            && role != "assistant"
        {
            delta.spell("role", Value::from(role));
        }
        if let Some(text) = delta.string("reasoning_content")? {
            self.text(choice, Flow::Thought { spelled: false }, text, out);
        } else if let Some(text) = delta.peek("reasoning").and_then(Value::as_str) {
            let text = text.to_owned();
            delta.keep_spelling("reasoning");
            self.text(choice, Flow::Thought { spelled: true }, text, out);
        }
        match delta.take_any("content") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.text(choice, Flow::Text, text, out),
            Some(Value::Array(items)) => self.read_items(choice, items, &mut delta, out),
            Some(other) => {
                return Err(Malformed::wrong_type(
                    "choices[].delta.content",
                    "a string",
                    crate::wire::frame::json::type_name(&other),
                ));
            }
        }
        if let Some(text) = delta.string("refusal")? {
            self.text(choice, Flow::Refusal, text, out);
        }
        for call in delta.list("tool_calls")?.unwrap_or_default() {
            self.read_call(choice, call, out)?;
        }
        if let Some(mut legacy) = delta.object("function_call")? {
            let call = json!({"index": 0, "function": {
                "name": legacy.take("name").unwrap_or_default(),
                "arguments": legacy.take("arguments").unwrap_or_default(),
            }});
            self.read_call(choice, call, out)?;
        }
        let extra = delta.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: Scope::Turn(choice), extra });
        }
        Ok(())
    }

    /// Mistral's content as a list: thinking and text items.
    fn read_items(
        &mut self,
        choice: u64,
        items: Vec<Value>,
        delta: &mut Object,
        out: &mut Vec<Event>,
    ) {
        let mut thinking = Vec::new();
        for item in items {
            if let Some(text) = item.get("text").and_then(Value::as_str) {
                self.text(choice, Flow::Text, text.to_owned(), out);
            } else {
                let text: String = item
                    .get("thinking")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(|inner| inner.get("text").and_then(Value::as_str))
                    .collect();
                self.text(choice, Flow::Thought { spelled: true }, text, out);
                thinking.push(item);
            }
        }
        if !thinking.is_empty() {
            delta.spell("content", Value::Array(thinking));
        }
    }

    fn read_call(
        &mut self,
        choice: u64,
        value: Value,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let mut object = Object::of(value, "choices[].delta.tool_calls[]")?;
        let id = object.string("id")?.filter(|id| !id.is_empty());
        let index = object.unsigned("index")?;
        let kind = match object.string("type")?.as_deref() {
            Some("custom") => CallKind::Custom,
            _ => CallKind::Function,
        };
        let mut inner = match object.object("function")? {
            Some(inner) => inner,
            None => object.object("custom")?.unwrap_or(Object::of(json!({}), "")?),
        };
        let name = inner.string("name")?.filter(|name| !name.is_empty());
        let arguments = match inner.take("arguments").or_else(|| inner.take("input")) {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        // Without an index, an id that was not seen opens the next call; Mistral and Gemini's
        // endpoint send whole calls so.
        let index = index.unwrap_or_else(|| {
            let last = self.calls.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
            if id.is_some() { last } else { last.saturating_sub(1) }
        });
        let known = self.calls.iter().find(|(known, _)| *known == index).map(|(_, part)| *part);
        let at = match known {
            Some(part) => {
                let at = Slot { choice, part };
                if let Some(id) = id {
                    out.push(Event::Delta { at, delta: Delta::CallId(id) });
                }
                if let Some(name) = name {
                    out.push(Event::Delta { at, delta: Delta::CallName(name) });
                }
                at
            }
            None => {
                self.close_current(choice, out);
                let at = self.slot(choice);
                self.calls.push((index, at.part));
                let mut part = Part::new(Body::Call(Call {
                    id,
                    name: name.unwrap_or_default(),
                    arguments: Some(String::new()),
                    kind,
                }));
                part.signature = object
                    .peek("extra_content")
                    .and_then(|extra| extra.get("google"))
                    .and_then(|google| google.get("thought_signature"))
                    .and_then(Value::as_str)
                    .map(|value| Signature { by: Dialect::Gemini, value: value.to_owned() });
                if part.signature.is_some() {
                    object.take("extra_content");
                }
                part.inner = inner.finish(DIALECT);
                part.extra = object.finish(DIALECT);
                out.push(Event::PartOpen { at, part });
                at
            }
        };
        if !arguments.is_empty() {
            out.push(Event::Delta { at, delta: Delta::Arguments(arguments) });
        }
        Ok(())
    }
}

/// Looks at a frame that is passed on unread.
pub(super) fn tap(data: &[u8]) -> Tapped {
    let mut tapped = Tapped::default();
    if data.starts_with(DONE) {
        tapped.ended = true;
        return tapped;
    }
    tapped.finished = memmem::find(data, b"\"finish_reason\":").is_some_and(|at| {
        let rest = data.get(at + 16..).unwrap_or_default().trim_ascii_start();
        rest.starts_with(b"\"")
    });
    // An ordinary chunk says `"usage":null` or nothing, and holds no error: it is not parsed.
    let error = memmem::find(data, b"\"error\"").is_some();
    let usage = memmem::find(data, b"_tokens\"").is_some();
    if !error && !usage {
        return tapped;
    }
    let Ok(chunk) = serde_json::from_slice::<Map<String, Value>>(data) else { return tapped };
    if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
        tapped.fault = Some(error::of_value(&json!({ "error": error }), None));
        return tapped;
    }
    let reported = chunk.get("usage").filter(|usage| usage.is_object()).or_else(|| {
        chunk.get("x_groq").and_then(|groq| groq.get("usage")).filter(|usage| usage.is_object())
    });
    tapped.usage = reported.cloned().map(reply::usage_from);
    tapped.usage_only = tapped.usage.is_some()
        && chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    tapped
}

// === writing ===

/// What the writer remembers of an open part.
#[derive(Debug)]
struct Written {
    at: Slot,
    kind: WrittenKind,
    signature: Option<Signature>,
}

#[derive(Debug)]
enum WrittenKind {
    Text,
    Refusal,
    Thought(Thought),
    Call { index: usize },
    Skipped,
}

#[derive(Debug)]
pub(super) struct ChatWriter {
    heading: Heading,
    /// `data: {"id":…,"choices":[{"index":`, up to the choice's number.
    prefix: Vec<u8>,
    started: Vec<u64>,
    open: Vec<Written>,
    calls: HashMap<u64, usize>,
    details: usize,
    usage: Option<Usage>,
    reply_extra: Extra,
    from_chat: bool,
}

impl ChatWriter {
    pub(super) fn new(heading: Heading) -> Self {
        let mut writer = Self {
            heading,
            prefix: Vec::new(),
            started: Vec::new(),
            open: Vec::new(),
            calls: HashMap::new(),
            details: 0,
            usage: None,
            reply_extra: Extra::NONE,
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

    fn call(&mut self, choice: u64, fragment: Value) {
        match self.of(choice).1.entry("tool_calls").or_insert_with(|| json!([])) {
            Value::Array(calls) => calls.push(fragment),
            other => *other = json!([fragment]),
        }
    }
}

impl Writer for ChatWriter {
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>) {
        if let [Event::Delta { at, delta: Delta::Text(text) }] = events
            && self.started.contains(&at.choice)
        {
            let member = match self.written(*at).map(|written| &mut written.kind) {
                Some(WrittenKind::Text) => "content",
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
                    pending.of(*choice).2 = Some(Value::from(reply::finish_word(finish)));
                }
                Event::Usage(usage) => {
                    inline_usage = usage.raw_in(DIALECT).cloned();
                    self.usage = Some(usage.clone());
                }
                Event::Extra { scope, extra } => match scope {
                    Scope::Reply => {
                        self.from_chat |= extra.came_from(DIALECT);
                        reply_extra.absorb(extra);
                    }
                    Scope::Choice(choice) => pending.of(*choice).3.absorb(extra),
                    Scope::Turn(choice) => pending.absorb(*choice, extra),
                },
                Event::Fault(_) | Event::Ping => {}
            }
        }
        if pending.deltas.is_empty() && reply_extra.is_empty() {
            return;
        }
        let mut choices = Vec::with_capacity(pending.deltas.len());
        for (choice, mut delta, finish, extra) in pending.deltas {
            if !self.started.contains(&choice) {
                self.started.push(choice);
                let mut first = Map::new();
                first.insert("role".to_owned(), Value::from("assistant"));
                if !delta.contains_key("content") && !delta.contains_key("tool_calls") {
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
            self.reply_extra.write_quietly(&mut chunk.0, DIALECT);
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
                WrittenKind::Text
            }
            Body::Refusal(text) => {
                pending.append(at.choice, "refusal", text);
                WrittenKind::Refusal
            }
            Body::Thought(thought) => {
                if !thought.spelled && !thought.redacted {
                    pending.append(at.choice, "reasoning_content", &thought.text);
                }
                WrittenKind::Thought(thought.clone())
            }
            Body::Call(call) => {
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
                WrittenKind::Call { index: number }
            }
            Body::Media(_) | Body::Outcome(_) | Body::Opaque(..) => WrittenKind::Skipped,
        };
        let mut signature = None;
        if let Some(known) = &part.signature {
            match kind {
                WrittenKind::Text if known.by == Dialect::Gemini => {
                    sign_text(at.choice, known, pending);
                }
                WrittenKind::Thought(_) => signature = Some(known.clone()),
                _ => {}
            }
        }
        self.open.push(Written { at, kind, signature });
    }

    fn add_delta(&mut self, at: Slot, delta: &Delta, pending: &mut Pending) {
        let Some(written) = self.written(at) else { return };
        match (delta, &mut written.kind) {
            (Delta::Text(text), WrittenKind::Text) => pending.append(at.choice, "content", text),
            (Delta::Text(text), WrittenKind::Refusal) => pending.append(at.choice, "refusal", text),
            (Delta::Text(text), WrittenKind::Thought(thought)) if !thought.spelled => {
                thought.text.push_str(text);
                pending.append(at.choice, "reasoning_content", text);
            }
            (Delta::Arguments(text), WrittenKind::Call { index }) => {
                pending.call(at.choice, json!({"index": *index, "function": {"arguments": text}}));
            }
            (Delta::CallName(name), WrittenKind::Call { index }) => {
                pending.call(at.choice, json!({"index": *index, "function": {"name": name}}));
            }
            (Delta::CallId(id), WrittenKind::Call { index }) => {
                pending.call(at.choice, json!({"index": *index, "id": id}));
            }
            (Delta::Signature(signature), WrittenKind::Text) if signature.by == Dialect::Gemini => {
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
