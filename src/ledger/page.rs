//! A page of the journal, and what it means for the accounts: pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Outcome, Settlement, head};
use crate::base::calendar::{MINUTE_MS, Period};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};
use crate::base::money::{Credits, Nanos};
use crate::store::{Heads, MinuteKey, MinuteSums, PageRow, Posted, Posting};

/// Lines that become one transaction, and what they mean: added up as each is written, by whoever
/// writes it, so that nothing but sums and bytes changes hands.
#[derive(Debug, Clone)]
pub struct JournalPage {
    pub segment: Arc<str>,
    /// The first line's number in the segment, from 0.
    pub first_line: u64,
    pub lines: u64,
    body: Vec<u8>,
    least_id: String,
    greatest_id: String,
    settled: Timestamp,
    charges: BTreeMap<(AccountId, Period), (Credits, Nanos)>,
    minutes: HashMap<MinuteKey, MinuteSums>,
    /// What lists show, of each account.
    heads: BTreeMap<AccountId, Heads>,
    /// The row of a report that the last line belongs to: the next one's is mostly the same.
    latest: Option<(MinuteKey, MinuteSums)>,
}

impl JournalPage {
    #[must_use]
    pub fn new(segment: Arc<str>, first_line: u64) -> Self {
        Self {
            segment,
            first_line,
            lines: 0,
            body: Vec::new(),
            least_id: String::new(),
            greatest_id: String::new(),
            settled: Timestamp(0),
            charges: BTreeMap::new(),
            minutes: HashMap::new(),
            heads: BTreeMap::new(),
            latest: None,
        }
    }

    /// Adds a settlement and its line.
    pub fn add(&mut self, one: &Settlement, line: &[u8]) {
        self.body.extend_from_slice(line);
        self.lines += 1;
        self.settled = self.settled.max(one.at);
        let id = one.id.as_str();
        if id > self.greatest_id.as_str() {
            id.clone_into(&mut self.greatest_id);
        }
        if self.least_id.is_empty() || id < self.least_id.as_str() {
            id.clone_into(&mut self.least_id);
        }
        match self.heads.get_mut(&one.account) {
            Some(heads) => add_head(heads, one),
            None => {
                let (account, body) = (one.account.clone(), String::new());
                let mut heads = Heads { account, at: one.at, lines: 0, body };
                add_head(&mut heads, one);
                self.heads.insert(one.account.clone(), heads);
            }
        }
        let sums = minute(one);
        match &mut self.latest {
            Some((key, latest)) if is_of(key, one) => latest.add(&sums),
            _ => {
                self.turn_minute();
                let key = minute_key(one.account.clone(), one.key.clone(), one);
                self.latest = Some((key, sums));
            }
        }
    }

    /// The last line's sums go to the others.
    fn turn_minute(&mut self) {
        let Some((key, sums)) = self.latest.take() else { return };
        let period = Period::of(key.minute);
        let charge = self.charges.entry((key.account.clone(), period)).or_default();
        charge.0 = charge.0.plus(Credits(sums.credits));
        charge.1 = charge.1.plus(Nanos(sums.cost));
        self.minutes.entry(key).or_default().add(&sums);
    }

    /// As the store takes it: the page itself, what each account is charged in the order of their
    /// ids, and what reports are made of.
    #[must_use]
    pub fn posted(mut self) -> Posted {
        self.turn_minute();
        let row = PageRow {
            segment: self.segment.to_string(),
            first_line: i64::try_from(self.first_line).unwrap_or(i64::MAX),
            lines: i64::try_from(self.lines).unwrap_or(i64::MAX),
            least_id: self.least_id,
            greatest_id: self.greatest_id,
            settled: self.settled,
            // JSON is UTF-8, and so are hexadecimal digits.
            body: String::from_utf8(self.body).unwrap_or_default(),
        };
        let posting =
            |((account, period), (credits, cost))| Posting { account, period, credits, cost };
        let charges = self.charges.into_iter().map(posting);
        // Nodes that post at once take the rows in one order.
        let mut minutes: Vec<_> = self.minutes.into_iter().collect();
        minutes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let heads = self.heads.into_values().collect();
        Posted { row: Arc::new(row), charges: charges.collect(), minutes: minutes.into(), heads }
    }
}

fn add_head(heads: &mut Heads, one: &Settlement) {
    heads.at = heads.at.max(one.at);
    heads.lines += 1;
    head::write(one, &mut heads.body);
}

/// Whether a settlement belongs to the row of this key.
fn is_of(key: &MinuteKey, one: &Settlement) -> bool {
    let same_answerer = match &one.by {
        Some(by) => {
            key.model == by.model && key.provider == by.provider && key.tier == by.tier.as_str()
        }
        None => key.provider.is_empty(),
    };
    same_answerer
        && key.minute.0 == one.at.0 - one.at.0.rem_euclid(MINUTE_MS)
        && key.key == one.key
        && key.account == one.account
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
    if one.outcome == Outcome::Withdrawn {
        // One answer less, one failure more. Its tokens were used and its cost is due all the same.
        return MinuteSums {
            requests: -1,
            failures: 1,
            estimated: -i64::from(one.basis == super::Basis::Estimated),
            credits: one.credits.0,
            list: one.listed().0,
            latency_ms: -count(one.latency_ms()),
            first_byte_ms: -count(one.first_byte_ms),
            ..MinuteSums::default()
        };
    }
    let failed = one.outcome == Outcome::Failed;
    MinuteSums {
        requests: i64::from(!failed),
        failures: i64::from(failed),
        estimated: i64::from(one.basis == super::Basis::Estimated && !failed),
        input: count(one.tokens.fresh()),
        cache_read: count(one.tokens.cached()),
        cache_write: count(one.tokens.cache_writes()),
        output: count(one.tokens.written()),
        thought: count(one.tokens.thought),
        images: count(one.images),
        credits: one.credits.0,
        cost: one.cost.0,
        list: one.listed().0,
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
        let mut page = JournalPage::new("s".into(), 5);
        for one in &settlements {
            let mut line = Vec::new();
            one.write(&mut line);
            page.add(one, &line);
        }
        let Posted { row, charges, minutes, heads } = page.posted();
        assert_eq!(heads.iter().map(|one| one.lines).collect::<Vec<_>>(), [9, 1]);
        assert_eq!(heads[0].body.lines().filter_map(head::Head::read).count(), 9);
        assert_eq!(charges.len(), 2);
        assert_eq!(charges[0].credits, Credits(8));
        assert_eq!(charges[1].credits, Credits(1));
        let credits: i64 = minutes.iter().map(|(_, sums)| sums.credits).sum();
        assert_eq!((credits, minutes.len()), (9, 2));
        assert_eq!((row.first_line, row.lines), (5, 10));
        assert_eq!(row.body.lines().count(), 10);
        assert!(row.least_id.ends_with('0') && row.greatest_id.ends_with('9'));
    }
}
