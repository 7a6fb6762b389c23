//! Money as integers: nano-USD. Floats never hold an amount.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 1e-9 US dollars. An `i64` of them spans about 9.2 billion dollars.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Nanos(pub i64);

impl Nanos {
    /// The price a catalogue quotes in USD per million tokens, as nano-USD per million tokens.
    /// `None` for a negative, unordered or absurd price.
    #[must_use]
    pub fn per_million_from_usd(usd: f64) -> Option<Self> {
        if !usd.is_finite() || !(0.0..=1.0e9).contains(&usd) {
            return None;
        }
        // The one place where a configured decimal becomes an integer; 1e18 fits an i64.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the check above")]
        Some(Self((usd * 1e9).round() as i64))
    }

    /// An amount that somebody wrote in US dollars. `None` for one below nothing, or absurd.
    #[must_use]
    pub fn from_usd(usd: f64) -> Option<Self> {
        Self::per_million_from_usd(usd)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What `tokens` cost when `self` is the price of a million, rounded up to a whole nano.
    #[must_use]
    pub fn for_tokens(self, tokens: u64) -> Self {
        Self::sum_for_tokens([(self, tokens)])
    }

    /// What tokens cost together, each at the price of a million, rounded up once.
    #[must_use]
    pub fn sum_for_tokens<const N: usize>(all: [(Self, u64); N]) -> Self {
        // Nearly always within 64 bits, where dividing is cheap.
        let small = all.iter().try_fold(0_i64, |sum, (price, tokens)| {
            sum.checked_add(price.0.checked_mul(i64::try_from(*tokens).ok()?)?)
        });
        if let Some(exact) = small {
            let over = i64::from(exact.rem_euclid(1_000_000) != 0);
            return Self(exact.div_euclid(1_000_000) + over);
        }
        let exact = all.iter().fold(0_i128, |sum, (price, tokens)| {
            sum.saturating_add(i128::from(price.0) * i128::from(*tokens))
        });
        let rounded = exact.div_euclid(1_000_000) + i128::from(exact.rem_euclid(1_000_000) != 0);
        Self(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    /// Reads an amount of USD as a decimal: `12.5`. Nothing smaller than a nano-USD.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let part: i64 = format!("{part:0<9}").parse().ok()?;
        whole.checked_mul(1_000_000_000)?.checked_add(part).map(Self)
    }

    /// The amount in USD as a decimal, exact: `12.5`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let text = self.to_string().replace('$', "");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// For display and comparison with measured data only, never for arithmetic on balances.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "display only")]
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// What a customer pays in: whole credits.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Credits(pub i64);

impl Credits {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs();
        write!(f, "{sign}${}.{:09}", whole / 1_000_000_000, whole % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_becomes_whole_nanos() {
        assert_eq!(Nanos::per_million_from_usd(0.14), Some(Nanos(140_000_000)));
        assert_eq!(Nanos::per_million_from_usd(-1.0), None);
        assert_eq!(Nanos::per_million_from_usd(f64::NAN), None);
    }

    #[test]
    fn a_part_of_a_nano_is_charged_as_one() {
        let price = Nanos(140_000_000);
        assert_eq!(price.for_tokens(1), Nanos(140));
        assert_eq!(Nanos(1).for_tokens(1), Nanos(1));
        assert_eq!(price.for_tokens(0), Nanos(0));
    }

    #[test]
    fn decimals_read_back() {
        for (text, nanos) in
            [("12.5", 12_500_000_000), ("0", 0), ("0.000000001", 1), ("7", 7_000_000_000)]
        {
            assert_eq!(Nanos::from_decimal(text), Some(Nanos(nanos)));
            assert_eq!(Nanos(nanos).to_decimal(), text);
        }
        for text in ["", "-1", "1e3", ".5", "0.0000000001", "99999999999999", "1.x"] {
            assert_eq!(Nanos::from_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_print_in_dollars() {
        assert_eq!(Nanos(-1_500_000_001).to_string(), "-$1.500000001");
    }
}
