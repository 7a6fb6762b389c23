//! Public figures: newline-delimited JSON, one figure a line.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::wire::vocab::Effort;

/// What a benchmark says of a model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub model: String,
    /// The highest that it takes, if not given.
    #[serde(default)]
    pub effort: Option<Effort>,
    pub benchmark: String,
    /// A share of 1, but for ratings and for indices of 100.
    pub value: f64,
    /// When it was published or read, as `2026-10-09`.
    pub day: String,
    pub source: String,
    /// Through whom it was read, where not at the source.
    #[serde(default)]
    pub via: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    #[error("{} cannot be read: {why}", path.display())]
    Read { path: PathBuf, why: std::io::Error },
    #[error("{}:{line}: {why}", path.display())]
    Line { path: PathBuf, line: usize, why: String },
    #[error("{} has no figures", .0.display())]
    Empty(PathBuf),
}

/// Reads a file of figures.
///
/// # Errors
/// [`FigureError`] for a file that cannot be read, a line that is no figure, and for none at all.
pub fn read(path: &Path) -> Result<Vec<Figure>, FigureError> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| FigureError::Read { path: path.to_owned(), why })?;
    let mut figures = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let figure: Figure = serde_json::from_str(line).map_err(|why| FigureError::Line {
            path: path.to_owned(),
            line: number + 1,
            why: why.to_string(),
        })?;
        figures.push(figure);
    }
    if figures.is_empty() {
        return Err(FigureError::Empty(path.to_owned()));
    }
    Ok(figures)
}

/// How a benchmark is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Share,
    /// Of 100.
    Index,
    /// Of players: 400 points are odds of ten to one.
    Rating,
    /// Tokens, dollars: no measure of how good answers are.
    Other,
}

fn unit(benchmark: &str) -> Unit {
    if benchmark.contains("tokens_per")
        || benchmark.contains("dollars")
        || benchmark.starts_with("vending")
    {
        return Unit::Other;
    }
    if benchmark.contains("elo") || benchmark.contains("rating") || benchmark.contains("arena_text")
    {
        return Unit::Rating;
    }
    if ["aa_index", "aa_coding", "aa_agentic"].iter().any(|one| benchmark.starts_with(one)) {
        return Unit::Index;
    }
    Unit::Share
}

impl Figure {
    /// In log-odds; `None` for what does not say how good answers are.
    #[must_use]
    pub fn log_odds(&self) -> Option<f64> {
        let share = match unit(&self.benchmark) {
            Unit::Other => return None,
            Unit::Rating => return Some(self.value / 400.0 * std::f64::consts::LN_10),
            Unit::Index => self.value / 100.0,
            Unit::Share => self.value,
        }
        .clamp(0.01, 0.99);
        Some((share / (1.0 - share)).ln())
    }
}
