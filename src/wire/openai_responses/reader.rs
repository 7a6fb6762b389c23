//! Response events to our own.

use memchr::memmem;
use serde_json::{Value, json};

use super::item::{self, DIALECT};
use super::{error, reply};
use crate::wire::frame::json::Object;
use crate::wire::frame::sse::Frame;
use crate::wire::vocab::{
    Body, CallKind, Delta, Event, Extra, Malformed, Part, Signature, Slot, Thought, ToolCall,
};
use crate::wire::{Reader, TapResult};

/// Of what kinds something has been told. What no event told comes with the whole at the end.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    words: bool,
    thoughts: bool,
    calls: bool,
}

#[derive(Debug, Default)]
pub(super) struct ResponseReader {
    opened: bool,
    ended: bool,
    told: Told,
    open: Vec<Slot>,
    /// Those of which a piece has come; some servers send only the whole at the end.
    fed: Vec<Slot>,
    /// A summary's later parts begin a new paragraph.
    summaries: u64,
    /// Calls and thoughts that have begun.
    items: Vec<Slot>,
    /// Texts of which a source was told.
    cited: Vec<Slot>,
}

/// Items that are told only in the whole are numbered from here.
const LATE: u64 = 1 << 20;

/// Parts of a message share their item's number; this many may lie in one.
const PARTS: u64 = 1 << 16;

fn slot(event: &Value) -> Slot {
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
    let part = number("output_index").saturating_mul(PARTS).saturating_add(number("content_index"));
    Slot { choice: 0, part }
}

impl ResponseReader {
    fn open_part(&mut self, at: Slot, body: Body, out: &mut Vec<Event>) {
        self.open.push(at);
        out.push(Event::PartOpen { at, part: Part::new(body) });
    }

    fn feed(&mut self, at: Slot, delta: Delta, out: &mut Vec<Event>) {
        self.told.words |= matches!(delta, Delta::Text(_));
        if !self.fed.contains(&at) {
            self.fed.push(at);
        }
        out.push(Event::Delta { at, delta });
    }

    /// The whole of a part, of which no piece had come.
    fn feed_late(
        &mut self,
        at: Slot,
        whole: Option<&str>,
        delta: fn(String) -> Delta,
        out: &mut Vec<Event>,
    ) {
        if let Some(whole) = whole.filter(|whole| !whole.is_empty())
            && self.open.contains(&at)
            && !self.fed.contains(&at)
        {
            self.feed(at, delta(whole.to_owned()), out);
        }
    }

    /// More of a thought, which some servers do not announce.
    fn think(&mut self, event: &Value, delta: Delta, out: &mut Vec<Event>) {
        let at = thought_slot(event);
        if !self.items.contains(&at) {
            self.told.thoughts = true;
            self.items.push(at);
            self.open_part(at, Body::Thought(Thought::default()), out);
        }
        if !self.fed.contains(&at) {
            self.fed.push(at);
        }
        out.push(Event::Delta { at, delta });
    }

    fn close(&mut self, at: Slot, out: &mut Vec<Event>) {
        if let Some(position) = self.open.iter().position(|open| *open == at) {
            self.open.remove(position);
            out.push(Event::PartClose { at, extra: Extra::NONE });
        }
    }

    /// The item of a call, a thought or a hosted tool; a message's parts come one by one.
    fn open_item(&mut self, event: &Value, out: &mut Vec<Event>) {
        let Some(added) = event.get("item") else { return };
        let text = |name: &str| added.get(name).and_then(Value::as_str).map(str::to_owned);
        let at = slot(event);
        match added.get("type").and_then(Value::as_str) {
            Some("message") => {}
            Some("reasoning") => {
                self.summaries = 0;
                self.told.thoughts = true;
                self.items.push(at);
                self.open_part(at, Body::Thought(Thought::default()), out);
            }
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                self.told.calls = true;
                self.items.push(at);
                let kind =
                    if kind == "function_call" { CallKind::Function } else { CallKind::Custom };
                let call = ToolCall {
                    id: text("call_id"),
                    name: text("name").unwrap_or_default(),
                    arguments: Some(String::new()),
                    kind,
                };
                self.open_part(at, Body::Call(call), out);
            }
            _ => self.open_part(at, Body::Opaque(DIALECT, added.clone()), out),
        }
    }

    fn finish_item(&mut self, event: &Value, out: &mut Vec<Event>) {
        let at = slot(event);
        let text =
            |name: &str| event.get("item").and_then(|item| item.get(name)).and_then(Value::as_str);
        // Of some servers' items only the end is told.
        let kind = text("type").unwrap_or_default();
        if matches!(kind, "function_call" | "custom_tool_call" | "reasoning")
            && !self.items.contains(&at)
        {
            self.open_item(event, out);
        }
        if kind == "reasoning" && self.open.contains(&at) && !self.fed.contains(&at) {
            let thought = event.get("item").map(item::thought_in).unwrap_or_default();
            if !thought.is_empty() {
                out.push(Event::Delta { at, delta: Delta::Text(thought) });
            }
        }
        self.feed_late(at, text("arguments").or(text("input")), Delta::Arguments, out);
        // A message of which nothing has been told comes whole at its end.
        let content = event.pointer("/item/content").and_then(Value::as_array);
        for (number, part) in (0..).zip(content.into_iter().flatten()) {
            self.tell_late(Slot { part: at.part.saturating_add(number), ..at }, part, out);
        }
        let sealed = event.pointer("/item/encrypted_content").and_then(Value::as_str);
        if let Some(value) = sealed.filter(|_| self.open.contains(&at)) {
            let signature = Signature { by: DIALECT, value: value.to_owned() };
            out.push(Event::Delta { at, delta: Delta::Signature(signature) });
        }
        self.close(at, out);
    }

    /// A part of a message, unless it has been told.
    fn tell_late(&mut self, at: Slot, part: &Value, out: &mut Vec<Event>) {
        let word = |name: &str| part.get(name).and_then(Value::as_str);
        let (body, whole) = match word("type") {
            Some("output_text") => (Body::Text(String::new()), word("text")),
            Some("refusal") => (Body::Refusal(String::new()), word("refusal")),
            _ => return,
        };
        let Some(whole) = whole.filter(|whole| !whole.is_empty() && !self.fed.contains(&at)) else {
            return;
        };
        if !self.open.contains(&at) {
            self.open_part(at, body, out);
        }
        self.feed(at, Delta::Text(whole.to_owned()), out);
        cite(at, part, out);
        self.close(at, out);
    }

    /// What the whole at the end holds and no event has told: all of its kind, since the numbers of
    /// events and those of the whole are not the same everywhere.
    fn tell_rest(&mut self, response: &Value, out: &mut Vec<Event>) {
        let before = self.told;
        let output = response.get("output").and_then(Value::as_array);
        for (number, item) in (LATE..).zip(output.into_iter().flatten()) {
            let told = match item.get("type").and_then(Value::as_str) {
                Some("message") => before.words,
                Some("reasoning") => before.thoughts,
                Some("function_call" | "custom_tool_call") => before.calls,
                _ => true,
            };
            if !told {
                self.finish_item(&json!({"output_index": number, "item": item}), out);
            }
        }
    }

    /// Whether the sources of an open text stand only in its whole.
    fn cites_late(&self, at: Slot) -> bool {
        self.open.contains(&at) && !self.cited.contains(&at)
    }

    fn end(&mut self, response: Option<&Value>, out: &mut Vec<Event>) {
        self.ended = true;
        for at in std::mem::take(&mut self.open) {
            out.push(Event::PartClose { at, extra: Extra::NONE });
        }
        let Some(response) = response else { return };
        self.tell_rest(response, out);
        if let Some(usage) = response.get("usage").filter(|usage| usage.is_object()) {
            let around = reply::UsageContext::of_response(response);
            out.push(Event::Usage(reply::usage_from(usage.clone(), around)));
        }
        let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
        let reason = response.pointer("/incomplete_details/reason").and_then(Value::as_str);
        let finish = reply::finish(status.to_owned(), reason, self.told.calls);
        out.push(Event::ending(0, finish, ""));
    }
}

impl Reader for ResponseReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        if frame.data.starts_with(b"[DONE]") {
            return Ok(());
        }
        let event = Object::parse(frame.data)?.into_value();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or(frame.event);
        let delta = || event.get("delta").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                if !self.opened {
                    self.opened = true;
                    let at = |name: &str| event.get("response").and_then(|inner| inner.get(name));
                    out.push(Event::Open {
                        id: at("id").and_then(Value::as_str).map(str::to_owned),
                        model: at("model").and_then(Value::as_str).map(str::to_owned),
                        created: at("created_at").and_then(Value::as_i64),
                    });
                }
            }
            "response.output_item.added" => self.open_item(&event, out),
            "response.output_item.done" => self.finish_item(&event, out),
            "response.content_part.added" => {
                let part = event.get("part").cloned().unwrap_or_default();
                match part.get("type").and_then(Value::as_str) {
                    // A thought's own text, in its item.
                    Some("reasoning_text") => {}
                    _ => {
                        let part = item::decode_part(part, "part")?;
                        self.open_part(slot(&event), part.body, out);
                    }
                }
            }
            "response.content_part.done" => {
                if event.pointer("/part/type").and_then(Value::as_str) != Some("reasoning_text") {
                    let whole = event.pointer("/part/text").or(event.pointer("/part/refusal"));
                    let whole = whole.and_then(Value::as_str);
                    self.feed_late(slot(&event), whole, Delta::Text, out);
                    if let (Some(part), true) = (event.get("part"), self.cites_late(slot(&event))) {
                        cite(slot(&event), part, out);
                    }
                    self.close(slot(&event), out);
                }
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                let at = slot(&event);
                // Some servers leave out that a part begins.
                if !self.open.contains(&at) {
                    let body = if kind == "response.refusal.delta" {
                        Body::Refusal(String::new())
                    } else {
                        Body::Text(String::new())
                    };
                    self.open_part(at, body, out);
                }
                self.feed(at, Delta::Text(delta()), out);
            }
            "response.output_text.annotation.added" => {
                let citation = event.get("annotation").and_then(item::citation);
                if !self.cited.contains(&slot(&event)) {
                    self.cited.push(slot(&event));
                }
                out.extend(citation.map(|citation| Event::Delta {
                    at: slot(&event),
                    delta: Delta::Citation(citation),
                }));
            }
            "response.reasoning_summary_part.added" => {
                self.summaries += 1;
                if self.summaries > 1 {
                    let paragraph = Delta::Text("\n\n".to_owned());
                    self.think(&event, paragraph, out);
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.think(&event, Delta::Text(delta()), out);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let at = slot(&event);
                // Without its beginning a call has no name: it is told whole at its end.
                if self.items.contains(&at) {
                    self.feed(at, Delta::Arguments(delta()), out);
                }
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                let whole = event.get("arguments").or(event.get("input")).and_then(Value::as_str);
                self.feed_late(slot(&event), whole, Delta::Arguments, out);
            }
            "response.output_text.done" | "response.refusal.done" => {
                let whole = event.get("text").or(event.get("refusal")).and_then(Value::as_str);
                self.feed_late(slot(&event), whole, Delta::Text, out);
            }
            "response.completed" | "response.incomplete" => self.end(event.get("response"), out),
            "response.failed" => {
                self.ended = true;
                let error = event.pointer("/response/error").cloned().unwrap_or_default();
                out.push(Event::Fault(error::of_value(&json!({ "error": error }), None)));
            }
            "error" => {
                let error = event.get("error").unwrap_or(&event);
                out.push(Event::Fault(error::of_value(&json!({ "error": error }), None)));
            }
            _ => out.push(Event::Ping),
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        for at in std::mem::take(&mut self.open) {
            out.push(Event::PartClose { at, extra: Extra::NONE });
        }
        self.ended
    }
}

/// The sources of a text, as its whole has them.
fn cite(at: Slot, part: &Value, out: &mut Vec<Event>) {
    let all = part.get("annotations").and_then(Value::as_array);
    let cited = all.into_iter().flatten().filter_map(item::citation);
    out.extend(cited.map(|one| Event::Delta { at, delta: Delta::Citation(one) }));
}

/// A thought is one part, however its text is cut up.
fn thought_slot(event: &Value) -> Slot {
    let mut at = slot(event);
    at.part -= at.part % PARTS;
    at
}

/// Looks at a frame that is passed on unread.
pub(super) fn tap(data: &[u8]) -> TapResult {
    let mut tapped = TapResult::default();
    if data.starts_with(b"[DONE]") {
        tapped.ended = true;
        return tapped;
    }
    // The type may be the last member. A text that says so has its quotes escaped.
    let says = |word: &[u8]| memmem::find(data, word).is_some();
    let last = says(b"\"response.completed\"") || says(b"\"response.incomplete\"");
    let failed = says(b"\"response.failed\"") || says(b"\"error\"");
    if !last && !failed {
        return tapped;
    }
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return tapped };
    match event.get("type").and_then(Value::as_str) {
        Some("response.completed" | "response.incomplete") => {
            tapped.ended = true;
            let around =
                event.get("response").map(reply::UsageContext::of_response).unwrap_or_default();
            let usage = event.pointer("/response/usage").filter(|usage| usage.is_object());
            tapped.usage = usage.cloned().map(|raw| reply::usage_from(raw, around));
        }
        Some("response.failed") => {
            let error = event.pointer("/response/error").cloned().unwrap_or_default();
            tapped.fault = Some(error::of_value(&json!({ "error": error }), None));
        }
        Some("error") => {
            let error = event.get("error").unwrap_or(&event);
            tapped.fault = Some(error::of_value(&json!({ "error": error }), None));
        }
        _ => {}
    }
    tapped
}
