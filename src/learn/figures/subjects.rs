//! Fits what prompts are about to what people said of them.

use std::path::Path;

use serde::Deserialize;

use super::factor::{Example, ridge};
use crate::catalogue::Catalogue;
use crate::learn::data::{DataError, read_lines};
use crate::router::levels::{Leaning, Levels, round};
use crate::router::neural::Weights;
use crate::router::{Predictor, Subjects};

/// How strongly the coefficients are held back.
const HOLD: f64 = 3.0;
/// Every fifth prompt is left out, five times.
const FOLDS: usize = 5;

/// A prompt, and what it takes.
#[derive(Debug, Clone, Deserialize)]
pub struct Rated {
    pub prompt: String,
    #[serde(default)]
    pub skills: Vec<String>,
}

/// Reads prompts, one a line.
///
/// # Errors
/// [`DataError`] for a file that cannot be read and a line that is no prompt.
pub fn read_rated(path: &Path) -> Result<Vec<Rated>, DataError> {
    read_lines(path)
}

/// How far a prompt is of a subject: reasoning is half of maths and half of knowledge.
fn share(rated: &Rated, leaning: Leaning) -> f64 {
    let name = format!("{leaning:?}").to_lowercase();
    let said = |name: &str| rated.skills.iter().any(|skill| skill == name);
    let half = matches!(leaning, Leaning::Maths | Leaning::Knowledge) && said("reasoning");
    if said(&name) {
        1.0
    } else if half {
        0.5
    } else {
        0.0
    }
}

/// The regression, and by subject how often, of two prompts of which one is of the subject, that one
/// has more of it, where neither was learned from.
#[must_use]
pub fn fit_subjects(rated: &[Rated], weights: &Weights) -> (Subjects, Vec<(Leaning, f64)>) {
    let reader = Predictor::with(weights.clone(), &Levels::default(), &Catalogue::default());
    let inputs: Vec<Vec<f64>> = rated
        .iter()
        .map(|one| {
            let sum = reader.embedding(&one.prompt);
            std::iter::once(1.0).chain(sum.iter().map(|one| f64::from(*one))).collect()
        })
        .collect();
    let rows_without = |leaning: Leaning, fold: Option<usize>| -> Vec<f64> {
        let rows: Vec<Example> = inputs
            .iter()
            .zip(rated)
            .enumerate()
            .filter(|(at, _)| fold.is_none_or(|fold| at % FOLDS != fold))
            .map(|(_, (input, one))| (input.clone(), share(one, leaning), 1.0))
            .collect();
        ridge(&rows, HOLD)
    };
    let mut told = Vec::new();
    let mut rows = Vec::new();
    for leaning in Leaning::ALL {
        rows.push(rows_without(leaning, None).into_iter().map(|one| round(one as f32)).collect());
        let folds: Vec<Vec<f64>> =
            (0..FOLDS).map(|fold| rows_without(leaning, Some(fold))).collect();
        let guess = |at: usize| -> f64 {
            folds[at % FOLDS].iter().zip(&inputs[at]).map(|(by, one)| by * one).sum()
        };
        let guesses: Vec<f64> = (0..rated.len()).map(guess).collect();
        let is: Vec<bool> = rated.iter().map(|one| share(one, leaning) > 0.7).collect();
        let (mut right, mut all) = (0.0, 0.0);
        for (one, _) in guesses.iter().zip(&is).filter(|(_, is)| **is) {
            for (other, _) in guesses.iter().zip(&is).filter(|(_, is)| !**is) {
                all += 1.0;
                right += f64::from(u8::from(one > other));
            }
        }
        told.push((leaning, if all > 0.0 { right / all } else { 0.5 }));
    }
    (Subjects { router: weights.meta.id.clone(), rows }, told)
}
