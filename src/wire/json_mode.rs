//! JSON mode for dialects that have none: a model that was asked in words to answer with one JSON
//! object is held to it. What stands before and after the object (prose, a code fence) is left out,
//! and an answer without one is none.

use super::Reader;
use super::frame::Frame;
use super::vocab::{
    Body, Delta, Event, Fault, FaultKind, Finish, Malformed, Part, Reply, Slot, Stop,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Before,
    Inside,
    After,
}

/// Finds the object in a text that comes in pieces.
#[derive(Debug, Default)]
struct Finder {
    place: Place,
    /// Braces that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// All of the object so far.
    object: String,
}

impl Finder {
    /// What of a piece belongs to the object.
    fn take(&mut self, piece: &str) -> String {
        let mut kept = String::new();
        for c in piece.chars() {
            match (self.place, c) {
                (Place::Before, '{') => {
                    self.place = Place::Inside;
                    self.depth = 1;
                    kept.push(c);
                    continue;
                }
                (Place::Before | Place::After, _) => continue,
                (Place::Inside, _) => kept.push(c),
            }
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' if self.in_string => self.escaped = true,
                '"' => self.in_string = !self.in_string,
                '{' if !self.in_string => self.depth += 1,
                '}' if !self.in_string => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.place = Place::After;
                    }
                }
                _ => {}
            }
        }
        self.object.push_str(&kept);
        kept
    }

    fn is_whole(&self) -> bool {
        self.place == Place::After
            && serde_json::from_str::<serde::de::IgnoredAny>(&self.object).is_ok()
    }
}

/// Whether an answer that ends so has to hold the object: one that was cut short, refused, or calls a
/// tool need not.
fn must_hold(finish: Option<&Finish>, called: bool) -> bool {
    let ended = finish.is_none_or(|finish| matches!(finish.why, Stop::End | Stop::Sequence));
    ended && !called
}

fn none() -> Fault {
    Fault::new(FaultKind::GaveUp, "the answer is not the JSON object that was asked for")
}

/// Holds a whole answer to JSON mode.
///
/// # Errors
/// The fault of an answer that holds no JSON object.
pub fn hold(reply: &mut Reply) -> Result<(), Fault> {
    for choice in &mut reply.choices {
        let mut finder = Finder::default();
        let parts = &mut choice.turn.parts;
        for part in parts.iter_mut() {
            if let Body::Text(text) = &mut part.body {
                *text = finder.take(text);
            }
        }
        parts.retain(|part| !matches!(&part.body, Body::Text(text) if text.is_empty()));
        let called = parts.iter().any(|part| matches!(part.body, Body::Call(_)));
        if must_hold(choice.finish.as_ref(), called) && !finder.is_whole() {
            return Err(none());
        }
    }
    Ok(())
}

/// A reader whose answer is held to JSON mode.
pub struct Held {
    inner: Box<dyn Reader + Send>,
    /// By choice: each answers with an object of its own.
    choices: Vec<(u64, Choice)>,
    /// Texts that have begun, and whether that has been told: what comes before the object is
    /// nothing, after which another provider can still be asked.
    texts: Vec<(Slot, Option<Part>)>,
}

#[derive(Debug, Default)]
struct Choice {
    finder: Finder,
    called: bool,
}

impl Held {
    #[must_use]
    pub fn new(inner: Box<dyn Reader + Send>) -> Self {
        Self { inner, choices: Vec::new(), texts: Vec::new() }
    }

    fn choice(&mut self, number: u64) -> &mut Choice {
        let known = self.choices.iter().position(|(one, _)| *one == number);
        let place = known.unwrap_or_else(|| {
            self.choices.push((number, Choice::default()));
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
                self.choice(at.choice).called |= matches!(part.body, Body::Call(_));
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

impl Reader for Held {
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
        let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
        let delta = |piece: &String| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}});
        let mut chunks = vec![start];
        chunks.extend(pieces.iter().map(delta));
        chunks.push(json!({"type": "content_block_stop", "index": 0}));
        chunks.push(json!({"type": "message_delta", "delta": {"stop_reason": word}}));
        chunks.push(json!({"type": "message_stop"}));
        let (mut held, mut events) = (Held::new(codec(Dialect::Anthropic).reader()), Vec::new());
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
        let body =
            json!({"id": "m", "content": [{"type": "text", "text": text}], "stop_reason": word});
        let mut reply =
            codec(Dialect::Anthropic).decode_reply(body.to_string().as_bytes()).unwrap();
        hold(&mut reply)?;
        Ok(reply.choices[0].turn.texts().collect())
    }

    proptest! {
        #[test]
        fn the_object_is_found_however_it_is_wrapped_and_cut(
            before in "[a-z `\\n\"\\\\]{0,12}",
            after in "[a-z `{}\\n\"]{0,12}",
            cuts in prop::collection::vec(1..5_usize, 0..40),
        ) {
            let text = format!("{before}{OBJECT}{after}");
            let mut pieces = Vec::new();
            let mut rest = text.as_str();
            for cut in cuts {
                let Some((piece, more)) = rest.split_at_checked(cut) else { break };
                pieces.push(piece.to_owned());
                rest = more;
            }
            pieces.push(rest.to_owned());
            let (reply, fault) = streamed(&pieces, "end_turn");
            prop_assert_eq!(fault, None);
            let said: String = reply.choices[0].turn.texts().collect();
            prop_assert_eq!(said.as_str(), OBJECT);
            prop_assert_eq!(whole(&text, "end_turn").unwrap(), OBJECT);
        }
    }

    #[test]
    fn every_choice_has_an_object_of_its_own() {
        let chunk = |choice: u64, delta: serde_json::Value, word: Option<&str>| json!({"id": "c", "choices": [{"index": choice, "delta": delta, "finish_reason": word}]});
        let mut chunks = Vec::new();
        for piece in ["So {\"a\"", ":1}"] {
            chunks.extend([0, 1].map(|choice| chunk(choice, json!({"content": piece}), None)));
        }
        chunks.extend([0, 1].map(|choice| chunk(choice, json!({}), Some("stop"))));
        let (mut held, mut events) = (Held::new(codec(Dialect::OpenAiChat).reader()), Vec::new());
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
