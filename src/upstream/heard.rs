//! What a provider has said so far, counted as it comes, should the provider's own count never come.

use crate::ledger::{Basis, Tokens, count_text};
use crate::wire::glance::Voice;
use crate::wire::vocab::{Body, Delta, Event, Slot, Usage};

/// So much text is gathered before it is counted: the memory that a stream takes, whatever its length.
const GATHERED_BYTES: usize = 1 << 10;

/// Tokens of a text that comes in pieces.
#[derive(Debug, Default)]
struct Tally {
    counted: u64,
    text: String,
}

impl Tally {
    fn hear(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() >= GATHERED_BYTES {
            // Where a word begins, no token goes on.
            let cut = self.text.rfind([' ', '\n']).filter(|cut| *cut > 0);
            let rest = self.text.split_off(cut.unwrap_or(self.text.len()));
            self.counted += count_text(&self.text);
            self.text = rest;
        }
    }

    fn tokens(&self) -> u64 {
        self.counted + count_text(&self.text)
    }
}

#[derive(Debug, Default)]
pub(super) struct Heard {
    said: Tally,
    thought: Tally,
    /// The thoughts that are open; any other part is said.
    thoughts: Vec<Slot>,
}

impl Heard {
    pub fn hear(&mut self, voice: Voice, text: &str) {
        match voice {
            Voice::Said => self.said.hear(text),
            Voice::Thought => self.thought.hear(text),
        }
    }

    /// What is said by an event of a stream that is translated.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::PartOpen { at, part } => match &part.body {
                Body::Text(text) | Body::Refusal(text) => self.said.hear(text),
                Body::Thought(thought) => {
                    self.thoughts.push(*at);
                    self.thought.hear(&thought.text);
                }
                Body::Call(call) => {
                    self.said.hear(&call.name);
                    self.said.hear(call.arguments.as_deref().unwrap_or_default());
                }
                // Neither is text.
                Body::Media(_) | Body::Outcome(_) | Body::Opaque(..) => {}
            },
            Event::Delta { at, delta } => match delta {
                Delta::Text(text) if self.thoughts.contains(at) => self.thought.hear(text),
                Delta::Text(text) | Delta::Arguments(text) | Delta::CallName(text) => {
                    self.said.hear(text);
                }
                _ => {}
            },
            Event::PartClose { at, .. } => self.thoughts.retain(|open| open != at),
            _ => {}
        }
    }

    /// What the stream used: the provider's count if it came to its end, else ours of what was said.
    pub fn used(
        &self,
        usage: Option<&Usage>,
        to_the_end: bool,
        prompt_tokens: u64,
    ) -> (Tokens, Basis) {
        let reported = usage.map(Tokens::from);
        if let Some(reported) = reported.filter(|_| to_the_end) {
            return (reported, Basis::Reported);
        }
        let known = reported.unwrap_or(Tokens { input: prompt_tokens, ..Tokens::default() });
        // A count under way may be behind what was said (Anthropic's begins with 1).
        let output = self.said.tokens().max(known.output);
        let thought = self.thought.tokens().max(known.thought);
        (Tokens { output, thought, ..known }, Basis::Estimated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_as_the_whole_does_in_bounded_memory() {
        let whole = "It was the best of times, it was the worst of times.\n".repeat(4_000);
        let mut heard = Heard::default();
        for piece in whole.as_bytes().chunks(7) {
            heard.hear(Voice::Said, std::str::from_utf8(piece).unwrap());
            assert!(heard.said.text.capacity() <= 4 * GATHERED_BYTES);
        }
        let exact: u64 = whole.lines().map(|line| count_text(&format!("{line}\n"))).sum();
        let (tokens, basis) = heard.used(None, false, 5);
        assert_eq!((tokens.input, basis), (5, Basis::Estimated));
        assert!(tokens.output.abs_diff(exact) * 100 <= exact, "{} of {exact}", tokens.output);
        // Without a blank anywhere it is cut all the same.
        let mut heard = Heard::default();
        (0..100).for_each(|_| heard.hear(Voice::Thought, &"字".repeat(1_000)));
        assert!(heard.thought.text.len() < GATHERED_BYTES);
        assert!(heard.used(None, false, 0).0.thought >= 50_000);
    }
}
