//! What a dial may promise: of the prompts that the best single model answers well, the share that the
//! chosen model answers well too, and how small that share may be, given how few prompts were seen.
//! Clopper and Pearson's exact bound (Biometrika 26, 1934).

use serde::Serialize;

use super::judge::{FLOORS, Pool};

/// A score from here on is a good answer.
const GOOD: f64 = 0.5;

/// A bound holds with this probability.
const CONFIDENCE: f64 = 0.95;

/// The promise of one dial on one group of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Promise {
    /// The share of the best predicted quality that is not gone below.
    pub floor: f64,
    /// Prompts that the best single model answers well.
    pub prompts: u64,
    /// The share of them that was kept.
    pub kept: f64,
    /// The least share that is kept, with a probability of 95%.
    pub least: f64,
}

/// The promises of `auto:cheap`, `auto` and `auto:best` on pools of one group.
#[must_use]
pub fn promises<'a>(pools: impl Iterator<Item = &'a Pool> + Clone) -> Vec<Promise> {
    FLOORS
        .into_iter()
        .map(|floor| {
            let (mut kept, mut prompts) = (0, 0);
            for pool in pools.clone() {
                let best = pool.best();
                for (row, score) in pool.score.iter().enumerate() {
                    if score[best] < GOOD {
                        continue;
                    }
                    prompts += 1;
                    kept += u64::from(score[pool.above(row, floor)] >= GOOD);
                }
            }
            let share = if prompts == 0 { 0.0 } else { kept as f64 / prompts as f64 };
            Promise { floor, prompts, kept: share, least: lower(kept, prompts, CONFIDENCE) }
        })
        .collect()
}

/// The least probability under which `kept` of `prompts` or more are not rarer than `1 − confidence`.
fn lower(kept: u64, prompts: u64, confidence: f64) -> f64 {
    if kept == 0 {
        return 0.0;
    }
    let choose = ways(prompts);
    let tail = |share: f64| -> f64 {
        let (of, against) = (share.ln(), (1.0 - share).ln());
        (kept..=prompts)
            .zip(choose.iter().skip(usize::try_from(kept).unwrap_or(usize::MAX)))
            .map(|(count, ways)| {
                (ways + count as f64 * of + (prompts - count) as f64 * against).exp()
            })
            .sum()
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > 1.0 - confidence { high = middle } else { low = middle }
    }
    low
}

/// Logarithms of in how many ways 0, 1, … of `count` can be chosen.
fn ways(count: u64) -> Vec<f64> {
    let mut ways = vec![0.0];
    for taken in 1..=count {
        let last = ways.last().copied().unwrap_or(0.0);
        ways.push(last + ((count - taken + 1) as f64).ln() - (taken as f64).ln());
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_clopper_and_pearsons() {
        // One-sided, from R: binom.test(k, n, alternative = "greater")$conf.int[1].
        for (kept, prompts, least) in
            [(10, 10, 0.741_134), (9, 10, 0.605_849), (95, 100, 0.897_735), (0, 5, 0.0)]
        {
            let found = lower(kept, prompts, 0.95);
            assert!((found - least).abs() < 1e-4, "{kept} of {prompts}: {found}");
        }
    }

    #[test]
    fn more_prompts_bring_the_bound_nearer() {
        let gap = |prompts: u64| 0.9 - lower(prompts * 9 / 10, prompts, CONFIDENCE);
        assert!(gap(10) > gap(100) && gap(100) > gap(1_000) && gap(1_000) > 0.0);
    }
}
