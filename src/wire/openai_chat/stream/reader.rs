//! Chunks to events.

use std::collections::HashMap;

use memchr::memmem;
use serde_json::{Map, Value, json};

use super::super::message::{self, DIALECT};
use super::super::reply;
use super::DONE;
use super::call::{Marks, OpenCall, says_something};
use crate::wire::frame::json::Object;
use crate::wire::frame::sse::Frame;
use crate::wire::openai_error as error;
use crate::wire::openai_usage;
use crate::wire::vocab::{
    Body, CallKind, Citation, Class, Delta, Dialect, Event, Extra, ExtraScope, Finish, Malformed,
    Part, Signature, Slot, Stop, Thought, ToolCall,
};
use crate::wire::{Reader, TapResult};

/// Which parts of a choice are open.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The part that takes plain deltas now.
    current: Option<(Flow, u64)>,
    /// Sources that came before the text that rests on them.
    cited: Vec<Citation>,
    calls: Vec<OpenCall>,
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
    /// The sources that stand beside the choices have been told: they come with every chunk.
    cited: bool,
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
        // Not every server repeats it beside the usage.
        self.class = openai_usage::class(chunk.peek("service_tier")).or(self.class);
        let mut usage = chunk.take("usage");
        if usage.is_none() {
            let groq = chunk.peek("x_groq").and_then(|groq| groq.get("usage"));
            let within = groq.into_iter().chain(choices.iter().filter_map(|one| one.get("usage")));
            usage = within.into_iter().find(|usage| usage.is_object()).cloned();
        }
        let sources = reply::sources(&mut chunk);
        let extra = chunk.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: ExtraScope::Reply, extra });
        }
        if !sources.is_empty() && !std::mem::replace(&mut self.cited, true) {
            self.choices.entry(0).or_default().cite(0, sources, out);
        }
        for (position, value) in choices.into_iter().enumerate() {
            self.read_choice(value, position, out)?;
        }
        out.extend(usage.map(|usage| Event::Usage(reply::usage_from(usage, self.class))));
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        let mut finished = !self.choices.is_empty();
        let said = self.choices.values().any(|open| open.next > 0 || open.finish.is_some());
        let mut indices: Vec<u64> = self.choices.keys().copied().collect();
        indices.sort_unstable();
        for choice in indices {
            if let Some(open) = self.choices.get_mut(&choice) {
                open.close_all(choice, out);
                finished &= open.finish.is_some();
            }
        }
        // Cerebras and others end without [DONE]: a finish reason is end enough. A last word after
        // nothing at all ends no answer.
        self.ended && said || finished
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
        for mut call in std::mem::take(&mut self.calls) {
            // Arguments alone are a call all the same, though of no tool that anybody knows.
            if call.waiting.as_ref().is_some_and(says_something) {
                self.open_call(choice, &mut call, out);
            }
            if let Some(part) = call.part {
                out.push(Event::PartClose { at: Slot { choice, part }, extra: Extra::NONE });
            }
        }
    }

    /// Whether a tool is called: what has neither a name nor arguments is no call.
    fn called(&self) -> bool {
        let real = |call: &OpenCall| {
            call.part.is_some() || call.waiting.as_ref().is_some_and(says_something)
        };
        self.calls.iter().any(real)
    }

    /// Sources of the text, which may have begun or not.
    fn cite(&mut self, choice: u64, sources: Vec<Citation>, out: &mut Vec<Event>) {
        for citation in sources {
            match self.current {
                Some((Flow::Text, part)) => {
                    let delta = Delta::Citation(citation);
                    out.push(Event::Delta { at: Slot { choice, part }, delta });
                }
                _ => self.cited.push(citation),
            }
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
        let choice = object.take("index").and_then(|index| index.as_u64()).unwrap_or(0);
        // Some servers (SGLang, Ollama) write none as an empty one.
        let word = object.string("finish_reason")?.filter(|word| !word.is_empty());
        // Counted beside all others.
        object.keep_spelling("usage");
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
            out.push(Event::Extra { scope: ExtraScope::Choice(choice), extra });
        }
        if let Some(word) = word {
            let called = open.called()
                || open.finish.as_ref().is_some_and(|known| known.why == Stop::ToolCalls);
            let finish = reply::finish(word, called);
            // Z.AI repeats the finish reason; once is enough.
            if open.finish.as_ref() != Some(&finish) {
                open.close_all(choice, out);
                out.push(Event::ending(choice, finish.clone(), ""));
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
        self.read_thoughts(choice, &mut delta, out)?;
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
        let cited = all.into_iter().flatten().filter_map(message::citation).collect();
        self.cite(choice, cited, out);
        for part in message::pictures(&delta) {
            self.whole(choice, part, out);
        }
        let extra = delta.finish(DIALECT);
        if !extra.is_empty() {
            out.push(Event::Extra { scope: ExtraScope::Turn(choice), extra });
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

    /// A part that comes in one piece.
    fn whole(&mut self, choice: u64, part: Part, out: &mut Vec<Event>) {
        self.close_current(choice, out);
        let at = self.slot(choice);
        out.push(Event::PartOpen { at, part });
        out.push(Event::PartClose { at, extra: Extra::NONE });
    }

    /// Reasoning, under whichever of its names. Details (OpenRouter) hold the proof of it, and where
    /// nobody says it as text, the text.
    fn read_thoughts(
        &mut self,
        choice: u64,
        delta: &mut Object,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let details = delta.peek("reasoning_details").and_then(Value::as_array);
        let details = details.map(|all| message::thoughts_of_details(all)).unwrap_or_default();
        let mut told = false;
        if delta.has("reasoning_content") && details.is_empty() {
            let text = delta.string("reasoning_content")?.unwrap_or_default();
            self.text(choice, Flow::Thought { spelled: false }, text, out);
        } else {
            let name = ["reasoning_content", "reasoning"].into_iter().find(|name| delta.has(name));
            let text = name.and_then(|name| delta.peek(name)).and_then(Value::as_str);
            if let (Some(name), Some(text)) = (name, text.map(str::to_owned)) {
                delta.keep_spelling(name);
                told = !text.is_empty();
                self.text(choice, Flow::Thought { spelled: true }, text, out);
            }
        }
        for part in details {
            match &part.body {
                Body::Thought(thought) if !thought.redacted => {
                    if !told {
                        let text = thought.text.clone();
                        self.text(choice, Flow::Thought { spelled: true }, text, out);
                    }
                    if let (Some(signature), Some((Flow::Thought { .. }, open))) =
                        (part.signature, self.current)
                    {
                        let at = Slot { choice, part: open };
                        out.push(Event::Delta { at, delta: Delta::Signature(signature) });
                    }
                }
                _ => self.whole(choice, part, out),
            }
        }
        Ok(())
    }

    fn read_call(
        &mut self,
        choice: u64,
        value: Value,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let mut object = Object::of(value, "choices[].delta.tool_calls[]")?;
        let id = object.string("id")?.filter(|id| !id.is_empty());
        // Z.AI's is -1 at times.
        let index = object.take("index").and_then(|index| index.as_u64());
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
        let marks = Marks { index, id: id.as_deref(), name: name.as_deref(), more: &arguments };
        let known = self.calls.iter().rposition(|call| call.goes_on(marks));
        let place = known.unwrap_or_else(|| {
            self.close_current(choice, out);
            let mut part = Part::new(Body::Call(ToolCall {
                id: None,
                name: String::new(),
                arguments: Some(String::new()),
                kind,
            }));
            let google = object.peek("extra_content").and_then(|extra| extra.get("google"));
            part.signature = google
                .and_then(|google| google.get("thought_signature"))
                .and_then(Value::as_str)
                .map(|value| Signature { by: Dialect::Gemini, value: value.to_owned() });
            if part.signature.is_some() {
                object.take("extra_content");
            }
            part.inner = inner.finish(DIALECT);
            part.extra = object.finish(DIALECT);
            let next = self.calls.iter().map(|call| call.index + 1).max().unwrap_or(0);
            self.calls.push(OpenCall::new(index.unwrap_or(next), part));
            self.calls.len() - 1
        });
        let Some(mut call) = self.calls.get_mut(place).map(std::mem::take) else { return Ok(()) };
        call.take(choice, id, name, arguments, out);
        if !call.name.is_empty() {
            self.open_call(choice, &mut call, out);
        }
        if let Some(place) = self.calls.get_mut(place) {
            *place = call;
        }
        Ok(())
    }

    /// Opens the part of a call that has waited for its name.
    fn open_call(&mut self, choice: u64, call: &mut OpenCall, out: &mut Vec<Event>) {
        let Some(mut part) = call.waiting.take() else { return };
        let at = self.slot(choice);
        call.part = Some(at.part);
        let mut arguments = String::new();
        if let Body::Call(said) = &mut part.body {
            said.name.clone_from(&call.name);
            said.id.clone_from(&call.id);
            arguments = said.arguments.replace(String::new()).unwrap_or_default();
        }
        out.push(Event::PartOpen { at, part });
        if !arguments.is_empty() {
            out.push(Event::Delta { at, delta: Delta::Arguments(arguments) });
        }
    }
}

/// Looks at a frame that is passed on unread.
pub(in crate::wire::openai_chat) fn tap(data: &[u8]) -> TapResult {
    let mut tapped = TapResult::default();
    if data.starts_with(DONE) {
        tapped.ended = true;
        return tapped;
    }
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
    let choices = chunk.get("choices").and_then(Value::as_array);
    let within = choices.into_iter().flatten().filter_map(|choice| choice.get("usage"));
    let groq = chunk.get("x_groq").and_then(|groq| groq.get("usage"));
    let mut reports = chunk.get("usage").into_iter().chain(groq).chain(within);
    let reported = reports.find(|usage| usage.is_object());
    let class = openai_usage::class(chunk.get("service_tier"));
    tapped.usage = reported.cloned().map(|raw| reply::usage_from(raw, class));
    tapped.usage_only = tapped.usage.is_some()
        && chunk.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    tapped
}
