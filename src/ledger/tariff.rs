//! What a request costs the customer: in credits, and what it is sold for.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::base::money::{Credits, Margin, Nanos};
use crate::catalogue::Tier;

/// `[credits]`: whole numbers. A tier that is not named costs one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tariff {
    free: Option<u32>,
    budget: Option<u32>,
    mid: Option<u32>,
    premium: Option<u32>,
    ultra: Option<u32>,
    /// What a credit is sold for, in USD: `auto` then weighs what the caller pays. Nothing, if not
    /// given.
    usd: Option<f64>,
    /// For each picture, if not what the tier costs.
    image: Option<u32>,
    /// For each picture of a model by its name.
    images: BTreeMap<String, u32>,
}

impl Tariff {
    /// A request answered by a model of this tier.
    #[must_use]
    pub fn request(&self, tier: Tier) -> Credits {
        let price = match tier {
            Tier::Free => self.free,
            Tier::Budget => self.budget,
            Tier::Mid => self.mid,
            Tier::Premium => self.premium,
            Tier::Ultra => self.ultra,
        };
        Credits(i64::from(price.unwrap_or(1)))
    }

    /// What the caller pays for a request answered by a model of this tier, in money; nothing where
    /// credits have no price.
    #[must_use]
    pub fn paid(&self, tier: Tier) -> Nanos {
        let each = self.usd.filter(|usd| usd.is_finite() && *usd > 0.0).and_then(Nanos::from_usd);
        let count = self.request(tier).0;
        each.map_or(Nanos(0), |each| Nanos(each.0.saturating_mul(count)))
    }

    /// So many pictures of a model.
    #[must_use]
    pub fn pictures(&self, model: &str, tier: Tier, count: u64) -> Credits {
        let each = self.images.get(model).copied().or(self.image);
        each.map_or_else(|| self.request(tier), |each| Credits(i64::from(each))).times(count)
    }
}

/// How customers are asked for money and shown what it is for: what holds of every plan that says nothing
/// else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selling {
    /// On the price of a model's first deployment.
    pub margin: Margin,
    /// Whether customers are told what providers charge. Administrators always are.
    pub show_cost: bool,
}

impl Selling {
    /// The margin where customers are told their price alone: what they bound is that, too, since a bound of
    /// costs would tell them.
    #[must_use]
    pub fn alone(self) -> Option<Margin> {
        (!self.show_cost).then_some(self.margin)
    }
}

impl Default for Selling {
    fn default() -> Self {
        Self { margin: Margin::default(), show_cost: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_costs_one_unless_it_says_otherwise() {
        let tariff: Tariff =
            toml::from_str("ultra = 5\nfree = 0\nimage = 3\n[images]\nbig = 7").unwrap();
        assert_eq!(tariff.request(Tier::Mid), Credits(1));
        assert_eq!(tariff.request(Tier::Ultra), Credits(5));
        assert_eq!(tariff.request(Tier::Free), Credits(0));
        assert_eq!(tariff.pictures("small", Tier::Mid, 2), Credits(6));
        assert_eq!(tariff.pictures("big", Tier::Mid, 2), Credits(14));
        assert_eq!(Tariff::default().pictures("big", Tier::Mid, 2), Credits(2));
        assert!(toml::from_str::<Tariff>("mid = 0.5").is_err());
        let priced: Tariff = toml::from_str("ultra = 5\nusd = 0.002").unwrap();
        assert_eq!(priced.paid(Tier::Ultra), Nanos(10_000_000));
        assert_eq!(
            (priced.paid(Tier::Mid), tariff.paid(Tier::Ultra)),
            (Nanos(2_000_000), Nanos(0))
        );
    }
}
