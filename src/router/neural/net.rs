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
    pub const DOMAINS: usize = 88;
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

/// Sums that are kept in registers while rows are added, and those of what is left over.
const BLOCK: usize = 32;
const FEWER: usize = 24;

/// Adds to the part of the sums that begins at `from` what each input brings by its row: `M` at a
/// time, in registers.
#[inline(always)]
fn bring_part<'a, const N: usize, const M: usize>(
    sums: &mut [f32; M],
    inputs: impl Iterator<Item = (f32, &'a [f32; N])>,
    from: usize,
) {
    let mut all = *sums;
    for (input, row) in inputs {
        if let Some(part) = row.get(from..).and_then(|row| row.first_chunk::<M>()) {
            for (sum, one) in all.iter_mut().zip(part) {
                *sum += input * one;
            }
        }
    }
    *sums = all;
}

/// Adds to `sums` what the inputs bring, each by its row. An addition takes four times as long as it is
/// until the next can begin, so sums go side by side: all, where they are few.
#[inline(always)]
fn bring_each<'a, const N: usize>(
    sums: &mut [f32; N],
    inputs: impl Iterator<Item = (f32, &'a [f32; N])> + Clone,
) {
    if N < BLOCK {
        return bring_part(sums, inputs, 0);
    }
    let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
    let (fewer, rest) = rest.as_chunks_mut::<FEWER>();
    let mut from = 0;
    for block in blocks {
        bring_part(block, inputs.clone(), from);
        from += BLOCK;
    }
    for block in fewer {
        bring_part(block, inputs.clone(), from);
        from += FEWER;
    }
    for one in rest {
        let mut sum = [*one];
        bring_part(&mut sum, inputs.clone(), from);
        [*one] = sum;
        from += 1;
    }
}

/// Adds to `sums` what each input brings.
#[inline(always)]
pub(super) fn bring<const N: usize>(sums: &mut [f32; N], inputs: &[f32], rows: &[f32]) {
    let (rows, _) = rows.as_chunks::<N>();
    bring_each(sums, inputs.iter().copied().zip(rows));
}

/// The same where many inputs are nothing: those that are something, by their places.
#[inline(always)]
fn bring_some<const N: usize>(sums: &mut [f32; N], inputs: &[(usize, f32)], rows: &[f32]) {
    let (rows, _) = rows.as_chunks::<N>();
    bring_each(sums, inputs.iter().filter_map(|(place, input)| Some((*input, rows.get(*place)?))));
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
    pub(super) fn ask(&self, input: &[f32; Shape::INPUT]) -> Said {
        let mut hidden = array::<{ Shape::HIDDEN }>(&self.first_bias);
        bring(&mut hidden, input, &self.first);
        // Silent units bring nothing. Which are silent is not to be guessed, so there is no branch.
        let mut loud = [(0_usize, 0.0_f32); Shape::HIDDEN];
        let mut count = 0;
        for (place, unit) in hidden.into_iter().enumerate() {
            if let Some(next) = loud.get_mut(count) {
                *next = (place, unit);
            }
            count += usize::from(unit > 0.0);
        }
        let loud = loud.get(..count).unwrap_or_default();
        let mut heads = array::<{ Shape::HEADS }>(&self.second_bias);
        bring_some(&mut heads, loud, &self.second);
        bring(&mut heads, input, &self.skip);
        let mut domains = array::<{ Shape::DOMAINS }>(&self.tell_bias);
        bring_some(&mut domains, loud, &self.tell);
        Said { heads, domains }
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
