//! Levels of models from public figures: one common factor of what benchmarks say, laid on the scale
//! of a router's weights, and what is left for those of which nobody says anything.

mod check;
mod factor;
mod figure;
mod fit;
mod leaning;
mod order;
mod subjects;

pub use check::{CheckResult, Checked, check};
pub use figure::{Figure, FigureError, read};
pub use fit::fit;
pub use subjects::{Rated, fit_subjects, read_rated};

#[cfg(test)]
mod tests;
