//! Calendar months and days in UTC, and how moments are written for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time};

use super::clock::Timestamp;

const DAY_MS: i64 = 86_400_000;
pub const MINUTE_MS: i64 = 60_000;

/// A calendar month in UTC, the period that credits are given for: `202604` is April 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(pub i64);

impl Period {
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        let date = moment(at).date();
        Self(i64::from(date.year()) * 100 + i64::from(u8::from(date.month())))
    }

    /// Its first millisecond.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let year = i32::try_from(self.0 / 100).unwrap_or(1970);
        let month = u8::try_from(self.0 % 100).ok().and_then(|month| Month::try_from(month).ok());
        let first = Date::from_calendar_date(year, month.unwrap_or(Month::January), 1);
        first.map_or(Timestamp(0), |date| of_moment(date.with_time(Time::MIDNIGHT).assume_utc()))
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(if self.0 % 100 == 12 { self.0 + 89 } else { self.0 + 1 })
    }

    /// The millisecond after its last.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.next().start()
    }
}

/// Days since the epoch, in UTC.
#[must_use]
pub fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// How long until the next day begins, in UTC.
#[must_use]
pub fn until_tomorrow(at: Timestamp) -> Duration {
    let left = DAY_MS - at.0.rem_euclid(DAY_MS);
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

/// To the second.
fn moment(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn of_moment(moment: OffsetDateTime) -> Timestamp {
    let ms = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// As RFC 3339 has it, to the second: `2026-04-01T00:00:00Z`.
#[must_use]
pub fn written(at: Timestamp) -> String {
    moment(at).format(&Rfc3339).unwrap_or_default()
}

/// The day alone: `2026-04-01`.
#[must_use]
pub fn written_day(at: Timestamp) -> String {
    written(at).split('T').next().unwrap_or_default().to_owned()
}

/// Reads a moment as people write one: RFC 3339, a date, or seconds since the epoch; from 1970 to
/// 9999, so that a little more than it is a moment too.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000).map(Timestamp).filter(|at| is_in_range(*at));
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    // A plus in an address arrives as a space.
    let moment = OffsetDateTime::parse(&full.replace(' ', "+"), &Rfc3339).ok()?;
    Some(of_moment(moment)).filter(|at| is_in_range(*at))
}

/// From 1970 to 9999.
#[must_use]
pub fn is_in_range(at: Timestamp) -> bool {
    (0..=253_402_300_799_999).contains(&at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month() {
        let at = read("2026-12-31T23:59:59Z").unwrap();
        assert_eq!(Period::of(at), Period(202_612));
        assert_eq!(Period(202_612).next(), Period(202_701));
        assert_eq!(written(Period(202_612).end()), "2027-01-01T00:00:00Z");
        assert_eq!(written(Period(202_604).start()), "2026-04-01T00:00:00Z");
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let at = read("2026-04-01T23:59:00Z").unwrap();
        assert_eq!(until_tomorrow(at), Duration::from_secs(60));
        assert_eq!(day(at) + 1, day(read("2026-04-02").unwrap()));
    }

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("1775001600", 1_775_001_600),
            ("2026-04-01", 1_775_001_600),
            ("2026-04-01T00:00:00Z", 1_775_001_600),
            ("2026-04-01T02:00:00+02:00", 1_775_001_600),
            ("2026-04-01T02:00:00 02:00", 1_775_001_600),
        ] {
            assert_eq!(read(text).unwrap().seconds(), seconds, "{text}");
        }
        assert_eq!(read("soon"), None);
        for text in ["9999999999999999999", "9223372036854775", "-1", "1969-12-31"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read("9999-12-31T23:59:59Z").is_some());
    }
}
