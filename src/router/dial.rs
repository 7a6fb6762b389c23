//! What the caller of `auto` wishes: how much quality is worth, and what it may cost at most.

use crate::base::money::{Margin, Nanos};

/// The dial of `auto`, from 0, as cheap as can be, to 1, as good as can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dial(f64);

impl Dial {
    pub const CHEAP: Self = Self(0.125);
    pub const BALANCED: Self = Self(0.5);
    pub const BEST: Self = Self(1.0);

    /// `None` outside 0 to 1.
    #[must_use]
    pub fn new(quality: f64) -> Option<Self> {
        (0.0..=1.0).contains(&quality).then_some(Self(quality))
    }

    /// The variant a model name asks for, if it asks for `auto` at all.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "auto" | "auto:balanced" => Some(Self::BALANCED),
            "auto:cheap" => Some(Self::CHEAP),
            "auto:best" => Some(Self::BEST),
            _ => None,
        }
    }

    /// As decisions name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CHEAP => "auto:cheap",
            Self::BALANCED => "auto:balanced",
            Self::BEST => "auto:best",
            _ => "auto",
        }
    }

    #[must_use]
    pub fn quality(self) -> f64 {
        self.0
    }

    /// Quality that one dollar is worth: 100 at 0, 40 in the middle, 4 at 1. In the middle a call may
    /// cost a cent more if it makes a good answer likelier by 0.4. It falls faster with the dial than
    /// [`Self::caution`] can take away what better models are worth, so a dearer dial is never worse.
    #[must_use]
    pub fn quality_per_usd(self) -> f64 {
        let power = if self.0 < 0.5 { 2.0 - 0.8 * self.0 } else { 2.6 - 2.0 * self.0 };
        10_f64.powf(power)
    }

    /// How far an unsure prompt is taken to be harder than it looks, in deviations of its ease: not
    /// at all at 0, by one at 1. It leans upward, and leaves who is better than whom as it is.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1")]
    pub fn caution(self) -> f32 {
        self.0 as f32
    }

    /// The share of the best model's expected quality that is not gone below, whatever it costs.
    #[must_use]
    pub fn floor(self) -> f64 {
        0.6 + 0.35 * self.0
    }
}

/// The dial of a request, and the most that its answer may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DialWish {
    pub dial: Dial,
    /// No model that is expected to cost more is asked.
    pub max_cost: Option<Nanos>,
    /// The bound is of what is asked for: the price of a model's first deployment, with this margin. Else of
    /// what the deployment costs.
    pub sold: Option<Margin>,
}

impl From<Dial> for DialWish {
    fn from(dial: Dial) -> Self {
        Self { dial, max_cost: None, sold: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_worth_more_the_higher_the_dial() {
        let dials: Vec<Dial> =
            (0..=100).filter_map(|at| Dial::new(f64::from(at) / 100.0)).collect();
        for pair in dials.windows(2) {
            assert!(pair[0].quality_per_usd() > pair[1].quality_per_usd());
            assert!(pair[0].floor() < pair[1].floor());
        }
        assert!((Dial::BALANCED.quality_per_usd() - 39.8).abs() < 0.1);
        assert_eq!((Dial::new(1.01), Dial::new(f64::NAN)), (None, None));
    }
}
