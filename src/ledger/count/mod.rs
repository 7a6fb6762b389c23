//! Tokens counted here, where a provider says nothing of them.

mod vocabulary;

use super::Tokens;
use crate::wire::vocab::{Body, Reply};

/// More text than this is counted by what this much of it came to: nobody waits for a tokenizer.
const COUNTED_BYTES: usize = 256 << 10;

/// Tokens of `text`, by OpenAI's o200k vocabulary: within some percent of what other makers count.
#[must_use]
pub fn count_text(text: &str) -> u64 {
    let mut end = text.len().min(COUNTED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let counted = vocabulary::tokens(text.get(..end).unwrap_or_default());
    if end == text.len() || end == 0 {
        return counted;
    }
    counted.saturating_mul(text.len() as u64) / end as u64
}

/// What an answer says, in tokens.
#[must_use]
pub fn count_reply(reply: &Reply) -> Tokens {
    let mut said = String::new();
    let mut thought = String::new();
    for part in reply.choices.iter().flat_map(|choice| &choice.turn.parts) {
        match &part.body {
            Body::Text(text) | Body::Refusal(text) => said.push_str(text),
            Body::Thought(one) => thought.push_str(&one.text),
            Body::Call(call) => {
                said.push_str(&call.name);
                said.push_str(call.arguments.as_deref().unwrap_or_default());
            }
            // Neither is text.
            Body::Media(_) | Body::Outcome(_) | Body::Opaque(..) => {}
        }
    }
    Tokens { output: count_text(&said), thought: count_text(&thought), ..Tokens::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_counted_by_tokens() {
        assert_eq!(count_text(""), 0);
        assert_eq!(count_text("Hello, world!"), 4);
        assert!((40..=60).contains(&count_text(&"word ".repeat(50))));
    }

    #[test]
    fn long_text_is_counted_in_part() {
        let text = "äbc ".repeat(200_000);
        let part = count_text(&text[..COUNTED_BYTES - 1]);
        let all = count_text(&text);
        assert!(all > part * 3 && all < part * 5, "{all} of {part}");
    }
}
