//! How well public figures tell measured scores of models that were left out, with their families.

use std::collections::BTreeMap;

use serde::Serialize;

use super::factor::{Example, factors, rank_correlation, ridge};
use super::figure::Figure;
use crate::learn::Data;
use crate::router::neural::{clues, family};

/// One way to tell scores, on one group of sources.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    pub by: &'static str,
    pub rank_correlation: f64,
    /// The mean of how far it was off.
    pub off: f64,
}

/// A group of sources.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    pub group: &'static str,
    /// That have both scores and figures.
    pub models: usize,
    pub outcomes: Vec<CheckResult>,
}

/// A group, how its sources begin, and figures that are of the same questions and are left out.
const GROUPS: [(&str, &str, &[&str]); 3] = [
    ("ZeroEval", "zeroeval_", &["gsm8k", "math", "math_500", "math_500_showdown"]),
    ("MMLU-Pro", "mmlu_pro", &["mmlu_pro", "mmlu_pro_showdown"]),
    ("BFCL", "bfcl", &["bfcl", "bfcl_v3", "bfcl_showdown"]),
];

/// A model with scores.
struct Tried {
    family: String,
    /// What it is told by: a factor of its figures, or a price.
    by: f64,
    /// By source: the mean score.
    scores: BTreeMap<usize, f64>,
}

/// Mean scores by source and model.
fn scores(data: &Data) -> BTreeMap<(usize, usize), f64> {
    let mut sums: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for row in &data.rows {
        for cell in &row.cells {
            let (count, sum) = sums.entry((row.source, cell.model)).or_default();
            *count += 1.0;
            *sum += f64::from(cell.score);
        }
    }
    sums.into_iter().map(|(at, (count, sum))| (at, sum / count)).collect()
}

fn log_odds(share: f64) -> f64 {
    let share = share.clamp(0.02, 0.98);
    (share / (1.0 - share)).ln()
}

/// Tells each model's mean score by a line through the models of other families.
fn outcome(by: &'static str, tried: &[Tried]) -> CheckResult {
    let (mut told, mut real) = (Vec::new(), Vec::new());
    for one in tried {
        let (mut guesses, mut truth) = (0.0, 0.0);
        for (source, score) in &one.scores {
            let rows: Vec<Example> = tried
                .iter()
                .filter(|other| other.family != one.family)
                .filter_map(|other| {
                    let score = other.scores.get(source)?;
                    Some((vec![1.0, other.by], log_odds(*score), 1.0))
                })
                .collect();
            let line = ridge(&rows, 1e-3);
            let logit = line.first().unwrap_or(&0.0) + line.get(1).unwrap_or(&0.0) * one.by;
            guesses += 1.0 / (1.0 + (-logit).exp());
            truth += score;
        }
        let count = one.scores.len() as f64;
        told.push(guesses / count);
        real.push(truth / count);
    }
    let off = told.iter().zip(&real).map(|(told, real)| (told - real).abs()).sum::<f64>();
    CheckResult {
        by,
        rank_correlation: rank_correlation(&told, &real),
        off: off / told.len().max(1) as f64,
    }
}

/// Leaves out each model with its family, and tells its scores from figures; beside it from prices.
#[must_use]
pub fn check(figures: &[Figure], data: &Data) -> Vec<Checked> {
    let scores = scores(data);
    GROUPS
        .iter()
        .map(|(group, start, same)| {
            let others: Vec<Figure> = figures
                .iter()
                .filter(|figure| !same.contains(&figure.benchmark.as_str()))
                .cloned()
                .collect();
            let found = factors(&others);
            let mut families: BTreeMap<String, (f64, f64)> = BTreeMap::new();
            let still = |name: &str| !name.ends_with("-latest") && name != "deepseek-chat";
            let of = |name: &str| found.row(name, None).map(|row| found.factor[row]);
            for (row, (name, effort)) in found.rows.iter().enumerate() {
                if effort.is_none() && still(name) {
                    let (count, sum) = families.entry(family(name)).or_default();
                    *count += 1.0;
                    *sum += found.factor[row];
                }
            }
            let (mut by_figures, mut by_price) = (Vec::new(), Vec::new());
            for (place, name) in data.models.iter().enumerate() {
                let own: BTreeMap<usize, f64> = data
                    .sources
                    .iter()
                    .enumerate()
                    .filter(|(_, source)| source.starts_with(start))
                    .filter_map(|(source, _)| Some((source, *scores.get(&(source, place))?)))
                    .collect();
                let kin = family(name);
                let mean = families.get(&kin).map(|(count, sum)| sum / count);
                let Some(factor) = of(name).filter(|_| still(name)).or(mean) else { continue };
                if own.is_empty() {
                    continue;
                }
                let listed = data.prices.get(name);
                let (price_in, price_out) =
                    listed.map_or((None, None), |one| (one.price_in, one.price_out));
                let price = clues(name, price_in, price_out).get(2).copied().unwrap_or(0.0);
                let tried = |by: f64| Tried { family: kin.clone(), by, scores: own.clone() };
                by_figures.push(tried(factor));
                by_price.push(tried(f64::from(price)));
            }
            Checked {
                group,
                models: by_figures.len(),
                outcomes: vec![outcome("figures", &by_figures), outcome("price", &by_price)],
            }
        })
        .collect()
}
