//! Limits counted in this process.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;

use super::{Correction, Gauges, LimitReached, Limits, QuotaDecision, QuotaRequest, Terms};
use crate::base::ids::{AccountId, KeyId};

/// An account's gauges, and those of its keys that have limits of their own.
#[derive(Debug, Default)]
struct Account {
    own: Gauges,
    keys: HashMap<KeyId, Gauges>,
}

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct LocalQuota(Arc<DashMap<AccountId, Account>>);

impl LocalQuota {
    /// Takes all of it or nothing.
    #[must_use]
    pub fn take(&self, ask: &QuotaRequest<'_>) -> QuotaDecision {
        let Terms { account, family: key, limits, key_limits, .. } = ask.terms;
        let (amount, now) = (&ask.amount, ask.now);
        // An id is copied only the first time.
        let mut found = match self.0.get_mut(account) {
            Some(found) => found,
            None => self.0.entry(account.clone()).or_default(),
        };
        let Account { own, keys } = &mut *found;
        let mut theirs =
            key_limits.as_ref().map(|limits| (keys.entry(key.clone()).or_default(), limits));
        if let Some(books) = ask.books {
            own.seed(books.account, now);
            if let Some((gauges, _)) = &mut theirs {
                gauges.seed(books.key, now);
            }
        }
        let blank = own.is_blank(limits, now)
            || theirs.as_ref().is_some_and(|(gauges, limits)| gauges.is_blank(limits, now));
        if blank {
            return QuotaDecision::Blank;
        }
        let of_account = own.refusal(limits, amount, now).map(|(limit, wait)| LimitReached {
            limit,
            of_key: false,
            wait,
        });
        let of_key = theirs.as_ref().and_then(|(gauges, limits)| {
            let (limit, wait) = gauges.refusal(limits, amount, now)?;
            Some(LimitReached { limit, of_key: true, wait })
        });
        let refused = worse(of_account, of_key);
        if refused.is_none() {
            own.take(limits, amount, now);
            if let Some((gauges, limits)) = &mut theirs {
                gauges.take(limits, amount, now);
            }
        }
        let standing = own.standing(limits, now.at);
        refused.map_or(QuotaDecision::Yes(standing), |refusal| QuotaDecision::No(refusal, standing))
    }

    pub fn settle(&self, terms: &Terms, correction: &Correction) {
        let Some(mut found) = self.0.get_mut(&terms.account) else { return };
        found.own.settle(&terms.limits, correction);
        if let Some(limits) = &terms.key_limits
            && let Some(gauges) = found.keys.get_mut(&terms.family)
        {
            gauges.settle(limits, correction);
        }
    }

    /// Forgets an account; `true` when nothing is left.
    pub(super) fn forget(&self, account: &AccountId) -> bool {
        self.0.remove(account);
        self.0.is_empty()
    }

    /// Forgets credits and spending, which the books know. Rates go on.
    pub(super) fn forget_money(&self) {
        for mut account in self.0.iter_mut() {
            let Account { own, keys } = &mut *account;
            for gauges in std::iter::once(own).chain(keys.values_mut()) {
                gauges.forget_money();
            }
        }
    }
}

/// Money before rates, then whichever makes wait longer.
fn worse(first: Option<LimitReached>, other: Option<LimitReached>) -> Option<LimitReached> {
    match (first, other) {
        (Some(first), Some(other)) => {
            let first_holds =
                first.wait.is_zero() || (!other.wait.is_zero() && first.wait >= other.wait);
            Some(if first_holds { first } else { other })
        }
        (first, other) => first.or(other),
    }
}

/// `limits` shared out among so many nodes, none of which knows of the others: never more in all
/// than one plan's worth, and at least one request each.
pub(super) fn shared_out(limits: &Limits, nodes: u64) -> Limits {
    let part = |limit: Option<u64>| {
        limit.map(|limit| if limit == 0 { 0 } else { (limit / nodes.max(1)).max(1) })
    };
    Limits {
        requests_per_minute: part(limits.requests_per_minute),
        requests_per_day: part(limits.requests_per_day),
        tokens_per_minute: part(limits.tokens_per_minute),
        images_per_minute: part(limits.images_per_minute),
        ..limits.clone()
    }
}
