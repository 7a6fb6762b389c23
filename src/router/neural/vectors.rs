//! Vectors of words that were learned elsewhere, as a file: a mark, then a row of bytes for each
//! place that a word may be hashed to. `router-models/words.py` writes it.

use std::borrow::Cow;

use super::format_error::FormatError;
use super::net::{NetShape, dot, sum};
use super::trace::VECTORS;

const MARK: &[u8; 8] = b"OPTXWRD1";

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors(pub Cow<'static, [u8]>);

impl Vectors {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`] for anything but a whole table of this shape.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let rows = bytes.strip_prefix(MARK).ok_or(FormatError::Mark)?;
        if rows.len() != VECTORS * NetShape::VECTOR {
            return Err(FormatError::Length);
        }
        Ok(Self(Cow::Owned(rows.to_vec())))
    }

    /// A table without a word.
    #[must_use]
    pub fn empty() -> Self {
        Self(Cow::Owned(vec![0; VECTORS * NetShape::VECTOR]))
    }

    /// Where a text points, by the rows of its words.
    #[must_use]
    pub fn of(&self, words: &[usize]) -> [f32; NetShape::VECTOR] {
        direction(&sum(&self.0, words))
    }
}

/// The length of a text's vector: .3 in each direction.
const LENGTH: f32 = 2.4;

/// The direction of a sum of vectors, of the length that networks like.
#[inline(always)]
pub(super) fn direction(sum: &[i32; NetShape::VECTOR]) -> [f32; NetShape::VECTOR] {
    #[expect(clippy::cast_precision_loss, reason = "sums of bytes")]
    let mut vector = sum.map(|one| one as f32);
    let far = dot(&vector, &vector).sqrt();
    if far > 0.0 {
        for one in &mut vector {
            *one *= LENGTH / far;
        }
    }
    vector
}
