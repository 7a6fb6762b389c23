//! Tokens of a text by OpenAI's o200k vocabulary, exactly as tiktoken counts them, in little memory:
//! 0.9 MB in the binary, 5 MB once it is first needed. The crates that do this hold tables for several
//! vocabularies, of 67 MB in the binary and 40 MB in memory.
//!
//! Source of the vocabulary, of the pattern that cuts a text into pieces, and of the order in which
//! pairs are merged: tiktoken (MIT), `o200k_base`. `make.py` packs the vocabulary.

use std::sync::LazyLock;

use regex::Regex;

static PACKED: &[u8] = include_bytes!("o200k.zst");

/// What the vocabulary is long, unpacked, in bytes: a bound for the one allocation.
const UNPACKED_BYTES: usize = 2 << 20;

/// Places of the table of tokens: two to a token, so that a search takes few steps.
const PLACES: usize = 1 << 19;

/// Bytes of a piece that are merged at once. Merging takes quadratic time; words are far shorter, and
/// what is longer (a line of dashes, data in base64) is cut, which costs a token or two for each cut.
const LONGEST_PIECE: usize = 256;

/// No token is here.
const NOTHING: u32 = u32::MAX;

/// Where a text is cut before its bytes are merged. A run of blanks before a word leaves its last blank
/// to the word; the pattern cannot look ahead, so [`pieces`] gives that one back.
const CUTS: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+",
);

/// The vocabulary; `None` if this build carries a broken one, which a test rules out.
static O200K: LazyLock<Option<Vocabulary>> = LazyLock::new(|| {
    let unpacked = zstd::bulk::decompress(PACKED, UNPACKED_BYTES).ok()?;
    Vocabulary::read(unpacked, CUTS)
});

/// Tokens of `text`. By four bytes to a token, should there be no vocabulary.
pub(super) fn tokens(text: &str) -> u64 {
    match &*O200K {
        Some(vocabulary) => vocabulary.count(text),
        None => (text.len() as u64).div_ceil(4),
    }
}

struct Vocabulary {
    /// Each token's length in a byte, then its bytes, in the order of ranks.
    bytes: Vec<u8>,
    /// Where the token of a rank begins, behind its length.
    starts: Vec<u32>,
    /// Ranks by the hash of their tokens; the next free place where one is taken.
    places: Vec<u32>,
    cuts: Regex,
}

impl Vocabulary {
    fn read(bytes: Vec<u8>, cuts: &str) -> Option<Self> {
        let cuts = Regex::new(cuts).ok()?;
        let mut starts = Vec::new();
        let mut at = 0;
        while let Some(length) = bytes.get(at) {
            starts.push(u32::try_from(at + 1).ok()?);
            at += 1 + usize::from(*length);
        }
        if at != bytes.len() || starts.len() > PLACES / 2 {
            return None;
        }
        let mut read = Self { bytes, starts, places: vec![NOTHING; PLACES], cuts };
        for rank in 0..u32::try_from(read.starts.len()).ok()? {
            let mut place = place_of(read.token(rank));
            while read.places.get(place).is_some_and(|taken| *taken != NOTHING) {
                place = (place + 1) % PLACES;
            }
            *read.places.get_mut(place)? = rank;
        }
        Some(read)
    }

    fn token(&self, rank: u32) -> &[u8] {
        let start = usize::try_from(rank).ok().and_then(|rank| self.starts.get(rank));
        let start = start.and_then(|start| usize::try_from(*start).ok()).unwrap_or(0);
        let length = start.checked_sub(1).and_then(|before| self.bytes.get(before));
        let end = start + length.map_or(0, |length| usize::from(*length));
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The rank of a token, [`NOTHING`] if it is none.
    fn rank(&self, token: &[u8]) -> u32 {
        let mut place = place_of(token);
        loop {
            match self.places.get(place).copied() {
                None | Some(NOTHING) => return NOTHING,
                Some(rank) if self.token(rank) == token => return rank,
                Some(_) => place = (place + 1) % PLACES,
            }
        }
    }

    fn count(&self, text: &str) -> u64 {
        let mut tokens = 0;
        let mut merging = Vec::new();
        for piece in pieces(&self.cuts, text) {
            for piece in piece.as_bytes().chunks(LONGEST_PIECE) {
                tokens += self.merged(piece, &mut merging);
            }
        }
        tokens
    }

    /// How many tokens a piece is merged into: of all pairs that stand side by side, the one of the
    /// lowest rank is merged first, until no pair is a token. `parts` is room to work in: where each
    /// part begins, and the rank that it has together with the next.
    fn merged(&self, piece: &[u8], parts: &mut Vec<(usize, u32)>) -> u64 {
        if piece.len() == 1 || self.rank(piece) != NOTHING {
            return 1;
        }
        parts.clear();
        let pair =
            |from: usize, to: usize| piece.get(from..to).map_or(NOTHING, |both| self.rank(both));
        parts.extend((0..piece.len()).map(|at| (at, pair(at, at + 2))));
        let begins = |parts: &[(usize, u32)], part: usize| {
            parts.get(part).map_or(piece.len(), |(begins, _)| *begins)
        };
        loop {
            let lowest = parts.iter().enumerate().min_by_key(|(_, (_, rank))| *rank);
            let Some((part, (_, rank))) = lowest else { return 0 };
            if *rank == NOTHING {
                return parts.len() as u64;
            }
            parts.remove(part + 1);
            for part in [Some(part), part.checked_sub(1)].into_iter().flatten() {
                // Up to the end of the next part, if there is one.
                let next = (part + 1 < parts.len())
                    .then(|| pair(begins(parts, part), begins(parts, part + 2)));
                if let Some((_, rank)) = parts.get_mut(part) {
                    *rank = next.unwrap_or(NOTHING);
                }
            }
        }
    }
}

/// FNV-1a: tokens are some six bytes long.
fn place_of(token: &[u8]) -> usize {
    let hash = token.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    usize::try_from((hash >> 32) % PLACES as u64).unwrap_or(0)
}

/// The pieces of a text, whose tokens do not reach into one another.
fn pieces<'a>(cuts: &'a Regex, text: &'a str) -> impl Iterator<Item = &'a str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = cuts.find_at(text, at)?;
        let mut piece = found.as_str();
        let last = piece.chars().next_back()?;
        if last.is_whitespace()
            && !matches!(last, '\r' | '\n')
            && found.end() < text.len()
            && piece.len() > last.len_utf8()
        {
            piece = piece.get(..piece.len() - last.len_utf8())?;
        }
        at = found.start() + piece.len();
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_that_is_carried_can_be_read() {
        let vocabulary = O200K.as_ref().unwrap();
        assert_eq!(vocabulary.starts.len(), 199_998);
        for rank in [0, 1, 255, 256, 100_000, 199_997] {
            assert_eq!(vocabulary.rank(vocabulary.token(rank)), rank);
        }
    }

    /// Counted by tiktoken 0.12.
    #[test]
    fn texts_are_counted_as_their_maker_counts() {
        for (text, count) in [
            ("", 0),
            ("Hello, world!", 4),
            ("  leading and   inner\t\tblanks  ", 10),
            ("I'm sure you'll say it's DON'T", 6),
            ("line one\n\n\n  indented\r\n\ttab\n", 9),
            ("1234567890 12 3.14159", 11),
            ("Donaudampfschifffahrtsgesellschaft äöü ß", 15),
            ("你好，世界！这是一个测试。", 8),
            ("Привет, как дела?", 6),
            ("مرحبا بالعالم", 4),
            ("नमस्ते दुनिया", 5),
            ("fn main() {\n    println!(\"{}\", x / 2); // half\n}\n", 16),
            ("{\"a\":[1,2,{\"b\":null}],\"c\":\"d\\n\"}", 18),
            ("🙂🙃👩\u{200d}👩\u{200d}👧 emoji", 12),
            ("aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQgZGF0YQ==", 27),
            ("----------------------------------------", 2),
            ("https://example.com/path/to?query=1&b=%20", 14),
            ("antidisestablishmentarianism pseudopseudohypoparathyroidism", 15),
            ("a\u{a0}b\u{2003}c\u{3000}d", 7),
            ("\n \n  \n   x", 4),
            ("camelCaseAndPascalCase snake_case SCREAMING_CASE", 12),
        ] {
            assert_eq!(tokens(text), count, "{text:?}");
        }
    }

    #[test]
    fn what_has_no_end_is_counted_in_time() {
        for text in ["-".repeat(200_000), "A".repeat(200_000), " ".repeat(200_000)] {
            let began = std::time::Instant::now();
            assert!(tokens(&text) > 100);
            assert!(began.elapsed().as_secs() < 5);
        }
    }
}
