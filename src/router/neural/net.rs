//! The networks, as they are asked.

use super::text::COUNTS;

/// The sizes of a trained router. One of several networks each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetShape;

impl NetShape {
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
    pub const DOMAINS: usize = 88;
}

/// One network's matrices. A row is what one input adds to everything above it: such rows are added
/// up without a sum across.
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

/// What one network of the router gives for a prompt.
pub(super) struct NetOutput {
    pub heads: [f32; NetShape::HEADS],
    pub domains: [f32; NetShape::DOMAINS],
}

/// Adds to `sums` what each input brings by its row. All sums stay in registers meanwhile: eight to
/// a register, and no more than a dozen registers.
#[inline(always)]
pub(super) fn bring<const N: usize>(sums: &mut [f32; N], inputs: &[f32], rows: &[f32]) {
    let (rows, _) = rows.as_chunks::<N>();
    let mut all = *sums;
    for (input, row) in inputs.iter().zip(rows) {
        for (sum, one) in all.iter_mut().zip(row) {
            *sum += input * one;
        }
    }
    *sums = all;
}

/// Arithmetic that is compiled for more than one kind of processor. `done` is `#[inline(always)]`, and
/// so is what it calls: what is not inlined is compiled for the oldest.
pub(crate) trait Arithmetic {
    type Result;

    fn done(self) -> Self::Result;
}

struct Widely<A>(A);

impl<A: Arithmetic> pulp::NullaryFnOnce for Widely<A> {
    type Output = A::Result;

    #[inline(always)]
    fn call(self) -> A::Result {
        self.0.done()
    }
}

/// Does arithmetic with the widest instructions that the processor has. What comes of it is the same
/// on every processor: sums are added up in the same order.
pub(crate) fn widely<A: Arithmetic>(arithmetic: A) -> A::Result {
    pulp::Arch::new().dispatch(Widely(arithmetic))
}

/// A copy of numbers that are `N` unless a file was misread, which [`super::format`] rules out.
pub(super) fn array<const N: usize>(numbers: &[f32]) -> [f32; N] {
    numbers.try_into().unwrap_or([0.0; N])
}

impl Net {
    #[inline(always)]
    pub(super) fn ask(&self, input: &[f32; NetShape::INPUT]) -> NetOutput {
        let mut hidden = array::<{ NetShape::HIDDEN }>(&self.first_bias);
        bring(&mut hidden, input, &self.first);
        // Half of the units are silent. To find out which takes longer than to add nothing.
        let hidden = hidden.map(|unit| unit.max(0.0));
        let mut heads = array::<{ NetShape::HEADS }>(&self.second_bias);
        bring(&mut heads, &hidden, &self.second);
        bring(&mut heads, input, &self.skip);
        let mut domains = array::<{ NetShape::DOMAINS }>(&self.tell_bias);
        bring(&mut domains, &hidden, &self.tell);
        NetOutput { heads, domains }
    }
}

/// So many rows are summed at a time: fewer than fit into a narrow sum, whatever they are.
const AT_A_TIME: usize = 64;

/// The sum of rows of signed bytes.
#[inline(always)]
pub(super) fn sum<const N: usize>(rows: &[u8], places: &[usize]) -> [i32; N] {
    let (rows, _) = rows.as_chunks::<N>();
    let mut wide = [0_i32; N];
    for places in places.chunks(AT_A_TIME) {
        // Rows are far apart in memory. Either end of each is looked at first, so that all of them
        // come at the same time; what is seen there is of no use.
        let ends = places.iter().filter_map(|place| rows.get(*place));
        let ends = ends.fold(0, |seen, row| match row.as_slice() {
            [first, .., last] => seen ^ first ^ last,
            _ => seen,
        });
        std::hint::black_box(ends);
        // Narrow ones first, since there are more of them to a vector.
        let mut narrow = [0_i16; N];
        for row in places.iter().filter_map(|place| rows.get(*place)) {
            for (sum, one) in narrow.iter_mut().zip(row) {
                *sum += i16::from(one.cast_signed());
            }
        }
        for (wide, narrow) in wide.iter_mut().zip(narrow) {
            *wide += i32::from(narrow);
        }
    }
    wide
}

#[inline(always)]
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
