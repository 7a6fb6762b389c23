//! The common factor of a table of figures with gaps: alternating ridge regressions.
//!
//! A figure is `mean + load × factor + noise` of its benchmark. Loads are pulled towards 1, so that
//! benchmarks which few models have do not take a scale of their own; factors towards 0; and each
//! benchmark weighs by how little noise it has. A second factor was tried and left out: it explained
//! nothing that held for models left out.

use std::collections::{BTreeMap, BTreeSet};

use super::figure::Figure;
use crate::wire::vocab::Effort;

/// A benchmark that fewer models have says too little.
const LEAST_FIGURES: usize = 5;
/// How strongly loads are pulled towards 1, and factors towards 0.
const LOADS: f64 = 1.0;
const FACTORS: f64 = 0.3;
/// The noise of a benchmark before any is seen, as a variance of standardised figures, and how many
/// figures that weighs.
const NOISE: f64 = 0.26;
const NOISE_WEIGHS: f64 = 8.0;
const ROUNDS: usize = 60;

/// A model at an effort; without one, at the highest that it takes.
pub type Subject = (String, Option<Effort>);

/// One figure of the table.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
    /// Standardised log-odds.
    pub value: f64,
}

/// What the figures have in common.
#[derive(Debug, Clone)]
pub struct Factors {
    pub rows: Vec<Subject>,
    pub columns: Vec<String>,
    pub cells: Vec<Cell>,
    /// By row: how much of it a model has. Over all rows the mean is 0 and the deviation 1.
    pub factor: Vec<f64>,
    /// By row: how far that may be off, a standard deviation.
    pub sd: Vec<f64>,
    /// By column.
    pub load: Vec<f64>,
    pub mean: Vec<f64>,
    pub noise: Vec<f64>,
}

impl Factors {
    /// A figure less what the common factor says of it.
    #[must_use]
    pub fn rest(&self, cell: &Cell) -> f64 {
        cell.value - self.mean[cell.column] - self.load[cell.column] * self.factor[cell.row]
    }

    /// How much a figure says of its model's factor.
    #[must_use]
    pub fn weight(&self, cell: &Cell) -> f64 {
        self.load[cell.column].powi(2) / self.noise[cell.column]
    }

    #[must_use]
    pub fn row(&self, model: &str, effort: Option<Effort>) -> Option<usize> {
        self.rows.iter().position(|(name, at)| name == model && *at == effort)
    }
}

/// Finds the common factor. The same figures give the same numbers.
#[must_use]
pub fn factors(figures: &[Figure]) -> Factors {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for figure in figures.iter().filter(|figure| figure.log_odds().is_some()) {
        *counts.entry(&figure.benchmark).or_default() += 1;
    }
    counts.retain(|_, count| *count >= LEAST_FIGURES);
    let columns: Vec<String> = counts.keys().map(|name| (*name).to_owned()).collect();
    let kept: Vec<(&Figure, usize, f64)> = figures
        .iter()
        .filter_map(|figure| {
            let column = columns.binary_search(&figure.benchmark).ok()?;
            Some((figure, column, figure.log_odds()?))
        })
        .collect();
    let rows: Vec<Subject> = kept
        .iter()
        .map(|(figure, ..)| (figure.model.clone(), figure.effort))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut cells: Vec<Cell> = kept
        .iter()
        .filter_map(|(figure, column, value)| {
            let row = rows.binary_search(&(figure.model.clone(), figure.effort)).ok()?;
            Some(Cell { row, column: *column, value: *value })
        })
        .collect();
    standardise(&mut cells, columns.len());
    let mut found = Factors {
        factor: vec![0.0; rows.len()],
        sd: vec![1.0; rows.len()],
        load: vec![1.0; columns.len()],
        mean: vec![0.0; columns.len()],
        noise: vec![NOISE; columns.len()],
        rows,
        columns,
        cells,
    };
    for _ in 0..ROUNDS {
        found.fit_rows();
        found.centre();
        found.fit_columns();
        found.measure_noise();
    }
    found
}

/// Each column to a mean of 0 and a deviation of nearly 1.
fn standardise(cells: &mut [Cell], columns: usize) {
    let mut sums = vec![(0.0, 0.0, 0.0); columns];
    for cell in &*cells {
        let (count, sum, squares) = &mut sums[cell.column];
        *count += 1.0;
        *sum += cell.value;
        *squares += cell.value * cell.value;
    }
    for cell in cells {
        let (count, sum, squares) = sums[cell.column];
        let mean: f64 = sum / count;
        let sd = (squares / count - mean * mean).max(0.0).sqrt() + 0.05;
        cell.value = (cell.value - mean) / sd;
    }
}

impl Factors {
    fn fit_rows(&mut self) {
        let mut sums = vec![(FACTORS / NOISE, 0.0); self.rows.len()];
        for cell in &self.cells {
            let load = self.load[cell.column];
            let (weight, sum) = &mut sums[cell.row];
            *weight += load * load / self.noise[cell.column];
            *sum += load * (cell.value - self.mean[cell.column]) / self.noise[cell.column];
        }
        for (row, (weight, sum)) in sums.into_iter().enumerate() {
            self.factor[row] = sum / weight;
            self.sd[row] = weight.sqrt().recip();
        }
    }

    /// Moves the scale of the factors into the columns.
    fn centre(&mut self) {
        let count = self.factor.len() as f64;
        let mean = self.factor.iter().sum::<f64>() / count;
        let square = self.factor.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / count;
        let scale = square.sqrt().max(1e-6);
        for (one, sd) in self.factor.iter_mut().zip(&mut self.sd) {
            *one = (*one - mean) / scale;
            *sd /= scale;
        }
    }

    fn fit_columns(&mut self) {
        // Two unknowns each: the load and the mean.
        let mut sums = vec![[LOADS, 0.0, 0.1, LOADS, 0.0]; self.columns.len()];
        for cell in &self.cells {
            let factor = self.factor[cell.row];
            let [squares, crosses, count, with, values] = &mut sums[cell.column];
            *squares += factor * factor;
            *crosses += factor;
            *count += 1.0;
            *with += factor * cell.value;
            *values += cell.value;
        }
        for (column, [squares, crosses, count, with, values]) in sums.into_iter().enumerate() {
            let determinant = squares * count - crosses * crosses;
            self.load[column] = (with * count - crosses * values) / determinant;
            self.mean[column] = (squares * values - crosses * with) / determinant;
        }
    }

    fn measure_noise(&mut self) {
        let mut sums = vec![(NOISE_WEIGHS, NOISE_WEIGHS * NOISE); self.columns.len()];
        for cell in &self.cells {
            let rest = self.rest(cell);
            let (count, sum) = &mut sums[cell.column];
            *count += 1.0;
            *sum += rest * rest;
        }
        for (noise, (count, sum)) in self.noise.iter_mut().zip(sums) {
            *noise = sum / count;
        }
    }
}

/// Solves `matrix × x = right` where the matrix is symmetric and positive definite.
#[must_use]
pub fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for at in 0..size {
        let (upper, lower) = matrix.split_at_mut(at + 1);
        let Some(pivot) = upper.last() else { continue };
        for (below, row) in lower.iter_mut().enumerate() {
            let times = row[at] / pivot[at];
            for (one, by) in row.iter_mut().zip(pivot).skip(at) {
                *one -= times * by;
            }
            right[at + 1 + below] -= times * right[at];
        }
    }
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|other| matrix[at][other] * right[other]).sum();
        right[at] = (right[at] - known) / matrix[at][at];
    }
    right
}

/// What a regression learns from: the numbers of one thing, its value, and how much it counts.
pub type Example = (Vec<f64>, f64, f64);

/// A ridge regression; the first number of each row is a constant and is not held back.
#[must_use]
pub fn ridge(rows: &[Example], by: f64) -> Vec<f64> {
    let size = rows.first().map_or(0, |(numbers, ..)| numbers.len());
    let mut matrix = vec![vec![0.0; size]; size];
    let mut right = vec![0.0; size];
    for (numbers, value, weight) in rows {
        for (at, one) in numbers.iter().enumerate() {
            right[at] += weight * one * value;
            for (other, two) in numbers.iter().enumerate() {
                matrix[at][other] += weight * one * two;
            }
        }
    }
    for (at, row) in matrix.iter_mut().enumerate() {
        row[at] += if at == 0 { 1e-6 } else { by };
    }
    solve(matrix, right)
}

/// The rank correlation of two lists.
#[must_use]
pub fn rank_correlation(one: &[f64], other: &[f64]) -> f64 {
    let ranks = |list: &[f64]| -> Vec<f64> {
        let below = |value: f64| list.iter().filter(|one| **one < value).count() as f64;
        let same = |value: f64| list.iter().filter(|one| one.total_cmp(&value).is_eq()).count();
        list.iter().map(|value| below(*value) + (same(*value) as f64 - 1.0) / 2.0).collect()
    };
    let (one, other) = (ranks(one), ranks(other));
    let mean = (one.len() as f64 - 1.0) / 2.0;
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (left, right) in one.iter().zip(&other) {
        both += (left - mean) * (right - mean);
        first += (left - mean).powi(2);
        second += (right - mean).powi(2);
    }
    both / (first * second).sqrt().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let solved = solve(vec![vec![4.0, 1.0], vec![1.0, 3.0]], vec![1.0, 2.0]);
        assert!((solved[0] - 1.0 / 11.0).abs() < 1e-12 && (solved[1] - 7.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn a_common_factor_is_found_through_gaps() {
        // Twelve models of known worth, each with some of eight benchmarks.
        let mut figures = Vec::new();
        for model in 0..12_u32 {
            for benchmark in 0..8_u32 {
                if (model + benchmark) % 3 == 0 {
                    continue;
                }
                let log_odds = f64::from(model) / 4.0 - f64::from(benchmark) / 3.0;
                figures.push(Figure {
                    model: format!("m{model:02}"),
                    effort: None,
                    benchmark: format!("b{benchmark}"),
                    value: 1.0 / (1.0 + (-log_odds).exp()),
                    day: "2026-01-01".to_owned(),
                    source: String::new(),
                    via: None,
                });
            }
        }
        let found = factors(&figures);
        assert!(found.factor.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", found.factor);
        assert_eq!(found.factor, factors(&figures).factor);
    }
}
