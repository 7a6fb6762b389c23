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

/// What is asked above a provider's price: a share of it, from nothing to [`Margin::MOST`] times as much.
/// Kept in millionths, so that prices stay whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin(u32);

impl Margin {
    /// A hundred times the price. More is a slip of the pen.
    pub const MOST: f64 = 100.0;
    const WHOLE: i128 = 1_000_000;

    /// `0.15` asks 15 % more. `None` for less than nothing, and for more than [`Self::MOST`].
    #[must_use]
    pub fn of(share: f64) -> Option<Self> {
        if !share.is_finite() || !(0.0..=Self::MOST).contains(&share) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded by the check above"
        )]
        Some(Self((share * 1e6).round() as u32))
    }

    /// A price with the margin on it, rounded up to a whole nano.
    #[must_use]
    pub fn on(self, price: Nanos) -> Nanos {
        if self.0 == 0 {
            return price;
        }
        let exact = i128::from(price.0) * (Self::WHOLE + i128::from(self.0));
        let rounded =
            exact.div_euclid(Self::WHOLE) + i128::from(exact.rem_euclid(Self::WHOLE) != 0);
        Nanos(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

impl Serialize for Margin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1e6)
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        Self::of(share).ok_or_else(|| {
            serde::de::Error::custom("a margin is a share from 0 to 100: 0.15 asks 15 % more")
        })
    }
}

impl schemars::JsonSchema for Margin {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Margin".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 0, "maximum": Self::MOST})
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
    fn a_margin_is_laid_on_a_price_in_whole_nanos() {
        let margin = Margin::of(0.15).unwrap();
        assert_eq!(margin.on(Nanos(1_000)), Nanos(1_150));
        assert_eq!((margin.on(Nanos(1)), margin.on(Nanos(0))), (Nanos(2), Nanos(0)));
        assert_eq!(Margin::default().on(Nanos(7)), Nanos(7));
        assert_eq!(Margin::of(100.0).unwrap().on(Nanos(i64::MAX)), Nanos(i64::MAX));
        for absurd in [-0.01, 100.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Margin::of(absurd), None, "{absurd}");
        }
        assert_eq!(serde_json::to_string(&margin).unwrap(), "0.15");
        assert_eq!(serde_json::from_str::<Margin>("0.15").unwrap(), margin);
        assert!(serde_json::from_str::<Margin>("-1").is_err());
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
