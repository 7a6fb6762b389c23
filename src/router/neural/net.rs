//! The networks, as they are asked.

use super::text::COUNTS;

/// The sizes of a trained router. One of several networks each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape;

impl Shape {
    /// Networks whose answers are averaged. They share what is read of the prompt.
    pub const NETS: usize = 3;
    /// A network's part of a bucket's vector.
    pub const EMBED: usize = 32;
    /// Of the vectors of words that were learned elsewhere.
    pub const VECTOR: usize = 64;
    pub const INPUT: usize = Self::EMBED + COUNTS + Self::VECTOR;
    pub const HIDDEN: usize = 64;
    /// Directions of skill.
    pub const RANK: usize = 16;
    /// A bucket's vector.
    pub const WIDE: usize = Self::NETS * Self::EMBED;
    /// Outputs: ease, length, and the directions.
    pub const HEADS: usize = 2 + Self::RANK;
    /// What a prompt demands: the directions of every network.
    pub const DEMANDS: usize = Self::NETS * Self::RANK;
    /// The most domains, everyday use among them.
    pub const DOMAINS: usize = 96;
}

/// One network's matrices. A row is what one input adds to everything above it: such rows are added
/// up without a sum across, and those of silent units not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    /// `INPUT` rows of `HIDDEN`.
    pub first: Vec<f32>,
    pub first_bias: Vec<f32>,
    /// `HIDDEN` rows of `HEADS`.
    pub second: Vec<f32>,
    pub second_bias: Vec<f32>,
    /// `INPUT` rows of `HEADS`, past the hidden layer.
    pub skip: Vec<f32>,
    /// `HIDDEN` rows of `DOMAINS`: which domain a prompt is of.
    pub tell: Vec<f32>,
    pub tell_bias: Vec<f32>,
}

/// What one network says of a prompt.
pub(super) struct Said {
    pub heads: [f32; Shape::HEADS],
    pub domains: [f32; Shape::DOMAINS],
}

/// Adds to `sums` what each input brings.
pub(super) fn bring<const N: usize>(sums: &mut [f32; N], inputs: &[f32], rows: &[f32]) {
    let (rows, _) = rows.as_chunks::<N>();
    for (input, row) in inputs.iter().zip(rows) {
        if *input != 0.0 {
            for (sum, one) in sums.iter_mut().zip(row) {
                *sum += input * one;
            }
        }
    }
}

/// A copy of numbers that are `N` unless a file was misread, which [`super::format`] rules out.
pub(super) fn array<const N: usize>(numbers: &[f32]) -> [f32; N] {
    numbers.try_into().unwrap_or([0.0; N])
}

impl Net {
    pub(super) fn ask(&self, input: &[f32; Shape::INPUT]) -> Said {
        let mut hidden = array::<{ Shape::HIDDEN }>(&self.first_bias);
        bring(&mut hidden, input, &self.first);
        for unit in &mut hidden {
            *unit = unit.max(0.0);
        }
        let mut heads = array::<{ Shape::HEADS }>(&self.second_bias);
        bring(&mut heads, &hidden, &self.second);
        bring(&mut heads, input, &self.skip);
        let mut domains = array::<{ Shape::DOMAINS }>(&self.tell_bias);
        bring(&mut domains, &hidden, &self.tell);
        Said { heads, domains }
    }
}

/// Sums of rows of bytes. Narrow ones first, since there are more of them to a vector.
pub(super) struct Sums<const N: usize> {
    narrow: [i16; N],
    pub wide: [i32; N],
    pub added: u32,
}

impl<const N: usize> Sums<N> {
    /// So many bytes fit into a narrow sum, whatever they are.
    const FIT: u32 = 256;

    pub fn new() -> Self {
        Self { narrow: [0; N], wide: [0; N], added: 0 }
    }

    pub fn add(&mut self, row: &[u8; N]) {
        for (sum, one) in self.narrow.iter_mut().zip(row) {
            *sum += i16::from(one.cast_signed());
        }
        self.added += 1;
        if self.added.is_multiple_of(Self::FIT) {
            self.widen();
        }
    }

    pub fn widen(&mut self) {
        for (wide, narrow) in self.wide.iter_mut().zip(&mut self.narrow) {
            *wide += i32::from(std::mem::take(narrow));
        }
    }
}

pub(crate) fn dot(one: &[f32], other: &[f32]) -> f32 {
    // Several sums side by side, so that it becomes vector instructions.
    let mut sums = [0.0_f32; 8];
    let (left, right) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest: f32 =
        left.remainder().iter().zip(right.remainder()).map(|(left, right)| left * right).sum();
    for (left, right) in left.zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(crate) fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for one in logits.iter_mut() {
        *one = (*one - most).exp();
        sum += *one;
    }
    for one in logits.iter_mut() {
        *one /= sum;
    }
}

/// The place of a pair's bit.
pub(crate) fn spot(bit: usize) -> (usize, u64) {
    (bit / 64, 1 << (bit % 64))
}
