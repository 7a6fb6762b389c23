//! Where candidates stand before they are looked at, and the best of them: a decision looks at a
//! handful of a thousand, so they are never put in order.

/// Where a candidate stands, as one number: the higher, the better. The upper four bits say whether it
/// is above the floor, whether it keeps what its caller said, and whether the conversation stays; the
/// others what it is worth at most, to within a millionth. Equals are both looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(i32);

/// Bits of what a candidate is worth.
const WORTH: u32 = 28;

impl Rank {
    /// Not to be asked, or looked at already.
    pub const OUT: Self = Self(i32::MIN);

    /// Of one that keeps what its caller said and does not stay. `worth` is finite.
    #[inline(always)]
    pub fn new(above_floor: bool, worth: f32) -> Self {
        let flags = i32::from(above_floor) * 4 + 2 - 4;
        // The bits of a float, in the order of the floats: of negative ones all but the sign turned.
        let bits = worth.to_bits().cast_signed();
        let ordered = bits ^ ((bits >> 31) & i32::MAX);
        Self((flags << WORTH) + (ordered >> (32 - WORTH)) + (1 << (WORTH - 1)))
    }

    /// The same where something that the caller said is lost.
    pub fn losing(self) -> Self {
        Self(self.0 - (2 << WORTH))
    }

    /// The same where the conversation stays.
    pub fn staying(self) -> Self {
        Self(self.0 + (1 << WORTH))
    }
}

/// Ranks whose highest is kept.
const ROW: usize = 16;

/// Ranks from the highest down, of equals the first in front, without those that are out. The highest
/// of each row is known, so that each takes a look at the rows and into one of them.
#[derive(Debug)]
pub(super) struct Best {
    ranks: Vec<Rank>,
    rows: Vec<Rank>,
}

impl Best {
    pub fn of(ranks: Vec<Rank>) -> Self {
        let rows = ranks.chunks(ROW).map(highest).collect();
        Self { ranks, rows }
    }
}

#[inline(always)]
fn highest(ranks: &[Rank]) -> Rank {
    ranks.iter().fold(Rank::OUT, |most, rank| if *rank > most { *rank } else { most })
}

impl Iterator for Best {
    type Item = (Rank, usize);

    fn next(&mut self) -> Option<(Rank, usize)> {
        let rank = highest(&self.rows);
        let row = self.rows.iter().position(|most| *most == rank)?;
        if rank == Rank::OUT {
            return None;
        }
        let from = row * ROW;
        let to = self.ranks.len().min(from + ROW);
        let ranks = self.ranks.get_mut(from..to)?;
        let at = ranks.iter().position(|one| *one == rank)?;
        *ranks.get_mut(at)? = Rank::OUT;
        *self.rows.get_mut(row)? = highest(ranks);
        Some((rank, from + at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_stand_in_the_order_of_what_they_are_made_of() {
        let worths = [f32::MIN, -2.5, -1e-9, -0.0, 0.0, 1e-9, 0.3, 0.300_01, 1.0, f32::MAX];
        let mut before = Rank::OUT;
        for flags in 0..8_u8 {
            for worth in worths {
                let has = |bit: u8| flags & bit != 0;
                let rank = Rank::new(has(4), worth);
                let rank = if has(2) { rank } else { rank.losing() };
                let rank = if has(1) { rank.staying() } else { rank };
                assert!(rank > before, "{flags} {worth}");
                before = rank;
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn they_come_as_a_sort_has_them(
            worths in proptest::collection::vec(0_u8..60, 0..300),
        ) {
            let ranks: Vec<Rank> = worths
                .iter()
                .map(|one| match one {
                    0..10 => Rank::OUT,
                    _ => Rank::new(*one > 40, f32::from(*one)),
                })
                .collect();
            let mut sorted: Vec<_> =
                ranks.iter().copied().zip(0..).filter(|(rank, _)| *rank != Rank::OUT).collect();
            sorted.sort_by_key(|(rank, place)| (std::cmp::Reverse(*rank), *place));
            proptest::prop_assert_eq!(Best::of(ranks).collect::<Vec<_>>(), sorted);
        }
    }
}
