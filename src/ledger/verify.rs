//! Proves the books: every page, every entry and every sum against each other, as of one moment.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::{JournalPage, Outcome, Settlement};
use crate::base::calendar::Period;
use crate::base::ids::AccountId;
use crate::store::{BookSums, EntrySum, MinuteSums, PageRow, Posted, Store, StoreError};

/// No report gets longer than this.
const MOST_FAULTS: usize = 100;

/// What was looked at and what is wrong with it.
#[derive(Debug, Default, Serialize, schemars::JsonSchema)]
#[schemars(rename = "BooksProof")]
pub struct Proof {
    pub ok: bool,
    pub pages: u64,
    pub settlements: u64,
    pub accounts: u64,
    pub entries: i64,
    pub credits_used: i64,
    pub cost_nano_usd: i64,
    pub faults: Vec<String>,
}

impl Proof {
    fn fault(&mut self, fault: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// What the pages say, as far as they have been read.
#[derive(Default)]
struct Pages {
    proof: Proof,
    /// What each request was charged, in credits.
    ids: HashMap<String, i64>,
    /// What was taken back of each, in credits.
    withdrawn: HashMap<String, i64>,
    /// The segment that is being read, and the line that is next.
    next: (String, i64),
    /// Credits and nano-USD.
    charged: BTreeMap<(AccountId, Period), (i64, i64)>,
    minutes: BTreeMap<AccountId, MinuteSums>,
}

/// Reads everything once.
///
/// # Errors
/// When the store fails.
pub async fn verify(store: &Store) -> Result<Proof, StoreError> {
    let (pages, sums) = store.read_books(Pages::default(), Pages::take).await?;
    Ok(pages.compared(sums))
}

impl Pages {
    /// Every line is whole, there once, and as the page says.
    fn take(&mut self, row: PageRow) {
        let place = format!("page {}:{}", row.segment, row.first_line);
        let proof = &mut self.proof;
        let next = if self.next.0 == row.segment { self.next.1 } else { 0 };
        if next != row.first_line {
            proof.fault(format!("{place}: the lines from {next} on are missing"));
        }
        self.next = (row.segment.clone(), row.first_line + row.lines);
        let mut page = JournalPage::new(row.segment.as_str().into(), 0);
        for (number, line) in row.body.lines().enumerate() {
            let one = match Settlement::read(line.as_bytes()) {
                Ok(one) => one,
                Err(why) => {
                    proof.fault(format!("{place}, line {number}: {why}"));
                    continue;
                }
            };
            page.add(&one, line.as_bytes());
            let id = one.id.as_str().to_owned();
            if one.outcome == Outcome::Withdrawn {
                if self.withdrawn.insert(id, one.credits.0).is_some() {
                    proof.fault(format!("{place}: {} is withdrawn twice", one.id));
                }
                continue;
            }
            if self.ids.insert(id, one.credits.0).is_some() {
                proof.fault(format!("{place}: {} is settled twice", one.id));
            }
            if one.outcome == Outcome::Failed && one.credits.0 != 0 {
                proof.fault(format!("{place}: {} failed and was charged", one.id));
            }
            if one.outcome == Outcome::Failed && one.list.is_some_and(|list| list.0 != 0) {
                proof.fault(format!("{place}: {} failed and was sold", one.id));
            }
            if one.credits.0 < 0 || one.cost.0 < 0 {
                proof.fault(format!("{place}: {} has a charge below nothing", one.id));
            }
        }
        proof.pages += 1;
        proof.settlements += page.lines;
        if i64::try_from(page.lines) != Ok(row.lines) {
            proof.fault(format!("{place}: {} lines, not {}", page.lines, row.lines));
        }
        let Posted { charges, minutes, .. } = page.posted();
        for posting in &*charges {
            let account = posting.account.clone();
            let sum = self.charged.entry((account, posting.period)).or_default();
            sum.0 += posting.credits.0;
            sum.1 += posting.cost.0;
        }
        for (key, sums) in &*minutes {
            self.minutes.entry(key.account.clone()).or_default().add(sums);
        }
    }

    fn compared(mut self, sums: BookSums) -> Proof {
        let BookSums { entries, unbalanced, balances, refunded, mut usage } = sums;
        let proof = &mut self.proof;
        for posting in unbalanced {
            proof.fault(format!("posting {posting} does not add up to nothing"));
        }
        // Used, nano-USD, granted, allowance: as the entries have them.
        let mut ledger: BTreeMap<(AccountId, Period), [i64; 4]> = BTreeMap::new();
        let mut posted = BTreeMap::new();
        for EntrySum { account, period, book, cause, count, credits, nanos } in entries {
            proof.entries += count;
            let sums = ledger.entry((account.clone(), period)).or_default();
            match (book.as_str(), cause.as_str()) {
                ("usage", cause) => {
                    sums[0] += credits;
                    sums[1] += nanos;
                    proof.credits_used += credits;
                    proof.cost_nano_usd += nanos;
                    if cause == "page" {
                        posted.insert((account, period), (credits, nanos));
                    }
                }
                ("customer", "grant") => sums[2] += credits,
                ("customer", "allowance") => sums[3] += credits,
                _ => {}
            }
        }
        for (id, credits) in &self.withdrawn {
            if self.ids.get(id) != Some(&-credits) {
                proof.fault(format!(
                    "{id} is withdrawn by {credits} credits, and was not charged so"
                ));
            }
        }
        for (who, sums) in &self.charged {
            let there = posted.remove(who).unwrap_or_default();
            if there != *sums {
                let (account, period) = (&who.0, who.1.0);
                proof.fault(format!("{account} {period}: pages say {sums:?}, entries {there:?}"));
            }
        }
        for (account, period) in posted.keys() {
            proof.fault(format!("{account} {}: entries without a page", period.0));
        }
        let accounts: HashSet<&AccountId> = balances.iter().map(|(account, _)| account).collect();
        proof.accounts = accounts.len() as u64;
        for (account, balance) in &balances {
            let period = balance.period;
            let there = ledger.remove(&(account.clone(), period)).unwrap_or_default();
            let allowance = balance.allowance.map_or(0, |credits| credits.0);
            let said = [balance.used.0, balance.cost.0, balance.granted.0, allowance];
            if said != there {
                proof.fault(format!(
                    "{account} {}: the balance says {said:?}, entries {there:?}",
                    period.0
                ));
            }
        }
        for (account, period) in ledger.keys() {
            proof.fault(format!("{account} {}: entries without a balance", period.0));
        }
        for (account, sums) in &self.minutes {
            let mut expected = *sums;
            expected.credits -= refunded.get(account).copied().unwrap_or(0);
            let there = usage.remove(account).unwrap_or_default();
            if there != expected {
                proof.fault(format!("{account}: usage says {there:?}, pages {expected:?}"));
            }
        }
        for account in usage.keys() {
            proof.fault(format!("{account}: usage without a page"));
        }
        proof.ok = proof.faults.is_empty();
        self.proof
    }
}
