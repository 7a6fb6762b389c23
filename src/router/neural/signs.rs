//! What single words and pairs speak for, model by model: a ridge regression of scores on them, cut
//! to the directions in which models differ most. Networks fit such plain evidence too little.

use std::borrow::Cow;

use super::net::{NetShape, bring};
use super::text::COUNTS;

/// The regression; empty tables where it was not trained.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signs {
    /// A row for each sign: what it adds to the directions, and its weight squared.
    pub table: Cow<'static, [u8]>,
    /// Of the directions, and of the squares.
    pub steps: [f32; 2],
    /// What counts and vectors add: `COUNTS + VECTOR` rows of `RANK`.
    pub beside: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Signs {
    /// Directions that are kept.
    pub const RANK: usize = 47;
    /// Numbers of a sign's row.
    pub const WIDE: usize = Self::RANK + 1;
    /// Numbers beside the words.
    pub const BESIDE: usize = COUNTS + NetShape::VECTOR;

    pub(super) fn sum(
        &self,
        rows: &[i32; Self::WIDE],
        counts: &[f32; COUNTS],
        vector: &[f32; NetShape::VECTOR],
    ) -> [f32; Self::RANK] {
        let mut sums = [0.0; Self::RANK];
        if self.table.is_empty() {
            return sums;
        }
        let [first @ .., square] = rows;
        let [step, square_step] = self.steps;
        #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
        let scale = step / (*square as f32 * square_step + 1e-6).sqrt();
        for ((sum, one), bias) in sums.iter_mut().zip(first).zip(&self.bias) {
            #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
            let one = *one as f32;
            *sum = bias + one * scale;
        }
        let (of_counts, of_vector) =
            self.beside.split_at_checked(COUNTS * Self::RANK).unwrap_or_default();
        bring(&mut sums, counts, of_counts);
        bring(&mut sums, vector, of_vector);
        sums
    }
}
