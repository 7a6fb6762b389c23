//! A page of the journal, and what it means for the accounts: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Outcome, Settlement};
use crate::base::calendar::{MINUTE_MS, Period};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::money::{Credits, Nanos};
use crate::store::{MinuteKey, MinuteSums, PageRow, Posting};

/// Lines that become one transaction.
#[derive(Debug, Clone)]
pub struct Page {
    pub segment: Arc<str>,
    /// The first line's number in the segment, from 0.
    pub first_line: u64,
    pub settlements: Vec<Settlement>,
}

impl Page {
    /// The page as the store keeps it: the lines as they are in the journal.
    #[must_use]
    pub fn row(&self) -> PageRow {
        let mut body = Vec::with_capacity(self.settlements.len() * 400);
        for one in &self.settlements {
            one.write(&mut body);
        }
        let ids = || self.settlements.iter().map(|one| one.id.as_str());
        PageRow {
            segment: self.segment.to_string(),
            first_line: i64::try_from(self.first_line).unwrap_or(i64::MAX),
            lines: i64::try_from(self.settlements.len()).unwrap_or(i64::MAX),
            least_id: ids().min().unwrap_or_default().to_owned(),
            greatest_id: ids().max().unwrap_or_default().to_owned(),
            settled: self.settlements.iter().map(|one| one.at).max().unwrap_or(Timestamp(0)),
            // JSON is UTF-8, and so are hexadecimal digits.
            body: String::from_utf8(body).unwrap_or_default(),
        }
    }

    /// What each account is charged, in the order of their ids.
    #[must_use]
    pub fn postings(&self) -> Vec<Posting> {
        let mut sums: BTreeMap<(AccountId, Period), (Credits, Nanos)> = BTreeMap::new();
        for one in &self.settlements {
            let sum = sums.entry((one.account.clone(), one.period())).or_default();
            sum.0 = sum.0.plus(one.credits);
            sum.1 = sum.1.plus(one.cost);
        }
        let posting =
            |((account, period), (credits, cost))| Posting { account, period, credits, cost };
        sums.into_iter().map(posting).collect()
    }

    /// What reports are made of.
    #[must_use]
    pub fn minutes(&self) -> Vec<(MinuteKey, MinuteSums)> {
        let mut sums: BTreeMap<MinuteKey, MinuteSums> = BTreeMap::new();
        for one in &self.settlements {
            let key = minute_key(one.account.clone(), one.key.clone(), one);
            sums.entry(key).or_default().add(&minute(one));
        }
        sums.into_iter().collect()
    }
}

/// The row of a report that a settlement belongs to.
#[must_use]
pub fn minute_key(account: AccountId, key: KeyId, one: &Settlement) -> MinuteKey {
    let by = one.by.as_ref();
    MinuteKey {
        account,
        minute: Timestamp(one.at.0 - one.at.0.rem_euclid(MINUTE_MS)),
        key,
        model: by.map_or_else(String::new, |by| by.model.clone()),
        provider: by.map_or_else(String::new, |by| by.provider.clone()),
        tier: by.map_or_else(String::new, |by| by.tier.as_str().to_owned()),
    }
}

fn minute(one: &Settlement) -> MinuteSums {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let failed = one.outcome == Outcome::Failed;
    MinuteSums {
        requests: i64::from(!failed),
        failures: i64::from(failed),
        estimated: i64::from(one.basis == super::Basis::Estimated && !failed),
        input: count(one.tokens.input),
        cache_read: count(one.tokens.cache_read),
        cache_write: count(one.tokens.cache_write),
        output: count(one.tokens.output),
        thought: count(one.tokens.thought),
        images: count(one.images),
        credits: one.credits.0,
        cost: one.cost.0,
        latency_ms: if failed { 0 } else { count(one.latency_ms()) },
        first_byte_ms: if failed { 0 } else { count(one.first_byte_ms) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::settlement::tests::settlement;
    use super::*;

    #[test]
    fn a_page_adds_up() {
        let mut settlements: Vec<Settlement> = (0..10).map(settlement).collect();
        settlements[3].account = AccountId::stored("acct_b");
        settlements[4].outcome = Outcome::Failed;
        settlements[4].credits = Credits(0);
        let page = Page { segment: "s".into(), first_line: 5, settlements };
        let postings = page.postings();
        assert_eq!(postings.len(), 2);
        assert_eq!(postings[0].credits, Credits(8));
        assert_eq!(postings[1].credits, Credits(1));
        let credits: i64 = page.minutes().iter().map(|(_, sums)| sums.credits).sum();
        assert_eq!(credits, 9);
        let row = page.row();
        assert_eq!((row.first_line, row.lines), (5, 10));
        assert_eq!(row.body.lines().count(), 10);
        assert!(row.least_id.ends_with('0') && row.greatest_id.ends_with('9'));
    }
}
