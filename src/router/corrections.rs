//! What an account's feedback is worth, and with what answers have shown: pure, and bounded, so that no
//! number of opinions turns a model upside down.

use std::collections::HashMap;

use super::outcomes::Outcomes;
use crate::base::clock::Timestamp;

/// Log-odds that a good answer after another is worth, before there are many.
const STEP: f64 = 6.0;
/// Opinions that it takes until they weigh as much as what was predicted.
const INERTIA: f64 = 30.0;
/// Log-odds: what is predicted to be a coin's toss becomes at most 0.69, or 0.31.
pub const BOUND: f32 = 0.8;

/// What an account has found out about models, in log-odds, by their places in the catalogue.
pub type Corrections<'a> = Option<&'a HashMap<usize, f32>>;

/// The correction of a model in log-odds. `residual` is the sum of how much better its answers were
/// than predicted, each from -1 to 1.
#[must_use]
pub fn correction(residual: f64, count: u64) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a count of opinions")]
    let moved = STEP * residual / (count as f64 + INERTIA);
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let moved = moved.clamp(-f64::from(BOUND), f64::from(BOUND)) as f32;
    moved
}

/// What an account has found out of a model, by what it said and by what answers have shown.
#[must_use]
pub fn own(said: f32, outcomes: Option<&Outcomes>, now: Timestamp) -> f32 {
    let shown = outcomes.map_or(0.0, |outcomes| outcomes.shift(now));
    (said + shown).clamp(-BOUND, BOUND)
}

/// The correction that is in force for an account: its own, and that of all.
#[must_use]
pub fn in_force(own: f32, for_all: f32) -> f32 {
    (own + for_all).clamp(-BOUND, BOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions_move_little_each_and_never_far() {
        assert!(correction(0.0, 0).abs() < f32::EPSILON);
        assert!((0.0..0.2).contains(&correction(1.0, 1)));
        assert!(correction(10.0, 10) > correction(1.0, 1));
        assert!(correction(1e9, 1_000_000_000) <= BOUND);
        assert!(correction(-1e9, 1_000_000_000) >= -BOUND);
        assert!(correction(f64::MAX, 1) <= BOUND);
    }
}
