//! What tokens cost.

use serde::Deserialize;

use crate::base::money::Nanos;
use crate::wire::vocab::Usage;

/// Nano-USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    pub input: Nanos,
    pub output: Nanos,
    pub cache_read: Nanos,
    pub cache_write: Nanos,
    /// A picture, where that has a price of its own; what it says in tokens is then in it.
    pub image: Option<Nanos>,
    /// Dearer prices for prompts longer than so many tokens.
    pub long: Option<LongPrice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPrice {
    pub above_tokens: u64,
    pub input: Nanos,
    pub output: Nanos,
}

/// As it is written in a provider's file: USD per million tokens. Prices of other kinds of token
/// (audio, images) may stand beside these and are not read yet.
#[derive(Debug, Clone, Copy, Deserialize, Default)]
pub struct PriceEntry {
    #[serde(default)]
    pub input: f64,
    #[serde(default)]
    pub output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    input_above_200k: Option<f64>,
    output_above_200k: Option<f64>,
    input_above_272k: Option<f64>,
    output_above_272k: Option<f64>,
    #[serde(skip)]
    image: Option<f64>,
}

impl PriceEntry {
    /// With the price of a picture, in USD.
    #[must_use]
    pub fn with_image(mut self, usd: Option<f64>) -> Self {
        self.image = usd;
        self
    }

    /// `None` for a price that is negative or absurd.
    #[must_use]
    pub fn read(&self) -> Option<Price> {
        let nanos = Nanos::per_million_from_usd;
        let input = nanos(self.input)?;
        let output = nanos(self.output)?;
        let optional = |usd: Option<f64>, otherwise: Nanos| usd.map_or(Some(otherwise), nanos);
        let long = match (self.input_above_200k, self.input_above_272k) {
            (Some(usd), _) => Some(LongPrice {
                above_tokens: 200_000,
                input: nanos(usd)?,
                output: optional(self.output_above_200k, output)?,
            }),
            (None, Some(usd)) => Some(LongPrice {
                above_tokens: 272_000,
                input: nanos(usd)?,
                output: optional(self.output_above_272k, output)?,
            }),
            (None, None) => None,
        };
        Some(Price {
            input,
            output,
            cache_read: optional(self.cache_read, input)?,
            cache_write: optional(self.cache_write, input)?,
            image: match self.image {
                // The same scale: nano-USD of one, not of a million.
                Some(usd) => Some(nanos(usd)?),
                None => None,
            },
            long,
        })
    }
}

impl Price {
    /// What pictures cost beside their tokens.
    #[must_use]
    pub fn pictures(&self, count: u64) -> Nanos {
        let each = self.image.unwrap_or_default();
        Nanos(each.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// What a request cost, each kind of token rounded up once.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Nanos {
        let (input, output) = match self.long {
            Some(long) if usage.prompt() > long.above_tokens => (long.input, long.output),
            _ => (self.input, self.output),
        };
        input
            .for_tokens(usage.input)
            .plus(self.cache_read.for_tokens(usage.cache_read))
            .plus(self.cache_write.for_tokens(usage.cache_write))
            .plus(if self.image.is_some() {
                Nanos(0)
            } else {
                output.for_tokens(usage.completion())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_token_has_its_price() {
        let entry = PriceEntry {
            input: 2.0,
            output: 10.0,
            cache_read: Some(0.2),
            input_above_200k: Some(4.0),
            ..PriceEntry::default()
        };
        let price = entry.read().unwrap();
        let usage =
            Usage { input: 1_000, cache_read: 500, output: 100, thought: 10, ..Usage::default() };
        assert_eq!(price.cost(&usage), Nanos(2_000_000 + 100_000 + 1_100_000));
        let long = Usage { input: 200_001, ..Usage::default() };
        assert_eq!(price.cost(&long), Nanos(800_004_000));
        let drawing = entry.with_image(Some(0.04)).read().unwrap();
        assert_eq!(drawing.pictures(2), Nanos(80_000_000));
        assert_eq!(drawing.cost(&usage), Nanos(2_000_000 + 100_000));
    }
}
