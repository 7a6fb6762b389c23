//! What a provider has said so far, kept to be counted should its own count never come.

use crate::ledger::{Basis, Tokens, count_reply};
use crate::wire::ProviderSide;
use crate::wire::vocab::{Fold, Usage};

/// So much of a stream is kept; nobody waits for more to be counted.
const KEPT_BYTES: usize = 256 << 10;
/// No event is larger.
const EVENT_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Heard(Vec<u8>);

impl Heard {
    pub fn take(&mut self, chunk: &[u8]) {
        if self.0.len() < KEPT_BYTES {
            self.0.extend_from_slice(chunk);
        }
    }

    /// The usage is known to its end.
    pub fn forget(&mut self) {
        self.0 = Vec::new();
    }

    /// What the stream used: the provider's count if it came to its end, else ours of what was said.
    pub fn used(
        &self,
        theirs: &dyn ProviderSide,
        usage: Option<&Usage>,
        to_the_end: bool,
        prompt_tokens: u64,
    ) -> (Tokens, Basis) {
        let reported = usage.map(Tokens::from);
        if let Some(reported) = reported.filter(|_| to_the_end) {
            return (reported, Basis::Reported);
        }
        let (mut reader, mut fold, mut events) = (theirs.reader(), Fold::new(), Vec::new());
        // What cannot be read was not said.
        let _cut = theirs.splitter(EVENT_BYTES).feed(&self.0, |frame| {
            events.clear();
            if reader.read(&frame, &mut events).is_ok() {
                for event in &events {
                    fold.push(event);
                }
            }
        });
        let counted = count_reply(&fold.finish().0);
        let known = reported.unwrap_or(Tokens { input: prompt_tokens, ..Tokens::default() });
        // A count under way may be behind what was said (Anthropic's begins with 1).
        let output = counted.output.max(known.output);
        let thought = counted.thought.max(known.thought);
        (Tokens { output, thought, ..known }, Basis::Estimated)
    }
}
