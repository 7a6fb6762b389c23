//! How much a provider has said so far, should its own count never come: measured as it goes by, and
//! counted only if it has to be.

use crate::ledger::{Basis, Tokens, count_text};
use crate::wire::glance::Voice;
use crate::wire::vocab::{Body, Delta, Event, Slot, Usage};

/// Text is looked at in blocks of so many bytes, and so many blocks are kept of it, evenly spread: the
/// memory that a stream takes, however long it gets. Shorter texts are kept, and counted, whole.
const BLOCK_BYTES: usize = 512;
const BLOCKS: usize = 16;

/// The length of a text that comes in pieces, and a sample of it.
#[derive(Debug, Default)]
struct Tally {
    bytes: u64,
    blocks: Vec<String>,
    /// Every block whose number this divides is kept; a power of two, written as its exponent.
    sparse: u32,
    number: u64,
    /// Bytes of the block under way.
    filled: usize,
}

impl Tally {
    fn hear(&mut self, mut text: &str) {
        self.bytes += text.len() as u64;
        while !text.is_empty() {
            let mut end = (BLOCK_BYTES - self.filled).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            let (piece, rest) = text.split_at(end);
            text = rest;
            if self.number.trailing_zeros() >= self.sparse {
                self.keep(piece);
            }
            self.filled += piece.len();
            if self.filled >= BLOCK_BYTES {
                self.filled = 0;
                self.number += 1;
            }
        }
    }

    fn keep(&mut self, piece: &str) {
        if self.filled == 0 {
            if self.blocks.len() == BLOCKS {
                // Twice as far apart from here on; every second of those that were kept goes.
                let mut odd = true;
                self.blocks.retain(|_| {
                    odd = !odd;
                    !odd
                });
                self.sparse += 1;
                if self.number.trailing_zeros() < self.sparse {
                    return;
                }
            }
            self.blocks.push(String::new());
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push_str(piece);
        }
    }

    fn tokens(&self) -> u64 {
        let sample = self.blocks.concat();
        let counted = count_text(&sample);
        match sample.len() as u64 {
            0 => 0,
            kept if kept == self.bytes => counted,
            kept => counted.saturating_mul(self.bytes) / kept,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Transcript {
    said: Tally,
    thought: Tally,
    /// The thoughts that are open; any other part is said.
    thoughts: Vec<Slot>,
}

impl Transcript {
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

    /// What the stream used by our own count.
    pub fn estimated(&self, prompt_tokens: u64) -> Usage {
        let (output, thought) = (self.said.tokens(), self.thought.tokens());
        Usage { input: prompt_tokens, output, thought, ..Usage::default() }
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

    /// Different from one end to the other, so that a part does not speak for the whole.
    fn text() -> String {
        let line = |number: usize| match number / 700 {
            0 => format!("It was the best of times, it was the worst of times, {number}.\n"),
            1 => format!("let x{number} = map.get(&\"k\").unwrap_or(&{number});\n"),
            _ => format!("年年有余 {number}。\n"),
        };
        (0..2_100).map(line).collect()
    }

    fn tally(text: &str, piece: usize) -> Tally {
        let mut tally = Tally::default();
        let mut rest = text;
        while !rest.is_empty() {
            let mut end = piece.min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            tally.hear(&rest[..end]);
            rest = &rest[end..];
        }
        tally
    }

    #[test]
    fn a_long_text_is_counted_by_a_sample_of_bounded_size() {
        let text = text();
        for piece in [3, 50, 5_000, text.len()] {
            let tally = tally(&text, piece);
            let kept: usize = tally.blocks.iter().map(String::len).sum();
            assert!(kept <= BLOCKS * (BLOCK_BYTES + 4), "{kept}");
            let (counted, exact) = (tally.tokens(), count_text(&text));
            assert!(counted.abs_diff(exact) * 8 < exact, "{counted} of {exact} by {piece}");
        }
        // The same all over: the sample is as good as the whole.
        let even = "It was the best of times, it was the worst of times. ".repeat(8_000);
        let exact = count_text(&even[..53 * 100]) * 80;
        let counted = tally(&even, 17).tokens();
        assert!(counted.abs_diff(exact) * 50 < exact, "{counted} of {exact}");
    }

    #[test]
    fn a_short_text_is_counted_as_it_is() {
        let text: String = text().chars().take(6_000).collect();
        for piece in [1, 9, 600] {
            assert_eq!(tally(&text, piece).tokens(), count_text(&text));
        }
        assert_eq!(Tally::default().tokens(), 0);
        let mut transcript = Transcript::default();
        transcript.hear(Voice::Thought, "Hello, world!");
        let (tokens, basis) = transcript.used(None, false, 5);
        assert_eq!((tokens.input, tokens.output, tokens.thought), (5, 0, 4));
        assert_eq!(basis, Basis::Estimated);
    }
}
