//! What a dial may promise: of the prompts that the best single model answers well, the share that the
//! chosen model answers well too, and how small that share may be, given how few prompts were seen.
//! Clopper and Pearson's exact bound (Biometrika 26, 1934).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::data::{Data, DataError, Predictions, Row, read_lines};
use super::judge::Pool;
use crate::router::neural::{Prompt, Weights};
use crate::router::{AtDial, Dial, PromiseGroup, Promises};

/// A score from here on is a good answer.
const GOOD: f64 = 0.5;

/// A bound holds with this probability.
const CONFIDENCE: f64 = 0.95;

/// One prompt in so many of a group is taken to be unlike it.
const UNLIKE: usize = 10;

/// The dials that promise something.
const DIALS: [Dial; 3] = [Dial::CHEAP, Dial::BALANCED, Dial::BEST];

/// The promise of one dial on one group of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Promise {
    pub dial: f64,
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
    DIALS
        .into_iter()
        .map(|dial| {
            let (mut kept, mut prompts) = (0, 0);
            for pool in pools.clone() {
                let best = pool.best();
                for (row, score) in pool.score.iter().enumerate() {
                    if score[best] < GOOD {
                        continue;
                    }
                    prompts += 1;
                    kept += u64::from(score[pool.above(row, dial.floor())] >= GOOD);
                }
            }
            let share = if prompts == 0 { 0.0 } else { kept as f64 / prompts as f64 };
            Promise {
                dial: dial.quality(),
                floor: dial.floor(),
                prompts,
                kept: share,
                least: lower(kept, prompts, CONFIDENCE),
            }
        })
        .collect()
}

/// What `router eval --predictions` has written.
///
/// # Errors
/// [`DataError`] for a file that cannot be read.
pub fn read_predictions(path: &Path, data: &Data) -> Result<Predictions, DataError> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        quality: HashMap<String, f64>,
    }
    let lines: Vec<Line> = read_lines(path)?;
    let by_id: HashMap<&str, &HashMap<String, f64>> =
        lines.iter().map(|line| (line.id.as_str(), &line.quality)).collect();
    let of = |row: &Row| {
        let quality = by_id.get(row.id.as_str());
        let of = |model: &String| quality.and_then(|all| all.get(model)).copied().unwrap_or(0.0);
        data.models.iter().map(of).collect()
    };
    Ok(data.rows.iter().map(of).collect())
}

/// What the dials promise of each source of the data: by what was predicted of its prompts without them,
/// and by what was predicted without any of their kind.
#[must_use]
pub fn promised(
    weights: &Weights,
    data: &Data,
    known: &Predictions,
    shifted: &Predictions,
) -> Promises {
    let mut groups = BTreeMap::new();
    for (place, source) in data.sources.iter().enumerate() {
        let of = |predictions: &Predictions| {
            let rows: Vec<(&Row, &[f64])> = data
                .rows
                .iter()
                .zip(predictions)
                .filter(|(row, _)| row.source == place)
                .map(|(row, predicted)| (row, predicted.as_slice()))
                .collect();
            Pool::of(data, &rows).map(|pool| {
                let rounded = |share: f64| (share * 1e4).floor() / 1e4;
                let all = promises(std::iter::once(&pool)).into_iter();
                let all = all.map(|one| AtDial {
                    dial: one.dial,
                    prompts: one.prompts,
                    kept: rounded(one.kept),
                    least: rounded(one.least),
                });
                all.collect::<Vec<AtDial>>()
            })
        };
        if let (Some(known), Some(shifted)) = (of(known), of(shifted)) {
            groups.insert(source.clone(), PromiseGroup { known, shifted });
        }
    }
    let mut beliefs: Vec<f32> =
        data.rows.iter().map(|row| believed(weights, &row.prompt)).collect();
    beliefs.sort_by(f32::total_cmp);
    let belief = beliefs.get(beliefs.len() / UNLIKE).copied().unwrap_or(0.0);
    Promises {
        router: weights.meta.id.clone(),
        confidence: CONFIDENCE,
        belief: (belief * 1e3).round() / 1e3,
        groups,
    }
}

/// How far what was learned of benchmarks is believed of a prompt.
fn believed(weights: &Weights, prompt: &str) -> f32 {
    let view = weights.view(Prompt::new(prompt));
    view.belief / (1.0 - view.everyday).max(0.01)
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
