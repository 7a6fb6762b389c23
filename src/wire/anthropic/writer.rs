//! Messages streams, written. Blocks do not interleave here: one is open at a time and indices
//! rise by one, so a part that opens while another is open waits for it to close.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::block::{self, DIALECT};
use super::{error, reply};
use crate::base::Error;
use crate::wire::frame::json::Builder;
use crate::wire::frame::sse;
use crate::wire::vocab::{
    Body, Delta, Event, Extra, ExtraScope, Finish, Losses, Part, Slot, Stop, Usage,
};
use crate::wire::{Heading, Writer};

#[derive(Debug)]
struct Waiting {
    at: Slot,
    part: Part,
    deltas: Vec<Delta>,
    closed: bool,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of what has been written")]
pub(super) struct MessageWriter {
    heading: Heading,
    started: bool,
    next_index: u64,
    /// The open block; `None` beside a slot that this dialect has no block for.
    open: Option<(Slot, Option<u64>)>,
    waiting: VecDeque<Waiting>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    message_extra: Extra,
    delta_extra: Extra,
    at_home: bool,
    /// The open block is a thought, whose deltas go by another name.
    thinking: bool,
    /// The open part, as long as it says nothing: its block begins with its first word.
    silent: Option<Part>,
    called: bool,
}

fn emit(out: &mut Vec<u8>, kind: &str, rest: Value) {
    let mut event = Map::new();
    event.insert("type".to_owned(), Value::from(kind));
    if let Value::Object(rest) = rest {
        event.extend(rest);
    }
    sse::write(out, kind, Value::Object(event).to_string().as_bytes());
}

impl MessageWriter {
    pub(super) fn new(heading: Heading) -> Self {
        Self {
            heading,
            started: false,
            next_index: 0,
            open: None,
            waiting: VecDeque::new(),
            finish: None,
            usage: None,
            message_extra: Extra::NONE,
            delta_extra: Extra::NONE,
            at_home: false,
            thinking: false,
            silent: None,
            called: false,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let mut message = Builder::new();
        message.set("id", self.heading.id.as_str());
        message.set("type", "message").set("role", "assistant");
        message.set("model", self.heading.model.as_str());
        message.set("content", json!([]));
        message.set("stop_reason", Value::Null).set("stop_sequence", Value::Null);
        message.set(
            "usage",
            self.usage
                .as_ref()
                .map_or_else(|| json!({"input_tokens": 0, "output_tokens": 0}), reply::usage_value),
        );
        std::mem::take(&mut self.message_extra).write_quietly(&mut message.0, DIALECT);
        emit(out, "message_start", json!({"message": message.done()}));
    }

    fn open_part(&mut self, at: Slot, part: &Part, out: &mut Vec<u8>) {
        if at.choice != 0 {
            return;
        }
        if self.open.is_some() {
            self.waiting.push_back(Waiting {
                at,
                part: part.clone(),
                deltas: Vec::new(),
                closed: false,
            });
            return;
        }
        self.begin(at, part, out);
    }

    fn begin(&mut self, at: Slot, part: &Part, out: &mut Vec<u8>) {
        // A call's name may come in pieces: its block begins with its arguments.
        let names_later = |part: &Part| match &part.body {
            Body::Call(call) => call.arguments.as_deref().unwrap_or_default().is_empty(),
            _ => false,
        };
        if !self.at_home && (reply::is_silent(part) || names_later(part)) {
            self.silent = Some(part.clone());
            self.open = Some((at, None));
            return;
        }
        self.begin_block(at, part, out);
    }

    fn begin_block(&mut self, at: Slot, part: &Part, out: &mut Vec<u8>) {
        self.called |= matches!(part.body, Body::Call(_));
        let (block, first) = self.opening(part);
        let Some(block) = block else {
            self.open = Some((at, None));
            return;
        };
        let index = self.next_index;
        self.next_index += 1;
        emit(out, "content_block_start", json!({"index": index, "content_block": block}));
        self.open = Some((at, Some(index)));
        for delta in first {
            self.write_delta(index, &delta, out);
        }
    }

    /// The block as it opens, empty, and what it already holds as deltas.
    fn opening(&self, part: &Part) -> (Option<Value>, Vec<Delta>) {
        let mut lost = Losses::default();
        if self.at_home {
            let mut block = block::encode(part, true, &mut lost);
            if let (Some(Value::Object(block)), Body::Thought(thought)) = (&mut block, &part.body)
                && !thought.redacted
            {
                block.entry("signature").or_insert_with(|| Value::from(""));
            }
            return (block, Vec::new());
        }
        match &part.body {
            Body::Text(text) | Body::Refusal(text) => {
                let mut first = filled(text, Delta::Text);
                first.extend(part.citations.iter().cloned().map(Delta::Citation));
                (Some(json!({"type": "text", "text": ""})), first)
            }
            Body::Thought(thought) if !thought.redacted => (
                Some(json!({"type": "thinking", "thinking": "", "signature": ""})),
                filled(&thought.text, Delta::Text),
            ),
            Body::Call(call) => {
                let id = reply::call_id(call.id.as_deref(), &self.heading.id, self.next_index);
                (
                    Some(json!({"type": "tool_use", "id": id, "name": call.name, "input": {}})),
                    filled(call.arguments.as_deref().unwrap_or_default(), Delta::Arguments),
                )
            }
            Body::Media(_) => match reply::picture(part) {
                Some(text) => (Some(json!({"type": "text", "text": ""})), vec![Delta::Text(text)]),
                None => (None, Vec::new()),
            },
            _ => (block::encode(part, false, &mut lost), Vec::new()),
        }
    }

    fn write_delta(&self, index: u64, delta: &Delta, out: &mut Vec<u8>) {
        let thinking = |text: &str| json!({"type": "thinking_delta", "thinking": text});
        let delta = match delta {
            Delta::Text(text) if self.thinking => thinking(text),
            Delta::Text(text) => json!({"type": "text_delta", "text": text}),
            Delta::Arguments(text) => json!({"type": "input_json_delta", "partial_json": text}),
            Delta::Signature(signature) if signature.by == DIALECT => {
                json!({"type": "signature_delta", "signature": signature.value})
            }
            Delta::Citation(citation) if !self.at_home => {
                json!({"type": "citations_delta", "citation": block::cited(citation)})
            }
            Delta::Opaque(value) if self.at_home => value.clone(),
            _ => return,
        };
        emit(out, "content_block_delta", json!({"index": index, "delta": delta}));
    }
}

fn filled(text: &str, delta: fn(String) -> Delta) -> Vec<Delta> {
    if text.is_empty() { Vec::new() } else { vec![delta(text.to_owned())] }
}

impl MessageWriter {
    fn add_delta(&mut self, at: Slot, delta: &Delta, out: &mut Vec<u8>) {
        match self.open {
            Some((open, Some(index))) if open == at => self.write_delta(index, delta, out),
            Some((open, None)) if open == at => {
                if let Some(Body::Call(call)) = self.silent.as_mut().map(|part| &mut part.body) {
                    match delta {
                        Delta::CallName(name) => call.name.push_str(name),
                        Delta::CallId(id) => call.id = Some(id.clone()),
                        _ => {}
                    }
                }
                let says = match delta {
                    Delta::Text(text) | Delta::Arguments(text) => !text.is_empty(),
                    Delta::Signature(signature) => signature.by == DIALECT,
                    Delta::Citation(_) => true,
                    _ => false,
                };
                if says && let Some(part) = self.silent.take() {
                    self.begin_block(at, &part, out);
                    self.add_delta(at, delta, out);
                }
            }
            _ => {
                if let Some(waiting) = self.waiting.iter_mut().rev().find(|part| part.at == at) {
                    match (&mut waiting.part.body, delta) {
                        // A name or an id that came late can still stand in the block's opening.
                        (Body::Call(call), Delta::CallName(name)) => call.name.push_str(name),
                        (Body::Call(call), Delta::CallId(id)) => call.id = Some(id.clone()),
                        _ => waiting.deltas.push(delta.clone()),
                    }
                }
            }
        }
    }

    fn close_part(&mut self, at: Slot, extra: &Extra, out: &mut Vec<u8>) {
        if self.open == Some((at, None))
            && let Some(call) = self.silent.take_if(|part| matches!(part.body, Body::Call(_)))
        {
            self.begin_block(at, &call, out);
        }
        match self.open {
            Some((open, index)) if open == at => {
                if let Some(index) = index {
                    let mut stop = Builder::new();
                    stop.set("index", index);
                    extra.write_quietly(&mut stop.0, DIALECT);
                    emit(out, "content_block_stop", stop.done());
                }
                self.open = None;
                self.silent = None;
                self.release(out);
            }
            _ => {
                if let Some(waiting) = self.waiting.iter_mut().rev().find(|part| part.at == at) {
                    waiting.closed = true;
                }
            }
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        while self.open.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.thinking = matches!(next.part.body, Body::Thought(_));
            self.begin(next.at, &next.part, out);
            for delta in &next.deltas {
                self.add_delta(next.at, delta, out);
            }
            if next.closed {
                self.close_part(next.at, &Extra::NONE, out);
            }
        }
    }
}

impl Writer for MessageWriter {
    fn write(&mut self, events: &[Event], out: &mut Vec<u8>) {
        // The start holds usage and extras that came with it in one frame.
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
                Event::Usage(usage) => {
                    self.at_home |= usage.raw_in(DIALECT).is_some();
                    self.usage = Some(usage.clone());
                }
                Event::Extra { scope: ExtraScope::Reply, extra } => {
                    self.message_extra.absorb(extra);
                }
                Event::Extra { extra, .. } => self.delta_extra.absorb(extra),
                Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
                _ => {}
            }
        }
        for event in events {
            match event {
                Event::PartOpen { at, part } => {
                    self.start(out);
                    if self.open.is_none() {
                        self.thinking = matches!(part.body, Body::Thought(_));
                    }
                    self.open_part(*at, part, out);
                }
                Event::Delta { at, delta } if at.choice == 0 => self.add_delta(*at, delta, out),
                Event::PartClose { at, extra } => self.close_part(*at, extra, out),
                Event::Open { .. } => self.start(out),
                Event::Ping => emit(out, "ping", json!({})),
                _ => {}
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        while let Some((at, _)) = self.open {
            self.close_part(at, &Extra::NONE, out);
        }
        let usual = if self.called { Stop::ToolCalls } else { Stop::End };
        let finish = self.finish.take().unwrap_or_else(|| Finish::of(usual));
        let mut delta = Builder::new();
        delta.set("stop_reason", reply::finish_word(&finish));
        delta.set("stop_sequence", finish.sequence.as_deref());
        self.delta_extra.write_quietly(&mut delta.0, DIALECT);
        let mut event = Builder::new();
        event.set("delta", delta.done());
        event.set(
            "usage",
            self.usage.as_ref().map_or_else(|| json!({"output_tokens": 0}), reply::usage_value),
        );
        self.message_extra.write_quietly(&mut event.0, DIALECT);
        emit(out, "message_delta", event.done());
        emit(out, "message_stop", json!({}));
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        sse::write(out, "error", &error::encode(error).1);
    }

    fn keep_alive(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }
}
