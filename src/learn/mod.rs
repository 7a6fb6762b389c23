//! Training and judging the router: from prompts with measured scores to a file of weights, and to
//! the measures that its card quotes. Used by the command line alone.

mod algebra;
#[expect(clippy::cast_precision_loss, reason = "a count of prompts")]
mod cascade;
mod daily;
mod data;
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "arithmetic")]
mod evidence;
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
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "statistics over counts"
)]
mod levels;
mod picture;
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "statistics")]
mod places;
#[expect(clippy::cast_precision_loss, reason = "counts of prompts")]
mod promise;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "arithmetic over places of one long list"
)]
mod rate;
#[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "statistics over counts")]
mod ratings;
mod report;
mod sample;
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "statistics over counts"
)]
mod train;

pub use cascade::{Cascaded, cascaded};
pub use daily::{Daily, dailies};
pub use data::{Cell, Data, DataError, ListPrice, Predictions, Row};
pub use fit::Recipe;
pub use judge::{Measures, Point, Pool, judge};
pub use picture::picture;
pub use promise::{Promise, promised, promises, read_predictions};
pub use rate::rate;
pub use ratings::{Agreement, Rated, agreement, rated};
pub use report::{
    Entry, HoldOut, by_neighbours, by_price, cascades, entries, left_out, predict, table,
};
pub use train::{Material, train};

#[cfg(test)]
mod tests;
