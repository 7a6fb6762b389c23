//! What a prompt was taken for, in words.

use std::fmt::Write as _;

use crate::ledger::{PromptEstimate, of_hundredths};

/// Classes of models, from 1.
const CLASSES: [&str; 5] = [
    "any small model",
    "a good small model",
    "a middle model",
    "a frontier model",
    "a frontier model that thinks for long",
];

/// What a prompt takes, how sure that is, and what it rests on: a sentence.
#[must_use]
pub fn in_words(taken: &PromptEstimate) -> String {
    let [ease, unsure, need] = [taken.ease, taken.unsure, taken.need].map(of_hundredths);
    let (thinking, everyday) = (of_hundredths(taken.thinking), of_hundredths(taken.everyday));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 5")]
    let class = (need.round().clamp(1.0, 5.0) as usize) - 1;
    let thought = match thinking {
        thinking if thinking < 0.5 => "thinking first adds little",
        thinking if thinking < 1.3 => "thinking first helps",
        _ => "it takes thinking first",
    };
    let mut words = format!(
        "It takes {} ({need:.1} of 5; ease {ease:+.2}, give or take {unsure:.2}), and {thought}. ",
        CLASSES.get(class).copied().unwrap_or_default()
    );
    // Writing to a String cannot fail.
    if everyday >= 0.5 {
        let _infallible = write!(
            words,
            "That rests on everyday prompts that people have rated, which it is like ({:.0}%).",
            everyday * 100.0
        );
        return words;
    }
    let (belief, novelty) = (of_hundredths(taken.belief), of_hundredths(taken.novelty));
    let like = match belief {
        belief if belief >= 0.6 => "much like",
        belief if belief >= 0.3 => "somewhat like",
        _ => "little like",
    };
    let _infallible = write!(
        words,
        "That rests on prompts with measured scores, which it is {like}: {:.0}% of what was learned of \
         them is believed of it, and {:.0}% of its word pairs are new.",
        belief * 100.0,
        novelty * 100.0
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_told_in_a_sentence() {
        let taken = PromptEstimate {
            ease: 123,
            unsure: 50,
            need: 290,
            thinking: 150,
            ..PromptEstimate::default()
        };
        let words = in_words(&PromptEstimate { belief: 70, novelty: 12, ..taken });
        assert!(words.starts_with("It takes a middle model (2.9 of 5; ease +1.23"), "{words}");
        assert!(
            words.contains("it takes thinking first") && words.contains("much like"),
            "{words}"
        );
        let words = in_words(&PromptEstimate { everyday: 90, ..taken });
        assert!(words.contains("everyday prompts that people have rated"), "{words}");
        for need in [i16::MIN, 0, 700, i16::MAX] {
            assert!(in_words(&PromptEstimate { need, ..taken }).contains("model"));
        }
    }
}
