//! What was used and what it cost, added up from the same postings that make the balance.

use std::collections::BTreeMap;

use super::{LineError, Outcome, Settlement};
use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;
use crate::base::money::{Credits, Nanos};
use crate::catalogue::Rates;
use crate::store::{MinuteSums, Store, StoreError, UsageDimension, UsageRow};
use crate::wire::vocab::Usage;

/// What a report is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    Model,
    Key,
    Provider,
    Tier,
    Day,
    Hour,
    Account,
}

impl GroupBy {
    pub const ALL: [Self; 7] =
        [Self::Model, Self::Key, Self::Provider, Self::Tier, Self::Day, Self::Hour, Self::Account];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
            Self::Provider => "provider",
            Self::Tier => "tier",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Account => "account",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == name)
    }

    /// What rows have to be told apart by for it.
    #[must_use]
    pub fn part(self) -> UsageDimension {
        match self {
            Self::Model => UsageDimension::Model,
            Self::Key => UsageDimension::Key,
            Self::Provider => UsageDimension::Provider,
            Self::Tier => UsageDimension::Tier,
            Self::Day => UsageDimension::Stretch(86_400_000),
            Self::Hour => UsageDimension::Stretch(3_600_000),
            Self::Account => UsageDimension::Account,
        }
    }

    fn of(self, row: &UsageRow) -> String {
        match self {
            Self::Model => row.model.clone(),
            Self::Key => row.key.clone(),
            Self::Provider => row.provider.clone(),
            Self::Tier => row.tier.clone(),
            Self::Day => crate::base::calendar::written_day(row.start),
            Self::Hour => crate::base::calendar::written(row.start),
            Self::Account => row.account.clone(),
        }
    }
}

/// Rows added up by what they are grouped by, in its order.
#[must_use]
pub fn grouped(rows: &[UsageRow], group: GroupBy) -> BTreeMap<String, MinuteSums> {
    let mut groups: BTreeMap<String, MinuteSums> = BTreeMap::new();
    for row in rows {
        groups.entry(group.of(row)).or_default().add(&row.sums);
    }
    groups
}

/// All rows added up.
#[must_use]
pub fn total(rows: &[UsageRow]) -> MinuteSums {
    let mut all = MinuteSums::default();
    for row in rows {
        all.add(&row.sums);
    }
    all
}

/// What the same tokens would have cost at another price, less what was spent on them: in nano-USD.
/// Below nothing, where the other would have been cheaper.
#[must_use]
pub fn saved(sums: &MinuteSums, spent: i64, baseline: &Rates) -> i64 {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let usage = Usage {
        input: count(sums.input),
        cache_read: count(sums.cache_read),
        cache_write: count(sums.cache_write),
        output: count(sums.output),
        thought: count(sums.thought),
        ..Usage::default()
    };
    baseline.cost(&usage).0.saturating_sub(spent)
}

/// How far another model's answers are from as long, in log tokens: all of them together, and each by
/// itself. Of models that answered the same prompts (MMLU-Pro and `ZeroEval`, 3,087 pairs) the first is
/// 0.3 to 0.8 and the second 0.35 to 1.0.
const LONGER: f64 = 0.5;
const EACH_LONGER: f64 = 0.7;
/// How far another tokenizer is from as many tokens of a prompt, likewise.
const MORE_TOKENS: f64 = 0.1;
/// Deviations within which nine of ten lie.
const NINE_OF_TEN: f64 = 1.645;

/// What [`saved`] may have been, at least and at most, in nine of ten cases: nobody has seen what the
/// other model would have written. In nano-USD.
#[must_use]
pub fn saved_between(sums: &MinuteSums, spent: i64, baseline: &Rates) -> (i64, i64) {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let read = Usage {
        input: count(sums.input),
        cache_read: count(sums.cache_read),
        cache_write: count(sums.cache_write),
        ..Usage::default()
    };
    let written =
        Usage { output: count(sums.output), thought: count(sums.thought), ..Usage::default() };
    #[expect(clippy::cast_precision_loss, reason = "an estimate of money")]
    let [read, written, spent, requests] = [
        baseline.cost(&read).0 as f64,
        baseline.cost(&written).0 as f64,
        spent as f64,
        sums.requests.max(1) as f64,
    ];
    let off = (LONGER * LONGER + EACH_LONGER * EACH_LONGER / requests).sqrt();
    let at = |deviations: f64| {
        let would = read * (deviations * MORE_TOKENS).exp() + written * (deviations * off).exp();
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let saved = (would - spent).round() as i64;
        saved
    };
    (at(-NINE_OF_TEN), at(NINE_OF_TEN))
}

/// What requests may come to whose answers nobody has seen, at least and at most, in nine of ten cases,
/// by what they are expected to cost. In nano-USD.
#[must_use]
pub fn likely_between(expected: i64, requests: u64) -> (i64, i64) {
    #[expect(clippy::cast_precision_loss, reason = "an estimate of money")]
    let (expected, requests) = (expected as f64, requests.max(1) as f64);
    let off = (LONGER * LONGER + EACH_LONGER * EACH_LONGER / requests).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let at = |deviations: f64| (expected * (deviations * off).exp()).round() as i64;
    (at(-NINE_OF_TEN), at(NINE_OF_TEN))
}

/// What a request came to, if it was settled.
///
/// # Errors
/// When the store fails.
pub async fn find(store: &Store, id: &str) -> Result<Option<Settlement>, StoreError> {
    let Some(began) = began(id) else { return Ok(None) };
    // Nothing lasts longer than a session may, and that by far.
    let until = began.after(std::time::Duration::from_secs(24 * 3_600));
    // Clocks of nodes differ a little.
    let since = Timestamp(began.0 - 60_000);
    let pages = store.pages_with(id.to_owned(), since, until).await?;
    let wanted = RequestId::stored(id);
    let (mut found, mut withdrawn) = (None, false);
    for page in pages {
        for line in page.lines().filter(|line| line.contains(id)) {
            match Settlement::read(line.as_bytes()) {
                Ok(one) if one.id != wanted => {}
                Ok(one) if one.outcome == Outcome::Withdrawn => withdrawn = true,
                Ok(one) => found = Some(one),
                Err(why) => report_damage(&why),
            }
        }
    }
    Ok(found.map(|one| {
        if withdrawn {
            let (credits, list) = (Credits(0), Some(Nanos(0)));
            Settlement { outcome: Outcome::Withdrawn, credits, list, ..one }
        } else {
            one
        }
    }))
}

fn report_damage(why: &LineError) {
    tracing::error!(%why, "a page of the ledger is damaged");
}

/// An id says when it was made: the first 48 bits of a UUID v7 are milliseconds.
fn began(id: &str) -> Option<Timestamp> {
    let digits = id.strip_prefix("req_")?.get(..12)?;
    i64::from_str_radix(digits, 16).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when() {
        let now = crate::base::clock::Clock::System.now();
        let began = began(RequestId::fresh().as_str()).unwrap();
        assert!((began.0 - now.0).abs() < 1_000);
        assert_eq!(super::began("req_"), None);
        assert_eq!(super::began("req_zzzzzzzzzzzz"), None);
    }

    #[test]
    fn savings_are_against_the_same_tokens() {
        let sums =
            MinuteSums { input: 1_000, output: 1_000, cost: 1_000_000, ..MinuteSums::default() };
        let rates = Rates::text(Nanos(1_000_000_000), Nanos(2_000_000_000));
        assert_eq!(saved(&sums, sums.cost, &rates), 2_000_000);
        assert_eq!(saved(&sums, sums.cost, &Rates::default()), -1_000_000);
    }

    #[test]
    fn what_is_saved_lies_between_its_bounds_which_more_requests_bring_nearer() {
        let rates = Rates::text(Nanos(1_000_000_000), Nanos(2_000_000_000));
        let of = |requests: i64| {
            let sums = MinuteSums {
                input: 1_000,
                output: 1_000,
                cost: 1_000_000,
                requests,
                ..MinuteSums::default()
            };
            let (low, high) = saved_between(&sums, sums.cost, &rates);
            let saved = saved(&sums, sums.cost, &rates);
            assert!(low < saved && saved < high, "{low} {high}");
            high - low
        };
        assert!(of(1) > of(10) && of(10) > of(10_000));
        assert_eq!(saved_between(&MinuteSums::default(), 0, &rates), (0, 0));
    }
}
