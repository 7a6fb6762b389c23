//! What requests cost: prices that are bills, by kind of token, length, class, hour and day.

mod entry;
mod hours;
mod list;
mod rates;
#[cfg(test)]
mod tests;

pub use entry::{Above, EachEntry, PictureEntry, PriceEntry, regional};
pub use hours::HoursEntry;
pub use list::{Each, Pictures, Prices, WHOLE};
pub use rates::{Rates, RatesEntry, TokenKind};

/// What cannot be a price.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PriceError {
    #[error("{0} is no price: it must be a number from 0 to 1,000,000,000")]
    Absurd(f64),
    #[error("'{0}' is no day: write it as 2026-12-01")]
    Day(String),
    #[error("busy hours cannot be read: {0}")]
    Hours(String),
}
