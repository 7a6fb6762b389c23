//! Busy hours: when a dearer price holds, in the maker's own time.

use serde::{Deserialize, Serialize};

use super::PriceError;
use crate::base::calendar;
use crate::base::clock::Timestamp;

/// As it is written: `{ zone = "UTC", windows = ["01:00-04:00"], weekdays = [1, 2, 3, 4, 5] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursEntry {
    /// `UTC`, or how far the maker's clocks are from it: `+08:00`.
    pub zone: String,
    /// From inclusive, to exclusive, within one day: `01:00-04:00`.
    pub windows: Vec<String>,
    /// 1 is Monday, 7 is Sunday; all, if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<u8>,
    /// Days without busy hours, as `2026-10-01`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// The same, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    offset_ms: i64,
    /// Minutes of a day.
    windows: Vec<(u16, u16)>,
    /// A bit per weekday; bit 0 is Monday.
    weekdays: u8,
    /// Days since the epoch.
    except: Vec<i64>,
}

const DAY_MS: i64 = 86_400_000;

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && all <= 24 * 60).then_some(all)
}

/// How far a zone's clocks are before UTC, in milliseconds.
fn offset(zone: &str) -> Option<i64> {
    if zone == "UTC" || zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, zone.strip_prefix('-')?),
    };
    minutes(rest).filter(|all| *all <= 14 * 60).map(|all| sign * i64::from(all) * 60_000)
}

impl HoursEntry {
    /// # Errors
    /// [`PriceError`] for a zone, a window or a day that cannot be read.
    pub fn read(&self) -> Result<Hours, PriceError> {
        let wrong = |what: &str| PriceError::Hours(what.to_owned());
        let windows = self.windows.iter().map(|window| {
            let (from, to) = window.split_once('-')?;
            let (from, to) = (minutes(from)?, minutes(to)?);
            (from < to).then_some((from, to))
        });
        let mut weekdays = 0_u8;
        for day in &self.weekdays {
            if !(1..=7).contains(day) {
                return Err(wrong("a weekday is a number from 1 (Monday) to 7 (Sunday)"));
            }
            weekdays |= 1 << (day - 1);
        }
        Ok(Hours {
            offset_ms: offset(&self.zone)
                .ok_or_else(|| wrong("a zone is UTC or an offset such as +08:00"))?,
            windows: windows
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("a window reads 01:00-04:00"))?,
            weekdays: if weekdays == 0 { 0x7F } else { weekdays },
            except: self
                .except
                .iter()
                .map(|day| calendar::read(day).map(calendar::day))
                .collect::<Option<_>>()
                .ok_or_else(|| wrong("a day reads 2026-10-01"))?,
        })
    }
}

impl Hours {
    /// Whether a moment is a busy one.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        let local = at.0.saturating_add(self.offset_ms);
        let days = local.div_euclid(DAY_MS);
        // 1970-01-01 was a Thursday: day 0 is weekday 3, counted from Monday.
        let weekday = (days + 3).rem_euclid(7);
        let minute = local.rem_euclid(DAY_MS) / 60_000;
        self.weekdays & (1 << weekday) != 0
            && self
                .windows
                .iter()
                .any(|(from, to)| (i64::from(*from)..i64::from(*to)).contains(&minute))
            && !self.except.contains(&days)
    }
}
