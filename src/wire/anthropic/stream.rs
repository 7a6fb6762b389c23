//! Messages streams, read.

use memchr::memmem;
use serde_json::{Value, json};

use super::block::{self, DIALECT};
use super::{error, reply};
use crate::wire::frame::json::Object;
use crate::wire::frame::sse::Frame;
use crate::wire::vocab::{
    Body, Delta, Event, Extra, ExtraScope, Malformed, Part, Signature, Slot, Thought, Usage,
};
use crate::wire::{Reader, TapResult};

#[derive(Debug, Default)]
pub(super) struct MessageReader {
    usage: Value,
    /// The block that takes deltas, and whether its arguments are ours to read.
    open: Option<(u64, bool)>,
    called: bool,
    ended: bool,
    /// Several messages may come in one stream (programmatic tool calls); each numbers its blocks
    /// from 0, so the numbers of those before it are added.
    base: u64,
    next: u64,
}

fn slot(part: u64) -> Slot {
    Slot { choice: 0, part }
}

impl Reader for MessageReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut event = Object::parse(frame.data)?;
        let kind = event.string("type")?.unwrap_or_default();
        match kind.as_str() {
            "message_start" => self.start(event, out),
            "content_block_start" => self.open_block(event, out),
            "content_block_delta" => self.delta(event, out),
            "content_block_stop" => {
                let index = self.index(&mut event)?;
                self.open = None;
                out.push(Event::PartClose { at: slot(index), extra: event.finish(DIALECT) });
                Ok(())
            }
            "message_delta" => self.end_message(event, out),
            "message_stop" => {
                self.ended = true;
                extra(ExtraScope::Reply, event, out);
                Ok(())
            }
            "error" => {
                out.push(Event::Fault(error::of_value(&event.into_value(), None)));
                Ok(())
            }
            _ => {
                out.push(Event::Ping);
                Ok(())
            }
        }
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::PartClose { at: slot(index), extra: Extra::NONE });
        }
        self.ended
    }
}

fn extra(scope: ExtraScope, object: Object, out: &mut Vec<Event>) {
    let extra = object.finish(DIALECT);
    if !extra.is_empty() {
        out.push(Event::Extra { scope, extra });
    }
}

impl MessageReader {
    fn start(&mut self, mut event: Object, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut message = event.object("message")?.ok_or_else(|| Malformed::missing("message"))?;
        for name in ["type", "role"] {
            message.take(name);
        }
        let id = message.string("id")?;
        let model = message.string("model")?;
        self.base = self.next;
        self.ended = false;
        let content = message.list("content")?.unwrap_or_default();
        for name in ["stop_reason", "stop_sequence"] {
            if !message.has(name) {
                message.take_any(name);
            }
        }
        out.push(Event::Open { id, model, created: None });
        if let Some(usage) = message.take("usage") {
            out.push(self.add_usage(usage));
        }
        extra(ExtraScope::Reply, message, out);
        for block in content {
            let at = slot(self.next);
            self.next += 1;
            self.base = self.next;
            out.push(Event::PartOpen { at, part: block::decode(block, "message.content")? });
            out.push(Event::PartClose { at, extra: Extra::NONE });
        }
        Ok(())
    }

    fn index(&mut self, event: &mut Object) -> Result<u64, Malformed> {
        let index = self.base.saturating_add(event.unsigned("index")?.unwrap_or(0));
        self.next = self.next.max(index.saturating_add(1));
        Ok(index)
    }

    /// The start counts the input, the end the output, and newer versions repeat both: later
    /// members win over earlier ones.
    fn add_usage(&mut self, later: Value) -> Event {
        match (&mut self.usage, later) {
            (Value::Object(known), Value::Object(later)) => known.extend(later),
            (known, later) => *known = later,
        }
        Event::Usage(reply::usage_from(self.usage.clone()))
    }

    fn open_block(&mut self, mut event: Object, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let index = self.index(&mut event)?;
        let block =
            event.take("content_block").ok_or_else(|| Malformed::missing("content_block"))?;
        let mut part: Part = block::decode(block, "content_block")?;
        let mut reads_arguments = false;
        if let Body::Call(call) = &mut part.body {
            self.called = true;
            reads_arguments = true;
            if call.arguments.as_deref() == Some("{}") {
                call.arguments = Some(String::new());
            }
        }
        if part.signature.as_ref().is_some_and(|signature| signature.value.is_empty()) {
            part.signature = None;
        }
        self.open = Some((index, reads_arguments));
        out.push(Event::PartOpen { at: slot(index), part });
        Ok(())
    }

    fn delta(&mut self, mut event: Object, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let known = self.next;
        let index = self.index(&mut event)?;
        let value = event.take("delta").ok_or_else(|| Malformed::missing("delta"))?;
        // Some proxies leave out that a block begins.
        if index >= known
            && let Some(body) = unannounced(&value)
        {
            self.open = Some((index, false));
            out.push(Event::PartOpen { at: slot(index), part: Part::new(body) });
        }
        let reads_arguments = self.open.is_some_and(|(open, reads)| open == index && reads);
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let delta = match value.get("type").and_then(Value::as_str) {
            Some("text_delta") => text("text").map(Delta::Text),
            Some("thinking_delta") => text("thinking").map(Delta::Text),
            Some("signature_delta") => {
                text("signature").map(|value| Delta::Signature(Signature { by: DIALECT, value }))
            }
            Some("input_json_delta") if reads_arguments => {
                text("partial_json").map(Delta::Arguments)
            }
            _ => None,
        };
        if let Some(cited) = value.get("citation") {
            let citation = Delta::Citation(block::citation(cited));
            out.push(Event::Delta { at: slot(index), delta: citation });
        }
        out.push(Event::Delta { at: slot(index), delta: delta.unwrap_or(Delta::Opaque(value)) });
        Ok(())
    }

    fn end_message(&mut self, mut event: Object, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if let Some(mut delta) = event.object("delta")? {
            let sequence = delta.string("stop_sequence")?;
            if let Some(word) = delta.string("stop_reason")? {
                let finish = reply::finish(word, sequence, self.called);
                out.push(Event::Finish { choice: 0, finish });
            }
            if !delta.has("stop_sequence") {
                delta.take_any("stop_sequence");
            }
            extra(ExtraScope::Choice(0), delta, out);
        }
        if let Some(usage) = event.take("usage") {
            out.push(self.add_usage(usage));
        }
        extra(ExtraScope::Reply, event, out);
        Ok(())
    }
}

/// What a delta is of, if it tells. A call's name stands in its block's beginning alone.
fn unannounced(delta: &Value) -> Option<Body> {
    match delta.get("type").and_then(Value::as_str)? {
        "text_delta" => Some(Body::Text(String::new())),
        "thinking_delta" => Some(Body::Thought(Thought::default())),
        _ => None,
    }
}

/// Looks at a frame that is passed on unread.
pub(super) fn tap(data: &[u8]) -> TapResult {
    let mut tapped = TapResult::default();
    // Nearly every frame is a delta of a block, which says nothing that is tapped for.
    if memmem::find(data, b"\"content_block_").is_some() {
        return tapped;
    }
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return tapped };
    match event.get("type").and_then(Value::as_str) {
        Some("message_start") => tapped.usage = event.pointer("/message/usage").map(usage),
        Some("message_delta") => tapped.usage = event.get("usage").map(usage),
        Some("message_stop") => tapped.ended = true,
        Some("error") => tapped.fault = Some(error::of_value(&event, None)),
        _ => {}
    }
    tapped
}

fn usage(raw: &Value) -> Usage {
    reply::usage_from(if raw.is_object() { raw.clone() } else { json!({}) })
}
