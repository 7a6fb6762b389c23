//! What a cascade would be worth on prompts whose scores are known: the cheap candidate answers, a
//! checker of a stated quality looks, and the dear candidate answers where it says no. Expectations, so
//! that nothing has to be drawn.

use serde::Serialize;

use super::judge::Pool;
use crate::router::Dial;

/// How a cascade does on a pool, beside its two candidates alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cascaded {
    /// The probability that the checker is right about an answer, good or bad.
    pub checker: f64,
    pub prompts: usize,
    /// Mean score, and mean USD of the calls that were made.
    pub quality: f64,
    pub cost: f64,
    /// The share of prompts that went up.
    pub up: f64,
    /// The same of `auto:cheap` and of `auto:best` alone.
    pub cheap: (f64, f64),
    pub best: (f64, f64),
}

/// Runs every prompt of a pool through a cascade from `auto:cheap` to `auto:best`.
#[must_use]
pub fn cascaded(pool: &Pool, checker: f64) -> Cascaded {
    let (low, high) = (Dial::CHEAP.floor(), Dial::BEST.floor());
    let count = pool.score.len().max(1) as f64;
    let mut sum = Cascaded {
        checker,
        prompts: pool.score.len(),
        quality: 0.0,
        cost: 0.0,
        up: 0.0,
        cheap: (0.0, 0.0),
        best: (0.0, 0.0),
    };
    for (row, score) in pool.score.iter().enumerate() {
        let (first, then) = (pool.above(row, low), pool.above(row, high));
        let (cheap, dear) = (score[first], score[then]);
        let (cheap_cost, dear_cost) = (pool.cost[row][first], pool.cost[row][then]);
        // The same model twice is no cascade.
        let stands =
            if first == then { 1.0 } else { cheap * checker + (1.0 - cheap) * (1.0 - checker) };
        let good = if first == then { cheap } else { cheap * checker };
        sum.quality += (good + (1.0 - stands) * dear) / count;
        sum.cost += (cheap_cost + (1.0 - stands) * dear_cost) / count;
        sum.up += (1.0 - stands) / count;
        sum.cheap = (sum.cheap.0 + cheap / count, sum.cheap.1 + cheap_cost / count);
        sum.best = (sum.best.0 + dear / count, sum.best.1 + dear_cost / count);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool {
            models: vec!["cheap".to_owned(), "dear".to_owned()],
            score: vec![vec![1.0, 1.0], vec![0.0, 1.0]],
            quality: vec![vec![0.6, 0.9], vec![0.6, 0.9]],
            cost: vec![vec![0.1, 1.0], vec![0.1, 1.0]],
            expected: vec![vec![0.1, 1.0], vec![0.1, 1.0]],
        }
    }

    #[test]
    fn a_checker_that_is_never_wrong_gives_the_best_for_what_it_takes() {
        let found = cascaded(&pool(), 1.0);
        assert_eq!((found.quality, found.up), (1.0, 0.5));
        assert!((found.cost - 0.6).abs() < 1e-9);
        assert_eq!((found.cheap.0, found.best.0), (0.5, 1.0));
    }

    #[test]
    fn a_checker_that_guesses_gives_half_of_either() {
        let found = cascaded(&pool(), 0.5);
        assert!((found.up - 0.5).abs() < 1e-9);
        assert!((found.quality - 0.75).abs() < 1e-9, "{found:?}");
    }
}
