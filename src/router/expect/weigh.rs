//! What seats are worth: the chance of a good answer, and what of it its cost leaves.

use super::{BELOW, Expectations};
use crate::router::neural::{Arithmetic, widely};
use crate::router::rank::Rank;

impl Expectations {
    /// Probability of a good answer at a seat.
    #[must_use]
    pub fn quality(&self, seat: usize) -> f32 {
        logistic(self.logits.get(seat).copied().unwrap_or(f32::MIN))
    }

    /// The same with caution: what the ranking goes by.
    #[must_use]
    pub fn value(&self, seat: usize) -> f32 {
        logistic(self.logits.get(seat).copied().unwrap_or(f32::MIN) - self.common.caution)
    }

    /// The seat of the best answer, of equals the first.
    #[must_use]
    pub fn best(&self) -> Option<usize> {
        let most = widely(Most(&self.logits));
        self.logits.iter().position(|logit| *logit >= most)
    }

    /// What every seat is worth at most: its value less its cost, where a dollar is worth so much
    /// quality. A little more than it is, so that nothing rounded makes it less. `floor` is the least
    /// quality that is wished for, in log-odds.
    #[must_use]
    pub fn worth(&self, dollar: f32, floor: f32) -> SeatBounds {
        widely(Weighing { expected: self, dollar: dollar * BELOW, floor })
    }
}

/// The highest of all.
struct Most<'a>(&'a [f32]);

impl Arithmetic for Most<'_> {
    type Result = f32;

    #[inline(always)]
    fn done(self) -> f32 {
        let (rows, rest) = self.0.as_chunks::<32>();
        let higher = |one: f32, other: f32| if other > one { other } else { one };
        let mut most = [f32::MIN; 32];
        for row in rows {
            for (most, one) in most.iter_mut().zip(row) {
                *most = higher(*most, *one);
            }
        }
        most.into_iter().chain(rest.iter().copied()).fold(f32::MIN, higher)
    }
}

/// What seats are worth at most.
#[derive(Debug)]
pub struct SeatBounds {
    pub all: Vec<f32>,
    /// Where each stands by that, those that reach the floor in front.
    pub(in crate::router) ranks: Vec<Rank>,
}

struct Weighing<'a> {
    expected: &'a Expectations,
    dollar: f32,
    floor: f32,
}

impl Arithmetic for Weighing<'_> {
    type Result = SeatBounds;

    #[inline(always)]
    fn done(self) -> SeatBounds {
        let Self { expected: Expectations { logits, costs, common }, dollar, floor } = self;
        let seats = logits.len().min(costs.len());
        let mut worth = SeatBounds { all: vec![0.0; seats], ranks: vec![Rank::OUT; seats] };
        let rows = worth.all.iter_mut().zip(&mut worth.ranks).zip(logits).zip(costs);
        for (((all, rank), logit), cost) in rows {
            *all = logistic(logit - common.caution) + 1e-6 - dollar * cost;
            *rank = Rank::new(*logit >= floor, *all);
        }
        worth
    }
}

/// The logistic function: within 1e-6, and the same on every processor. Without a call or a branch,
/// so that eight are worked out at a time.
#[inline(always)]
fn logistic(logit: f32) -> f32 {
    /// Added to a number, it leaves the nearest whole one in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    /// Log-odds beyond this are as good as certain.
    const FAR: f32 = 30.0;
    /// 2 to the power of x from -1/2 to 1/2: the series of e to the power of x ln 2.
    const POWERS: [f32; 6] = [
        std::f32::consts::LN_2,
        0.240_226_5,
        0.055_504_11,
        0.009_618_129,
        0.001_333_356,
        0.000_154_035_3,
    ];
    let power = logit.clamp(-FAR, FAR) * -std::f32::consts::LOG2_E;
    let shifted = power + WHOLE;
    let part = power - (shifted - WHOLE);
    let mut series = 0.0;
    for one in POWERS.into_iter().rev() {
        series = (series + one) * part;
    }
    // The whole part becomes the exponent of a number that is 1 otherwise.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    1.0 / (1.0 + (1.0 + series) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_logistic_is_one() {
        let mut before = 0.0;
        for step in -2_000_i16..=2_000 {
            let logit = f32::from(step) / 100.0;
            let exact = 1.0 / (1.0 + (-f64::from(logit)).exp());
            assert!((f64::from(logistic(logit)) - exact).abs() < 1e-6, "{logit}");
            assert!(logistic(logit) >= before, "{logit}");
            before = logistic(logit);
        }
        assert!(logistic(f32::MIN) < 1e-9 && logistic(f32::MAX) > 0.999_999);
    }
}
