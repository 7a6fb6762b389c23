//! A static embedding of text: words and pieces of words, hashed and weighted. No network, no
//! weights, microseconds; near for texts that share words or stems, blind for synonyms.

/// Numbers of a vector.
pub const DIMENSIONS: usize = 256;
/// What vectors of this kind are labelled with.
pub const NAME: &str = "optimux-hash-256";
/// More of a text is not looked at.
const LONGEST_BYTES: usize = 16 << 10;

/// Words that say little of what a text is about.
const COMMON: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in",
    "into", "is", "it", "its", "just", "me", "my", "of", "on", "or", "our", "please", "s", "she",
    "so", "some", "t", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "would", "you", "your",
];

/// FNV-1a with a finisher, so that neighbouring words fall far apart.
#[must_use]
pub fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The words of a text, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let end = text.floor_char_boundary(LONGEST_BYTES);
    let text = text.get(..end).unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[must_use]
pub fn is_common(word: &str) -> bool {
    COMMON.binary_search(&word).is_ok()
}

/// The vector of a text, of length 1; all zeros for a text without words.
#[must_use]
pub fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    let mut add = |hash: u64, weight: f32| {
        // Two places with signs: what collides in one is told apart by the other.
        for part in [hash, hash.rotate_left(32)] {
            let place = usize::try_from(part % DIMENSIONS as u64).unwrap_or(0);
            let sign = if part & (1 << 20) == 0 { 1.0 } else { -1.0 };
            if let Some(one) = vector.get_mut(place) {
                *one += sign * weight;
            }
        }
    };
    for word in words(text) {
        let weight = if is_common(&word) { 0.15 } else { 1.0 };
        add(hash(word.as_bytes(), 1), weight);
        // A stem, and pieces: plurals and slips of the keyboard stay near.
        let letters: Vec<char> = word.chars().collect();
        if weight > 0.5 && letters.len() > 4 {
            let stem: String = letters.iter().take(letters.len().min(5)).collect();
            add(hash(stem.as_bytes(), 2), 0.9);
            for piece in letters.windows(4) {
                let piece: String = piece.iter().collect();
                add(hash(piece.as_bytes(), 3), 0.15);
            }
        }
    }
    normalize(&mut vector);
    vector
}

/// Gives a vector the length 1, unless it has none.
pub fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|one| one * one).sum::<f32>().sqrt();
    if length > 0.0 {
        for one in vector {
            *one /= length;
        }
    }
}

/// A vector in bytes: a 127th of its greatest number each, which is as near as makes no difference.
#[must_use]
pub fn packed(vector: &[f32]) -> Vec<i8> {
    let most = vector.iter().fold(0.0_f32, |most, one| most.max(one.abs())).max(1e-9);
    #[expect(clippy::cast_possible_truncation, reason = "from -127 to 127")]
    let byte = |one: &f32| (one / most * 127.0).round() as i8;
    vector.iter().map(byte).collect()
}

/// The product of two packed vectors. Their lengths must be the same, or the longer is cut.
#[must_use]
pub fn product(one: &[i8], other: &[i8]) -> i32 {
    one.iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// The cosine of two packed vectors.
#[must_use]
pub fn cosine(one: &[i8], other: &[i8]) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "sums of a few thousand bytes")]
    let real = |n: i32| n as f32;
    let lengths = real(product(one, one)).sqrt() * real(product(other, other)).sqrt();
    if lengths > 0.0 { real(product(one, other)) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &str, other: &str) -> f32 {
        cosine(&packed(&embed(one)), &packed(&embed(other)))
    }

    #[test]
    fn what_shares_words_is_near() {
        assert!(COMMON.is_sorted(), "it is searched by halves");
        let same = near("What is the capital of France?", "what is the capital of france");
        let like = near("What is the capital of France?", "Tell me the capital of France, please");
        let stem = near("She collects stamps", "stamp collecting");
        let unlike = near("What is the capital of France?", "How do I bake sourdough bread?");
        assert!(
            same > 0.99 && like > 0.85 && stem > 0.3 && unlike < 0.3,
            "{same} {like} {stem} {unlike}"
        );
        assert!(near("capital of France", "capital of Spain") < 0.85);
        assert!(near("", "anything").abs() < 1e-6);
        assert_eq!(embed("日本の首都").len(), DIMENSIONS);
    }

    #[test]
    fn packing_keeps_angles() {
        let (one, other) =
            (embed("a red bicycle in the rain"), embed("a red bike in rainy weather"));
        let exact: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
        assert!((exact - cosine(&packed(&one), &packed(&other))).abs() < 0.02);
    }
}
