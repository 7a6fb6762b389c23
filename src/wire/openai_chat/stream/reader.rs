//! Chunks to events.

use std::collections::HashMap;

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::super::{DIALECT, message, reply};
use super::DONE;
use crate::wire::frame::json::Object;
use crate::wire::frame::sse::Frame;
use crate::wire::openai_error as error;
use crate::wire::openai_usage;
use crate::wire::vocab::{
    Body, Call, CallKind, Citation, Class, Delta, Dialect, Event, Extra, Finish, Malformed, Part,
    Scope, Signature, Slot, Stop, Thought,
};
use crate::wire::{Reader, Tapped};

/// Which parts of a choice are open.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The part that takes plain deltas now.
    current: Option<(Flow, u64)>,
    /// Sources that came before the text that rests on them.
    cited: Vec<Citation>,
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
pub(in crate::wire::openai_chat) struct ChatReader {
    opened: bool,
    ended: bool,
    class: Class,
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
        // Not every server repeats it beside the usage.
        self.class = openai_usage::class(chunk.peek("service_tier")).or(self.class);
        if let Some(usage) = chunk.take("usage") {
            out.push(Event::Usage(reply::usage_from(usage, self.class)));
        } else if let Some(usage) = chunk
            .peek("x_groq")
            .and_then(|groq| groq.get("usage"))
            .filter(|usage| usage.is_object())
        {
            out.push(Event::Usage(reply::usage_from(usage.clone(), self.class)));
        }
        let extra = chunk.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: Scope::Reply, extra });
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
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
                let mut part = Part::new(body);
                if flow == Flow::Text {
                    part.citations = std::mem::take(&mut self.cited);
                }
                out.push(Event::PartOpen { at, part });
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
        let all = delta.peek("annotations").and_then(Value::as_array);
        for citation in all.into_iter().flatten().filter_map(message::citation) {
            match self.current {
                Some((Flow::Text, part)) => {
                    let delta = Delta::Citation(citation);
                    out.push(Event::Delta { at: Slot { choice, part }, delta });
                }
                _ => self.cited.push(citation),
            }
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
pub(in crate::wire::openai_chat) fn tap(data: &[u8]) -> Tapped {
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
    let class = openai_usage::class(chunk.get("service_tier"));
    tapped.usage = reported.cloned().map(|raw| reply::usage_from(raw, class));
    tapped.usage_only = tapped.usage.is_some()
        && chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    tapped
}
