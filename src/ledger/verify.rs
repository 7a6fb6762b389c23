//! Proves the books: every page, every entry and every sum against each other.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::{Outcome, Page, Settlement};
use crate::base::calendar::Period;
use crate::base::ids::AccountId;
use crate::store::{EntrySum, MinuteSums, PageRow, Store, StoreError};

/// Pages read at a time.
const AT_ONCE: i64 = 200;
/// No report gets longer than this.
const MOST_FAULTS: usize = 100;

/// What was looked at and what is wrong with it.
#[derive(Debug, Default, Serialize)]
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

/// Sums by account and period: credits, nano-USD.
type Sums = BTreeMap<(AccountId, Period), (i64, i64)>;

/// Reads everything once.
///
/// # Errors
/// When the store fails.
pub async fn verify(store: &Store) -> Result<Proof, StoreError> {
    let mut proof = Proof::default();
    let mut charged = Sums::new();
    let mut minutes: BTreeMap<AccountId, MinuteSums> = BTreeMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut last: Option<(String, i64)> = None;
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    loop {
        let rows = store.ledger_pages(last.clone(), AT_ONCE).await?;
        let Some(end) = rows.last() else { break };
        last = Some((end.segment.clone(), end.first_line));
        for row in rows {
            let next = ends.entry(row.segment.clone()).or_insert(0);
            if *next != row.first_line {
                proof.fault(format!(
                    "segment {}: lines {next} to {} are missing",
                    row.segment, row.first_line
                ));
            }
            *next = row.first_line + row.lines;
            page(&row, &mut proof, &mut seen, &mut charged, &mut minutes);
        }
    }
    entries(store, &mut proof, &charged).await?;
    usage(store, &mut proof, &minutes).await?;
    proof.ok = proof.faults.is_empty();
    Ok(proof)
}

/// Every line is whole, there once, and as the page says.
fn page(
    row: &PageRow,
    proof: &mut Proof,
    seen: &mut HashSet<String>,
    charged: &mut Sums,
    minutes: &mut BTreeMap<AccountId, MinuteSums>,
) {
    let place = format!("page {}:{}", row.segment, row.first_line);
    let mut settlements = Vec::new();
    for (number, line) in row.body.lines().enumerate() {
        match Settlement::read(line.as_bytes()) {
            Ok(one) => settlements.push(one),
            Err(why) => proof.fault(format!("{place}, line {number}: {why}")),
        }
    }
    if i64::try_from(settlements.len()) != Ok(row.lines) {
        proof.fault(format!("{place}: {} lines, not {}", settlements.len(), row.lines));
    }
    for one in &settlements {
        if !seen.insert(one.id.as_str().to_owned()) {
            proof.fault(format!("{place}: {} is settled twice", one.id));
        }
        if one.outcome == Outcome::Failed && one.credits.0 != 0 {
            proof.fault(format!("{place}: {} failed and was charged", one.id));
        }
        if one.credits.0 < 0 || one.cost.0 < 0 {
            proof.fault(format!("{place}: {} has a charge below nothing", one.id));
        }
    }
    let page = Page { segment: row.segment.as_str().into(), first_line: 0, settlements };
    for posting in page.postings() {
        let sum = charged.entry((posting.account, posting.period)).or_default();
        sum.0 += posting.credits.0;
        sum.1 += posting.cost.0;
    }
    for (key, sums) in page.minutes() {
        minutes.entry(key.account).or_default().add(&sums);
    }
    proof.pages += 1;
    proof.settlements += page.settlements.len() as u64;
}

/// Entries add up to nothing, to the pages, and to the balances.
async fn entries(store: &Store, proof: &mut Proof, charged: &Sums) -> Result<(), StoreError> {
    for posting in store.unbalanced_postings().await? {
        proof.fault(format!("posting {posting} does not add up to nothing"));
    }
    let sums = store.entry_sums().await?;
    let mut found = Sums::new();
    let mut ledger: BTreeMap<(AccountId, Period), [i64; 4]> = BTreeMap::new();
    for EntrySum { account, period, book, cause, count, credits, nanos } in sums {
        proof.entries += count;
        let sums = ledger.entry((account.clone(), period)).or_default();
        match (book.as_str(), cause.as_str()) {
            ("usage", "page") => {
                found.insert((account, period), (credits, nanos));
                sums[0] += credits;
                sums[1] += nanos;
                proof.credits_used += credits;
                proof.cost_nano_usd += nanos;
            }
            ("usage", _) => {
                sums[0] += credits;
                proof.credits_used += credits;
            }
            ("customer", "grant") => sums[2] += credits,
            ("customer", "allowance") => sums[3] += credits,
            _ => {}
        }
    }
    for (who, sums) in charged {
        let there = found.get(who).copied().unwrap_or_default();
        if there != *sums {
            proof.fault(format!("{} {}: pages say {sums:?}, entries {there:?}", who.0, who.1.0));
        }
    }
    for who in found.keys().filter(|who| !charged.contains_key(*who)) {
        proof.fault(format!("{} {}: entries without a page", who.0, who.1.0));
    }
    let balances = store.all_balances().await?;
    let mut accounts = HashSet::new();
    for (account, balance) in &balances {
        accounts.insert(account.clone());
        let key = (account.clone(), balance.period);
        let [used, nanos, granted, allowance] = ledger.remove(&key).unwrap_or_default();
        let said = [
            balance.used.0,
            balance.cost.0,
            balance.granted.0,
            balance.allowance.map_or(0, |credits| credits.0),
        ];
        if said != [used, nanos, granted, allowance] {
            proof.fault(format!(
                "{account} {}: the balance says {said:?}, entries {:?} (used, nano-USD, granted, allowance)",
                balance.period.0,
                [used, nanos, granted, allowance]
            ));
        }
    }
    for (account, period) in ledger.keys() {
        proof.fault(format!("{account} {}: entries without a balance", period.0));
    }
    proof.accounts = accounts.len() as u64;
    Ok(())
}

/// What reports are made of adds up to the pages, refunds apart.
async fn usage(
    store: &Store,
    proof: &mut Proof,
    minutes: &BTreeMap<AccountId, MinuteSums>,
) -> Result<(), StoreError> {
    let refunds = store.refunded().await?;
    let mut reported = store.usage_by_account().await?;
    for (account, sums) in minutes {
        let refunded = refunds.get(account).copied().unwrap_or(0);
        let mut expected = *sums;
        expected.credits -= refunded;
        let there = reported.remove(account).unwrap_or_default();
        if there != expected {
            proof.fault(format!("{account}: usage says {there:?}, pages {expected:?}"));
        }
    }
    for account in reported.keys() {
        proof.fault(format!("{account}: usage without a page"));
    }
    Ok(())
}
