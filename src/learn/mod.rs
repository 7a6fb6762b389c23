//! Training and judging the router: from prompts with measured scores to a file of weights, and to
//! the measures that its card quotes. Used by the command line alone.

mod data;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics over counts"
)]
pub mod figures;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::needless_range_loop,
    reason = "arithmetic over places of one long list"
)]
mod fit;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics over counts"
)]
mod judge;
mod picture;
mod report;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "statistics over counts"
)]
mod train;

pub use data::{Cell, Data, DataError, Listed, Row, lines_of};
pub use judge::{Measures, Point, Pool, judge};
pub use picture::picture;
pub use report::{
    Entry, Leave, Predictions, by_neighbours, by_price, entries, left_out, predict, table,
};
pub use train::{Recipe, train};
