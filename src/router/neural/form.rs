//! What a prompt looks like beside its words: how it is written, and what came with it. Judged for
//! prompts of everyday use; questions of benchmarks come alone.

use super::trace::{hash_of, spelled};

/// Counts of how a text is written.
pub const MANNERS: usize = 8;
/// Counts of what came with it.
pub const FORMS: usize = 8;

/// Words that a length is counted in.
pub(super) const UNITS: [u64; 15] = [
    hash_of(b"word"),
    hash_of(b"words"),
    hash_of(b"palabras"),
    hash_of(b"mots"),
    hash_of(b"parole"),
    hash_of(b"palavras"),
    hash_of(b"woorden"),
    hash_of(b"worte"),
    hash_of_codes(&[0x77, 0xF6, 0x72, 0x74, 0x65, 0x72]),
    hash_of_codes(&[0x77, 0xF6, 0x72, 0x74, 0x65, 0x72, 0x6E]),
    hash_of_codes(&[0x441, 0x43B, 0x43E, 0x432]),
    hash_of_codes(&[0x73, 0x142, 0xF3, 0x77]),
    hash_of_codes(&[0x643, 0x644, 0x645, 0x629]),
    hash_of_codes(&[0x5B57]),
    hash_of_codes(&[0x6587]),
];

/// Shorter lengths, in words, are about a part of an answer.
const FEWEST_WORDS: u32 = 30;
/// Longer ones are no lengths: "2024 words".
const MOST_WORDS: u32 = 20_000;
/// Tokens of a word, with what stands around an answer of so many.
const TOKENS_PER_WORD: f32 = 1.4;

const fn hash_of_codes(codes: &[u64]) -> u64 {
    let (mut hash, mut at) = (0, 0);
    while at < codes.len() {
        hash = spelled(hash, codes[at]);
        at += 1;
    }
    hash
}

/// What comes with a prompt beside its last words: sizes of what was said before, JSON, files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PromptForm {
    /// Bytes of the system prompt.
    pub system: usize,
    /// Turns before the last thing that was said, and their bytes.
    pub turns: usize,
    pub said: usize,
    /// An answer in JSON is asked for.
    pub json: bool,
    /// Pictures, recordings and files.
    pub files: usize,
}

fn log(count: usize) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "the order of a size")]
    let count = count as f32;
    count.ln_1p()
}

fn whether(is: bool) -> f32 {
    if is { 1.0 } else { 0.0 }
}

impl PromptForm {
    /// Each of the order of 1.
    #[must_use]
    pub fn counts(self, tools: usize) -> [f32; FORMS] {
        [
            whether(self.system > 0),
            log(self.system) / 3.0,
            whether(self.turns > 0),
            log(self.turns),
            log(self.said) / 3.0,
            log(tools),
            whether(tools > 0),
            whether(self.json),
        ]
    }
}

/// How a text is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextStyle {
    pub commas: u32,
    pub fences: u32,
    pub long_words: u32,
    /// Words of the longest sentence, of the first line and of the last.
    pub longest: u32,
    pub first_line: u32,
    pub last_line: u32,
    /// It begins with a small letter.
    pub casual: bool,
    /// It ends with a question.
    pub asks: bool,
    /// The longest answer that is asked for, in words.
    words: u32,
}

impl TextStyle {
    pub fn asks_for(&mut self, words: u32) {
        // Years are no lengths, and nobody asks for 1,987 words.
        let year = (1_900..2_100).contains(&words) && !words.is_multiple_of(100);
        if (FEWEST_WORDS..=MOST_WORDS).contains(&words) && !year {
            self.words = self.words.max(words);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 20,000")]
    pub fn asked(self) -> Option<f32> {
        (self.words > 0).then_some(self.words as f32 * TOKENS_PER_WORD)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a few thousand characters")]
    pub fn counts(self) -> [f32; MANNERS] {
        let log = |count: u32| (count as f32).ln_1p();
        [
            log(self.commas),
            whether(self.fences > 0),
            log(self.long_words),
            log(self.longest),
            log(self.first_line),
            log(self.last_line),
            whether(self.casual),
            whether(self.asks),
        ]
    }
}
