//! Prices as they are written in files and in the configuration.

use serde::{Deserialize, Serialize};

use super::PriceError;
use super::hours::HoursEntry;
use super::list::{Amount, Each, PicturePrice, Price, Steps, WHOLE};
use super::rates::RatesEntry;
use crate::base::calendar;
use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::wire::vocab::Class;

/// One price of a deployment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriceEntry {
    /// The first day of the price, in UTC, as `2026-12-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first day on which it holds no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Class::is_standard")]
    pub class: Class,
    /// So many times the standard price, in place of prices of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    /// Only for requests that thought.
    #[serde(skip_serializing_if = "is_false")]
    pub thinking: bool,
    /// Busy hours, in which this price holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<HoursEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_million: Option<RatesEntry>,
    /// Other prices for the whole request, where its prompt is longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<Above>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_each: Option<EachEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<PictureEntry>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Above {
    pub tokens: u64,
    pub usd_per_million: RatesEntry,
}

/// USD for one of a thing. What no surface of the gateway meters is kept for the record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EachEntry {
    /// A search of the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maps: Option<f64>,
    /// A picture that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_in: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_out: Option<f64>,
    /// A million characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mchar_in: Option<f64>,
    /// A search of a reranker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_message: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PictureEntry {
    pub size: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    pub usd: f64,
}

fn usd(amount: f64) -> Result<Nanos, PriceError> {
    Nanos::from_usd(amount).ok_or(PriceError::Absurd(amount))
}

fn millionths(times: f64) -> Result<i64, PriceError> {
    if !times.is_finite() || !(0.0..=1_000.0).contains(&times) {
        return Err(PriceError::Absurd(times));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the check above")]
    Ok((times * 1e6).round() as i64)
}

fn day(text: Option<&str>) -> Result<Option<Timestamp>, PriceError> {
    let Some(text) = text else { return Ok(None) };
    calendar::read(text).map(Some).ok_or_else(|| PriceError::Day(text.to_owned()))
}

/// The factor of a region's requests, in millionths.
///
/// # Errors
/// [`PriceError`] for one that is absurd.
pub fn regional(factor: Option<f64>) -> Result<i64, PriceError> {
    factor.map_or(Ok(WHOLE), millionths)
}

impl PriceEntry {
    /// So many times as dear.
    #[must_use]
    pub fn scaled(mut self, times: Option<f64>) -> Self {
        let Some(times) = times else { return self };
        self.usd_per_million = self.usd_per_million.map(|rates| rates.scaled(times));
        for step in &mut self.above {
            step.usd_per_million = step.usd_per_million.scaled(times);
        }
        if let Some(image) = self.usd_each.as_mut().and_then(|each| each.image.as_mut()) {
            *image *= times;
        }
        for picture in &mut self.pictures {
            picture.usd *= times;
        }
        self
    }

    /// # Errors
    /// [`PriceError`] for what cannot be a price.
    pub fn read(&self) -> Result<Price, PriceError> {
        let base = self.usd_per_million.unwrap_or_default();
        let each = self.usd_each.clone().unwrap_or_default();
        let amount = match self.times {
            Some(times) => Amount::Times(millionths(times)?),
            None => {
                let mut above = Vec::with_capacity(self.above.len());
                for step in &self.above {
                    above.push((step.tokens, step.usd_per_million.over(base).read()?));
                }
                above.sort_by_key(|(tokens, _)| *tokens);
                let mut pictures = Vec::with_capacity(self.pictures.len());
                for one in &self.pictures {
                    pictures.push(PicturePrice {
                        size: one.size.clone(),
                        quality: one.quality.clone(),
                        price: usd(one.usd)?,
                    });
                }
                let each = Each {
                    search: each.search.map(usd).transpose()?,
                    request: each.request.map(usd).transpose()?,
                    picture_in: each.image_in.map(usd).transpose()?,
                    picture: each.image.map(usd).transpose()?,
                    pictures,
                };
                Amount::Rates(Box::new(Steps { base: base.read()?, above, each }))
            }
        };
        Ok(Price {
            from: day(self.from.as_deref())?,
            until: day(self.until.as_deref())?,
            class: self.class,
            thinking: self.thinking,
            hours: self.hours.as_ref().map(HoursEntry::read).transpose()?,
            amount,
        })
    }
}
