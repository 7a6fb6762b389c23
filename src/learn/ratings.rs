//! How well a router's idea of everyday prompts agrees with people's.

use serde::Serialize;

use super::daily::Daily;
use crate::router::neural::{RatingScale, Weights};

/// A rated prompt, and what a router makes of it.
#[derive(Debug, Clone, Serialize)]
pub struct Rated {
    pub id: String,
    pub need: f32,
    pub tokens: f32,
    pub think: f32,
    pub predicted_need: f32,
    pub predicted_tokens: f32,
    pub predicted_think: f32,
    pub unsure: f32,
    /// How much it was taken for an everyday prompt, from 0 to 1.
    pub everyday: f32,
}

/// How far they agree.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Agreement {
    pub prompts: usize,
    /// Rank correlations.
    pub need: f64,
    pub length: f64,
    pub think: f64,
    /// The mean of how far need is off, and the share within one step.
    pub off: f64,
    pub within_one: f64,
    pub everyday: f64,
}

/// What a router makes of rated prompts.
#[must_use]
pub fn rated(weights: &Weights, dailies: &[Daily]) -> Vec<Rated> {
    let of = |daily: &Daily| {
        let view = daily.seen(|prompt| weights.view(prompt));
        Rated {
            id: daily.id.clone(),
            need: daily.need,
            tokens: daily.tokens,
            think: daily.think,
            predicted_need: RatingScale::default().need(view.ease),
            predicted_tokens: view.length.exp(),
            predicted_think: view.thinking,
            unsure: view.unsure,
            everyday: view.everyday,
        }
    };
    dailies.iter().map(of).collect()
}

/// Ranks from 0, the mean of them among equals.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|one, other| values[*one] == values[*other]) {
        let before = order.partition_point(|place| values[*place] < values[equal[0]]);
        let rank = before as f64 + (equal.len() - 1) as f64 / 2.0;
        for place in equal {
            ranks[*place] = rank;
        }
    }
    ranks
}

/// The rank correlation of two lists.
fn spearman(one: &[f64], other: &[f64]) -> f64 {
    let (one, other) = (ranks(one), ranks(other));
    let middle = (one.len() as f64 - 1.0) / 2.0;
    let pairs = one.iter().zip(&other);
    let both: f64 = pairs.map(|(one, other)| (one - middle) * (other - middle)).sum();
    let alone = |ranks: &[f64]| ranks.iter().map(|rank| (rank - middle).powi(2)).sum::<f64>();
    both / (alone(&one) * alone(&other)).sqrt().max(1e-9)
}

/// How far a router agrees with people.
#[must_use]
pub fn agreement(all: &[Rated]) -> Agreement {
    let column =
        |of: fn(&Rated) -> f32| -> Vec<f64> { all.iter().map(|one| f64::from(of(one))).collect() };
    let together =
        |said: fn(&Rated) -> f32, held: fn(&Rated) -> f32| spearman(&column(said), &column(held));
    let count = all.len().max(1) as f64;
    let off: Vec<f64> =
        all.iter().map(|one| f64::from((one.need - one.predicted_need).abs())).collect();
    Agreement {
        prompts: all.len(),
        need: together(|one| one.need, |one| one.predicted_need),
        length: together(|one| one.tokens, |one| one.predicted_tokens),
        think: together(|one| one.think, |one| one.predicted_think),
        off: off.iter().sum::<f64>() / count,
        within_one: off.iter().filter(|off| **off <= 1.0).count() as f64 / count,
        everyday: column(|one| one.everyday).iter().sum::<f64>() / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_correlated() {
        assert!((spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]) - 1.0).abs() < 1e-9);
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-9);
        assert_eq!(ranks(&[2.0, 1.0, 2.0]), [1.5, 0.0, 1.5]);
    }
}
