//! Numbers, amounts and moments as people read them; and what a page reads out of an answer of the
//! interface.

use serde::Serialize;
use serde_json::Value;

use crate::base::clock::Timestamp;
use crate::base::money::Nanos;
use crate::base::{Error, calendar};

/// An amount with as many digits as it needs, two at the least: `$8.80`, `$0.000124`.
#[must_use]
pub fn usd(nanos: Nanos) -> String {
    let whole = nanos.0.unsigned_abs();
    let sign = if nanos.0 < 0 { "-" } else { "" };
    // Three digits that say something are enough.
    let digits = match whole {
        0 => 2,
        10_000_000_000.. => 2,
        1_000_000_000.. => 2,
        100_000_000.. => 3,
        10_000_000.. => 4,
        1_000_000.. => 5,
        100_000.. => 6,
        10_000.. => 7,
        1_000.. => 8,
        _ => 9,
    };
    let step = 10_u64.pow(9 - digits);
    let rounded = whole.saturating_add(step / 2) / step * step;
    let part = format!("{:09}", rounded % 1_000_000_000);
    let part = part.get(..usize::try_from(digits).unwrap_or(2)).unwrap_or("00");
    let trimmed = part.trim_end_matches('0');
    let part = if trimmed.len() < 2 { part.get(..2).unwrap_or("00") } else { trimmed };
    format!("{sign}${}.{part}", grouped(rounded / 1_000_000_000))
}

/// What something came to, and the word for it: the cost where that is told, else the price.
#[must_use]
pub fn money(row: &Value) -> (&'static str, Nanos) {
    if row.get("cost_nano_usd").is_some_and(Value::is_i64) {
        ("Cost", nanos(row, "cost_nano_usd"))
    } else {
        ("Price", nanos(row, "list_nano_usd"))
    }
}

/// With commas between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count, with its sign.
#[must_use]
pub fn count(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// Credits, with their word.
#[must_use]
pub fn credits(number: i64) -> String {
    format!("{} {}", count(number), if number == 1 { "credit" } else { "credits" })
}

/// A large count, short: `1.9 M`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn short(number: i64) -> String {
    let size = number.unsigned_abs() as f64;
    let sign = if number < 0 { "-" } else { "" };
    match number.unsigned_abs() {
        0..10_000 => count(number),
        10_000..1_000_000 => format!("{sign}{:.0} k", size / 1e3),
        1_000_000..1_000_000_000 => format!("{sign}{:.1} M", size / 1e6),
        _ => format!("{sign}{:.1} G", size / 1e9),
    }
}

/// To the second, with the zone: `2026-11-24 12:04:31 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    calendar::written(at).replace('T', " ").replace('Z', " UTC")
}

/// To the minute: `2026-11-24 12:04`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    let text = calendar::written(at).replace('T', " ");
    text.get(..16).unwrap_or(&text).to_owned()
}

/// A time with its unit: `240 ms`, `2.1 s`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
pub fn lasting(ms: i64) -> String {
    if ms < 10_000 {
        return format!("{} ms", count(ms));
    }
    format!("{:.1} s", ms as f64 / 1e3)
}

/// An answer of the interface, as its callers read it.
///
/// # Errors
/// When it cannot be written, which is a fault of ours.
pub fn as_json(answer: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(Error::internal)
}

/// A member that is text; empty where it is not.
#[must_use]
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A member that is a whole number; nothing where it is not.
#[must_use]
pub fn whole(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// A member that is an amount in nano-USD.
#[must_use]
pub fn nanos(value: &Value, name: &str) -> Nanos {
    Nanos(whole(value, name))
}

/// A member that is an amount in USD.
#[must_use]
pub fn dollars(value: &Value, name: &str) -> Option<Nanos> {
    let number = value.get(name)?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "an amount as it was told")]
    Some(Nanos((number * 1e9).round() as i64))
}

/// A member that is a list.
#[must_use]
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_that_they_need() {
        for (nanos, text) in [
            (0, "$0.00"),
            (8_800_000_000, "$8.80"),
            (124_000, "$0.000124"),
            (400_000, "$0.0004"),
            (41_200_000_000, "$41.20"),
            (-1_500_000_000, "-$1.50"),
            (1_234_567_890_000_000, "$1,234,567.89"),
            (999_999_999_999, "$1,000.00"),
            (1, "$0.000000001"),
        ] {
            assert_eq!(usd(Nanos(nanos)), text);
        }
        assert_eq!(count(-1_234_567), "-1,234,567");
        assert_eq!((short(9_999), short(1_900_000)), ("9,999".into(), "1.9 M".into()));
        assert_eq!(moment(Timestamp(1_775_001_600_000)), "2026-04-01 00:00:00 UTC");
        assert_eq!((lasting(240), lasting(12_340)), ("240 ms".into(), "12.3 s".into()));
    }
}
