//! What was considered and ranked, and in which order it stands.

use std::cmp::Ordering;

use crate::base::money::Nanos;
use crate::wire::vocab::Effort;

/// A model at an effort that was considered and ranked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankedSeat {
    /// Where it stands among all models and efforts.
    pub seat: usize,
    /// Its place in the catalogue.
    pub place: usize,
    /// The effort that is asked for; `None` where nothing has to be said.
    pub effort: Option<Effort>,
    /// The effort that it comes to; `None` for a model that cannot be told how hard to think.
    pub at: Option<Effort>,
    /// Its deployment that would be asked first, in the model's order.
    pub deployment: usize,
    /// Predicted probability of a good answer.
    pub quality: f32,
    pub cost: Nanos,
    /// How long its deployment has made callers wait of late, or what is usual.
    pub wait_seconds: f32,
    pub output_tokens: u64,
    /// Tokens of the prompt that its provider has likely kept.
    pub cached_tokens: u64,
    /// Quality minus the price of money and of waiting: what the ranking goes by.
    pub utility: f64,
    /// Of the quality that the dial insists on.
    pub above_floor: bool,
    /// It takes everything that was asked for explicitly.
    pub keeps: bool,
    /// The conversation was here before, and wishes to stay.
    pub stays: bool,
}

/// Those of the quality that the dial insists on, best utility first. Equal utilities fall to the
/// cheaper, then to the name's place, so that a decision can be repeated.
pub(super) fn order(one: &RankedSeat, other: &RankedSeat) -> Ordering {
    other
        .above_floor
        .cmp(&one.above_floor)
        .then(other.keeps.cmp(&one.keeps))
        .then(other.stays.cmp(&one.stays))
        .then(other.utility.total_cmp(&one.utility))
        .then(one.cost.cmp(&other.cost))
        .then(one.seat.cmp(&other.seat))
}
