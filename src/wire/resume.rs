//! An answer that broke off, gone on with by another one: which begins with the very same words, or was
//! given them to go on with.

use super::frame::Frame;
use super::vocab::{Body, Delta, Event, Malformed, Slot, Usage};
use super::{ProviderSide, Reader};

/// The text of an answer that broke off, where it had said one text and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialAnswer {
    text: String,
    at: Slot,
}

impl PartialAnswer {
    /// `None` of an answer that says more than a text, as what was said of it cannot be compared: calls,
    /// thoughts, several choices; or that is at its end.
    #[must_use]
    pub fn of(events: &[Event]) -> Option<Self> {
        let mut said: Option<Self> = None;
        for event in events {
            match (event, &mut said) {
                (Event::Fault(_), _) => break,
                (Event::Open { .. } | Event::Ping | Event::Usage(_) | Event::Extra { .. }, _) => {}
                (Event::PartOpen { at, part }, None) if at.choice == 0 => match &part.body {
                    Body::Text(text) => said = Some(Self { text: text.clone(), at: *at }),
                    _ => return None,
                },
                (Event::Delta { at, delta: Delta::Text(text) }, Some(said)) if *at == said.at => {
                    said.text.push_str(text);
                }
                _ => return None,
            }
        }
        said.filter(|said| !said.text.is_empty())
    }

    /// What somebody is given to go on with: most take no white space at its end.
    #[must_use]
    pub fn given(&self) -> &str {
        self.text.trim_end()
    }
}

/// How another model is asked to go on with an answer that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeMethod {
    /// The request is asked again: the answer says the same, and then the rest.
    Again,
    /// It was given what was said, which is so many tokens, as the beginning of its turn.
    Given { tokens: u64 },
}

/// Reads an answer that is to go on with another: what was said is left out, the rest stands in the
/// place where the other broke off.
pub struct Resuming {
    inner: Box<dyn Reader + Send>,
    at: Slot,
    way: ResumeMethod,
    /// What is still to be said again.
    left: String,
    /// White space that was said is not said again.
    trims: bool,
    /// The answer is over.
    finished: bool,
    /// The text that says it.
    theirs: Option<Slot>,
    /// Thoughts before it: too late for the caller.
    hushed: Vec<Slot>,
    fresh: Vec<Event>,
}

impl Resuming {
    #[must_use]
    pub fn new(theirs: &dyn ProviderSide, said: PartialAnswer, way: ResumeMethod) -> Self {
        let given = way != ResumeMethod::Again;
        let trims = given && said.given().len() < said.text.len();
        Self {
            inner: theirs.reader(),
            at: said.at,
            way,
            left: if given { String::new() } else { said.text },
            trims,
            finished: false,
            theirs: None,
            hushed: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// All that was said has been said again, and it has begun to go on.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        self.left.is_empty() && (self.theirs.is_some() || self.finished)
    }

    /// What it took, as if it had said all of it itself.
    fn counted(&self, mut usage: Usage) -> Usage {
        if let ResumeMethod::Given { tokens } = self.way {
            usage.output = usage.output.saturating_add(tokens);
            usage.input = usage.input.saturating_sub(tokens);
            usage.raw = None;
        }
        usage
    }

    fn say(&mut self, text: String, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let text = if self.left.is_empty() {
            text
        } else if let Some(left) = self.left.strip_prefix(text.as_str()) {
            self.left = left.to_owned();
            return Ok(());
        } else if let Some(more) = text.strip_prefix(self.left.as_str()) {
            let more = more.to_owned();
            self.left.clear();
            more
        } else {
            return Err(differs());
        };
        let text = if self.trims {
            let rest = text.trim_start().to_owned();
            self.trims = rest.is_empty();
            rest
        } else {
            text
        };
        if !text.is_empty() {
            out.push(Event::Delta { at: self.at, delta: Delta::Text(text) });
        }
        Ok(())
    }

    /// Where a part of theirs stands among those of the other.
    fn place(&self, at: Slot) -> Result<Slot, Malformed> {
        let theirs = self.theirs.filter(|_| at.choice == 0).ok_or_else(differs)?;
        let part = at.part.wrapping_add(self.at.part).wrapping_sub(theirs.part);
        Ok(Slot { choice: 0, part })
    }

    fn take(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Malformed> {
        match event {
            Event::Open { .. } => {}
            Event::Ping | Event::Fault(_) => out.push(event),
            Event::Usage(usage) => out.push(Event::Usage(self.counted(usage))),
            Event::PartOpen { at, part } => match part.body {
                Body::Text(text) if self.theirs.is_none() && at.choice == 0 => {
                    self.theirs = Some(at);
                    self.say(text, out)?;
                }
                Body::Thought(_) if self.theirs.is_none() => self.hushed.push(at),
                _ if !self.left.is_empty() => return Err(differs()),
                _ => out.push(Event::PartOpen { at: self.place(at)?, part }),
            },
            Event::Delta { at, .. } | Event::PartClose { at, .. } if self.hushed.contains(&at) => {}
            Event::Delta { at, delta: Delta::Text(text) } if self.theirs == Some(at) => {
                self.say(text, out)?;
            }
            Event::Extra { .. } if !self.left.is_empty() => {}
            Event::Extra { .. } => out.push(event),
            _ if !self.left.is_empty() => return Err(differs()),
            Event::Delta { at, delta } => out.push(Event::Delta { at: self.place(at)?, delta }),
            Event::PartClose { at, extra } => {
                out.push(Event::PartClose { at: self.place(at)?, extra });
            }
            Event::Finish { choice: 0, .. } => {
                self.finished = true;
                out.push(event);
            }
            Event::Finish { .. } => return Err(differs()),
        }
        Ok(())
    }

    fn take_all(&mut self, out: &mut Vec<Event>) -> Result<(), Malformed> {
        let mut fresh = std::mem::take(&mut self.fresh);
        let taken = fresh.drain(..).try_for_each(|event| self.take(event, out));
        self.fresh = fresh;
        taken
    }
}

fn differs() -> Malformed {
    Malformed::new("The answer does not begin with what was said already.")
}

impl Reader for Resuming {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Malformed> {
        self.inner.read(frame, &mut self.fresh)?;
        self.take_all(out)
    }

    fn ended(&self) -> bool {
        self.inner.ended()
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> bool {
        let ended = self.inner.finish(&mut self.fresh);
        self.take_all(out).is_ok() && ended && self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::provider_side;
    use crate::wire::vocab::{Dialect, Protocol};
    use serde_json::{Value, json};

    fn side() -> &'static dyn ProviderSide {
        provider_side(Protocol::Dialect(Dialect::OpenAiChat))
    }

    fn delta(delta: Value) -> Value {
        json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn text(piece: &str) -> Value {
        delta(json!({"content": piece}))
    }

    fn end() -> Value {
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    }

    fn events(reader: &mut dyn Reader, chunks: &[Value]) -> Result<Vec<Event>, Malformed> {
        let mut out = Vec::new();
        for chunk in chunks {
            let data = chunk.to_string();
            reader.read(&Frame { event: "", data: data.as_bytes() }, &mut out)?;
        }
        Ok(out)
    }

    fn said(chunks: &[Value]) -> Option<PartialAnswer> {
        PartialAnswer::of(&events(&mut *side().reader(), chunks).unwrap())
    }

    /// What a second answer adds to the first.
    fn more(first: &[Value], second: &[Value]) -> Option<(String, bool)> {
        added(first, second, ResumeMethod::Again)
    }

    fn added(first: &[Value], second: &[Value], way: ResumeMethod) -> Option<(String, bool)> {
        let mut resuming = Resuming::new(side(), said(first)?, way);
        let added = events(&mut resuming, second).ok()?;
        let finished = added.iter().any(|event| matches!(event, Event::Finish { .. }));
        let texts = added.iter().map(|event| match event {
            Event::Delta { at, delta: Delta::Text(text) } => {
                assert_eq!(at.choice, 0);
                text.as_str()
            }
            _ => "",
        });
        let texts = texts.collect();
        resuming.has_caught_up().then_some((texts, finished))
    }

    #[test]
    fn what_begins_alike_goes_on_where_the_other_broke_off() {
        let first = [text("The answer"), text(" is fo")];
        for second in [
            vec![text("The answer is forty-two."), end()],
            vec![text("The"), text(" answer is fo"), text("rty-two."), end()],
            vec![
                delta(json!({"reasoning_content": "Hm."})),
                text("The answer is forty-two."),
                end(),
            ],
        ] {
            assert_eq!(more(&first, &second), Some(("rty-two.".to_owned(), true)), "{second:?}");
        }
        for second in [
            vec![text("The answer may be"), end()],
            vec![text("The ans"), end()],
            vec![
                delta(json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
                "function": {"name": "f", "arguments": "{}"}}]})),
                end(),
            ],
        ] {
            assert_eq!(more(&first, &second), None, "{second:?}");
        }
    }

    #[test]
    fn what_was_given_is_neither_said_again_nor_paid_for_as_read() {
        let given = ResumeMethod::Given { tokens: 3 };
        for (first, second, expected) in [
            ("The answer", vec![text(" is forty-two."), end()], " is forty-two."),
            // It was given without the blank, and says one or not.
            ("The answer ", vec![text(" is forty-two."), end()], "is forty-two."),
            ("The answer ", vec![text("is forty-two."), end()], "is forty-two."),
            ("The answer\n", vec![text("\n"), text(" is it."), end()], "is it."),
            ("The answer.", vec![end()], ""),
        ] {
            let more = added(&[text(first)], &second, given);
            assert_eq!(more, Some((expected.to_owned(), true)), "{first:?} {second:?}");
        }
        let said = said(&[text("The answer ")]).unwrap();
        assert_eq!(said.given(), "The answer");
        let mut resuming = Resuming::new(side(), said, given);
        assert!(!resuming.has_caught_up(), "nothing has come of it");
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
        let told = events(&mut resuming, &[text("is"), end(), usage]).unwrap();
        let usage = told.iter().find_map(|event| match event {
            Event::Usage(usage) => Some((usage.input, usage.output, usage.raw.is_none())),
            _ => None,
        });
        assert_eq!(usage, Some((7, 8, true)));
        // A call is no text to go on with.
        let call = delta(json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "f", "arguments": "{}"}}]}));
        assert_eq!(added(&[text("a")], &[call], given), None);
    }

    #[test]
    fn only_a_text_that_is_not_at_its_end_can_be_gone_on_with() {
        assert!(said(&[text("a")]).is_some());
        let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "f", "arguments": "{"}}]});
        for chunks in [
            vec![],
            vec![text("")],
            vec![text("a"), end()],
            vec![text("a"), delta(call)],
            vec![delta(json!({"reasoning_content": "Hm."})), text("a")],
            vec![json!({"choices": [{"index": 1, "delta": {"content": "a"}}]})],
        ] {
            assert_eq!(said(&chunks), None, "{chunks:?}");
        }
    }
}
