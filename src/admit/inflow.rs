//! What callers may make this node hold of requests that are still on their way: a budget of bytes
//! for the node, of which no account gets more than its part. What has come whole is bounded by the
//! limits of a plan, which are asked next. Small bodies are not counted, so that most requests never
//! touch the lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::ids::AccountId;
use crate::base::{Error, Kind};

/// So much of a body or a message costs no budget: what an idle connection holds is bounded by the
/// number of connections.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// The budget is taken in pieces of this size, so that a large body does not lock for every chunk.
const PIECE_BYTES: usize = 256 << 10;
/// When a caller is told to come again: bodies are read and given on within seconds.
const AGAIN: Duration = Duration::from_secs(1);

/// The budget of a node. Clones share it.
#[derive(Debug, Clone)]
pub struct Inflow(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    /// For all accounts together, in bytes.
    node: usize,
    /// For any one of them.
    account: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// Only accounts that hold something.
    accounts: HashMap<AccountId, usize>,
}

impl Inflow {
    /// A budget of `node_bytes`. An account gets half of it, and at least one body of the largest
    /// size, so that no single key can keep all others out.
    #[must_use]
    pub fn new(node_bytes: usize, body_limit_bytes: usize) -> Self {
        let account = (node_bytes / 2).max(body_limit_bytes.saturating_add(PIECE_BYTES));
        Self(Arc::new(Budget {
            node: node_bytes.max(account),
            account,
            held: Mutex::new(Held::default()),
        }))
    }

    /// Nothing yet, on behalf of an account; `None` before anybody has said who they are.
    #[must_use]
    pub fn share(&self, account: Option<&AccountId>) -> Share {
        Share { budget: self.clone(), account: account.cloned(), bytes: 0 }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Two sums cannot be left half written.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the budget. Given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Inflow,
    account: Option<AccountId>,
    bytes: usize,
}

impl Share {
    /// Sees to it that the share covers `bytes` in all.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] when the account's part is used up, [`Kind::Overloaded`] when the
    /// node's budget is. The share stays as it was.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes <= UNCOUNTED_BYTES.max(self.bytes) {
            return Ok(());
        }
        let more = bytes.next_multiple_of(PIECE_BYTES) - self.bytes;
        let Budget { node, account, .. } = *self.budget.0;
        let mut held = self.budget.held();
        if let Some(id) = &self.account {
            let of_account = held.accounts.get(id).copied().unwrap_or(0) + more;
            if of_account > account {
                let text = format!(
                    "This account is sending {account} bytes of requests, which is all that it may \
                     send at once. Send fewer large requests at a time."
                );
                return Err(Error::new(Kind::RateLimited, text)
                    .coded("too_many_bytes_at_once")
                    .after(Some(AGAIN)));
            }
        }
        if held.bytes + more > node {
            let text =
                "The server is receiving as many large requests as it can. Try again in a moment.";
            return Err(Error::new(Kind::Overloaded, text).coded("server_busy").after(Some(AGAIN)));
        }
        held.bytes += more;
        if let Some(id) = &self.account {
            *held.accounts.entry(id.clone()).or_default() += more;
        }
        drop(held);
        self.bytes += more;
        Ok(())
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.held();
        held.bytes -= self.bytes;
        if let Some(id) = &self.account
            && let Some(of_account) = held.accounts.get_mut(id)
        {
            *of_account -= self.bytes;
            if *of_account == 0 {
                held.accounts.remove(id);
            }
        }
        drop(held);
        self.bytes = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn an_account_gets_its_part_and_others_theirs() {
        let inflow = Inflow::new(8 * MIB, MIB);
        let (greedy, modest) = (AccountId::fresh(), AccountId::fresh());
        let mut taken = inflow.share(Some(&greedy));
        taken.cover(4 * MIB).unwrap();
        let refused = inflow.share(Some(&greedy)).cover(MIB).unwrap_err();
        assert_eq!(refused.kind, Kind::RateLimited);
        let mut other = inflow.share(Some(&modest));
        other.cover(4 * MIB).unwrap();
        // The node's own bound holds for whoever has not said who they are, too.
        let refused = inflow.share(None).cover(MIB).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Kind::Overloaded, Some(AGAIN)));
        drop(taken);
        inflow.share(None).cover(MIB).unwrap();
    }

    #[test]
    fn small_bodies_cost_nothing_and_everything_is_given_back() {
        let inflow = Inflow::new(MIB, MIB);
        let account = AccountId::fresh();
        let mut share = inflow.share(Some(&account));
        share.cover(UNCOUNTED_BYTES).unwrap();
        assert_eq!(inflow.held().bytes, 0);
        share.cover(UNCOUNTED_BYTES + 1).unwrap();
        assert_eq!(inflow.held().bytes, PIECE_BYTES);
        share.cover(PIECE_BYTES + 1).unwrap();
        assert_eq!(inflow.held().bytes, 2 * PIECE_BYTES);
        drop(share);
        let held = inflow.held();
        assert_eq!((held.bytes, held.accounts.len()), (0, 0));
    }

    #[test]
    fn one_body_of_the_largest_size_always_fits() {
        let inflow = Inflow::new(0, 32 * MIB);
        inflow.share(Some(&AccountId::fresh())).cover(32 * MIB).unwrap();
    }
}
