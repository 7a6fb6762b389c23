//! What a caller is held to, and the one question: may this much be taken now?

use super::gauge::{LimitReached, Limits, Now, PeriodUsage, RequestAmount, Standing};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId};

/// What a caller is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub account: AccountId,
    pub key: KeyId,
    /// By what the key's own limits are counted: rotating a key does not start them anew.
    pub family: KeyId,
    pub limits: Limits,
    /// The key's own, where it has any, beside the account's.
    pub key_limits: Option<Limits>,
}

impl Terms {
    /// Something of them needs to be known from the books.
    #[must_use]
    pub fn needs_books(&self) -> bool {
        self.limits.needs_books() || self.key_limits.as_ref().is_some_and(Limits::needs_books)
    }
}

/// What the ledger has booked of a period so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookedUsage {
    pub account: PeriodUsage,
    pub key: PeriodUsage,
}

/// Asks the counters to take an amount from all limits of a caller, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct QuotaRequest<'a> {
    pub terms: &'a Terms,
    pub amount: RequestAmount,
    pub now: Now,
    /// Names what is taken until it is settled.
    pub hold: &'a str,
    /// When a hold that nobody settles lapses.
    pub lapses: Timestamp,
    /// Given once a first try found that they are needed.
    pub books: Option<BookedUsage>,
}

/// Whether the amount was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaDecision {
    Yes(Standing),
    No(LimitReached, Standing),
    /// Ask again, with what the books say.
    Blank,
}
