//! The value in an answer. A model that was asked in words to answer with one JSON object or list is held
//! to it: what stands before and after (prose, a code fence) is left out, and an answer without one is
//! none. A value that was asked for inside an object, because its maker takes objects alone, is taken out
//! of it. Longer than most files: how a value is asked for and how it is taken out again are one agreement.

use serde_json::{Value, json};

use super::Reader;
use super::frame::Frame;
use super::vocab::{
    Body, Delta, Event, Fault, FaultKind, Finish, Malformed, Part, Reply, Slot, Stop,
};

/// Which part of a text the JSON value is that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonForm {
    /// The first JSON object in the text.
    #[default]
    Object,
    /// The first JSON list.
    List,
    /// What [`wrapped`] put into an object.
    Wrapped,
    /// The same, which is a text, without its quotes.
    Word,
}

/// The member that [`wrapped`] makes.
const MEMBER: &str = "value";

/// A schema of any value as the schema of an object with that value in it. What is referred to by `$ref`
/// stays where the references look for it.
#[must_use]
pub fn wrapped(schema: &Value) -> Value {
    let mut inner = schema.clone();
    let mut outer = json!({"type": "object"});
    for shared in ["$defs", "definitions"] {
        if let Some(shared_schemas) =
            inner.as_object_mut().and_then(|members| members.shift_remove(shared))
        {
            outer[shared] = shared_schemas;
        }
    }
    point_inside(&mut inner);
    outer["properties"] = json!({ MEMBER: inner });
    outer["required"] = json!([MEMBER]);
    outer["additionalProperties"] = Value::Bool(false);
    outer
}

/// References to the value itself, or into it, go on meaning it.
fn point_inside(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(path) if name == "$ref" => {
                        let stays = ["#/$defs/", "#/definitions/"]
                            .iter()
                            .any(|shared| path.starts_with(shared));
                        if let Some(inside) = path.strip_prefix('#').filter(|_| !stays) {
                            *path = format!("#/properties/{MEMBER}{inside}");
                        }
                    }
                    other => point_inside(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_inside),
        _ => {}
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Before,
    /// In an object of which only a member counts: what came of it, from its brace on.
    Opening(String),
    /// Behind the colon.
    Member,
    Inside,
    After,
}

/// How an object goes on that may begin with the member.
enum Opens {
    /// The member's value comes next.
    Yes,
    NotYet,
    /// It begins with something else.
    No,
}

fn opens(text: &str) -> Opens {
    let mut rest = text;
    for mark in ["{", "\"value\"", ":"] {
        rest = rest.trim_start();
        match rest.strip_prefix(mark) {
            Some(behind) => rest = behind,
            None if mark.starts_with(rest) => return Opens::NotYet,
            None => return Opens::No,
        }
    }
    Opens::Yes
}

/// Finds the value in a text that comes in pieces.
#[derive(Debug)]
struct Finder {
    form: JsonForm,
    place: Place,
    /// Braces and brackets that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// All of the value so far, as JSON.
    value: String,
}

impl Finder {
    const fn new(form: JsonForm) -> Self {
        let (depth, in_string, escaped) = (0, false, false);
        Self { form, place: Place::Before, depth, in_string, escaped, value: String::new() }
    }

    /// What of a piece belongs to the value.
    fn take(&mut self, piece: &str) -> String {
        let (from, before) = (self.value.len(), self.place != Place::After);
        for c in piece.chars() {
            self.see(c);
        }
        if self.form != JsonForm::Word {
            return self.value.get(from..).unwrap_or_default().to_owned();
        }
        // A word is told as a whole: its quotes and escapes are JSON's.
        if !(before && self.place == Place::After) {
            return String::new();
        }
        serde_json::from_str(&self.value).unwrap_or_else(|_| self.value.clone())
    }

    fn see(&mut self, c: char) {
        match &mut self.place {
            Place::After => {}
            Place::Before => match (self.form, c) {
                (JsonForm::Object, '{') | (JsonForm::List, '[') => self.enter(c),
                (JsonForm::Wrapped | JsonForm::Word, '{') => self.place = Place::Opening(c.into()),
                // Given without the object: that is as good.
                (JsonForm::Wrapped, '[') => self.enter(c),
                _ => {}
            },
            Place::Opening(so_far) => {
                so_far.push(c);
                match opens(so_far) {
                    Opens::Yes => self.place = Place::Member,
                    Opens::NotYet => {}
                    Opens::No => {
                        let so_far = std::mem::take(so_far);
                        self.place = Place::Inside;
                        so_far.chars().for_each(|c| self.inside(c));
                    }
                }
            }
            Place::Member if c.is_ascii_whitespace() => {}
            Place::Member => self.enter(c),
            Place::Inside => self.inside(c),
        }
    }

    fn enter(&mut self, c: char) {
        self.place = Place::Inside;
        self.inside(c);
    }

    fn inside(&mut self, c: char) {
        // A number, `true`, `false` or `null` ends before what comes behind it.
        let ends = matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace();
        if self.depth == 0 && !self.in_string && ends {
            self.place = Place::After;
            return;
        }
        self.value.push(c);
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' if self.in_string => self.escaped = true,
            '"' => {
                self.in_string = !self.in_string;
                if !self.in_string && self.depth == 0 {
                    self.place = Place::After;
                }
            }
            '{' | '[' if !self.in_string => self.depth += 1,
            '}' | ']' if !self.in_string => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Place::After;
                }
            }
            _ => {}
        }
    }

    fn is_whole(&self) -> bool {
        self.place == Place::After
            && serde_json::from_str::<serde::de::IgnoredAny>(&self.value).is_ok()
    }
}

/// Whether an answer that ends so has to hold the value: one that was cut short, refused, or calls a
/// tool need not.
fn must_hold(finish: Option<&Finish>, called: bool) -> bool {
    let ended = finish.is_none_or(|finish| matches!(finish.why, Stop::End | Stop::Sequence));
    ended && !called
}

/// A call or a refusal, which stand in the place of the value.
fn is_another_answer(part: &Part) -> bool {
    matches!(part.body, Body::Call(_) | Body::Refusal(_))
}

fn none() -> Fault {
    Fault::new(FaultKind::GaveUp, "the answer is not the JSON that was asked for")
}

/// Holds a whole answer to its form.
///
/// # Errors
/// The fault of an answer that does not hold the value.
pub fn hold(reply: &mut Reply, form: JsonForm) -> Result<(), Fault> {
    for choice in &mut reply.choices {
        let mut finder = Finder::new(form);
        let parts = &mut choice.turn.parts;
        for part in parts.iter_mut() {
            if let Body::Text(text) = &mut part.body {
                *text = finder.take(text);
            }
        }
        parts.retain(|part| !matches!(&part.body, Body::Text(text) if text.is_empty()));
        let called = parts.iter().any(is_another_answer);
        if must_hold(choice.finish.as_ref(), called) && !finder.is_whole() {
            return Err(none());
        }
    }
    Ok(())
}

/// A reader that leaves of an answer's text the JSON value that was asked for.
pub struct JsonModeReader {
    inner: Box<dyn Reader + Send>,
    form: JsonForm,
    /// By choice: each answers with a value of its own.
    choices: Vec<(u64, Choice)>,
    /// Texts that have begun, and whether that has been told: what comes before the value is
    /// nothing, after which another provider can still be asked.
    texts: Vec<(Slot, Option<Part>)>,
}

#[derive(Debug)]
struct Choice {
    finder: Finder,
    called: bool,
}

impl JsonModeReader {
    #[must_use]
    pub fn new(inner: Box<dyn Reader + Send>, form: JsonForm) -> Self {
        Self { inner, form, choices: Vec::new(), texts: Vec::new() }
    }

    fn choice(&mut self, number: u64) -> &mut Choice {
        let known = self.choices.iter().position(|(one, _)| *one == number);
        let place = known.unwrap_or_else(|| {
            self.choices.push((number, Choice { finder: Finder::new(self.form), called: false }));
            self.choices.len() - 1
        });
        &mut self.choices[place].1
    }

    fn text(&mut self, at: Slot, piece: &str, out: &mut Vec<Event>) {
        let kept = self.choice(at.choice).finder.take(piece);
        let Some((_, waiting)) = self.texts.iter_mut().find(|(slot, _)| *slot == at) else {
            return;
        };
        if kept.is_empty() {
            return;
        }
        out.extend(waiting.take().map(|part| Event::PartOpen { at, part }));
        out.push(Event::Delta { at, delta: Delta::Text(kept) });
    }

    fn pass(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartOpen { at, mut part } => {
                if let Body::Text(text) = &mut part.body {
                    let first = std::mem::take(text);
                    self.texts.push((at, Some(part)));
                    return self.text(at, &first, out);
                }
                self.choice(at.choice).called |= is_another_answer(&part);
                out.push(Event::PartOpen { at, part });
            }
            Event::Delta { at, delta: Delta::Text(piece) }
                if self.texts.iter().any(|(slot, _)| *slot == at) =>
            {
                self.text(at, &piece, out);
            }
            // Of a text that was never told.
            Event::Delta { at, .. } | Event::PartClose { at, .. }
                if self.texts.iter().any(|(slot, part)| *slot == at && part.is_some()) => {}
            Event::Finish { choice, ref finish } => {
                let known = self.choice(choice);
                if must_hold(Some(finish), known.called) && !known.finder.is_whole() {
                    out.push(Event::Fault(none()));
                } else {
                    out.push(event);
                }
            }
            other => out.push(other),
        }
    }
}

impl Reader for JsonModeReader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut events = Vec::new();
        self.inner.read(frame, &mut events)?;
        for event in events {
            self.pass(event, out);
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.inner.ended()
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        let mut events = Vec::new();
        let whole = self.inner.finish(&mut events);
        for event in events {
            self.pass(event, out);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;
    use crate::wire::vocab::{Dialect, Fold};
    use proptest::prelude::*;
    use serde_json::json;

    const OBJECT: &str = "{\"a\": \"}\\\"{\", \"b\": {\"c\": [1, {}]}}";

    /// What a stream of these pieces comes to, and its fault.
    fn streamed(pieces: &[String], word: &str) -> (Reply, Option<Fault>) {
        streamed_as(pieces, word, JsonForm::Object)
    }

    fn streamed_as(pieces: &[String], word: &str, form: JsonForm) -> (Reply, Option<Fault>) {
        let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
        let delta = |piece: &String| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}});
        let mut chunks = vec![start];
        chunks.extend(pieces.iter().map(delta));
        chunks.push(json!({"type": "content_block_stop", "index": 0}));
        chunks.push(json!({"type": "message_delta", "delta": {"stop_reason": word}}));
        chunks.push(json!({"type": "message_stop"}));
        let (mut held, mut events) =
            (JsonModeReader::new(codec(Dialect::Anthropic).reader(), form), Vec::new());
        for chunk in chunks {
            let data = chunk.to_string();
            held.read(&Frame { event: "", data: data.as_bytes() }, &mut events).unwrap();
        }
        assert!(held.finish(&mut events));
        let mut fold = Fold::new();
        for event in &events {
            fold.push(event);
        }
        fold.finish()
    }

    fn whole(text: &str, word: &str) -> Result<String, Fault> {
        whole_as(text, word, JsonForm::Object)
    }

    fn whole_as(text: &str, word: &str, form: JsonForm) -> Result<String, Fault> {
        let body =
            json!({"id": "m", "content": [{"type": "text", "text": text}], "stop_reason": word});
        let mut reply =
            codec(Dialect::Anthropic).decode_reply(body.to_string().as_bytes()).unwrap();
        hold(&mut reply, form)?;
        Ok(reply.choices[0].turn.texts().collect())
    }

    fn cut(text: &str, cuts: Vec<usize>) -> Vec<String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        for cut in cuts {
            let Some((piece, more)) = rest.split_at_checked(cut) else { break };
            pieces.push(piece.to_owned());
            rest = more;
        }
        pieces.push(rest.to_owned());
        pieces
    }

    proptest! {
        #[test]
        fn what_was_wrapped_is_taken_out_however_it_is_spaced_and_cut(
            (form, json, told) in prop::sample::select(vec![
                (JsonForm::Wrapped, r#"[{"a": "]}"}, [1, {"value": 2}]]"#, r#"[{"a": "]}"}, [1, {"value": 2}]]"#),
                (JsonForm::Wrapped, r#""a \"}\n""#, r#""a \"}\n""#),
                (JsonForm::Wrapped, "-1.5e3", "-1.5e3"),
                (JsonForm::Wrapped, "true", "true"),
                (JsonForm::Wrapped, r#"{"value": {}}"#, r#"{"value": {}}"#),
                (JsonForm::Word, r#""brass \u00e9 \"x\"""#, "brass é \"x\""),
                (JsonForm::List, "[1, [\"]\"]]", "[1, [\"]\"]]"),
            ]),
            blank in "[ \n]{0,2}",
            cuts in prop::collection::vec(1..5_usize, 0..40),
        ) {
            let text = match form {
                JsonForm::List => format!("So:{blank}{json}{blank}```"),
                _ => format!("{blank}{{{blank}\"value\"{blank}:{blank}{json}{blank}}}{blank}"),
            };
            let (reply, fault) = streamed_as(&cut(&text, cuts), "end_turn", form);
            prop_assert_eq!(fault, None);
            prop_assert_eq!(reply.choices[0].turn.texts().collect::<String>(), told);
            prop_assert_eq!(whole_as(&text, "end_turn", form).unwrap(), told);
        }

        #[test]
        fn the_object_is_found_however_it_is_wrapped_and_cut(
            before in "[a-z `\\n\"\\\\]{0,12}",
            after in "[a-z `{}\\n\"]{0,12}",
            cuts in prop::collection::vec(1..5_usize, 0..40),
        ) {
            let text = format!("{before}{OBJECT}{after}");
            let pieces = cut(&text, cuts);
            let (reply, fault) = streamed(&pieces, "end_turn");
            prop_assert_eq!(fault, None);
            let said: String = reply.choices[0].turn.texts().collect();
            prop_assert_eq!(said.as_str(), OBJECT);
            prop_assert_eq!(whole(&text, "end_turn").unwrap(), OBJECT);
        }
    }

    #[test]
    fn a_refusal_is_an_answer_to_any_form() {
        let body = json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": null, "refusal": "I cannot"}}]});
        for form in [JsonForm::Object, JsonForm::List, JsonForm::Wrapped, JsonForm::Word] {
            let mut reply =
                codec(Dialect::OpenAiChat).decode_reply(body.to_string().as_bytes()).unwrap();
            assert_eq!(hold(&mut reply, form), Ok(()), "{form:?}");
        }
    }

    #[test]
    fn what_was_not_wrapped_is_as_good() {
        for text in ["[1, 2]", r#"{"values": [1]}"#, r#"{"value" "#] {
            let told = whole_as(text, "end_turn", JsonForm::Wrapped);
            assert_eq!(told.ok().as_deref(), (!text.ends_with(' ')).then_some(text));
        }
    }

    #[test]
    fn a_wrapped_schema_means_what_it_meant() {
        let schema = json!({"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Item"}, {"$ref": "#"},
            {"$ref": "#/items"}]}, "$defs": {"Item": {"type": "string"}}});
        assert_eq!(
            wrapped(&schema),
            json!({"type": "object", "$defs": {"Item": {"type": "string"}}, "properties": {"value": {
                "type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Item"}, {"$ref": "#/properties/value"},
                {"$ref": "#/properties/value/items"}]}}}, "required": ["value"],
                "additionalProperties": false})
        );
    }

    #[test]
    fn every_choice_has_an_object_of_its_own() {
        let chunk = |choice: u64, delta: Value, word: Option<&str>| json!({"id": "c", "choices": [{"index": choice, "delta": delta, "finish_reason": word}]});
        let mut chunks = Vec::new();
        for piece in ["So {\"a\"", ":1}"] {
            chunks.extend([0, 1].map(|choice| chunk(choice, json!({"content": piece}), None)));
        }
        chunks.extend([0, 1].map(|choice| chunk(choice, json!({}), Some("stop"))));
        let (mut held, mut events) = (
            JsonModeReader::new(codec(Dialect::OpenAiChat).reader(), JsonForm::Object),
            Vec::new(),
        );
        for chunk in chunks {
            let data = chunk.to_string();
            held.read(&Frame { event: "", data: data.as_bytes() }, &mut events).unwrap();
        }
        held.finish(&mut events);
        let mut fold = Fold::new();
        for event in &events {
            fold.push(event);
        }
        let (reply, fault) = fold.finish();
        assert_eq!(fault, None);
        for choice in &reply.choices {
            assert_eq!(choice.turn.texts().collect::<String>(), "{\"a\":1}");
        }
        assert_eq!(reply.choices.len(), 2);
    }

    #[test]
    fn an_answer_without_an_object_is_none_unless_it_was_cut_or_refused() {
        for text in ["no", "", "{\"a\": 1", "{a: 1}", "[1]"] {
            let pieces = [text.to_owned()];
            assert!(whole(text, "end_turn").is_err(), "{text}");
            let (reply, fault) = streamed(&pieces, "end_turn");
            assert_eq!(fault.map(|fault| fault.kind), Some(FaultKind::GaveUp), "{text}");
            // Nothing has begun before the object has.
            let began = reply.choices.iter().any(|choice| !choice.turn.parts.is_empty());
            assert_eq!(began, text.contains('{'), "{text}");
            for word in ["max_tokens", "refusal"] {
                assert!(whole(text, word).is_ok() && streamed(&pieces, word).1.is_none());
            }
        }
    }
}
