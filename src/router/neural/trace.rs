//! Where words, pairs, stems and marks stand in the tables: by their hashes.

/// Rows of the table that words are hashed into.
pub const BUCKETS: usize = 1 << 15;
/// Bits for pairs of words that are known.
pub const PAIRS: usize = 1 << 20;
/// Rows of the table of word vectors that were learned elsewhere.
pub const VECTORS: usize = 1 << 16;
/// Rows of the tables of what single words and pairs speak for.
pub const SIGNS: usize = 1 << 16;
/// Seeds that keep the kinds of features apart.
const WORD: u64 = 0x9E37_79B9_7F4A_7C15;
const PAIR: u64 = 0xC2B2_AE3D_27D4_EB4F;
const STEMMED: u64 = 0x1656_67B1_9E37_79F9;
const MARK: u64 = 0x27D4_EB2F_1656_67C5;

/// What kind of feature of a text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceKind {
    Word,
    /// Two words in a row: what tells the familiar from the new.
    Pair,
    /// The first letters of a longer word.
    Stem,
    Mark,
}

/// Something that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    hash: u64,
    pub kind: TraceKind,
}

impl Trace {
    pub(super) fn new(hash: u64, kind: TraceKind) -> Self {
        let seed = match kind {
            TraceKind::Word => WORD,
            TraceKind::Pair => PAIR,
            TraceKind::Stem => STEMMED,
            TraceKind::Mark => MARK,
        };
        let mut mixed = (hash ^ seed).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        Self { hash: mixed, kind }
    }

    /// Its row of the table.
    #[must_use]
    pub fn bucket(self) -> usize {
        usize::try_from(self.hash >> (64 - BUCKETS.trailing_zeros())).unwrap_or(0)
    }

    /// A word's row of the table of vectors.
    #[must_use]
    pub fn vector(self) -> usize {
        usize::try_from((self.hash >> 20) % VECTORS as u64).unwrap_or(0)
    }

    /// Its row of the tables of signs.
    #[must_use]
    pub fn sign(self) -> usize {
        usize::try_from((self.hash >> 28) % SIGNS as u64).unwrap_or(0)
    }

    /// Its bit among the pairs.
    #[must_use]
    pub fn bit(self) -> usize {
        usize::try_from(self.hash % PAIRS as u64).unwrap_or(0)
    }
}

/// What a word is known by.
pub(super) const fn hash_of(word: &[u8]) -> u64 {
    let (mut hash, mut at) = (0, 0);
    while at < word.len() {
        hash = spelled(hash, word[at] as u64);
        at += 1;
    }
    hash
}

/// One more letter of a word.
pub(super) const fn spelled(hash: u64, code: u64) -> u64 {
    (hash.rotate_left(5) ^ code).wrapping_mul(0x517C_C1B7_2722_0A95)
}
