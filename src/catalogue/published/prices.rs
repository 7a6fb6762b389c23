//! Prices of the published list, as ours.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::facts::word;
use super::list::{Calendar, Hours, Price};
use super::{Converted, Extent};
use crate::base::calendar;
use crate::catalogue::price::{Above, EachEntry, HoursEntry, PictureEntry, PriceEntry, RatesEntry};
use crate::wire::vocab::Class;

/// For so long a price that is over can still be asked for: the journals of a month are posted.
const KEPT_DAYS: i64 = 31;

/// How far two prices may be apart and still be the same, in USD.
const SAME: f64 = 1e-9;

/// Kinds of tokens that have a price here.
const KINDS: [&str; 18] = [
    "input",
    "output",
    "reasoning_out",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_30m",
    "cache_write_1h",
    "cache_write_12h",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "video_in",
    "video_out",
    "cache_read_audio",
    "cache_read_image",
    "cache_read_explicit",
];

const PIECES: [&str; 10] = [
    "search",
    "maps",
    "image",
    "image_in",
    "second_in",
    "second_out",
    "mchar_in",
    "search_unit",
    "request",
    "text_message",
];

type PerToken = BTreeMap<String, f64>;

fn rates(given: &PerToken, converted: &mut Converted) -> Result<RatesEntry, String> {
    let mut known = Map::new();
    for (kind, usd) in given {
        if KINDS.contains(&kind.as_str()) {
            known.insert(kind.clone(), Value::from(*usd));
        } else {
            converted.skip(format!("a price for '{kind}', which nobody meters"));
        }
    }
    serde_json::from_value(Value::Object(known)).map_err(|why| format!("per_mtok: {why}"))
}

fn pieces(price: &Price, converted: &mut Converted) -> Result<Option<EachEntry>, String> {
    let mut known = Map::new();
    for (kind, given) in price.per.iter().flatten() {
        // A search's price by the size of its context: most are of medium size.
        let usd = given.get("medium").unwrap_or(given);
        if PIECES.contains(&kind.as_str()) && usd.is_number() {
            known.insert(kind.clone(), usd.clone());
        } else {
            converted.skip(format!("a price for '{kind}', which nobody meters"));
        }
    }
    if known.is_empty() {
        return Ok(None);
    }
    serde_json::from_value(Value::Object(known)).map(Some).map_err(|why| format!("per: {why}"))
}

fn hours(
    given: &Hours,
    holidays: &BTreeMap<String, Calendar>,
) -> Result<Option<HoursEntry>, String> {
    match given.kind.as_str() {
        // All hours that are not busy: the price without hours holds in them.
        "off_peak" => return Ok(None),
        "peak" => {}
        other => return Err(format!("hours: kind '{other}' is not known here")),
    }
    let except = match &given.except_holidays {
        None => Vec::new(),
        Some(name) => holidays
            .get(name)
            .map(|calendar| calendar.dates.clone())
            .ok_or_else(|| format!("hours: there is no calendar '{name}' in holidays"))?,
    };
    Ok(Some(HoursEntry {
        zone: given.tz.clone().unwrap_or_else(|| "UTC".to_owned()),
        windows: given.windows.iter().map(|(from, to)| format!("{from}-{to}")).collect(),
        weekdays: given.weekdays.clone(),
        except,
    }))
}

/// Whether a price is so many times another, kind by kind and step by step.
fn is_times(price: &Price, times: f64, standard: &Price) -> bool {
    let same = |mine: Option<&PerToken>, theirs: Option<&PerToken>| match (mine, theirs) {
        (Some(mine), Some(theirs)) => {
            mine.len() == theirs.len()
                && mine.iter().all(|(kind, usd)| {
                    theirs.get(kind).is_some_and(|base| (base * times - usd).abs() < SAME)
                })
        }
        _ => false,
    };
    same(price.per_mtok.as_ref(), standard.per_mtok.as_ref())
        && price.tiers.len() == standard.tiers.len()
        && price.tiers.iter().zip(&standard.tiers).all(|(mine, theirs)| {
            mine.above_tokens == theirs.above_tokens
                && same(Some(&mine.per_mtok), Some(&theirs.per_mtok))
        })
}

/// Whether two prices hold at some common moment. Days are text in an order of time.
fn overlap(one: &Price, other: &Price) -> bool {
    let before = |until: &Option<String>, from: &Option<String>| matches!((until, from), (Some(until), Some(from)) if until <= from);
    !before(&one.until, &other.from) && !before(&other.until, &one.from)
}

fn is_standard(price: &Price) -> bool {
    price.class == "standard"
}

/// Whether a price can bill nothing any more.
fn is_over(price: &Price, generated: &str) -> bool {
    let days = |text: &str| calendar::read(text).map(calendar::day);
    match (price.until.as_deref().and_then(days), days(generated)) {
        (Some(until), Some(today)) => until < today - KEPT_DAYS,
        _ => false,
    }
}

fn convert(
    price: &Price,
    standard: &[&Price],
    holidays: &BTreeMap<String, Calendar>,
    converted: &mut Converted,
) -> Result<Option<PriceEntry>, String> {
    let Ok(class) = word::<Class>("class", &price.class) else {
        converted.skip(format!("a price of the class '{}'", price.class));
        return Ok(None);
    };
    let thinking = match price.when.as_deref() {
        None => false,
        Some("thinking") => true,
        Some(other) => {
            converted.skip(format!("a price 'when {other}'"));
            return Ok(None);
        }
    };
    let mut entry = PriceEntry {
        from: price.from.clone(),
        until: price.until.clone(),
        class,
        thinking,
        hours: price.hours.as_ref().map(|given| hours(given, holidays)).transpose()?.flatten(),
        ..PriceEntry::default()
    };
    let beside: Vec<&&Price> = standard.iter().filter(|one| overlap(price, one)).collect();
    if let Some(times) = price.multiplier
        && !is_standard(price)
        && price.when.is_none()
        && price.hours.is_none()
        && price.per_image.is_empty()
        && !beside.is_empty()
        && beside.iter().all(|one| is_times(price, times, one))
    {
        entry.times = Some(times);
        return Ok(Some(entry));
    }
    entry.usd_per_million =
        price.per_mtok.as_ref().map(|given| rates(given, converted)).transpose()?;
    for step in &price.tiers {
        entry.above.push(Above {
            tokens: step.above_tokens,
            usd_per_million: rates(&step.per_mtok, converted)?,
        });
    }
    entry.usd_each = pieces(price, converted)?;
    entry.pictures = price
        .per_image
        .iter()
        .map(|one| PictureEntry {
            size: one.size.clone(),
            quality: one.quality.clone(),
            usd: one.usd,
        })
        .collect();
    // A search costs what it costs in every class; lists say so of the standard one alone.
    if !is_standard(price) && entry.usd_each.is_none() {
        let search = beside
            .first()
            .map(|one| pieces(one, &mut Converted::default()))
            .transpose()?
            .flatten()
            .and_then(|each| each.search);
        entry.usd_each = search.map(|usd| EachEntry { search: Some(usd), ..EachEntry::default() });
    }
    Ok(Some(entry))
}

/// The prices of a deployment.
///
/// # Errors
/// What of them cannot be a price here.
pub(super) fn of_deployment(
    prices: &[Price],
    holidays: &BTreeMap<String, Calendar>,
    generated: &str,
    extent: Extent,
    converted: &mut Converted,
) -> Result<Vec<PriceEntry>, String> {
    let mut kept: Vec<&Price> = prices.iter().collect();
    if extent == Extent::Core {
        kept.retain(|price| !is_over(price, generated));
        // What has no price that holds costs what it last did.
        if !kept.iter().any(|price| is_standard(price)) {
            kept = prices.iter().collect();
        }
    }
    let standard: Vec<&Price> = kept.iter().copied().filter(|price| is_standard(price)).collect();
    let mut entries = Vec::with_capacity(kept.len());
    for (index, price) in kept.iter().enumerate() {
        let entry = convert(price, &standard, holidays, converted)
            .map_err(|why| format!("prices[{index}]: {why}"))?;
        entries.extend(entry);
    }
    Ok(entries)
}
