//! The arithmetic of limits: pure, in integers, with the time passed in. `take.lua` says the same
//! for Redis; a property test holds the two against each other.
//!
//! A rate is a generic cell rate algorithm, written as a meter that fills with what is taken and
//! leaks at the rate of the limit: what would spill over is refused. A full burst passes at once,
//! and then as much as leaks.
//!
//! Longer than most files: taking, settling and giving back are one arithmetic, as in its Lua twin.

use std::time::Duration;

use crate::base::calendar::{Period, day, until_tomorrow};
use crate::base::clock::Timestamp;
use crate::base::money::{Credits, Nanos};

/// How far clocks of nodes that count together may differ, in milliseconds.
const SKEW_MS: i64 = 60_000;

/// A meter's level counts in parts of a unit, so that a limit per minute leaks a whole number of
/// them each millisecond: the limit itself.
const PARTS: i64 = 60_000;

/// The limits of an account or of a key. `None` = without limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    pub requests_per_minute: Option<u64>,
    /// Days are UTC's.
    pub requests_per_day: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub images_per_minute: Option<u64>,
    /// For the period as a whole.
    pub credits: Option<Credits>,
    /// For the period as a whole.
    pub spend: Option<Nanos>,
}

impl Limits {
    /// Something of them needs to be known from the books.
    #[must_use]
    pub fn needs_books(&self) -> bool {
        self.credits.is_some() || self.spend.is_some()
    }

    /// What is taken of a minute's requests: nothing by pictures, where they have a limit of their
    /// own.
    fn requests_a_minute(&self, amount: &RequestAmount) -> u64 {
        if amount.images > 0 && self.images_per_minute.is_some() { 0 } else { amount.requests }
    }
}

/// What a request takes from limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestAmount {
    pub requests: u64,
    pub tokens: u64,
    pub images: u64,
    pub credits: Credits,
    pub spend: Nanos,
}

/// Credits and USD that are booked of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeriodUsage {
    pub credits: Credits,
    pub spend: Nanos,
}

/// When, in the units that limits count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    pub at: Timestamp,
    pub period: Period,
}

impl Now {
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self { at, period: Period::of(at) }
    }
}

/// Which limit said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Requests,
    RequestsDay,
    Tokens,
    Images,
    Credits,
    Spend,
}

impl Limit {
    /// In the order in which `take.lua` numbers them, from 1.
    pub(super) const ALL: [Self; 6] =
        [Self::Requests, Self::RequestsDay, Self::Tokens, Self::Images, Self::Credits, Self::Spend];
}

/// The limit that was reached, and how long until there is room again. For money no wait helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReached {
    pub limit: Limit,
    /// It was the key's own limit, not the account's.
    pub of_key: bool,
    pub wait: Duration,
}

fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// One rate's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    pub level: i64,
    pub at_ms: i64,
}

impl Rate {
    /// The clock was set back by more than clocks of nodes differ: it goes on from where it is now, and
    /// not only once it is where it was.
    fn heard_at(self, at: Timestamp) -> i64 {
        if self.at_ms - at.0 > SKEW_MS { at.0 } else { self.at_ms.max(at.0) }
    }

    /// The level once what has leaked since is gone.
    fn level_at(self, limit: u64, at: Timestamp) -> i64 {
        let leaked = (at.0 - self.at_ms).max(0).saturating_mul(whole(limit));
        self.level.saturating_sub(leaked).max(0)
    }

    /// How long until `amount` fits; nothing if it does.
    fn wait(self, limit: u64, amount: u64, at: Timestamp) -> Duration {
        if limit == 0 {
            return Duration::from_secs(60);
        }
        let room = whole(limit).saturating_mul(PARTS).saturating_sub(self.level_at(limit, at));
        let over = whole(amount.min(limit)).saturating_mul(PARTS).saturating_sub(room);
        if over <= 0 { Duration::ZERO } else { millis((over - 1) / whole(limit) + 1) }
    }

    fn take(&mut self, limit: u64, amount: u64, at: Timestamp) {
        self.level = self.level_at(limit, at).saturating_add(whole(amount).saturating_mul(PARTS));
        self.at_ms = self.heard_at(at);
    }

    /// What was taken was `by` too little, or too much.
    fn correct(&mut self, by: i64) {
        self.level = self.level.saturating_add(by.saturating_mul(PARTS)).max(0);
    }

    /// Whole units that would still fit, and when nothing will be taken any more.
    #[must_use]
    pub fn line(self, limit: u64, at: Timestamp) -> LimitLine {
        let level = self.level_at(limit, at);
        let left = whole(limit).saturating_mul(PARTS).saturating_sub(level).max(0) / PARTS;
        let empty_in = if limit == 0 { PARTS } else { level / whole(limit) };
        LimitLine {
            limit,
            remaining: u64::try_from(left).unwrap_or(0),
            reset: Timestamp(at.0.saturating_add(empty_in)),
        }
    }
}

/// The UTC day that is counted, and how much of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DailyCount {
    pub day: i64,
    pub count: u64,
}

impl DailyCount {
    /// A clock that is set back over midnight does not begin the day before anew.
    fn day_at(self, at: Timestamp) -> i64 {
        if self.day - day(at) == 1 { self.day } else { day(at) }
    }

    fn count_at(self, at: Timestamp) -> u64 {
        if self.day == self.day_at(at) { self.count } else { 0 }
    }

    fn fits(self, limit: u64, amount: u64, at: Timestamp) -> bool {
        self.count_at(at).saturating_add(amount) <= limit
    }

    fn take(&mut self, amount: u64, at: Timestamp) {
        *self = Self { day: self.day_at(at), count: self.count_at(at).saturating_add(amount) };
    }

    #[must_use]
    pub fn line(self, limit: u64, at: Timestamp) -> LimitLine {
        LimitLine {
            limit,
            remaining: limit.saturating_sub(self.count_at(at)),
            reset: Timestamp(
                at.0.saturating_add(whole(
                    u64::try_from(until_tomorrow(at).as_millis()).unwrap_or(0),
                )),
            ),
        }
    }
}

/// What of a period's allowance is gone, and what is spoken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeriodFunds {
    /// `None` until the books have been asked.
    pub period: Option<Period>,
    pub used: i64,
    pub reserved: i64,
}

impl PeriodFunds {
    fn fits(self, total: i64, amount: i64) -> bool {
        self.used.saturating_add(self.reserved).saturating_add(amount) <= total
    }

    fn settle(&mut self, period: Period, held: i64, charged: i64) {
        self.reserved = self.reserved.saturating_sub(held).max(0);
        if self.period == Some(period) {
            self.used = self.used.saturating_add(charged);
        }
    }
}

/// The state of every limit of an account, or of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    pub requests: Rate,
    pub requests_day: DailyCount,
    pub tokens: Rate,
    pub images: Rate,
    pub credits: PeriodFunds,
    pub spend: PeriodFunds,
}

impl Gauges {
    /// The books are not known for this period.
    #[must_use]
    pub fn is_blank(&self, limits: &Limits, now: Now) -> bool {
        (limits.credits.is_some() && self.credits.period != Some(now.period))
            || (limits.spend.is_some() && self.spend.period != Some(now.period))
    }

    /// Money is asked of the books again.
    pub fn forget_money(&mut self) {
        (self.credits, self.spend) = (PeriodFunds::default(), PeriodFunds::default());
    }

    /// What the books say is gone.
    pub fn seed(&mut self, used: PeriodUsage, now: Now) {
        for (purse, used) in [(&mut self.credits, used.credits.0), (&mut self.spend, used.spend.0)]
        {
            if purse.period != Some(now.period) {
                purse.period = Some(now.period);
                purse.used = used;
            }
        }
    }

    /// The limit that `amount` breaks. Money before rates, since waiting does not mend it; then
    /// whichever makes wait longest.
    #[must_use]
    pub fn refusal(
        &self,
        limits: &Limits,
        amount: &RequestAmount,
        now: Now,
    ) -> Option<(Limit, Duration)> {
        if limits.credits.is_some_and(|total| !self.credits.fits(total.0, amount.credits.0)) {
            return Some((Limit::Credits, Duration::ZERO));
        }
        if limits.spend.is_some_and(|total| !self.spend.fits(total.0, amount.spend.0)) {
            return Some((Limit::Spend, Duration::ZERO));
        }
        let rate = |rate: Rate, limit: Option<u64>, amount: u64| {
            limit
                .filter(|_| amount > 0)
                .map_or(Duration::ZERO, |limit| rate.wait(limit, amount, now.at))
        };
        let over = |limit: &u64| !self.requests_day.fits(*limit, amount.requests, now.at);
        let day = limits.requests_per_day.filter(|_| amount.requests > 0).filter(over);
        let requests = limits.requests_a_minute(amount);
        [
            (Limit::Requests, rate(self.requests, limits.requests_per_minute, requests)),
            (Limit::RequestsDay, day.map_or(Duration::ZERO, |_| until_tomorrow(now.at))),
            (Limit::Tokens, rate(self.tokens, limits.tokens_per_minute, amount.tokens)),
            (Limit::Images, rate(self.images, limits.images_per_minute, amount.images)),
        ]
        .into_iter()
        .filter(|(_, wait)| !wait.is_zero())
        .reduce(|first, other| if other.1 > first.1 { other } else { first })
    }

    /// Takes what has been found to fit.
    pub fn take(&mut self, limits: &Limits, amount: &RequestAmount, now: Now) {
        for (rate, limit, amount) in [
            (&mut self.requests, limits.requests_per_minute, limits.requests_a_minute(amount)),
            (&mut self.tokens, limits.tokens_per_minute, amount.tokens),
            (&mut self.images, limits.images_per_minute, amount.images),
        ] {
            if let Some(limit) = limit
                && amount > 0
            {
                rate.take(limit, amount, now.at);
            }
        }
        if limits.requests_per_day.is_some() && amount.requests > 0 {
            self.requests_day.take(amount.requests, now.at);
        }
        if limits.credits.is_some() {
            self.credits.reserved = self.credits.reserved.saturating_add(amount.credits.0);
        }
        if limits.spend.is_some() {
            self.spend.reserved = self.spend.reserved.saturating_add(amount.spend.0);
        }
    }

    /// Replaces the reserved amount by what was used.
    pub fn settle(&mut self, limits: &Limits, correction: &Correction) {
        if limits.credits.is_some() {
            let (held, charged) = (correction.held.credits.0, correction.charged.credits.0);
            self.credits.settle(correction.period, held, charged);
        }
        if limits.spend.is_some() {
            let (held, charged) = (correction.held.spend.0, correction.charged.spend.0);
            self.spend.settle(correction.period, held, charged);
        }
        if limits.tokens_per_minute.is_some() {
            self.tokens.correct(correction.tokens());
        }
    }

    /// What the headers say.
    #[must_use]
    pub fn standing(&self, limits: &Limits, at: Timestamp) -> Standing {
        Standing {
            requests: limits.requests_per_minute.map(|limit| self.requests.line(limit, at)),
            requests_day: limits.requests_per_day.map(|limit| self.requests_day.line(limit, at)),
            tokens: limits.tokens_per_minute.map(|limit| self.tokens.line(limit, at)),
            images: limits.images_per_minute.map(|limit| self.images.line(limit, at)),
        }
    }
}

/// What was reserved, and what was used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// The period of the settlement.
    pub period: Period,
    pub held: RequestAmount,
    pub charged: PeriodUsage,
    pub used_tokens: u64,
}

impl Correction {
    #[must_use]
    pub fn tokens(&self) -> i64 {
        whole(self.used_tokens).saturating_sub(whole(self.held.tokens))
    }
}

/// One limit, and what is left of it, as the `x-ratelimit` headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitLine {
    pub limit: u64,
    pub remaining: u64,
    /// When it is whole again.
    pub reset: Timestamp,
}

/// Where an account stands with its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    pub requests: Option<LimitLine>,
    pub requests_day: Option<LimitLine>,
    pub tokens: Option<LimitLine>,
    pub images: Option<LimitLine>,
}

impl Standing {
    /// As the answer to a request for pictures says it: their limit in the place of requests.
    #[must_use]
    pub fn of_pictures(self) -> Self {
        Self { requests: self.images.or(self.requests), tokens: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        // A day's start, so that no test runs over midnight.
        Now::at(Timestamp(1_775_001_600_000 + ms))
    }

    fn ten() -> Limits {
        Limits { requests_per_minute: Some(10), ..Limits::default() }
    }

    fn one() -> RequestAmount {
        RequestAmount { requests: 1, ..RequestAmount::default() }
    }

    fn ask(
        gauges: &mut Gauges,
        limits: &Limits,
        amount: &RequestAmount,
        now: Now,
    ) -> Option<Duration> {
        let refused = gauges.refusal(limits, amount, now);
        if refused.is_none() {
            gauges.take(limits, amount, now);
        }
        refused.map(|(_, wait)| wait)
    }

    #[test]
    fn a_burst_passes_then_one_each_interval() {
        let mut gauges = Gauges::default();
        for _ in 0..10 {
            assert_eq!(ask(&mut gauges, &ten(), &one(), at(0)), None);
        }
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(0)), Some(Duration::from_secs(6)));
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(5_999)), Some(Duration::from_millis(1)));
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(6_000)), None);
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(6_000)), Some(Duration::from_secs(6)));
    }

    #[test]
    fn headers_count_down() {
        let mut gauges = Gauges::default();
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(0)), None);
        let line = gauges.standing(&ten(), at(0).at).requests.unwrap();
        assert_eq!((line.limit, line.remaining, line.reset), (10, 9, at(6_000).at));
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let limits = Limits { requests_per_day: Some(2), ..Limits::default() };
        let mut gauges = Gauges::default();
        assert_eq!(ask(&mut gauges, &limits, &one(), at(0)), None);
        assert_eq!(ask(&mut gauges, &limits, &one(), at(1)), None);
        let wait = ask(&mut gauges, &limits, &one(), at(86_390_000));
        assert_eq!(wait, Some(Duration::from_secs(10)));
        assert_eq!(ask(&mut gauges, &limits, &one(), at(86_400_000)), None);
    }

    /// A clock that is set forward and back again closes no limit for as long as it was wrong, and opens
    /// none.
    #[test]
    fn a_clock_that_steps_opens_and_closes_nothing() {
        const HOUR: i64 = 3_600_000;
        let mut gauges = Gauges::default();
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(HOUR)), None);
        let passed = (0..20).filter(|_| ask(&mut gauges, &ten(), &one(), at(1_000)).is_none());
        assert_eq!(passed.count(), 9);
        assert_eq!(ask(&mut gauges, &ten(), &one(), at(7_000)), None, "it leaks from there");
        // Nodes whose clocks differ a little do not make it leak twice.
        for second in 0..30 {
            assert!(ask(&mut gauges, &ten(), &one(), at(7_000 + second)).is_some());
            assert!(ask(&mut gauges, &ten(), &one(), at(5_000 + second)).is_some());
        }
        let daily = Limits { requests_per_day: Some(2), ..Limits::default() };
        let mut gauges = Gauges::default();
        let midnight = 24 * HOUR;
        for moment in [midnight, midnight - 1_000] {
            assert_eq!(ask(&mut gauges, &daily, &one(), at(moment)), None);
        }
        for moment in [midnight, midnight - 1_000, midnight + 1_000] {
            assert!(ask(&mut gauges, &daily, &one(), at(moment)).is_some(), "{moment}");
        }
    }

    /// A month's credits begin anew with it. What is under way is paid by the month in which it ends.
    #[test]
    fn a_month_ends() {
        let limits = Limits { credits: Some(Credits(2)), ..Limits::default() };
        let amount = RequestAmount { credits: Credits(1), ..RequestAmount::default() };
        let (may, june) = (at(59 * 86_400_000), at(61 * 86_400_000));
        let mut gauges = Gauges::default();
        gauges.seed(PeriodUsage { credits: Credits(1), spend: Nanos(0) }, may);
        assert_eq!(ask(&mut gauges, &limits, &amount, may), None);
        assert!(ask(&mut gauges, &limits, &amount, may).is_some());
        assert!(gauges.is_blank(&limits, june), "the books are asked");
        gauges.seed(PeriodUsage::default(), june);
        gauges.settle(
            &limits,
            &Correction {
                period: june.period,
                held: amount,
                charged: PeriodUsage { credits: Credits(1), spend: Nanos(0) },
                used_tokens: 0,
            },
        );
        assert_eq!(ask(&mut gauges, &limits, &amount, june), None);
        assert!(ask(&mut gauges, &limits, &amount, june).is_some());
        // A clock that is set back asks the books of the month that it finds itself in.
        assert!(gauges.is_blank(&limits, may));
    }

    #[test]
    fn real_usage_corrects_the_estimate() {
        let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
        let amount = RequestAmount { tokens: 600, ..RequestAmount::default() };
        let mut gauges = Gauges::default();
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
        assert!(ask(&mut gauges, &limits, &amount, at(0)).is_some());
        let correction = Correction {
            period: at(0).period,
            held: amount,
            charged: PeriodUsage::default(),
            used_tokens: 100,
        };
        gauges.settle(&limits, &correction);
        assert_eq!(gauges.standing(&limits, at(0).at).tokens.unwrap().remaining, 900);
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
    }

    #[test]
    fn a_purse_holds_what_is_spoken_for() {
        let limits = Limits { credits: Some(Credits(3)), ..Limits::default() };
        let amount = RequestAmount { credits: Credits(1), ..RequestAmount::default() };
        let mut gauges = Gauges::default();
        assert!(gauges.is_blank(&limits, at(0)));
        gauges.seed(PeriodUsage { credits: Credits(1), ..PeriodUsage::default() }, at(0));
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
        assert_eq!(gauges.refusal(&limits, &amount, at(0)).unwrap().0, Limit::Credits);
        let mut correction = Correction {
            period: at(0).period,
            held: amount,
            charged: PeriodUsage::default(),
            used_tokens: 0,
        };
        // One failed and gives its credit back, the other is charged.
        gauges.settle(&limits, &correction);
        correction.charged.credits = Credits(1);
        gauges.settle(&limits, &correction);
        assert_eq!((gauges.credits.used, gauges.credits.reserved), (2, 0));
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
    }

    #[test]
    fn extreme_limits_do_not_overflow() {
        let limits = Limits {
            requests_per_minute: Some(u64::MAX),
            tokens_per_minute: Some(0),
            ..Limits::default()
        };
        let mut gauges = Gauges::default();
        let amount = RequestAmount { requests: u64::MAX, ..RequestAmount::default() };
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
        let _shown = gauges.standing(&limits, at(i64::MAX / 4).at);
        let amount = RequestAmount { tokens: 1, ..RequestAmount::default() };
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), Some(Duration::from_secs(60)));
        // A debt that nobody can have is waited for, not forgiven.
        let limits = Limits { tokens_per_minute: Some(1_000), ..Limits::default() };
        let mut gauges = Gauges::default();
        let correction = Correction {
            period: at(0).period,
            held: RequestAmount::default(),
            charged: PeriodUsage::default(),
            used_tokens: u64::MAX,
        };
        assert_eq!(ask(&mut gauges, &limits, &amount, at(0)), None);
        gauges.settle(&limits, &correction);
        assert!(ask(&mut gauges, &limits, &amount, at(0)).is_some());
    }
}
