//! Our events to response events, in the exact order that the SDK's accumulators expect, numbered
//! from 0. Longer than most files: that order is one list of events, from the first to the last.

use serde_json::{Map, Value, json};

use super::{error, item, reply};
use crate::base::Error;
use crate::wire::frame::{Frame, sse};
use crate::wire::vocab::{
    Body, CallKind, Delta, Event, Finish, Part, Signature, Slot, Thought, Usage,
};
use crate::wire::{Heading, Writer};

/// An item that is being written.
#[derive(Debug)]
struct Item {
    index: usize,
    id: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The parts written so far, and the slot of the open one.
    Message {
        content: Vec<Value>,
        open: Option<(Slot, Part)>,
    },
    Thought {
        at: Slot,
        part: Part,
        /// Something of it can be read.
        told: bool,
    },
    Call {
        at: Slot,
        part: Part,
    },
}

#[derive(Debug)]
pub(super) struct ResponseWriter {
    heading: Heading,
    started: bool,
    sequence: u64,
    /// Calls may interleave; a message or a thought is alone.
    open: Vec<Item>,
    output: Vec<(usize, Value)>,
    next: usize,
    finish: Option<Finish>,
    usage: Option<Usage>,
    /// A thought of which nothing has come yet: its item begins with its first word, or its seal.
    silent: Option<(Slot, Part)>,
    /// Calls without arguments so far: more of their names may come, which the opening has to have.
    unbegun: Vec<(Slot, Part)>,
}

impl ResponseWriter {
    pub(super) fn new(heading: Heading) -> Self {
        Self {
            heading,
            started: false,
            sequence: 0,
            open: Vec::new(),
            output: Vec::new(),
            next: 0,
            finish: None,
            usage: None,
            silent: None,
            unbegun: Vec::new(),
        }
    }

    fn emit(&mut self, kind: &str, rest: Value, out: &mut Vec<u8>) {
        let mut event = Map::new();
        event.insert("type".to_owned(), Value::from(kind));
        event.insert("sequence_number".to_owned(), Value::from(self.sequence));
        self.sequence += 1;
        if let Value::Object(rest) = rest {
            event.extend(rest);
        }
        sse::write(out, kind, Value::Object(event).to_string().as_bytes());
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let response = Value::Object(reply::around(&self.heading, "in_progress", Vec::new()));
        self.emit("response.created", json!({ "response": response }), out);
        self.emit("response.in_progress", json!({ "response": response }), out);
    }

    fn add_item(&mut self, prefix: &str, kind: Kind, opening: Value, out: &mut Vec<u8>) {
        let index = self.next;
        self.next += 1;
        let id = reply::item_id(prefix, &self.heading.id, index);
        let mut item = opening;
        if let Some(members) = item.as_object_mut() {
            members.insert("id".to_owned(), Value::from(id.as_str()));
        }
        self.emit("response.output_item.added", json!({"output_index": index, "item": item}), out);
        self.open.push(Item { index, id, kind });
    }

    fn open_part(&mut self, at: Slot, part: &Part, out: &mut Vec<u8>) {
        match &part.body {
            Body::Text(_) | Body::Refusal(_) => {
                let is_message = |item: &Item| matches!(item.kind, Kind::Message { .. });
                if !self.open.iter().any(is_message) {
                    self.close_said(out);
                    let opening = json!({"type": "message", "status": "in_progress", "role": "assistant", "content": []});
                    let kind = Kind::Message { content: Vec::new(), open: None };
                    self.add_item("msg", kind, opening, out);
                }
                self.close_content(out);
                let refusal = matches!(part.body, Body::Refusal(_));
                let Some(item) = self.message() else { return };
                let (index, id) = (item.index, item.id.clone());
                let Kind::Message { content, open } = &mut item.kind else { return };
                let number = content.len();
                let empty =
                    if refusal { Body::Refusal(String::new()) } else { Body::Text(String::new()) };
                let first = match &part.body {
                    Body::Text(text) | Body::Refusal(text) => text.clone(),
                    _ => String::new(),
                };
                let fresh = Part::new(empty);
                let shown = reply::content(&fresh);
                *open = Some((at, fresh));
                self.emit(
                    "response.content_part.added",
                    json!({"item_id": id, "output_index": index, "content_index": number, "part": shown}),
                    out,
                );
                if !first.is_empty() {
                    self.add_delta(at, &Delta::Text(first), out);
                }
                for citation in &part.citations {
                    self.add_delta(at, &Delta::Citation(citation.clone()), out);
                }
            }
            Body::Thought(_) if reply::is_silent(part) => {
                self.silent = Some((at, part.clone()));
            }
            Body::Thought(thought) => {
                self.close_said(out);
                let mut kept = part.clone();
                kept.body = Body::Thought(Thought::default());
                let kind = Kind::Thought { at, part: kept, told: false };
                self.add_item("rs", kind, json!({"type": "reasoning", "summary": []}), out);
                if !thought.text.is_empty() {
                    self.add_delta(at, &Delta::Text(thought.text.clone()), out);
                }
            }
            Body::Media(_) => {
                self.close_said(out);
                self.add_picture(part, out);
            }
            Body::Call(call) => {
                // More of its name may come: it begins with its arguments.
                if call.arguments.as_deref().is_some_and(|begun| !begun.is_empty()) {
                    self.open_call(at, part, out);
                } else {
                    self.unbegun.push((at, part.clone()));
                }
            }
            _ => {}
        }
    }

    /// A picture comes in one piece.
    fn add_picture(&mut self, part: &Part, out: &mut Vec<u8>) {
        let index = self.next;
        let Some(item) = reply::finished(part, &self.heading.id, index) else { return };
        self.next += 1;
        let mut opening = item.clone();
        if let Some(members) = opening.as_object_mut() {
            members.insert("status".to_owned(), Value::from("in_progress"));
            members.insert("result".to_owned(), Value::Null);
        }
        let place = json!({"output_index": index});
        let added = with(&place, json!({ "item": opening }));
        self.emit("response.output_item.added", added, out);
        let named = with(&place, json!({"item_id": item.get("id")}));
        self.emit("response.image_generation_call.completed", named, out);
        self.output.push((index, item.clone()));
        self.emit("response.output_item.done", with(&place, json!({ "item": item })), out);
    }

    fn open_call(&mut self, at: Slot, part: &Part, out: &mut Vec<u8>) {
        self.close_said(out);
        let mut kept = part.clone();
        let mut first = String::new();
        if let Body::Call(call) = &mut kept.body {
            first = call.arguments.replace(String::new()).unwrap_or_default();
            if call.id.as_ref().is_none_or(String::is_empty) {
                call.id = Some(reply::item_id("call", &self.heading.id, self.next));
            }
        }
        let mut opening = reply::finished(&kept, &self.heading.id, self.next).unwrap_or_default();
        if let Some(members) = opening.as_object_mut() {
            members.insert("status".to_owned(), Value::from("in_progress"));
        }
        self.add_item("fc", Kind::Call { at, part: kept }, opening, out);
        if !first.is_empty() {
            self.add_delta(at, &Delta::Arguments(first), out);
        }
    }

    /// Opens the calls that have waited for their arguments as long as this one, if it is one of them.
    fn begin_call(&mut self, at: Slot, out: &mut Vec<u8>) {
        let Some(place) = self.unbegun.iter().position(|(slot, _)| *slot == at) else { return };
        for (slot, part) in self.unbegun.drain(..=place).collect::<Vec<_>>() {
            self.open_call(slot, &part, out);
        }
    }

    /// The first words of a thought that had none, or its seal.
    fn speak_up(&mut self, at: Slot, delta: &Delta, out: &mut Vec<u8>) {
        let says = match delta {
            Delta::Text(text) => !text.is_empty(),
            Delta::Signature(signature) => signature.by == item::DIALECT,
            _ => false,
        };
        if let Some((_, mut part)) = self.silent.take_if(|(slot, _)| *slot == at && says) {
            match (delta, &mut part.body) {
                (Delta::Text(more), Body::Thought(thought)) => thought.text.clone_from(more),
                (Delta::Signature(signature), _) => part.signature = Some(signature.clone()),
                _ => {}
            }
            self.open_part(at, &part, out);
        }
    }

    fn add_delta(&mut self, at: Slot, delta: &Delta, out: &mut Vec<u8>) {
        if self.silent.as_ref().is_some_and(|(slot, _)| *slot == at) {
            return self.speak_up(at, delta, out);
        }
        if let Some((_, part)) = self.unbegun.iter_mut().find(|(slot, _)| *slot == at) {
            match (delta, &mut part.body) {
                (Delta::CallName(name), Body::Call(call)) => return call.name.push_str(name),
                (Delta::CallId(id), Body::Call(call)) => {
                    call.id = Some(id.clone());
                    return;
                }
                (Delta::Arguments(more), _) if !more.is_empty() => self.begin_call(at, out),
                _ => return,
            }
        }
        let (mut event, mut first) = (None, None);
        for item in self.open.iter_mut().rev() {
            let place = json!({"item_id": item.id, "output_index": item.index});
            match (&mut item.kind, delta) {
                (Kind::Message { content, open: Some((slot, part)) }, Delta::Text(more))
                    if *slot == at =>
                {
                    let number = content.len();
                    let kind = match &mut part.body {
                        Body::Refusal(text) => {
                            text.push_str(more);
                            "response.refusal.delta"
                        }
                        Body::Text(text) => {
                            text.push_str(more);
                            "response.output_text.delta"
                        }
                        _ => return,
                    };
                    let mut rest = with(&place, json!({"content_index": number, "delta": more}));
                    if let (true, Some(rest)) = (kind.contains("output_text"), rest.as_object_mut())
                    {
                        rest.insert("logprobs".to_owned(), json!([]));
                    }
                    event = Some((kind, rest));
                }
                (
                    Kind::Message { content, open: Some((slot, part)) },
                    Delta::Citation(citation),
                ) if *slot == at => {
                    let Body::Text(said) = &part.body else { return };
                    let annotation = item::annotation(citation, said);
                    let rest = json!({
                        "content_index": content.len(),
                        "annotation_index": part.citations.len(),
                        "annotation": annotation,
                    });
                    part.citations.push(citation.clone());
                    event = Some(("response.output_text.annotation.added", with(&place, rest)));
                }
                (Kind::Thought { at: slot, part, told }, Delta::Text(more)) if *slot == at => {
                    if let Body::Thought(thought) = &mut part.body {
                        thought.text.push_str(more);
                    }
                    if !std::mem::replace(told, true) {
                        let empty = json!({"type": "summary_text", "text": ""});
                        first = Some(with(&place, json!({"summary_index": 0, "part": empty})));
                    }
                    let rest = with(&place, json!({"summary_index": 0, "delta": more}));
                    event = Some(("response.reasoning_summary_text.delta", rest));
                }
                (Kind::Thought { at: slot, part, .. }, Delta::Signature(more)) if *slot == at => {
                    sign(part, more);
                    return;
                }
                (Kind::Call { at: slot, part }, _) if *slot == at => {
                    let Body::Call(call) = &mut part.body else { return };
                    match delta {
                        Delta::Arguments(more) => {
                            call.arguments.get_or_insert_default().push_str(more);
                            let kind = if call.kind == CallKind::Custom {
                                "response.custom_tool_call_input.delta"
                            } else {
                                "response.function_call_arguments.delta"
                            };
                            event = Some((kind, with(&place, json!({ "delta": more }))));
                        }
                        Delta::CallName(name) => call.name.push_str(name),
                        Delta::CallId(id) => call.id = Some(id.clone()),
                        _ => {}
                    }
                }
                _ => continue,
            }
            break;
        }
        if let Some(first) = first {
            self.emit("response.reasoning_summary_part.added", first, out);
        }
        if let Some((kind, rest)) = event {
            self.emit(kind, rest, out);
        }
    }

    /// Ends the open part of the open message.
    fn close_content(&mut self, out: &mut Vec<u8>) {
        let Some(item) = self.message() else { return };
        let place = json!({"item_id": item.id, "output_index": item.index});
        let Kind::Message { content, open } = &mut item.kind else { return };
        let Some((_, part)) = open.take() else { return };
        let Some(value) = reply::content(&part) else { return };
        let number = content.len();
        content.push(value.clone());
        let (kind, done) = match &part.body {
            Body::Refusal(text) => {
                ("response.refusal.done", json!({"content_index": number, "refusal": text}))
            }
            Body::Text(text) => (
                "response.output_text.done",
                json!({"content_index": number, "text": text, "logprobs": []}),
            ),
            _ => return,
        };
        self.emit(kind, with(&place, done), out);
        let part = json!({"content_index": number, "part": value});
        self.emit("response.content_part.done", with(&place, part), out);
    }

    /// The open message: there is one at most.
    fn message(&mut self) -> Option<&mut Item> {
        self.open.iter_mut().find(|item| matches!(item.kind, Kind::Message { .. }))
    }

    fn close_items(&mut self, out: &mut Vec<u8>) {
        self.close_content(out);
        for item in std::mem::take(&mut self.open) {
            self.close_item(item, out);
        }
    }

    /// Ends what is said or thought before something else begins. Calls stand beside each other and
    /// beside everything else: a piece of one may come after words.
    fn close_said(&mut self, out: &mut Vec<u8>) {
        self.close_content(out);
        let said = |item: &mut Item| !matches!(item.kind, Kind::Call { .. });
        for item in self.open.extract_if(.., said).collect::<Vec<_>>() {
            self.close_item(item, out);
        }
    }

    fn close_item(&mut self, item: Item, out: &mut Vec<u8>) {
        let place = json!({"item_id": item.id, "output_index": item.index});
        let mut whole = match &item.kind {
            Kind::Message { content, .. } => json!({
                "type": "message", "status": "completed", "role": "assistant", "content": content,
            }),
            Kind::Thought { part, told, .. } => {
                if let (true, Body::Thought(Thought { text, .. })) = (*told, &part.body) {
                    let done = json!({"summary_index": 0, "text": text});
                    self.emit("response.reasoning_summary_text.done", with(&place, done), out);
                    let whole = json!({"type": "summary_text", "text": text});
                    let done = json!({"summary_index": 0, "part": whole});
                    self.emit("response.reasoning_summary_part.done", with(&place, done), out);
                }
                reply::finished(part, &self.heading.id, item.index).unwrap_or_default()
            }
            Kind::Call { part, .. } => {
                let mut part = part.clone();
                if let Body::Call(call) = &mut part.body {
                    let arguments = call.arguments.get_or_insert_default();
                    // Whoever adds up the deltas has to come to the same.
                    if arguments.is_empty() && call.kind != CallKind::Custom {
                        "{}".clone_into(arguments);
                        let delta = with(&place, json!({"delta": "{}"}));
                        self.emit("response.function_call_arguments.delta", delta, out);
                    }
                    let (kind, rest) = if call.kind == CallKind::Custom {
                        ("response.custom_tool_call_input.done", json!({"input": arguments}))
                    } else {
                        (
                            "response.function_call_arguments.done",
                            json!({"arguments": arguments, "name": call.name}),
                        )
                    };
                    self.emit(kind, with(&place, rest), out);
                }
                reply::finished(&part, &self.heading.id, item.index).unwrap_or_default()
            }
        };
        if let Some(members) = whole.as_object_mut() {
            members.insert("id".to_owned(), Value::from(item.id));
        }
        self.output.push((item.index, whole.clone()));
        self.emit(
            "response.output_item.done",
            json!({"output_index": item.index, "item": whole}),
            out,
        );
    }

    fn close_part(&mut self, at: Slot, out: &mut Vec<u8>) {
        self.silent.take_if(|(slot, _)| *slot == at);
        self.begin_call(at, out);
        let is_content = self.open.iter().any(
            |item| matches!(&item.kind, Kind::Message { open: Some((slot, _)), .. } if *slot == at),
        );
        if is_content {
            return self.close_content(out);
        }
        let position = self.open.iter().position(|item| match &item.kind {
            Kind::Thought { at: slot, .. } | Kind::Call { at: slot, .. } => *slot == at,
            Kind::Message { .. } => false,
        });
        if let Some(position) = position {
            let item = self.open.remove(position);
            self.close_item(item, out);
        }
    }

    fn response(&mut self, status: &str) -> Map<String, Value> {
        let mut output = std::mem::take(&mut self.output);
        output.sort_by_key(|(index, _)| *index);
        let output = output.into_iter().map(|(_, item)| item).collect();
        let mut response = reply::around(&self.heading, status, output);
        reply::complete(&mut response, &self.heading, self.usage.as_ref());
        response
    }
}

fn with(place: &Value, rest: Value) -> Value {
    let mut all = place.as_object().cloned().unwrap_or_default();
    if let Value::Object(rest) = rest {
        all.extend(rest);
    }
    Value::Object(all)
}

fn sign(part: &mut Part, more: &Signature) {
    match &mut part.signature {
        Some(known) => known.value.push_str(&more.value),
        none => *none = Some(more.clone()),
    }
}

impl Writer for ResponseWriter {
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>) {
        for event in events {
            match event {
                Event::Open { id, model, created } => {
                    if let Some(id) = id.as_ref().filter(|_| self.heading.id.is_empty()) {
                        self.heading.id.clone_from(id);
                    }
                    if let Some(model) = model.as_ref().filter(|_| self.heading.model.is_empty()) {
                        self.heading.model.clone_from(model);
                    }
                    self.heading.created = created.unwrap_or(self.heading.created);
                    self.start(out);
                }
                Event::PartOpen { at, part } if at.choice == 0 => {
                    self.start(out);
                    self.open_part(*at, part, out);
                }
                Event::Delta { at, delta } if at.choice == 0 => self.add_delta(*at, delta, out),
                Event::PartClose { at, .. } => self.close_part(*at, out),
                Event::Usage(usage) => self.usage = Some(usage.clone()),
                Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
                _ => {}
            }
        }
    }

    fn passed(&mut self, frame: &Frame<'_>) {
        let Ok(event) = serde_json::from_slice::<Value>(frame.data) else { return };
        if let Some(number) = event.get("sequence_number").and_then(Value::as_u64) {
            self.sequence = number.saturating_add(1);
        }
        if let Some(id) = event.pointer("/response/id").and_then(Value::as_str) {
            id.clone_into(&mut self.heading.id);
        }
        let Some(item) = self.open.last_mut() else { return };
        if let Some(id) = event.get("item_id").and_then(Value::as_str) {
            id.clone_into(&mut item.id);
        }
        let index = event.get("output_index").and_then(Value::as_u64);
        if let Some(index) = index.and_then(|index| usize::try_from(index).ok()) {
            item.index = index;
            self.next = index.saturating_add(1);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        if let Some((last, _)) = self.unbegun.last() {
            self.begin_call(*last, out);
        }
        self.close_items(out);
        let (status, details) = reply::ended(self.finish.as_ref());
        let mut response = self.response(status);
        response.insert("incomplete_details".to_owned(), details);
        let kind = format!("response.{status}");
        self.emit(&kind, json!({ "response": response }), out);
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        let code = error.code.as_deref().unwrap_or("server_error");
        if self.started {
            let mut response = self.response("failed");
            response.insert("error".to_owned(), json!({"code": code, "message": error.public}));
            self.emit("response.failed", json!({ "response": response }), out);
        }
        // The SDKs raise on an event whose data has an `error`, and only on that.
        let (_, body) = error::encode(error);
        let mut told: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
        told.insert("code".to_owned(), Value::from(code));
        told.insert("message".to_owned(), Value::from(error.public.as_ref()));
        told.insert("param".to_owned(), json!(error.field.as_deref()));
        self.emit("error", Value::Object(told), out);
    }

    fn keep_alive(&self) -> &'static [u8] {
        b": keep-alive\n\n"
    }
}
