//! Converse streams, read.

use serde_json::Value;

use super::{block, error, reply};
use crate::wire::Reader;
use crate::wire::frame::Frame;
use crate::wire::vocab::{
    Body, CallKind, Delta, Dialect, Event, Extra, Malformed, Part, Signature, Slot, Thought,
    ToolCall,
};

#[derive(Debug, Default)]
pub(super) struct ConverseReader {
    /// Blocks that are open; a text's or a thought's beginning is not announced.
    open: Vec<u64>,
    called: bool,
    ended: bool,
    metered: bool,
}

fn slot(part: u64) -> Slot {
    Slot { choice: 0, part }
}

impl ConverseReader {
    fn open(&mut self, index: u64, body: Body, out: &mut Vec<Event>) {
        if !self.open.contains(&index) {
            self.open.push(index);
            out.push(Event::PartOpen { at: slot(index), part: Part::new(body) });
        }
    }

    fn delta(&mut self, index: u64, delta: &Value, out: &mut Vec<Event>) {
        let at = slot(index);
        let string =
            |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(text) = string(delta, "text") {
            self.open(index, Body::Text(String::new()), out);
            out.push(Event::Delta { at, delta: Delta::Text(text) });
        } else if let Some(call) = delta.get("toolUse") {
            let more = string(call, "input").unwrap_or_default();
            out.push(Event::Delta { at, delta: Delta::Arguments(more) });
        } else if let Some(reasoning) = delta.get("reasoningContent") {
            let sealed = string(reasoning, "redactedContent");
            let thought = Thought { redacted: sealed.is_some(), ..Thought::default() };
            self.open(index, Body::Thought(thought), out);
            if let Some(text) = string(reasoning, "text") {
                out.push(Event::Delta { at, delta: Delta::Text(text) });
            }
            if let Some(value) = sealed.or_else(|| string(reasoning, "signature")) {
                let signature = Signature { by: Dialect::Anthropic, value };
                out.push(Event::Delta { at, delta: Delta::Signature(signature) });
            }
        } else if let Some(cited) = delta.get("citation") {
            self.open(index, Body::Text(String::new()), out);
            let citation = block::citation(cited);
            out.push(Event::Delta { at, delta: Delta::Citation(citation) });
        } else {
            // What a tool of the service's own came to.
            out.push(Event::Ping);
        }
    }
}

impl Reader for ConverseReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if let Some(name) = frame.event.strip_prefix("exception/") {
            out.push(Event::Fault(error::of_exception(name, frame.data)));
            return Ok(());
        }
        let event: Value =
            serde_json::from_slice(frame.data).map_err(|why| Malformed::not_json(&why))?;
        let index = event.get("contentBlockIndex").and_then(Value::as_u64).unwrap_or(0);
        match frame.event {
            "messageStart" => out.push(Event::Open { id: None, model: None, created: None }),
            "contentBlockStart" => {
                if let Some(call) = event.pointer("/start/toolUse") {
                    self.called = true;
                    let string =
                        |name: &str| call.get(name).and_then(Value::as_str).map(str::to_owned);
                    let call = ToolCall {
                        id: string("toolUseId"),
                        name: string("name").unwrap_or_default(),
                        arguments: Some(String::new()),
                        kind: CallKind::Function,
                    };
                    self.open(index, Body::Call(call), out);
                }
            }
            "contentBlockDelta" => {
                self.delta(index, event.get("delta").unwrap_or(&Value::Null), out);
            }
            "contentBlockStop" => {
                if let Some(position) = self.open.iter().position(|open| *open == index) {
                    self.open.remove(position);
                    out.push(Event::PartClose { at: slot(index), extra: Extra::NONE });
                }
            }
            "messageStop" => {
                self.ended = true;
                let word = event.get("stopReason").and_then(Value::as_str).unwrap_or_default();
                let finish = reply::finish(word, self.called, &event);
                out.push(Event::ending(0, finish, word));
            }
            "metadata" => {
                self.metered = true;
                out.extend(reply::usage(&event).map(Event::Usage));
            }
            _ => out.push(Event::Ping),
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        // What it used comes behind its last word.
        self.ended && self.metered
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        for index in std::mem::take(&mut self.open) {
            out.push(Event::PartClose { at: slot(index), extra: Extra::NONE });
        }
        self.ended
    }
}
